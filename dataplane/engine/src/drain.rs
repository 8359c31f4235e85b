//! When the copies that wait in a tool port have to leave.
//!
//! Few copies are not worth a call of the driver: they wait for more, but no longer than a bound, and
//! not at all while nothing else is to be done. Frames of a wire never wait.

use arrayvec::ArrayVec;

use crate::burst::BURST_MAX;

/// Bursts that can have copies waiting: at least one each, and they leave when they fill a burst.
const BURSTS_MAX: usize = BURST_MAX + 1;

/// The bursts whose copies wait in one tool port, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    bursts: ArrayVec<Burst, BURSTS_MAX>,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    /// In ticks.
    arrived: u64,
    copies: usize,
}

impl Drain {
    /// `waiting` copies wait now; those that did not before are of a burst that arrived then.
    #[inline]
    pub(crate) fn note(&mut self, arrived: u64, waiting: usize) {
        let noted: usize = self.bursts.iter().map(|burst| burst.copies).sum();
        if waiting > noted && !self.bursts.is_full() {
            self.bursts.push(Burst { arrived, copies: waiting - noted });
        }
    }

    /// True when the oldest copy has waited for `bound` ticks.
    #[inline]
    pub(crate) fn is_due(&self, now: u64, bound: u64) -> bool {
        self.bursts.first().is_some_and(|oldest| now.saturating_sub(oldest.arrived) >= bound)
    }

    /// All have left, the first `sent` of them to the tool: tells of each burst how many, and when it
    /// had arrived.
    pub(crate) fn leave(&mut self, mut sent: usize, mut tell: impl FnMut(u64, usize)) {
        for Burst { arrived, copies } in self.bursts.drain(..) {
            let of_burst = copies.min(sent);
            sent -= of_burst;
            if of_burst > 0 {
                tell(arrived, of_burst);
            }
        }
    }

    /// True when no copy waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bursts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_burst_says_when_all_must_leave() {
        let mut drain = Drain::default();
        assert!(!drain.is_due(u64::MAX, 0), "nothing waits");
        drain.note(100, 3);
        drain.note(150, 3); // a burst without copies
        drain.note(180, 10);
        assert!(!drain.is_due(119, 20) && drain.is_due(120, 20));
        // A clock that another core reads may be behind.
        assert!(!drain.is_due(90, 20));
    }

    #[test]
    fn what_was_refused_is_of_the_last_bursts() {
        let mut drain = Drain::default();
        for (arrived, waiting) in [(1, 10), (2, 12), (3, 20)] {
            drain.note(arrived, waiting);
        }
        let mut told = Vec::new();
        drain.leave(11, |arrived, copies| told.push((arrived, copies)));
        assert_eq!(told, [(1, 10), (2, 1)]);
        assert!(drain.is_empty());
        drain.note(9, 1);
        drain.leave(1, |arrived, copies| told.push((arrived, copies)));
        assert_eq!(told.last(), Some(&(9, 1)));
    }
}
