//! How many frames a second one core plays: a measurement, not a test. Run it with
//! `cargo test --release -p traffic --lib speed -- --ignored --nocapture`.

use engine::sim::capture_of;

use super::*;
use crate::replay::{Reading, Rewrites, Split, Timing, VlanRewrite};

/// UDP over IPv4 in a frame of this length, one of 500 flows.
fn frame(flow: u16, len: usize) -> Vec<u8> {
    let [high, low] = (1024 + flow).to_be_bytes();
    let mut frame = vec![0; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 1, 0, 1, 10, 2, 0, 1]);
    frame[34..42].copy_from_slice(&[high, low, 0, 53, 0, 26, 1, 1]);
    frame
}

/// Seconds that this thread has run: others may have run meanwhile.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let files = tempfile::tempdir().unwrap();
    let imix = [60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514];
    let rewrites = Rewrites {
        source_mac: [Some(engine::units::Mac([2; 6])); 2],
        destination_mac: [None; 2],
        addresses: vec![("10.1.0.0/16".parse().unwrap(), "192.168.0.0/16".parse().unwrap())],
        ports: vec![(53, 5353)],
        vlan: Some(VlanRewrite::Push { vlan: 7, ether_type: 0x8100 }),
        increments: vec!["10.2.0.0/16".parse().unwrap()],
    };
    for (name, lens) in [("60 bytes", [60].as_slice()), ("IMIX", &imix)] {
        let frames = 2_000_000usize.min(700_000_000 / (lens.iter().sum::<usize>() / lens.len()));
        let capture = capture_of(
            (0..frames).map(|n| (n as u64, frame((n % 500) as u16, lens[n % lens.len()]))),
        );
        let file = files.path().join("capture");
        std::fs::write(&file, capture).unwrap();
        for (what, rewrites, skip_scan, is_split) in [
            ("as it is", Rewrites::default(), true, false),
            ("split by first speaker", Rewrites::default(), true, true),
            ("rewritten", rewrites.clone(), true, false),
            ("from memory", Rewrites::default(), false, false),
            ("from memory, rewritten", rewrites.clone(), false, false),
        ] {
            if std::env::var("SPEED").is_ok_and(|only| only != format!("{name}, {what}")) {
                continue;
            }
            let plan = ReplayPlan {
                files: vec![file.clone()],
                joining: Joining::Merged,
                timing: Timing::Packets { per_second: 1e9 },
                loops: Some(3),
                duration_ns: None,
                limit: None,
                gap_max_ns: None,
                port: 0,
                split: is_split.then_some(Split { port: 1, by: SplitBy::FirstSpeaker }),
                rewrites,
                reading: Reading { skip_scan, ..Reading::default() },
            };
            let mut plan = plan;
            if !skip_scan {
                // Little enough to be kept.
                plan.files = vec![files.path().join("small")];
                let few = 100_000;
                let bytes = capture_of(
                    (0..few).map(|n| (n as u64, frame((n % 500) as u16, lens[n % lens.len()]))),
                );
                std::fs::write(&plan.files[0], bytes).unwrap();
                plan.loops = Some(60);
            }
            let mut player = Player::open(&plan).unwrap();
            let (start, mut count, mut sum) = (seconds(), 0u32, 0u64);
            while player.advance() {
                let frame = player.frame();
                sum += u64::from(frame.bytes[0]) + frame.due_ns + u64::from(frame.flow);
                count += 1;
            }
            let seconds = seconds() - start;
            println!("{name}, {what}: {:.1} M frames/s ({sum})", f64::from(count) / seconds / 1e6);
        }
    }
}
