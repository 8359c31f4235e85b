//! Interfaces by link-layer address, for the frames of a port whose interfaces addresses tell apart.

use core::hint::select_unpredictable;

use crate::source::Source;
use crate::wire::ethernet::{self, ADDRESSES_LEN};

/// Slots of a table. An address has one place: a frame is attributed without a branch on it.
const SLOTS: usize = 1024;
/// Factors that are tried for a table: enough for about 100 addresses.
const TRIES: u64 = 1000;

/// Whom an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressOwners {
    /// The address as a number.
    pub address: u64,
    /// Whose egress a frame from it is.
    pub egress: Source,
    /// Whose ingress a frame to it is.
    pub ingress: Source,
}

/// A hash table without collisions: its factor is looked for until there are none. An attacker gains
/// nothing by choosing addresses, because the table holds only what the operator configured.
#[derive(Debug, Clone)]
pub struct AddressTable {
    slots: Box<[AddressOwners; SLOTS]>,
    factor: u64,
}

/// What no address is: it has more than 48 bits.
const FREE: AddressOwners =
    AddressOwners { address: u64::MAX, egress: Source::NONE, ingress: Source::NONE };

impl AddressTable {
    /// A table of these addresses, each of which is there once; `None` when no factor keeps them
    /// apart, which is to be expected of more than about 100. Thread: publisher.
    pub fn new(all: &[AddressOwners]) -> Option<Self> {
        let mut slots = Box::new([FREE; SLOTS]);
        // Odd, and different in all bits: multiples of the golden ratio.
        let mut factors = (1..=TRIES).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let factor = factors.find(|&factor| {
            slots.fill(FREE);
            all.iter().all(|owners| {
                let slot = &mut slots[place(owners.address, factor)];
                let is_free = slot.address == FREE.address;
                *slot = *owners;
                is_free
            })
        })?;
        Some(Self { slots, factor })
    }

    /// The egress of one interface and the ingress of another or (on a span) the same: the sources of
    /// a frame that begins with these addresses. Cost: about 20 instructions.
    #[inline]
    pub fn sources(&self, addresses: &[u8; ADDRESSES_LEN]) -> [Source; 2] {
        let (dst, src) = ethernet::address_bits(addresses);
        let [from, to] = [src, dst].map(|address| &self.slots[place(address, self.factor)]);
        // Who is among the addresses is as random as the traffic.
        let source = |is_one, source| select_unpredictable(is_one, source, Source::NONE);
        [source(from.address == src, from.egress), source(to.address == dst, to.ingress)]
    }
}

/// The uppermost bits of the product depend on every bit of the address.
#[inline]
fn place(address: u64, factor: u64) -> usize {
    (address.wrapping_mul(factor) >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Direction;
    use crate::units::{InterfaceIndex, Mac};

    fn mac(n: u16) -> Mac {
        Mac([2, 0, 0, 0, (n >> 8) as u8, n as u8])
    }

    fn table(count: u16) -> Option<AddressTable> {
        let owners = |n| AddressOwners {
            address: mac(n).as_u64(),
            egress: Source::new(InterfaceIndex(n), Direction::Egress),
            ingress: Source::new(InterfaceIndex(n), Direction::Ingress),
        };
        AddressTable::new(&(0..count).map(owners).collect::<Vec<_>>())
    }

    fn sources(table: &AddressTable, src: u16, dst: u16) -> [Source; 2] {
        let mut addresses = [0; ADDRESSES_LEN];
        addresses[..6].copy_from_slice(&mac(dst).0);
        addresses[6..].copy_from_slice(&mac(src).0);
        table.sources(&addresses)
    }

    #[test]
    fn each_address_is_found_in_its_direction_and_no_other() {
        let table = table(90).expect("so many can be kept apart");
        for n in 0..90 {
            let egress = Source::new(InterfaceIndex(n), Direction::Egress);
            let ingress = Source::new(InterfaceIndex(n), Direction::Ingress);
            assert_eq!(sources(&table, n, n), [egress, ingress]);
            assert_eq!(sources(&table, n, 90 + n), [egress, Source::NONE]);
            assert_eq!(sources(&table, 90 + n, n), [Source::NONE, ingress]);
        }
        assert_eq!(table.sources(&[0xff; ADDRESSES_LEN]), [Source::NONE; 2]);
    }

    #[test]
    fn more_addresses_than_slots_have_no_table() {
        assert!(table(SLOTS as u16 + 1).is_none());
    }
}
