//! What the compiled rule table asks of vectors. There are three ways; the portable one is the oracle of
//! both others.

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Keys that are compared at once, ascending.
pub(crate) const KEYS: usize = 16;
/// Words of a set.
pub(crate) const WORDS: usize = 8;
/// A set of 512.
pub(crate) type Set = [u64; WORDS];

/// A way to compare many words at once. What uses one must be inlined, down to where the way was
/// chosen, and have no closures around it: what is compiled apart is compiled for any processor.
pub(crate) trait Vectors: Copy {
    /// How many of the ascending keys are below the value.
    fn count_below(self, keys: &[i32; KEYS], value: i32) -> u32;

    /// The same of keys of two halves, the upper ones first; both halves are signed.
    fn count_below_long(self, keys: [&[i64; KEYS]; 2], value: [i64; 2]) -> u32;

    /// The least element of all sets; 512 when there is none.
    fn first_common<const N: usize>(self, sets: [&Set; N]) -> usize;
}

/// The way of every processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Vectors for Portable {
    #[inline]
    fn count_below(self, keys: &[i32; KEYS], value: i32) -> u32 {
        keys.iter().map(|&key| u32::from(key < value)).sum()
    }

    #[inline]
    fn count_below_long(self, [high, low]: [&[i64; KEYS]; 2], value: [i64; 2]) -> u32 {
        high.iter().zip(low).map(|(&high, &low)| u32::from([high, low] < value)).sum()
    }

    #[inline]
    fn first_common<const N: usize>(self, sets: [&Set; N]) -> usize {
        let common: Set =
            core::array::from_fn(|at| sets.iter().fold(u64::MAX, |common, set| common & set[at]));
        let used = common.iter().zip(0..).map(|(&word, at)| u32::from(word != 0) << at).sum();
        first_of(&common, used)
    }
}

/// The least element of a set, whose words that are not zero are told.
#[inline]
pub(super) fn first_of(set: &[u64], used: u32) -> usize {
    let at = (used | 1 << WORDS).trailing_zeros() as usize;
    // Behind the last word stands nothing.
    let word = set.get(at).copied().unwrap_or(1);
    at * 64 + word.trailing_zeros() as usize
}

/// What vectors of any length are stored in at once.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
pub(super) struct Aligned<T>(pub(super) T);

/// A way that is a module's of this one's: made only where the processor has its instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! way {
    ($(#[$doc:meta])* $name:ident, $module:ident) => {
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name(());

        #[cfg(target_arch = "x86_64")]
        impl $name {
            /// # Safety
            /// The processor has all instructions of the module.
            #[inline]
            pub(super) unsafe fn new() -> Self {
                Self(())
            }
        }

        #[cfg(target_arch = "x86_64")]
        impl Vectors for $name {
            #[inline(always)]
            fn count_below(self, keys: &[i32; KEYS], value: i32) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::count_below(keys, value) }
            }

            #[inline(always)]
            fn count_below_long(self, keys: [&[i64; KEYS]; 2], value: [i64; 2]) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::count_below_long(keys, value) }
            }

            #[inline(always)]
            fn first_common<const N: usize>(self, sets: [&Set; N]) -> usize {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::first_common(sets) }
            }
        }
    };
}

way!(
    /// The way of processors with AVX2.
    Avx2,
    avx2
);
way!(
    /// The way of processors with AVX-512.
    Avx512,
    avx512
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Work, widest, with_each_width};
    use proptest::prelude::*;

    struct Asked {
        keys: [i32; KEYS],
        long: [[i64; KEYS]; 2],
        sets: [Set; 3],
        value: i32,
        long_value: [i64; 2],
    }

    impl Work for &Asked {
        type Output = [usize; 3];

        #[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
        #[inline(always)]
        fn run(self, vectors: impl Vectors) -> [usize; 3] {
            let [high, low] = &self.long;
            let [a, b, c] = &self.sets;
            [
                vectors.count_below(&self.keys, self.value) as usize,
                vectors.count_below_long([high, low], self.long_value) as usize,
                vectors.first_common([a, b, c]),
            ]
        }
    }

    fn half() -> impl Strategy<Value = i64> {
        prop_oneof![-3i64..3, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
    }

    proptest! {
        #[test]
        fn all_ways_find_the_same(
            mut keys in prop::array::uniform16(prop_oneof![-9i32..9, any::<i32>()]),
            mut long in prop::array::uniform16((half(), half())),
            set in prop::array::uniform8(any::<u64>()),
            masks in prop::array::uniform8(prop_oneof![Just(0u64), any::<u64>()]),
            shift in 0u32..64,
            value in prop_oneof![-9i32..9, any::<i32>()],
            (high, low) in (half(), half()),
        ) {
            keys.sort_unstable();
            long.sort_unstable();
            let narrow = masks.map(|mask| mask & (1 << shift));
            let asked = Asked {
                keys,
                long: [long.map(|it| it.0), long.map(|it| it.1)],
                sets: [set, masks, narrow],
                value,
                long_value: [high, low],
            };
            let expected = (&asked).run(Portable);
            with_each_width(|| assert_eq!(widest(&asked), expected));
        }
    }
}
