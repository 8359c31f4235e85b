//! When workers start, wait and stop.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use engine::port::Clock;
use engine::ticks::Scale;

/// The start is so long after all are ready.
const LEAD_NS: u64 = 1_000_000;
/// Who has to wait longer sleeps, but for the last part of it: a core that wakes up is late by less.
const SLEEP_FROM_NS: u64 = 3_000_000;
/// So long at a time, so that the end is heard of.
const NAP: Duration = Duration::from_millis(1);

/// What all workers of a replay and the one who conducts them share.
#[derive(Debug, Default)]
pub struct Pace {
    ready: AtomicUsize,
    ended: AtomicUsize,
    /// In ticks; 0 before it is set.
    start: AtomicU64,
    stop: AtomicBool,
}

/// A worker's place among the others; it has ended when this is dropped, in whatever way.
#[derive(Debug)]
pub struct Runner<'a>(&'a Pace);

impl Pace {
    /// Workers that wait for the start, or did.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Acquire)
    }

    /// Workers that have ended.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// Sets the start; returns it, in ticks.
    pub fn start<C: Clock>(&self) -> u64 {
        let start = C::now() + Scale::new(C::hz()).ticks(LEAD_NS);
        self.start_at(start);
        start
    }

    /// Sets the start, in ticks.
    pub(crate) fn start_at(&self, start: u64) {
        self.start.store(start, Ordering::Release);
    }

    /// Ends it early.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// It shall end, or has.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells that the calling worker is ready.
    pub fn enter(&self) -> Runner<'_> {
        self.ready.fetch_add(1, Ordering::AcqRel);
        Runner(self)
    }
}

impl Runner<'_> {
    /// Waits for the start; returns it, a little before. `None` when there is none.
    pub fn await_start<C: Clock>(&self) -> Option<u64> {
        loop {
            match self.0.start.load(Ordering::Acquire) {
                0 if self.0.is_stopped() => return None,
                // The feeder may have to share this core.
                0 => C::sleep(Duration::from_micros(50)),
                start => return Some(start),
            }
        }
    }

    /// Waits until the clock is at `due`; returns what it is then, or `None` when it shall end before. Cost when it is
    /// due: one reading of the clock.
    #[inline]
    pub fn await_due<C: Clock>(&self, due: u64, scale: Scale) -> Option<u64> {
        let mut now = C::now();
        while now < due {
            if self.0.is_stopped() {
                return None;
            }
            if scale.ns(due - now) >= SLEEP_FROM_NS {
                C::sleep(NAP);
            } else {
                C::pause();
            }
            now = C::now();
        }
        Some(now)
    }

    /// It shall end.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}
