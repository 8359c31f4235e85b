//! Lookups to be counted, not timed: `scripts/instructions` runs it under callgrind.
//!
//! `lookups RULES ROUNDS`: so many rules in a table, then so many times the same 1,024 packets. It is a
//! bench of the engine's, which is all that it needs to be built.
#![expect(clippy::unwrap_used, reason = "its one caller gives two numbers")]
#![expect(unreachable_pub, reason = "what it shares with a library is public there")]

mod random;

use std::hint::black_box;
use std::net::Ipv4Addr;

use engine::burst::BURST_MAX;
use engine::flow_key::{Addresses, FlowKey};
use engine::keys::Keys;
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::rule_table::{CompiledTable, Match, RuleTable, TableRule};
use engine::units::{FilterIndex, RuleIndex, SessionIndex};
use ipnet::{IpNet, Ipv4Net};
use random::Random;

const PACKETS: usize = 1024;

fn main() {
    let mut numbers =
        std::env::args().skip(1).filter(|it| !it.starts_with("--")).map(|it| it.parse().unwrap());
    let (count, rounds): (usize, usize) = (numbers.next().unwrap(), numbers.next().unwrap());
    let rules = made(count);
    let entry = |(at, rule)| TableRule { session: SessionIndex(0), index: RuleIndex(at), rule };
    let table = CompiledTable::compile_base(&(0..).zip(&rules).map(entry).collect::<Vec<_>>());
    let mut random = Random(4);
    let mut bursts = vec![Keys::default(); PACKETS / BURST_MAX];
    for keys in &mut bursts {
        (0..BURST_MAX).for_each(|at| keys.set(at, &accepted(&mut random, &rules)));
    }
    let which: [u8; BURST_MAX] = core::array::from_fn(|at| at as u8);
    let mut matches = [Match::default(); BURST_MAX];
    for _ in 0..rounds {
        for keys in &bursts {
            table.classify(keys, &which, &mut matches);
            black_box(&matches);
        }
    }
}

/// Rules like those of firewalls: some for hosts of two sides, some for those of one, few ports.
fn made(count: usize) -> Vec<FilterRule> {
    const PORTS: [(u16, u16); 8] = [
        (22, 22),
        (53, 53),
        (80, 80),
        (443, 443),
        (1024, 65_535),
        (5432, 5432),
        (8000, 8999),
        (0, 65_535),
    ];
    let mut random = Random(3);
    let mut net = |side: u32, is_wide: bool| {
        let len = if is_wide { 0 } else { [16, 24, 24, 28, 32, 32][random.below(6)] };
        let address = side << 24 | random.number() as u32 >> 8;
        Ipv4Net::new(address.into(), len).map_or(IpNet::V4(Ipv4Net::default()), IpNet::V4).trunc()
    };
    let nets: Vec<[IpNet; 2]> =
        (0..count).map(|n| [net(10, n % 5 == 3), net(172, n % 5 == 4)]).collect();
    let rule = |[source, destination]: [IpNet; 2]| {
        let (from, to) = PORTS[random.below(PORTS.len())];
        let protocol = [Some(6), Some(6), Some(17), None][random.below(4)];
        FilterRule {
            id: String::new(),
            filter: FilterIndex(0),
            direction: Direction::Ingress,
            number: 1,
            action: RuleAction::Accept,
            source,
            destination,
            protocol,
            source_ports: None,
            destination_ports: protocol.map(|_| PortRange { from, to }),
        }
    };
    nets.into_iter().map(rule).collect()
}

/// A packet that a random one of the rules accepts.
fn accepted(random: &mut Random, rules: &[FilterRule]) -> FlowKey {
    let rule = &rules[random.below(rules.len())];
    let mut within = |net: IpNet| match net {
        IpNet::V4(net) => {
            let host = random.number() as u32 & u32::from(net.hostmask());
            Ipv4Addr::from(u32::from(net.network()) | host)
        }
        IpNet::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let (src, dst) = (within(rule.source), within(rule.destination));
    let range = rule.destination_ports.unwrap_or(PortRange::ALL);
    let dst_port = range.from + random.below(usize::from(range.to - range.from) + 1) as u16;
    let ports = u32::from(random.number() as u16) << 16 | u32::from(dst_port);
    let protocol = rule.protocol.unwrap_or(6);
    FlowKey::new(Addresses::V4 { src, dst }, Some(protocol), Some(ports.to_be_bytes()), None)
}
