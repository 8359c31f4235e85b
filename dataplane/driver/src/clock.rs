//! The time of DPDK's devices: the processor's time stamp counter.
//!
//! Where neither CPUID nor the kernel tell the counter's frequency, DPDK measures it and **rounds it to 10 MHz**
//! (`estimate_tsc_freq`, 22.11): half a percent of what is measured or paced by it. So it is measured here against the
//! kernel's clock, while DPDK starts.

#![expect(unsafe_code, reason = "the counter is read through DPDK")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engine::port::Clock;

/// Measured over at least so long: 100 ns of it are a millionth.
const MEASURED_OVER: Duration = Duration::from_millis(100);
/// Readings of both clocks, of which the closest ones count.
const READINGS: usize = 16;

/// Ticks per second; 0 before it is measured.
static HZ: AtomicU64 = AtomicU64::new(0);

/// The time stamp counter. Its frequency is measured when DPDK starts.
#[derive(Debug)]
pub struct TscClock;

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    ticks: u64,
    at: Instant,
}

impl Clock for TscClock {
    #[inline]
    fn now() -> u64 {
        // SAFETY: reads a register.
        unsafe { dpdk_sys::lt_cycles() }
    }

    fn hz() -> u64 {
        match HZ.load(Ordering::Relaxed) {
            // SAFETY: reads a number; 0 before DPDK runs.
            0 => unsafe { dpdk_sys::rte_get_tsc_hz() }.max(1),
            hz => hz,
        }
    }

    #[inline]
    fn pause() {
        core::hint::spin_loop();
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }
}

impl Moment {
    /// Now. Cost: about a microsecond.
    pub(crate) fn now() -> Self {
        let reading = |_| {
            let (before, at, after) = (TscClock::now(), Instant::now(), TscClock::now());
            (
                after.saturating_sub(before),
                Self { ticks: before + after.saturating_sub(before) / 2, at },
            )
        };
        let closest = (1..READINGS)
            .map(reading)
            .fold(reading(0), |one, other| if other.0 < one.0 { other } else { one });
        closest.1
    }

    /// Measures the counter's frequency since this moment, which was some time ago.
    pub(crate) fn measure(self) {
        thread::sleep(MEASURED_OVER.saturating_sub(self.at.elapsed()));
        let now = Self::now();
        let elapsed = now.at.duration_since(self.at).as_nanos().max(1);
        let ticks = u128::from(now.ticks.saturating_sub(self.ticks));
        let hz = u64::try_from(ticks * 1_000_000_000 / elapsed).unwrap_or(0);
        HZ.store(hz, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequency_is_that_of_the_kernels_clock() {
        Moment::now().measure();
        let began = Moment::now();
        thread::sleep(Duration::from_millis(20));
        let now = Moment::now();
        let ns = u128::from(now.ticks - began.ticks) * 1_000_000_000 / u128::from(TscClock::hz());
        let elapsed = now.at.duration_since(began.at).as_nanos();
        // A ten thousandth; rounded to 10 MHz it may be a two hundredth.
        assert!(ns.abs_diff(elapsed) < elapsed / 10_000, "{ns} for {elapsed}");
    }
}
