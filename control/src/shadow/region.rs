//! The packets that one rule matches, as a box.

use std::net::{Ipv4Addr, Ipv6Addr};

use engine::flow_key::{Addresses, FlowKey};
use engine::rule::{FilterRule, PortRange, WITH_PORTS};
use ipnet::IpNet;

/// What a packet is told by: class, source, destination, source port, destination port.
pub(super) const DIMENSIONS: usize = 5;
pub(super) const CLASS: usize = 0;
pub(super) const SRC: usize = 1;
pub(super) const DST: usize = 2;
pub(super) const SRC_PORT: usize = 3;
pub(super) const DST_PORT: usize = 4;

/// A packet of one family: a number in each dimension.
pub(super) type Point = [u128; DIMENSIONS];

/// Numbers from..=to; `from <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) from: u128,
    pub(super) to: u128,
}

impl Side {
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    fn cut_to(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// All packets of one family whose numbers lie in the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) is_v6: bool,
    pub(super) sides: [Side; DIMENSIONS],
}

impl Region {
    /// The packets that a rule matches; `None` for a rule that matches none, which no snapshot has.
    pub(super) fn of(rule: &FilterRule) -> Option<Self> {
        let is_v6 = matches!(rule.source, IpNet::V6(_));
        let has_ports = rule.source_ports.is_some() || rule.destination_ports.is_some();
        let (from, to) = match (rule.protocol, has_ports) {
            (None, false) => (class(Some(0), false), last_class(is_v6)),
            (Some(protocol), false) => {
                let shows_ports = WITH_PORTS.contains(&protocol);
                (class(Some(protocol), false), class(Some(protocol), shows_ports))
            }
            (Some(protocol), true) if WITH_PORTS.contains(&protocol) => {
                (class(Some(protocol), true), class(Some(protocol), true))
            }
            (_, true) => return None,
        };
        let ports = |range: Option<PortRange>| {
            let PortRange { from, to } = range.unwrap_or(PortRange::ALL);
            Side { from: from.into(), to: to.into() }
        };
        let is_mixed = is_v6 != matches!(rule.destination, IpNet::V6(_));
        (!is_mixed).then(|| Self {
            is_v6,
            sides: [
                Side { from, to },
                network(rule.source),
                network(rule.destination),
                ports(rule.source_ports),
                ports(rule.destination_ports),
            ],
        })
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.sides.iter().zip(other.sides).all(|(side, other)| side.overlaps(other))
    }

    /// What both have; they overlap.
    pub(super) fn cut_to(&self, other: &Self) -> Self {
        let sides = std::array::from_fn(|at| self.sides[at].cut_to(other.sides[at]));
        Self { is_v6: self.is_v6, sides }
    }

    /// The key of a packet of this family.
    pub(super) fn key(&self, point: Point) -> FlowKey {
        let (src, dst) = (point[SRC], point[DST]);
        let addresses = if self.is_v6 {
            Addresses::V6 { src: Ipv6Addr::from(src), dst: Ipv6Addr::from(dst) }
        } else {
            let v4 = |bits: u128| Ipv4Addr::from(bits as u32);
            Addresses::V4 { src: v4(src), dst: v4(dst) }
        };
        let (protocol, has_ports) = of_class(point[CLASS]);
        let ports = (point[SRC_PORT] as u32) << 16 | point[DST_PORT] as u32;
        FlowKey::new(addresses, protocol, has_ports.then(|| ports.to_be_bytes()), None)
    }
}

/// The addresses of a network, as numbers.
fn network(net: IpNet) -> Side {
    match net {
        IpNet::V4(net) => {
            Side { from: u32::from(net.network()).into(), to: u32::from(net.broadcast()).into() }
        }
        IpNet::V6(net) => Side { from: net.network().into(), to: net.broadcast().into() },
    }
}

/// The number of a protocol and whether its ports are shown. Numbers follow each other by protocol,
/// without ports first, so that what a rule says of both is a range. A protocol that has no ports has
/// one number; last comes what has no layer 4.
fn class(protocol: Option<u8>, has_ports: bool) -> u128 {
    let before = |protocol: u16| {
        let with_ports = WITH_PORTS.iter().filter(|&&it| u16::from(it) < protocol).count();
        u128::from(protocol) + with_ports as u128
    };
    protocol.map_or(before(256), |protocol| before(protocol.into()) + u128::from(has_ports))
}

/// The protocol and whether its ports are shown, of a number.
fn of_class(number: u128) -> (Option<u8>, bool) {
    let all = (0..=u8::MAX).flat_map(|protocol| [(protocol, false), (protocol, true)]);
    let mut real = all.filter(|(protocol, has_ports)| !has_ports || WITH_PORTS.contains(protocol));
    let found = real.nth(number as usize);
    (found.map(|(protocol, _)| protocol), found.is_some_and(|(_, has_ports)| has_ports))
}

/// Only the chain of IPv6 extension headers can be too long for a layer 4.
fn last_class(is_v6: bool) -> u128 {
    if is_v6 { class(None, false) } else { class(Some(u8::MAX), false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbered_without_gaps_and_read_back() {
        let mut next = 0;
        for protocol in 0..=u8::MAX {
            for has_ports in [false, true] {
                if !has_ports || WITH_PORTS.contains(&protocol) {
                    assert_eq!(class(Some(protocol), has_ports), next);
                    assert_eq!(of_class(next), (Some(protocol), has_ports));
                    next += 1;
                }
            }
        }
        assert_eq!((class(None, false), last_class(true)), (next, next));
        assert_eq!(last_class(false), next - 1);
        assert_eq!(of_class(next), (None, false));
    }
}
