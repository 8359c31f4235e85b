//! Several workers, and fewer receive queues than workers: flows are spread, and what comes out is what
//! one worker makes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::drop_reason::Ended;
use engine::flow_key::Addresses;
use engine::neighbors::Neighbors;
use engine::parse::dissect;
use engine::report::Report;
use engine::roster::Roster;
use engine::sim::{SentFrame, Sim, SimClock, SimFeed, SimOutput, SimPool};
use engine::snapshot::{Role, Snapshot};
use engine::spreader::{Share, Spreader};
use engine::tool::ToolPort;
use engine::units::{Mac, PortIndex};
use engine::view::View;
use engine::worker::{Lane, Worker};
use proptest::prelude::*;

use crate::scenario::{LAN, MAC_A, MAC_C, SPAN, TOOL, WAN, feed, snapshot};
use crate::{OTHER, conserves, measures, traffic};

/// Bursts that may wait for a worker, where it does not matter.
const ROOM: usize = 16;
/// Every port has one queue, each polled by another worker, as the data plane has it.
const PORTS: [PortIndex; 4] = [LAN, WAN, SPAN, TOOL];

/// So many workers in one thread, each with outputs of its own.
struct Crew {
    workers: Vec<Worker<Sim>>,
    roster: Roster,
    /// By worker, then by port.
    outputs: Vec<Vec<SimOutput>>,
    feed: SimFeed,
    pool: SimPool,
}

impl Crew {
    fn new(mut spec: Snapshot, count: usize, frames: &[(PortIndex, Vec<u8>)], room: usize) -> Self {
        spec.dataplane.workers = (0..count as u16).collect();
        let spec = Arc::new(spec);
        let view = Arc::new(View::compile(&spec, &Neighbors::offline(&spec)).unwrap());
        let (roster, ends) = Roster::new(Arc::clone(&spec), &view);
        let (feed, pool) = (feed(frames, usize::MAX), SimPool::new(2048, 4096));
        let mut lanes: Vec<Vec<Lane<Sim>>> = (0..count).map(|_| Vec::new()).collect();
        let mut shares: Vec<Vec<Share<_>>> = (0..count).map(|_| Vec::new()).collect();
        for port in PORTS {
            let (own, role, rx) = (port.at() % count, spec.role(port), feed.rx(port));
            let is_spread = count > 1 && role != Role::Idle;
            let (spreader, takers) = is_spread.then(|| Spreader::new(count, own, room)).unzip();
            lanes[own].push(Lane { port, rx, role, spreader });
            for (shares, taker) in shares.iter_mut().zip(takers.unwrap_or_default()) {
                shares.extend(taker.map(|taker| Share { port, role, taker }));
            }
        }
        let outputs: Vec<Vec<_>> =
            (0..count).map(|_| PORTS.map(|_| SimOutput::memory()).into()).collect();
        let parts = ends.into_iter().zip(lanes).zip(shares).zip(&outputs);
        let workers = parts.map(|(((end, lanes), shares), outputs)| {
            let is_wire = |port| matches!(spec.role(port), Role::Wire(_));
            let wires = PORTS.map(|port| is_wire(port).then(|| outputs[port.at()].tx()));
            let tool = |port: PortIndex| ToolPort::new(outputs[port.at()].tx(), pool.clone());
            let tools = PORTS.map(|port| (port == TOOL).then(|| tool(port)));
            Worker::new(lanes, wires.into(), tools.into(), end).with_shares(shares)
        });
        Self { workers: workers.collect(), roster, outputs, feed, pool }
    }

    fn poll(&mut self) -> usize {
        self.workers.iter_mut().map(Worker::poll).sum()
    }

    /// Until everything has been handled.
    fn run(&mut self) {
        while self.poll() > 0 || !self.feed.is_done() {}
    }

    fn report(&mut self) -> Report {
        self.roster.request_report();
        self.poll();
        assert!(self.roster.collect_report(), "every worker has answered");
        self.roster.report()
    }

    /// What each worker has sent by a port.
    fn sent(&self, port: PortIndex) -> impl Iterator<Item = Vec<SentFrame>> {
        self.outputs.iter().map(move |outputs| outputs[port.at()].take_sent())
    }

    /// Ends all workers; every buffer must be back.
    fn end(self) {
        drop(self.workers);
        assert_eq!((self.feed.in_use(), self.pool.in_use()), (0, 0));
    }
}

/// What no worker may tear apart: both directions of a flow, or the fragments of datagrams between two
/// addresses; `None` for what is not IP.
type Flow = Option<([([u8; 16], u16); 2], Option<u8>, bool)>;

fn flow(frame: &[u8]) -> Flow {
    let headers = dissect(frame).ok()??;
    let (src, dst) = match headers.addresses {
        Addresses::V4 { src, dst } => (src.to_ipv6_mapped(), dst.to_ipv6_mapped()),
        Addresses::V6 { src, dst } => (src, dst),
    };
    let ports = headers.ports.filter(|_| headers.fragment.is_none()).unwrap_or_default();
    let [a, b, c, d] = ports;
    let mut ends =
        [(src.octets(), u16::from_be_bytes([a, b])), (dst.octets(), u16::from_be_bytes([c, d]))];
    ends.sort_unstable();
    Some((ends, headers.fragment.or(headers.protocol), headers.fragment.is_some()))
}

/// What left by a port, flow by flow as far as it came by one port, in the order of leaving; and the
/// worker of each flow that is IP.
type Sent = BTreeMap<(PortIndex, Flow), Vec<SentFrame>>;

fn sent(
    crew: &Crew,
    frames: &[(PortIndex, Vec<u8>)],
    worker_of: &mut BTreeMap<Flow, usize>,
) -> [Sent; 3] {
    [LAN, WAN, TOOL].map(|port| {
        let mut all = Sent::new();
        for (worker, sent) in crew.sent(port).enumerate() {
            for frame in sent {
                let (from, bytes) = &frames[usize::try_from(frame.timestamp_ns).unwrap()];
                let flow = flow(bytes);
                if flow.is_some() {
                    let before = *worker_of.entry(flow).or_insert(worker);
                    assert_eq!(before, worker, "{flow:?} has two workers");
                }
                all.entry((*from, flow)).or_default().push(frame);
            }
        }
        all
    })
}

/// `count` workers do what one does; returns how many of them had something to do.
fn assert_same_as_one(frames: &[(PortIndex, Vec<u8>)], count: usize) -> usize {
    let outcome = |count| {
        let mut crew = Crew::new(snapshot(), count, frames, ROOM);
        crew.run();
        let report = crew.report();
        conserves(&report);
        measures::queues_add_up(&report, &crew.roster.workers());
        let mut worker_of = BTreeMap::new();
        let sent = sent(&crew, frames, &mut worker_of);
        crew.end();
        let mut workers: Vec<_> = worker_of.into_values().collect();
        workers.sort_unstable();
        workers.dedup();
        ((report, sent), workers.len())
    };
    let (many, workers) = outcome(count);
    assert_eq!(many, outcome(1).0);
    workers
}

/// UDP over IPv4 between one of many clients and a server: in the other direction, as a fragment (the
/// first, a later one, none), with a number that tells it from others.
fn frame(client: u16, is_back: bool, fragment: Option<u16>, number: usize) -> Vec<u8> {
    let mut macs = [OTHER, MAC_A];
    let mut ips = [[10, 0, client.to_be_bytes()[0], client.to_be_bytes()[1]], [10, 9, 9, 9]];
    let mut ports = [1024 + client, 443];
    if is_back {
        macs.reverse();
        ips.reverse();
        ports.reverse();
    }
    let mut frame = macs.map(|Mac(mac)| mac).concat();
    frame.extend([0x08, 0, 0x45, 0, 0, 36, 0, 0]);
    frame.extend(fragment.unwrap_or(0).to_be_bytes());
    frame.extend([64, 17, 0, 0]);
    frame.extend(ips.concat());
    frame.extend(ports.map(u16::to_be_bytes).concat());
    frame.extend([0, 16, 0, 0]);
    frame.extend((number as u64).to_be_bytes());
    frame
}

/// Many flows in both directions on the wire and on the span, with fragments and what is not IP among them.
fn many_flows(count: usize) -> Vec<(PortIndex, Vec<u8>)> {
    const MORE: u16 = 0x2000;
    let one = |at: usize| {
        let is_back = at.is_multiple_of(3);
        let port = if at / 200 % 3 == 2 { SPAN } else { [LAN, WAN][usize::from(is_back)] };
        let fragment = [None, Some(MORE), Some(1), None, Some(MORE | 7)][at / 7 % 5];
        let mut bytes = frame((at * 31 % 397) as u16, is_back, fragment, at);
        if at.is_multiple_of(11) {
            bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        }
        if port == SPAN && at.is_multiple_of(2) {
            bytes[6..12].copy_from_slice(&MAC_C.0);
        }
        (port, bytes)
    };
    (0..count).map(one).collect()
}

#[test]
fn any_number_of_workers_makes_what_one_makes_flow_by_flow_in_order() {
    let frames = many_flows(if cfg!(miri) { 100 } else { 3000 });
    let counts: &[usize] = if cfg!(miri) { &[1, 2] } else { &[1, 2, 7, 64] };
    for &count in counts {
        assert_eq!(assert_same_as_one(&frames, count), count, "all have a part of the flows");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 60 }, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_several_workers_make_what_one_makes(frames in traffic(), count in 2usize..9) {
        assert_same_as_one(&frames, count);
    }

    #[test]
    fn workers_that_stop_at_any_time_account_for_everything(
        frames in traffic(), count in 2usize..5, room in 1usize..3,
        turns in prop::collection::vec(0usize..4, 0..20),
    ) {
        let mut crew = Crew::new(snapshot(), count, &frames, room);
        for worker in turns {
            crew.roster.request_report();
            crew.workers[worker % count].poll();
            crew.roster.collect_report();
            let report = crew.roster.report();
            for port in &report.ports {
                let done = port.forwarded + port.ended.iter().sum::<u64>();
                prop_assert_eq!(done.checked_add_signed(port.between_workers), Some(port.rx_packets));
            }
        }
        let stop = AtomicBool::new(true);
        // All have stopped, then what they gave each other last is handled.
        crew.workers.iter_mut().for_each(|worker| worker.run(&stop));
        crew.roster.collect_report();
        crew.roster.request_report();
        crew.workers.iter_mut().for_each(|worker| worker.run(&stop));
        assert!(crew.roster.collect_report());
        let report = crew.roster.report();
        conserves(&report);
        prop_assert_eq!(crew.feed.in_use(), 0);
        crew.end();
    }
}

/// Frames of one direction of a wire, of many flows.
fn one_way(count: usize) -> Vec<(PortIndex, Vec<u8>)> {
    (0..count).map(|at| (LAN, frame(at as u16, false, None, at))).collect()
}

fn handled(report: &Report) -> u64 {
    let lan = &report.ports[LAN.at()];
    lan.forwarded + lan.ended.iter().sum::<u64>()
}

#[test]
fn a_worker_that_does_not_keep_up_loses_frames_of_its_own_and_no_others() {
    const FRAMES: usize = 64 * 20;
    let mut crew = Crew::new(snapshot(), 3, &one_way(FRAMES), 2);
    while !crew.feed.is_done() {
        crew.workers[0].poll();
        crew.workers[1].poll();
    }
    let [first, second, third] =
        [0, 1, 2].map(|worker: usize| crew.outputs[worker][WAN.at()].take_sent().len());
    assert!(first > FRAMES / 4 && second > FRAMES / 4, "{first} and {second}");
    assert_eq!(third, 0);
    crew.run();
    let late = crew.outputs[2][WAN.at()].take_sent().len();
    // One burst to begin with, a full one behind it, and another that had gathered.
    assert!(late > 2 * 64 && late <= 3 * 64, "{late}");
    let report = crew.report();
    conserves(&report);
    measures::queues_add_up(&report, &crew.roster.workers());
    let lan = &report.ports[LAN.at()];
    assert_eq!(lan.rx_packets, FRAMES as u64);
    assert_eq!(handled(&report), lan.rx_packets);
    let congested = lan.ended[Ended::WorkerCongested as usize];
    let here =
        crew.outputs[0][WAN.at()].take_sent().len() + crew.outputs[1][WAN.at()].take_sent().len();
    assert_eq!(congested as usize, FRAMES - first - second - late - here);
    assert!(congested > 100);
    crew.end();
}

#[test]
fn a_worker_that_waits_gets_few_frames_and_one_that_does_not_gets_many() {
    // What is not IP, on a port of the same worker, ends each burst of four.
    let mut frames = one_way(40);
    for at in (1..=10).rev().map(|quarter| 4 * quarter) {
        frames.insert(at, (SPAN, vec![0; 60]));
    }
    let mut crew = Crew::new(snapshot(), 2, &frames, ROOM);
    let [spreads, other] = crew.workers.as_mut_slice() else { panic!("two workers") };
    assert_eq!(spreads.poll(), 4 + 1);
    let few = other.poll();
    assert!((1..4).contains(&few), "{few}");
    assert_eq!(spreads.poll(), 4 + 1);
    for _ in 2..10 {
        assert_eq!(spreads.poll(), 4 + 1, "nobody waits");
    }
    assert!(other.poll() < 4, "what was given as soon as it had come");
    assert_eq!((other.poll(), spreads.poll()), (0, 0));
    let many = other.poll();
    assert!(many > 8, "all that has gathered since: {many}");
    crew.run();
    let sent: usize = crew.sent(WAN).map(|sent| sent.len()).sum();
    assert_eq!(sent, 40);
    crew.end();
}

#[test]
fn what_is_given_or_has_gathered_is_freed_with_the_workers() {
    for room in [1, ROOM] {
        let mut crew = Crew::new(snapshot(), 4, &one_way(640), room);
        for _ in 0..5 {
            crew.workers[0].poll();
        }
        assert!(crew.feed.in_use() > 100);
        crew.end();
    }
}

#[test]
fn the_time_of_a_frame_begins_where_it_was_received() {
    let mut timed = snapshot();
    timed.dataplane.latency = true;
    let mut crew = Crew::new(timed, 2, &one_way(64), ROOM);
    crew.workers[0].poll();
    SimClock::advance(5_000);
    crew.workers[1].poll();
    crew.report();
    let wire = &crew.roster.latency().unwrap().wire;
    assert_eq!(wire.len(), 64);
    let late = wire.count_at(5_000);
    assert!(late > 16 && wire.count_at(0) == 64 - late, "{late}");
}
