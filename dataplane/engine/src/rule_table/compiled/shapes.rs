//! Tables of every shape: one set of one or two lines, narrow and wide rows; ports and protocol as one field
//! and apart; addresses of every length. Rules that match go, and what matches behind them is found.

use std::net::IpAddr;

use super::tests::{agree, numbered};
use super::*;
use crate::flow_key::{Addresses, FlowKey};
use crate::rule::FilterRule;
use crate::rule_table::LinearTable;
use crate::rule_table::samples::{columns, entries, found};

/// Knuth's congruential numbers: the same in every run.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    fn long(&mut self) -> u128 {
        u128::from(self.number()) << 88
            ^ u128::from(self.number()) << 44
            ^ u128::from(self.number())
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }
}

/// What addresses look like.
#[derive(Debug, Clone, Copy)]
enum Kind {
    V4,
    /// IPv6 of 128 bits.
    Whole,
    /// Of the upper 64.
    Half,
    /// Of 32 of those.
    Short,
}

fn net(random: &mut Random, kind: Kind) -> IpNet {
    let v6 =
        |address: u128, len| Ipv6Net::new(address.into(), len).map(|net| IpNet::V6(net.trunc()));
    match kind {
        Kind::V4 => {
            let address = random.below(3000) as u32 * 0x0010_0007;
            let len = random.one_of(&[32, 32, 31, 24, 24, 16, 8, 0]);
            return IpNet::V4(Ipv4Net::new(address.into(), len).unwrap().trunc());
        }
        Kind::Whole => {
            let address =
                random.one_of(&[0, 1 << 127, u128::MAX << 64]) ^ random.below(2000) as u128;
            v6(address, random.one_of(&[128, 128, 127, 120, 64, 0]))
        }
        Kind::Half => v6(random.long(), random.one_of(&[64, 64, 63, 48, 2, 0])),
        Kind::Short => {
            let address = 0x2001_0db8 << 96 | (random.below(3000) as u128) << 72;
            v6(address, random.one_of(&[56, 56, 56, 48, 40, 32]))
        }
    }
    .unwrap()
}

/// A rule whose ports are of so many.
fn rule(random: &mut Random, kind: Kind, ports: usize) -> FilterRule {
    let range = |random: &mut Random| {
        let [a, b] = [0; 2].map(|_| (random.below(ports) * 65_535 / ports) as u16);
        random.one_of(&[None, Some((a, a)), Some((a.min(b), a.max(b)))])
    };
    let range = |random: &mut Random| range(random).map(|(from, to)| PortRange { from, to });
    FilterRule {
        source: net(random, kind),
        destination: net(random, kind),
        protocol: random.one_of(&[None, Some(6), Some(17), Some(0), Some(255)]),
        source_ports: range(random),
        destination_ports: range(random),
        ..numbered(0)
    }
}

/// An address in a network, at an end of it, beside it, or far from it.
fn address(random: &mut Random, net: IpNet) -> IpAddr {
    let which = random.below(6);
    match net {
        IpNet::V4(net) => {
            let (from, to) = (u32::from(net.network()), u32::from(net.broadcast()));
            let within = from | random.number() as u32 & (to - from);
            let others = [from, to, from.wrapping_sub(1), to.wrapping_add(1), u32::MAX, within];
            IpAddr::V4(others[which].into())
        }
        IpNet::V6(net) => {
            let (from, to) = (u128::from(net.network()), u128::from(net.broadcast()));
            let within = from | random.long() & (to - from);
            let far =
                random.one_of(&[0, u128::MAX, 1 << 64, u128::MAX >> 64, 1 << 127, u128::MAX >> 1]);
            let others = [from, to, from.wrapping_sub(1), to.wrapping_add(1), far, within];
            IpAddr::V6(others[which].into())
        }
    }
}

fn key_near(random: &mut Random, rule: &FilterRule) -> FlowKey {
    let nets = [rule.source, rule.destination];
    let addresses = match nets.map(|net| address(random, net)) {
        [IpAddr::V4(src), IpAddr::V4(dst)] => Addresses::V4 { src, dst },
        [IpAddr::V6(src), IpAddr::V6(dst)] => Addresses::V6 { src, dst },
        _ => unreachable!("of one family"),
    };
    let [src, dst] = [rule.source_ports, rule.destination_ports].map(|range| {
        let range = range.unwrap_or(PortRange::ALL);
        let beside = [range.from.wrapping_sub(1), range.to.wrapping_add(1)];
        random.one_of(&[range.from, range.to, beside[0], beside[1]])
    });
    let ports = (u32::from(src) << 16 | u32::from(dst)).to_be_bytes();
    let protocol = rule.protocol.or(random.one_of(&[None, Some(6), Some(254)]));
    FlowKey::new(addresses, protocol, (random.below(5) != 0).then_some(ports), None)
}

/// As [`agree`], and what matches goes, several times.
fn agrees_while_rules_go(count: usize, kind: Kind, ports: usize) {
    let random = &mut Random((count + ports) as u64);
    let mut rules: Vec<FilterRule> = (0..count).map(|_| rule(random, kind, ports)).collect();
    let mut table = CompiledTable::compile_base(&entries(&rules));
    let base = Arc::clone(&table.base);
    for _ in 0..if cfg!(miri) { 1 } else { 4 } {
        let keys: Vec<FlowKey> = (0..BURST_MAX)
            .map(|_| {
                let at = random.below(rules.len());
                key_near(random, &rules[at])
            })
            .collect();
        agree(&table, &rules, &keys);
        let all: [u8; BURST_MAX] = core::array::from_fn(|at| at as u8);
        let mut hit: Vec<usize> =
            found(&LinearTable::compile(&entries(&rules)), &columns(&keys), &all)
                .iter()
                .map(|found| found.at())
                .filter(|at| *at < rules.len())
                .collect();
        hit.sort_unstable();
        hit.dedup();
        assert!(!hit.is_empty());
        for at in hit.into_iter().rev() {
            rules.remove(at);
        }
        table = table.update(&entries(&rules));
        assert!(Arc::ptr_eq(&base, &table.base), "the base is shared");
        agree(&table, &rules, &keys);
    }
}

/// The sizes at which shapes change. Miri is too slow for the larger ones.
const SIZES: &[usize] = if cfg!(miri) {
    &[600, 1100]
} else {
    &[511, 512, 513, 1023, 1024, 1025, 3000, 28 * 512, 28 * 512 + 1, 64 * 512 + 1]
};

#[test]
fn what_matches_behind_a_rule_that_is_gone_is_found_in_tables_of_every_shape() {
    for &count in SIZES {
        for ports in [3, 60_000] {
            agrees_while_rules_go(count, Kind::V4, ports);
        }
    }
}

#[test]
fn addresses_of_every_length_are_found_in_tables_of_every_shape() {
    for &count in SIZES {
        for kind in [Kind::Whole, Kind::Half, Kind::Short] {
            agrees_while_rules_go(count, kind, 3);
        }
    }
}

/// Many rules with as many clauses as can be merged: they are not, where that would take too much.
#[test]
fn ports_that_would_take_too_much_as_one_field_stay_apart() {
    const RULES: u32 = if cfg!(miri) { 600 } else { 33_000 };
    let rules: Vec<FilterRule> = (0..RULES)
        .map(|n| {
            let from = (n % 254 + 1) as u16 * 250;
            let range = Some(PortRange { from, to: from + 249 });
            let is_source = n / 254 % 2 == 0;
            FilterRule {
                source: IpNet::from(IpAddr::V4((1_000_000 + 3 * n).into())),
                destination: "0.0.0.0/0".parse().unwrap(),
                protocol: None,
                source_ports: range.filter(|_| is_source),
                destination_ports: range.filter(|_| !is_source),
                ..numbered(0)
            }
        })
        .collect();
    let table = CompiledTable::compile_base(&entries(&rules));
    let promised = rules.len() * BYTES_PER_RULE_MAX + BYTES_MAX;
    assert!(table.bytes() < promised, "{} bytes", table.bytes());
    let random = &mut Random(7);
    let keys: Vec<FlowKey> = rules.iter().step_by(500).map(|rule| key_near(random, rule)).collect();
    agree(&table, &rules, &keys);
}
