//! How much of a worker's time goes into rounds that received something.
//!
//! A round that finds nothing reads no clock. One that finds something reads it at its end, and where
//! the round before found nothing, once more after the first frames have come: the receive call
//! itself is left out then. Under full load every round begins where the one before ended, and all of
//! the time is counted.

use crate::port::Clock;

/// A worker's busy time, in ticks.
#[derive(Debug, Default)]
pub struct Busy {
    ticks: u64,
    /// Where the busy time begins that is not counted yet.
    since: Option<u64>,
}

impl Busy {
    /// Frames have come; returns the time if it was read.
    #[inline]
    pub fn begin<C: Clock>(&mut self) -> Option<u64> {
        if self.since.is_some() {
            return None;
        }
        self.since = Some(C::now());
        self.since
    }

    /// A round that received something has ended; returns the time.
    #[inline]
    pub fn end_round<C: Clock>(&mut self) -> u64 {
        let now = C::now();
        self.ticks += now.saturating_sub(self.since.unwrap_or(now));
        self.since = Some(now);
        now
    }

    /// When this round began, of one that has received something.
    #[inline]
    pub fn since(&self) -> u64 {
        self.since.unwrap_or(0)
    }

    /// A round that received nothing has ended.
    #[inline]
    pub fn end_empty_round(&mut self) {
        self.since = None;
    }

    /// All so far.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }
}
