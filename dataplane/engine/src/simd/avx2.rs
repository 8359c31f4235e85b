//! Eight packets at once.

use core::arch::x86_64::{
    __m256i, _mm_loadl_epi64, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castsi128_si256,
    _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_cmpeq_epi64,
    _mm256_cmpgt_epi32, _mm256_cmpgt_epi64, _mm256_cvtepu8_epi32, _mm256_i32gather_epi32,
    _mm256_inserti128_si256, _mm256_lddqu_si256, _mm256_load_si256, _mm256_min_epu32 as min,
    _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_or_si256 as or,
    _mm256_packs_epi32, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setzero_si256,
    _mm256_storeu_si256, _mm256_sub_epi16, _mm256_subs_epu16, _mm256_testz_si256,
    _mm256_unpackhi_epi32 as high32, _mm256_unpackhi_epi64 as high64,
    _mm256_unpacklo_epi32 as low32, _mm256_unpacklo_epi64 as low64, _mm256_xor_si256,
};

use super::vectors::{Avx2 as Widest, Leaf, Line, NODE, WORDS};
use super::{BLOCK, NOBODY, Rules, Which, Work, of_vectors, row, run_of};
use crate::address_table::{AddressTable, Start};
use crate::burst::BURST_MAX;
use crate::conditions::{Conditions, Masked, Match};
use crate::flow_key::IS_V6;
use crate::keys::{Column, Keys};
use crate::plain::{self, Head, QUADS, set_keys};
use crate::source::Source;

type Words = __m256i;
const LANES: usize = 8;

of_vectors!("avx2,bmi1,bmi2");

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> Words {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; LANES]) -> Words {
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm256_lddqu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn list(which: &[u8]) -> Words {
    let mut places = [0; LANES];
    places.iter_mut().zip(which).for_each(|(to, &from)| *to = from % BURST_MAX as u8);
    // SAFETY: eight bytes are read, which the array has.
    _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(places.as_ptr().cast()) })
}

/// # Safety
/// The places are of `list`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn gather(column: &Column, places: Words) -> Words {
    // SAFETY: `list` gives places below `BURST_MAX`, which are inside the column.
    unsafe { _mm256_i32gather_epi32::<4>(column.as_ptr().cast(), places) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn words_of(words: Words) -> [u32; LANES] {
    let mut array = [0; LANES];
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm256_storeu_si256(array.as_mut_ptr().cast(), words) };
    array
}

/// `differs`, and not zero where a word is not as it should be.
#[inline]
#[target_feature(enable = "avx2")]
fn difference(differs: Words, word: Words, masked: Masked) -> Words {
    let difference = _mm256_xor_si256(word, splat(masked.value));
    or(differs, _mm256_and_si256(difference, splat(masked.mask)))
}

/// Not zero where a port is outside of its range.
#[inline]
#[target_feature(enable = "avx2")]
fn outside(ports: Words, from: u32, span: u32) -> Words {
    // How far it is above the lowest, and by how much that exceeds the span: saturated.
    _mm256_subs_epu16(_mm256_sub_epi16(ports, splat(from)), splat(span))
}

/// True when no packet is left for which nothing is found.
#[inline]
#[target_feature(enable = "avx2")]
fn is_settled(found: Words, none: u32) -> bool {
    let is_none = _mm256_cmpeq_epi32(found, splat(none));
    _mm256_testz_si256(is_none, is_none) != 0
}

/// `place` where nothing differs, `found` elsewhere.
#[inline]
#[target_feature(enable = "avx2")]
fn choose(found: Words, place: u32, differs: Words) -> Words {
    let matches = _mm256_cmpeq_epi32(differs, _mm256_setzero_si256());
    _mm256_blendv_epi8(found, splat(place), matches)
}

/// Four words at a place of every fourth string from `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn rows<const LEN: usize>(bytes: &[&[u8; LEN]; LANES], first: usize, at: usize) -> Words {
    _mm256_inserti128_si256::<1>(
        _mm256_castsi128_si256(row(bytes[first], at)),
        row(bytes[first + 4], at),
    )
}

/// One of a whole number of vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn vector<T: Copy, const N: usize>(words: &[T; N], at: usize) -> __m256i {
    const { assert!(size_of::<[T; N]>().is_multiple_of(32)) };
    let vectors = words.as_ptr().cast::<__m256i>();
    assert!(at < size_of::<[T; N]>() / 32);
    // SAFETY: the array has more vectors than that, as just asked.
    let vector = unsafe { vectors.add(at) };
    // SAFETY: it lies in the array, all of it; no alignment is asked for.
    unsafe { _mm256_lddqu_si256(vector) }
}

/// A vector of what is a whole number of them and aligned to cache lines.
#[inline]
#[target_feature(enable = "avx2")]
fn part<T>(lines: &T, at: usize) -> Words {
    const { assert!(align_of::<T>().is_multiple_of(64)) };
    assert!(at < size_of::<T>() / 32);
    // SAFETY: it has more vectors than that, as just asked.
    let vector = unsafe { core::ptr::from_ref(lines).cast::<Words>().add(at) };
    // SAFETY: it lies in there, all of it, and is aligned as vectors are.
    unsafe { _mm256_load_si256(vector) }
}

/// [`super::Vectors::below`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below(node: &[i32; NODE], value: i32) -> u32 {
    let is_below = _mm256_cmpgt_epi32(_mm256_set1_epi32(value), vector(node, 0));
    _mm256_movemask_ps(_mm256_castsi256_ps(is_below)).count_ones()
}

/// [`super::Vectors::below_in_leaf`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below_in_leaf(leaf: &Leaf<i32>, value: i32) -> u32 {
    let value = _mm256_set1_epi32(value);
    let [low, high] = [0, 1].map(|half| _mm256_cmpgt_epi32(value, part(leaf, half)));
    // Two bytes of each key, in any order.
    _mm256_movemask_epi8(_mm256_packs_epi32(low, high)).count_ones() / 2
}

/// How many of eight long words are all ones; the others are zero.
#[inline]
#[target_feature(enable = "avx2")]
fn count([low, high]: [Words; 2]) -> u32 {
    // One bit of each half of a word.
    let halves = _mm256_castsi256_ps(_mm256_packs_epi32(low, high));
    _mm256_movemask_ps(halves).count_ones()
}

/// The same of sixteen.
#[inline]
#[target_feature(enable = "avx2")]
fn count_in_leaf([a, b, c, d]: [Words; 4]) -> u32 {
    let halves = _mm256_packs_epi32(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    // Two bytes of each word, in any order.
    _mm256_movemask_epi8(halves).count_ones() / 2
}

/// [`super::Vectors::below_long`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below_long(node: &[i64; NODE], value: i64) -> u32 {
    let value = _mm256_set1_epi64x(value);
    count([0, 1].map(|half| _mm256_cmpgt_epi64(value, vector(node, half))))
}

/// [`super::Vectors::below_long_in_leaf`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below_long_in_leaf(leaf: &Leaf<i64>, value: i64) -> u32 {
    let value = _mm256_set1_epi64x(value);
    count_in_leaf([0, 1, 2, 3].map(|at| _mm256_cmpgt_epi64(value, part(leaf, at))))
}

/// All ones where the upper half is below, or the same and the lower half is below.
#[inline]
#[target_feature(enable = "avx2")]
fn are_below([highs, lows]: [Words; 2], [high, low]: [i64; 2]) -> Words {
    let (high, low) = (_mm256_set1_epi64x(high), _mm256_set1_epi64x(low));
    let is_same = _mm256_cmpeq_epi64(high, highs);
    let is_below = _mm256_and_si256(is_same, _mm256_cmpgt_epi64(low, lows));
    or(is_below, _mm256_cmpgt_epi64(high, highs))
}

/// [`super::Vectors::below_longer`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below_longer(nodes: [&[i64; NODE]; 2], value: [i64; 2]) -> u32 {
    count([0, 1].map(|half| are_below(nodes.map(|node| vector(node, half)), value)))
}

/// [`super::Vectors::below_longer_in_leaf`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn below_longer_in_leaf(leaves: [&Leaf<i64>; 2], value: [i64; 2]) -> u32 {
    count_in_leaf([0, 1, 2, 3].map(|at| are_below(leaves.map(|leaf| part(leaf, at)), value)))
}

/// [`super::Vectors::common_words`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn common_words<const N: usize, const LINES: usize>(sets: [&[Line; LINES]; N]) -> u32 {
    let mut empty = 0;
    let zero = _mm256_setzero_si256();
    for half in 0..2 * LINES {
        let mut common = _mm256_cmpeq_epi64(zero, zero);
        for set in sets {
            common = _mm256_and_si256(common, part(set, half));
        }
        let is_empty = _mm256_castsi256_pd(_mm256_cmpeq_epi64(common, zero));
        empty |= _mm256_movemask_pd(is_empty).cast_unsigned() << (WORDS / 2 * half);
    }
    !empty & const { u32::MAX >> (u32::BITS - (WORDS * LINES) as u32) }
}
