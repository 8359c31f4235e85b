//! Everything at once, for as long as `LINETAP_SOAK_SECONDS` says: tiny and jumbo frames, a span that
//! never pauses, copies of all kinds (a span's frames are their own copies), snapshots that change a
//! hundred times a second, a tool that comes and goes. The wire loses nothing, all copies are
//! accounted for, all buffers come back, and memory does not grow.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::from_env;
use common::port;
use common::rig::{
    LAN, OUTER_LEN, Rig, TOOL, mirror, number_of, parts, publish, report, wire_and_tools, with_rig,
    write_frame,
};
use driver::Mbuf;
use engine::burst::Burst;
use engine::port::{Mbuf as _, RxQueue as _};
use engine::rule::{FilterRule, TCP, UDP};
use engine::sim::capture_of;
use engine::snapshot::{InterfaceSpec, Snapshot};
use engine::units::{InterfaceIndex, Mac, PortIndex};

const MTU: u16 = 9000;
/// What an outer header leaves of the tool port's MTU.
const INNER_LEN_MAX: usize = MTU as usize - 36;
const SPAN_LENGTHS: [usize; 3] = [60, 576, 1514];
const LENGTHS: [usize; 7] = [60, 61, 200, 576, 1514, 4000, 9014];

/// Sessions by their VNIs: of all frames of the wire, of all of the span, of none.
const WIRE: usize = 0;
const SPAN: usize = 1;
const NONE: usize = 2;
const SPAN_MAC: Mac = Mac([2, 0, 0, 0, 0xaa, 2]);

/// Sessions of all frames of the wire and of the span, whole or cut by turns; a third one, which never
/// matches, comes and goes.
fn snapshot(capture: &Path, generation: u32) -> Snapshot {
    let mut snapshot = wire_and_tools(1, MTU);
    snapshot.epoch = u64::from(generation) + 1;
    let device = format!("net_pcap3,rx_pcap={},infinite_rx=1", capture.display());
    let port_of_span = PortIndex(snapshot.ports.len() as u16);
    snapshot.ports.push(port("span", &device, 1500));
    snapshot.spans = vec![port_of_span];
    let (id, macs) = ("span".to_owned(), vec![SPAN_MAC]);
    snapshot.interfaces.push(InterfaceSpec { id, port: port_of_span, macs, vlan: None });
    for protocol in [UDP, UDP, TCP] {
        let session = mirror(&mut snapshot, 0, protocol, None);
        session.packet_length = generation.is_multiple_of(2).then_some(128);
    }
    snapshot.sessions[SPAN].interface = InterfaceIndex(1);
    if !generation.is_multiple_of(3) {
        snapshot.sessions.truncate(NONE);
    }
    snapshot
}

/// A frame of UDP, from the span's interface.
fn span_frame(number: usize) -> Vec<u8> {
    let mut frame = vec![0; SPAN_LENGTHS[number]];
    write_frame(&mut frame, number as u64);
    frame[6..12].copy_from_slice(&SPAN_MAC.0);
    frame
}

fn frame_len(number: u64) -> usize {
    LENGTHS[(number % 7) as usize]
}

/// Takes what the tool has been sent, and counts it by session.
fn fetch(rig: &mut Rig, came: &mut [u64; 2]) {
    let mut burst = Burst::new();
    rig.tools[0].recv(&mut burst);
    for copy in burst.frames() {
        let (outer, inner) = parts(copy);
        let (session, number) = (usize::from(outer[48]), number_of(inner));
        let whole = if session == WIRE { frame_len(number) } else { SPAN_LENGTHS[number as usize] };
        let len = copy.len() - OUTER_LEN;
        assert!(len == whole.min(INNER_LEN_MAX) || len == whole.min(128), "{len} of {whole}");
        came[session] += 1;
    }
    Mbuf::free_bulk(&mut burst);
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
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("span.pcap");
    // The span repeats it for ever.
    let frames = (0..SPAN_LENGTHS.len()).map(|number| (number as u64, span_frame(number)));
    fs::write(&capture, capture_of(frames)).unwrap();
    let snapshot = |generation| snapshot(&capture, generation);
    with_rig(&snapshot(0), 1, |rig, roster| {
        rig.with_frame_len(frame_len);
        rig.kept_by_devices = SPAN_LENGTHS.len() as u32;
        let (mut came, mut generation, mut after_warm_up) = ([0, 0], 0, 0);
        rig.run(Duration::from_secs(seconds), u64::from(u32::MAX), |rig, elapsed| {
            // Of each second the tool is blocked for a fifth.
            if elapsed.subsec_millis() >= 200 {
                fetch(rig, &mut came);
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
        // The span goes on: its session takes nothing more.
        let mut last = snapshot(generation + 1);
        let of_span = |rule: &FilterRule| rule.filter == last.sessions[SPAN].filter;
        let protocol = |rule: &FilterRule| if of_span(rule) { Some(TCP) } else { rule.protocol };
        last.rules = last
            .rules
            .iter()
            .map(|rule| FilterRule { protocol: protocol(rule), ..rule.clone() })
            .collect();
        publish(roster, last);
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(500) {
            rig.fetch_wire();
            fetch(rig, &mut came);
        }
        assert_eq!(rig.forwarded, rig.sent, "the wire lost frames");
        let report = report(roster);
        let shared = report.ports[TOOL.at()].shared_packets;
        let [of_wire, of_span] = came;
        eprintln!(
            "{generation} snapshots, {} frames, {of_wire} copies of the wire ({shared} shared), \
             {of_span} of the span",
            rig.sent
        );
        assert_eq!(report.ports[LAN.at()].forwarded, rig.sent);
        for (session, came) in [("s0", of_wire), ("s1", of_span)] {
            let session = &report.sessions.iter().find(|it| it.id == session).unwrap();
            let skipped: u64 = session.skipped.iter().sum();
            assert_eq!(session.mirrored_packets, came);
            assert_eq!(session.matched, came + skipped);
            assert!(came > 0 && skipped > 0 && session.truncated_packets > 0);
        }
        assert_eq!(report.sessions[WIRE].matched, rig.sent);
        assert!(shared > 0 && shared < of_wire);
        let grown = resident().saturating_sub(after_warm_up);
        eprintln!("{grown} KiB more in memory than at half time");
        // At first, buffers are used that never were before.
        assert!(grown < 4096 || seconds < 60);
    });
}
