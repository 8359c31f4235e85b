//! Whatever becomes of the tools, the wire loses nothing, sessions of other tools lose nothing, and
//! every copy that is skipped is counted by its reason.
//!
//! A worker on a core of its own between rings of DPDK at nine tenths of what this rig can do; a tool
//! that stops is a ring that nobody empties. `LINETAP_BLOCKED_MS` says for how long it does each of
//! the `LINETAP_BLOCKED_TIMES`. What the wire carried meanwhile is printed beside what it carries
//! without sessions.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use common::rig::{
    LAN, OUTER_LEN, Rig, Stop, TOOL, dst_port, mirror, number_of, parts, publish, report,
    wire_and_tools, with_rig, work, write_frame,
};
use common::{alone, attach, eal_of, from_env, one_queue, pool};
use driver::hardware::{Hardware, plan};
use driver::{Mbuf, Mempool, PortConfig, TxQueue};
use engine::burst::Burst;
use engine::drop_reason::Skipped;
use engine::neighbors::Neighbors;
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};
use engine::report::Report;
use engine::roster::Roster;
use engine::rule::{PortRange, UDP};
use engine::snapshot::{NeighborSpec, Snapshot};
use engine::view::View;

/// Sessions in the order in which they are asked: of one frame in 32, of another in 32, of the rest.
const FEW: usize = 0;
const ELSEWHERE: usize = 1;
const FLOOD: usize = 2;
/// The tool of [`FEW`] and [`FLOOD`], which is the one that suffers; and that of [`ELSEWHERE`].
const SUFFERS: usize = 0;
const GOES_ON: usize = 1;

fn snapshot() -> Snapshot {
    let mut snapshot = wire_and_tools(2, 1500);
    let ports = [Some((1024, 2047)), Some((3072, 4095)), None];
    for (ports, target) in ports.into_iter().zip([SUFFERS, GOES_ON, SUFFERS]) {
        mirror(&mut snapshot, target, UDP, ports.map(|(from, to)| PortRange { from, to }));
    }
    snapshot
}

/// Which session wants a frame.
fn session_of(number: u64) -> usize {
    match dst_port(number) {
        1024..=2047 => FEW,
        3072..=4095 => ELSEWHERE,
        _ => FLOOD,
    }
}

/// Some are copied, some held by reference.
fn frame_len(number: u64) -> usize {
    if number.is_multiple_of(2) { 100 } else { 1400 }
}

/// The copies that came out, checked.
#[derive(Default)]
struct Copies {
    /// By session.
    came: [u64; 3],
    /// The next number of each session.
    next: [u64; 3],
    /// Kept, so that their buffers are missed.
    kept: Vec<Mbuf>,
}

impl Copies {
    /// Takes what a tool has been sent.
    fn fetch(&mut self, rig: &mut Rig, tool: usize, keeps: bool) {
        let mut burst = Burst::new();
        rig.tools[tool].recv(&mut burst);
        while let Some(copy) = burst.pop() {
            self.check(&copy, tool);
            if keeps {
                self.kept.push(copy);
            }
        }
    }

    fn check(&mut self, copy: &Mbuf, tool: usize) {
        let (outer, inner) = parts(copy);
        let (session, number) = (usize::from(outer[48]), number_of(inner));
        assert_eq!(session, session_of(number), "the copy of a frame that another session wants");
        assert_eq!(tool == GOES_ON, session == ELSEWHERE);
        assert_eq!(copy.len() - OUTER_LEN, frame_len(number));
        self.came[session] += 1;
        self.next[session] = self.next[session].max(number + 1);
    }

    /// Until a copy for the tool that suffered shows that it is served again.
    fn resume(&mut self, rig: &mut Rig, rate: u64) {
        let (from, waited) = (rig.sent, Instant::now());
        while self.next[FLOOD] <= from {
            assert!(waited.elapsed() < Duration::from_secs(2), "no copy since frame {from}");
            rig.run(Duration::from_millis(2), rate, |rig, _| self.fetch_all(rig));
        }
    }

    fn fetch_all(&mut self, rig: &mut Rig) -> u64 {
        self.fetch(rig, SUFFERS, false);
        self.fetch(rig, GOES_ON, false);
        u64::MAX
    }

    /// Takes what is under way, and holds all that came against the counters.
    fn settle(&mut self, rig: &mut Rig, roster: &mut Roster) -> Report {
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(200) {
            rig.fetch_wire();
            self.fetch_all(rig);
        }
        let report = report(roster);
        assert_eq!(rig.forwarded, rig.sent, "the wire lost frames");
        assert_eq!(report.ports[LAN.at()].forwarded, rig.sent);
        assert!(report.ports[LAN.at()].ended.iter().all(|&count| count == 0));
        for (session, came) in report.sessions.iter().zip(self.came) {
            assert_eq!(session.mirrored_packets, came, "{session:?}");
            let skipped: u64 = session.skipped.iter().sum();
            assert_eq!(session.matched, came + skipped, "{session:?}");
        }
        let elsewhere = &report.sessions[ELSEWHERE];
        assert!(elsewhere.matched > 0);
        assert!(elsewhere.skipped.iter().all(|&count| count == 0), "{elsewhere:?}");
        report
    }
}

/// Frames per second: nine tenths of what is possible with all sessions and all tools, and what comes out
/// of the wire at that rate without sessions.
fn rates(rig: &mut Rig, roster: &mut Roster, copies: &mut Copies) -> (u64, u64) {
    rig.with_frame_len(frame_len);
    let most =
        rig.run(Duration::from_millis(500), u64::from(u32::MAX), |rig, _| copies.fetch_all(rig));
    let rate = most * 9 / 10;
    let with_sessions = snapshot();
    let without = Snapshot { sessions: vec![], epoch: 2, ..with_sessions.clone() };
    publish(roster, without);
    let plain = rig.run(Duration::from_millis(500), rate, |rig, _| copies.fetch_all(rig));
    publish(roster, Snapshot { epoch: 3, ..with_sessions });
    (rate, plain)
}

/// Says what the wire carried beside what it carries without sessions.
fn tell(what: &str, found: u64, plain: u64) {
    let share = per_mille(found, plain);
    eprintln!("{what}: {found} frames a second on the wire, {share} ‰ of {plain} without sessions");
}

fn per_mille(part: u64, whole: u64) -> u64 {
    1000 * part / whole.max(1)
}

fn skipped(report: &Report, session: usize, reason: Skipped) -> u64 {
    report.sessions[session].skipped[reason as usize]
}

#[test]
fn a_tool_that_stops_and_goes_on_again_and_again() {
    with_rig(&snapshot(), 2, |rig, roster| {
        let mut copies = Copies::default();
        let (rate, plain) = rates(rig, roster, &mut copies);
        let time = Duration::from_millis(from_env("LINETAP_BLOCKED_MS", 40));
        let times = from_env("LINETAP_BLOCKED_TIMES", 100);
        let mut sum = 0;
        for _ in 0..times {
            sum += rig.run(time, rate, |rig, _| {
                copies.fetch(rig, GOES_ON, false);
                u64::MAX
            });
            copies.resume(rig, rate);
        }
        tell(&format!("a tool that stopped {times} times for {time:?}"), sum / times, plain);
        let report = copies.settle(rig, roster);
        for session in [FEW, FLOOD] {
            let [congested, no_mbuf] = [Skipped::ToolCongested, Skipped::NoMbuf]
                .map(|reason| skipped(&report, session, reason));
            assert!(congested > 0);
            assert_eq!(congested + no_mbuf, report.sessions[session].skipped.iter().sum::<u64>());
        }
        assert!(report.ports[TOOL.at()].shared_packets > 0, "some were held by reference");
    });
}

#[test]
fn a_tool_whose_neighbor_is_unknown() {
    let mut first = snapshot();
    first.targets[SUFFERS].members[0].neighbor =
        NeighborSpec::Resolve("192.0.0.10".parse().unwrap());
    with_rig(&first, 2, |rig, roster| {
        rig.with_frame_len(frame_len);
        let mut copies = Copies::default();
        let second = Duration::from_secs(1);
        let rate = rig.run(second, u64::from(u32::MAX), |rig, _| copies.fetch_all(rig));
        eprintln!("a tool without neighbour: {rate} frames per second on the wire");
        let report = copies.settle(rig, roster);
        for session in [FEW, FLOOD] {
            let all = skipped(&report, session, Skipped::NoNeighbor);
            assert!(all > 0 && all == report.sessions[session].matched);
        }
    });
}

#[test]
fn a_pool_of_copies_that_is_empty() {
    with_rig(&snapshot(), 2, |rig, roster| {
        let mut copies = Copies::default();
        let (rate, plain) = rates(rig, roster, &mut copies);
        let keep = |rig: &mut Rig, copies: &mut Copies| {
            copies.fetch(rig, SUFFERS, true);
            copies.fetch(rig, GOES_ON, false);
            u64::MAX
        };
        let found = rig.run(Duration::from_secs(1), rate, |rig, _| keep(rig, &mut copies));
        tell("no buffer left for copies", found, plain);
        // Those of the wire that are held by reference are bounded by the leads.
        let held = copies.kept.iter().filter(|copy| copy.segment_count() > 1).count();
        assert!(held > 0 && held <= 511, "{held}");
        copies.kept.clear();
        copies.resume(rig, rate);
        let report = copies.settle(rig, roster);
        assert!(skipped(&report, FLOOD, Skipped::NoMbuf) > 0);
    });
}

#[test]
fn a_session_that_floods_its_tool() {
    with_rig(&snapshot(), 2, |rig, roster| {
        let mut copies = Copies::default();
        let (rate, plain) = rates(rig, roster, &mut copies);
        let before = copies.settle(rig, roster);
        let mut last = Duration::ZERO;
        // The tool takes a burst now and then: about a tenth of what it is wanted to.
        let pause = Duration::from_micros(64 * 10_000_000 / rate);
        let found = rig.run(Duration::from_secs(1), rate, |rig, elapsed| {
            if elapsed >= last + pause {
                last = elapsed;
                copies.fetch(rig, SUFFERS, false);
            }
            copies.fetch(rig, GOES_ON, false);
            u64::MAX
        });
        tell("a tool that takes a tenth", found, plain);
        let report = copies.settle(rig, roster);
        let share = |session: usize| {
            let [then, now] = [&before, &report].map(|report| &report.sessions[session]);
            let mirrored = now.mirrored_packets - then.mirrored_packets;
            per_mille(mirrored, now.matched - then.matched)
        };
        eprintln!("the flood got {} ‰, the few {} ‰", share(FLOOD), share(FEW));
        assert!(skipped(&report, FLOOD, Skipped::ToolCongested) > 0);
        assert!(share(FEW) > share(FLOOD));
    });
}

/// A virtual machine's port, which tells how full its queue is, sends all that it can: more than the worker
/// has time to copy. Returns the frames per second that crossed the wire.
fn overload(far: &mut TxQueue, pool: &mut Mempool, time: Duration) -> u64 {
    let (started, mut number) = (Instant::now(), 0);
    let mut burst = Burst::new();
    while started.elapsed() < time {
        if burst.is_empty() && pool.alloc_bulk(&mut burst) > 0 {
            for frame in burst.frames_mut() {
                if let Some(frame) = frame.append(1400) {
                    write_frame(frame, number);
                }
                number += 1;
            }
        }
        far.send(&mut burst);
    }
    number * 1_000_000 / (time.as_micros() as u64)
}

#[test]
fn a_worker_that_has_no_time_for_copies() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vhost");
    let mut with_sessions = snapshot();
    for (port, at) in with_sessions.ports.iter_mut().zip(0..) {
        port.device = Some(format!("net_null{at},no-rx=1"));
    }
    with_sessions.ports[LAN.at()].device = Some(format!("net_vhost0,iface={}", socket.display()));
    let without = Snapshot { sessions: vec![], epoch: 2, ..with_sessions.clone() };
    alone(|| {
        assert!(core_affinity::set_for_current(core_affinity::CoreId { id: 0 }));
        let eal = eal_of(512);
        let first = Arc::new(without);
        let hardware = Hardware::open(&eal, &first, plan(&first).unwrap()).unwrap();
        let Hardware { ports: _ports, mut workers, .. } = hardware;
        let mut pool = pool(&eal, 4095, 2048);
        let far = format!("net_virtio_user0,path={},queue_size=1024", socket.display());
        let config = PortConfig { tx_descriptors: 1024, ..one_queue() };
        let (_far, _, mut tx) = attach(&eal, &far).start(&config, &pool).unwrap();
        let view = Arc::new(View::compile(&first, &Neighbors::default()).unwrap());
        let (mut roster, mut ends) = Roster::new(Arc::clone(&first), &view);
        let (parts, end, stop) = (workers.remove(0), ends.remove(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| work(parts, end, &stop));
            let _stop = Stop(&stop);
            let time = Duration::from_millis(500);
            overload(&mut tx[0], &mut pool, time);
            let plain = overload(&mut tx[0], &mut pool, time);
            publish(&mut roster, Snapshot { epoch: 3, ..with_sessions.clone() });
            let found = overload(&mut tx[0], &mut pool, time);
            tell("a worker without time for copies", found, plain);
            let report = report(&mut roster);
            let overloaded: u64 =
                (0..3).map(|session| skipped(&report, session, Skipped::Overloaded)).sum();
            let mirrored: u64 = report.sessions.iter().map(|it| it.mirrored_packets).sum();
            eprintln!("{mirrored} copies were made, {overloaded} were not");
            assert!(overloaded > 0 && mirrored > 0);
            let lan = &report.ports[LAN.at()];
            assert_eq!(lan.forwarded, lan.rx_packets);
        });
    });
}
