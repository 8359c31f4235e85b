//! The linear table: rule after rule until one matches. The oracle of every faster one.

use ipnet::IpNet;

use super::{RuleTable, TableRule, Verdict};
use crate::flow_key::{Addresses, FlowKey};
use crate::rule::{PortRange, RuleAction};

/// Set in a packet's class when it shows ports.
const HAS_PORTS: u16 = 0x100;
/// Set in a packet's class when it has no layer 4.
const NO_PROTOCOL: u16 = 0x200;

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
///
/// A condition that a rule does not have is one that every packet fulfils (mask 0, all ports), so
/// that each rule costs one branch.
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
}

#[derive(Debug, Clone)]
struct Entry<A> {
    src: A,
    src_mask: A,
    dst: A,
    dst_mask: A,
    layer4: Layer4,
    verdict: Verdict,
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

/// The same fields of a packet.
#[derive(Debug, Clone, Copy)]
struct PacketLayer4 {
    class: u16,
    src_port: u16,
    dst_port: u16,
}

impl Layer4 {
    fn of(rule: &crate::rule::FilterRule) -> Self {
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

    fn matches(&self, packet: PacketLayer4) -> bool {
        ((packet.class ^ self.class) & self.class_mask == 0)
            & (packet.src_port.wrapping_sub(self.src_from) <= self.src_span)
            & (packet.dst_port.wrapping_sub(self.dst_from) <= self.dst_span)
    }
}

impl PacketLayer4 {
    fn of(key: &FlowKey) -> Self {
        let (ports_class, (src_port, dst_port)) = match key.ports {
            Some(ports) => (HAS_PORTS, ports),
            None => (0, (0, 0)),
        };
        Self {
            class: key.protocol.map_or(NO_PROTOCOL, u16::from) | ports_class,
            src_port,
            dst_port,
        }
    }
}

impl RuleTable for LinearTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        let mut table = Self::default();
        for &TableRule { session, index, rule } in rules {
            let verdict = match rule.action {
                RuleAction::Accept => Verdict::Accept { session, rule: index },
                RuleAction::Reject => Verdict::Reject { session, rule: index },
            };
            let layer4 = Layer4::of(rule);
            match (rule.source, rule.destination) {
                (IpNet::V4(src), IpNet::V4(dst)) => table.v4.push(Entry {
                    src: src.network().into(),
                    src_mask: src.netmask().into(),
                    dst: dst.network().into(),
                    dst_mask: dst.netmask().into(),
                    layer4,
                    verdict,
                }),
                (IpNet::V6(src), IpNet::V6(dst)) => table.v6.push(Entry {
                    src: src.network().into(),
                    src_mask: src.netmask().into(),
                    dst: dst.network().into(),
                    dst_mask: dst.netmask().into(),
                    layer4,
                    verdict,
                }),
                // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
                _ => {}
            }
        }
        table
    }

    fn classify(&self, keys: &[FlowKey], verdicts: &mut [Verdict]) {
        for (key, verdict) in keys.iter().zip(verdicts) {
            let layer4 = PacketLayer4::of(key);
            *verdict = match key.addresses {
                Addresses::V4 { src, dst } => first(&self.v4, |rule| {
                    ((src ^ rule.src) & rule.src_mask) | ((dst ^ rule.dst) & rule.dst_mask) == 0
                        && rule.layer4.matches(layer4)
                }),
                Addresses::V6 { src, dst } => first(&self.v6, |rule| {
                    ((src ^ rule.src) & rule.src_mask) | ((dst ^ rule.dst) & rule.dst_mask) == 0
                        && rule.layer4.matches(layer4)
                }),
            };
        }
    }
}

/// The verdict of the first entry that matches.
fn first<A>(entries: &[Entry<A>], matches: impl Fn(&Entry<A>) -> bool) -> Verdict {
    entries.iter().find(|entry| matches(entry)).map_or(Verdict::NoMatch, |entry| entry.verdict)
}

#[cfg(test)]
mod tests;
