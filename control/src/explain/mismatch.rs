//! Why a rule does not match a packet: the first of its conditions that the packet does not fulfil.

use std::fmt;
use std::net::IpAddr;

use engine::flow_key::{Addresses, FlowKey};
use engine::rule::{FilterRule, PortRange};
use ipnet::IpNet;

use super::packet::protocol_name;

/// One end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

/// A condition that is not fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The rule is for the other family.
    Family {
        /// The packet's.
        is_v6: bool,
    },
    /// An address is not in the rule's network.
    Address(End, IpAddr, IpNet),
    /// The protocol is another, or there is none.
    Protocol(Option<u8>, u8),
    /// The rule has ports, and the packet shows none.
    NoPorts,
    /// A port is not in the rule's range.
    Port(End, u16, PortRange),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family { is_v6: true } => write!(f, "the packet is IPv6, the rule for IPv4"),
            Self::Family { is_v6: false } => write!(f, "the packet is IPv4, the rule for IPv6"),
            Self::Address(end, address, net) => write!(f, "{end} {address} is not in {net}"),
            Self::Protocol(Some(found), wanted) => {
                write!(f, "protocol {} is not {}", protocol_name(*found), protocol_name(*wanted))
            }
            Self::Protocol(None, wanted) => {
                write!(f, "the packet has no layer 4, so it is not {}", protocol_name(*wanted))
            }
            Self::NoPorts => write!(f, "the packet shows no ports, and the rule has some"),
            Self::Port(end, port, range) if range.from == range.to => {
                write!(f, "{end} port {port} is not {range}")
            }
            Self::Port(end, port, range) => write!(f, "{end} port {port} is not in {range}"),
        }
    }
}

/// The first condition of a rule that a packet does not fulfil; `None` when it matches. Their order:
/// family, source, destination, protocol, ports.
pub fn mismatch(rule: &FilterRule, key: &FlowKey) -> Option<Mismatch> {
    let (src, dst): (IpAddr, IpAddr) = match key.addresses() {
        Addresses::V4 { src, dst } => (src.into(), dst.into()),
        Addresses::V6 { src, dst } => (src.into(), dst.into()),
    };
    if rule.source.addr().is_ipv6() != key.is_v6() {
        return Some(Mismatch::Family { is_v6: key.is_v6() });
    }
    let ends = [(End::Source, src, rule.source), (End::Destination, dst, rule.destination)];
    if let Some((end, address, net)) = ends.into_iter().find(|(_, it, net)| !net.contains(it)) {
        return Some(Mismatch::Address(end, address, net));
    }
    if let Some(wanted) = rule.protocol.filter(|wanted| key.protocol() != Some(*wanted)) {
        return Some(Mismatch::Protocol(key.protocol(), wanted));
    }
    let ranges = [(End::Source, rule.source_ports), (End::Destination, rule.destination_ports)];
    if ranges.iter().all(|(_, range)| range.is_none()) {
        return None;
    }
    let Some((src_port, dst_port)) = key.ports() else { return Some(Mismatch::NoPorts) };
    ranges.into_iter().zip([src_port, dst_port]).find_map(|((end, range), port)| {
        let range = range.filter(|range| !(range.from..=range.to).contains(&port))?;
        Some(Mismatch::Port(end, port, range))
    })
}
