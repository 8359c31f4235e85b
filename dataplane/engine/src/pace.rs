//! How many copies are worth being made for a transmit queue that does not take all.
//!
//! A queue that is always full takes whatever comes first, and that is mostly a session that floods. So
//! a queue that refuses is given less than it takes on the average, and from then on slowly more: it
//! stays nearly full, but those of the small sessions, which come first, find room. A tool that has
//! stopped is given a few, to see whether it goes on.

/// Fractions of a copy.
const UNIT: usize = 16;
/// What a queue is always given, in fractions: one copy in four flushes.
const LEAST: usize = UNIT / 4;
/// More than a queue ever takes at once, in fractions.
const MOST: usize = 1024 * UNIT;
/// After so many flushes of which nothing was refused a queue is as good as any.
const FLUSHES: u16 = 1024;

/// The pace of one queue. Amounts are in fractions of a copy.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// What a flush takes on the average.
    taken: usize,
    /// What each flush is given.
    given: usize,
    /// What was given and is less than a copy.
    rest: usize,
    /// Flushes until the queue counts as one that takes all.
    congested: u16,
}

impl Pace {
    /// True when the queue refused copies not long ago.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.congested > 0
    }

    /// `accepted` of `offered` copies were taken by a flush: how many are worth being made for the next.
    #[inline]
    pub(crate) fn next(&mut self, accepted: usize, offered: usize) -> usize {
        if accepted == offered && !self.is_congested() {
            usize::MAX
        } else {
            self.next_of_congested(accepted * UNIT, accepted < offered)
        }
    }

    #[cold]
    fn next_of_congested(&mut self, accepted: usize, has_refused: bool) -> usize {
        self.taken = if self.is_congested() { (15 * self.taken + accepted) / 16 } else { accepted };
        if has_refused {
            self.congested = FLUSHES;
            self.given = (self.taken - self.taken / 4).max(LEAST);
        } else {
            self.congested -= 1;
            self.given = (self.given + self.given / 64 + 1).min(MOST);
        }
        self.rest = self.rest % UNIT + self.given;
        if self.is_congested() { self.rest / UNIT } else { usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a queue with so much room takes in a number of flushes, of 64 copies that are wanted for
    /// each; `drains` is what it sends meanwhile. Returns how many it was offered, and refused.
    fn run(pace: &mut Pace, room: &mut usize, flushes: usize, drains: usize) -> (usize, usize) {
        let (mut budget, mut offered, mut refused) = (usize::MAX, 0, 0);
        for flush in 0..flushes {
            // In heaps of ten flushes, as devices do.
            *room += if flush % 10 == 0 { 10 * drains } else { 0 };
            let count = budget.min(64);
            let accepted = count.min(*room);
            *room -= accepted;
            offered += count;
            refused += count - accepted;
            budget = pace.next(accepted, count);
        }
        (offered, refused)
    }

    #[test]
    fn a_queue_that_takes_all_is_given_all() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(64, 64), usize::MAX);
        assert!(!pace.is_congested());
    }

    #[test]
    fn one_that_takes_a_part_is_given_about_that_and_hardly_refuses() {
        for drains in [1, 6, 30] {
            let (mut pace, mut room) = (Pace::default(), 1000);
            run(&mut pace, &mut room, 500, drains);
            let (offered, refused) = run(&mut pace, &mut room, 2000, drains);
            let taken = 2000 * drains;
            assert!((19 * taken / 20..23 * taken / 20).contains(&offered), "{offered} of {taken}");
            assert!(refused < taken / 8, "{refused} of {offered}");
            assert!(pace.is_congested());
        }
    }

    #[test]
    fn one_that_stopped_is_tried_and_soon_as_good_as_any() {
        let (mut pace, mut room) = (Pace::default(), 0);
        run(&mut pace, &mut room, 200, 0);
        let (offered, refused) = run(&mut pace, &mut room, 100, 0);
        assert_eq!(offered, refused);
        assert!((20..=35).contains(&(offered - 64)), "{offered}");
        room = usize::MAX / 2;
        run(&mut pace, &mut room, 300, 0);
        let (offered, _) = run(&mut pace, &mut room, 100, 0);
        assert_eq!(offered, 100 * 64);
        run(&mut pace, &mut room, FLUSHES.into(), 0);
        assert!(!pace.is_congested());
    }
}
