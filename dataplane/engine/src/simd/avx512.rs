//! Sixteen packets at once.

use core::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_loadu_si256,
    _mm256_movemask_ps, _mm256_set1_epi32, _mm512_and_si512, _mm512_castsi128_si512,
    _mm512_cmpeq_epi32_mask, _mm512_cmpeq_epi64_mask, _mm512_cmpgt_epi32_mask,
    _mm512_cmpgt_epi64_mask, _mm512_cvtepu8_epi32, _mm512_i32gather_epi32, _mm512_inserti32x4,
    _mm512_load_si512, _mm512_loadu_si512, _mm512_mask_mov_epi32, _mm512_min_epu32 as min,
    _mm512_or_si512 as or, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_storeu_si512,
    _mm512_sub_epi16, _mm512_subs_epu16, _mm512_ternarylogic_epi32, _mm512_test_epi64_mask,
    _mm512_testn_epi32_mask, _mm512_unpackhi_epi32 as high32, _mm512_unpackhi_epi64 as high64,
    _mm512_unpacklo_epi32 as low32, _mm512_unpacklo_epi64 as low64, _mm512_xor_si512,
};

use super::vectors::{Avx512 as Widest, Leaf, Line, NODE, WORDS};
use super::{BLOCK, NOBODY, Rules, Which, Work, of_vectors, row, run_of};
use crate::address_table::{AddressTable, Start};
use crate::burst::BURST_MAX;
use crate::conditions::{Conditions, Masked, Match};
use crate::flow_key::IS_V6;
use crate::keys::{Column, Keys};
use crate::plain::{self, Head, QUADS, set_keys};
use crate::source::Source;

type Words = __m512i;
const LANES: usize = 16;

of_vectors!("avx512f,avx512bw,bmi1,bmi2");

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> Words {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u32; LANES]) -> Words {
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn list(which: &[u8]) -> Words {
    let mut places = [0; LANES];
    places.iter_mut().zip(which).for_each(|(to, &from)| *to = from % BURST_MAX as u8);
    // SAFETY: sixteen bytes are read, which the array has; no alignment is asked for.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(places.as_ptr().cast()) })
}

/// # Safety
/// The places are of `list`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn gather(column: &Column, places: Words) -> Words {
    // SAFETY: `list` gives places below `BURST_MAX`, which are inside the column.
    unsafe { _mm512_i32gather_epi32::<4>(places, column.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words_of(words: Words) -> [u32; LANES] {
    let mut array = [0; LANES];
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm512_storeu_si512(array.as_mut_ptr().cast(), words) };
    array
}

/// `differs`, and not zero where a word is not as it should be.
#[inline]
#[target_feature(enable = "avx512f")]
fn difference(differs: Words, word: Words, masked: Masked) -> Words {
    // The truth table of a | (b & c).
    const OR_AND: i32 = 0b1111_1000;
    let difference = _mm512_xor_si512(word, splat(masked.value));
    _mm512_ternarylogic_epi32::<OR_AND>(differs, difference, splat(masked.mask))
}

/// Not zero where a port is outside of its range.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn outside(ports: Words, from: u32, span: u32) -> Words {
    // How far it is above the lowest, and by how much that exceeds the span: saturated.
    _mm512_subs_epu16(_mm512_sub_epi16(ports, splat(from)), splat(span))
}

/// True when no packet is left for which nothing is found.
#[inline]
#[target_feature(enable = "avx512f")]
fn is_settled(found: Words, none: u32) -> bool {
    _mm512_cmpeq_epi32_mask(found, splat(none)) == 0
}

/// `place` where nothing differs, `found` elsewhere.
#[inline]
#[target_feature(enable = "avx512f")]
fn choose(found: Words, place: u32, differs: Words) -> Words {
    _mm512_mask_mov_epi32(found, _mm512_testn_epi32_mask(differs, differs), splat(place))
}

/// Four words at a place of every fourth string from `first` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn rows<const LEN: usize>(bytes: &[&[u8; LEN]; LANES], first: usize, at: usize) -> Words {
    let rows = _mm512_castsi128_si512(row(bytes[first], at));
    let rows = _mm512_inserti32x4::<1>(rows, row(bytes[first + 4], at));
    let rows = _mm512_inserti32x4::<2>(rows, row(bytes[first + 8], at));
    _mm512_inserti32x4::<3>(rows, row(bytes[first + 12], at))
}

/// [`super::Vectors::below`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below(node: &[i32; NODE], value: i32) -> u32 {
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    let node = unsafe { _mm256_loadu_si256(node.as_ptr().cast()) };
    let is_below = _mm256_cmpgt_epi32(_mm256_set1_epi32(value), node);
    _mm256_movemask_ps(_mm256_castsi256_ps(is_below)).count_ones()
}

/// [`super::Vectors::below_in_leaf`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below_in_leaf(leaf: &Leaf<i32>, value: i32) -> u32 {
    // SAFETY: the leaf is as long as the vector, and aligned as it is.
    let leaf = unsafe { _mm512_load_si512(leaf.0.as_ptr().cast()) };
    _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(value), leaf).count_ones()
}

/// Eight long words.
#[inline]
#[target_feature(enable = "avx512f")]
fn longs<T>(words: &[T; 8]) -> Words {
    const { assert!(size_of::<T>() == 8) };
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// [`super::Vectors::below_long`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below_long(node: &[i64; NODE], value: i64) -> u32 {
    _mm512_cmpgt_epi64_mask(_mm512_set1_epi64(value), longs(node)).count_ones()
}

/// [`super::Vectors::below_long_in_leaf`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below_long_in_leaf(leaf: &Leaf<i64>, value: i64) -> u32 {
    let mut count = 0;
    for half in leaf.0.as_chunks().0 {
        count += below_long(half, value);
    }
    count
}

/// [`super::Vectors::below_longer`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below_longer([highs, lows]: [&[i64; NODE]; 2], value: [i64; 2]) -> u32 {
    let (high, low) = (_mm512_set1_epi64(value[0]), _mm512_set1_epi64(value[1]));
    let (highs, lows) = (longs(highs), longs(lows));
    let is_below = _mm512_cmpeq_epi64_mask(high, highs) & _mm512_cmpgt_epi64_mask(low, lows);
    (is_below | _mm512_cmpgt_epi64_mask(high, highs)).count_ones()
}

/// [`super::Vectors::below_longer_in_leaf`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn below_longer_in_leaf([highs, lows]: [&Leaf<i64>; 2], value: [i64; 2]) -> u32 {
    let mut count = 0;
    for (highs, lows) in highs.0.as_chunks().0.iter().zip(lows.0.as_chunks().0) {
        count += below_longer([highs, lows], value);
    }
    count
}

/// [`super::Vectors::common_words`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn common_words<const N: usize, const LINES: usize>(sets: [&[Line; LINES]; N]) -> u32 {
    let mut used = 0;
    for line in 0..LINES {
        let mut common = _mm512_set1_epi64(-1);
        for set in sets {
            common = _mm512_and_si512(common, longs(&set[line].0));
        }
        used |= u32::from(_mm512_test_epi64_mask(common, common)) << (WORDS * line);
    }
    used
}
