//! When a worker forgoes copies: frames of a wire must not be lost for want of its time.
//!
//! A receive queue that fills up is one whose frames are lost next, and copies cost most of the time that a
//! frame takes. So where three quarters of it are full, no copies are made of its frames until three quarters
//! are free again; they are counted as [`crate::drop_reason::Skipped::Overloaded`]. A device that can't tell
//! how full its queue is never has its copies forgone.

use crate::burst::BURST_MAX;
use crate::handover::Taker;
use crate::port::RxQueue;

/// Some drivers hand out no more than this at once however many frames wait: with less, the queue is empty.
const FULL: usize = BURST_MAX / 4;

/// What tells how full it is.
pub(crate) trait Fullness {
    /// Whether at least so many of four quarters are full; `None` where it can't tell.
    fn holds_quarters(&self, quarters: u32) -> Option<bool>;
}

impl<R: RxQueue> Fullness for R {
    #[inline]
    fn holds_quarters(&self, quarters: u32) -> Option<bool> {
        self.holds(self.room() / 4 * quarters)
    }
}

impl<M> Fullness for Taker<M> {
    #[inline]
    fn holds_quarters(&self, quarters: u32) -> Option<bool> {
        Some(4 * self.waiting() >= self.room() * quarters as usize)
    }
}

/// The state of one queue. Thread: worker.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    is_on: bool,
}

impl Relief {
    /// True when no copies are to be made of the `received` frames that have just been taken off `queue`. `can_help`:
    /// they could be, and frames would be lost by it. Cost: nothing where they can't or are few; else one question, which
    /// looks at one descriptor.
    #[inline]
    pub(crate) fn is_needed(
        &mut self,
        can_help: bool,
        received: usize,
        queue: &impl Fullness,
    ) -> bool {
        let quarters = if self.is_on { 1 } else { 3 };
        self.is_on =
            can_help && received >= FULL && queue.holds_quarters(quarters).unwrap_or(false);
        self.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight frames of room, so many of them taken.
    struct Queue(Option<u32>);

    impl Fullness for Queue {
        fn holds_quarters(&self, quarters: u32) -> Option<bool> {
            Some(self.0? >= 2 * quarters)
        }
    }

    #[test]
    fn it_begins_at_three_quarters_and_ends_at_one() {
        let mut relief = Relief::default();
        let steps =
            [(5, false), (6, true), (5, true), (2, true), (1, false), (5, false), (8, true)];
        for (held, expected) in steps {
            assert_eq!(relief.is_needed(true, FULL, &Queue(Some(held))), expected, "{held}");
        }
        assert!(!relief.is_needed(true, FULL - 1, &Queue(Some(8))), "the queue was empty");
        assert!(!relief.is_needed(true, FULL, &Queue(Some(5))), "it begins anew");
        assert!(!relief.is_needed(false, FULL, &Queue(Some(8))), "it would not help");
    }

    #[test]
    fn who_cannot_tell_is_not_full() {
        let mut relief = Relief::default();
        assert!(relief.is_needed(true, FULL, &Queue(Some(8))));
        assert!(!relief.is_needed(true, FULL, &Queue(None)));
    }
}
