//! Packets of one family that are looked up together.

use crate::burst::BURST_MAX;
use crate::conditions::Match;
use crate::keys::{Column, Keys};

/// Which packets they are, and where the answers belong.
#[derive(Clone, Copy)]
pub(super) struct Packets<'a> {
    pub(super) keys: &'a Keys,
    /// At most [`BURST_MAX`].
    which: &'a [u8],
    /// Of each, its place among the answers; `None` when they are in order.
    places: Option<&'a [u8]>,
    /// They are all packets of a burst, in order, as they nearly always are.
    are_whole: bool,
}

/// A word of each packet; behind the last one stands anything.
pub(super) type Words = [u32; BURST_MAX];

impl<'a> Packets<'a> {
    /// Packets whose answers are in the same order.
    #[inline]
    pub(super) fn new(keys: &'a Keys, which: &'a [u8]) -> Self {
        let mut misplaced = u8::from(which.len() != BURST_MAX);
        for (&at, n) in which.iter().zip(0..) {
            misplaced |= at ^ n;
        }
        Self { keys, which, places: None, are_whole: misplaced == 0 }
    }

    /// How many there are.
    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.which.len().min(BURST_MAX)
    }

    /// How many have any of these bits in their class.
    #[inline]
    pub(super) fn count_class(self, bits: u32) -> usize {
        let mut room = [0; BURST_MAX];
        let classes = self.words(&self.keys.class, &mut room);
        let mut count = 0;
        for class in &classes[..self.count()] {
            count += u32::from(class & bits != 0);
        }
        count as usize
    }

    /// Their words of a column.
    #[inline(always)]
    pub(super) fn words<'w>(self, column: &'w Column, room: &'w mut Words) -> &'w Words {
        if self.are_whole
            && let Some(words) = column.first_chunk()
        {
            return words;
        }
        for (word, &at) in room.iter_mut().zip(self.which) {
            *word = column[usize::from(at) % BURST_MAX];
        }
        room
    }

    /// What is found so far of each.
    #[inline(always)]
    pub(super) fn found(self, matches: &[Match]) -> [Match; BURST_MAX] {
        let mut found = [Match::default(); BURST_MAX];
        match self.places {
            None => {
                let count = self.count().min(matches.len());
                found[..count].copy_from_slice(&matches[..count]);
            }
            Some(places) => {
                for (found, &place) in found.iter_mut().zip(places) {
                    *found = matches[usize::from(place)];
                }
            }
        }
        found
    }

    /// Puts the answers where they belong.
    #[inline(always)]
    pub(super) fn answer(self, found: &[Match; BURST_MAX], matches: &mut [Match]) {
        match self.places {
            None => {
                let count = self.count().min(matches.len());
                matches[..count].copy_from_slice(&found[..count]);
            }
            Some(places) => {
                for (&place, found) in places.iter().zip(found) {
                    matches[usize::from(place)] = *found;
                }
            }
        }
    }
}

/// Some of the packets that are looked up.
pub(super) struct OfFamily {
    which: [u8; BURST_MAX],
    /// Where the answers belong.
    places: [u8; BURST_MAX],
    count: usize,
}

impl OfFamily {
    /// Those that have one of these bits in their class, or have none of them.
    #[inline]
    pub(super) fn new(packets: Packets<'_>, bits: u32, is_set: bool) -> Self {
        let mut chosen = Self { which: [0; BURST_MAX], places: [0; BURST_MAX], count: 0 };
        for (place, &at) in (0..).zip(packets.which) {
            let class = packets.keys.class[usize::from(at) % BURST_MAX];
            // Written always, kept when it is chosen: no branch to mispredict.
            chosen.which[chosen.count % BURST_MAX] = at;
            chosen.places[chosen.count % BURST_MAX] = place;
            chosen.count += usize::from((class & bits != 0) == is_set);
        }
        chosen
    }

    #[inline]
    pub(super) fn packets<'a>(&'a self, keys: &'a Keys) -> Packets<'a> {
        let (which, places) = (&self.which[..self.count], &self.places[..self.count]);
        Packets { keys, which, places: Some(places), are_whole: false }
    }
}
