//! From a [`PortConfig`] to DPDK's configuration calls.

#![expect(unsafe_code, reason = "configuration calls of DPDK")]

use crate::error::DriverError;
use crate::handle::Handle;
use crate::mempool::Mempool;
use crate::port::PortConfig;
use crate::timestamps;

/// The key that makes Toeplitz symmetric: both directions of a flow hash alike, so that one worker
/// sees them both (S. Woo and K. Park, "Scalable TCP Session Monitoring with Symmetric RSS").
const SYMMETRIC: [u8; 2] = [0x6d, 0x5a];
/// The length of the key where a driver does not say.
const KEY_LEN_DEFAULT: u8 = 40;

/// Sets modes and offloads, and the MTU where the device has one.
pub(crate) fn configure(
    handle: &Handle,
    info: &dpdk_sys::rte_eth_dev_info,
    config: &PortConfig,
) -> Result<(), DriverError> {
    let mut key = symmetric_key(info.hash_key_size);
    let mut conf = dpdk_sys::rte_eth_conf::default();
    conf.rxmode.mtu = config.mtu.unwrap_or(0).into();
    if config.scatter {
        conf.rxmode.offloads |= info.rx_offload_capa & dpdk_sys::LT_RX_OFFLOAD_SCATTER;
    }
    if config.timestamps && info.rx_offload_capa & dpdk_sys::LT_RX_OFFLOAD_TIMESTAMP != 0 {
        timestamps::register(handle)?;
        conf.rxmode.offloads |= dpdk_sys::LT_RX_OFFLOAD_TIMESTAMP;
    }
    let hashes = dpdk_sys::LT_RSS_IP | dpdk_sys::LT_RSS_TCP | dpdk_sys::LT_RSS_UDP;
    let hashes = hashes & info.flow_type_rss_offloads;
    if config.rx_queues > 1 && hashes != 0 {
        conf.rxmode.mq_mode = dpdk_sys::LT_MQ_RX_RSS;
        let rss = &mut conf.rx_adv_conf.rss_conf;
        rss.rss_hf = hashes;
        rss.rss_key = key.as_mut_ptr();
        rss.rss_key_len = u8::try_from(key.len()).unwrap_or(KEY_LEN_DEFAULT);
    }
    conf.txmode.offloads = chains(info, config);
    if config.timed && info.tx_offload_capa & dpdk_sys::LT_TX_OFFLOAD_SEND_ON_TIMESTAMP != 0 {
        timestamps::register_send(handle)?;
        conf.txmode.offloads |= dpdk_sys::LT_TX_OFFLOAD_SEND_ON_TIMESTAMP;
    }
    let tx_queues = config.tx_queues + config.pooled_tx_queues;
    handle.call("rte_eth_dev_configure", || {
        // SAFETY: the port is open and does not run; `conf` and its key are read during the call.
        unsafe {
            dpdk_sys::rte_eth_dev_configure(
                handle.port,
                config.rx_queues,
                tx_queues,
                &raw const conf,
            )
        }
    })?;
    let Some(mtu) = config.mtu else { return Ok(()) };
    // Some drivers take the MTU from the configuration, others only from this call.
    let set = handle.call("rte_eth_dev_set_mtu", || {
        // SAFETY: the port is open.
        let status = unsafe { dpdk_sys::rte_eth_dev_set_mtu(handle.port, mtu) };
        if status == -nix::libc::ENOTSUP { 0 } else { status }
    });
    set.map(|_| ())
}

/// Sets up all queues of the configuration; returns the descriptors of each receive queue.
pub(crate) fn set_up_queues(
    handle: &Handle,
    info: &dpdk_sys::rte_eth_dev_info,
    config: &PortConfig,
    pool: &Mempool,
) -> Result<u16, DriverError> {
    let (mut rx_len, mut tx_len) = (config.rx_descriptors, config.tx_descriptors);
    handle.call("rte_eth_dev_adjust_nb_rx_tx_desc", || {
        // SAFETY: the port is open; both lengths are read and written.
        unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(
                handle.port,
                &raw mut rx_len,
                &raw mut tx_len,
            )
        }
    })?;
    // Any node will do where the device does not say (−1, SOCKET_ID_ANY).
    // SAFETY: the port is open.
    let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(handle.port) }.cast_unsigned();
    let rx_conf = info.default_rxconf;
    for queue in 0..config.rx_queues {
        handle.call("rte_eth_rx_queue_setup", || {
            // SAFETY: configured with more queues than `queue`; the pool is not freed before the
            // port is closed (see `free_pools`); the settings are read.
            unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(
                    handle.port,
                    queue,
                    rx_len,
                    socket,
                    &raw const rx_conf,
                    pool.as_ptr(),
                )
            }
        })?;
    }
    let mut tx_conf = info.default_txconf;
    for queue in 0..config.tx_queues + config.pooled_tx_queues {
        let is_pooled = queue >= config.tx_queues;
        tx_conf.offloads = chains(info, config);
        if is_pooled {
            tx_conf.offloads |= dpdk_sys::LT_TX_OFFLOAD_MBUF_FAST_FREE;
        }
        handle.call("rte_eth_tx_queue_setup", || {
            // SAFETY: configured with more queues than `queue`; the settings are read.
            unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(
                    handle.port,
                    queue,
                    tx_len,
                    socket,
                    &raw const tx_conf,
                )
            }
        })?;
    }
    Ok(rx_len)
}

/// The transmit offload for frames of several segments, where it is wanted and known.
fn chains(info: &dpdk_sys::rte_eth_dev_info, config: &PortConfig) -> u64 {
    let wanted = if config.chains { dpdk_sys::LT_TX_OFFLOAD_MULTI_SEGS } else { 0 };
    info.tx_offload_capa & wanted
}

fn symmetric_key(len: u8) -> Vec<u8> {
    let len = if len == 0 { KEY_LEN_DEFAULT } else { len };
    SYMMETRIC.into_iter().cycle().take(len.into()).collect()
}
