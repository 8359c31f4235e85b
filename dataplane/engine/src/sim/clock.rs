//! A clock that stands still until somebody moves it: what is measured by it depends on nothing else.

use std::cell::Cell;
use std::time::Duration;

use crate::port::Clock;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// The time of all simulated devices of a thread, in nanoseconds. It begins at 0, and passes while a
/// worker sleeps, while a queue takes its time ([`super::TxFaults::takes_ns`]), and by
/// [`SimClock::advance`].
#[derive(Debug)]
pub struct SimClock;

impl SimClock {
    /// Lets so many nanoseconds pass.
    pub fn advance(ns: u64) {
        NOW_NS.set(NOW_NS.get() + ns);
    }

    /// How often this thread has read it.
    pub fn reads() -> u64 {
        READS.get()
    }
}

impl Clock for SimClock {
    #[inline]
    fn now() -> u64 {
        READS.set(READS.get() + 1);
        NOW_NS.get()
    }

    fn hz() -> u64 {
        1_000_000_000
    }

    fn pause() {}

    fn sleep(time: Duration) {
        Self::advance(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}
