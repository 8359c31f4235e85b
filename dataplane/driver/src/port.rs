//! A port: attached, then started, which hands out each of its queues once.

#![expect(unsafe_code, reason = "ports are DPDK's")]

use std::ffi::{CStr, CString};
use std::sync::Arc;

use engine::units::Mac;

use crate::borrowed::Borrowed;
use crate::device::Device;
use crate::eal::Eal;
use crate::error::{DriverError, words};
use crate::handle::Handle;
use crate::kernel::Interface;
use crate::logging::explain;
use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};
use crate::running::RunningPort;

/// What a device can do, as its driver says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each may be there without the others")]
pub struct Abilities {
    /// The driver, e.g. `net_af_packet`.
    pub driver: String,
    /// Its receive queues.
    pub rx_queues_max: u16,
    /// Its transmit queues.
    pub tx_queues_max: u16,
    /// The largest IP MTU. Not to be believed of `net_af_packet`, which says 1500 and does more.
    pub mtu_max: u32,
    /// It can spread a received frame over several buffers.
    pub scatters: bool,
    /// It spreads flows over its receive queues by a hash of addresses and ports.
    pub hashes: bool,
    /// It sends frames of several segments: it says so, or is known to.
    pub sends_chains: bool,
    /// It sends frames at times of its own clock that they are given.
    pub sends_timed: bool,
    /// A transmit queue frees buffers faster when told that all are of one pool and nobody else's.
    pub frees_fast: bool,
    /// The interface of the kernel that it sits on; 0 for none.
    pub interface_index: u32,
    /// NUMA node, or −1 for any.
    pub socket: i32,
}

/// How a port shall run.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may be wanted without the others")]
pub struct PortConfig {
    /// The largest IP MTU that the device itself shall take care of; `None` leaves it as it is.
    pub mtu: Option<u16>,
    /// The address to take on, where not the device's own.
    pub mac: Option<Mac>,
    /// Receive what is addressed to others too.
    pub promiscuous: bool,
    /// Receive what is addressed to any group.
    pub all_multicast: bool,
    /// Send frames of several segments too, where the device can.
    pub chains: bool,
    /// Send frames at times that they are given, where the device can.
    pub timed: bool,
    /// Spread frames over several buffers when they are larger than one.
    pub scatter: bool,
    /// Have frames tell when they were received, where the device knows by the system's clock.
    pub timestamps: bool,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// So many more, for frames in one segment, of one pool, that nobody else holds.
    pub pooled_tx_queues: u16,
    /// Frames that each receive queue holds, as far as the device can.
    pub rx_descriptors: u16,
    /// Frames that each transmit queue holds, as far as the device can.
    pub tx_descriptors: u16,
}

/// An attached device, not started.
#[derive(Debug)]
pub struct Port {
    handle: Handle,
    abilities: Abilities,
}

impl Port {
    /// Opens the device. `name` is the port's name in the appliance file. Errors: DPDK has no such
    /// device, or can't open it; another port has it.
    pub fn attach(_eal: &Eal, name: &str, device: &Device) -> Result<Self, DriverError> {
        if port_of(device).is_some() && !device.is_pci() {
            let (port, device) = (name.to_owned(), device.name().to_owned());
            return Err(DriverError::InUse { port, device });
        }
        let arguments = CString::new(device.to_arguments()).unwrap_or_default();
        let (status, said) = explain(|| {
            // SAFETY: a C string that DPDK copies; the EAL runs.
            unsafe { dpdk_sys::rte_dev_probe(arguments.as_ptr()) }
        });
        let port = match (status, port_of(device)) {
            (0, Some(port)) => port,
            // A PCI device that was named at the start is open already (-EEXIST).
            (_, Some(port)) if device.is_pci() => port,
            _ => {
                return Err(DriverError::Attach {
                    port: name.to_owned(),
                    device: device.to_arguments(),
                    cause: said.unwrap_or_else(|| words(status)),
                    remedy: remedy(device).to_owned(),
                });
            }
        };
        let mut handle =
            Handle { name: name.to_owned(), port, device: core::ptr::null_mut(), below: None };
        let info = handle.info()?;
        handle.device = info.device;
        handle.below = Interface::from_index(info.if_index).ok().map(Borrowed::new);
        let mut abilities = abilities(port, &info);
        // These two send chains and do not say so.
        abilities.sends_chains |= device.is("null") || device.is("pcap");
        Ok(Self { handle, abilities })
    }

    /// What the device can do.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Runs what may change the interface of the kernel below: put back when the port is closed.
    pub(crate) fn changing<T>(&self, run: impl FnOnce() -> T) -> T {
        self.handle.changing(run)
    }

    /// Configures and starts it, receiving into `pool`; hands out its queues. Errors: the call that
    /// failed, with DPDK's words.
    ///
    /// It can't be done twice:
    /// ```compile_fail,E0382
    /// fn twice(port: driver::Port, config: &driver::PortConfig, pool: &driver::Mempool) {
    ///     let first = port.start(config, pool);
    ///     let second = port.start(config, pool);
    /// }
    /// ```
    pub fn start(
        self,
        config: &PortConfig,
        pool: &Mempool,
    ) -> Result<(RunningPort, Vec<RxQueue>, Vec<TxQueue>), DriverError> {
        let sends_chains = self.abilities.sends_chains;
        let Self { handle, abilities, .. } = self;
        let info = handle.info()?;
        handle.changing(|| crate::configure::configure(&handle, &info, config))?;
        let descriptors = crate::configure::set_up_queues(&handle, &info, config, pool)?;
        handle.changing(|| {
            handle.call("rte_eth_dev_start", || {
                // SAFETY: configured, and every queue set up.
                unsafe { dpdk_sys::rte_eth_dev_start(handle.port) }
            })
        })?;
        let handle = Arc::new(handle);
        let rx = (0..config.rx_queues).map(|queue| RxQueue::new(&handle, queue, descriptors));
        let rx = rx.collect();
        let tx = (0..config.tx_queues + config.pooled_tx_queues).map(|queue| {
            let is_pooled = queue >= config.tx_queues;
            let takes_chains = sends_chains && config.chains && !is_pooled;
            let is_timed = config.timed && abilities.sends_timed;
            // Only queues that free fast want frames for themselves ("MBUF_FAST_FREE", rte_ethdev.h).
            TxQueue::new(&handle, queue, takes_chains, !is_pooled, is_timed)
        });
        let tx = tx.collect();
        let mut running = RunningPort::new(&handle, abilities);
        running.adopt(config);
        Ok((running, rx, tx))
    }
}

/// The port that a device has become.
fn port_of(device: &Device) -> Option<u16> {
    let name = CString::new(device.name()).ok()?;
    let mut port = 0;
    // SAFETY: a C string is read, `port` is written.
    let status = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut port) };
    (status == 0).then_some(port)
}

fn abilities(port: u16, info: &dpdk_sys::rte_eth_dev_info) -> Abilities {
    // SAFETY: null, or a C string of the driver, which stays loaded.
    let driver = unsafe { info.driver_name.as_ref() }.map_or_else(String::new, |first| {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(first) }.to_string_lossy().into_owned()
    });
    let hashes = dpdk_sys::LT_RSS_IP | dpdk_sys::LT_RSS_TCP | dpdk_sys::LT_RSS_UDP;
    let by_length = info.max_rx_pktlen.saturating_sub(dpdk_sys::LT_ETHER_OVERHEAD);
    Abilities {
        rx_queues_max: info.max_rx_queues,
        tx_queues_max: info.max_tx_queues,
        mtu_max: by_length.min(info.max_mtu.into()),
        scatters: info.rx_offload_capa & dpdk_sys::LT_RX_OFFLOAD_SCATTER != 0,
        hashes: info.flow_type_rss_offloads & hashes != 0,
        frees_fast: info.tx_queue_offload_capa & dpdk_sys::LT_TX_OFFLOAD_MBUF_FAST_FREE != 0,
        // net_af_xdp neither says so nor may be asked: it sends wrong bytes for chains.
        sends_chains: info.tx_offload_capa & dpdk_sys::LT_TX_OFFLOAD_MULTI_SEGS != 0
            && driver != "net_af_xdp",
        sends_timed: info.tx_offload_capa & dpdk_sys::LT_TX_OFFLOAD_SEND_ON_TIMESTAMP != 0,
        interface_index: info.if_index,
        // SAFETY: the port is open.
        socket: unsafe { dpdk_sys::rte_eth_dev_socket_id(port) },
        driver,
    }
}

/// What most often helps when a device can't be opened.
fn remedy(device: &Device) -> &'static str {
    if device.is_pci() {
        "Is the device there (lspci), and bound to vfio-pci (dpdk-devbind.py)?"
    } else if device.argument("iface").is_some() {
        "Does the interface exist in this network namespace (ip link), and may this user open \
         it (root or CAP_NET_RAW)?"
    } else {
        "Are the device's name and arguments right, and is its driver installed \
         (librte-net-… of the installed DPDK)?"
    }
}
