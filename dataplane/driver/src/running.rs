//! A port that runs: its control, beside the queues.

#![expect(unsafe_code, reason = "control calls of DPDK")]

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use std::ffi::CStr;
use std::sync::Arc;

use engine::report::DeviceLosses;
use engine::units::Mac;

use crate::error::DriverError;
use crate::handle::Handle;
use crate::port::{Abilities, PortConfig};

/// The control of a running port. The port stops and is closed when this and all its queues are
/// dropped.
///
/// Thread: one at a time, as DPDK asks for all configuration calls; queues run beside it.
#[derive(Debug)]
pub struct RunningPort {
    handle: Arc<Handle>,
    abilities: Abilities,
    _one_thread: PhantomData<Cell<()>>,
}

impl RunningPort {
    pub(crate) fn new(handle: &Arc<Handle>, abilities: Abilities) -> Self {
        Self { handle: Arc::clone(handle), abilities, _one_thread: PhantomData }
    }

    /// The address and the promiscuous mode of `config`: after the start, since some drivers forget
    /// them before. A device that can't take the address on receives everything instead.
    pub(crate) fn adopt(&mut self, config: &PortConfig) {
        let mut promiscuous = config.promiscuous;
        if let Some(mac) = config.mac
            && self.mac() != mac
            && let Err(error) = self.set_mac(mac)
        {
            log::info!("{error}; it receives what is addressed to others instead");
            promiscuous = true;
        }
        if config.all_multicast
            && let Err(error) = self.receive_all_multicast()
        {
            log::info!("{error}; it receives what is addressed to others instead");
            promiscuous = true;
        }
        if promiscuous && let Err(error) = self.set_promiscuous(true) {
            // A device without the mode (net_null) has no address filter either.
            log::debug!("{error}");
        }
    }

    /// The port's name in the appliance file.
    pub fn name(&self) -> &str {
        &self.handle.name
    }

    /// What the device can do.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// The address it sends from; zero when it has none.
    pub fn mac(&self) -> Mac {
        let mut address = MaybeUninit::<dpdk_sys::rte_ether_addr>::zeroed();
        // SAFETY: the port is open; the address is written when the call succeeds.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.handle.port, address.as_mut_ptr()) };
        // SAFETY: plain bytes, zero or written.
        Mac(unsafe { address.assume_init() }.addr_bytes)
    }

    /// Takes on an address. Errors: the device can't.
    pub fn set_mac(&mut self, mac: Mac) -> Result<(), DriverError> {
        let mut address = dpdk_sys::rte_ether_addr { addr_bytes: mac.0 };
        self.handle.changing(|| {
            self.handle.call("rte_eth_dev_default_mac_addr_set", || {
                // SAFETY: the port is open; the address is read.
                unsafe {
                    dpdk_sys::rte_eth_dev_default_mac_addr_set(self.handle.port, &raw mut address)
                }
            })
        })?;
        Ok(())
    }

    /// The IP MTU that the device works with.
    pub fn mtu(&self) -> Result<u16, DriverError> {
        let mut mtu = 0;
        self.handle.call("rte_eth_dev_get_mtu", || {
            // SAFETY: the port is open; `mtu` is written.
            unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.handle.port, &raw mut mtu) }
        })?;
        Ok(mtu)
    }

    /// True when it receives what is addressed to others.
    pub fn is_promiscuous(&self) -> bool {
        // SAFETY: the port is open.
        unsafe { dpdk_sys::rte_eth_promiscuous_get(self.handle.port) == 1 }
    }

    /// Switches the reception of what is addressed to others. Errors: the device can't.
    pub fn set_promiscuous(&mut self, on: bool) -> Result<(), DriverError> {
        let port = self.handle.port;
        let enable = || {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_eth_promiscuous_enable(port) }
        };
        let disable = || {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_eth_promiscuous_disable(port) }
        };
        self.handle.changing(|| {
            if on {
                self.handle.call("rte_eth_promiscuous_enable", enable)
            } else {
                self.handle.call("rte_eth_promiscuous_disable", disable)
            }
        })?;
        Ok(())
    }

    /// Receives what is addressed to any group. Errors: the device can't be told to.
    fn receive_all_multicast(&mut self) -> Result<(), DriverError> {
        let port = self.handle.port;
        self.handle.changing(|| {
            self.handle.call("rte_eth_allmulticast_enable", || {
                // SAFETY: the port is open.
                unsafe { dpdk_sys::rte_eth_allmulticast_enable(port) }
            })
        })?;
        Ok(())
    }

    /// Whether the link is up, and its speed in Mb/s (0: unknown), as DPDK knows it, without
    /// waiting. `net_af_packet` of DPDK 22.11 says "up" whatever the interface does: ask
    /// [`crate::kernel`] too.
    pub fn link(&self) -> (bool, u32) {
        let (mut up, mut speed_mbps) = (0, 0);
        // SAFETY: the port is open; both are written.
        let status =
            unsafe { dpdk_sys::lt_link(self.handle.port, &raw mut up, &raw mut speed_mbps) };
        (status >= 0 && up != 0, speed_mbps)
    }

    /// What the device lost, as its driver counts it; `None` when it does not. Cost: may ask the
    /// device.
    pub fn losses(&self) -> Option<DeviceLosses> {
        let mut stats = MaybeUninit::<dpdk_sys::rte_eth_stats>::zeroed();
        // SAFETY: the port is open; `stats` is written. Queues may run beside it: their drivers'
        // counters are read only.
        let status = unsafe { dpdk_sys::rte_eth_stats_get(self.handle.port, stats.as_mut_ptr()) };
        // SAFETY: plain numbers, zero or written.
        let stats = unsafe { stats.assume_init() };
        (status == 0).then_some(DeviceLosses {
            imissed: stats.imissed,
            ierrors: stats.ierrors,
            rx_nombuf: stats.rx_nombuf,
            oerrors: stats.oerrors,
        })
    }

    /// Frames that the kernel did not hand over since the last call, because the rings of the port's packet sockets
    /// were full; `None` of devices other than `net_af_packet`. Cost: two system calls for each queue.
    pub fn packet_drops(&self) -> Option<u64> {
        let is_meant = self.abilities.driver == "net_af_packet";
        is_meant.then(|| {
            // SAFETY: asks the kernel about sockets of this process; one thread at a time has this handle, and the
            // lab's ports are all one thread's.
            unsafe { dpdk_sys::lt_packet_drops(self.abilities.interface_index) }
        })
    }

    /// The driver's own counters that are not zero. Cost: may ask the device.
    pub fn xstats(&self) -> Vec<(String, u64)> {
        let port = self.handle.port;
        // SAFETY: the port is open; a null array asks for the number of counters.
        let count = unsafe { dpdk_sys::rte_eth_xstats_get_names(port, core::ptr::null_mut(), 0) };
        let len = usize::try_from(count).unwrap_or(0);
        let size = u32::try_from(len).unwrap_or(0);
        let mut names = vec![dpdk_sys::rte_eth_xstat_name::default(); len];
        let mut values = vec![dpdk_sys::rte_eth_xstat { id: 0, value: 0 }; len];
        // SAFETY: `names` has room for `size` names.
        let named = unsafe { dpdk_sys::rte_eth_xstats_get_names(port, names.as_mut_ptr(), size) };
        // SAFETY: `values` has room for `size` values.
        let got = unsafe { dpdk_sys::rte_eth_xstats_get(port, values.as_mut_ptr(), size) };
        if named != count || got != count {
            return Vec::new();
        }
        let nonzero = values.iter().filter(|stat| stat.value != 0);
        nonzero
            .filter_map(|stat| {
                let name = names.get(usize::try_from(stat.id).ok()?)?;
                let bytes = name.name.map(|byte| byte.to_ne_bytes()[0]);
                let text = CStr::from_bytes_until_nul(&bytes).ok()?;
                Some((text.to_string_lossy().into_owned(), stat.value))
            })
            .collect()
    }
}
