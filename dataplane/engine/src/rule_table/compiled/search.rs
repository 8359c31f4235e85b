//! Which of many ranges a value lies in: a table by upper bits says where among the ranges to begin,
//! and sixteen at a time are compared from there on, for a burst of values at once.
//!
//! ```text
//! lowest level   every last value of a range, ascending
//! next level     every sixteenth of those
//! starts[b]      in the uppermost level, how many values are below all values of bucket b
//!
//! place = starts[bucket(value)]
//! for each level from the uppermost down:
//!     place += how many of the 16 values from place on are below value
//!     place  = 16 (place - 1), but not below 0: the last of the level below that surely is
//! ```
//! As many levels are used as the fullest bucket needs: one for 16 values in a bucket, two for 256, three for
//! 4096. So rules that are spread cost one step, and rules that are not cost what a search tree
//! of 16 keys a node would.

use crate::burst::BURST_MAX;
use crate::simd::{KEYS, Vectors};

/// Bits that the table of buckets goes by, at most: it stays in a cache of the core.
const BUCKET_BITS_MAX: u32 = 14;

/// A value that is searched for.
pub(super) trait Value: Copy + Ord {
    /// The value as vectors compare it: signed.
    type Key: Copy + Default;
    /// Many values as vectors compare them, and at least [`KEYS`] more that none is above.
    type Level: Clone + core::fmt::Debug;

    /// The least.
    const MIN: Self;

    /// The value, to be compared.
    fn key(self) -> Self::Key;

    /// The upper bits of a value.
    fn upper(key: Self::Key) -> u64;

    /// A level of these values.
    fn level(values: &[Self]) -> Self::Level;

    /// How many of [`KEYS`] values from a place on are below.
    fn count_below<W: Vectors>(vectors: W, level: &Self::Level, from: u32, key: Self::Key) -> u32;

    /// The value after it.
    fn next(self) -> Option<Self>;

    /// The value before it.
    fn before(self) -> Option<Self>;
}

/// The upper bit turned over: as signed numbers these are ordered as the unsigned ones were.
const fn signed(half: u64) -> i64 {
    (half ^ 1 << 63).cast_signed()
}

fn padded<V: Copy, K>(values: &[V], key: impl Fn(V) -> K, padding: K) -> Box<[K]>
where
    K: Copy,
{
    values.iter().map(|&value| key(value)).chain([padding; KEYS]).collect()
}

/// There are always so many more from a place on: the padding is for the compiler alone.
#[inline(always)]
fn window<'a, K>(keys: &'a [K], from: u32, padding: &'a [K; KEYS]) -> &'a [K; KEYS] {
    let from = from as usize;
    keys.get(from..from + KEYS).and_then(<[K]>::first_chunk).unwrap_or(padding)
}

impl Value for u32 {
    type Key = i32;
    type Level = Box<[i32]>;
    const MIN: Self = Self::MIN;

    #[inline]
    fn key(self) -> i32 {
        (self ^ 1 << 31).cast_signed()
    }

    #[inline]
    fn upper(key: i32) -> u64 {
        u64::from(key.cast_unsigned() ^ 1 << 31) << 32
    }

    fn level(values: &[Self]) -> Box<[i32]> {
        padded(values, Self::key, i32::MAX)
    }

    #[inline(always)]
    fn count_below<W: Vectors>(vectors: W, level: &Box<[i32]>, from: u32, key: i32) -> u32 {
        vectors.count_below(window(level, from, &[i32::MAX; KEYS]), key)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Value for u128 {
    type Key = [i64; 2];
    type Level = [Box<[i64]>; 2];
    const MIN: Self = Self::MIN;

    #[inline]
    fn key(self) -> [i64; 2] {
        [signed((self >> 64) as u64), signed(self as u64)]
    }

    #[inline]
    fn upper([high, _]: [i64; 2]) -> u64 {
        high.cast_unsigned() ^ 1 << 63
    }

    fn level(values: &[Self]) -> [Box<[i64]>; 2] {
        [0, 1].map(|half| padded(values, |value| value.key()[half], i64::MAX))
    }

    #[inline(always)]
    fn count_below<W: Vectors>(
        vectors: W,
        [high, low]: &[Box<[i64]>; 2],
        from: u32,
        key: [i64; 2],
    ) -> u32 {
        vectors.count_below_long([high, low].map(|half| window(half, from, &[i64::MAX; KEYS])), key)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// Ranges that cover all values.
#[derive(Debug, Clone)]
pub(super) struct Search<V: Value> {
    buckets: Buckets,
    /// From the uppermost down.
    levels: Vec<V::Level>,
    /// How many values the lowest level has.
    len: usize,
}

/// Where to begin, by the upper bits of a value.
#[derive(Debug, Clone)]
struct Buckets {
    /// What is subtracted from the upper bits.
    first: u64,
    /// How far the rest is shifted.
    shift: u32,
    starts: Box<[u32]>,
}

impl Buckets {
    /// As few as can be, so that none has more values than are compared at once. `None` where that
    /// takes too many.
    fn new(uppers: &[u64]) -> Option<Self> {
        let first = uppers.first().copied().unwrap_or(0);
        let span = uppers.last().map_or(0, |last| last - first);
        for bits in 0..=BUCKET_BITS_MAX {
            let shift = (u64::BITS - span.leading_zeros()).saturating_sub(bits).min(63);
            let bucket = |upper: u64| ((upper - first) >> shift) as usize;
            // First how many values each has, one place further on.
            let mut starts = vec![0; bucket(first + span) + 2];
            for &upper in uppers {
                starts[bucket(upper) + 1] += 1;
            }
            if starts.iter().all(|&count| count as usize <= KEYS) {
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

    #[inline(always)]
    fn start(&self, upper: u64) -> u32 {
        let bucket = upper.saturating_sub(self.first) >> self.shift;
        self.starts[(bucket as usize).min(self.starts.len() - 1)]
    }
}

impl<V: Value> Search<V> {
    /// Ranges that begin with these values, ascending; the first begins with the least.
    pub(super) fn new(starts: &[V]) -> Self {
        let lasts: Vec<V> = starts.iter().skip(1).filter_map(|start| start.before()).collect();
        let len = lasts.len();
        let (mut level, mut levels) = (lasts, Vec::new());
        loop {
            levels.push(V::level(&level));
            let uppers: Vec<u64> = level.iter().map(|value| V::upper(value.key())).collect();
            if let Some(buckets) = Buckets::new(&uppers) {
                levels.reverse();
                return Self { buckets, levels, len };
            }
            level = level.into_iter().step_by(KEYS).collect();
        }
    }

    /// The range of each of the first `count` values.
    #[inline(always)]
    pub(super) fn ranges<W: Vectors>(
        &self,
        vectors: W,
        keys: &[V::Key; BURST_MAX],
        count: usize,
        places: &mut [u32; BURST_MAX],
    ) {
        let (keys, places) = (&keys[..count], &mut places[..count]);
        for (place, &key) in places.iter_mut().zip(keys) {
            *place = self.buckets.start(V::upper(key));
        }
        let Some((all, upper)) = self.levels.split_last() else { return };
        for level in upper {
            for (place, &key) in places.iter_mut().zip(keys) {
                let found = *place + V::count_below(vectors, level, *place, key);
                *place = (KEYS as u32 * found).saturating_sub(KEYS as u32);
            }
        }
        for (place, &key) in places.iter_mut().zip(keys) {
            *place += V::count_below(vectors, all, *place, key);
        }
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        // Each level has a sixteenth of the values of the one below it.
        size_of_val(&*self.buckets.starts) + self.len * size_of::<V>() * KEYS / (KEYS - 1)
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
            let mut places = [0; BURST_MAX];
            self.0.ranges(vectors, self.1, self.2, &mut places);
            places
        }
    }

    fn agrees<V: Value + core::fmt::Debug>(mut starts: Vec<V>, values: &[V]) {
        starts.push(V::MIN);
        starts.sort_unstable();
        starts.dedup();
        let search = Search::new(&starts);
        for values in values.chunks(BURST_MAX) {
            let mut keys = [V::MIN.key(); BURST_MAX];
            keys.iter_mut().zip(values).for_each(|(key, value)| *key = value.key());
            simd::with_each_width(|| {
                let found = simd::widest(Ranges(&search, &keys, values.len()));
                for (value, found) in values.iter().zip(found) {
                    let expected = starts.iter().filter(|start| *start <= value).count() - 1;
                    assert_eq!(found as usize, expected, "{value:?}");
                }
            });
        }
    }

    proptest! {
        #[test]
        fn a_value_is_found_in_its_range(
            starts in prop::collection::vec(
                prop_oneof![0u32..5000, any::<u32>(), Just(u32::MAX)], 0..2000),
            values in prop::collection::vec(
                prop_oneof![0u32..5000, any::<u32>(), Just(u32::MAX)], 64),
        ) {
            let own = starts.iter().flat_map(|&it| [it, it.saturating_sub(1)]).collect::<Vec<_>>();
            agrees(starts.clone(), &values);
            agrees(starts, &own);
        }

        #[test]
        fn a_long_value_is_found_in_its_range(
            starts in prop::collection::vec((0u64..9, 0u64..900), 0..900),
            values in prop::collection::vec((0u64..10, 0u64..1000), 64),
        ) {
            // Both sides of where signed numbers turn over.
            let join = |(high, low): &(u64, u64)| {
                let turned = |half: &u64, by: u64| half.wrapping_sub(by) ^ 1 << 63;
                u128::from(turned(high, 5)) << 64 | u128::from(turned(low, 500))
            };
            let starts: Vec<u128> = starts.iter().map(join).collect();
            agrees(starts.clone(), &starts);
            agrees(starts, &values.iter().map(join).collect::<Vec<_>>());
        }
    }
}
