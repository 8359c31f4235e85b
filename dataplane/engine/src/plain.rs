//! The keys of plain frames, many at once: what [`crate::parse`] proves of nearly all frames, without a
//! branch on what comes in.
//!
//! Plain is a frame that is untagged, IPv4 without options or IPv6 without extension headers, no
//! fragment, with four bytes of payload at least, all that in its first segment. It is read as either family, and the right words are chosen: a branch on the family is
//! mispredicted where traffic mixes them.

use crate::burst::BURST_MAX;
use crate::flow_hash::flow_hash;
use crate::flow_key::{FlowKey, HAS_PORTS, IS_V6};
use crate::keys::{Column, Keys};
use crate::rule::WITH_PORTS;
use crate::wire::ethernet::ethertype;
use crate::wire::ipv6::next_header;
use crate::wire::{ethernet, ipv4, ipv6};

/// Ethernet and IPv6 header, two ports.
pub const PLAIN_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + 4;

/// The first bytes of a frame.
pub(crate) type Head = [u8; PLAIN_LEN];

/// The head of what is shorter: of no plain frame.
pub(crate) const SHORT: &Head = &[0; PLAIN_LEN];

/// So many bytes are a whole head of a plain IPv4 frame.
const V4_LEN: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + 4;

/// The head of a frame. Of IPv4 it may be shorter, as frames of a few bytes are that no wire has padded:
/// then it is completed in `room`, where nothing has been written but by this function.
#[inline]
pub(crate) fn head_of<'a>(frame: &'a [u8], room: &'a mut Head) -> &'a Head {
    frame.first_chunk().unwrap_or_else(|| complete(frame, room))
}

#[inline(never)]
fn complete<'a>(frame: &[u8], room: &'a mut Head) -> &'a Head {
    const IPV4: [u8; 2] = ethertype::IPV4.to_be_bytes();
    match frame.first_chunk::<V4_LEN>() {
        Some(short) if short[ethernet::ADDRESSES_LEN..].starts_with(&IPV4) => {
            room[..V4_LEN].copy_from_slice(short);
            room
        }
        _ => SHORT,
    }
}

/// Where the words of a head begin, four together each time. Those of IPv4's addresses and ports are
/// words of IPv6's source address.
pub(crate) const QUADS: [usize; 3] =
    [ethernet::ADDRESSES_LEN, ethernet::HEADER_LEN + 12, PLAIN_LEN - 16];

/// The words of a head at [`QUADS`], as they stand there; of `N` heads, by columns.
pub(crate) type Words<const N: usize> = [[u32; N]; 4 * QUADS.len()];

/// Writes the keys of the first `count` frames, and returns a bit for each that is plain ([`set_keys`]).
pub(crate) fn plain_keys(heads: &[&Head; BURST_MAX], count: usize, keys: &mut Keys) -> u64 {
    const N: usize = 8;
    let steps = heads.as_chunks::<N>().0.iter().zip((0..count).step_by(N));
    steps.fold(0, |plain, (heads, start)| plain | set_keys(&words(heads), keys, start))
}

/// The [hash](FlowKey::hash) of one frame, if it is plain. Cost: some 80 instructions.
#[inline]
pub(crate) fn plain_hash(frame: &[u8]) -> Option<u16> {
    let head = frame.first_chunk::<PLAIN_LEN>()?;
    let mut words = [0; 4 * QUADS.len()];
    for (quad, at) in words.as_chunks_mut::<4>().0.iter_mut().zip(QUADS) {
        for (word, at) in quad.iter_mut().zip((at..at + 16).step_by(4)) {
            *word = head[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        }
    }
    let (is_plain, key) = plain_key(words);
    is_plain.then(|| key.hash())
}

/// The words of heads.
fn words<const N: usize>(heads: &[&Head; N]) -> Words<N> {
    let mut words = [[0; N]; 4 * QUADS.len()];
    let places = QUADS.into_iter().flat_map(|quad| (quad..quad + 16).step_by(4));
    for (column, at) in words.iter_mut().zip(places) {
        for (word, head) in column.iter_mut().zip(heads) {
            *word = head[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        }
    }
    words
}

/// Writes the keys of frames, by place from `start` on; returns a bit for each that is plain. The keys
/// of the others may have any content.
#[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
#[inline(always)]
pub(crate) fn set_keys<const N: usize>(words: &Words<N>, keys: &mut Keys, start: usize) -> u64 {
    let (mut src, mut dst) = ([[0; N]; 4], [[0; N]; 4]);
    let (mut ports, mut class, mut is_plain) = ([0; N], [0; N], [false; N]);
    for at in 0..N {
        let key;
        (is_plain[at], key) = plain_key(core::array::from_fn(|word| words[word][at]));
        for word in 0..4 {
            src[word][at] = key.src[word];
            dst[word][at] = key.dst[word];
        }
        ports[at] = key.ports;
        class[at] = key.class;
    }
    let set = |column: &mut Column, words: [u32; N]| {
        if let Some(place) = column[start..].first_chunk_mut() {
            *place = words;
        }
    };
    for word in 0..4 {
        set(&mut keys.src[word], src[word]);
        set(&mut keys.dst[word], dst[word]);
    }
    set(&mut keys.ports, ports);
    set(&mut keys.class, class);
    is_plain.iter().zip(start..).fold(0, |bits, (&is, at)| bits | u64::from(is) << at)
}

/// Whether a frame is plain, and its key if it is.
#[expect(clippy::needless_bitwise_bool, reason = "vectors have no branches")]
#[inline(always)]
fn plain_key(words: [u32; 4 * QUADS.len()]) -> (bool, FlowKey) {
    // EtherType, version and length of the header: one comparison.
    const V4: u32 = (ethertype::IPV4 as u32) << 16 | 0x4500;
    const V4_MASK: u32 = 0xffff_ff00;
    const V6: u32 = (ethertype::IPV6 as u32) << 16 | 0x6000;
    const V6_MASK: u32 = 0xffff_f000;
    const IS_FRAGMENT: u32 = 0x3fff;
    let [start, lens, protocols, next, s1, s2, s3, d0, d1, d2, d3, last] = words;
    let [start, lens, protocols] = [start, lens, protocols].map(u32::from_be);
    let s0 = (protocols << 16 | u32::from_be(next) >> 16).to_be();
    let is_v6 = start & V6_MASK == V6;
    let choose = |v6: u32, v4: u32| if is_v6 { v6 } else { v4 };
    let protocol = choose(protocols >> 24, protocols & 0xff);
    let is = |numbers: &[u8]| numbers.iter().fold(false, |any, &it| any | (protocol == it.into()));
    let is_plain_v4 = (start & V4_MASK == V4)
        & (lens >> 16 >= ipv4::HEADER_LEN as u32 + 4)
        & (protocols >> 16 & IS_FRAGMENT == 0);
    let is_plain_v6 = is_v6 & (lens & 0xffff >= 4) & !is(&next_header::WALKED);
    let has_ports = is(&WITH_PORTS);
    let src = [choose(s0, 0), choose(s1, 0), choose(s2, 0), choose(s3, s1)];
    let dst = [choose(d0, 0), choose(d1, 0), choose(d2, 0), choose(d3, s2)];
    let ports = if has_ports { u32::from_be(choose(last, s3)) } else { 0 };
    let class = protocol | choose(IS_V6, 0) | if has_ports { HAS_PORTS } else { 0 };
    let class = class | flow_hash(src, dst, ports, protocol) << 16;
    (is_plain_v4 | is_plain_v6, FlowKey { src, dst, ports, class })
}
