//! Source attribution: which interfaces a received frame belongs to, and in which direction.
//!
//! On a link, what an interface's port receives is its egress and what the other port receives its
//! ingress; addresses and a VLAN narrow that down. On a span both directions arrive on one port and
//! only addresses tell them apart. At most one interface claims a frame in each direction: the
//! configuration is refused otherwise ([`Claims::add`]).

use std::collections::BTreeSet;

use crate::address_table::{AddressOwners, AddressTable};
use crate::rule::Direction;
use crate::source::Source;
use crate::units::{InterfaceIndex, Mac, VlanId};
use crate::wire::ethernet;

/// Who claims the frames that one port receives.
#[derive(Debug, Clone, Default)]
pub struct PortSources {
    /// By source address: interfaces that sent the frame.
    pub egress: Claims,
    /// By destination address: interfaces that the frame goes to.
    pub ingress: Claims,
    /// Both, where addresses alone decide; made of them by [`PortSources::compile`].
    by_address: Option<AddressTable>,
}

/// What decides about a port's frames, from the least work to the most.
#[derive(Debug, Clone, Copy)]
pub enum Attribution<'a> {
    /// Nothing: all frames have these sources.
    Whole([Source; 2]),
    /// The addresses alone, and they are few.
    Addresses(&'a AddressTable),
    /// Addresses and VLAN.
    AddressesAndVlan,
}

impl PortSources {
    /// Makes ready for frames what has been claimed. Without it all is the same, but slower.
    /// Thread: publisher.
    pub fn compile(&mut self) {
        self.by_address = None;
        if self.egress.has_addresses_only() && self.ingress.has_addresses_only() {
            let claims = self.egress.all.iter().chain(&self.ingress.all);
            let addresses: BTreeSet<u64> = claims.map(|&(mac, ..)| address(mac)).collect();
            self.by_address = AddressTable::new(addresses.into_iter().map(|address| {
                let egress = self.egress.by_key.get(address).seen(Direction::Egress);
                AddressOwners::new(address, egress, self.ingress.by_key.get(address))
            }));
        }
    }

    /// What decides. Looked up once per burst.
    #[inline]
    pub fn attribution(&self) -> Attribution<'_> {
        if self.egress.is_whole_or_none() && self.ingress.is_whole_or_none() {
            Attribution::Whole(self.sources(&[], 0))
        } else {
            self.by_address.as_ref().map_or(Attribution::AddressesAndVlan, Attribution::Addresses)
        }
    }

    /// The at most two sources of a frame that starts with `head` and whose outermost VLAN is `vid`
    /// (0 for none): the egress of one interface, then the ingress of another or (on a span) the same.
    #[inline]
    pub fn sources(&self, head: &[u8], vid: u16) -> [Source; 2] {
        let egress = self.egress.find(ethernet::src_bits(head), vid).seen(Direction::Egress);
        [egress, self.ingress.find(ethernet::dst_bits(head), vid)]
    }
}

/// The claims of one port in one direction.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// By address and VLAN, either of which may be 0 for any.
    by_key: KeyTable,
    /// Some claim has no address.
    has_any_mac: bool,
    /// Some claim has a VLAN.
    has_vlan: bool,
    /// All frames are this interface's.
    whole: Source,
    all: Vec<(Option<Mac>, Option<VlanId>, InterfaceIndex)>,
}

impl Claims {
    /// Adds a claim on all frames with this address (any when `None`) and VLAN (any when `None`).
    /// Errors: the interface that already claims some of these frames; nothing is added.
    pub fn add(
        &mut self,
        mac: Option<Mac>,
        vlan: Option<VlanId>,
        interface: InterfaceIndex,
    ) -> Result<(), InterfaceIndex> {
        let overlaps = |other_mac: Option<Mac>, other_vlan: Option<VlanId>| {
            (mac.is_none() || other_mac.is_none() || mac == other_mac)
                && (vlan.is_none() || other_vlan.is_none() || vlan == other_vlan)
        };
        if let Some(&(.., owner)) = self.all.iter().find(|&&(mac, vlan, _)| overlaps(mac, vlan)) {
            return Err(owner);
        }
        self.all.push((mac, vlan, interface));
        self.has_any_mac |= mac.is_none();
        self.has_vlan |= vlan.is_some();
        if mac.is_none() && vlan.is_none() {
            self.whole = Source::new(interface, Direction::Ingress);
        }
        let vid = vlan.map_or(0, VlanId::value);
        let source = Source::new(interface, Direction::Ingress);
        self.by_key.insert(key(address(mac), vid), source);
        Ok(())
    }

    /// All frames are one interface's, or none is anybody's.
    fn is_whole_or_none(&self) -> bool {
        self.whole.is_some() || self.all.is_empty()
    }

    /// No claim is on all addresses or on a VLAN.
    fn has_addresses_only(&self) -> bool {
        !(self.has_vlan | self.has_any_mac)
    }

    /// Who claims a frame with this address (`None` when it is too short for one) and VLAN.
    #[inline]
    fn find(&self, mac: Option<u64>, vid: u16) -> Source {
        // A claim on everything is the only one there can be.
        if self.is_whole_or_none() {
            self.whole
        } else if self.has_vlan | self.has_any_mac {
            self.look_up(mac, vid)
        } else {
            mac.map_or(Source::NONE, |mac| self.by_key.get(key(mac, 0)))
        }
    }

    fn look_up(&self, mac: Option<u64>, vid: u16) -> Source {
        let with_vlan = |mac: u64| {
            let narrowed = if vid == 0 { Source::NONE } else { self.by_key.get(key(mac, vid)) };
            if narrowed.is_some() { narrowed } else { self.by_key.get(key(mac, 0)) }
        };
        match (with_vlan(0), mac) {
            (Source::NONE, Some(mac)) if mac != 0 => with_vlan(mac),
            (any, _) => any,
        }
    }
}

/// The zero address stands for any, and is nobody's own.
fn address(mac: Option<Mac>) -> u64 {
    mac.unwrap_or_default().as_u64()
}

#[inline]
fn key(mac: u64, vid: u16) -> u64 {
    mac | u64::from(vid) << 48
}

/// A hash table of a few keys for very many lookups: open addressing, at most a quarter full, so
/// that one look settles nearly every lookup. Keys are 60 bits, and an attacker gains nothing by
/// choosing them, because the table holds only what the operator configured.
#[derive(Debug, Clone)]
struct KeyTable {
    /// None or a power of two of them; [`KeyTable::FREE`] marks those without a key.
    slots: Vec<(u64, Source)>,
    /// How far down a hash goes to be a place.
    shift: u32,
    len: usize,
}

impl Default for KeyTable {
    fn default() -> Self {
        Self { slots: Vec::new(), shift: u64::BITS - 1, len: 0 }
    }
}

impl KeyTable {
    const FREE: u64 = u64::MAX;

    fn insert(&mut self, key: u64, source: Source) {
        if (self.len + 1) * 4 > self.slots.len() {
            let len = (self.slots.len() * 2).max(8);
            let empty = vec![(Self::FREE, Source::NONE); len];
            let old = core::mem::replace(&mut self.slots, empty);
            self.shift = u64::BITS - len.ilog2();
            for (key, source) in old.into_iter().filter(|slot| slot.0 != Self::FREE) {
                self.place(key, source);
            }
        }
        self.place(key, source);
        self.len += 1;
    }

    fn place(&mut self, key: u64, source: Source) {
        let mut at = self.start(key);
        while self.slots[at].0 != Self::FREE && self.slots[at].0 != key {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = (key, source);
    }

    #[inline]
    fn get(&self, key: u64) -> Source {
        let mut at = self.start(key);
        // An empty table has no slot at all.
        while let Some(&(found, source)) = self.slots.get(at) {
            if found == key || found == Self::FREE {
                return source;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        Source::NONE
    }

    #[inline]
    fn start(&self, key: u64) -> usize {
        // The uppermost bits of the product depend on every bit of the key.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: InterfaceIndex = InterfaceIndex(0);
    const B: InterfaceIndex = InterfaceIndex(1);
    const A_OUT: Source = Source::new(A, Direction::Egress);
    const MAC_A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    const MAC_B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    fn vlan(id: u16) -> Option<VlanId> {
        VlanId::try_from(id).ok()
    }

    fn frame(dst: Mac, src: Mac) -> Vec<u8> {
        [dst.0, src.0].concat()
    }

    #[test]
    fn a_whole_port_claims_even_an_empty_frame() {
        let mut sources = PortSources::default();
        assert_eq!(sources.egress.add(None, None, A), Ok(()));
        assert_eq!(sources.sources(&[], 0), [A_OUT, Source::NONE]);
        assert_eq!(sources.sources(&[], 7), [A_OUT, Source::NONE]);
    }

    #[test]
    fn a_span_evaluates_both_ends_and_one_interface_once() {
        let mut sources = PortSources::default();
        for (mac, interface) in [(MAC_A, A), (MAC_B, B)] {
            assert_eq!(sources.egress.add(Some(mac), None, interface), Ok(()));
            assert_eq!(sources.ingress.add(Some(mac), None, interface), Ok(()));
        }
        let to_b = sources.sources(&frame(MAC_B, MAC_A), 0);
        assert_eq!(to_b, [A_OUT, Source::new(B, Direction::Ingress)]);
        let to_self = sources.sources(&frame(MAC_A, MAC_A), 0);
        assert_eq!(to_self, [A_OUT, Source::new(A, Direction::Ingress)]);
        assert_eq!(to_self[1].unless_same_interface(to_self[0]), Source::NONE);
        assert_eq!(to_b[1].unless_same_interface(to_b[0]), to_b[1]);
        let broadcast = sources.sources(&frame(Mac([0xff; 6]), MAC_B), 0);
        assert_eq!(broadcast, [Source::new(B, Direction::Egress), Source::NONE]);
        assert_eq!(sources.sources(&frame(MAC_A, MAC_B)[..11], 0)[0], Source::NONE);
    }

    #[test]
    fn a_vlan_narrows_and_vid_0_is_untagged() {
        let mut claims = Claims::default();
        assert_eq!(claims.add(None, vlan(1), A), Ok(()));
        assert_eq!(claims.add(None, vlan(2), B), Ok(()));
        assert_eq!(claims.find(None, 1), Source::new(A, Direction::Ingress));
        assert_eq!(claims.find(None, 2), Source::new(B, Direction::Ingress));
        assert_eq!(claims.find(None, 3), Source::NONE);
        assert_eq!(claims.find(None, 0), Source::NONE);
    }

    #[test]
    fn overlapping_claims_are_refused() {
        let mut claims = Claims::default();
        assert_eq!(claims.add(Some(MAC_A), vlan(1), A), Ok(()));
        assert_eq!(claims.add(Some(MAC_A), vlan(2), B), Ok(()));
        assert_eq!(claims.add(Some(MAC_A), None, B), Err(A));
        assert_eq!(claims.add(None, vlan(2), A), Err(B));
        assert_eq!(claims.add(Some(MAC_B), None, B), Ok(()));
        assert_eq!(claims.add(None, None, A), Err(A));
    }

    #[test]
    fn a_thousand_addresses_are_each_found_and_no_other() {
        let mac = |n: u16| Mac([2, 0, 0, 0, (n >> 8) as u8, n as u8]);
        let mut claims = Claims::default();
        for n in 0..1000 {
            assert_eq!(claims.add(Some(mac(2 * n)), None, InterfaceIndex(n)), Ok(()));
        }
        for n in 0..1000 {
            let source = Source::new(InterfaceIndex(n), Direction::Ingress);
            assert_eq!(claims.find(Some(mac(2 * n).as_u64()), 5), source);
            assert_eq!(claims.find(Some(mac(2 * n + 1).as_u64()), 5), Source::NONE);
        }
    }

    #[test]
    fn the_zero_address_is_nobodys() {
        let mut claims = Claims::default();
        assert_eq!(claims.add(Some(MAC_A), None, A), Ok(()));
        assert_eq!(claims.find(Some(0), 0), Source::NONE);
    }
}
