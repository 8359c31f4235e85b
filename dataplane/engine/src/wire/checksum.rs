//! The Internet checksum (RFC 1071), by parts.
//!
//! A [`Sum`] is a ones'-complement sum that has not been folded yet; sums of parts may be added in
//! any order as long as each part starts at an even offset of the whole.

/// An unfolded ones'-complement sum of 16-bit big-endian words.
pub type Sum = u64;

/// The sum of `bytes`; an odd last byte counts as the high half of a word. Cost: one add per 4 bytes.
///
/// Sums 32-bit words (RFC 1071 §2(C)): folding to 16 bits at the end gives the same result, and
/// 2^32 additions of 32 bits fit the accumulator.
pub fn sum(bytes: &[u8]) -> Sum {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0u8; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_be_bytes(last));
    total
}

/// Folds a sum and complements it: the value of a checksum field.
pub fn finish(sum: Sum) -> u16 {
    let mut folded = sum;
    // Four folds take any 64-bit sum to 16 bits.
    for _ in 0..4 {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !u16::try_from(folded & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn naive(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            total = (total & 0xffff) + (total >> 16);
        }
        !u16::try_from(total).unwrap_or(0)
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(!finish(sum(&bytes)), 0xddf2);
    }

    proptest::proptest! {
        #[test]
        fn equals_the_definition(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(finish(sum(&bytes)), naive(&bytes));
        }

        #[test]
        fn parts_add_up(bytes: Vec<u8>, cut: proptest::sample::Index) {
            let at = cut.index(bytes.len() + 1) & !1;
            let (front, back) = bytes.split_at(at);
            proptest::prop_assert_eq!(finish(sum(front) + sum(back)), finish(sum(&bytes)));
        }
    }

    #[test]
    fn all_ones_do_not_overflow() {
        assert_eq!(finish(sum(&vec![0xff; 65_536])), 0);
    }
}
