//! A thousand changes of the configuration per second under load: no frame of the wire is lost, no
//! copy is lost, and each is made by one snapshot alone.
//!
//! The worker runs on a core of its own between rings of DPDK; this thread feeds it, checks all that
//! comes out and publishes. `LINETAP_HITLESS_SECONDS` says for how long.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::time::{Duration, Instant};

use common::from_env;
use common::rig::{
    Rig, TOOL, dst_port, mirror, number_of, parts, publish, report, wire_and_tools, with_rig,
};
use driver::Mbuf;
use engine::burst::Burst;
use engine::port::{Mbuf as _, RxQueue as _};
use engine::roster::Roster;
use engine::rule::{PortRange, UDP};
use engine::snapshot::Snapshot;
use engine::units::Vni;
use hdrhistogram::Histogram;

const CHANGES_PER_SECOND: u32 = 1000;

/// The snapshot of a generation, which each of its copies tells: by the VNI, which also says the
/// session, by the session that its rules choose for a port, and by its length.
fn snapshot(generation: u32) -> Snapshot {
    let mut snapshot = wire_and_tools(1, 1500);
    snapshot.epoch = u64::from(generation) + 1;
    let from = if generation.is_multiple_of(2) { 0 } else { 32_768 };
    let half = PortRange { from, to: from + 32_767 };
    for (number, ports) in (0..).zip([Some(half), None]) {
        let session = mirror(&mut snapshot, 0, UDP, ports);
        session.vni = Vni::try_from(2 * generation + number).unwrap();
        session.packet_length = Some(copy_len(generation));
    }
    snapshot
}

fn copy_len(generation: u32) -> u32 {
    100 + generation % 50
}

/// The copies that came out, checked.
#[derive(Default)]
struct Copies {
    mirrored: u64,
    generation: u32,
}

impl Copies {
    /// Checks all that have come; tells the generation of each.
    fn fetch(&mut self, rig: &mut Rig) {
        let mut burst = Burst::new();
        rig.tools[0].recv(&mut burst);
        for copy in burst.frames() {
            let (outer, inner) = parts(copy);
            let vni = u32::from_be_bytes([0, outer[46], outer[47], outer[48]]);
            let (generation, session) = (vni / 2, vni % 2);
            let number = number_of(inner);
            assert_eq!(number, self.mirrored, "a copy is missing");
            assert!(generation >= self.generation, "an older snapshot came back");
            let is_first = (dst_port(number) < 32_768) == generation.is_multiple_of(2);
            assert_eq!(session, u32::from(!is_first), "sessions and rules are of two snapshots");
            assert_eq!(inner.len() as u32, copy_len(generation), "lengths are of another snapshot");
            (self.generation, self.mirrored) = (generation, self.mirrored + 1);
        }
        Mbuf::free_bulk(&mut burst);
    }
}

/// What is published, and how long it takes until a copy shows it.
struct Changes<'a> {
    roster: &'a mut Roster,
    published: Vec<Instant>,
    seen: u32,
    effect: Histogram<u64>,
}

impl Changes<'_> {
    /// Publishes the next snapshot when it is time; `newest` is the latest that a copy has shown.
    fn turn(&mut self, elapsed: Duration, newest: u32) {
        if newest > self.seen {
            // Of a snapshot that was replaced before a frame came, nobody knows.
            let time = self.published[newest as usize].elapsed();
            self.effect.record(u64::try_from(time.as_nanos()).unwrap()).unwrap();
            self.seen = newest;
        }
        let next = self.published.len() as u32;
        if elapsed >= Duration::from_secs(1) / CHANGES_PER_SECOND * next {
            self.published.push(publish(self.roster, snapshot(next)));
        }
    }

    /// Says what was seen, and checks that enough was.
    fn check(&self, seconds: u64) {
        let Self { published, effect, .. } = self;
        eprintln!(
            "{} snapshots, {} seen; update to effect: median {} us, 99 % {} us, longest {} us",
            published.len(),
            effect.len(),
            effect.value_at_quantile(0.5) / 1000,
            effect.value_at_quantile(0.99) / 1000,
            effect.max() / 1000,
        );
        let expected = seconds * u64::from(CHANGES_PER_SECOND);
        assert!(published.len() as u64 > expected / 2, "{} snapshots", published.len());
        assert!(effect.len() > expected / 4, "{} had an effect", effect.len());
    }
}

#[test]
fn nothing_is_lost_or_mixed_while_the_configuration_changes_a_thousand_times_a_second() {
    let seconds = from_env("LINETAP_HITLESS_SECONDS", 3);
    with_rig(&snapshot(0), 1, |rig, roster| {
        let mut copies = Copies::default();
        let all_out = |rig: &mut Rig, copies: &mut Copies| {
            copies.fetch(rig);
            rig.forwarded.min(copies.mirrored)
        };
        let most = rig
            .run(Duration::from_secs(1), u64::from(u32::MAX), |rig, _| all_out(rig, &mut copies));
        let mut changes = Changes {
            roster,
            published: vec![Instant::now()],
            seen: 0,
            effect: Histogram::new(3).unwrap(),
        };
        let rate = rig.run(Duration::from_secs(seconds), most * 9 / 10, |rig, elapsed| {
            let out = all_out(rig, &mut copies);
            changes.turn(elapsed, copies.generation);
            out
        });
        eprintln!("{} frames, {rate} per second (at most {most})", rig.sent);
        changes.check(seconds);
        // What is under way comes out.
        let waited = Instant::now();
        while copies.mirrored < rig.sent && waited.elapsed() < Duration::from_secs(2) {
            rig.fetch_wire();
            copies.fetch(rig);
        }
        assert_eq!((rig.forwarded, copies.mirrored), (rig.sent, rig.sent));
        let report = report(roster);
        assert_eq!(report.ports[0].forwarded, rig.sent);
        assert!(report.ports[0].ended.iter().all(|&count| count == 0));
        assert!(report.sessions.iter().all(|it| it.skipped.iter().all(|&count| count == 0)));
        let mirrored: u64 = report.sessions.iter().map(|it| it.mirrored_packets).sum();
        assert_eq!(mirrored, rig.sent);
        assert_eq!(report.ports[TOOL.at()].tx_packets, rig.sent);
    });
}
