//! Interfaces by link-layer address, for the frames of a port whose interfaces addresses tell apart.

use crate::conditions::Masked;
use crate::source::Source;

/// So many addresses are compared one after the other with many frames at once.
pub const ADDRESSES_MAX: usize = 64;

/// The start of a frame: both addresses and four bytes more, which make four words.
pub(crate) type Start = [u8; 16];

/// Whom an address belongs to.
#[derive(Debug, Clone, Copy)]
pub struct AddressOwners {
    /// What the first two words of a frame to it are.
    pub(crate) to: [Masked; 2],
    /// What the second and third word of a frame from it are.
    pub(crate) from: [Masked; 2],
    pub(crate) egress: Source,
    pub(crate) ingress: Source,
}

impl AddressOwners {
    /// The address as a number; whose egress a frame from it is; whose ingress a frame to it is.
    pub fn new(address: u64, egress: Source, ingress: Source) -> Self {
        Self { to: masked(0, address), from: masked(6, address), egress, ingress }
    }
}

/// The two words of a frame in which an address stands at a byte.
fn masked(at: usize, address: u64) -> [Masked; 2] {
    let (mut value, mut mask) = ([0; 12], [0; 12]);
    value[at..at + 6].copy_from_slice(&address.to_le_bytes()[..6]);
    mask[at..at + 6].fill(0xff);
    let word = |bytes: &[u8; 12], at: usize| u32::from_ne_bytes(bytes.as_chunks().0[at]);
    [at / 4, at / 4 + 1].map(|at| Masked { value: word(&value, at), mask: word(&mask, at) })
}

/// Addresses, each of which is there once.
#[derive(Debug, Clone)]
pub struct AddressTable {
    pub(crate) owners: Box<[AddressOwners]>,
}

impl AddressTable {
    /// A table of these addresses; `None` when they are more than [`ADDRESSES_MAX`]. Thread: publisher.
    pub fn new(all: impl ExactSizeIterator<Item = AddressOwners>) -> Option<Self> {
        (all.len() <= ADDRESSES_MAX).then(|| Self { owners: all.collect() })
    }

    /// The egress of one interface and the ingress of another or (on a span) the same: the sources of
    /// a frame that starts so.
    pub(crate) fn sources(&self, start: &Start) -> [Source; 2] {
        let (words, _) = start.as_chunks();
        let word = |at: usize| u32::from_ne_bytes(words[at]);
        let is = |first: usize, [one, other]: [Masked; 2]| {
            one.matches(word(first)) && other.matches(word(first + 1))
        };
        let from = self.owners.iter().find(|owners| is(1, owners.from));
        let to = self.owners.iter().find(|owners| is(0, owners.to));
        [
            from.map_or(Source::NONE, |owners| owners.egress),
            to.map_or(Source::NONE, |owners| owners.ingress),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Direction;
    use crate::units::{InterfaceIndex, Mac};

    fn mac(n: u16) -> Mac {
        let [high, low] = n.to_be_bytes();
        Mac([low, high, 2, high, 7, low])
    }

    fn egress(n: u16) -> Source {
        Source::new(InterfaceIndex(n), Direction::Egress)
    }

    fn ingress(n: u16) -> Source {
        Source::new(InterfaceIndex(n), Direction::Ingress)
    }

    fn table(count: u16) -> Option<AddressTable> {
        AddressTable::new(
            (0..count).map(|n| AddressOwners::new(mac(n).as_u64(), egress(n), ingress(n))),
        )
    }

    fn start(src: Mac, dst: Mac) -> Start {
        [&dst.0[..], &src.0, &[8, 0, 0x45, 0]].concat().try_into().unwrap()
    }

    #[test]
    fn each_address_is_found_in_its_direction_and_no_other() {
        const MAX: u16 = ADDRESSES_MAX as u16;
        let table = table(MAX).expect("so many fit");
        let sources = |src, dst| table.sources(&start(mac(src), mac(dst)));
        for n in 0..MAX {
            assert_eq!(sources(n, n), [egress(n), ingress(n)]);
            assert_eq!(sources(n, MAX + n), [egress(n), Source::NONE]);
            assert_eq!(sources(MAX + n, n), [Source::NONE, ingress(n)]);
        }
        assert_eq!(table.sources(&[0xff; 16]), [Source::NONE; 2]);
    }

    #[test]
    fn every_byte_of_an_address_counts() {
        let table = table(1).unwrap();
        for at in 0..12 {
            let mut other = start(mac(0), mac(0));
            other[at] ^= 0x10;
            let expected =
                if at < 6 { [egress(0), Source::NONE] } else { [Source::NONE, ingress(0)] };
            assert_eq!(table.sources(&other), expected, "byte {at}");
        }
    }

    #[test]
    fn more_addresses_have_no_table() {
        assert!(table(ADDRESSES_MAX as u16 + 1).is_none());
    }
}
