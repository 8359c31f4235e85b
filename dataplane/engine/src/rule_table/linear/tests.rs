use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::flow_key::Addresses;
use crate::rule::{FilterRule, PortRange};
use crate::rule_table::samples::{columns, entries, found, key, rule};

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

proptest! {
    #[test]
    fn equals_the_definition(
        rules in prop::collection::vec(rule(), 0..12),
        keys in prop::collection::vec(key(), 1..64),
    ) {
        let entries = entries(&rules);
        let table = LinearTable::compile(&entries);
        let columns = columns(&keys);
        // Side by side from the start and from the middle on; in no order.
        let all: Vec<u8> = (0..keys.len() as u8).collect();
        let backwards: Vec<u8> = all.iter().rev().copied().collect();
        for which in [&all, &all[keys.len() / 2..], &backwards] {
            let mut matches = vec![Match::default(); which.len()];
            table.rules.classify_portable(table.none(), &columns, which, &mut matches);
            simd::with_each_width(|| {
                assert_eq!(found(&table, &columns, which), matches);
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
