//! Everything at once, for as long as `LINETAP_SOAK_SECONDS` says: tiny and jumbo frames, copies of all
//! kinds, snapshots that change a hundred times a second, a tool that comes and goes. The wire loses
//! nothing, all copies are accounted for, all buffers come back, and memory does not grow.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::from_env;
use common::rig::{LAN, Rig, TOOL, number_of, report, wire_and_tools, with_rig};
use driver::Mbuf;
use engine::burst::Burst;
use engine::port::{Mbuf as _, RxQueue as _};
use engine::roster::Roster;
use engine::rule::{Direction, FilterRule, RuleAction};
use engine::snapshot::{FilterSpec, SessionSpec, Snapshot};
use engine::units::{FilterIndex, InterfaceIndex, TargetIndex, Vni};
use engine::view::Neighbors;

const OUTER_LEN: usize = 50;
const MTU: u16 = 9000;
/// What an outer header leaves of the tool port's MTU.
const INNER_LEN_MAX: usize = MTU as usize - 36;
const LENGTHS: [usize; 7] = [60, 61, 200, 576, 1514, 4000, 9014];

/// One session of all frames, whole or cut by turns; the other one, which never matches, comes and goes.
fn snapshot(generation: u32) -> Snapshot {
    let mut snapshot = wire_and_tools(1, MTU);
    snapshot.epoch = u64::from(generation) + 1;
    for (at, protocol) in [(0, 17), (1, 6)] {
        snapshot.filters.push(FilterSpec { id: format!("f{at}"), amazon_dns: false });
        snapshot.rules.push(FilterRule {
            id: format!("r{at}"),
            filter: FilterIndex(at),
            direction: Direction::Egress,
            number: 1,
            action: RuleAction::Accept,
            source: "0.0.0.0/0".parse().unwrap(),
            destination: "0.0.0.0/0".parse().unwrap(),
            protocol: Some(protocol),
            source_ports: None,
            destination_ports: None,
        });
        if at == 0 || generation.is_multiple_of(3) {
            snapshot.sessions.push(SessionSpec {
                id: format!("s{at}"),
                interface: InterfaceIndex(0),
                target: TargetIndex(0),
                filter: FilterIndex(at),
                number: 2 - at as u16,
                vni: Vni::try_from(at).unwrap(),
                packet_length: generation.is_multiple_of(2).then_some(128),
            });
        }
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
        let (_, rest) = copy.head().split_at(OUTER_LEN);
        let inner = if rest.is_empty() { copy.segments().nth(1).unwrap() } else { rest };
        let (len, whole) = (copy.len() - OUTER_LEN, frame_len(number_of(inner)));
        assert!(len == whole.min(INNER_LEN_MAX) || len == whole.min(128), "{len} of {whole}");
    }
    let count = burst.len() as u64;
    Mbuf::free_bulk(&mut burst);
    count
}

fn publish(roster: &mut Roster, generation: u32) {
    let next = snapshot(generation);
    let view = roster.view().update(&next, &Neighbors::default()).unwrap();
    roster.publish(Arc::new(next), &Arc::new(view));
    roster.reclaim();
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
    with_rig(&snapshot(0), 1, |rig, roster, _| {
        rig.with_frame_len(frame_len);
        let (mut came, mut generation, mut after_warm_up) = (0, 0, 0);
        rig.run(Duration::from_secs(seconds), u64::from(u32::MAX), |rig, elapsed| {
            // Of each second the tool is blocked for a fifth.
            if elapsed.subsec_millis() >= 200 {
                came += fetch(rig);
            }
            if elapsed.as_millis() / 10 > u128::from(generation) {
                generation += 1;
                publish(roster, generation);
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
