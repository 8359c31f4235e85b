//! One receive queue and two workers on threads of their own.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, port, wire};
use driver::hardware::{Hardware, WorkerParts, eal_config, plan};
use driver::{Dpdk, Eal, Mbuf, WorkerThread};
use engine::drop_reason::Ended;
use engine::neighbors::Neighbors;
use engine::report::Report;
use engine::roster::{Roster, WorkerEnd};
use engine::rule::{Direction, FilterRule, RuleAction};
use engine::sim::{CaptureReader, capture_of};
use engine::snapshot::{
    BalanceSpec, FilterSpec, InterfaceSpec, MemberSpec, NeighborSpec, SessionSpec, Snapshot,
    TargetKind, TargetSpec,
};
use engine::spreader::{Share, Spreader};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, Vni};
use engine::view::View;
use engine::worker::Worker;

const FRAMES: u32 = 50_000;
const FLOWS: u32 = 100;
const MAC: Mac = Mac([2, 0, 0, 0, 0xaa, 1]);
const OUTER_LEN: usize = 50;

/// A frame of one of many flows, numbered.
fn frame(number: u32) -> Vec<u8> {
    let flow = (number % FLOWS).to_be_bytes();
    let mut frame = [[2, 0, 0, 0, 0, 9], MAC.0].concat();
    frame.extend([0x08, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([[10, 0, flow[2], flow[3]], [192, 0, 2, 7]].concat());
    frame.extend([0x20, 0, 0, 80, 0, 26, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// A span whose capture comes once, and a tool port with a file for each worker.
fn snapshot(folder: &Path, cores: Vec<u16>) -> Snapshot {
    let file = |name: &str| folder.join(name).display().to_string();
    fs::write(file("in"), capture_of((0..FRAMES).map(|at| (at.into(), frame(at))))).unwrap();
    fs::write(file("none"), capture_of([(0, b""); 0])).unwrap();
    let span = port("span", &format!("net_pcap0,rx_pcap={}", file("in")), 1500);
    let device = |none, a, b| format!("net_pcap1,rx_pcap={none},tx_pcap={a},tx_pcap={b}");
    let mut tool = port("tool", &device(file("none"), file("out-0"), file("out-1")), 1500);
    tool.addresses = vec!["192.0.2.1/24".parse().unwrap()];
    let mut snapshot = wire(vec![span, tool]);
    snapshot.links.clear();
    snapshot.spans = vec![PortIndex(0)];
    snapshot.dataplane.workers = cores;
    let (id, port) = ("eni".to_owned(), PortIndex(0));
    snapshot.interfaces = vec![InterfaceSpec { id, port, macs: vec![MAC], vlan: None }];
    let member = MemberSpec::new(
        "192.0.2.10".parse().unwrap(),
        "192.0.2.1".parse().unwrap(),
        NeighborSpec::Fixed(Mac([2, 0, 0, 0, 0x0b, 1])),
    );
    let (id, kind, members) = ("t".to_owned(), TargetKind::Interface, vec![member]);
    let balance = BalanceSpec::default();
    snapshot.targets = vec![TargetSpec { id, port: PortIndex(1), kind, members, balance }];
    snapshot.filters = vec![FilterSpec { id: "f".to_owned(), amazon_dns: false }];
    snapshot.rules = [FilterRule {
        id: "r".to_owned(),
        filter: FilterIndex(0),
        direction: Direction::Egress,
        number: 1,
        action: RuleAction::Accept,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        protocol: None,
        source_ports: None,
        destination_ports: None,
    }]
    .into();
    snapshot.sessions = vec![SessionSpec {
        id: "s".to_owned(),
        interface: InterfaceIndex(0),
        target: TargetIndex(0),
        filter: FilterIndex(0),
        number: 1,
        vni: Vni::try_from(1).unwrap(),
        packet_length: None,
        rate_limit: None,
        sample: None,
    }];
    snapshot
}

/// The first two cores that this process may use, or one and no other.
fn cores() -> Vec<u16> {
    let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    (0..1024).filter(|core| allowed.is_set((*core).into()).unwrap()).take(2).collect()
}

/// Polls until `stop`, and once more when all have stopped.
fn work(parts: WorkerParts, end: WorkerEnd, stop: &AtomicBool, stopped: &Barrier) {
    let thread = WorkerThread::enter(parts.core).unwrap();
    let worker = Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, end);
    let mut worker = worker.with_shares(parts.shares);
    worker.run(stop);
    stopped.wait();
    worker.run(stop);
    drop(worker);
    drop(thread);
}

/// Runs both workers until all frames have been received; the report when they have ended.
fn run(snapshot: &Arc<Snapshot>, workers: Vec<WorkerParts>) -> Report {
    let view = Arc::new(View::compile(snapshot, &Neighbors::default()).unwrap());
    let (mut roster, ends) = Roster::new(Arc::clone(snapshot), &view);
    let (stop, stopped) = (AtomicBool::new(false), Barrier::new(3));
    thread::scope(|scope| {
        for (parts, end) in workers.into_iter().zip(ends) {
            let (stop, stopped) = (&stop, &stopped);
            scope.spawn(move || work(parts, end, stop, stopped));
        }
        let began = Instant::now();
        while roster.report().ports[0].rx_packets < u64::from(FRAMES)
            && began.elapsed() < Duration::from_mins(1)
        {
            roster.request_report();
            thread::sleep(Duration::from_millis(5));
            roster.collect_report();
        }
        stop.store(true, Ordering::Relaxed);
        while !roster.collect_report() {
            thread::sleep(Duration::from_millis(1));
        }
        roster.request_report();
        stopped.wait();
    });
    assert!(roster.collect_report());
    roster.report()
}

/// The numbers of the frames whose copies are in a file, in their order.
fn copied(file: &Path) -> Vec<u32> {
    let mut reader = CaptureReader::new(fs::File::open(file).unwrap());
    let mut numbers = Vec::new();
    while reader.advance().unwrap() {
        let inner = &reader.frame()[OUTER_LEN..];
        let number = u32::from_be_bytes(inner[42..46].try_into().unwrap());
        assert_eq!(inner, frame(number));
        numbers.push(number);
    }
    numbers
}

#[test]
fn two_workers_share_the_flows_of_one_queue_in_order_and_every_buffer_comes_back() {
    alone(|| {
        let cores = cores();
        if cores.len() < 2 {
            eprintln!("skipped: needs two cores");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let snapshot = Arc::new(snapshot(folder.path(), cores));
        let plans = plan(&snapshot).unwrap();
        let eal = Eal::start(&eal_config(&snapshot, &plans)).unwrap();
        let Hardware { ports, pools, workers } = Hardware::open(&eal, &snapshot, plans).unwrap();
        let has = |at: usize| (workers[at].lanes[0].spreader.is_some(), workers[at].shares.len());
        assert_eq!((has(0), has(1)), ((true, 0), (false, 1)), "worker 1 polls the tool port");
        let report = run(&snapshot, workers);
        drop(ports);
        assert!(pools.iter().all(|pool| pool.in_use() == 0), "every buffer is back");

        let span = &report.ports[0];
        let congested = span.ended[Ended::WorkerCongested as usize];
        assert_eq!(span.rx_packets, u64::from(FRAMES));
        assert_eq!(span.rx_bytes, 60 * u64::from(FRAMES));
        assert_eq!(span.ended[Ended::Tap as usize] + congested, u64::from(FRAMES));
        let files = ["out-0", "out-1"].map(|file| copied(&folder.path().join(file)));
        let session = &report.sessions[0];
        assert_eq!(session.matched + congested, u64::from(FRAMES));
        assert_eq!(files.iter().map(Vec::len).sum::<usize>() as u64, session.mirrored_packets);
        // Of each flow one worker has all copies, in order.
        let mut last = HashMap::new();
        for (worker, numbers) in files.iter().enumerate() {
            assert!(numbers.len() as u32 > FRAMES / 100, "worker {worker}: {}", numbers.len());
            for number in numbers {
                let before = last.insert(number % FLOWS, (worker, *number));
                assert!(before.is_none_or(|before| before.0 == worker && before.1 < *number));
            }
        }
        eprintln!("copies {:?}, congested {congested}", files.map(|numbers| numbers.len()));
    });
}

#[test]
fn what_workers_hand_to_each_other_may_cross_threads() {
    fn may_cross<T: Send>() {}
    may_cross::<Spreader<Mbuf>>();
    may_cross::<Share<Mbuf>>();
    may_cross::<WorkerParts>();
}
