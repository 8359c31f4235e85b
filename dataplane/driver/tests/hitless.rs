//! A thousand changes of the configuration per second under load: no frame of the wire is lost, no
//! copy is lost, and each is made by one snapshot alone.
//!
//! The worker runs on a core of its own between rings of DPDK; this thread feeds it, checks all that
//! comes out and publishes. `LINETAP_HITLESS_SECONDS` says for how long.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, eal, pool, port, wire};
use driver::hardware::{Hardware, WorkerParts, plan};
use driver::{Dpdk, Mbuf, Mempool, RxQueue, TxQueue, WorkerThread};
use engine::burst::Burst;
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};
use engine::roster::{Roster, WorkerEnd};
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::snapshot::{
    FilterSpec, InterfaceSpec, MemberSpec, NeighborSpec, SessionSpec, Snapshot, TargetKind,
    TargetSpec,
};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, Vni};
use engine::view::{Neighbors, View};
use engine::worker::Worker;
use hdrhistogram::Histogram;

const LAN: PortIndex = PortIndex(0);
const WAN: PortIndex = PortIndex(1);
const TOOL: PortIndex = PortIndex(2);
const CHANGES_PER_SECOND: u32 = 1000;
/// Frames under way at most, fewer than a ring holds: this thread shares its core, and what it does
/// not fetch in time must not look like a loss.
const WINDOW: u64 = 400;
const FRAME_LEN: usize = 200;
const HEADERS_LEN: usize = 42;
const OUTER_LEN: usize = 50;

/// The snapshot of a generation, which each of its copies tells: by the VNI, which also says the
/// session, by the session that its rules choose for a port, and by its length.
fn snapshot(generation: u32) -> Snapshot {
    let mut snapshot =
        wire(["lan", "wan", "tool"].map(|name| port(name, device(name), 1500)).into());
    snapshot.epoch = u64::from(generation) + 1;
    snapshot.dataplane.workers = vec![1];
    snapshot.ports[TOOL.at()].addresses = vec!["192.0.2.1/24".parse().unwrap()];
    snapshot.interfaces =
        vec![InterfaceSpec { id: "eni".into(), port: LAN, macs: vec![], vlan: None }];
    let member = MemberSpec {
        address: "192.0.2.10".parse().unwrap(),
        source: "192.0.2.1".parse().unwrap(),
        neighbor: NeighborSpec::Fixed(Mac([2, 0, 0, 0, 0x0b, 1])),
    };
    snapshot.targets = vec![TargetSpec {
        id: "t".into(),
        port: TOOL,
        kind: TargetKind::Interface,
        members: vec![member],
    }];
    snapshot.filters =
        ["half", "all"].map(|id| FilterSpec { id: id.into(), amazon_dns: false }).into();
    let rule = |filter: u32, destination_ports| FilterRule {
        id: format!("r{filter}"),
        filter: FilterIndex(filter),
        direction: Direction::Egress,
        number: 1,
        action: RuleAction::Accept,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        protocol: Some(17),
        source_ports: None,
        destination_ports,
    };
    let from = if generation.is_multiple_of(2) { 0 } else { 32_768 };
    let half = PortRange { from, to: from + 32_767 };
    snapshot.rules = vec![rule(0, Some(half)), rule(1, None)];
    let session = |number: u32| SessionSpec {
        id: format!("s{number}"),
        interface: InterfaceIndex(0),
        target: TargetIndex(0),
        filter: FilterIndex(number),
        number: number as u16 + 1,
        vni: Vni::try_from(2 * generation + number).unwrap(),
        packet_length: Some(copy_len(generation)),
    };
    snapshot.sessions = vec![session(0), session(1)];
    snapshot
}

fn device(name: &str) -> &'static str {
    match name {
        "lan" => "net_ring0",
        "wan" => "net_ring1",
        _ => "net_ring2",
    }
}

fn copy_len(generation: u32) -> u32 {
    100 + generation % 50
}

/// A frame's number and port stand in it.
fn write_frame(frame: &mut [u8], number: u64) {
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0xbb, 1, 2, 0, 0, 0, 0xaa, 1]);
    frame[12..34].copy_from_slice(&[
        8, 0, 0x45, 0, 0, 186, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame[34..36].copy_from_slice(&4000u16.to_be_bytes());
    frame[36..38].copy_from_slice(&dst_port(number).to_be_bytes());
    frame[38..42].copy_from_slice(&[0, 166, 0, 0]);
    frame[HEADERS_LEN..HEADERS_LEN + 8].copy_from_slice(&number.to_be_bytes());
}

/// Not that of DHCP, which is never mirrored.
fn dst_port(number: u64) -> u16 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1024
}

fn number_of(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[HEADERS_LEN..HEADERS_LEN + 8].try_into().unwrap())
}

/// What this thread feeds and fetches.
struct Ends {
    feed: TxQueue,
    wire: RxQueue,
    copies: RxQueue,
    pool: Mempool,
    sent: u64,
    forwarded: u64,
    mirrored: u64,
    generation: u32,
}

impl Ends {
    /// Takes the far ends of the worker's rings: what is sent by a ring's port is received by it.
    fn new(parts: &mut WorkerParts, pool: Mempool) -> Self {
        let mut rx = |port: PortIndex| {
            let at = parts.lanes.iter().position(|lane| lane.port == port).unwrap();
            parts.lanes.remove(at).rx
        };
        let (wire, copies) = (rx(WAN), rx(TOOL));
        let feed = parts.wires[LAN.at()].take().unwrap();
        Self { feed, wire, copies, pool, sent: 0, forwarded: 0, mirrored: 0, generation: 0 }
    }

    fn send(&mut self, count: u64) {
        let mut burst = Burst::new();
        if self.pool.alloc_bulk(&mut burst) == 0 {
            return;
        }
        let mut left: Burst<Mbuf> = Burst::new();
        while burst.len() as u64 > count {
            left.push(burst.pop().unwrap()).unwrap();
        }
        for (frame, number) in burst.frames_mut().iter_mut().zip(self.sent..) {
            write_frame(frame.append(FRAME_LEN).unwrap(), number);
        }
        assert_eq!(self.feed.send(&mut burst) as u64, count, "the window is within the ring");
        self.sent += count;
        Mbuf::free_bulk(&mut left);
    }

    /// Checks all that has come; tells the generation of each copy.
    fn fetch(&mut self, mut tell: impl FnMut(u32)) {
        let mut burst = Burst::new();
        self.wire.recv(&mut burst);
        for frame in burst.frames() {
            assert_eq!(number_of(frame.head()), self.forwarded, "a frame of the wire is missing");
            assert_eq!(frame.len(), FRAME_LEN);
            self.forwarded += 1;
        }
        Mbuf::free_bulk(&mut burst);
        self.copies.recv(&mut burst);
        for copy in burst.frames() {
            let (outer, inner) = copy.head().split_at(OUTER_LEN);
            let vni = u32::from_be_bytes([0, outer[46], outer[47], outer[48]]);
            let (generation, session) = (vni / 2, vni % 2);
            let number = number_of(inner);
            assert_eq!(number, self.mirrored, "a copy is missing");
            assert!(generation >= self.generation, "an older snapshot came back");
            let is_first = (dst_port(number) < 32_768) == generation.is_multiple_of(2);
            assert_eq!(session, u32::from(!is_first), "sessions and rules are of two snapshots");
            assert_eq!(inner.len() as u32, copy_len(generation), "lengths are of another snapshot");
            (self.generation, self.mirrored) = (generation, self.mirrored + 1);
            tell(generation);
        }
        Mbuf::free_bulk(&mut burst);
    }

    /// Runs for a while at most at `rate` frames per second; `turn` is called between bursts.
    fn run(&mut self, time: Duration, rate: u64, mut turn: impl FnMut(Duration, u32)) -> u64 {
        let (started, first) = (Instant::now(), self.sent);
        loop {
            let elapsed = started.elapsed();
            if elapsed >= time {
                return per(self.forwarded - first, elapsed);
            }
            let by_now = elapsed.as_micros() * u128::from(rate) / 1_000_000;
            let due = (by_now as u64).saturating_sub(self.sent - first);
            let room = WINDOW.saturating_sub(self.sent - self.forwarded.min(self.mirrored));
            match due.min(room).min(32) {
                0 => {}
                count => self.send(count),
            }
            let mut newest = self.generation;
            self.fetch(|generation| newest = generation);
            turn(elapsed, newest);
        }
    }
}

/// So many in a time, per second.
fn per(count: u64, time: Duration) -> u64 {
    (u128::from(count) * 1_000_000 / time.as_micros().max(1)) as u64
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
            let next = snapshot(next);
            let view = self.roster.view().update(&next, &Neighbors::default()).unwrap();
            self.published.push(Instant::now());
            self.roster.publish(Arc::new(next), &Arc::new(view));
            self.roster.reclaim();
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

/// Ends the worker also when a check has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn work(parts: WorkerParts, end: WorkerEnd, stop: &AtomicBool) {
    let _thread = WorkerThread::enter(parts.core).unwrap();
    let mut worker = Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, end);
    worker.run(stop);
}

#[test]
fn nothing_is_lost_or_mixed_while_the_configuration_changes_a_thousand_times_a_second() {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        eprintln!("skipped: needs two cores");
        return;
    }
    alone(|| {
        let seconds =
            std::env::var("LINETAP_HITLESS_SECONDS").map_or(3, |text| text.parse().unwrap());
        // The worker has the other one to itself.
        assert!(core_affinity::set_for_current(core_affinity::CoreId { id: 0 }));
        let first = Arc::new(snapshot(0));
        let eal = eal();
        let hardware = Hardware::open(&eal, &first, plan(&first).unwrap()).unwrap();
        let Hardware { ports, mut workers, .. } = hardware;
        let mut parts = workers.remove(0);
        let mut ends = Ends::new(&mut parts, pool(&eal, 8191, 256));
        let neighbors = Neighbors::default();
        let view = Arc::new(View::compile(&first, &neighbors).unwrap());
        let (mut roster, mut worker_ends) = Roster::new(Arc::clone(&first), &view);
        let end = worker_ends.remove(0);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| work(parts, end, &stop));
            let stop = Stop(&stop);
            let most = ends.run(Duration::from_secs(1), u64::from(u32::MAX), |_, _| {});
            let mut changes = Changes {
                roster: &mut roster,
                published: vec![Instant::now()],
                seen: 0,
                effect: Histogram::new(3).unwrap(),
            };
            let turn = |elapsed, newest| changes.turn(elapsed, newest);
            let rate = ends.run(Duration::from_secs(seconds), most * 9 / 10, turn);
            eprintln!("{} frames, {rate} per second (at most {most})", ends.sent);
            changes.check(seconds);
            // What is under way comes out.
            let waited = Instant::now();
            while ends.mirrored < ends.sent && waited.elapsed() < Duration::from_secs(2) {
                ends.fetch(|_| ());
            }
            roster.request_report();
            while !roster.collect_report() && waited.elapsed() < Duration::from_secs(4) {
                thread::yield_now();
            }
            drop(stop);
            worker.join().unwrap();
            assert_eq!((ends.forwarded, ends.mirrored), (ends.sent, ends.sent));
            let report = roster.report();
            assert_eq!(report.ports[LAN.at()].forwarded, ends.sent);
            assert!(report.ports[LAN.at()].ended.iter().all(|&count| count == 0));
            assert!(report.sessions.iter().all(|it| it.skipped.iter().all(|&count| count == 0)));
            let mirrored: u64 = report.sessions.iter().map(|it| it.mirrored_packets).sum();
            assert_eq!(mirrored, ends.sent);
        });
        drop((ends, ports));
    });
}
