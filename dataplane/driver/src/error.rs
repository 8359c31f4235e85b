//! What can go wrong between this process and DPDK, each with the place and the remedy.

use thiserror::Error;

/// A failure of the driver: cold path only, queues never fail.
#[derive(Debug, Error)]
pub enum DriverError {
    /// DPDK keeps its state in the process: it starts once.
    #[error("DPDK is running in this process already; it can be started once")]
    Twice,
    /// `rte_eal_init` refused.
    #[error("DPDK could not start ({cause}); its arguments were: {arguments}")]
    Eal {
        /// What DPDK said, or its error number in words.
        cause: String,
        /// What it was started with.
        arguments: String,
    },
    /// The appliance file leaves the device out, which only offline mirroring can do without.
    #[error("port `{port}` has no device: add `device` to its [[port]]")]
    DeviceMissing {
        /// The port.
        port: String,
    },
    /// The text is neither a PCI address nor a virtual device.
    #[error(
        "port `{port}`: `{device}` names no device: write a PCI address like 0000:3b:00.0, or \
         DPDK device arguments like net_af_packet0,iface=lan0"
    )]
    NoDevice {
        /// The port.
        port: String,
        /// The text.
        device: String,
    },
    /// DPDK could not open the device.
    #[error("port `{port}`: DPDK can't open `{device}`: {cause}. {remedy}")]
    Attach {
        /// The port.
        port: String,
        /// Its device arguments, as DPDK got them.
        device: String,
        /// What DPDK said, or its error number in words.
        cause: String,
        /// What to try.
        remedy: String,
    },
    /// Two ports name one device.
    #[error(
        "port `{port}`: the device `{device}` is in use by another port; each port needs its own"
    )]
    InUse {
        /// The port.
        port: String,
        /// The device's name.
        device: String,
    },
    /// Workers never share a transmit queue, and the device has too few.
    #[error(
        "port `{port}`: {driver} offers {offered} transmit queue(s) and each of the {workers} \
         workers needs one: list fewer cores in [dataplane] workers"
    )]
    TxQueues {
        /// The port.
        port: String,
        /// Its driver.
        driver: String,
        /// What there is.
        offered: u16,
        /// What is needed.
        workers: u16,
    },
    /// The device can't carry frames of the configured MTU.
    #[error(
        "port `{port}`: {driver} carries an IP MTU of at most {most} and `mtu` is {mtu}: lower `mtu`"
    )]
    Mtu {
        /// The port.
        port: String,
        /// Its driver.
        driver: String,
        /// The device's limit.
        most: u32,
        /// The configured value.
        mtu: u16,
    },
    /// The interface of the kernel below the port has a smaller MTU, and it can't be changed.
    #[error(
        "port `{port}`: the interface {interface} has an MTU of {has} and needs {mtu} ({cause}): \
         ip link set dev {interface} mtu {mtu}"
    )]
    KernelMtu {
        /// The port.
        port: String,
        /// The kernel's name for it.
        interface: String,
        /// What it has.
        has: u32,
        /// What it needs.
        mtu: u32,
        /// Why it was not changed.
        cause: std::io::Error,
    },
    /// The kernel's interface of a tool port can't be made.
    #[error(
        "port `{port}`: the kernel's interface {interface} can't be made ({cause}): {remedy}, or write \
         kernel_interface = \"none\" and give the tools of this port their `mac`"
    )]
    KernelInterface {
        /// The port.
        port: String,
        /// Its name.
        interface: String,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to try.
        remedy: &'static str,
    },
    /// The ring that the device arguments ask for would cut frames.
    #[error(
        "port `{port}`: framesz={framesz} would cut frames longer than {longest} bytes and `mtu` {mtu} \
         needs {needed}: leave framesz, blocksz and framecnt out, or raise them"
    )]
    RingCutsFrames {
        /// The port.
        port: String,
        /// As configured.
        framesz: u32,
        /// The longest frame that it holds.
        longest: u32,
        /// The port's MTU.
        mtu: u16,
        /// The longest frame of that MTU.
        needed: u32,
    },
    /// A configuration call failed.
    #[error("port `{port}`: {call} failed: {cause}")]
    Call {
        /// The port.
        port: String,
        /// DPDK's function.
        call: &'static str,
        /// What DPDK said, or its error number in words.
        cause: String,
    },
    /// There is no memory for a packet pool.
    #[error(
        "no memory for the packet pool `{pool}` of {buffers} buffers, {mib} MiB ({cause}): raise \
         [dataplane] memory, or provide hugepages, or lower `mtu` where it is large"
    )]
    Pool {
        /// Its name.
        pool: String,
        /// Its size.
        buffers: u32,
        /// Its size in memory.
        mib: u64,
        /// DPDK's error number in words.
        cause: String,
    },
    /// The calling thread could not be made one of DPDK's.
    #[error("worker on core {core}: {cause}")]
    Worker {
        /// The core.
        core: u16,
        /// What failed.
        cause: String,
    },
}

/// The words for an error number, as DPDK knows it: negative values are taken as positive.
pub(crate) fn words(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno.saturating_abs()).to_string()
}
