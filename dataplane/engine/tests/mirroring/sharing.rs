//! Copies by reference, and tools that take few copies or none: what they may hold, who is served
//! first, and that the wire never notices.

use std::sync::Arc;

use engine::drop_reason::{Ended, Skipped};
use engine::neighbors::Neighbors;
use engine::sim::TxFaults;
use engine::snapshot::Snapshot;
use engine::units::{PortIndex, TargetIndex};

use crate::scenario::{Appliance, Behaviour, LAN, LEADS, MAC_A, TOOL, VLAN_B, WAN, snapshot};
use crate::{OTHER, conserves, udp};

/// Frames that session `a1` wants, in whole bursts.
fn flood(bursts: usize, payload: usize) -> Vec<(PortIndex, Vec<u8>)> {
    let frame = udp(OTHER, MAC_A, None, false, 80, payload);
    (0..64 * bursts).map(|_| (LAN, frame.clone())).collect()
}

/// Without a `PacketLength`, so that long frames stay whole.
fn whole() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.sessions.iter_mut().for_each(|session| session.packet_length = None);
    snapshot
}

const SHARES: Behaviour =
    Behaviour { segment_len: usize::MAX, wire: OPEN, tool: OPEN, pool: 4096, share_len_min: 500 };
const OPEN: TxFaults = TxFaults {
    accepts_per_call: usize::MAX,
    refuses_every: None,
    is_down: false,
    refuses_chains: false,
    holds: None,
    takes_ns: 0,
};

#[test]
fn long_frames_are_shared_and_short_or_cut_ones_copied() {
    let frame = |payload| (LAN, udp(OTHER, MAC_A, None, false, 80, payload));
    let tagged = (LAN, udp(OTHER, MAC_A, Some(7), false, 80, 800));
    // 42 bytes of headers; over the MTU of 1500 less 36.
    let frames = [frame(457), frame(458), frame(1000), tagged, frame(2000)];
    let mut appliance = Appliance::new(whole(), &frames, SHARES);
    appliance.run();
    let report = appliance.report();
    assert_eq!(report.ports[TOOL.at()].shared_packets, 2);
    assert_eq!(report.sessions[0].mirrored_packets, 5);
    assert_eq!(report.sessions[0].truncated_packets, 1);
}

#[test]
fn nothing_is_shared_where_a_queue_cannot_send_it() {
    let refuses_chains = TxFaults { refuses_chains: true, ..TxFaults::default() };
    for behaviour in
        [Behaviour { tool: refuses_chains, ..SHARES }, Behaviour { wire: refuses_chains, ..SHARES }]
    {
        let mut appliance = Appliance::new(whole(), &flood(1, 1000), behaviour);
        appliance.run();
        let report = appliance.report();
        assert_eq!(report.ports[TOOL.at()].shared_packets, 0);
        assert_eq!(report.sessions[0].mirrored_packets, 64);
    }
}

#[test]
fn a_tool_that_stops_holds_a_bounded_part_of_the_wires_buffers_and_the_wire_goes_on() {
    const BURSTS: usize = 100;
    let stopped = TxFaults { holds: Some(2000), ..TxFaults::default() };
    let behaviour = Behaviour { tool: stopped, pool: 1000, ..SHARES };
    let frames = flood(BURSTS, 1000);
    let mut appliance = Appliance::new(whole(), &frames, behaviour);
    appliance.run();
    let held = appliance.feed.in_use();
    assert!(held > 64 && held <= LEADS.div_ceil(2), "{held}: one session has half of the leads");
    let report = appliance.report();
    conserves(&report);
    assert_eq!(appliance.sent(WAN).len(), frames.len(), "no frame of the wire is lost");
    assert_eq!(report.ports[LAN.at()].ended[Ended::WireCongested as usize], 0);
    // Then copies were made, until their pool was empty.
    let session = &report.sessions[0];
    assert_eq!(report.ports[TOOL.at()].shared_packets, held as u64);
    assert!(session.mirrored_packets > held as u64 + 800);
    assert!(session.skipped[Skipped::NoMbuf as usize] > 0);
    // What was held is sent once the tool goes on, and every buffer comes back.
    appliance.outputs[TOOL.at()].set_faults(TxFaults::default());
    assert_eq!(appliance.sent(TOOL).len() as u64, session.mirrored_packets);
    assert_eq!(appliance.feed.in_use(), 0);
    drop(appliance.worker);
    assert_eq!((appliance.pool.in_use(), appliance.leads.in_use()), (0, 0));
}

#[test]
fn credit_comes_back_with_the_buffers() {
    let mut appliance = Appliance::new(whole(), &flood(60, 1000), SHARES);
    let stop = TxFaults { holds: Some(4000), ..TxFaults::default() };
    let mut shared = 0;
    for _ in 0..3 {
        appliance.outputs[TOOL.at()].set_faults(stop);
        for _ in 0..10 {
            appliance.worker.poll();
        }
        appliance.outputs[TOOL.at()].set_faults(TxFaults::default());
        let report = appliance.report();
        let now = report.ports[TOOL.at()].shared_packets;
        assert!(now - shared >= LEADS as u64 / 2 - 1, "{shared}, then {now}");
        shared = now;
    }
}

#[test]
fn a_session_that_wants_little_gets_it_beside_one_that_floods() {
    // Of each burst 60 frames are wanted by a1, 4 by b1; the queue takes 16 copies of a burst.
    let wanted = udp(OTHER, MAC_A, None, false, 80, 20);
    let other = udp(OTHER, OTHER, Some(VLAN_B), false, 80, 20);
    let burst = |at: usize| {
        let is_other = at % 16 == 15;
        (LAN, if is_other { other.clone() } else { wanted.clone() })
    };
    let mut snapshot = whole();
    // eni-b is on the same wire: what comes in on lan is its ingress.
    snapshot.interfaces[1].vlan = engine::units::VlanId::try_from(VLAN_B).ok();
    let frames: Vec<_> = (0..64 * 50).map(burst).collect();
    let tool = TxFaults { accepts_per_call: 16, ..TxFaults::default() };
    let mut appliance = Appliance::new(snapshot, &frames, Behaviour { tool, ..SHARES });
    appliance.run();
    let report = appliance.report();
    conserves(&report);
    let (flood, few) = (&report.sessions[0], &report.sessions[2]);
    assert_eq!((flood.matched, few.matched), (60 * 50, 4 * 50));
    // But for the first burst, of which nobody knew.
    assert!(few.mirrored_packets >= 4 * 49, "{few:?}");
    // What is left of the queue, but for a part that keeps it from being always full.
    assert!(flood.mirrored_packets >= 9 * 49, "{flood:?}");
    assert_eq!(flood.skipped[Skipped::ToolCongested as usize], 3000 - flood.mirrored_packets);
}

#[test]
fn sessions_that_get_no_buffer_for_long_are_counted_all_the_same() {
    const BURSTS: usize = 600;
    let wanted = udp(OTHER, MAC_A, None, false, 80, 20);
    let other = udp(OTHER, OTHER, Some(VLAN_B), false, 80, 20);
    let mut snapshot = whole();
    snapshot.interfaces[1].vlan = engine::units::VlanId::try_from(VLAN_B).ok();
    let frames = [wanted, other].map(|frame| (LAN, frame));
    let frames: Vec<_> = frames.iter().cycle().take(64 * BURSTS).cloned().collect();
    let mut appliance = Appliance::new(snapshot, &frames, Behaviour { pool: 0, ..SHARES });
    appliance.run();
    let report = appliance.report();
    conserves(&report);
    for session in [&report.sessions[0], &report.sessions[2]] {
        assert_eq!(session.skipped[Skipped::NoMbuf as usize], 32 * BURSTS as u64);
    }
}

#[test]
fn a_session_that_got_no_copy_leaves_nothing_behind_when_it_is_deleted() {
    // The last session's load balancer takes none that is over its MTU.
    let mut first = whole();
    first.sessions.truncate(3);
    first.sessions[2].target = TargetIndex(2);
    let too_long = (LAN, udp(OTHER, OTHER, Some(VLAN_B), false, 80, 2000));
    let mut frames = vec![too_long; 64];
    frames.extend(flood(1, 20));
    let mut appliance = Appliance::new(first.clone(), &frames, SHARES);
    appliance.worker.poll();
    let mut next = Snapshot { epoch: 2, ..first };
    next.sessions.truncate(1);
    let view = appliance.roster.view().update(&next, &Neighbors::offline(&next)).unwrap();
    appliance.roster.publish(Arc::new(next), &Arc::new(view));
    appliance.run();
    assert_eq!(appliance.report().sessions[0].mirrored_packets, 64);
}

#[test]
fn copies_for_a_tool_that_takes_none_are_hardly_made() {
    let tool = TxFaults { is_down: true, ..TxFaults::default() };
    let frames = flood(50, 20);
    let mut appliance = Appliance::new(whole(), &frames, Behaviour { tool, ..SHARES });
    appliance.run();
    let report = appliance.report();
    conserves(&report);
    assert_eq!(report.sessions[0].skipped[Skipped::ToolCongested as usize], 50 * 64);
    // One that takes some again is soon given all.
    let more = flood(400, 20);
    let mut appliance = Appliance::new(whole(), &more, Behaviour { tool, ..SHARES });
    for _ in 0..100 {
        appliance.worker.poll();
    }
    assert_eq!(appliance.sent(TOOL).len(), 0);
    appliance.outputs[TOOL.at()].set_faults(TxFaults::default());
    for _ in 0..280 {
        appliance.worker.poll();
    }
    assert!(appliance.sent(TOOL).len() > 64);
    appliance.worker.poll();
    assert_eq!(appliance.sent(TOOL).len(), 64);
}

#[test]
fn copies_leave_in_the_order_of_their_frames_whosever_they_are() {
    let frames: Vec<_> = (0..64u64)
        .map(|at| {
            let v6 = at % 3 == 0; // a1 takes IPv4, a2 the rest
            (LAN, udp(OTHER, MAC_A, None, v6, 80, if at % 5 == 0 { 1000 } else { 20 }))
        })
        .collect();
    let mut appliance = Appliance::new(whole(), &frames, SHARES);
    appliance.run();
    let times: Vec<_> = appliance.sent(TOOL).iter().map(|copy| copy.timestamp_ns).collect();
    assert_eq!(times, (0..64).collect::<Vec<_>>());
}
