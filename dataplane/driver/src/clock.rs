//! The time of DPDK's devices: the processor's time stamp counter, as DPDK has measured it.

#![expect(unsafe_code, reason = "the counter is read through DPDK")]

use std::thread;
use std::time::Duration;

use engine::port::Clock;

/// The time stamp counter. Its frequency is measured when DPDK starts.
#[derive(Debug)]
pub struct TscClock;

impl Clock for TscClock {
    #[inline]
    fn now() -> u64 {
        // SAFETY: reads a register.
        unsafe { dpdk_sys::lt_cycles() }
    }

    fn hz() -> u64 {
        // SAFETY: reads a number; 0 before DPDK runs.
        unsafe { dpdk_sys::rte_get_tsc_hz() }.max(1)
    }

    #[inline]
    fn pause() {
        core::hint::spin_loop();
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }
}
