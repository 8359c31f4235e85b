//! Regions by their networks: which of many overlap a given one, without looking at all.

use std::collections::{BTreeMap, BTreeSet};

use super::region::{DST, Region, SRC, Side};

/// Regions of one family, by position.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_source: Networks,
    by_destination: Networks,
}

impl Index {
    pub(super) fn insert(&mut self, region: &Region, position: usize) {
        self.by_source.insert(region.sides[SRC], position);
        self.by_destination.insert(region.sides[DST], position);
    }

    /// The positions of all regions that overlap this one, and of some that don't; ascending.
    /// Cost: that of the fewer regions, those with overlapping sources or destinations.
    pub(super) fn candidates(&self, region: &Region) -> Vec<usize> {
        let (src, dst) = (region.sides[SRC], region.sides[DST]);
        let is_source = self.by_source.count(src) <= self.by_destination.count(dst);
        let lists = if is_source {
            self.by_source.overlapping(src)
        } else {
            self.by_destination.overlapping(dst)
        };
        let mut positions: Vec<usize> = lists.flatten().copied().collect();
        positions.sort_unstable();
        positions
    }
}

/// Positions by network. Two networks overlap only if one holds the other.
#[derive(Debug, Default)]
struct Networks {
    /// By first and last address.
    lists: BTreeMap<(u128, u128), Vec<usize>>,
    /// How far the last address is from the first: a mask of host bits.
    host_masks: BTreeSet<u128>,
}

impl Networks {
    fn insert(&mut self, Side { from, to }: Side, position: usize) {
        self.lists.entry((from, to)).or_default().push(position);
        self.host_masks.insert(to - from);
    }

    fn overlapping(&self, Side { from, to }: Side) -> Box<dyn Iterator<Item = &Vec<usize>> + '_> {
        let inside = self.lists.range((from, 0)..=(to, u128::MAX)).map(|(_, list)| list);
        let around = self.host_masks.iter().filter_map(move |mask| {
            let network = (from & !mask, from | mask);
            // What begins where this one does is among those inside.
            if network.0 < from { self.lists.get(&network) } else { None }
        });
        Box::new(inside.chain(around))
    }

    fn count(&self, side: Side) -> usize {
        self.overlapping(side).map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn all_that_overlap_and_no_other_are_found(
            networks in vec((any::<u8>(), 0..=8u32), 0..40),
            wanted in (any::<u8>(), 0..=8u32),
        ) {
            let side = |(address, bits): (u8, u32)| {
                let mask = (1u128 << bits) - 1;
                Side { from: u128::from(address) & !mask, to: u128::from(address) | mask }
            };
            let (mut index, wanted) = (Networks::default(), side(wanted));
            networks.iter().zip(0..).for_each(|(&network, at)| index.insert(side(network), at));
            let mut found: Vec<usize> = index.overlapping(wanted).flatten().copied().collect();
            found.sort_unstable();
            let overlaps = |at: &usize| side(networks[*at]).overlaps(wanted);
            let expected: Vec<usize> = (0..networks.len()).filter(overlaps).collect();
            prop_assert_eq!(index.count(wanted), expected.len());
            prop_assert_eq!(found, expected);
        }
    }
}
