//! Copies wait for others, but not for long, and not across a change of configuration.

use std::sync::Arc;

use engine::neighbors::Neighbors;
use engine::sim::SimClock;
use engine::units::PortIndex;
use engine::view::View;

use crate::scenario::{Appliance, Behaviour, LAN, MAC_A, SPAN, TOOL, WAN, snapshot};
use crate::{OTHER, conserves, udp};

/// An appliance that receives `bursts` of so many frames of lan in a round each: between them the
/// span receives one that nobody wants.
fn appliance(tx_drain_us: u32, bursts: &[usize]) -> Appliance {
    let wanted = udp(OTHER, MAC_A, None, false, 80, 20);
    let unwanted = udp(OTHER, OTHER, None, false, 80, 20);
    let mut frames: Vec<(PortIndex, Vec<u8>)> = Vec::new();
    for &burst in bursts {
        frames.extend((0..burst).map(|_| (LAN, wanted.clone())));
        frames.push((SPAN, unwanted.clone()));
    }
    let mut snapshot = snapshot();
    snapshot.dataplane.tx_drain_us = tx_drain_us;
    Appliance::new(snapshot, &frames, Behaviour::default())
}

#[test]
fn few_copies_wait_for_others_and_the_wire_never() {
    let mut appliance = appliance(20, &[10; 7]);
    for round in 1..=6 {
        appliance.worker.poll();
        SimClock::advance(1_000);
        assert_eq!(appliance.sent(WAN).len(), 10);
        assert_eq!(appliance.sent(TOOL).len(), 0, "round {round}");
    }
    appliance.worker.poll();
    assert_eq!(appliance.sent(TOOL).len(), 70, "a burst is full");
}

#[test]
fn no_copy_waits_longer_than_the_bound() {
    let mut appliance = appliance(20, &[10; 8]);
    let mut sent = Vec::new();
    for _ in 0..8 {
        appliance.worker.poll();
        sent.push(appliance.sent(TOOL).len());
        SimClock::advance(7_000);
    }
    // A burst counts as come when the round before ended: no clock is read for it. So those of the
    // rounds at 0 and 28 µs have waited 21 µs at the rounds that end at 21 and 42 µs.
    assert_eq!(sent, [0, 0, 0, 40, 0, 0, 30, 0]);
}

#[test]
fn copies_leave_at_once_when_there_is_nothing_else_to_do_or_no_time_is_given() {
    let mut idle = appliance(20, &[3]);
    idle.worker.poll();
    assert_eq!(idle.sent(TOOL).len(), 0);
    idle.worker.poll();
    assert_eq!(idle.sent(TOOL).len(), 3);
    let mut hasty = appliance(0, &[3, 4]);
    hasty.worker.poll();
    assert_eq!(hasty.sent(TOOL).len(), 3);
    hasty.worker.poll();
    assert_eq!(hasty.sent(TOOL).len(), 4);
}

#[test]
fn what_waits_is_told_and_is_counted_by_the_view_that_wanted_it() {
    let mut appliance = appliance(20, &[5, 6]);
    appliance.worker.poll();
    let report = appliance.report();
    conserves(&report);
    assert_eq!(report.sessions[0].mirrored_packets, 5);
    // In the next snapshot the session has another place and VNI.
    let mut appliance = self::appliance(20, &[5, 6]);
    appliance.worker.poll();
    let mut next = snapshot();
    next.epoch = 2;
    next.sessions.reverse();
    for session in &mut next.sessions {
        session.vni = engine::units::Vni::try_from(7777).unwrap();
    }
    let view = View::compile(&next, &Neighbors::offline(&next)).unwrap();
    appliance.roster.publish(Arc::new(next), &Arc::new(view));
    appliance.run();
    let vnis: Vec<_> =
        appliance.sent(TOOL).iter().map(|copy| copy.bytes[46..49].to_vec()).collect();
    let (old, new) = (vec![0, 0, 1], 7777u32.to_be_bytes()[1..].to_vec());
    assert_eq!(vnis, [vec![old; 5], vec![new; 6]].concat());
    let report = appliance.report();
    conserves(&report);
    let a1 = report.sessions.iter().find(|session| session.id == "a1").unwrap();
    assert_eq!(a1.mirrored_packets, 11);
}
