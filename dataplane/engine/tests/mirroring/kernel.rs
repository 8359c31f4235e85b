//! The kernel's part in a tool port: what comes in there is handed to it, what it says leaves there, and
//! the wire does not notice.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::drop_reason::Ended;
use engine::exception::{FROM_KERNEL_MAX, KernelSide, TO_KERNEL_MAX, exception};
use engine::roster::Roster;
use engine::sim::TxFaults;
use engine::units::PortIndex;
use engine::worker::{Lane, Worker};

use crate::conserves;
use crate::scenario::{Appliance, Behaviour, LAN, TOOL, WAN, feed, snapshot};

/// What an interface of the usual MTU takes.
const LEN_MAX: usize = 1518;

fn with_kernel(mut appliance: Appliance) -> (Appliance, KernelSide) {
    let (worker, kernel) = exception(TOOL, LEN_MAX);
    appliance.worker = appliance.worker.with_kernels(vec![worker]);
    (appliance, kernel)
}

fn taken(kernel: &mut KernelSide) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| kernel.take(|bytes| bytes.to_vec())).collect()
}

fn say(kernel: &mut KernelSide, bytes: &[u8]) -> bool {
    kernel.give(|place| {
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(bytes.len())
    })
}

/// So many frames on a port, each of another length.
fn flood(port: PortIndex, count: usize) -> Vec<(PortIndex, Vec<u8>)> {
    (0..count).map(|at| (port, vec![at as u8; 60 + at % 7])).collect()
}

#[test]
fn what_comes_in_on_a_tool_port_is_handed_to_the_kernel_as_far_as_it_keeps_up() {
    let frames = flood(TOOL, TO_KERNEL_MAX + 100);
    let (mut appliance, mut kernel) =
        with_kernel(Appliance::new(snapshot(), &frames, Behaviour::default()));
    appliance.run();
    let heard = taken(&mut kernel);
    assert_eq!(heard.len(), TO_KERNEL_MAX);
    assert!(heard.iter().zip(&frames).all(|(heard, (_, sent))| heard == sent));
    let report = appliance.report();
    let port = &report.ports[TOOL.at()];
    assert_eq!(port.ended[Ended::ToKernel as usize], TO_KERNEL_MAX as u64);
    assert_eq!(port.ended[Ended::KernelCongested as usize], 100);
    assert_eq!(port.ended[Ended::NotTapped as usize], 0);
    conserves(&report);
    assert_eq!(appliance.feed.in_use(), 0, "what the kernel has not taken yet holds no buffer");
}

#[test]
fn a_flood_at_the_tool_port_is_looked_at_seldom_while_the_wire_has_frames() {
    const ROUNDS: usize = if cfg!(miri) { 32 } else { 160 };
    let mut appliance = Appliance::new(snapshot(), &[], Behaviour::default());
    // Two captures, so that neither waits for the other's time.
    let floods = [LAN, TOOL].map(|port| feed(&flood(port, 64 * ROUNDS), usize::MAX));
    let lanes = [LAN, TOOL].iter().zip(&floods).map(|(&port, feed)| Lane {
        port,
        rx: feed.rx(port),
        role: appliance.roster.snapshot().role(port),
        spreader: None,
    });
    let lanes: Vec<_> = lanes.collect();
    let wan = appliance.outputs[WAN.at()].tx();
    let snapshot = Arc::clone(appliance.roster.snapshot());
    let view = Arc::clone(appliance.roster.view());
    let (roster, mut ends) = Roster::new(snapshot, &view);
    appliance.roster = roster;
    let tools = vec![None, None, None, None];
    appliance.worker = Worker::new(lanes, vec![None, Some(wan), None, None], tools, ends.remove(0));
    let (mut appliance, _kernel) = with_kernel(appliance);
    for _ in 0..ROUNDS {
        appliance.worker.poll();
    }
    let report = appliance.report();
    let [wire, tool] = [LAN, TOOL].map(|port| report.ports[port.at()].rx_packets);
    assert_eq!(wire, 64 * ROUNDS as u64, "each round has served the wire");
    assert!((64..=64 * (1 + ROUNDS as u64 / 16)).contains(&tool), "{tool}");
    conserves(&report);
    // The wire has nothing more: the rest is looked at.
    while !floods[1].is_done() {
        appliance.worker.poll();
    }
    assert_eq!(appliance.report().ports[TOOL.at()].rx_packets, 64 * ROUNDS as u64);
}

#[test]
fn what_the_kernel_says_leaves_by_the_tool_port_and_counts_there() {
    let (mut appliance, mut kernel) =
        with_kernel(Appliance::new(snapshot(), &[], Behaviour::default()));
    let said: Vec<Vec<u8>> = (0..100).map(|at| vec![at; 60 + usize::from(at)]).collect();
    assert!(said.iter().all(|frame| say(&mut kernel, frame)));
    for _ in 0..10 {
        appliance.worker.poll();
    }
    let report = appliance.report();
    let sent: Vec<_> = appliance.sent(TOOL).into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(sent, said);
    let port = &report.ports[TOOL.at()];
    let bytes: usize = said.iter().map(Vec::len).sum();
    assert_eq!((port.tx_packets, port.tx_bytes), (100, bytes as u64));
    // A queue that takes nothing: dropped and counted, and no buffer is kept.
    appliance.outputs[TOOL.at()].set_faults(TxFaults { is_down: true, ..TxFaults::default() });
    assert!(say(&mut kernel, &said[0]) && say(&mut kernel, &said[1]));
    appliance.worker.poll();
    assert_eq!(appliance.sent(TOOL).len(), 0);
    assert_eq!(appliance.report().ports[TOOL.at()].tx_packets, 100);
    let refused = &appliance.roster.workers()[0].tx;
    assert_eq!(refused.iter().map(|queue| queue.refused).sum::<u64>(), 2);
}

#[test]
fn what_the_kernel_has_said_when_the_worker_stops_is_sent_all_the_same() {
    let (mut appliance, mut kernel) =
        with_kernel(Appliance::new(snapshot(), &[], Behaviour::default()));
    while say(&mut kernel, &[7; 60]) {}
    appliance.worker.run(&AtomicBool::new(true));
    assert_eq!(appliance.sent(TOOL).len(), FROM_KERNEL_MAX);
    let pool = appliance.pool.clone();
    drop(appliance);
    assert_eq!(pool.in_use(), 0);
}
