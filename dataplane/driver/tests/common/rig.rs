//! A worker on a core of its own between rings of DPDK, and the thread that feeds it, takes what it
//! sends, and publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use driver::hardware::{Hardware, WorkerParts, plan};
use driver::{Dpdk, Mbuf, Mempool, RxQueue, TxQueue, WorkerThread};
use engine::burst::Burst;
use engine::neighbors::Neighbors;
use engine::port::{Mbuf as _, Mempool as _, RxQueue as _, TxQueue as _};
use engine::report::Report;
use engine::roster::{Roster, WorkerEnd};
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::snapshot::{
    BalanceSpec, FilterSpec, IdleSpec, InterfaceSpec, MemberSpec, NeighborSpec, PortSpec,
    SessionSpec, Snapshot, TargetKind, TargetSpec,
};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, Vni};
use engine::view::View;
use engine::worker::Worker;

use super::{alone, eal_of, pool, port, wire};

pub(crate) const LAN: PortIndex = PortIndex(0);
pub(crate) const WAN: PortIndex = PortIndex(1);
/// The first tool's; the next ones follow.
pub(crate) const TOOL: PortIndex = PortIndex(2);
/// Frames under way at most, fewer than a ring holds: the feeding thread shares its core, and what
/// it does not fetch in time must not look like a loss.
pub(crate) const WINDOW: u64 = 400;
/// What is in front of a copy over IPv4.
pub(crate) const OUTER_LEN: usize = 50;
/// Ethernet, IPv4 and UDP.
pub(crate) const HEADERS_LEN: usize = 42;

/// A wire between two rings, an interface `eni` on its first, and so many tools, each on a ring with a
/// target `t0`, `t1`…
pub(crate) fn wire_and_tools(tools: usize, mtu: u16) -> Snapshot {
    let ring = |at: usize, name: String| port(&name, &format!("net_ring{at}"), mtu);
    let names = ["lan".to_owned(), "wan".to_owned()].into_iter();
    let names = names.chain((0..tools).map(|tool| format!("tool{tool}")));
    let mut snapshot = wire(names.enumerate().map(|(at, name)| ring(at, name)).collect());
    snapshot.dataplane.workers = vec![1];
    snapshot.dataplane.idle = IdleSpec::Poll;
    let interface = InterfaceSpec { id: "eni".into(), port: LAN, macs: vec![], vlan: None };
    snapshot.interfaces = vec![interface];
    for (tool, at) in (0..tools).zip(TOOL.0..) {
        let PortSpec { addresses, .. } = &mut snapshot.ports[usize::from(at)];
        *addresses = vec![format!("192.0.{tool}.1/24").parse().unwrap()];
        let member = MemberSpec::new(
            format!("192.0.{tool}.10").parse().unwrap(),
            format!("192.0.{tool}.1").parse().unwrap(),
            NeighborSpec::Fixed(Mac([2, 0, 0, 0, 0x0b, 1])),
        );
        snapshot.targets.push(TargetSpec {
            id: format!("t{tool}"),
            port: PortIndex(at),
            kind: TargetKind::Interface,
            members: vec![member],
            balance: BalanceSpec::default(),
        });
    }
    snapshot
}

/// Adds a session of the interface's egress to a target, and a filter of its own with one rule, which
/// accepts a protocol and these destination ports. Its VNI is its place.
pub(crate) fn mirror(
    snapshot: &mut Snapshot,
    target: usize,
    protocol: u8,
    destination_ports: Option<PortRange>,
) -> &mut SessionSpec {
    let at = snapshot.filters.len() as u32;
    snapshot.filters.push(FilterSpec { id: format!("f{at}"), amazon_dns: false });
    let rule = FilterRule {
        id: format!("r{at}"),
        filter: FilterIndex(at),
        direction: Direction::Egress,
        number: 1,
        action: RuleAction::Accept,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        protocol: Some(protocol),
        source_ports: None,
        destination_ports,
    };
    snapshot.rules = snapshot.rules.iter().cloned().chain([rule]).collect();
    snapshot.sessions.push(SessionSpec {
        id: format!("s{at}"),
        interface: InterfaceIndex(0),
        target: TargetIndex(target as u16),
        filter: FilterIndex(at),
        number: at as u16 + 1,
        vni: Vni::try_from(at).unwrap(),
        packet_length: None,
        rate_limit: None,
        sample: None,
    });
    snapshot.sessions.last_mut().unwrap()
}

/// Has the worker take up a snapshot, and frees what it has left. Returns when it was published.
pub(crate) fn publish(roster: &mut Roster, snapshot: Snapshot) -> Instant {
    let view = roster.view().update(&snapshot, &Neighbors::default()).unwrap();
    let now = Instant::now();
    roster.publish(Arc::new(snapshot), &Arc::new(view));
    roster.reclaim();
    now
}

/// The outer header of a copy over IPv4, and the first bytes of its frame.
pub(crate) fn parts(copy: &Mbuf) -> (&[u8], &[u8]) {
    let (outer, inner) = copy.head().split_at(OUTER_LEN);
    // Made by reference, it has the frame in the next segment.
    (outer, if inner.is_empty() { copy.segments().nth(1).unwrap() } else { inner })
}

/// A UDP frame of `len` bytes: its number and its destination port, which follows from that, stand in it.
pub(crate) fn write_frame(frame: &mut [u8], number: u64) {
    let ip_len = u16::try_from(frame.len() - 14).unwrap();
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0xbb, 1, 2, 0, 0, 0, 0xaa, 1]);
    frame[12..34].copy_from_slice(&[
        8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame[16..18].copy_from_slice(&ip_len.to_be_bytes());
    frame[34..36].copy_from_slice(&4000u16.to_be_bytes());
    frame[36..38].copy_from_slice(&dst_port(number).to_be_bytes());
    frame[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
    frame[40..42].fill(0);
    frame[HEADERS_LEN..HEADERS_LEN + 8].copy_from_slice(&number.to_be_bytes());
}

/// Not that of DHCP, which is never mirrored.
pub(crate) fn dst_port(number: u64) -> u16 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1024
}

pub(crate) fn number_of(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[HEADERS_LEN..HEADERS_LEN + 8].try_into().unwrap())
}

/// The far ends of the worker's rings: what is sent by a ring's port is received by it.
pub(crate) struct Rig {
    feed: TxQueue,
    wire: RxQueue,
    pub(crate) tools: Vec<RxQueue>,
    pool: Mempool,
    /// Bytes of each frame, by its number.
    frame_len: fn(u64) -> usize,
    pub(crate) sent: u64,
    pub(crate) forwarded: u64,
    /// Buffers that devices keep until they are closed: a capture that is repeated for ever.
    pub(crate) kept_by_devices: u32,
}

impl Rig {
    fn new(parts: &mut WorkerParts, tools: usize, pool: Mempool) -> Self {
        let mut rx = |port: PortIndex| {
            let at = parts.lanes.iter().position(|lane| lane.port == port).unwrap();
            parts.lanes.remove(at).rx
        };
        let wire = rx(WAN);
        let tools = (0..tools as u16).map(|tool| rx(PortIndex(TOOL.0 + tool))).collect();
        let feed = parts.wires[LAN.at()].take().unwrap();
        Self {
            feed,
            wire,
            tools,
            pool,
            frame_len: |_| 200,
            sent: 0,
            forwarded: 0,
            kept_by_devices: 0,
        }
    }

    pub(crate) fn with_frame_len(&mut self, frame_len: fn(u64) -> usize) {
        self.frame_len = frame_len;
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
            write_frame(frame.append((self.frame_len)(number)).unwrap(), number);
        }
        assert_eq!(self.feed.send(&mut burst) as u64, count, "the window is within the ring");
        self.sent += count;
        Mbuf::free_bulk(&mut left);
    }

    /// Checks what has come over the wire: all frames, in order.
    pub(crate) fn fetch_wire(&mut self) {
        let mut burst = Burst::new();
        self.wire.recv(&mut burst);
        for frame in burst.frames() {
            assert_eq!(number_of(frame.head()), self.forwarded, "a frame of the wire is missing");
            assert_eq!(frame.len(), (self.frame_len)(self.forwarded));
            self.forwarded += 1;
        }
        Mbuf::free_bulk(&mut burst);
    }

    /// Runs for a while at most at `rate` frames per second; `turn` is called between bursts with the
    /// time since the beginning, and tells how many of the frames have come out everywhere. Returns
    /// the frames per second that crossed the wire.
    pub(crate) fn run(
        &mut self,
        time: Duration,
        rate: u64,
        mut turn: impl FnMut(&mut Self, Duration) -> u64,
    ) -> u64 {
        let (started, first) = (Instant::now(), self.sent);
        let begun = self.forwarded;
        let mut out = begun;
        loop {
            let elapsed = started.elapsed();
            if elapsed >= time {
                return per(self.forwarded - begun, elapsed);
            }
            let by_now = elapsed.as_micros() * u128::from(rate) / 1_000_000;
            let due = (by_now as u64).saturating_sub(self.sent - first);
            let room = WINDOW.saturating_sub(self.sent - self.forwarded.min(out));
            match due.min(room).min(32) {
                0 => {}
                count => self.send(count),
            }
            self.fetch_wire();
            out = turn(self, elapsed);
        }
    }
}

/// So many in a time, per second.
fn per(count: u64, time: Duration) -> u64 {
    (u128::from(count) * 1_000_000 / time.as_micros().max(1)) as u64
}

/// The worker's counters.
pub(crate) fn report(roster: &mut Roster) -> Report {
    let waited = Instant::now();
    roster.request_report();
    while !roster.collect_report() && waited.elapsed() < Duration::from_secs(2) {
        thread::yield_now();
    }
    roster.report()
}

/// Ends the worker also when a check has failed.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn work(parts: WorkerParts, end: WorkerEnd, stop: &AtomicBool) {
    let _thread = WorkerThread::enter(parts.core).unwrap();
    let mut worker = Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, end);
    worker.run(stop);
}

/// Lets `body` work with the rig of a snapshot whose tools are `tools`, in a process of its own; then
/// every buffer has to be in its pool.
pub(crate) fn with_rig(first: &Snapshot, tools: usize, body: impl FnOnce(&mut Rig, &mut Roster)) {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        eprintln!("skipped: needs two cores");
        return;
    }
    alone(|| {
        // The worker has the other one to itself.
        assert!(core_affinity::set_for_current(core_affinity::CoreId { id: 0 }));
        let first = Arc::new(first.clone());
        let mtu = first.ports[LAN.at()].mtu;
        let eal = eal_of(if mtu > 2000 { 1024 } else { 256 });
        let hardware = Hardware::open(&eal, &first, plan(&first).unwrap()).unwrap();
        let Hardware { ports, mut pools, mut workers } = hardware;
        let mut parts = workers.remove(0);
        let frames = pool(&eal, 8191, mtu + 14);
        pools.push(frames.handle());
        let mut rig = Rig::new(&mut parts, tools, frames);
        let view = Arc::new(View::compile(&first, &Neighbors::default()).unwrap());
        let (mut roster, mut worker_ends) = Roster::new(Arc::clone(&first), &view);
        let end = worker_ends.remove(0);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| work(parts, end, &stop));
            let stop = Stop(&stop);
            body(&mut rig, &mut roster);
            drop(stop);
            worker.join().unwrap();
        });
        let out: Vec<_> = pools.iter().map(Mempool::in_use).collect();
        let kept = rig.kept_by_devices;
        assert!(out.iter().sum::<u32>() == kept, "buffers out of their pools: {out:?}, not {kept}");
        drop((rig, ports));
    });
}
