//! Several tools behind one target: who gets which flow, and who keeps it.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::Arc;

use engine::drop_reason::Skipped;
use engine::neighbors::Neighbors;
use engine::sim::{SimClock, capture_of};
use engine::snapshot::{Affinity, AllDown, BalanceSpec, MemberHealth, MemberSpec, Snapshot};
use engine::stats::ToolStats;
use engine::units::{PortIndex, TargetIndex};

use crate::scenario::{Appliance, Behaviour, LAN, MAC_A, TOOL, WAN, snapshot};
use crate::{OTHER, conserves};

const FLOWS: u32 = if cfg!(miri) { 48 } else { 10_000 };
const SECOND: u64 = 1_000_000_000;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The last byte of the first member's address.
const FIRST: u8 = 10;

/// A session whose target has a member of each weight.
fn spec(balance: BalanceSpec, weights: &[u16]) -> Snapshot {
    let mut spec = snapshot();
    let target = &mut spec.targets[2];
    let member = target.members[0].clone();
    target.members = weights
        .iter()
        .zip(FIRST..)
        .map(|(&weight, at)| MemberSpec {
            address: [192, 0, 2, at].into(),
            weight,
            ..member.clone()
        })
        .collect();
    target.balance = balance;
    spec.sessions.swap_remove(0);
    spec.sessions.truncate(1);
    spec.sessions[0].interface = snapshot().sessions[0].interface;
    spec.sessions[0].filter = snapshot().sessions[1].filter;
    spec.sessions[0].target = TargetIndex(2);
    spec.sessions[0].packet_length = None;
    spec
}

fn members(spec: &mut Snapshot) -> &mut Vec<MemberSpec> {
    &mut spec.targets[2].members
}

const STICKY: BalanceSpec = BalanceSpec {
    affinity: Affinity::Flow,
    inner: false,
    sticky: true,
    sticky_flows: 65_536,
    sticky_idle_s: 350,
    all_down: AllDown::FailOpen,
};

/// Of an IPv4 packet.
#[derive(Clone, Copy)]
struct Ends {
    src: u32,
    dst: u32,
    ports: (u16, u16),
}

/// The ends of flow `n`: both hosts and ports differ from flow to flow.
fn ends(n: u32) -> Ends {
    let ports = (1024 + (n.wrapping_mul(7919) % 60_000) as u16, 443);
    Ends { src: 0x0a00_0000 | n, dst: 0xac10_0000 | (n % 250), ports }
}

fn reversed(Ends { src, dst, ports }: Ends) -> Ends {
    Ends { src: dst, dst: src, ports: (ports.1, ports.0) }
}

fn layer4(ends: Ends, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let [src, dst] = [ends.ports.0, ends.ports.1].map(u16::to_be_bytes);
    [&src[..], &dst, &len.to_be_bytes(), &[0, 0], payload].concat()
}

fn ipv4(ends: Ends, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let fragment = fragment.to_be_bytes();
    let mut bytes = vec![0x45, 0, len[0], len[1], 0, 7, fragment[0], fragment[1], 64, protocol];
    bytes.extend([0, 0]);
    bytes.extend([ends.src.to_be_bytes(), ends.dst.to_be_bytes()].concat());
    bytes.extend(payload);
    bytes
}

/// A packet that eni-a sends, on its way from `lan`.
fn egress(packet: &[u8]) -> (PortIndex, Vec<u8>) {
    (LAN, [&OTHER.0[..], &MAC_A.0, &[0x08, 0x00], packet].concat())
}

/// A packet that eni-a gets.
fn ingress(packet: &[u8]) -> (PortIndex, Vec<u8>) {
    (WAN, [&MAC_A.0[..], &OTHER.0, &[0x08, 0x00], packet].concat())
}

fn there(n: u32, protocol: u8) -> (PortIndex, Vec<u8>) {
    egress(&ipv4(ends(n), protocol, 0, &layer4(ends(n), &[0; 20])))
}

fn back(n: u32, protocol: u8) -> (PortIndex, Vec<u8>) {
    let ends = reversed(ends(n));
    ingress(&ipv4(ends, protocol, 0, &layer4(ends, &[0; 20])))
}

/// An appliance, and its members that got copies.
struct Fleet {
    appliance: Appliance,
    spec: Snapshot,
}

impl Fleet {
    fn new(spec: Snapshot) -> Self {
        Self::in_segments(spec, usize::MAX)
    }

    fn in_segments(spec: Snapshot, segment_len: usize) -> Self {
        let behaviour = Behaviour { segment_len, ..Behaviour::default() };
        Self { appliance: Appliance::new(spec.clone(), &[], behaviour), spec }
    }

    /// Which tool gets each frame, by the last byte of its address; in the order of the frames.
    fn tools(&mut self, frames: &[(PortIndex, Vec<u8>)]) -> Vec<u8> {
        for port in [LAN, WAN] {
            let own = frames.iter().enumerate().filter(|(_, (at, _))| *at == port);
            let own = own.map(|(at, (_, bytes))| (at as u64, bytes));
            self.appliance.feed.add(port, Cursor::new(capture_of(own)));
        }
        self.appliance.run();
        self.appliance.outputs[LAN.at()].take_sent();
        self.appliance.outputs[WAN.at()].take_sent();
        let mut sent = self.appliance.sent(TOOL);
        sent.sort_by_key(|frame| frame.timestamp_ns);
        assert_eq!(sent.len(), frames.len());
        sent.iter().map(|frame| frame.bytes[33]).collect()
    }

    /// The tools of these flows.
    fn of_flows(&mut self, flows: impl Iterator<Item = u32>) -> Vec<u8> {
        self.tools(&flows.map(|n| there(n, TCP)).collect::<Vec<_>>())
    }

    fn change(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.spec);
        self.spec.epoch += 1;
        let view = self.appliance.roster.view();
        let view = view.update(&self.spec, &Neighbors::offline(&self.spec)).unwrap();
        self.appliance.roster.publish(Arc::new(self.spec.clone()), &Arc::new(view));
    }

    fn set_health(&mut self, member: usize, health: MemberHealth) {
        self.change(|spec| members(spec)[member].health = health);
    }

    /// Counters of the members.
    fn counted(&mut self) -> Vec<ToolStats> {
        let report = self.appliance.report();
        conserves(&report);
        // Behind those of the first two targets.
        self.appliance.roster.tools().split_off(2)
    }
}

fn counts(tools: &[u8]) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    for tool in tools {
        *counts.entry(*tool).or_default() += 1;
    }
    counts
}

fn moved(before: &[u8], after: &[u8]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many flows")]
fn flows_spread_by_weight_and_both_directions_reach_one_tool() {
    for weights in [[1, 1, 1, 1], [1, 2, 3, 4]] {
        let mut fleet = Fleet::new(spec(BalanceSpec::default(), &weights));
        let frames: Vec<_> = (0..FLOWS).flat_map(|n| [there(n, UDP), back(n, UDP)]).collect();
        let tools = fleet.tools(&frames);
        assert!(tools.chunks(2).all(|pair| pair[0] == pair[1]));
        let (counts, sum) = (counts(&tools), weights.iter().sum::<u16>());
        for (at, weight) in (FIRST..).zip(weights) {
            let (got, part) = (counts[&at], usize::from(2 * FLOWS as u16 / sum * weight));
            assert!(got.abs_diff(part) <= part / 20, "{weights:?}: {got} of {part}");
        }
        let copies: Vec<_> = fleet.counted().iter().map(|tool| tool.copies as usize).collect();
        assert_eq!(copies, counts.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn two_workers_agree() {
    let mut one = Fleet::new(spec(STICKY, &[1, 2, 3, 4]));
    let mut other = Fleet::new(spec(STICKY, &[1, 2, 3, 4]));
    let flows = 0..FLOWS / 10;
    let there: Vec<_> = flows.clone().map(|n| there(n, TCP)).collect();
    let back: Vec<_> = flows.map(|n| back(n, TCP)).collect();
    assert_eq!(one.tools(&there), other.tools(&back));
}

#[test]
fn all_fragments_go_together_and_by_hosts_with_everything_else_of_theirs() {
    let datagram = layer4(ends(7), &[0; 1000]);
    let of_hosts = |n: u32| {
        let (to, from) = (ends(n), reversed(ends(n)));
        let later = ipv4(to, UDP, 100, &datagram[800..]);
        [
            egress(&ipv4(to, UDP, 0x2000, &datagram[..800])),
            egress(&later),
            ingress(&ipv4(from, UDP, 0x2000, &datagram[..800])),
            ingress(&ipv4(from, UDP, 100, &datagram[800..])),
            // No fragments of it.
            there(n, UDP),
            back(n, TCP),
            egress(&ipv4(to, 1, 0, &[8, 0, 0, 0, 0, 0, 0, 0])),
        ]
    };
    let frames: Vec<_> = (0..FLOWS / 20).flat_map(of_hosts).collect();
    for sticky in [false, true] {
        let by = |affinity| BalanceSpec { affinity, sticky, ..BalanceSpec::default() };
        let of_flows = Fleet::new(spec(by(Affinity::Flow), &[1; 4])).tools(&frames);
        let of_hosts = Fleet::new(spec(by(Affinity::Hosts), &[1; 4])).tools(&frames);
        assert!(of_flows.chunks(7).all(|of| of[..4].iter().all(|tool| *tool == of[0])));
        assert!(of_flows.chunks(7).any(|of| of[0] != of[4]), "other flows go elsewhere");
        assert!(of_hosts.chunks(7).all(|of| of.iter().all(|tool| *tool == of[0])));
        assert_eq!(counts(&of_hosts).len(), 4);
    }
}

/// What hides `packet` inside of a flow of other hosts, in one of three tunnels.
fn tunnelled(tunnel: usize, outer: Ends, packet: &[u8]) -> Vec<u8> {
    let frame = [&[2; 12][..], &[0x08, 0x00], packet].concat();
    let to = |port, payload: &[u8]| {
        let ends = Ends { ports: (outer.ports.0, port), ..outer };
        ipv4(ends, UDP, 0, &layer4(ends, payload))
    };
    match tunnel {
        0 => to(4789, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat()),
        1 => to(2152, &[&[0x30, 255, 0, 0, 0, 0, 0, 5][..], packet].concat()),
        _ => ipv4(outer, 47, 0, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 9][..], &frame].concat()),
    }
}

#[test]
fn what_is_inside_of_tunnels_decides_where_it_is_asked_for() {
    let pair = |tunnel| {
        move |n: u32| {
            let inner = ipv4(ends(n), TCP, 0, &layer4(ends(n), &[0; 12]));
            let answer = ipv4(reversed(ends(n)), TCP, 0, &layer4(reversed(ends(n)), &[0; 12]));
            // All between two endpoints, from any port.
            let outer = Ends { ports: (20_000 + n as u16, 0), ..ends(1_000_000) };
            [
                egress(&tunnelled(tunnel, outer, &inner)),
                ingress(&tunnelled(
                    tunnel,
                    Ends { ports: (20_000, 0), ..reversed(outer) },
                    &answer,
                )),
            ]
        }
    };
    for tunnel in 0..3 {
        let frames: Vec<_> = (0..FLOWS / 20).flat_map(pair(tunnel)).collect();
        let plain: Vec<_> = (0..FLOWS / 20).flat_map(|n| [there(n, TCP), back(n, TCP)]).collect();
        for sticky in [false, true] {
            let by = |inner| BalanceSpec { inner, sticky, ..BalanceSpec::default() };
            let mut fleet = Fleet::new(spec(by(true), &[1; 4]));
            let tools = fleet.tools(&frames);
            assert_eq!(tools, fleet.tools(&plain), "as without a tunnel");
            let segments = Fleet::in_segments(spec(by(true), &[1; 4]), 25).tools(&frames);
            assert_eq!(tools, segments);
            let outer = Fleet::new(spec(by(false), &[1; 4])).tools(&frames);
            assert!(outer.chunks(2).any(|pair| pair[0] != pair[1]) || tunnel == 2);
            assert!(tunnel != 2 || counts(&outer).len() == 1, "GRE shows no ports");
        }
    }
}

#[test]
fn the_outer_source_port_is_the_flow_s_whatever_decides() {
    let ports = |balance| {
        let mut fleet = Fleet::new(spec(balance, &[1; 4]));
        fleet
            .appliance
            .feed
            .add(LAN, Cursor::new(capture_of((0..9).map(|n| (n, there(n as u32, TCP).1)))));
        fleet.appliance.run();
        let sent = fleet.appliance.sent(TOOL);
        sent.iter().map(|frame| [frame.bytes[34], frame.bytes[35]]).collect::<Vec<_>>()
    };
    let hosts = BalanceSpec { affinity: Affinity::Hosts, inner: true, ..STICKY };
    assert_eq!(ports(BalanceSpec::default()), ports(hosts));
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many flows")]
fn losing_one_moves_hardly_more_than_its_own() {
    for n in [2, 3, 4, 8] {
        let mut fleet = Fleet::new(spec(BalanceSpec::default(), &vec![1; n]));
        let before = fleet.of_flows(0..FLOWS);
        fleet.set_health(n - 1, MemberHealth::Down);
        let after = fleet.of_flows(0..FLOWS);
        let gone = FIRST + n as u8 - 1;
        assert!(!after.contains(&gone));
        let (own, moved) = (counts(&before)[&gone], moved(&before, &after));
        assert!(moved >= own && moved <= FLOWS as usize / n + FLOWS as usize / 50, "{moved}");
        fleet.set_health(n - 1, MemberHealth::Active);
        assert_eq!(fleet.of_flows(0..FLOWS), before, "all is as it was");
    }
}

#[test]
fn living_flows_stay_while_others_come_drain_and_change() {
    let mut fleet = Fleet::new(spec(STICKY, &[1; 4]));
    let before = fleet.of_flows(0..FLOWS);
    fleet.set_health(0, MemberHealth::Draining);
    assert_eq!(moved(&before, &fleet.of_flows(0..FLOWS)), 0, "it keeps what it has");
    assert!(!fleet.of_flows(FLOWS..2 * FLOWS).contains(&FIRST), "it gets no new flows");
    fleet.change(|spec| {
        let newcomer =
            MemberSpec { address: [192, 0, 2, 99].into(), weight: 3, ..members(spec)[1].clone() };
        members(spec).insert(0, newcomer);
        members(spec)[3].weight = 0;
    });
    // Several views at once, of which the worker sees the last.
    fleet.change(|spec| members(spec)[2].weight = 7);
    fleet.change(|spec| members(spec)[1].health = MemberHealth::Active);
    assert_eq!(moved(&before, &fleet.of_flows(0..FLOWS)), 0, "all stay");
    let new = counts(&fleet.of_flows(2 * FLOWS..3 * FLOWS));
    assert!(!new.contains_key(&(FIRST + 2)), "a weight of 0 gets no new flows: {new:?}");
    assert!(new[&99] > 0 && new[&FIRST] > 0);
    let moved_flows: u64 = fleet.counted().iter().map(|tool| tool.moved_flows).sum();
    assert_eq!(moved_flows, 0);
}

#[test]
fn a_member_that_is_down_loses_its_flows_and_gets_new_ones_when_it_is_back() {
    let mut fleet = Fleet::new(spec(STICKY, &[1; 4]));
    let before = fleet.of_flows(0..FLOWS);
    fleet.set_health(2, MemberHealth::Down);
    let after = fleet.of_flows(0..FLOWS);
    let lost = counts(&before)[&(FIRST + 2)];
    assert_eq!(moved(&before, &after), lost, "only its own");
    let counted = fleet.counted();
    let moved_to = |at: u8| before.iter().zip(&after).filter(|(a, b)| a != b && **b == at).count();
    for (at, tool) in (FIRST..).zip(&counted) {
        assert_eq!(tool.moved_flows as usize, moved_to(at));
    }
    fleet.set_health(2, MemberHealth::Active);
    assert_eq!(moved(&after, &fleet.of_flows(0..FLOWS)), 0, "what has moved stays");
    assert!(fleet.of_flows(FLOWS..2 * FLOWS).contains(&(FIRST + 2)));
    // A member that is taken away altogether, and counters that know the others by name.
    fleet.change(|spec| drop(members(spec).remove(0)));
    let last = fleet.of_flows(0..FLOWS);
    assert_eq!(moved(&after, &last), counts(&after)[&FIRST]);
    let total = |counted: &[ToolStats]| counted.iter().map(|tool| tool.moved_flows).sum::<u64>();
    let gained = total(&fleet.counted()) - total(&counted[1..]);
    assert_eq!(gained as usize, counts(&after)[&FIRST]);
}

#[test]
fn a_flow_that_was_silent_for_long_is_new() {
    let flows = FLOWS / 20;
    let mut fleet = Fleet::new(spec(STICKY, &[1; 4]));
    let udp: Vec<_> = (0..flows).map(|n| there(n, UDP)).collect();
    let (of_tcp, of_udp) = (fleet.of_flows(0..flows), fleet.tools(&udp));
    fleet.change(|spec| members(spec).rotate_left(1));
    fleet.set_health(0, MemberHealth::Draining);
    let drained = fleet.spec.targets[2].members[0].address;
    let drained = match drained {
        std::net::IpAddr::V4(address) => address.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    };
    SimClock::advance(119 * SECOND);
    assert_eq!((fleet.of_flows(0..flows), fleet.tools(&udp)), (of_tcp.clone(), of_udp.clone()));
    SimClock::advance(125 * SECOND);
    assert_eq!(fleet.of_flows(0..flows), of_tcp);
    let now = fleet.tools(&udp);
    assert!(of_udp.contains(&drained) && !now.contains(&drained));
    SimClock::advance(355 * SECOND);
    assert!(of_tcp.contains(&drained) && !fleet.of_flows(0..flows).contains(&drained));
}

#[test]
fn a_full_table_harms_nobody() {
    let small = BalanceSpec { sticky_flows: 8, ..STICKY };
    let mut full = Fleet::new(spec(small, &[1, 2, 3, 4]));
    let mut none = Fleet::new(spec(BalanceSpec::default(), &[1, 2, 3, 4]));
    for _ in 0..2 {
        assert_eq!(full.of_flows(0..FLOWS / 10), none.of_flows(0..FLOWS / 10));
    }
    let before = none.of_flows(0..FLOWS / 10);
    for fleet in [&mut full, &mut none] {
        fleet.set_health(3, MemberHealth::Draining);
    }
    let (kept, moved_all) = (full.of_flows(0..FLOWS / 10), none.of_flows(0..FLOWS / 10));
    let differing = moved(&kept, &moved_all);
    assert!((1..=8).contains(&differing), "the first eight stay: {differing}");
    assert_eq!(moved(&kept[..8], &before[..8]), 0);
}

#[test]
fn flows_are_forgotten_when_nobody_asks_for_them_and_known_to_each_target_apart() {
    let mut fleet = Fleet::new(spec(STICKY, &[1; 4]));
    let before = fleet.of_flows(0..FLOWS / 10);
    fleet.change(|spec| spec.targets[2].balance.sticky = false);
    assert_eq!(fleet.of_flows(0..FLOWS / 10), before);
    fleet.change(|spec| spec.targets[2].balance.sticky = true);
    fleet.set_health(1, MemberHealth::Draining);
    assert!(!fleet.of_flows(0..FLOWS / 10).contains(&(FIRST + 1)));
    // The flows of a target of another name are others.
    fleet.set_health(1, MemberHealth::Active);
    let before = fleet.of_flows(FLOWS..FLOWS + FLOWS / 10);
    fleet.change(|spec| spec.targets[2].id = "other".into());
    fleet.set_health(1, MemberHealth::Draining);
    let after = fleet.of_flows(FLOWS..FLOWS + FLOWS / 10);
    assert!(before.contains(&(FIRST + 1)) && !after.contains(&(FIRST + 1)));
}

#[test]
fn when_all_are_down_all_get_their_flows_or_copies_are_skipped() {
    for sticky in [false, true] {
        let balance = |all_down| BalanceSpec { sticky, all_down, ..STICKY };
        let mut open = Fleet::new(spec(balance(AllDown::FailOpen), &[1; 4]));
        let before = open.of_flows(0..FLOWS / 10);
        let all = |health| {
            move |spec: &mut Snapshot| {
                for member in members(spec) {
                    member.health = health;
                }
            }
        };
        open.change(all(MemberHealth::Down));
        assert_eq!(open.of_flows(0..FLOWS / 10), before);
        assert!(open.counted().iter().all(|tool| tool.moved_flows == 0));

        let mut skip = Fleet::new(spec(balance(AllDown::Skip), &[1; 4]));
        skip.change(all(MemberHealth::Down));
        let frames: Vec<_> = (0..10).map(|n| (n, there(n as u32, TCP).1)).collect();
        skip.appliance.feed.add(LAN, Cursor::new(capture_of(frames)));
        skip.appliance.run();
        let report = skip.appliance.report();
        assert_eq!(report.sessions[0].skipped[Skipped::NoMember as usize], 10);
        assert!(skip.counted().iter().all(|tool| tool.copies == 0));
        skip.change(all(MemberHealth::Draining));
        assert_eq!(counts(&skip.of_flows(0..FLOWS / 10)).len(), 4);
    }
}

#[test]
fn copies_are_counted_for_the_only_tool_of_a_target_once() {
    for sticky in [false, true] {
        let balance = BalanceSpec { sticky, ..STICKY };
        let mut fleet = Fleet::new(spec(balance, &[1]));
        assert!(fleet.of_flows(0..100).iter().all(|tool| *tool == FIRST));
        assert_eq!(fleet.counted(), [ToolStats { copies: 100, moved_flows: 0 }]);
        // Flows of the time when it was alone stay with it.
        fleet.change(|spec| {
            let second = MemberSpec { address: [192, 0, 2, 11].into(), ..members(spec)[0].clone() };
            members(spec).push(second);
        });
        let tools: HashMap<_, _> = counts(&fleet.of_flows(0..100)).into_iter().collect();
        assert_eq!(tools.len(), if sticky { 1 } else { 2 });
        assert_eq!(fleet.counted().iter().map(|tool| tool.copies).sum::<u64>(), 200);
    }
}
