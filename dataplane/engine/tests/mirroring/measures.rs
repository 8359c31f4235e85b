//! What is told of queues and workers, by a clock that the test moves.

use std::sync::Arc;

use engine::idling::AWAKE_ROUNDS;
use engine::latency::Latency;
use engine::neighbors::Neighbors;
use engine::report::{Report, RxQueueReport, TxQueueReport, WorkerState};
use engine::roster::Roster;
use engine::sim::{Sim, SimClock, SimOutput, SimPool, TxFaults};
use engine::snapshot::IdleSpec;
use engine::tool::ToolPort;
use engine::units::PortIndex;
use engine::view::View;
use engine::worker::Worker;

use crate::scenario::{Appliance, Behaviour, LAN, MAC_A, SPAN, TOOL, WAN, feed, snapshot, worker};
use crate::{OTHER, udp};

/// The queues of each port add up to the port.
pub fn queues_add_up(report: &Report, workers: &[WorkerState]) {
    for port in &report.ports {
        let rx = || workers.iter().flat_map(|worker| &worker.rx).filter(|it| it.port == port.name);
        let tx = || workers.iter().flat_map(|worker| &worker.tx).filter(|it| it.port == port.name);
        assert_eq!(rx().map(|queue| queue.packets).sum::<u64>(), port.rx_packets, "{port:?}");
        assert_eq!(rx().map(|queue| queue.bytes).sum::<u64>(), port.rx_bytes, "{port:?}");
        assert_eq!(tx().map(|queue| queue.packets).sum::<u64>(), port.tx_packets, "{port:?}");
        assert_eq!(tx().map(|queue| queue.bytes).sum::<u64>(), port.tx_bytes, "{port:?}");
    }
}

/// Frames of an interface that is mirrored, 100 bytes each, on one port.
fn mirrored(port: PortIndex, count: usize) -> Vec<(PortIndex, Vec<u8>)> {
    let frame = udp(OTHER, MAC_A, None, false, 80, 58);
    vec![(port, frame); count]
}

/// Each call of a queue takes so long.
fn taking(ns: u64) -> TxFaults {
    TxFaults { takes_ns: ns, ..TxFaults::default() }
}

#[test]
fn each_queue_tells_what_it_did() {
    let frames = [mirrored(LAN, 130), mirrored(SPAN, 3)].concat();
    let tool = TxFaults { accepts_per_call: 40, ..TxFaults::default() };
    let wire = TxFaults { accepts_per_call: 60, ..TxFaults::default() };
    let behaviour = Behaviour { wire, tool, ..Behaviour::default() };
    let mut appliance = Appliance::new(snapshot(), &frames, behaviour);
    appliance.run();
    for _ in 0..4 {
        appliance.worker.poll();
    }
    let report = appliance.report();
    let workers = appliance.roster.workers();
    let [worker] = workers.as_slice() else { panic!("{workers:?}") };
    // 64, 64, 2 and 3 in the third round, and five rounds of nothing.
    assert_eq!((worker.polls, worker.empty_polls), (8, 5));
    let rx = |port: &str, packets, empty_polls, full_bursts| RxQueueReport {
        port: port.into(),
        packets,
        bytes: 100 * packets,
        polls: 8,
        empty_polls,
        full_bursts,
        ..RxQueueReport::default()
    };
    let expected = [rx("lan", 130, 5, 2), rx("wan", 0, 8, 0), rx("span", 3, 7, 0)];
    assert_eq!(worker.rx[..3], expected);
    let tx = |port: &str, packets, len, refused| TxQueueReport {
        port: port.into(),
        packets,
        bytes: len * packets,
        refused,
        ..TxQueueReport::default()
    };
    // Of copies, the tool's queue takes 40, then as few as it is given, 2 and 3.
    let copies = worker.tx[2].packets;
    assert!((41..=85).contains(&copies), "{copies}");
    let expected = [tx("lan", 0, 100, 0), tx("wan", 122, 100, 8), tx("tool", copies, 150, 24)];
    assert_eq!(worker.tx, expected);
    queues_add_up(&report, &workers);
}

#[test]
fn the_queues_of_all_workers_add_up_to_their_ports() {
    let mut both = snapshot();
    both.dataplane.workers = vec![4, 9];
    let both = Arc::new(both);
    let view = Arc::new(View::compile(&both, &Neighbors::offline(&both)).unwrap());
    let (mut roster, ends) = Roster::new(Arc::clone(&both), &view);
    let outputs: Vec<_> = both.ports.iter().map(|_| SimOutput::discard()).collect();
    let pool = SimPool::new(2048, 4096);
    let received = [mirrored(LAN, 100), mirrored(LAN, 7)];
    let mut workers: Vec<Worker<Sim>> = ends
        .into_iter()
        .zip(&received)
        .map(|(end, frames)| {
            let tool = ToolPort::new(outputs[TOOL.at()].tx(), pool.clone());
            worker(&both, &feed(frames, usize::MAX), &outputs, tool, end)
        })
        .collect();
    for worker in &mut workers {
        worker.poll();
        worker.poll();
    }
    roster.request_report();
    for worker in &mut workers {
        worker.poll();
    }
    assert!(roster.collect_report());
    let (report, states) = (roster.report(), roster.workers());
    assert_eq!(report.ports[LAN.at()].rx_packets, 107);
    assert_eq!(report.ports[WAN.at()].tx_bytes, 10_700);
    assert_eq!(report.ports[TOOL.at()].tx_packets, 107);
    let told: Vec<_> = states.iter().map(|state| (state.core, state.rx[0].packets)).collect();
    assert_eq!(told, [(4, 100), (9, 7)]);
    queues_add_up(&report, &states);
}

#[test]
fn a_worker_is_busy_while_rounds_find_something() {
    let behaviour = Behaviour { wire: taking(1_000), tool: taking(300), ..Behaviour::default() };
    let mut appliance = Appliance::new(snapshot(), &mirrored(LAN, 129), behaviour);
    let times = |appliance: &mut Appliance| {
        appliance.report();
        let state = appliance.roster.workers().remove(0);
        (state.total_ns, state.busy_ns)
    };
    SimClock::advance(5_000);
    appliance.worker.poll();
    // Between two rounds that find something no time is lost.
    SimClock::advance(20);
    appliance.worker.poll();
    SimClock::advance(20);
    // The report is made before the third burst is received.
    assert_eq!(times(&mut appliance), (7_640, 2_620));
    SimClock::advance(50);
    assert_eq!(appliance.worker.poll(), 0);
    SimClock::advance(90_000);
    // The last copy has left in the round that found nothing.
    let (total, idle) = (5_000 + 3 * 1_300 + 40 + 50 + 90_000, 5_000 + 50 + 90_000 + 300);
    assert_eq!(times(&mut appliance), (total, total - idle));
}

/// Lets the worker answer, and takes the answer in.
fn answered(appliance: &mut Appliance) -> Latency {
    appliance.report();
    appliance.roster.latency().expect("times are measured").clone()
}

#[test]
fn each_burst_takes_as_long_as_its_queues() {
    let mut timed = snapshot();
    timed.dataplane.latency = true;
    let frames = [mirrored(LAN, 66), mirrored(SPAN, 3)].concat();
    let wire = TxFaults { accepts_per_call: 60, ..taking(1_000) };
    let tool = TxFaults { accepts_per_call: 40, ..taking(300) };
    let mut appliance =
        Appliance::new(timed, &frames, Behaviour { wire, tool, ..Behaviour::default() });
    appliance.worker.poll();
    let Latency { wire, copy } = answered(&mut appliance);
    // What was refused has no time.
    assert_eq!((wire.len(), wire.count_at(1_000)), (60, 60));
    assert_eq!((copy.len(), copy.count_at(1_300)), (40, 40));
    // The second burst came in the round of the report; the span's frames had no wire to wait for.
    let Latency { wire, copy } = answered(&mut appliance);
    assert_eq!((wire.len(), wire.count_at(1_000)), (62, 62));
    assert_eq!((copy.len(), copy.count_at(1_300), copy.count_at(300)), (45, 42, 3));
    assert_eq!(answered(&mut appliance).copy, copy);
}

#[test]
fn times_survive_changes_of_the_configuration_and_can_be_switched() {
    let frames = mirrored(LAN, 6 * 64);
    let mut timed = snapshot();
    timed.dataplane.latency = true;
    let behaviour = Behaviour { wire: taking(70), ..Behaviour::default() };
    let mut appliance = Appliance::new(timed.clone(), &frames, behaviour);
    let mut publish = |appliance: &mut Appliance, latency: bool| {
        timed.epoch += 1;
        timed.dataplane.latency = latency;
        let view = appliance.roster.view().update(&timed, &Neighbors::offline(&timed)).unwrap();
        appliance.roster.publish(Arc::new(timed.clone()), &Arc::new(view));
        appliance.worker.poll();
    };
    appliance.worker.poll();
    publish(&mut appliance, true);
    assert_eq!(answered(&mut appliance).wire.count_at(70), 2 * 64);
    publish(&mut appliance, false);
    appliance.report();
    assert_eq!(appliance.roster.latency(), None);
    // Anew: the last burst alone.
    appliance.roster.reclaim();
    publish(&mut appliance, true);
    let latency = answered(&mut appliance);
    assert_eq!((latency.wire.len(), latency.copy.len()), (64, 64));
}

#[test]
fn the_clock_is_read_twice_a_burst_at_most_and_never_for_nothing() {
    let mut appliance = Appliance::new(snapshot(), &mirrored(LAN, 129), Behaviour::default());
    let mut reads = || {
        let before = SimClock::reads();
        appliance.worker.poll();
        SimClock::reads() - before
    };
    assert_eq!([reads(), reads(), reads(), reads(), reads()], [2, 1, 1, 0, 0]);
}

#[test]
fn only_an_adaptive_worker_sleeps_and_frames_are_received_in_the_next_round() {
    let turns = |appliance: &mut Appliance, count: u32| {
        for _ in 0..count {
            appliance.worker.turn();
        }
        appliance.report();
        appliance.roster.workers().remove(0)
    };
    let frames = mirrored(LAN, 1);
    let mut polling = Appliance::new(snapshot(), &frames, Behaviour::default());
    let state = turns(&mut polling, AWAKE_ROUNDS + 10);
    assert_eq!((state.sleeps, state.total_ns), (0, 0));

    let mut spec = snapshot();
    spec.dataplane.idle = IdleSpec::Adaptive;
    let mut adaptive = Appliance::new(spec, &frames, Behaviour::default());
    // The first turn finds the frame.
    let state = turns(&mut adaptive, 1 + AWAKE_ROUNDS);
    assert_eq!((state.rx[0].packets, state.sleeps), (1, 0));
    let state = turns(&mut adaptive, 2);
    assert_eq!((state.sleeps, state.asleep_ns, state.total_ns), (2, 30_000, 30_000));
    assert_eq!(state.busy_ns, 0);
}
