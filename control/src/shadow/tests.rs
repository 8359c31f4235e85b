mod real_sets;

use std::collections::HashSet;

use engine::flow_key::Addresses;
use engine::keys::Keys;
use engine::rule::{Direction, PortRange, RuleAction, TCP, UDP};
use engine::rule_table::{LinearTable, Match, RuleTable, TableRule};
use engine::units::{FilterIndex, RuleIndex, SessionIndex};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn rule(nets: (&str, &str), protocol: Option<u8>, ports: [Option<(u16, u16)>; 2]) -> FilterRule {
    let range = |ports: Option<(u16, u16)>| ports.map(|(from, to)| PortRange { from, to });
    FilterRule {
        id: String::new(),
        filter: FilterIndex(0),
        direction: Direction::Ingress,
        number: 1,
        action: RuleAction::Accept,
        source: nets.0.parse().unwrap(),
        destination: nets.1.parse().unwrap(),
        protocol,
        source_ports: range(ports[0]),
        destination_ports: range(ports[1]),
    }
}

/// From a network to anywhere, any protocol.
fn from(net: &str) -> FilterRule {
    let any = if net.contains(':') { "::/0" } else { "0.0.0.0/0" };
    rule((net, any), None, [None, None])
}

/// From anywhere to anywhere.
fn with(protocol: Option<u8>, ports: [Option<(u16, u16)>; 2]) -> FilterRule {
    rule(("0.0.0.0/0", "0.0.0.0/0"), protocol, ports)
}

fn fates(rules: &[FilterRule]) -> Vec<Fate> {
    let mut steps = STEPS_PER_CHECK;
    let mut shadows = Shadows::new(&mut steps);
    let judge = |rule: &FilterRule| {
        let fate = shadows.judge(rule);
        shadows.push(rule);
        fate
    };
    rules.iter().map(judge).collect()
}

/// What takes the packets of the last rule; `None` if it can match.
fn shadow(rules: &[FilterRule]) -> Option<Vec<usize>> {
    match fates(rules).pop() {
        Some(Fate::Shadowed(by)) => Some(by),
        Some(Fate::Matches(_)) => None,
        other => panic!("{other:?}"),
    }
}

/// By the engine: the position of the first rule that matches each key.
pub(crate) fn firsts(rules: &[FilterRule], keys: &[FlowKey]) -> Vec<Option<usize>> {
    let entry = |(at, rule)| TableRule { session: SessionIndex(0), index: RuleIndex(at), rule };
    let entries: Vec<TableRule<'_>> = (0..).zip(rules).map(entry).collect();
    let table = LinearTable::compile(&entries);
    let mut columns = Keys::default();
    let mut found = Vec::new();
    for keys in keys.chunks(64) {
        let which: Vec<u8> = (0..keys.len() as u8).collect();
        let mut matches = vec![Match::default(); keys.len()];
        keys.iter().enumerate().for_each(|(at, key)| columns.set(at, key));
        table.classify(&columns, &which, &mut matches);
        let rules = matches.iter().map(|it| table.verdicts()[it.at()].rule);
        found.extend(rules.map(|rule| (rule != RuleIndex::NONE).then(|| rule.at())));
    }
    found
}

/// Each rule that can match has a packet that it settles, as the engine sees it.
fn assert_witnessed(rules: &[FilterRule], fates: &[Fate]) {
    let witness = |(at, fate): (usize, &Fate)| match fate {
        Fate::Matches(key) => Some((at, *key)),
        _ => None,
    };
    let (alive, keys): (Vec<usize>, Vec<FlowKey>) =
        fates.iter().enumerate().filter_map(witness).unzip();
    let found = firsts(rules, &keys);
    for ((at, key), first) in alive.into_iter().zip(keys).zip(found) {
        assert_eq!(first, Some(at), "{key:?} is no packet of rule {at}");
    }
}

#[test]
fn halves_shadow_the_whole() {
    let halves = ["10.0.0.0/9", "10.128.0.0/9"].map(from);
    let whole = from("10.0.0.0/8");
    assert_eq!(shadow(&[halves[0].clone(), whole.clone()]), None);
    let [one, other] = halves;
    assert_eq!(shadow(&[one.clone(), from("11.0.0.0/8"), other, whole.clone()]), Some(vec![0, 2]));
    assert_eq!(shadow(&[whole, one]), Some(vec![0]));
    let v6 = ["2001:db8::/33", "2001:db8:8000::/33", "2001:db8::/32"].map(from);
    assert_eq!(shadow(&v6), Some(vec![0, 1]));
    assert_eq!(shadow(&[from("0.0.0.0/0"), from("::/0")]), None);
}

#[test]
fn ranges_of_ports_add_up() {
    let to = |from, to| with(Some(TCP), [None, Some((from, to))]);
    let ranges = [to(0, 100), to(101, 65_535), to(0, 65_535)];
    assert_eq!(shadow(&ranges), Some(vec![0, 1]));
    assert_eq!(shadow(&[to(0, 100), to(102, 65_535), to(0, 65_535)]), None);
    // What has ports on one side has them on the other.
    let from = with(Some(TCP), [Some((0, 65_535)), None]);
    assert_eq!(shadow(&[to(0, 65_535), from]), Some(vec![0]));
}

#[test]
fn all_ports_leave_the_fragments() {
    let all = with(Some(UDP), [Some((0, 65_535)), Some((0, 65_535))]);
    let udp = with(Some(UDP), [None, None]);
    assert_eq!(shadow(&[all.clone(), udp.clone()]), None);
    assert_eq!(shadow(&[udp, all]), Some(vec![0]));
    let Some(Fate::Matches(key)) =
        fates(&[with(Some(TCP), [Some((0, 65_535)), None]), with(Some(TCP), [None, None])]).pop()
    else {
        panic!("it can match");
    };
    assert_eq!((key.protocol(), key.ports()), (Some(TCP), None));
}

#[test]
fn all_protocols_leave_an_ipv6_packet_without_layer_4_only() {
    let each: Vec<u8> = (0..=u8::MAX).collect();
    let v4: Vec<_> = each.iter().map(|&protocol| with(Some(protocol), [None, None])).collect();
    assert_eq!(shadow(&[v4, vec![with(None, [None, None])]].concat()).unwrap().len(), 256);
    let v6 = |protocol| rule(("::/0", "::/0"), protocol, [None, None]);
    let rules: Vec<_> = each.iter().map(|&it| v6(Some(it))).chain([v6(None)]).collect();
    assert_eq!(shadow(&rules), None);
}

#[test]
fn no_more_rules_are_named_than_are_needed() {
    let quarters = ["10.0.0.0/10", "10.64.0.0/10", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/8"];
    assert_eq!(shadow(&quarters.map(from)), Some(vec![0, 1, 3]));
    let within = ["10.0.0.0/10", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/8"];
    assert_eq!(shadow(&within.map(from)), Some(vec![1, 2]));
}

#[test]
fn a_search_that_takes_too_long_is_given_up() {
    // Each forbids one combination of odd places: no two join, and nothing is found covered twice.
    let mut state = 1u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut rules: Vec<_> = (0..4000)
        .map(|_| {
            let net = |len: u32, bits: u32| {
                let address = std::net::Ipv4Addr::from(bits << (32 - len));
                format!("{address}/{len}")
            };
            let nets = (net(4, next(16)), net(4, next(16)));
            let (one, other) = (next(40_000) as u16, next(40_000) as u16);
            let ports = [Some((one, one + 20_000)), Some((other, other + 20_000))];
            rule((&nets.0, &nets.1), Some(TCP), ports)
        })
        .collect();
    rules.push(with(Some(TCP), [Some((0, 50_000)), Some((0, 50_000))]));
    let last = rules.pop().unwrap();
    let fate = |mut steps: u64| {
        let mut shadows = Shadows::new(&mut steps);
        for rule in &rules {
            shadows.push(rule);
        }
        shadows.judge(&last)
    };
    assert!(matches!(fate(STEPS_PER_CHECK), Fate::Matches(_)));
    assert_eq!(fate(40_000), Fate::Undecided);
}

fn net() -> impl Strategy<Value = (IpNet, IpNet)> {
    // Few distinct addresses and lengths, so that rules often overlap.
    let v4 = || {
        (0u32..4, select(vec![0u8, 1, 30, 31, 32])).prop_map(|(address, len)| {
            IpNet::V4(ipnet::Ipv4Net::new(address.into(), len).unwrap().trunc())
        })
    };
    let v6 = || {
        (0u128..4, select(vec![0u8, 1, 126, 127, 128])).prop_map(|(address, len)| {
            IpNet::V6(ipnet::Ipv6Net::new(address.into(), len).unwrap().trunc())
        })
    };
    prop_oneof![4 => (v4(), v4()), 1 => (v6(), v6())]
}

fn ports() -> impl Strategy<Value = Option<PortRange>> {
    prop::option::weighted(
        0.7,
        prop_oneof![
            Just(PortRange::ALL),
            (0u16..4, 0u16..4).prop_map(|(a, b)| PortRange { from: a.min(b), to: a.max(b) }),
            (2u16..5).prop_map(|from| PortRange { from, to: u16::MAX }),
        ],
    )
}

prop_compose! {
    pub(crate) fn any_rule()(
        (source, destination) in net(),
        protocol in select(vec![None, Some(0), Some(TCP), Some(TCP), Some(UDP), Some(132)]),
        source_ports in ports(),
        destination_ports in ports(),
    ) -> FilterRule {
        let has_ports = matches!(protocol, Some(TCP | UDP));
        FilterRule {
            source,
            destination,
            source_ports: source_ports.filter(|_| has_ports),
            destination_ports: destination_ports.filter(|_| has_ports),
            ..with(protocol, [None, None])
        }
    }
}

/// A packet of each kind that the rules of [`any_rule`] tell apart.
pub(crate) fn every_key() -> Vec<FlowKey> {
    let mut keys = Vec::new();
    let numbers = [0, 1, 2, 3, 4, u32::MAX];
    for (src, dst) in numbers.into_iter().flat_map(|src| numbers.map(|dst| (src, dst))) {
        let wide = |bits: u32| u128::from(bits) | u128::from(bits >> 31) << 127;
        let v4 = Addresses::V4 { src: src.into(), dst: dst.into() };
        let v6 = Addresses::V6 { src: wide(src).into(), dst: wide(dst).into() };
        for addresses in [v4, v6] {
            let without = [Some(0), Some(TCP), Some(UDP), Some(132), Some(1)].into_iter();
            let none = matches!(addresses, Addresses::V6 { .. }).then_some(None);
            keys.extend(
                without.chain(none).map(|protocol| FlowKey::new(addresses, protocol, None, None)),
            );
            for protocol in [TCP, UDP, 132] {
                for (one, other) in (0..6u32).flat_map(|one| (0..6u32).map(move |it| (one, it))) {
                    let ports = Some((one << 16 | other).to_be_bytes());
                    keys.push(FlowKey::new(addresses, Some(protocol), ports, None));
                }
            }
        }
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_is_dead_when_no_packet_of_all_is_settled_by_it(
        rules in vec(any_rule(), 1..14),
    ) {
        let keys = every_key();
        let settling: HashSet<_> = firsts(&rules, &keys).into_iter().flatten().collect();
        let fates = fates(&rules);
        assert_witnessed(&rules, &fates);
        for (at, fate) in fates.iter().enumerate() {
            prop_assert_eq!(matches!(fate, Fate::Matches(_)), settling.contains(&at), "rule {}", at);
            if let Fate::Shadowed(by) = fate {
                // Those that are named are enough, and each of them is needed.
                let named: Vec<_> = by.iter().chain([&at]).map(|&at| rules[at].clone()).collect();
                prop_assert!(by.iter().all(|&it| it < at));
                prop_assert!(shadow(&named).is_some());
                for (left_out, it) in by.iter().enumerate() {
                    let mut fewer = named.clone();
                    fewer.remove(left_out);
                    prop_assert!(shadow(&fewer).is_none(), "{it} is not needed");
                }
            }
        }
    }
}

prop_compose! {
    /// A rule of a few wide networks and wide ranges: many together shadow one.
    fn wide_rule()(
        nets in (0..=3u8, any::<u32>(), 0..=3u8, any::<u32>()),
        ports: (u16, u16, u16, u16),
    ) -> FilterRule {
        let net = |len, bits: u32| ipnet::Ipv4Net::new(bits.into(), len).unwrap().trunc().into();
        let range = |a: u16, b: u16| Some(PortRange { from: a.min(b), to: a.max(b) });
        FilterRule {
            source: net(nets.0, nets.1),
            destination: net(nets.2, nets.3),
            source_ports: range(ports.0, ports.1),
            destination_ports: range(ports.2, ports.3),
            ..with(Some(TCP), [None, None])
        }
    }
}

/// Keys of packets of a rule: corners of its box.
fn corners(rule: &FilterRule) -> Vec<FlowKey> {
    let region = Region::of(rule).unwrap();
    let corner = |bits: u32| {
        let ends = region.sides.map(|side| [side.from, side.to]);
        region.key(std::array::from_fn(|at| ends[at][(bits >> at & 1) as usize]))
    };
    (0..32).map(corner).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_many_wide_rules_each_has_a_witness_or_enough_before_it(
        rules in vec(wide_rule(), 600..800),
    ) {
        let fates = fates(&rules);
        assert_witnessed(&rules, &fates);
        for (at, fate) in fates.iter().enumerate() {
            if let Fate::Shadowed(by) = fate {
                let named: Vec<_> = by.iter().chain([&at]).map(|&at| rules[at].clone()).collect();
                prop_assert!(shadow(&named).is_some());
                prop_assert!(!firsts(&rules, &corners(&rules[at])).contains(&Some(at)));
            }
        }
    }
}
