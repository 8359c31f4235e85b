//! Everything at once, for as long as `LINETAP_SOAK_SECONDS` says: tiny and jumbo frames, copies of all
//! kinds, snapshots that change a hundred times a second, a tool that comes and goes. The wire loses
//! nothing, all copies are accounted for, all buffers come back, and memory does not grow.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::from_env;
use common::rig::{
    LAN, OUTER_LEN, Rig, TOOL, mirror, number_of, parts, publish, report, wire_and_tools, with_rig,
};
use driver::Mbuf;
use engine::burst::Burst;
use engine::port::{Mbuf as _, RxQueue as _};
use engine::rule::{TCP, UDP};
use engine::snapshot::Snapshot;

const MTU: u16 = 9000;
/// What an outer header leaves of the tool port's MTU.
const INNER_LEN_MAX: usize = MTU as usize - 36;
const LENGTHS: [usize; 7] = [60, 61, 200, 576, 1514, 4000, 9014];

/// One session of all frames, whole or cut by turns; the other one, which never matches, comes and goes.
fn snapshot(generation: u32) -> Snapshot {
    let mut snapshot = wire_and_tools(1, MTU);
    snapshot.epoch = u64::from(generation) + 1;
    for protocol in [UDP, TCP] {
        let session = mirror(&mut snapshot, 0, protocol, None);
        session.packet_length = generation.is_multiple_of(2).then_some(128);
    }
    if !generation.is_multiple_of(3) {
        snapshot.sessions.truncate(1);
    }
    snapshot
}

fn frame_len(number: u64) -> usize {
    LENGTHS[(number % 7) as usize]
}

/// Takes what the tool has been sent; returns how many.
fn fetch(rig: &mut Rig) -> u64 {
    let mut burst = Burst::new();
    rig.tools[0].recv(&mut burst);
    for copy in burst.frames() {
        let (_, inner) = parts(copy);
        let (len, whole) = (copy.len() - OUTER_LEN, frame_len(number_of(inner)));
        assert!(len == whole.min(INNER_LEN_MAX) || len == whole.min(128), "{len} of {whole}");
    }
    let count = burst.len() as u64;
    Mbuf::free_bulk(&mut burst);
    count
}

/// KiB that the process has in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn everything_at_once() {
    let seconds = from_env("LINETAP_SOAK_SECONDS", 4);
    with_rig(&snapshot(0), 1, |rig, roster| {
        rig.with_frame_len(frame_len);
        let (mut came, mut generation, mut after_warm_up) = (0, 0, 0);
        rig.run(Duration::from_secs(seconds), u64::from(u32::MAX), |rig, elapsed| {
            // Of each second the tool is blocked for a fifth.
            if elapsed.subsec_millis() >= 200 {
                came += fetch(rig);
            }
            if elapsed.as_millis() / 10 > u128::from(generation) {
                generation += 1;
                publish(roster, snapshot(generation));
            }
            if after_warm_up == 0 && elapsed >= Duration::from_secs(seconds) / 2 {
                after_warm_up = resident();
            }
            u64::MAX
        });
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(500) {
            rig.fetch_wire();
            came += fetch(rig);
        }
        assert_eq!(rig.forwarded, rig.sent, "the wire lost frames");
        let report = report(roster);
        let session = &report.sessions.iter().find(|session| session.id == "s0").unwrap();
        let skipped: u64 = session.skipped.iter().sum();
        let shared = report.ports[TOOL.at()].shared_packets;
        eprintln!("{generation} snapshots, {} frames, {came} copies ({shared} shared)", rig.sent);
        assert_eq!(report.ports[LAN.at()].forwarded, rig.sent);
        assert_eq!((session.matched, session.mirrored_packets), (rig.sent, came));
        assert_eq!(session.matched, came + skipped);
        assert!(shared > 0 && shared < came && skipped > 0 && session.truncated_packets > 0);
        let grown = resident().saturating_sub(after_warm_up);
        eprintln!("{grown} KiB more in memory than at half time");
        // At first, buffers are used that never were before.
        assert!(grown < 4096 || seconds < 60);
    });
}
