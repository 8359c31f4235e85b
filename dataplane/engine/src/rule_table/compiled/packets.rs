//! Packets of one family that are looked up together: their keys, as the fields compare them.

use super::layer4::{NO_PORT, NO_PROTOCOL_VALUE};
use super::search::Value;
use crate::burst::BURST_MAX;
use crate::conditions::Match;
use crate::flow_key::{HAS_PORTS, NO_PROTOCOL};
use crate::keys::{Column, Keys};

/// Which packets they are, and where the answers belong.
#[derive(Clone, Copy)]
pub(super) struct Chosen<'a> {
    pub(super) keys: &'a Keys,
    /// At most [`BURST_MAX`].
    pub(super) which: &'a [u8],
    /// Of each, its place among the answers.
    pub(super) places: &'a [u8],
}

/// Their keys by columns; behind the last packet stands anything.
pub(super) struct Packets<V: Value> {
    /// Source and destination.
    pub(super) addresses: [[V::Key; BURST_MAX]; 2],
    /// Ports and protocol.
    pub(super) layer4: [[u32; BURST_MAX]; 3],
    pub(super) count: usize,
}

/// Addresses that are read from columns.
pub(super) trait Address: Value {
    /// The keys of addresses whose words are these, as they stand in packets.
    fn keys(words: &[[u32; BURST_MAX]; 4], keys: &mut [Self::Key; BURST_MAX]);

    /// How many of the words, the last ones, there are.
    const WORDS: usize;
}

impl Address for u32 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn keys(words: &[[u32; BURST_MAX]; 4], keys: &mut [i32; BURST_MAX]) {
        for (key, word) in keys.iter_mut().zip(words[3]) {
            *key = Self::from_be(word).key();
        }
    }
}

impl Address for u128 {
    const WORDS: usize = 4;

    #[inline(always)]
    fn keys(words: &[[u32; BURST_MAX]; 4], keys: &mut [[i64; 2]; BURST_MAX]) {
        for (at, key) in keys.iter_mut().enumerate() {
            let mut address = 0;
            for words in words {
                address = address << 32 | Self::from(u32::from_be(words[at]));
            }
            *key = address.key();
        }
    }
}

impl<V: Address> Packets<V> {
    #[inline(always)]
    pub(super) fn new(chosen: Chosen<'_>) -> Self {
        let mut packets = Self {
            addresses: [[V::Key::default(); BURST_MAX]; 2],
            layer4: [[0; BURST_MAX]; 3],
            count: chosen.which.len().min(BURST_MAX),
        };
        let whole = chosen.is_whole();
        let mut words = [[0; BURST_MAX]; 4];
        for (columns, keys) in
            [&chosen.keys.src, &chosen.keys.dst].into_iter().zip(&mut packets.addresses)
        {
            for word in 4 - V::WORDS..4 {
                chosen.read(whole, &columns[word], &mut words[word]);
            }
            V::keys(&words, keys);
        }
        let [ports, classes, ..] = &mut words;
        chosen.read(whole, &chosen.keys.ports, ports);
        chosen.read(whole, &chosen.keys.class, classes);
        for at in 0..BURST_MAX {
            let (ports, class) = (ports[at], classes[at]);
            let has_ports = class & HAS_PORTS != 0;
            packets.layer4[0][at] = if has_ports { ports >> 16 } else { NO_PORT };
            packets.layer4[1][at] = if has_ports { ports & 0xffff } else { NO_PORT };
            packets.layer4[2][at] =
                if class & NO_PROTOCOL == 0 { class & 0xff } else { NO_PROTOCOL_VALUE };
        }
        packets
    }
}

impl Chosen<'_> {
    /// They are all packets of a burst, in order, as they nearly always are.
    #[inline(always)]
    fn is_whole(self) -> bool {
        let mut misplaced = u8::from(self.which.len() != BURST_MAX);
        for (&at, n) in self.which.iter().zip(0..) {
            misplaced |= at ^ n;
        }
        misplaced == 0
    }

    /// Their words of a column.
    #[inline(always)]
    fn read(self, whole: bool, column: &Column, words: &mut [u32; BURST_MAX]) {
        if whole {
            words.copy_from_slice(&column[..BURST_MAX]);
            return;
        }
        for (word, &at) in words.iter_mut().zip(self.which) {
            *word = column[usize::from(at) % BURST_MAX];
        }
    }

    /// What is found so far of each.
    #[inline(always)]
    pub(super) fn found(self, matches: &[Match]) -> [Match; BURST_MAX] {
        let mut found = [Match::default(); BURST_MAX];
        for (found, &place) in found.iter_mut().zip(self.places) {
            *found = matches[usize::from(place)];
        }
        found
    }

    /// Puts the answers where they belong.
    #[inline(always)]
    pub(super) fn answer(self, found: &[Match; BURST_MAX], matches: &mut [Match]) {
        for (&place, found) in self.places.iter().zip(found) {
            matches[usize::from(place)] = *found;
        }
    }
}
