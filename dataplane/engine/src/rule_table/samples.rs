//! Rules and keys that often meet, and tables of them.

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Match, RuleTable, TableRule};
use crate::flow_key::{Addresses, FlowKey};
use crate::keys::Keys;
use crate::rule::{Direction, FilterRule, PortRange, RuleAction, TCP, UDP};
use crate::units::{FilterIndex, RuleIndex, SessionIndex};

/// The rules in their places, four to a session.
pub(super) fn entries(rules: &[FilterRule]) -> Vec<TableRule<'_>> {
    let entry =
        |(at, rule)| TableRule { session: SessionIndex(at / 4), index: RuleIndex(at), rule };
    (0..).zip(rules).map(entry).collect()
}

/// The keys by columns.
pub(super) fn columns(keys: &[FlowKey]) -> Keys {
    let mut columns = Keys::default();
    keys.iter().enumerate().for_each(|(at, key)| columns.set(at, key));
    columns
}

/// What is found for these packets.
pub(super) fn found<T: RuleTable>(table: &T, keys: &Keys, which: &[u8]) -> Vec<Match> {
    let mut matches = vec![Match(7777); which.len()];
    table.classify(keys, which, &mut matches);
    matches
}

fn net() -> impl Strategy<Value = (IpNet, IpNet)> {
    // Few distinct addresses and lengths, so that rules and packets often meet.
    let v4 = || {
        (0u32..4, prop::sample::select(vec![0u8, 1, 30, 31, 32])).prop_map(|(address, len)| {
            IpNet::V4(ipnet::Ipv4Net::new(address.into(), len).unwrap().trunc())
        })
    };
    let v6 = || {
        (0u128..4, prop::sample::select(vec![0u8, 1, 126, 127, 128])).prop_map(|(address, len)| {
            IpNet::V6(ipnet::Ipv6Net::new(address.into(), len).unwrap().trunc())
        })
    };
    prop_oneof![(v4(), v4()), (v6(), v6())]
}

fn ports() -> impl Strategy<Value = Option<PortRange>> {
    prop::option::of(prop_oneof![
        Just(PortRange::ALL),
        (0u16..4, 0u16..4).prop_map(|(a, b)| PortRange { from: a.min(b), to: a.max(b) }),
        (65_532u16..=65_535).prop_map(|from| PortRange { from, to: 65_535 }),
    ])
}

prop_compose! {
    /// A rule.
    pub(super) fn rule()(
        (source, destination) in net(),
        protocol in prop::sample::select(vec![None, Some(0), Some(TCP), Some(UDP), Some(1)]),
        source_ports in ports(),
        destination_ports in ports(),
        accept: bool,
    ) -> FilterRule {
        let has_ports = matches!(protocol, Some(TCP | UDP));
        FilterRule {
            id: String::new(),
            filter: FilterIndex(0),
            direction: Direction::Ingress,
            number: 1,
            action: if accept { RuleAction::Accept } else { RuleAction::Reject },
            source,
            destination,
            protocol,
            source_ports: source_ports.filter(|_| has_ports),
            destination_ports: destination_ports.filter(|_| has_ports),
        }
    }
}

/// A key that rules often match.
pub(super) fn key() -> impl Strategy<Value = FlowKey> {
    let port = || prop_oneof![0u16..5, 65_531u16..=65_535];
    (
        prop_oneof![
            (0u32..5, 0u32..5)
                .prop_map(|(src, dst)| Addresses::V4 { src: src.into(), dst: dst.into() }),
            (0u128..5, 0u128..5)
                .prop_map(|(src, dst)| Addresses::V6 { src: src.into(), dst: dst.into() }),
        ],
        prop::option::of((port(), port())),
        prop::sample::select(vec![None, Some(0), Some(TCP), Some(UDP), Some(1)]),
    )
        .prop_map(|(addresses, ports, protocol)| {
            let ports = ports.map(|(s, d)| (u32::from(s) << 16 | u32::from(d)).to_be_bytes());
            FlowKey::new(addresses, protocol, ports, None)
        })
}
