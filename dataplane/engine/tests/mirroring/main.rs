//! The whole packet path over simulated ports: laws that hold for every input.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]
#![expect(unreachable_pub, reason = "a test has no outside")]

mod balancing;
mod boundaries;
mod draining;
mod kernel;
mod measures;
mod policing;
mod relief;
mod scenario;
mod sharing;
mod spreading;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use engine::drop_reason::{Ended, Skipped, Unmirrored};
use engine::neighbors::Neighbors;
use engine::report::Report;
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::sim::{SentFrame, TxFaults};
use engine::units::{Mac, PortIndex};
use engine::view::View;
use proptest::prelude::*;
use scenario::{
    Appliance, Behaviour, LAN, MAC_A, MAC_C, MAC_E, SPAN, TOOL, VLAN_B, WAN, rule, snapshot,
};

/// So many frames come in one run; Miri takes seconds for each.
const FRAMES_MAX: usize = if cfg!(miri) { 16 } else { 200 };
const OTHER: Mac = Mac([2, 0, 0, 0, 0xdd, 9]);

/// UDP over IPv4 or IPv6, tagged or not, with a payload of `payload` bytes.
fn udp(dst: Mac, src: Mac, vlan: Option<u16>, v6: bool, dst_port: u16, payload: usize) -> Vec<u8> {
    let mut frame = [dst.0, src.0].concat();
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0]);
        frame.extend(vlan.to_be_bytes());
    }
    let udp_len = u16::try_from(payload + 8).unwrap();
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend([17, 64]);
        frame.extend([0xfd; 32]);
    } else {
        frame.extend([0x08, 0, 0x45, 0]);
        frame.extend((udp_len + 20).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    frame.extend([0x13, 0x88]);
    frame.extend(dst_port.to_be_bytes());
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend((0..payload).map(|n| n as u8));
    frame
}

/// Frames as they come on a wire and as an enemy sends them, each with its port.
fn traffic() -> impl Strategy<Value = Vec<(PortIndex, Vec<u8>)>> {
    let mac = || prop::sample::select(vec![MAC_A, MAC_C, MAC_E, OTHER, Mac([0xff; 6])]);
    let vlan = prop::sample::select(vec![None, None, Some(VLAN_B), Some(0), Some(7)]);
    let payload = prop_oneof![0usize..64, 1380usize..1500, Just(4000)];
    let dst_port = prop::sample::select(vec![53u16, 80, 4789, 67]);
    let sound = (mac(), mac(), vlan, any::<bool>(), dst_port, payload)
        .prop_map(|(dst, src, vlan, v6, port, payload)| udp(dst, src, vlan, v6, port, payload));
    let mutated =
        (sound.clone(), any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>())
            .prop_map(|(mut frame, at, value, cut)| {
                let at = at.index(frame.len().min(60));
                frame[at] = value;
                let cut = cut.index(frame.len() + 1);
                if value % 4 == 0 {
                    frame.truncate(cut);
                }
                frame
            });
    let noise = prop::collection::vec(any::<u8>(), 0..100);
    let port = prop::sample::select(vec![LAN, LAN, WAN, SPAN, TOOL]);
    prop::collection::vec((port, prop_oneof![3 => sound, 2 => mutated, 1 => noise]), 0..FRAMES_MAX)
}

fn faults() -> impl Strategy<Value = TxFaults> {
    prop_oneof![
        Just(TxFaults::default()),
        (0usize..64)
            .prop_map(|accepts_per_call| TxFaults { accepts_per_call, ..TxFaults::default() }),
        (0usize..600).prop_map(|most| TxFaults { holds: Some(most), ..TxFaults::default() }),
        (1u64..4)
            .prop_map(|n| TxFaults { refuses_every: NonZeroU64::new(n), ..TxFaults::default() }),
        Just(TxFaults { is_down: true, ..TxFaults::default() }),
        Just(TxFaults { refuses_chains: true, ..TxFaults::default() }),
    ]
}

/// The conservation laws: each frame, each evaluation, each copy ends once, for a named reason.
fn conserves(report: &Report) {
    for port in &report.ports {
        assert_eq!(port.rx_packets, port.forwarded + port.ended.iter().sum::<u64>(), "{port:?}");
        assert_eq!(port.between_workers, 0);
    }
    for session in &report.sessions {
        let skipped = session.skipped.iter().sum::<u64>();
        assert_eq!(session.matched, session.mirrored_packets + skipped, "{session:?}");
    }
    let never = report.unmirrored[Unmirrored::NeverMirrored as usize];
    assert_eq!(report.never_mirrored_by.iter().sum::<u64>(), never);
    let hits: u64 = report.rules.iter().map(|rule| rule.hits).sum();
    let matched: u64 = report.sessions.iter().map(|session| session.matched).sum();
    assert_eq!(hits, matched + report.unmirrored[Unmirrored::Rejected as usize]);
}

/// Packets, inner bytes and truncated packets of each session that has any, by VNI.
type Mirrored = BTreeMap<u32, [u64; 3]>;

fn of_sessions(report: &Report) -> Mirrored {
    let specs = snapshot().sessions;
    let counted = specs.iter().zip(&report.sessions).map(|(spec, session)| {
        let counts = [session.mirrored_packets, session.mirrored_bytes, session.truncated_packets];
        (spec.vni.value(), counts)
    });
    counted.filter(|(_, counts)| counts[0] > 0).collect()
}

/// The same, read off the copies. Each must hold its frame's bytes, without tags, up to a length.
fn of_copies(copies: &[SentFrame], frames: &[(PortIndex, Vec<u8>)]) -> Mirrored {
    let mut mirrored = Mirrored::new();
    for SentFrame { timestamp_ns, bytes } in copies {
        let header_len = if bytes[12..14] == [0x08, 0x00] { 50 } else { 70 };
        let (header, inner) = bytes.split_at(header_len);
        let vni = header[header_len - 5..]
            .iter()
            .take(4)
            .fold(0, |vni, byte| vni << 8 | u32::from(*byte));
        let frame = without_tags(&frames[usize::try_from(*timestamp_ns).unwrap()].1);
        assert_eq!(inner, &frame[..inner.len()]);
        let counts = mirrored.entry(vni & 0x00ff_ffff).or_default();
        let is_truncated = u64::from(inner.len() < frame.len());
        *counts = [counts[0] + 1, counts[1] + inner.len() as u64, counts[2] + is_truncated];
    }
    mirrored
}

fn without_tags(frame: &[u8]) -> Vec<u8> {
    let (addresses, mut rest) = frame.split_at(12);
    while matches!(rest, [0x81 | 0x91, 0x00, ..] | [0x88, 0xa8, ..]) {
        rest = &rest[4..];
    }
    [addresses, rest].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 400 }, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_accounted_for(
        frames in traffic(), wire in faults(), tool in faults(),
        segment_len in prop_oneof![Just(usize::MAX), 1usize..80, 200usize..2048],
        pool in prop_oneof![Just(4096usize), 0usize..100],
        share_len_min in prop_oneof![Just(usize::MAX), Just(0), 60usize..1500],
    ) {
        let behaviour = Behaviour { segment_len, wire, tool, pool, share_len_min };
        let mut appliance = Appliance::new(snapshot(), &frames, behaviour);
        appliance.run();
        let report = appliance.report();
        conserves(&report);
        measures::queues_add_up(&report, &appliance.roster.workers());
        let received: u64 = report.ports.iter().map(|port| port.rx_packets).sum();
        prop_assert_eq!(received, frames.len() as u64);
        // What was counted as sent is what the devices got.
        for port in [LAN, WAN, TOOL] {
            appliance.outputs[port.at()].set_faults(TxFaults::default());
            let sent = appliance.sent(port);
            let counted = &report.ports[port.at()];
            let bytes: usize = sent.iter().map(|frame| frame.bytes.len()).sum();
            prop_assert_eq!((counted.tx_packets, counted.tx_bytes), (sent.len() as u64, bytes as u64));
            if port == TOOL {
                prop_assert_eq!(of_copies(&sent, &frames), of_sessions(&report));
            }
        }
        drop(appliance.worker);
        prop_assert_eq!(appliance.feed.in_use(), 0);
        prop_assert_eq!((appliance.pool.in_use(), appliance.leads.in_use()), (0, 0));
    }

    #[test]
    fn a_reference_has_the_bytes_of_a_copy(
        frames in traffic(), share_len_min in 0usize..1600,
        segment_len in prop_oneof![Just(usize::MAX), 200usize..2048],
    ) {
        let outcome = |share_len_min| {
            let behaviour = Behaviour { segment_len, share_len_min, ..Behaviour::default() };
            let mut appliance = Appliance::new(snapshot(), &frames, behaviour);
            appliance.run();
            let mut report = appliance.report();
            report.ports[TOOL.at()].shared_packets = 0;
            (report, [LAN, WAN, TOOL].map(|port| appliance.sent(port)))
        };
        prop_assert_eq!(outcome(share_len_min), outcome(usize::MAX));
    }

    #[test]
    fn a_wire_carries_every_frame_unchanged_and_in_order(frames in traffic(), tool in faults()) {
        let mut appliance = Appliance::new(snapshot(), &frames, Behaviour { tool, ..Behaviour::default() });
        appliance.run();
        for (from, to) in [(LAN, WAN), (WAN, LAN)] {
            let received = frames.iter().filter(|(port, _)| *port == from).map(|(_, frame)| frame);
            let sent = appliance.sent(to);
            prop_assert!(received.eq(sent.iter().map(|frame| &frame.bytes)));
        }
    }

    #[test]
    fn segments_change_nothing(frames in traffic(), segment_len in 1usize..300, refuses_chains: bool) {
        let tool = TxFaults { refuses_chains, ..TxFaults::default() };
        let outcome = |segment_len| {
            let behaviour = Behaviour { segment_len, tool, ..Behaviour::default() };
            let mut appliance = Appliance::new(snapshot(), &frames, behaviour);
            appliance.run();
            (appliance.report(), [LAN, WAN, TOOL].map(|port| appliance.sent(port)))
        };
        prop_assert_eq!(outcome(segment_len), outcome(usize::MAX));
    }

    #[test]
    fn a_tap_makes_the_copies_that_a_wire_makes(frames in traffic()) {
        // Prepending to frames that end here and copying frames that go on give the same bytes.
        let outcome = |forward| {
            let mut snapshot = snapshot();
            snapshot.links[0].forward = forward;
            let mut appliance = Appliance::new(snapshot, &frames, Behaviour::default());
            appliance.run();
            let report = appliance.report();
            (appliance.sent(TOOL), report.sessions, report.rules, report.unmirrored)
        };
        prop_assert_eq!(outcome(true), outcome(false));
    }
}

#[test]
fn the_first_match_settles_and_only_no_match_falls_through() {
    let frames = vec![
        (LAN, udp(OTHER, MAC_A, None, false, 53, 20)), // rejected by a1: a2 does not see it
        (LAN, udp(OTHER, MAC_A, None, false, 80, 20)), // accepted by a1
        (LAN, udp(OTHER, MAC_A, None, true, 80, 200)), // IPv6: a1 has no such rule, a2 takes it
        (LAN, udp(OTHER, OTHER, None, false, 80, 20)), // nobody's
    ];
    let mut appliance = Appliance::new(snapshot(), &frames, Behaviour::default());
    appliance.run();
    let report = appliance.report();
    let mirrored: Vec<_> = report.sessions.iter().map(|session| session.mirrored_packets).collect();
    assert_eq!(mirrored, [1, 1, 0, 0, 0, 0]);
    assert_eq!(report.sessions[1].mirrored_bytes, 96, "PacketLength");
    assert_eq!(report.sessions[1].truncated_packets, 1);
    assert_eq!(report.unmirrored[Unmirrored::Rejected as usize], 1);
    assert_eq!(report.unmirrored[Unmirrored::NoSource as usize], 1);
    let sent = appliance.sent(TOOL);
    assert_eq!(sent[0].bytes[50..], frames[1].1);
    assert_eq!(sent[1].bytes[70..], frames[2].1[..96]);
}

#[test]
fn a_span_frame_with_two_sources_is_copied_twice_egress_first() {
    let frames = vec![(SPAN, udp(MAC_A, MAC_C, Some(5), false, 80, 20))];
    let mut appliance = Appliance::new(snapshot(), &frames, Behaviour::default());
    appliance.run();
    let report = appliance.report();
    assert_eq!(report.ports[SPAN.at()].ended[Ended::Tap as usize], 1);
    let sent = appliance.sent(TOOL);
    let stripped = udp(MAC_A, MAC_C, None, false, 80, 20);
    // eni-c sent it (over IPv6), eni-d receives it (over IPv4).
    assert_eq!(
        (sent[0].bytes[70..].to_vec(), sent[1].bytes[50..].to_vec()),
        (stripped.clone(), stripped)
    );
}

#[test]
fn a_wire_that_cannot_send_chains_ends_them_and_carries_the_others() {
    let (short, long) =
        (udp(OTHER, MAC_A, None, false, 80, 20), udp(OTHER, MAC_A, None, false, 80, 900));
    let frames = vec![(LAN, short.clone()), (LAN, long), (LAN, short.clone())];
    let wire = TxFaults { refuses_chains: true, ..TxFaults::default() };
    let behaviour = Behaviour { segment_len: 512, wire, ..Behaviour::default() };
    let mut appliance = Appliance::new(snapshot(), &frames, behaviour);
    appliance.run();
    let report = appliance.report();
    conserves(&report);
    assert_eq!(report.ports[LAN.at()].ended[Ended::Chained as usize], 1);
    let sent: Vec<_> = appliance.sent(WAN).into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(sent, [short.clone(), short]);
    assert_eq!(report.sessions[0].mirrored_packets, 3, "copies are made all the same");
}

#[test]
fn a_tool_without_link_neighbour_or_buffers_skips_copies_for_that_reason() {
    let frames: Vec<_> = (0..10).map(|_| (LAN, udp(OTHER, MAC_A, None, false, 80, 20))).collect();
    let skipped = |appliance: &mut Appliance| {
        appliance.run();
        assert_eq!(appliance.sent(WAN).len(), 10, "the wire goes on");
        appliance.report().sessions[0].skipped
    };
    let mut down = Appliance::new(snapshot(), &frames, Behaviour::default());
    down.roster.links()[TOOL.at()].store(false, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..256 {
        down.report(); // a worker looks at the links every so many rounds
    }
    assert_eq!(skipped(&mut down)[Skipped::ToolDown as usize], 10);

    let mut dry =
        Appliance::new(snapshot(), &frames, Behaviour { pool: 0, ..Behaviour::default() });
    assert_eq!(skipped(&mut dry)[Skipped::NoMbuf as usize], 10);

    let mut unknown = Appliance::new(snapshot(), &frames, Behaviour::default());
    let macs = Neighbors::offline(&snapshot()).port_macs;
    let neighbors = Neighbors { port_macs: macs, ..Neighbors::default() };
    let view = View::compile(&snapshot(), &neighbors).expect("a sound snapshot");
    unknown.roster.publish(Arc::new(snapshot()), &Arc::new(view));
    assert_eq!(skipped(&mut unknown)[Skipped::NoNeighbor as usize], 10);
}

#[test]
fn counters_go_on_growing_across_views_and_follow_names() {
    let frames: Vec<_> = (0..640).map(|_| (LAN, udp(OTHER, MAC_A, None, false, 80, 20))).collect();
    let mut appliance = Appliance::new(snapshot(), &frames, Behaviour::default());
    appliance.worker.poll();
    // The second snapshot has the rules and sessions in another order, and one rule more in front.
    let mut second = snapshot();
    second.epoch = 2;
    second.sessions.reverse();
    let first = rule(0, Direction::Egress, 5, RuleAction::Accept);
    second.rules = [first].iter().chain(second.rules.iter()).cloned().collect();
    let view = View::compile(&second, &Neighbors::offline(&second)).expect("a sound snapshot");
    appliance.roster.publish(Arc::new(second), &Arc::new(view));
    assert_eq!(appliance.roster.stragglers().collect::<Vec<_>>(), [1]);
    appliance.run();
    assert_eq!(appliance.roster.stragglers().count(), 0);
    let report = appliance.report();
    conserves(&report);
    assert_eq!(report.epoch, 2);
    let a1 = report.sessions.iter().find(|session| session.id == "a1").expect("it is listed");
    assert_eq!(a1.mirrored_packets, 640);
    let hits =
        |id: &str| report.rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits);
    assert_eq!(hits("rule-0-Egress-20") + hits("rule-0-Egress-5"), 640);
    assert!(hits("rule-0-Egress-20") > 0 && hits("rule-0-Egress-5") > 0);
}

/// Rules are inserted, removed and moved between bursts, so often that the table is made anew several
/// times: each packet is counted by the rule that matched it then, and no view outlives its last worker.
#[test]
fn hits_of_each_rule_survive_changes_of_others_and_old_views_are_freed() {
    const RULES: u16 = if cfg!(miri) { 40 } else { 1000 };
    const ROUNDS: usize = if cfg!(miri) { 3 } else { 120 };
    const FIRST: u16 = 2000;
    let port_of = |at: usize| FIRST + (at * 7) as u16 % RULES;
    let of_port = |port: u16| FilterRule {
        id: format!("port-{port}"),
        protocol: Some(17),
        destination_ports: Some(PortRange { from: port, to: port }),
        ..rule(0, Direction::Egress, 1, RuleAction::Accept)
    };
    let with = |epoch: usize, rules: &[FilterRule]| {
        let mut snapshot = snapshot();
        snapshot.epoch = epoch as u64;
        let numbered =
            rules.iter().zip(1..).map(|(rule, number)| FilterRule { number, ..rule.clone() });
        snapshot.rules = numbered.collect();
        snapshot
    };
    let mut rules: Vec<FilterRule> = (FIRST..FIRST + RULES).map(of_port).collect();
    let frames: Vec<_> =
        (0..64 * ROUNDS).map(|at| (LAN, udp(OTHER, MAC_A, None, false, port_of(at), 20))).collect();
    let mut appliance = Appliance::new(with(1, &rules), &frames, Behaviour::default());
    let (mut expected, mut views) = (BTreeMap::new(), Vec::new());
    for round in 0..ROUNDS {
        let at = round * 37 % rules.len();
        match round % 3 {
            0 => rules.insert(at, of_port(FIRST + RULES + round as u16)),
            1 => drop(rules.remove(at)),
            _ => rules.swap(at, round * 53 % RULES as usize / 2),
        }
        let next = with(2 + round, &rules);
        let view = appliance.roster.view().update(&next, &Neighbors::offline(&next));
        let view = Arc::new(view.expect("a sound snapshot"));
        views.push(Arc::downgrade(&view));
        appliance.roster.publish(Arc::new(next), &view);
        drop(view);
        appliance.worker.poll();
        for frame in 64 * round..64 * (round + 1) {
            *expected.entry(format!("port-{}", port_of(frame))).or_insert(0) +=
                u64::from(rules.iter().any(|rule| rule.id == format!("port-{}", port_of(frame))));
        }
    }
    let report = appliance.report();
    assert_eq!(report.ports[LAN.at()].rx_packets, frames.len() as u64);
    // Also what was counted by rules that have gone since.
    assert_eq!(report.sessions[0].matched, expected.values().sum::<u64>());
    for rule in &report.rules {
        assert_eq!(rule.hits, expected.get(&rule.id).copied().unwrap_or(0), "{}", rule.id);
    }
    assert!(report.rules.iter().filter(|rule| rule.hits > 0).count() > RULES as usize / 4);
    assert_eq!(views.iter().filter(|view| view.upgrade().is_some()).count(), 1);
}

#[test]
fn a_contradictory_snapshot_is_refused_with_all_its_faults() {
    let mut bad = snapshot();
    bad.ports[3].mtu = 575;
    bad.sessions[0].number = 0;
    bad.interfaces[0].port = TOOL;
    let faults = View::<engine::rule_table::LinearTable>::compile(&bad, &Neighbors::offline(&bad));
    let faults = faults.expect_err("three faults");
    assert_eq!(faults.len(), 3, "{faults:?}");
}
