//! Values of 32, 64 and 128 bits as vectors compare them, in the nodes and leaves of a search tree.

use core::fmt::Debug;

use super::vectors::{LEAF, Leaf, NODE, Vectors};

/// A value that is searched for.
///
/// # Safety
/// What it tells of what is below is true, and no more than that is: padding is below no key. Nodes and
/// leaves hold what they are said to. It is used to say which memory is read.
pub(crate) unsafe trait Value: Copy + Ord + Debug {
    /// The value as vectors compare it: signed.
    type Key: Copy + Debug;
    /// Values as vectors compare them, and [`NODE`] more that no value is above.
    type Nodes: Clone + Debug;
    /// Values likewise, [`LEAF`] in each leaf, and at least one leaf.
    type Leaves: Clone + Debug;

    /// The least.
    const MIN: Self;
    /// The key of the least.
    const MIN_KEY: Self::Key;

    /// The value, to be compared.
    fn key(self) -> Self::Key;

    /// The upper bits of a value, as many as buckets go by.
    fn upper(self) -> u64;

    /// The upper bits, less what is subtracted from them, but not below 0, and shifted.
    fn bucket(key: Self::Key, first: u64, shift: u32) -> u32;

    /// Nodes of these values.
    fn nodes(values: &[Self]) -> Self::Nodes;

    /// Leaves of these values.
    fn leaves(values: &[Self]) -> Self::Leaves;

    /// How many of [`NODE`] values from a place on are below.
    ///
    /// # Safety
    /// The place is at most the number of the nodes' values.
    unsafe fn below<W: Vectors>(vectors: W, nodes: &Self::Nodes, from: u32, key: Self::Key) -> u32;

    /// How many values of the leaf that begins so are below.
    ///
    /// # Safety
    /// A leaf begins so.
    unsafe fn below_in_leaf<W: Vectors>(
        vectors: W,
        leaves: &Self::Leaves,
        start: u32,
        key: Self::Key,
    ) -> u32;

    /// The value after it.
    fn next(self) -> Option<Self>;

    /// The value before it.
    fn before(self) -> Option<Self>;
}

fn nodes_of<V: Copy, K: Copy>(values: &[V], key: impl Fn(V) -> K, padding: K) -> Box<[K]> {
    values.iter().map(|&value| key(value)).chain([padding; NODE]).collect()
}

fn leaves_of<V: Copy, K: Copy>(values: &[V], key: impl Fn(V) -> K, padding: K) -> Box<[Leaf<K>]> {
    let mut leaves = vec![Leaf([padding; LEAF]); values.len().div_ceil(LEAF).max(1)];
    for (leaf, values) in leaves.iter_mut().zip(values.chunks(LEAF)) {
        leaf.0.iter_mut().zip(values).for_each(|(to, &value)| *to = key(value));
    }
    leaves.into()
}

/// # Safety
/// The nodes are those of at least so many values.
#[inline(always)]
unsafe fn node<K>(nodes: &[K], from: u32) -> &[K; NODE] {
    // SAFETY: behind the values stand as many as a node has.
    let first = unsafe { nodes.as_ptr().add(from as usize) };
    // SAFETY: so many are there from this one on, and live as long as the nodes.
    unsafe { &*first.cast() }
}

/// # Safety
/// One of these leaves begins so.
#[inline(always)]
unsafe fn leaf<K>(leaves: &[Leaf<K>], start: u32) -> &Leaf<K> {
    // SAFETY: it is the first value of one.
    let first = unsafe { leaves.as_ptr().cast::<K>().add(start as usize) };
    // SAFETY: the whole leaf is there, aligned as they all are, and lives as long as they do.
    unsafe { &*first.cast() }
}

// SAFETY: vectors tell the truth, and keys are ordered as values are; padding is the greatest key.
unsafe impl Value for u32 {
    type Key = i32;
    type Nodes = Box<[i32]>;
    type Leaves = Box<[Leaf<i32>]>;
    const MIN: Self = Self::MIN;
    const MIN_KEY: i32 = i32::MIN;

    #[inline(always)]
    fn key(self) -> i32 {
        (self ^ 1 << 31).cast_signed()
    }

    fn upper(self) -> u64 {
        self.into()
    }

    #[inline(always)]
    fn bucket(key: i32, first: u64, shift: u32) -> u32 {
        // In words of 32 bits, of which vectors hold most.
        (key.cast_unsigned() ^ 1 << 31).saturating_sub(first as Self) >> (shift % 32)
    }

    fn nodes(values: &[Self]) -> Self::Nodes {
        nodes_of(values, Self::key, i32::MAX)
    }

    fn leaves(values: &[Self]) -> Self::Leaves {
        leaves_of(values, Self::key, i32::MAX)
    }

    #[inline(always)]
    unsafe fn below<W: Vectors>(vectors: W, nodes: &Self::Nodes, from: u32, key: i32) -> u32 {
        // SAFETY: as the caller says.
        vectors.below(unsafe { node(nodes, from) }, key)
    }

    #[inline(always)]
    unsafe fn below_in_leaf<W: Vectors>(
        vectors: W,
        leaves: &Self::Leaves,
        start: u32,
        key: i32,
    ) -> u32 {
        // SAFETY: as the caller says.
        vectors.below_in_leaf(unsafe { leaf(leaves, start) }, key)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// The upper bit turned over: as signed numbers these are ordered as the unsigned ones were.
#[inline(always)]
const fn signed(half: u64) -> i64 {
    (half ^ 1 << 63).cast_signed()
}

#[inline(always)]
fn bucket_of_long(upper: i64, first: u64, shift: u32) -> u32 {
    let bucket = (upper.cast_unsigned() ^ 1 << 63).saturating_sub(first) >> (shift % 64);
    bucket.min(u32::MAX.into()) as u32
}

// SAFETY: vectors tell the truth, and keys are ordered as values are; padding is the greatest key.
unsafe impl Value for u64 {
    type Key = i64;
    type Nodes = Box<[i64]>;
    type Leaves = Box<[Leaf<i64>]>;
    const MIN: Self = Self::MIN;
    const MIN_KEY: i64 = i64::MIN;

    #[inline(always)]
    fn key(self) -> i64 {
        signed(self)
    }

    fn upper(self) -> u64 {
        self
    }

    #[inline(always)]
    fn bucket(key: i64, first: u64, shift: u32) -> u32 {
        bucket_of_long(key, first, shift)
    }

    fn nodes(values: &[Self]) -> Self::Nodes {
        nodes_of(values, Self::key, i64::MAX)
    }

    fn leaves(values: &[Self]) -> Self::Leaves {
        leaves_of(values, Self::key, i64::MAX)
    }

    #[inline(always)]
    unsafe fn below<W: Vectors>(vectors: W, nodes: &Self::Nodes, from: u32, key: i64) -> u32 {
        // SAFETY: as the caller says.
        vectors.below_long(unsafe { node(nodes, from) }, key)
    }

    #[inline(always)]
    unsafe fn below_in_leaf<W: Vectors>(
        vectors: W,
        leaves: &Self::Leaves,
        start: u32,
        key: i64,
    ) -> u32 {
        // SAFETY: as the caller says.
        vectors.below_long_in_leaf(unsafe { leaf(leaves, start) }, key)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

// SAFETY: vectors tell the truth, and keys are ordered as values are; padding is the greatest key.
unsafe impl Value for u128 {
    /// Upper half, lower half.
    type Key = [i64; 2];
    type Nodes = [Box<[i64]>; 2];
    type Leaves = [Box<[Leaf<i64>]>; 2];
    const MIN: Self = Self::MIN;
    const MIN_KEY: [i64; 2] = [i64::MIN; 2];

    #[inline(always)]
    fn key(self) -> [i64; 2] {
        [signed((self >> 64) as u64), signed(self as u64)]
    }

    fn upper(self) -> u64 {
        (self >> 64) as u64
    }

    #[inline(always)]
    fn bucket([high, _]: [i64; 2], first: u64, shift: u32) -> u32 {
        bucket_of_long(high, first, shift)
    }

    fn nodes(values: &[Self]) -> Self::Nodes {
        [0, 1].map(|half| nodes_of(values, |value| value.key()[half], i64::MAX))
    }

    fn leaves(values: &[Self]) -> Self::Leaves {
        [0, 1].map(|half| leaves_of(values, |value| value.key()[half], i64::MAX))
    }

    #[inline(always)]
    unsafe fn below<W: Vectors>(
        vectors: W,
        [high, low]: &Self::Nodes,
        from: u32,
        key: [i64; 2],
    ) -> u32 {
        // SAFETY: as the caller says.
        let high = unsafe { node(high, from) };
        // SAFETY: the same.
        let low = unsafe { node(low, from) };
        vectors.below_longer([high, low], key)
    }

    #[inline(always)]
    unsafe fn below_in_leaf<W: Vectors>(
        vectors: W,
        [high, low]: &Self::Leaves,
        start: u32,
        key: [i64; 2],
    ) -> u32 {
        // SAFETY: as the caller says.
        let high = unsafe { leaf(high, start) };
        // SAFETY: the same.
        let low = unsafe { leaf(low, start) };
        vectors.below_longer_in_leaf([high, low], key)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
}
