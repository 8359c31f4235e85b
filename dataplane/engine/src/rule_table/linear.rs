//! The linear table: rule after rule until one matches. The oracle of every faster one.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Match, RuleTable, TableRule, Verdict};
use crate::flow_key::{FlowKey, HAS_PORTS, NO_PROTOCOL, halves};
use crate::rule::{FilterRule, PortRange};

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
///
/// Addresses and the other conditions of a rule stand apart too: most rules are done with after one
/// comparison of addresses. A condition that a rule does not have is one that every packet fulfils
/// (mask 0, all ports).
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    /// One word: source address in the upper half, destination in the lower.
    v4: Rules<1, 4>,
    /// Four words: halves of the source address, then of the destination.
    v6: Rules<4, 2>,
    verdicts: Vec<Verdict>,
}

/// Rules whose addresses are `WORDS` words. `SIZE` of them are compared together: their addresses
/// stand in columns, which the compiler turns into vectors.
#[derive(Debug, Clone, Default)]
struct Rules<const WORDS: usize, const SIZE: usize> {
    groups: Vec<Group<WORDS, SIZE>>,
    len: usize,
}

/// Masks and addresses by word, then by rule.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Group<const WORDS: usize, const SIZE: usize> {
    masks: [[u64; SIZE]; WORDS],
    addresses: [[u64; SIZE]; WORDS],
    rest: [(Layer4, Match); SIZE],
}

/// Protocol and port conditions of a rule.
#[derive(Debug, Clone, Copy)]
struct Layer4 {
    class: u16,
    class_mask: u16,
    src_from: u16,
    src_span: u16,
    dst_from: u16,
    dst_span: u16,
}

impl Layer4 {
    const ANY: Self = Self {
        class: 0,
        class_mask: 0,
        src_from: 0,
        src_span: u16::MAX,
        dst_from: 0,
        dst_span: u16::MAX,
    };

    fn of(rule: &FilterRule) -> Self {
        let has_ports = rule.source_ports.is_some() || rule.destination_ports.is_some();
        let (class, class_mask) = match (rule.protocol, has_ports) {
            (None, false) => (0, 0),
            (None, true) => (HAS_PORTS, HAS_PORTS),
            (Some(protocol), false) => (protocol.into(), NO_PROTOCOL | 0xff),
            (Some(protocol), true) => {
                (u16::from(protocol) | HAS_PORTS, NO_PROTOCOL | HAS_PORTS | 0xff)
            }
        };
        let src = rule.source_ports.unwrap_or(PortRange::ALL);
        let dst = rule.destination_ports.unwrap_or(PortRange::ALL);
        Self {
            class,
            class_mask,
            src_from: src.from,
            src_span: src.to.wrapping_sub(src.from),
            dst_from: dst.from,
            dst_span: dst.to.wrapping_sub(dst.from),
        }
    }

    #[inline]
    fn matches(&self, key: &FlowKey) -> bool {
        ((key.class() ^ self.class) & self.class_mask == 0)
            & (key.src_port().wrapping_sub(self.src_from) <= self.src_span)
            & (key.dst_port().wrapping_sub(self.dst_from) <= self.dst_span)
    }
}

impl RuleTable for LinearTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        let mut table =
            Self { verdicts: rules.iter().map(Verdict::from).collect(), ..Self::default() };
        for (place, &TableRule { rule, .. }) in rules.iter().enumerate() {
            let found = Match(place as u32);
            let rest = (Layer4::of(rule), found);
            match (rule.source, rule.destination) {
                (IpNet::V4(src), IpNet::V4(dst)) => {
                    let join = |src: Ipv4Addr, dst: Ipv4Addr| {
                        u64::from(u32::from(src)) << 32 | u64::from(u32::from(dst))
                    };
                    let mask = join(src.netmask(), dst.netmask());
                    table.v4.push([join(src.network(), dst.network())], [mask], rest);
                }
                (IpNet::V6(src), IpNet::V6(dst)) => {
                    let join = |src: Ipv6Addr, dst: Ipv6Addr| {
                        let ([a, b], [c, d]) = (halves(src.into()), halves(dst.into()));
                        [a, b, c, d]
                    };
                    let mask = join(src.netmask(), dst.netmask());
                    table.v6.push(join(src.network(), dst.network()), mask, rest);
                }
                // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
                _ => {}
            }
        }
        table
    }

    fn classify(&self, keys: &[FlowKey], which: &[u8], matches: &mut [Match]) {
        for (&place, found) in which.iter().zip(matches) {
            let key = &keys[usize::from(place)];
            let [[a, b], [c, d]] = key.address_halves();
            *found = if key.is_v6() {
                self.v6.first([a, b, c, d], key)
            } else {
                self.v4.first([b << 32 | d], key)
            };
        }
    }

    #[inline]
    fn verdict(&self, found: Match) -> Option<&Verdict> {
        self.verdicts.get(found.0 as usize)
    }
}

impl<const WORDS: usize, const SIZE: usize> Group<WORDS, SIZE> {
    /// No packet matches: nothing masked by 0 is 1.
    const NONE: Self = Self {
        masks: [[0; SIZE]; WORDS],
        addresses: [[1; SIZE]; WORDS],
        rest: [(Layer4::ANY, Match::NONE); SIZE],
    };

    /// A bit for each rule whose addresses match, the first rule's lowest.
    #[inline]
    fn matching(&self, packet: [u64; WORDS]) -> u8 {
        let mut differs = [0; SIZE];
        for ((word, masks), addresses) in packet.iter().zip(&self.masks).zip(&self.addresses) {
            for ((differs, mask), address) in differs.iter_mut().zip(masks).zip(addresses) {
                *differs |= word & mask ^ address;
            }
        }
        let bits = differs.iter().enumerate();
        bits.fold(0, |bits, (at, &differs)| bits | u8::from(differs == 0) << at)
    }
}

impl<const WORDS: usize, const SIZE: usize> Rules<WORDS, SIZE> {
    fn push(&mut self, address: [u64; WORDS], mask: [u64; WORDS], rest: (Layer4, Match)) {
        let at = self.len % SIZE;
        if at == 0 {
            self.groups.push(Group::NONE);
        }
        if let Some(group) = self.groups.last_mut() {
            for word in 0..WORDS {
                group.masks[word][at] = mask[word];
                group.addresses[word][at] = address[word];
            }
            group.rest[at] = rest;
        }
        self.len += 1;
    }

    /// The first rule whose addresses and other conditions match.
    #[inline]
    fn first(&self, packet: [u64; WORDS], key: &FlowKey) -> Match {
        for group in &self.groups {
            // Nearly always none matches, and one branch is enough to know it.
            let mut left = group.matching(packet);
            while left != 0 {
                let (layer4, found) = &group.rest[left.trailing_zeros() as usize % SIZE];
                if layer4.matches(key) {
                    return *found;
                }
                left &= left - 1;
            }
        }
        Match::NONE
    }
}

#[cfg(test)]
mod tests;
