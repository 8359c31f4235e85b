//! The hash of a flow: the same for both directions, the same on every machine.

/// So many bits has the hash of a flow.
pub(crate) const HASH_BITS: u32 = 14;

/// [`HASH_BITS`] bits of what [`flow_id`] makes. Cost: about 50 instructions.
#[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
#[inline(always)]
pub(crate) fn flow_hash(src: [u32; 4], dst: [u32; 4], ports: u32, protocol: u32) -> u32 {
    hash_of(flow_id(src, dst, ports, protocol))
}

/// The hash of the flow that has this id: its first bits.
#[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
#[inline(always)]
pub(crate) const fn hash_of(flow_id: u32) -> u32 {
    flow_id >> (32 - HASH_BITS)
}

/// 32 bits of both addresses (words as they stand in the packet; an IPv4 address is the last), both
/// ports (source in the upper half) and the protocol.
///
/// Each end is made one word, and this is mixed; the sum of both does not know which was first. All of
/// it is in words of 32 bits: vectors make one for each packet in a lane.
#[inline(always)]
pub(crate) fn flow_id(src: [u32; 4], dst: [u32; 4], ports: u32, protocol: u32) -> u32 {
    // Odd, and without any relation: the fractional part of pi.
    const OF_WORDS: [u32; 4] = [0x243f_6a89, 0x85a3_08d3, 0x1319_8a2f, 0x0370_7345];
    const OF_PORT: u32 = 0xa409_3823;
    const OF_PROTOCOL: u32 = 0x299f_31d1;
    let end = |address: [u32; 4], port: u32| {
        // A product carries upwards alone: what is numbered in a word's upper half is to be in its
        // lower half too, or the numbers of two words meet in the same few bits.
        let words = address.into_iter().map(u32::from_be).map(|word| word ^ word >> 16);
        mix(words.zip(OF_WORDS).fold(port.wrapping_mul(OF_PORT), |sum, (word, factor)| {
            sum.wrapping_add(word.wrapping_mul(factor))
        }))
    };
    let both = end(src, ports >> 16).wrapping_add(end(dst, ports & 0xffff));
    both.wrapping_add(protocol.wrapping_mul(OF_PROTOCOL))
}

/// Each bit of the word decides over each bit of the result: the finalizer of `MurmurHash3`.
#[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
#[inline(always)]
const fn mix(word: u32) -> u32 {
    let word = (word ^ word >> 16).wrapping_mul(0x85eb_ca6b);
    let word = (word ^ word >> 13).wrapping_mul(0xc2b2_ae35);
    word ^ word >> 16
}
