use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::flow_key::Addresses;
use crate::rule::{Direction, FilterRule, PortRange, RuleAction, TCP, UDP};
use crate::units::{FilterIndex, RuleIndex, SessionIndex};

/// The definition, condition by condition, as EC2's documentation puts it.
fn matches_rule(rule: &FilterRule, key: &FlowKey) -> bool {
    let addresses = match (rule.source, rule.destination, key.addresses()) {
        (IpNet::V4(s), IpNet::V4(d), Addresses::V4 { src, dst }) => {
            s.contains(&src) && d.contains(&dst)
        }
        (IpNet::V6(s), IpNet::V6(d), Addresses::V6 { src, dst }) => {
            s.contains(&src) && d.contains(&dst)
        }
        _ => false,
    };
    let protocol = rule.protocol.is_none() || rule.protocol == key.protocol();
    let in_range =
        |range: Option<PortRange>, port: fn((u16, u16)) -> u16| match (range, key.ports()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(range), Some(ports)) => (range.from..=range.to).contains(&port(ports)),
        };
    addresses
        && protocol
        && in_range(rule.source_ports, |ports| ports.0)
        && in_range(rule.destination_ports, |ports| ports.1)
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
    fn rule()(
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

fn key() -> impl Strategy<Value = FlowKey> {
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

proptest! {
    #[test]
    fn equals_the_definition(
        rules in prop::collection::vec(rule(), 0..12),
        keys in prop::collection::vec(key(), 1..64),
    ) {
        let entries: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(at, rule)| TableRule {
                session: SessionIndex(at as u32 / 4),
                index: RuleIndex(at as u32),
                rule,
            })
            .collect();
        let table = LinearTable::compile(&entries);
        let mut columns = Keys::default();
        keys.iter().enumerate().for_each(|(at, key)| columns.set(at, key));
        // Side by side from the start and from the middle on; in no order.
        let all: Vec<u8> = (0..keys.len() as u8).collect();
        let backwards: Vec<u8> = all.iter().rev().copied().collect();
        for which in [&all, &all[keys.len() / 2..], &backwards] {
            let mut matches = vec![Match::default(); which.len()];
            table.classify_portable(&columns, which, &mut matches);
            simd::with_each_width(|| {
                let mut of_vectors = vec![Match::default(); which.len()];
                table.classify(&columns, which, &mut of_vectors);
                assert_eq!(of_vectors, matches);
            });
            for (&at, found) in which.iter().zip(matches) {
                let key = &keys[usize::from(at)];
                let expected = entries.iter().find(|entry| matches_rule(entry.rule, key));
                let expected = expected.map_or(Verdict::NONE, Verdict::from);
                prop_assert_eq!(table.verdicts()[found.at()], expected, "{:?}", key);
            }
        }
    }
}
