use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::flow_key::{Addresses, FlowKey};
use crate::rule::{Direction, FilterRule, RuleAction, TCP};
use crate::rule_table::LinearTable;
use crate::rule_table::samples::{columns, entries, found, key, rule};
use crate::simd;
use crate::units::FilterIndex;

/// A table and the linear one find the same, whatever is looked up together.
pub(super) fn agree(table: &CompiledTable, rules: &[FilterRule], keys: &[FlowKey]) {
    let linear = LinearTable::compile(&entries(rules));
    assert_eq!(table.verdicts(), linear.verdicts());
    for keys in keys.chunks(BURST_MAX) {
        let columns = columns(keys);
        let all: Vec<u8> = (0..keys.len() as u8).collect();
        let backwards: Vec<u8> = all.iter().rev().copied().collect();
        for which in [&all, &all[keys.len() / 2..], &backwards] {
            let expected = found(&linear, &columns, which);
            simd::with_each_width(|| assert_eq!(found(table, &columns, which), expected));
        }
    }
}

/// A change of a list of rules.
#[derive(Debug, Clone)]
enum Edit {
    Insert(prop::sample::Index, FilterRule),
    Remove(prop::sample::Index),
    Replace(prop::sample::Index, FilterRule),
    /// Rules change places.
    Swap(prop::sample::Index, prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), rule()).prop_map(|(at, rule)| Edit::Insert(at, rule)),
        at().prop_map(Edit::Remove),
        (at(), rule()).prop_map(|(at, rule)| Edit::Replace(at, rule)),
        (at(), at()).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

impl Edit {
    fn apply(self, rules: &mut Vec<FilterRule>) {
        match self {
            Self::Insert(at, rule) => rules.insert(at.index(rules.len() + 1), rule),
            _ if rules.is_empty() => {}
            Self::Remove(at) => drop(rules.remove(at.index(rules.len()))),
            Self::Replace(at, rule) => {
                let at = at.index(rules.len());
                rules[at] = rule;
            }
            Self::Swap(one, other) => {
                let len = rules.len();
                rules.swap(one.index(len), other.index(len));
            }
        }
    }
}

proptest! {
    #[test]
    fn equals_the_linear_table(
        rules in prop::collection::vec(rule(), 0..100),
        keys in prop::collection::vec(key(), 1..64),
    ) {
        agree(&CompiledTable::compile(&entries(&rules)), &rules, &keys);
        agree(&CompiledTable::compile_base(&entries(&rules)), &rules, &keys);
    }

    #[test]
    fn equals_the_linear_table_after_each_change(
        mut rules in prop::collection::vec(rule(), 0..60),
        edits in prop::collection::vec(edit(), 1..80),
        keys in prop::collection::vec(key(), 1..64),
    ) {
        let mut table = CompiledTable::compile_base(&entries(&rules));
        for edit in edits {
            edit.apply(&mut rules);
            table = table.update(&entries(&rules));
            agree(&table, &rules, &keys);
        }
    }
}

pub(super) fn numbered(n: u32) -> FilterRule {
    let host = |n: u32| IpNet::from(IpAddr::V4(n.wrapping_mul(0x9e37_79b9).into()));
    let port = |n: u32| Some(PortRange { from: n as u16, to: (n as u16).saturating_add(1) });
    FilterRule {
        id: String::new(),
        filter: FilterIndex(0),
        direction: Direction::Ingress,
        number: 1,
        action: RuleAction::Accept,
        source: host(n),
        destination: host(n / 3),
        protocol: Some(TCP),
        source_ports: port(n / 5),
        destination_ports: port(n / 7),
    }
}

fn key_of(rule: &FilterRule) -> FlowKey {
    let addresses = match (rule.source.network(), rule.destination.network()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Addresses::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Addresses::V6 { src, dst },
        _ => unreachable!("of one family"),
    };
    let port = |range: Option<PortRange>| range.map_or(0, |range| u32::from(range.to));
    let ports = port(rule.source_ports) << 16 | port(rule.destination_ports);
    FlowKey::new(addresses, rule.protocol, Some(ports.to_be_bytes()), None)
}

/// So many rules that rows are longer than a cache line, and so many ports that they stay apart.
const MANY: u32 = if cfg!(miri) { 1000 } else { 40_000 };

#[test]
fn equals_the_linear_table_of_many_rules_and_ports() {
    let rules: Vec<FilterRule> = (0..MANY).map(numbered).collect();
    let step = MANY as usize / 150;
    let keys: Vec<FlowKey> = rules.iter().step_by(step).map(key_of).collect();
    agree(&CompiledTable::compile(&entries(&rules)), &rules, &keys);
}

/// The same of few ports, which are one field then, and of both families.
#[test]
fn equals_the_linear_table_of_many_rules_with_few_ports() {
    let rules: Vec<FilterRule> = (0..MANY)
        .map(|n| {
            let rule = FilterRule { source_ports: None, ..numbered(n) };
            let port = 1000 + (n % 40) as u16;
            let destination_ports = Some(PortRange { from: port, to: port });
            let v6 = |n: u32| IpNet::from(IpAddr::V6((u128::from(n) << 90 | 7).into()));
            match n % 2 {
                0 => FilterRule { destination_ports, ..rule },
                _ => {
                    FilterRule { destination_ports, source: v6(n), destination: v6(n / 3), ..rule }
                }
            }
        })
        .collect();
    let keys: Vec<FlowKey> = rules.iter().step_by((MANY as usize / 149) | 1).map(key_of).collect();
    assert!(keys.iter().any(FlowKey::is_v6) && !keys.iter().all(FlowKey::is_v6));
    let table = CompiledTable::compile(&entries(&rules));
    agree(&table, &rules, &keys);
    assert!(table.bytes() < rules.len() * BYTES_PER_RULE_MAX + BYTES_MAX);
}

#[test]
fn as_many_are_looked_up_as_there_is_room_for() {
    let rules: Vec<FilterRule> = (0..100).map(numbered).collect();
    let keys: Vec<FlowKey> = rules.iter().take(BURST_MAX).map(key_of).collect();
    let which: Vec<u8> = (0..BURST_MAX as u8).collect();
    let mut matches = [Match(7777); 70];
    let table = CompiledTable::compile(&entries(&rules));
    table.classify(&columns(&keys), &which, &mut matches[..10]);
    assert!(matches.iter().enumerate().all(|(at, found)| (found.at() == at) == (at < 10)));
    table.classify(&columns(&keys), &which, &mut matches);
    assert!(matches.iter().enumerate().all(|(at, found)| (found.at() == at) == (at < 64)));
}

#[test]
fn one_change_shares_the_base_and_many_make_a_new_one() {
    let mut rules: Vec<FilterRule> = (0..2000).map(numbered).collect();
    let first = CompiledTable::compile(&entries(&rules));
    rules[777] = numbered(5000);
    rules.remove(3);
    let second = first.update(&entries(&rules));
    assert!(Arc::ptr_eq(&first.base, &second.base));
    agree(&second, &rules, &rules.iter().map(key_of).take(128).collect::<Vec<_>>());
    // The same list again is no change.
    assert_eq!(second.update(&entries(&rules)).recent.len(), 1);
    // What was gone and is back is a recent rule.
    rules.insert(3, numbered(3));
    let back = second.update(&entries(&rules));
    assert_eq!(back.recent.len(), 2);
    agree(&back, &rules, &rules.iter().map(key_of).take(128).collect::<Vec<_>>());
    rules.truncate(1000);
    let third = second.update(&entries(&rules));
    assert!(!Arc::ptr_eq(&second.base, &third.base));
    rules.extend((6000..=6000 + RECENT_MAX as u32).map(numbered));
    let fourth = third.update(&entries(&rules));
    assert!(!Arc::ptr_eq(&third.base, &fourth.base));
}

/// Rules that overlap, with as many ends of ranges as can be: many chunks are looked at for every packet,
/// and memory stays within what is promised.
#[test]
fn hostile_rules_cost_what_is_promised_at_most() {
    const RULES: u32 = if cfg!(miri) { 600 } else { 20_000 };
    let rules: Vec<FilterRule> = (0..RULES)
        .map(|n| FilterRule {
            source: ipnet::Ipv4Net::new((n << 12).into(), (n % 33) as u8)
                .map_or_else(|_| unreachable!("at most 32"), |net| IpNet::V4(net.trunc())),
            destination: "0.0.0.0/0".parse().unwrap(),
            source_ports: Some(PortRange { from: n as u16, to: u16::MAX - n as u16 / 2 }),
            destination_ports: Some(PortRange { from: (n / 2) as u16, to: 40_000 + n as u16 }),
            ..numbered(n)
        })
        .collect();
    let table = CompiledTable::compile(&entries(&rules));
    let keys: Vec<FlowKey> = rules.iter().step_by(RULES as usize / 64).map(key_of).collect();
    agree(&table, &rules, &keys);
    let promised = RULES as usize * BYTES_PER_RULE_MAX + BYTES_MAX;
    assert!(table.bytes() < promised, "{} bytes", table.bytes());
}
