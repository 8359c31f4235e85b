//! Sessions that want less than their rules do: samples and rate limits.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use engine::neighbors::Neighbors;
use engine::sim::{SimClock, capture_of};
use engine::snapshot::{RateLimit, Snapshot};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn limit(bytes: u64, packets: u64) -> RateLimit {
    RateLimit { bytes: NonZeroU64::new(bytes), packets: NonZeroU64::new(packets) }
}

/// The sessions that this source has, policed so.
fn policed(rate_limit: Option<RateLimit>, sample: Option<u16>) -> Snapshot {
    let mut snapshot = snapshot();
    for session in &mut snapshot.sessions {
        session.rate_limit = rate_limit;
        session.sample = sample.and_then(NonZeroU16::new);
    }
    snapshot
}

/// Runs frames for the session `c1` with these times.
fn run_timed(
    snapshot: Snapshot,
    times: impl Iterator<Item = u64>,
    frame: &[u8],
) -> (Report, Vec<u64>) {
    let mut appliance = Appliance::new(snapshot, &[], Behaviour::default());
    appliance.feed.add(SPAN, Cursor::new(capture_of(times.map(|time| (time, frame)))));
    appliance.run();
    let times = appliance.sent(TOOL).iter().map(|sent| sent.timestamp_ns).collect();
    (appliance.report(), times)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 100 }, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_wanted_is_accounted_for(
        frames in traffic(), tool in faults(),
        bytes in prop::sample::select(vec![0u64, 1000, 1_000_000]), packets in prop::sample::select(vec![1u64, 100]),
        of in prop::sample::select(vec![1u16, 2, 5]),
        forward: bool,
    ) {
        let mut snapshot = policed(Some(limit(bytes, packets)), Some(of));
        snapshot.sessions[2].rate_limit = None;
        snapshot.links[0].forward = forward;
        let mut appliance = Appliance::new(snapshot.clone(), &frames, Behaviour { tool, ..Behaviour::default() });
        appliance.run();
        let report = appliance.report();
        conserves(&report);
        prop_assert_eq!(report.sessions[2].skipped[Skipped::RateLimited as usize], 0);
        appliance.outputs[TOOL.at()].set_faults(TxFaults::default());
        prop_assert_eq!(of_copies(&appliance.sent(TOOL), &frames), of_sessions(&report));
        // All that matched does so without policing.
        let mut other = Appliance::new(super::snapshot(), &frames, Behaviour::default());
        other.run();
        let matched = |report: &Report| report.sessions.iter().map(|it| it.matched).collect::<Vec<_>>();
        prop_assert_eq!(matched(&report), matched(&other.report()));
    }
}

#[test]
fn offline_the_times_of_the_capture_count() {
    // 1,000 frames a second for ten seconds; the clock of the devices stands still.
    let frame = udp(OTHER, MAC_C, None, false, 80, 100);
    let frames = if cfg!(miri) { 300 } else { 10_000u64 };
    let times = (0..frames).map(|at| 1_700_000_000 * SECOND + at * SECOND / 1000);
    let before = SimClock::reads();
    let (report, sent) = run_timed(policed(Some(limit(0, 100)), None), times.clone(), &frame);
    let per_round = SimClock::reads() - before;
    assert!(per_round < frames / 10, "the clock is read for rounds, not for frames: {per_round}");
    // A bucket of ten, and one more each 10 ms.
    let expected = times.clone().enumerate().filter(|(at, _)| *at < 10 || at % 10 == 0);
    assert_eq!(sent, expected.map(|(_, time)| time).collect::<Vec<_>>());
    let (again, sent_again) = run_timed(policed(Some(limit(0, 100)), None), times, &frame);
    assert_eq!((&report.sessions, sent), (&again.sessions, sent_again), "always the same");
    let session = &report.sessions[3];
    assert_eq!(session.skipped[Skipped::RateLimited as usize], frames - session.mirrored_packets);
}

#[test]
fn bytes_are_those_of_the_copy() {
    // 142 bytes with its tag, of which a copy has none; eni-a's second session keeps 96 at most.
    let frame = udp(OTHER, MAC_C, Some(7), false, 80, 96);
    assert_eq!(frame.len(), 142);
    let (report, _) = run_timed(policed(Some(limit(1000, 0)), None), [0; 500].into_iter(), &frame);
    assert_eq!(report.sessions[3].mirrored_packets, 65_536 / 138);
    let mut snapshot = policed(Some(limit(1000, 0)), None);
    snapshot.sessions[3].packet_length = Some(100);
    let (report, _) = run_timed(snapshot, [0; 900].into_iter(), &frame);
    assert_eq!(report.sessions[3].mirrored_packets, 655);
}

#[test]
fn conversations_are_sampled_whole() {
    let flows: u16 = if cfg!(miri) { 20 } else { 2000 };
    let mut frames = Vec::new();
    for _ in 0..3 {
        for flow in 0..flows {
            let mut there = udp(OTHER, MAC_C, None, false, 1024 + flow, 10);
            frames.push((SPAN, there.clone()));
            // The answer: all of it the other way round.
            there[..6].copy_from_slice(&MAC_C.0);
            there[6..12].copy_from_slice(&OTHER.0);
            let (src, dst) = (there[26..30].to_vec(), there[30..34].to_vec());
            there[26..30].copy_from_slice(&dst);
            there[30..34].copy_from_slice(&src);
            let (src, dst) = (there[34..36].to_vec(), there[36..38].to_vec());
            there[34..36].copy_from_slice(&dst);
            there[36..38].copy_from_slice(&src);
            frames.push((SPAN, there));
        }
    }
    let mut appliance = Appliance::new(policed(None, Some(8)), &frames, Behaviour::default());
    appliance.run();
    let report = appliance.report();
    conserves(&report);
    let sent = appliance.sent(TOOL);
    let port = |bytes: &[u8]| {
        let at = if bytes[bytes.len() - 52 + 26..].starts_with(&[10, 0, 0, 1]) { 36 } else { 34 };
        u16::from_be_bytes([bytes[bytes.len() - 52 + at], bytes[bytes.len() - 52 + at + 1]])
    };
    let kept: BTreeSet<u16> = sent.iter().map(|sent| port(&sent.bytes)).collect();
    assert_eq!(sent.len(), 6 * kept.len(), "each of these with all of its packets");
    let skipped = report.sessions[3].skipped[Skipped::NotSampled as usize];
    assert_eq!(skipped, (frames.len() - sent.len()) as u64);
    if !cfg!(miri) {
        assert!(kept.len().abs_diff(250) < 64, "{} of 2000", kept.len());
    }
}

#[test]
fn a_new_view_does_not_fill_the_buckets_of_sessions_that_stay() {
    let frame = udp(OTHER, MAC_C, None, false, 80, 10);
    let mut appliance =
        Appliance::new(policed(Some(limit(0, 100)), None), &[], Behaviour::default());
    let mirrored = |appliance: &mut Appliance| {
        appliance.feed.add(SPAN, Cursor::new(capture_of([0; 64].map(|time| (time, &frame)))));
        appliance.run();
        appliance.report().sessions[3].mirrored_packets
    };
    assert_eq!(mirrored(&mut appliance), 10);
    let publish = |appliance: &mut Appliance, snapshot: Snapshot| {
        let snapshot = Arc::new(snapshot);
        let neighbors = Neighbors::offline(&snapshot);
        let view = Arc::new(appliance.roster.view().update(&snapshot, &neighbors).unwrap());
        appliance.roster.publish(snapshot, &view);
    };
    let mut other = policed(Some(limit(0, 100)), None);
    other.sessions[0].rate_limit = None;
    publish(&mut appliance, other);
    assert_eq!(mirrored(&mut appliance), 10, "nothing has come in");
    publish(&mut appliance, policed(Some(limit(0, 200)), None));
    assert_eq!(mirrored(&mut appliance), 30, "another limit begins with full buckets");
    publish(&mut appliance, policed(None, None));
    assert_eq!(mirrored(&mut appliance), 94);
}

#[test]
fn odd_policing_is_refused() {
    for (rate_limit, sample) in [
        (Some(limit(0, 0)), None),
        (Some(limit(999, 0)), None),
        (Some(limit(0, 1_000_000_001)), None),
        (None, Some(16_385)),
    ] {
        assert_eq!(policed(rate_limit, sample).faults().len(), 6);
    }
    assert_eq!(policed(Some(limit(1000, 1)), Some(16_384)).faults(), Vec::<String>::new());
}
