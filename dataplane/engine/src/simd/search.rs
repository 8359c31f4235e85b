//! Which of many ranges a value lies in: a table by upper bits says where in a tree of the ranges to
//! begin, and a node of it is compared at once, for one value of a burst after the other.
//!
//! ```text
//! leaves         every last value of a range, ascending, 16 of them each
//! lowest nodes   the first value of each leaf, ascending; any 8 from some place on are a node
//! upper nodes    every eighth of those
//! starts[b]      in the uppermost nodes, how many values are below all values of bucket b
//!
//! place = starts[bucket(value)]
//! for the nodes from the uppermost down:
//!     place += how many of the 8 values from place on are below value
//!     place  = 8 (place - 1), but not below 0: the last of the nodes below that surely is
//! leaf  = place - 1, but not below 0
//! range = 16 leaf + how many of its values are below value
//! ```
//! Nodes are as high as the fullest bucket needs: nearly always there are just the lowest, for up to
//! 128 ranges in a bucket. So rules that are spread cost two steps, and rules that are not cost what a
//! search tree would.
//!
//! Nothing is read without being inside: places are bounded by how nodes are made, which `Search::new`
//! does and nothing changes. So nothing is asked for each packet.

use super::values::Value;
use super::vectors::{LEAF, NODE, Vectors};
use crate::burst::BURST_MAX;

/// Bits that the table of buckets goes by, at most: it stays in a cache of the core.
const BUCKET_BITS_MAX: u32 = 15;

/// Ranges that cover all values, and a number of each.
#[derive(Debug, Clone)]
pub(crate) struct Search<V: Value> {
    buckets: Buckets,
    /// Above the lowest, from the uppermost down; each has an eighth of the values of those below it.
    upper: Vec<V::Nodes>,
    /// A sixteenth of the values of the leaves.
    lowest: V::Nodes,
    leaves: V::Leaves,
    /// By range, one more than the leaves have values.
    numbers: Box<[u32]>,
}

/// Where to begin, by the upper bits of a value.
#[derive(Debug, Clone)]
struct Buckets {
    /// What is subtracted from the upper bits.
    first: u64,
    /// How far the rest is shifted.
    shift: u32,
    /// At least one; none is above the number of the uppermost nodes' values.
    starts: Box<[u32]>,
}

impl Buckets {
    /// As few as can be, so that none has more values than a node. `None` where that
    /// takes too many.
    fn new(uppers: &[u64]) -> Option<Self> {
        let first = uppers.first().copied().unwrap_or(0);
        let span = uppers.last().map_or(0, |last| last - first);
        for bits in 0..=BUCKET_BITS_MAX {
            // No bucket is shifted out whole: without any bits, the span is 0 or there are two buckets.
            let used = u64::BITS - span.leading_zeros();
            let shift = used.saturating_sub(bits).min(used.saturating_sub(1));
            let bucket = |upper: u64| ((upper - first) >> shift) as usize;
            // First how many values each has, one place further on.
            let mut starts = vec![0; bucket(first + span) + 2];
            for &upper in uppers {
                starts[bucket(upper) + 1] += 1;
            }
            if starts.iter().all(|&count| count as usize <= NODE) {
                let mut sum = 0;
                for start in &mut starts {
                    sum += *start;
                    *start = sum;
                }
                starts.pop();
                return Some(Self { first, shift, starts: starts.into() });
            }
        }
        None
    }
}

impl<V: Value> Search<V> {
    /// Ranges that begin with these values, ascending, the first of which is the least; and a number for each.
    pub(crate) fn new(starts: &[V], numbers: &[u32]) -> Self {
        let lasts: Vec<V> = starts.iter().skip(1).filter_map(|start| start.before()).collect();
        // One more than there are values: ranges may be as many as that.
        let last = numbers.last().copied().unwrap_or_default();
        let mut numbers = numbers.to_vec();
        numbers.resize(lasts.len() + 1, last);
        let mut level: Vec<V> = lasts.iter().copied().step_by(LEAF).collect();
        let (lowest, leaves) = (V::nodes(&level), V::leaves(&lasts));
        let mut upper = Vec::new();
        loop {
            let uppers: Vec<u64> = level.iter().map(|value| value.upper()).collect();
            if let Some(buckets) = Buckets::new(&uppers) {
                upper.reverse();
                return Self { buckets, upper, lowest, leaves, numbers: numbers.into() };
            }
            level = level.into_iter().step_by(NODE).collect();
            upper.push(V::nodes(&level));
        }
    }

    /// The number of the range of each of the first `count` values.
    #[inline(always)]
    pub(crate) fn numbers<W: Vectors>(
        &self,
        vectors: W,
        keys: &[V::Key; BURST_MAX],
        count: usize,
        numbers: &mut [u32; BURST_MAX],
    ) {
        if self.numbers.len() <= LEAF {
            // The first leaf is the only one.
            numbers.fill(0);
        } else {
            self.find_leaves(vectors, keys, count, numbers);
        }
        for (place, &key) in numbers[..count].iter_mut().zip(keys) {
            // SAFETY: there is one leaf for each value of the lowest nodes, and one at least.
            let below = unsafe { V::below_in_leaf(vectors, &self.leaves, *place, key) };
            // SAFETY: at most the number of values, as only values are below, and there is one number more.
            *place = *unsafe { self.numbers.get_unchecked((*place + below) as usize) };
        }
    }

    /// For each of the first `count` values, where the leaf begins in which its range is.
    #[inline(always)]
    fn find_leaves<W: Vectors>(
        &self,
        vectors: W,
        keys: &[V::Key; BURST_MAX],
        count: usize,
        places: &mut [u32; BURST_MAX],
    ) {
        let Buckets { first, shift, starts } = &self.buckets;
        let last = starts.len() as u32 - 1;
        for at in 0..BURST_MAX {
            places[at] = V::bucket(keys[at], *first, *shift).min(last);
        }
        let places = &mut places[..count];
        if !self.upper.is_empty() {
            for (place, &key) in places.iter_mut().zip(keys) {
                // SAFETY: it is at most the last one.
                *place = *unsafe { starts.get_unchecked(*place as usize) };
                for nodes in &self.upper {
                    // SAFETY: a start is at most the number of the uppermost nodes' values. Of those from
                    // there on, only values are below a key, so the sum is, too. And 8 times one less is less
                    // than the number of the values below, of which these nodes have an eighth, rounded up.
                    let below = unsafe { V::below(vectors, nodes, *place, key) };
                    *place = (NODE as u32 * (*place + below)).saturating_sub(NODE as u32);
                }
                // SAFETY: as above.
                let below = unsafe { V::below(vectors, &self.lowest, *place, key) };
                *place = (LEAF as u32 * (*place + below)).saturating_sub(LEAF as u32);
            }
            return;
        }
        for (place, &key) in places.iter_mut().zip(keys) {
            // SAFETY: it is at most the last one.
            let start = *unsafe { starts.get_unchecked(*place as usize) };
            // SAFETY: a start is at most the number of the nodes' values.
            let below = unsafe { V::below(vectors, &self.lowest, start, key) };
            // What is in no leaf but the first has nothing below it.
            *place = (LEAF as u32 * (start + below)).saturating_sub(LEAF as u32);
        }
    }

    /// Bytes.
    pub(crate) fn bytes(&self) -> usize {
        // The nodes have a sixteenth more, and less than a seventh of that.
        let values = self.numbers.len() * size_of::<V>() * LEAF / (LEAF - 2);
        size_of_val(&*self.buckets.starts) + size_of_val(&*self.numbers) + values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd;
    use proptest::prelude::*;

    struct Ranges<'a, V: Value>(&'a Search<V>, &'a [V::Key; BURST_MAX], usize);

    impl<V: Value> simd::Work for Ranges<'_, V> {
        type Output = [u32; BURST_MAX];

        #[inline(always)]
        fn run(self, vectors: impl Vectors) -> Self::Output {
            let mut numbers = [0; BURST_MAX];
            self.0.numbers(vectors, self.1, self.2, &mut numbers);
            numbers
        }
    }

    fn agrees<V: Value>(mut starts: Vec<V>, values: &[V]) {
        starts.push(V::MIN);
        starts.sort_unstable();
        starts.dedup();
        let numbers: Vec<u32> = (0..starts.len() as u32).map(|range| 3 * range + 1).collect();
        let search = Search::new(&starts, &numbers);
        for values in values.chunks(BURST_MAX) {
            let mut keys = [V::MIN_KEY; BURST_MAX];
            keys.iter_mut().zip(values).for_each(|(key, value)| *key = value.key());
            simd::with_each_width(|| {
                let found = simd::widest(Ranges(&search, &keys, values.len()));
                for (value, found) in values.iter().zip(found) {
                    let range = starts.iter().filter(|start| *start <= value).count() - 1;
                    assert_eq!(found, numbers[range], "{value:?}");
                }
            });
        }
    }

    /// So many need several levels of nodes; Miri takes minutes for them.
    const RANGES_MAX: usize = if cfg!(miri) { 80 } else { 2000 };

    proptest! {
        #[test]
        fn a_value_is_found_in_its_range(
            starts in prop::collection::vec(
                prop_oneof![0u32..5000, any::<u32>(), Just(u32::MAX)], 0..RANGES_MAX),
            values in prop::collection::vec(
                prop_oneof![0u32..5000, any::<u32>(), Just(u32::MAX)], 64),
        ) {
            let own = starts.iter().flat_map(|&it| [it, it.saturating_sub(1)]).collect::<Vec<_>>();
            agrees(starts.clone(), &values);
            agrees(starts, &own);
        }

        #[test]
        fn a_long_value_is_found_in_its_range(
            starts in prop::collection::vec((0u64..9, 0u64..900), 0..RANGES_MAX / 2),
            values in prop::collection::vec((0u64..10, 0u64..1000), 64),
        ) {
            // Both sides of where signed numbers turn over.
            let turned = |half: u64, by: u64| half.wrapping_sub(by) ^ 1 << 63;
            let join = |&(high, low): &(u64, u64)| {
                u128::from(turned(high, 5)) << 64 | u128::from(turned(low, 500))
            };
            let longs = |them: &[(u64, u64)]| -> Vec<u64> {
                them.iter().map(|&(high, low)| turned(low + 100 * high, 900)).collect()
            };
            agrees(longs(&starts), &longs(&values));
            agrees(longs(&starts), &longs(&starts));
            let starts: Vec<u128> = starts.iter().map(join).collect();
            agrees(starts.clone(), &starts);
            agrees(starts, &values.iter().map(join).collect::<Vec<_>>());
        }
    }
}
