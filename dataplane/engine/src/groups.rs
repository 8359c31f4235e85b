//! The copies that one burst wants, by session.
//!
//! What a session needs (its tool port, a link, a neighbour) is looked up once per group. The
//! smallest group comes first: where a tool does not take all copies of a burst, a session that wants
//! few gets them before one that floods.

use arrayvec::ArrayVec;

use crate::outbox::COPIES_MAX;
use crate::units::SessionIndex;

/// Copies of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The session.
    pub session: SessionIndex,
    start: u8,
    len: u8,
}

/// Room for the groups of a burst.
#[derive(Debug)]
pub struct Groups {
    /// Places among the copies, group by group, ascending in each.
    turns: [u8; COPIES_MAX],
    groups: ArrayVec<Group, COPIES_MAX>,
}

impl Default for Groups {
    fn default() -> Self {
        Self { turns: ASCENDING, groups: ArrayVec::new() }
    }
}

impl Groups {
    /// Groups copies by the sessions whose they are. Cost: a look at each where all are one session's,
    /// else one per copy and session.
    pub fn fill(&mut self, sessions: &[SessionIndex]) {
        self.groups.clear();
        let Some(&first) = sessions.first() else { return };
        let others = sessions.iter().fold(0, |bits, other| bits | (first.0 ^ other.0));
        if others == 0 {
            self.turns = ASCENDING;
            self.groups.push(Group { session: first, start: 0, len: sessions.len() as u8 });
        } else {
            self.fill_apart(sessions);
        }
    }

    #[inline(never)]
    fn fill_apart(&mut self, sessions: &[SessionIndex]) {
        let mut rest = (ASCENDING, [SessionIndex::NONE; COPIES_MAX]);
        rest.1[..sessions.len()].copy_from_slice(sessions);
        let (mut count, mut done) = (sessions.len(), 0);
        while count > 0 {
            let (session, start, mut left) = (rest.1[0], done, 0);
            for place in 0..count {
                // Written always, kept where it belongs: no branch to mispredict.
                let (turn, whose) = (rest.0[place], rest.1[place]);
                self.turns[done % COPIES_MAX] = turn;
                (rest.0[left], rest.1[left]) = (turn, whose);
                done += usize::from(whose == session);
                left += usize::from(whose != session);
            }
            count = left;
            self.groups.push(Group { session, start: start as u8, len: (done - start) as u8 });
        }
        self.groups.sort_unstable_by_key(|group| (group.len, group.start));
    }

    /// True when the copies are of several sessions.
    #[inline]
    pub fn are_several(&self) -> bool {
        self.groups.len() > 1
    }

    /// The groups, the smallest first, each with its copies' places among all.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SessionIndex, &[u8])> {
        self.groups.iter().map(|&Group { session, start, len }| {
            let start = usize::from(start);
            (session, &self.turns[start..start + usize::from(len)])
        })
    }

    /// The session, when it is one.
    #[inline]
    pub fn only(&self) -> Option<SessionIndex> {
        if self.groups.len() == 1 { self.groups.first().map(|group| group.session) } else { None }
    }
}

/// Each place at its own.
const ASCENDING: [u8; COPIES_MAX] = {
    let (mut places, mut place) = ([0; COPIES_MAX], 0);
    while place < COPIES_MAX {
        places[place] = place as u8;
        place += 1;
    }
    places
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(sessions: &[u32]) {
        let sessions: Vec<_> = sessions.iter().copied().map(SessionIndex).collect();
        let mut groups = Groups::default();
        // What was there before does not matter.
        groups.fill(&[SessionIndex(5), SessionIndex(6), SessionIndex(5)]);
        groups.fill(&sessions);
        let found: Vec<_> = groups.iter().collect();
        assert!(found.is_sorted_by_key(|(_, turns)| turns.len()));
        for &(session, turns) in &found {
            let of_session = sessions.iter().zip(0u8..).filter(|(whose, _)| **whose == session);
            assert!(of_session.map(|(_, turn)| turn).eq(turns.iter().copied()));
        }
        let total: usize = found.iter().map(|(_, turns)| turns.len()).sum();
        assert_eq!(total, sessions.len());
        assert_eq!(groups.only().is_some(), found.len() == 1);
        assert_eq!(groups.are_several(), found.len() > 1);
    }

    #[test]
    fn each_session_has_its_copies_in_order_and_the_smallest_is_first() {
        check(&[]);
        check(&[7]);
        check(&[4, 4, 4]);
        check(&[2, 2, 1, 2, 1]);
    }

    proptest! {
        #[test]
        fn any_mixture_is_grouped(sessions in prop::collection::vec(0u32..9, 0..=COPIES_MAX)) {
            check(&sessions);
        }
    }
}
