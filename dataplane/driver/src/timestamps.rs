//! When a frame was received, by the device itself: a field that DPDK adds to packet buffers.
//!
//! Only devices whose time is the system's are asked for it: `net_af_packet` passes on when the kernel took the frame,
//! `net_pcap` what the capture says. Cards count ticks of their own.

#![expect(unsafe_code, reason = "the field is registered with DPDK")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::DriverError;
use crate::handle::Handle;

/// The drivers that tell nanoseconds since 1970.
const DRIVERS: [&str; 2] = ["net_af_packet", "net_pcap"];

/// The flag of buffers that have the field; 0 before anybody has it. Once set it stays, as DPDK asks for.
static FLAG: AtomicU64 = AtomicU64::new(0);
/// The flag of buffers that carry the time at which they shall be sent; 0 before anybody has it.
static SEND_FLAG: AtomicU64 = AtomicU64::new(0);
/// Where the field is in a buffer. Written before the flags.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

/// True of drivers that can be asked.
pub(crate) fn are_told_by(driver: &str) -> bool {
    DRIVERS.contains(&driver)
}

/// Has buffers carry when they were received. Errors: there is no room left for the field.
pub(crate) fn register(handle: &Handle) -> Result<(), DriverError> {
    let call = dpdk_sys::rte_mbuf_dyn_rx_timestamp_register;
    add_field(handle, "rte_mbuf_dyn_rx_timestamp_register", call, &FLAG)
}

/// Has buffers carry when they shall be sent: the same field, with a flag of its own. Errors: there is no room left for
/// it.
pub(crate) fn register_send(handle: &Handle) -> Result<(), DriverError> {
    let call = dpdk_sys::rte_mbuf_dyn_tx_timestamp_register;
    add_field(handle, "rte_mbuf_dyn_tx_timestamp_register", call, &SEND_FLAG)
}

fn add_field(
    handle: &Handle,
    name: &'static str,
    call: unsafe extern "C" fn(*mut c_int, *mut u64) -> c_int,
    told: &AtomicU64,
) -> Result<(), DriverError> {
    let (mut offset, mut flag) = (0, 0);
    handle.call(name, || {
        // SAFETY: one of the two calls of DPDK that write an offset and a flag; the EAL runs, or there would be no handle.
        unsafe { call(&raw mut offset, &raw mut flag) }
    })?;
    OFFSET.store(usize::try_from(offset).unwrap_or(0), Ordering::Relaxed);
    told.store(flag, Ordering::Release);
    Ok(())
}

/// Where the time of sending is in a buffer, and the flag that tells of it; `None` before it is registered.
#[inline]
pub(crate) fn send_place() -> Option<(usize, u64)> {
    let flag = SEND_FLAG.load(Ordering::Acquire);
    (flag != 0).then(|| (OFFSET.load(Ordering::Relaxed), flag))
}

/// Where the field is in a buffer with these flags, if it has one. Cost: one load where nobody asked for it.
#[inline]
pub(crate) fn offset(flags: u64) -> Option<usize> {
    let flag = FLAG.load(Ordering::Acquire);
    (flags & flag != 0).then(|| OFFSET.load(Ordering::Relaxed))
}
