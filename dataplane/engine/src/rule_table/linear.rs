//! The linear table: rule after rule until one matches. The oracle of every faster one.

use core::ops::{BitAnd, BitOr, BitXor};

use ipnet::IpNet;

use super::{Match, RuleTable, TableRule, Verdict};
use crate::flow_key::{Addresses, FlowKey, HAS_PORTS, NO_PROTOCOL};
use crate::rule::{FilterRule, PortRange};

/// Keys that are sorted by family at a time.
const CHUNK: usize = 128;

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
///
/// A condition that a rule does not have is one that every packet fulfils (mask 0, all ports), so
/// that each rule costs one branch.
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Clone)]
struct Entry<A> {
    src: A,
    src_mask: A,
    dst: A,
    dst_mask: A,
    layer4: Layer4,
    found: Match,
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
            let layer4 = Layer4::of(rule);
            match (rule.source, rule.destination) {
                (IpNet::V4(src), IpNet::V4(dst)) => table.v4.push(Entry {
                    src: src.network().into(),
                    src_mask: src.netmask().into(),
                    dst: dst.network().into(),
                    dst_mask: dst.netmask().into(),
                    layer4,
                    found,
                }),
                (IpNet::V6(src), IpNet::V6(dst)) => table.v6.push(Entry {
                    src: src.network().into(),
                    src_mask: src.netmask().into(),
                    dst: dst.network().into(),
                    dst_mask: dst.netmask().into(),
                    layer4,
                    found,
                }),
                // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
                _ => {}
            }
        }
        table
    }

    fn classify(&self, keys: &[FlowKey], which: &[u8], matches: &mut [Match]) {
        for (which, matches) in which.chunks(CHUNK).zip(matches.chunks_mut(CHUNK)) {
            // Families apart first, without a branch, so that none is mispredicted below.
            let (mut v4, mut v6) = ([0u8; CHUNK], [0u8; CHUNK]);
            let (mut v4_len, mut v6_len) = (0, 0);
            for (place, &key) in (0u8..).zip(which) {
                let is_v6 = keys[usize::from(key)].is_v6();
                v4[v4_len] = place;
                v6[v6_len] = place;
                v4_len += usize::from(!is_v6);
                v6_len += usize::from(is_v6);
            }
            for place in v4[..v4_len].iter().map(|&place| usize::from(place)) {
                let key = &keys[usize::from(which[place])];
                let [[_, src], [_, dst]] = key.address_halves();
                matches[place] = first(&self.v4, key, src as u32, dst as u32);
            }
            for place in v6[..v6_len].iter().map(|&place| usize::from(place)) {
                let key = &keys[usize::from(which[place])];
                let Addresses::V6 { src, dst } = key.addresses() else { continue };
                matches[place] = first(&self.v6, key, src, dst);
            }
        }
    }

    #[inline]
    fn verdict(&self, found: Match) -> Option<Verdict> {
        self.verdicts.get(found.0 as usize).copied()
    }
}

/// The first entry that matches.
#[inline]
fn first<A>(entries: &[Entry<A>], key: &FlowKey, src: A, dst: A) -> Match
where
    A: Copy + PartialEq + Default + BitXor<Output = A> + BitAnd<Output = A> + BitOr<Output = A>,
{
    let matches = |rule: &&Entry<A>| {
        let differs = ((src ^ rule.src) & rule.src_mask) | ((dst ^ rule.dst) & rule.dst_mask);
        (differs == A::default()) & rule.layer4.matches(key)
    };
    entries.iter().find(matches).map_or(Match::NONE, |entry| entry.found)
}

#[cfg(test)]
mod tests;
