//! What the compiled rule table asks of vectors. There are three ways; the portable one is the oracle of
//! both others.

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Keys of a node of a search tree but a leaf.
pub(crate) const NODE: usize = 8;
/// Keys of a leaf.
pub(crate) const LEAF: usize = 16;
/// Words of a line.
pub(crate) const WORDS: usize = 8;

/// The keys of a leaf, ascending, in as few cache lines as can be.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Leaf<K>(pub(crate) [K; LEAF]);

/// A set of 512 rules, the first of which goes first: a bit each in a cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u64; WORDS]);

/// A way to compare many words at once. What uses one must be inlined, down to where the way was
/// chosen, and have no closures around it: what is compiled apart is compiled for any processor.
///
/// # Safety
/// What it tells is true: it is used to say which memory is read.
pub(crate) unsafe trait Vectors: Copy {
    /// How many keys of a node are below the value.
    fn below(self, node: &[i32; NODE], value: i32) -> u32;

    /// The same of a leaf.
    fn below_in_leaf(self, leaf: &Leaf<i32>, value: i32) -> u32;

    /// How many long keys of a node are below the value.
    fn below_long(self, node: &[i64; NODE], value: i64) -> u32;

    /// The same of a leaf.
    fn below_long_in_leaf(self, leaf: &Leaf<i64>, value: i64) -> u32;

    /// How many keys of two halves, the upper ones first, are below the value.
    fn below_longer(self, nodes: [&[i64; NODE]; 2], value: [i64; 2]) -> u32;

    /// The same of a leaf.
    fn below_longer_in_leaf(self, leaves: [&Leaf<i64>; 2], value: [i64; 2]) -> u32;

    /// In which words all sets have something in common, a bit each.
    fn common_words<const N: usize, const LINES: usize>(self, sets: [&[Line; LINES]; N]) -> u32;
}

/// The way of every processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

fn below<K: PartialOrd + Copy>(keys: impl IntoIterator<Item = K>, value: K) -> u32 {
    keys.into_iter().map(|key| u32::from(key < value)).sum()
}

fn pairs([high, low]: [&[i64]; 2]) -> impl Iterator<Item = [i64; 2]> {
    high.iter().zip(low).map(|(&high, &low)| [high, low])
}

// SAFETY: it says what each function is to tell in the fewest words.
unsafe impl Vectors for Portable {
    #[inline]
    fn below(self, node: &[i32; NODE], value: i32) -> u32 {
        below(*node, value)
    }

    #[inline]
    fn below_in_leaf(self, leaf: &Leaf<i32>, value: i32) -> u32 {
        below(leaf.0, value)
    }

    #[inline]
    fn below_long(self, node: &[i64; NODE], value: i64) -> u32 {
        below(*node, value)
    }

    #[inline]
    fn below_long_in_leaf(self, leaf: &Leaf<i64>, value: i64) -> u32 {
        below(leaf.0, value)
    }

    #[inline]
    fn below_longer(self, nodes: [&[i64; NODE]; 2], value: [i64; 2]) -> u32 {
        below(pairs(nodes.map(|node| &node[..])), value)
    }

    #[inline]
    fn below_longer_in_leaf(self, leaves: [&Leaf<i64>; 2], value: [i64; 2]) -> u32 {
        below(pairs(leaves.map(|leaf| &leaf.0[..])), value)
    }

    #[inline]
    fn common_words<const N: usize, const LINES: usize>(self, sets: [&[Line; LINES]; N]) -> u32 {
        let mut used = 0;
        for at in 0..WORDS * LINES {
            let word = |set: &[Line; LINES]| set[at / WORDS].0[at % WORDS];
            let common = sets.iter().fold(u64::MAX, |common, set| common & word(set));
            used |= u32::from(common != 0) << at;
        }
        used
    }
}

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

        // SAFETY: each counts what the portable way counts, many at a time.
        #[cfg(target_arch = "x86_64")]
        unsafe impl Vectors for $name {
            #[inline(always)]
            fn below(self, node: &[i32; NODE], value: i32) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below(node, value) }
            }

            #[inline(always)]
            fn below_in_leaf(self, leaf: &Leaf<i32>, value: i32) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below_in_leaf(leaf, value) }
            }

            #[inline(always)]
            fn below_long(self, node: &[i64; NODE], value: i64) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below_long(node, value) }
            }

            #[inline(always)]
            fn below_long_in_leaf(self, leaf: &Leaf<i64>, value: i64) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below_long_in_leaf(leaf, value) }
            }

            #[inline(always)]
            fn below_longer(self, nodes: [&[i64; NODE]; 2], value: [i64; 2]) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below_longer(nodes, value) }
            }

            #[inline(always)]
            fn below_longer_in_leaf(self, leaves: [&Leaf<i64>; 2], value: [i64; 2]) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::below_longer_in_leaf(leaves, value) }
            }

            #[inline(always)]
            fn common_words<const N: usize, const LINES: usize>(
                self,
                sets: [&[Line; LINES]; N],
            ) -> u32 {
                // SAFETY: the processor can, as `new` was told.
                unsafe { $module::common_words(sets) }
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
        keys: [i32; LEAF],
        long: [[i64; LEAF]; 2],
        sets: [[Line; 2]; 3],
        value: i32,
        long_value: [i64; 2],
    }

    impl Work for &Asked {
        type Output = [usize; 8];

        #[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
        #[inline(always)]
        fn run(self, vectors: impl Vectors) -> [usize; 8] {
            let [high, low] = &self.long;
            let [a, b, c] = &self.sets;
            let (value, long) = (self.value, self.long_value);
            let node = |keys: &[i64; LEAF]| -> [i64; NODE] { core::array::from_fn(|at| keys[at]) };
            let leaf = |keys: &[i64; LEAF]| Leaf(*keys);
            [
                vectors.below(self.keys.first_chunk().unwrap(), value) as usize,
                vectors.below_in_leaf(&Leaf(self.keys), value) as usize,
                vectors.below_long(&node(high), long[0]) as usize,
                vectors.below_long_in_leaf(&leaf(high), long[0]) as usize,
                vectors.below_longer([&node(high), &node(low)], long) as usize,
                vectors.below_longer_in_leaf([&leaf(high), &leaf(low)], long) as usize,
                vectors.common_words([&[a[0]], &[b[0]], &[c[0]]]) as usize,
                vectors.common_words([a, b, c]) as usize,
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
            set in prop::array::uniform2(prop::array::uniform8(any::<u64>())),
            masks in prop::array::uniform2(
                prop::array::uniform8(prop_oneof![4 => Just(0u64), 1 => any::<u64>()])),
            shift in 0u32..64,
            value in prop_oneof![-9i32..9, any::<i32>()],
            (high, low) in (half(), half()),
        ) {
            keys.sort_unstable();
            long.sort_unstable();
            let narrow = masks.map(|line| line.map(|mask| mask & 1 << shift));
            let asked = Asked {
                keys,
                long: [long.map(|it| it.0), long.map(|it| it.1)],
                sets: [set, masks, narrow].map(|set| set.map(Line)),
                value,
                long_value: [high, low],
            };
            let expected = (&asked).run(Portable);
            with_each_width(|| assert_eq!(widest(&asked), expected));
        }
    }
}
