//! The linear table: rule after rule until one matches. The oracle of every faster one.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Match, RuleTable, TableRule, Verdict};
use crate::flow_key::{FlowKey, HAS_PORTS, NO_PROTOCOL, halves};
use crate::rule::{FilterRule, PortRange};

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
///
/// Addresses and the other conditions of a rule stand apart too: most rules are done with after one
/// comparison of addresses, and those lie densely. A condition that a rule does not have is one that
/// every packet fulfils (mask 0, all ports).
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    /// Source address in the upper half, destination in the lower.
    v4: Rules<u64>,
    /// Halves of the source address, then of the destination.
    v6: Rules<[u64; 4]>,
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Clone, Default)]
struct Rules<A> {
    /// Addresses and their mask.
    addresses: Vec<(A, A)>,
    rest: Vec<(Layer4, Match)>,
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
            let rest = (Layer4::of(rule), found);
            match (rule.source, rule.destination) {
                (IpNet::V4(src), IpNet::V4(dst)) => {
                    let join = |src: Ipv4Addr, dst: Ipv4Addr| {
                        u64::from(u32::from(src)) << 32 | u64::from(u32::from(dst))
                    };
                    let mask = join(src.netmask(), dst.netmask());
                    table.v4.addresses.push((join(src.network(), dst.network()), mask));
                    table.v4.rest.push(rest);
                }
                (IpNet::V6(src), IpNet::V6(dst)) => {
                    let join = |src: Ipv6Addr, dst: Ipv6Addr| {
                        let ([a, b], [c, d]) = (halves(src.into()), halves(dst.into()));
                        [a, b, c, d]
                    };
                    let mask = join(src.netmask(), dst.netmask());
                    table.v6.addresses.push((join(src.network(), dst.network()), mask));
                    table.v6.rest.push(rest);
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
                self.v6.first(key, |(rule, mask)| {
                    let differs = ((a ^ rule[0]) & mask[0])
                        | ((b ^ rule[1]) & mask[1])
                        | ((c ^ rule[2]) & mask[2])
                        | ((d ^ rule[3]) & mask[3]);
                    differs == 0
                })
            } else {
                let packet = b << 32 | d;
                self.v4.first(key, |(rule, mask)| (packet ^ rule) & mask == 0)
            };
        }
    }

    #[inline]
    fn verdict(&self, found: Match) -> Option<Verdict> {
        self.verdicts.get(found.0 as usize).copied()
    }
}

impl<A> Rules<A> {
    /// The first rule whose addresses and other conditions match.
    #[inline]
    fn first(&self, key: &FlowKey, addresses_match: impl Fn(&(A, A)) -> bool) -> Match {
        let settles = |place: usize| {
            let (layer4, found) = &self.rest[place];
            (addresses_match(&self.addresses[place]) && layer4.matches(key)).then_some(*found)
        };
        let (fours, rest) = self.addresses.as_chunks::<4>();
        let mut place = 0;
        for [a, b, c, d] in fours {
            // Nearly always none of four matches, and one branch is enough to know it.
            let any =
                addresses_match(a) | addresses_match(b) | addresses_match(c) | addresses_match(d);
            if any && let Some(found) = (place..place + 4).find_map(settles) {
                return found;
            }
            place += 4;
        }
        (place..place + rest.len()).find_map(settles).unwrap_or(Match::NONE)
    }
}

#[cfg(test)]
mod tests;
