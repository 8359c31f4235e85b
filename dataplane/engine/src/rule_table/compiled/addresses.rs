//! Addresses, and the shortest keys that tell those apart that rules tell apart.
//!
//! IPv4 addresses are words of 32 bits. Rules for IPv6 seldom look at the lower half, and those for the
//! networks of one owner are near each other: then what is left of the upper half is so short, too.

use super::packets::{Packets, Words};
use crate::burst::BURST_MAX;
use crate::keys::Column;
use crate::simd::{Search, Value, Vectors};

/// An address of a family.
pub(super) trait Address: Value {
    /// How addresses are found among ranges that begin so, and have these numbers.
    fn search(starts: &[Self], numbers: &[u32]) -> AddressSearch;
}

/// Which range an address lies in.
#[derive(Debug, Clone)]
pub(super) enum AddressSearch {
    V4(Search<u32>),
    /// IPv6 by some bits of the upper half.
    Short(Shortened, Search<u32>),
    /// IPv6 by the upper half.
    Half(Search<u64>),
    /// IPv6.
    Whole(Search<u128>),
}

/// How the upper half of an address is made shorter, where nothing that rules ask is lost: addresses below
/// the first start of a range but 0 are 0, others one more than how far they are above it, by so many bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortened {
    first: u64,
    shift: u32,
}

impl Shortened {
    /// For ranges that begin so. `None` where 32 bits do not tell them apart.
    fn new(starts: &[u64]) -> Option<Self> {
        let others = || starts.iter().filter(|start| **start > 0);
        let first = *others().next()?;
        let shift = others().fold(u64::BITS - 1, |shift, start| shift.min(start.trailing_zeros()));
        let shortened = Self { first, shift };
        let last = others().next_back()?;
        ((last - first) >> shift < u64::from(u32::MAX)).then_some(shortened)
    }

    #[inline(always)]
    fn short(self, upper: u64) -> u32 {
        let above = upper.wrapping_sub(self.first) >> (self.shift % u64::BITS);
        let above = above.min(u64::from(u32::MAX) - 1) as u32 + 1;
        if upper < self.first { 0 } else { above }
    }
}

impl Address for u32 {
    fn search(starts: &[Self], numbers: &[u32]) -> AddressSearch {
        AddressSearch::V4(Search::new(starts, numbers))
    }
}

impl Address for u128 {
    fn search(starts: &[Self], numbers: &[u32]) -> AddressSearch {
        if starts.iter().any(|&start| start as u64 != 0) {
            return AddressSearch::Whole(Search::new(starts, numbers));
        }
        let halves: Vec<u64> = starts.iter().map(|start| start.upper()).collect();
        match Shortened::new(&halves) {
            Some(shortened) => {
                let short: Vec<u32> = halves.iter().map(|&half| shortened.short(half)).collect();
                AddressSearch::Short(shortened, Search::new(&short, numbers))
            }
            None => AddressSearch::Half(Search::new(&halves, numbers)),
        }
    }
}

/// Two words of each of many addresses, as they stand in packets.
#[inline(always)]
fn join(upper: u32, lower: u32) -> u64 {
    u64::from(u32::from_be(upper)) << 32 | u64::from(u32::from_be(lower))
}

impl AddressSearch {
    /// The number of each packet's range; `columns` are those of its address.
    #[inline(always)]
    pub(super) fn numbers<W: Vectors>(
        &self,
        vectors: W,
        packets: Packets<'_>,
        columns: &[Column; 4],
        numbers: &mut Words,
    ) {
        let count = packets.count();
        let mut room = [[0; BURST_MAX]; 4];
        let [a, b, c, d] = &mut room;
        match self {
            Self::V4(search) => {
                let words = packets.words(&columns[3], d);
                let mut keys = [u32::MIN_KEY; BURST_MAX];
                for at in 0..BURST_MAX {
                    keys[at] = u32::from_be(words[at]).key();
                }
                search.numbers(vectors, &keys, count, numbers);
            }
            Self::Short(shortened, search) => {
                let [a, b] = [packets.words(&columns[0], a), packets.words(&columns[1], b)];
                let mut keys = [u32::MIN_KEY; BURST_MAX];
                for at in 0..BURST_MAX {
                    keys[at] = shortened.short(join(a[at], b[at])).key();
                }
                search.numbers(vectors, &keys, count, numbers);
            }
            Self::Half(search) => {
                let [a, b] = [packets.words(&columns[0], a), packets.words(&columns[1], b)];
                let mut keys = [u64::MIN_KEY; BURST_MAX];
                for at in 0..BURST_MAX {
                    keys[at] = join(a[at], b[at]).key();
                }
                search.numbers(vectors, &keys, count, numbers);
            }
            Self::Whole(search) => {
                let [a, b] = [packets.words(&columns[0], a), packets.words(&columns[1], b)];
                let [c, d] = [packets.words(&columns[2], c), packets.words(&columns[3], d)];
                let mut keys = [u128::MIN_KEY; BURST_MAX];
                for at in 0..BURST_MAX {
                    keys[at] = [join(a[at], b[at]).key(), join(c[at], d[at]).key()];
                }
                search.numbers(vectors, &keys, count, numbers);
            }
        }
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::V4(search) | Self::Short(_, search) => search.bytes(),
            Self::Half(search) => search.bytes(),
            Self::Whole(search) => search.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As many starts are at or below a shortened value as were at or below the value, wherever it is.
        #[test]
        fn what_is_short_lies_in_the_same_range(
            starts in prop::collection::vec(0u64..1000, 1..20),
            (first, shift) in (any::<u64>(), 0u32..64),
            values in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut starts: Vec<u64> =
                starts.into_iter().filter_map(|start| first.checked_add(start << shift)).collect();
            starts.push(0);
            starts.sort_unstable();
            starts.dedup();
            let beside = starts.iter().flat_map(|&it| [it.wrapping_sub(1), it, it.wrapping_add(1)]);
            let beyond = starts.iter().map(|&it| it.wrapping_add(1 << 32 << (shift % 32)));
            let values: Vec<u64> = beside.chain(beyond).chain(values).collect();
            if let Some(shortened) = Shortened::new(&starts) {
                let short: Vec<u32> = starts.iter().map(|&it| shortened.short(it)).collect();
                for value in values {
                    let range = starts.partition_point(|start| *start <= value);
                    let found = short.partition_point(|start| *start <= shortened.short(value));
                    prop_assert_eq!(range, found, "{:#x}", value);
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_shortened() {
        assert!(Shortened::new(&[0]).is_none());
        assert!(Shortened::new(&[0, 1, 1 << 32]).is_none());
        let widest = Shortened::new(&[0, 1, (1 << 32) - 1]);
        assert_eq!(widest.map(|it| it.short(u64::MAX)), Some(u32::MAX));
        assert_eq!(widest.map(|it| it.short((1 << 32) - 1)), Some(u32::MAX));
    }
}
