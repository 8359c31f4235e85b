//! Sizes of frames: one, or a mix of several as RFC 6985 writes it.
//!
//! A size counts the Ethernet header and the checksum behind the frame, as RFC 2544 does. A genome names one
//! letter per frame, in the order in which frames are sent, and repeats for ever.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// RFC 2544 §9.1: the sizes for Ethernet.
pub const RFC2544: [u16; 7] = [64, 128, 256, 512, 1024, 1280, 1518];
/// RFC 6985 §4: what letters stand for. `z` is the MTU's.
const LETTERS: [(char, u16); 10] = [
    ('a', 64),
    ('b', 128),
    ('c', 256),
    ('d', 512),
    ('e', 1024),
    ('f', 1280),
    ('g', 1518),
    ('h', 2112),
    ('i', 9000),
    ('j', 16_000),
];
/// Simple IMIX, 7 : 4 : 1, mixed as well as twelve frames can be.
const SIMPLE: [u16; 12] = [64, 570, 64, 64, 570, 64, 1518, 64, 570, 64, 570, 64];
/// The smallest frame of Ethernet.
const SIZE_MIN: u16 = 64;
/// The largest that a port takes: an IP packet of 16,000 bytes and some tags.
const SIZE_MAX: u16 = 16_128;
/// Ethernet's header and checksum.
const ETHERNET_BYTES: u16 = 18;
/// Frames until a genome repeats.
const GENOME_MAX: usize = 4096;

/// The sizes of frames of one series of trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameSizes {
    /// As it was asked for: `64`, `imix`, `imix(aaag)`.
    pub name: String,
    /// The sizes in the order in which they repeat, in bytes with the checksum. Never empty.
    pub sizes: Vec<u16>,
}

impl FrameSizes {
    /// Bytes on average.
    #[expect(clippy::cast_precision_loss, reason = "there are 4,096 at most")]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.sizes.iter().map(|&size| f64::from(size)).sum();
        sum / self.sizes.len().max(1) as f64
    }

    /// The largest.
    pub fn largest(&self) -> u16 {
        self.sizes.iter().copied().max().unwrap_or(SIZE_MIN)
    }
}

/// What is wrong with sizes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSizes {
    /// Nothing that is known.
    #[error(
        "{0:?} is no size; write bytes with the checksum (64), imix, imix(aaag) as in RFC 6985, or rfc2544"
    )]
    Unknown(String),
    /// No frame of Ethernet has it.
    #[error(
        "a frame of {0} bytes is not possible; sizes are {SIZE_MIN} to {SIZE_MAX}, with the checksum"
    )]
    OutOfRange(u32),
    /// A letter without a size.
    #[error(
        "{letter:?} in {genome:?} has no size; a to j and z (the MTU) have one, others need it: imix({genome},{letter}=1000)"
    )]
    Letter {
        /// The letter.
        letter: char,
        /// Where it stands.
        genome: String,
    },
    /// Too much of it.
    #[error("{0:?} is longer than {GENOME_MAX} frames; shorten it")]
    TooLong(String),
    /// No frame at all.
    #[error("{0:?} has no frames; name at least one, as in imix(ag)")]
    Empty(String),
}

/// Reads a list such as `64,imix,imix(7a4dg,d=570),1518`. `mtu` is what `z` stands for, as an IP packet.
/// Errors: all entries that are wrong.
pub fn parse(text: &str, mtu: u16) -> Result<Vec<FrameSizes>, Vec<BadSizes>> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for entry in entries(text) {
        match one(entry, mtu) {
            Ok(sizes) => found.extend(sizes),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// The parts between commas that are not in brackets.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .map(str::trim)
}

fn one(entry: &str, mtu: u16) -> Result<Vec<FrameSizes>, BadSizes> {
    let lower = entry.to_ascii_lowercase();
    let named = |sizes: Vec<u16>| vec![FrameSizes { name: entry.to_owned(), sizes }];
    if lower == "imix" {
        return Ok(named(SIMPLE.to_vec()));
    }
    if lower == "rfc2544" {
        let single = |&size: &u16| FrameSizes { name: size.to_string(), sizes: vec![size] };
        return Ok(RFC2544.iter().map(single).collect());
    }
    if lower.starts_with("imix(") && lower.ends_with(')') {
        return Ok(named(genome(&entry["imix(".len()..entry.len() - 1], mtu)?));
    }
    Ok(named(vec![size(entry)?]))
}

fn size(text: &str) -> Result<u16, BadSizes> {
    let size: u32 = text.trim().parse().map_err(|_| BadSizes::Unknown(text.to_owned()))?;
    match u16::try_from(size) {
        Ok(size) if (SIZE_MIN..=SIZE_MAX).contains(&size) => Ok(size),
        _ => Err(BadSizes::OutOfRange(size)),
    }
}

/// `abbccz`, `7a4dg,d=570`: letters, each with a number of repeats before it if that is not 1, then sizes of
/// letters.
fn genome(text: &str, mtu: u16) -> Result<Vec<u16>, BadSizes> {
    let (letters, own) = text.split_once(',').unwrap_or((text, ""));
    let letters = letters.trim();
    let mut own_sizes = Vec::new();
    for definition in own.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let unknown = || BadSizes::Unknown(definition.to_owned());
        let (letter, value) = definition.split_once('=').ok_or_else(unknown)?;
        let letter: char = letter.trim().parse().map_err(|_| unknown())?;
        if !letter.is_ascii_alphabetic() {
            return Err(unknown());
        }
        own_sizes.push((letter, size(value)?));
    }
    let size_of = |letter: char| {
        let known = own_sizes.iter().rev().chain(&LETTERS).find(|(it, _)| *it == letter);
        let of_mtu = mtu.saturating_add(ETHERNET_BYTES).clamp(SIZE_MIN, SIZE_MAX);
        known.map(|&(_, size)| size).or_else(|| (letter == 'z').then_some(of_mtu))
    };
    let mut sizes = Vec::new();
    let mut repeats: Option<usize> = None;
    for letter in letters.chars() {
        if let Some(digit) = letter.to_digit(10) {
            repeats = Some(repeats.unwrap_or(0).saturating_mul(10).saturating_add(digit as usize));
            continue;
        }
        let unknown = || BadSizes::Letter { letter, genome: letters.to_owned() };
        let size = size_of(letter).ok_or_else(unknown)?;
        let times = repeats.take().unwrap_or(1);
        if sizes.len().saturating_add(times) > GENOME_MAX {
            return Err(BadSizes::TooLong(letters.to_owned()));
        }
        sizes.extend(std::iter::repeat_n(size, times));
    }
    if repeats.is_some() {
        return Err(BadSizes::Unknown(letters.to_owned()));
    }
    if sizes.is_empty() { Err(BadSizes::Empty(letters.to_owned())) } else { Ok(sizes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes(text: &str) -> Vec<Vec<u16>> {
        parse(text, 1500).unwrap().into_iter().map(|it| it.sizes).collect()
    }

    #[test]
    fn the_genomes_of_rfc_6985_are_read() {
        // RFC 6985 §4: IMIX(aaafg) is a sequence of 64, 64, 64, 1280 and 1518 bytes.
        assert_eq!(sizes("IMIX(aaafg)"), [[64, 64, 64, 1280, 1518]]);
        assert_eq!(sizes("iMIX(abbccz)"), [[64, 128, 128, 256, 256, 1518]]);
        assert_eq!(parse("imix(z)", 9000).unwrap()[0].sizes, [9018]);
        // Run lengths and sizes of one's own.
        assert_eq!(sizes("imix(3a2dg)"), [[64, 64, 64, 512, 512, 1518]]);
        assert_eq!(sizes("imix(aAg,A=570, g=1514)"), [[64, 570, 1514]]);
    }

    #[test]
    fn a_list_has_sizes_and_mixes() {
        assert_eq!(sizes("64,imix(ab,b=99),1518"), [vec![64], vec![64, 99], vec![1518]]);
        assert_eq!(sizes("rfc2544").concat(), RFC2544);
        let simple = &parse("imix", 1500).unwrap()[0];
        let count = |size| simple.sizes.iter().filter(|&&it| it == size).count();
        assert_eq!((count(64), count(570), count(1518)), (7, 4, 1));
        assert!((simple.mean() - (7.0 * 64.0 + 4.0 * 570.0 + 1518.0) / 12.0).abs() < 1e-9);
        assert_eq!(simple.largest(), 1518);
    }

    #[test]
    fn every_wrong_entry_is_told() {
        let faults =
            parse("63,64,foo,imix(k),imix(),imix(9999a),imix(a3),20000,imix(A,A=1),", 1500);
        let told: Vec<String> = faults.unwrap_err().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        a frame of 63 bytes is not possible; sizes are 64 to 16128, with the checksum
        "foo" is no size; write bytes with the checksum (64), imix, imix(aaag) as in RFC 6985, or rfc2544
        'k' in "k" has no size; a to j and z (the MTU) have one, others need it: imix(k,k=1000)
        "" has no frames; name at least one, as in imix(ag)
        "9999a" is longer than 4096 frames; shorten it
        "a3" is no size; write bytes with the checksum (64), imix, imix(aaag) as in RFC 6985, or rfc2544
        a frame of 20000 bytes is not possible; sizes are 64 to 16128, with the checksum
        a frame of 1 bytes is not possible; sizes are 64 to 16128, with the checksum
        "" is no size; write bytes with the checksum (64), imix, imix(aaag) as in RFC 6985, or rfc2544
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_sizes_or_faults(text in "\\PC{0,40}") {
            if let Ok(found) = parse(&text, 1500) {
                for it in found {
                    prop_assert!(!it.sizes.is_empty() && it.sizes.len() <= GENOME_MAX);
                    prop_assert!(it.sizes.iter().all(|size| (SIZE_MIN..=SIZE_MAX).contains(size)));
                }
            }
        }

        #[test]
        fn a_genome_is_its_letters(letters in "[a-g]{1,60}") {
            let found = sizes(&format!("imix({letters})")).remove(0);
            let back: String = found
                .iter()
                .map(|size| LETTERS.iter().find(|(_, it)| it == size).unwrap().0)
                .collect();
            prop_assert_eq!(back, letters);
        }
    }
}
