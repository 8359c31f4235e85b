//! Who holds how many of the wire's buffers: copies that share them, and how many more may.
//!
//! A copy by reference keeps its frame's buffer until the tool's device has sent it. Each takes a
//! *lead*, the small buffer of its outer header, from a pool that has a fixed number of them, so
//! that a tool which stops can never hold more of the wire's buffers than there are leads. Among
//! the sessions of a port the leads are divided by a dynamic threshold: a session may hold as many as
//! are left free (A. K. Choudhury and E. L. Hahne, "Dynamic Queue Length Thresholds for
//! Shared-Memory Packet Switches"). One session that floods comes to hold a half, and a newcomer
//! always finds some.

use std::collections::VecDeque;

use crate::outbox::COPIES_MAX;
use crate::units::SessionIndex;

/// The leads that are out, oldest first, and whose they are.
#[derive(Debug)]
pub(crate) struct Credits {
    out: VecDeque<SessionIndex>,
    leads: usize,
}

impl Credits {
    /// None of `leads` leads is out.
    pub(crate) fn new(leads: usize) -> Self {
        Self { out: VecDeque::with_capacity(leads), leads }
    }

    /// How many copies of a burst the session may make by reference. `is_out` tells how many leads
    /// are out, as far as is known; it is asked only when the answer matters.
    #[inline]
    pub(crate) fn grant(&mut self, session: SessionIndex, is_out: impl FnOnce() -> usize) -> usize {
        // Enough for a burst even if all that are out were this session's.
        let plenty = threshold(self.leads, self.out.len(), self.out.len());
        if plenty >= COPIES_MAX { plenty } else { self.grant_exactly(session, is_out()) }
    }

    /// Leads come back in the order in which they went: as many as there are fewer out now.
    #[cold]
    fn grant_exactly(&mut self, session: SessionIndex, is_out: usize) -> usize {
        self.out.drain(..self.out.len().saturating_sub(is_out));
        let (front, back) = self.out.as_slices();
        let count = |part: &[SessionIndex]| part.iter().filter(|&&one| one == session).count();
        threshold(self.leads, self.out.len(), count(front) + count(back))
    }

    /// A lead goes out, within what was granted.
    #[inline]
    pub(crate) fn spend(&mut self, session: SessionIndex) {
        // Never beyond what was reserved, so nothing is allocated.
        if self.out.len() < self.leads {
            self.out.push_back(session);
        }
    }

    /// The last `count` leads did not go after all.
    pub(crate) fn take_back(&mut self, count: usize) {
        self.out.truncate(self.out.len().saturating_sub(count));
    }

    /// Sessions have other indices from now on: nobody has what is still out.
    pub(crate) fn forget_sessions(&mut self) {
        self.out.iter_mut().for_each(|session| *session = SessionIndex::NONE);
    }
}

/// How many leads somebody who holds `held` of the `out` may add, so as to hold no more than are left.
#[inline]
fn threshold(leads: usize, out: usize, held: usize) -> usize {
    leads.saturating_sub(out).saturating_sub(held) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADS: usize = 512;
    const FLOOD: SessionIndex = SessionIndex(0);
    const OTHER: SessionIndex = SessionIndex(1);

    /// Bursts of a session until it gets nothing more; returns how many it got. Nothing comes back.
    fn exhaust(credits: &mut Credits, session: SessionIndex) -> usize {
        let mut held = 0;
        loop {
            let out = credits.out.len();
            let granted = credits.grant(session, || out).min(64);
            if granted == 0 {
                return held;
            }
            (0..granted).for_each(|_| credits.spend(session));
            held += granted;
        }
    }

    #[test]
    fn a_flood_gets_a_half_and_a_newcomer_a_half_of_the_rest() {
        let mut credits = Credits::new(LEADS);
        let held = exhaust(&mut credits, FLOOD);
        assert!((LEADS / 2 - 1..=LEADS / 2).contains(&held), "{held}");
        let other = exhaust(&mut credits, OTHER);
        assert!((LEADS / 4 - 1..=LEADS / 4).contains(&other), "{other}");
        assert_eq!(exhaust(&mut credits, FLOOD), 0);
    }

    #[test]
    fn what_came_back_is_granted_again_to_whom_it_belonged() {
        let mut credits = Credits::new(LEADS);
        let flood = exhaust(&mut credits, FLOOD);
        let other = exhaust(&mut credits, OTHER);
        // The oldest come back first: they were the flood's.
        assert_eq!(credits.grant(FLOOD, || other), (LEADS - other) / 2);
        assert_eq!(credits.out.len(), other);
        assert!(credits.out.iter().all(|&session| session == OTHER), "of {flood} none is left");
    }

    #[test]
    fn a_refused_lead_is_no_longer_out() {
        let mut credits = Credits::new(LEADS);
        (0..300).for_each(|_| credits.spend(OTHER));
        (0..64).for_each(|_| credits.spend(FLOOD));
        credits.take_back(64);
        assert_eq!(credits.out.iter().filter(|&&session| session == FLOOD).count(), 0);
        assert_eq!(credits.out.len(), 300);
    }

    #[test]
    fn a_session_of_the_next_view_does_not_pay_for_one_of_the_last() {
        let mut credits = Credits::new(LEADS);
        exhaust(&mut credits, FLOOD);
        credits.forget_sessions();
        let out = credits.out.len();
        assert_eq!(credits.grant(FLOOD, || out), (LEADS - out) / 2);
    }

    #[test]
    fn there_are_never_more_out_than_there_are() {
        let mut credits = Credits::new(8);
        (0..20).for_each(|_| credits.spend(FLOOD));
        assert_eq!(credits.out.len(), 8);
        assert_eq!(credits.grant(FLOOD, || 8), 0);
        let capacity = credits.out.capacity();
        assert!(capacity < 20, "room for {capacity} was reserved");
    }
}
