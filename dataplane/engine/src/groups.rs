//! The copies that one burst wants, by session.
//!
//! What a session needs (its tool port, a link, a neighbour) is looked up once per group, and its
//! copies find it by the group's place.

use arrayvec::ArrayVec;

use crate::outbox::COPIES_MAX;
use crate::units::SessionIndex;

/// Copies of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The session.
    pub session: SessionIndex,
    /// How many they are.
    pub len: u8,
}

/// Places that are guessed by the last bits of a session's index.
const GUESSES: usize = 64;

/// Room for the groups of a burst.
#[derive(Debug)]
pub struct Groups {
    all: ArrayVec<Group, COPIES_MAX>,
    /// By place among the copies: its group.
    places: [u8; COPIES_MAX],
    /// Where such a session's group was found last: true only if it is there.
    guesses: [u8; GUESSES],
}

impl Default for Groups {
    fn default() -> Self {
        Self { all: ArrayVec::new(), places: [0; COPIES_MAX], guesses: [0; GUESSES] }
    }
}

impl Groups {
    /// Groups copies by the sessions whose they are. Cost: a look at each.
    pub fn fill(&mut self, sessions: &[SessionIndex]) {
        self.all.clear();
        let Some(&first) = sessions.first() else { return };
        let others = sessions.iter().fold(0, |bits, other| bits | (first.0 ^ other.0));
        if others == 0 {
            self.all.push(Group { session: first, len: sessions.len() as u8 });
            self.places = [0; COPIES_MAX];
        } else {
            self.fill_apart(sessions);
        }
    }

    #[inline(never)]
    fn fill_apart(&mut self, sessions: &[SessionIndex]) {
        for (place, &session) in self.places.iter_mut().zip(sessions) {
            let guess = &mut self.guesses[session.0 as usize % GUESSES];
            match self.all.get_mut(usize::from(*guess)) {
                Some(group) if group.session == session => group.len += 1,
                _ => *guess = count_apart(&mut self.all, session),
            }
            *place = *guess;
        }
    }

    /// All groups, in the order of their first copies.
    pub fn all(&self) -> &[Group] {
        &self.all
    }

    /// The session, when it is one.
    #[inline]
    pub fn only(&self) -> Option<SessionIndex> {
        if self.all.len() == 1 { self.all.first().map(|group| group.session) } else { None }
    }

    /// The place of a copy's group among all.
    #[inline]
    pub fn of_copy(&self, turn: u8) -> usize {
        self.places[usize::from(turn) % COPIES_MAX].into()
    }

    /// The places of the groups, the smallest first.
    pub fn by_size(&self) -> ArrayVec<u8, COPIES_MAX> {
        let mut places: ArrayVec<u8, COPIES_MAX> = (0..self.all.len() as u8).collect();
        places.sort_unstable_by_key(|&place| (self.all[usize::from(place)].len, place));
        places
    }
}

/// Counts a copy of a session that was not where it was guessed; returns where it is.
#[cold]
fn count_apart(groups: &mut ArrayVec<Group, COPIES_MAX>, session: SessionIndex) -> u8 {
    let place = groups.iter().position(|group| group.session == session);
    let place = place.unwrap_or_else(|| {
        groups.push(Group { session, len: 0 });
        groups.len() - 1
    });
    groups[place].len += 1;
    place as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(sessions: &[u32]) {
        let sessions: Vec<_> = sessions.iter().copied().map(SessionIndex).collect();
        let mut groups = Groups::default();
        // What was there before does not matter.
        groups.fill(&[SessionIndex(5), SessionIndex(6), SessionIndex(5), SessionIndex(69)]);
        groups.fill(&sessions);
        for group in groups.all() {
            let copies = sessions.iter().filter(|session| **session == group.session);
            assert_eq!(copies.count(), usize::from(group.len));
        }
        let total: usize = groups.all().iter().map(|group| usize::from(group.len)).sum();
        assert_eq!(total, sessions.len(), "each session has one group");
        let distinct: std::collections::HashSet<_> = sessions.iter().collect();
        assert_eq!(groups.all().len(), distinct.len());
        assert_eq!(groups.only().is_some(), distinct.len() == 1);
        for (turn, &session) in (0..).zip(&sessions) {
            assert_eq!(groups.all()[groups.of_copy(turn)].session, session);
        }
        let by_size = groups.by_size();
        assert!(by_size.is_sorted_by_key(|&place| groups.all()[usize::from(place)].len));
        assert_eq!(by_size.len(), groups.all().len());
    }

    #[test]
    fn each_copy_finds_the_group_of_its_session() {
        check(&[]);
        check(&[7]);
        check(&[4, 4, 4]);
        check(&[2, 2, 1, 2, 1]);
        // Guessed at one place, and after those of another burst.
        check(&[5, 69, 133, 5, 133, 69]);
        check(&[6, 5]);
    }

    proptest! {
        #[test]
        fn any_mixture_is_grouped(
            sessions in prop::collection::vec((0u32..9, 0u32..3), 0..=COPIES_MAX),
        ) {
            let sessions: Vec<_> = sessions.iter().map(|(low, high)| low + 64 * high).collect();
            check(&sessions);
        }
    }
}
