//! Interfaces by link-layer address, for the frames of a port whose interfaces addresses tell apart.

use crate::conditions::Masked;
use crate::source::Source;

/// So many addresses are compared one after the other with many frames at once: with more, a hash table
/// is quicker.
pub const ADDRESSES_MAX: usize = 16;

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
}
