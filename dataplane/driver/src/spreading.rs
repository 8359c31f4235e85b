//! Which worker polls which receive queue, and whether its frames are spread over all workers. Pure:
//! nothing here touches a device.

use std::collections::HashSet;

use engine::burst::BURST_MAX;
use engine::snapshot::Role;

use crate::plan::{DESCRIPTORS, PortPlan};

/// So many bursts may wait for a worker that a queue is spread to: as many frames as the queue of a
/// device would hold, if it had one for that worker.
const BURSTS_WAITING: u16 = DESCRIPTORS / BURST_MAX as u16;
/// The least, where a port has several queues and each has a way to each worker.
const BURSTS_WAITING_MIN: u16 = 2;

/// The worker that polls a port's receive queue. Where there is a queue for each worker, queue by
/// queue: both directions of a flow are in the same queue of a link's two ports, and one worker keeps
/// their order. Ports with fewer queues begin at different workers.
pub fn worker_of(port: &PortPlan, queue: u16, workers: usize) -> usize {
    let has_all = usize::from(port.rx_queues) >= workers;
    let first = if has_all { 0 } else { port.index.at() };
    (first + usize::from(queue)) % workers.max(1)
}

/// True when some worker has no queue of a wire or span to poll: then every wire and span has fewer
/// queues than there are workers, and the frames of all of them are spread.
pub fn are_spread(ports: &[PortPlan], workers: usize) -> bool {
    let tapped = ports.iter().filter(|port| port.role != Role::Idle);
    let polling: HashSet<usize> = tapped
        .flat_map(|port| (0..port.rx_queues).map(move |queue| worker_of(port, queue, workers)))
        .collect();
    !polling.is_empty() && polling.len() < workers
}

/// Bursts that may wait for each other worker, of each receive queue of a port that is spread.
pub fn bursts_waiting(port: &PortPlan) -> u16 {
    (BURSTS_WAITING / port.rx_queues.max(1)).max(BURSTS_WAITING_MIN)
}

/// Frames of a port that is spread, on their way from the worker that received them to another.
pub(crate) fn frames_waiting(port: &PortPlan, workers: usize) -> u32 {
    let ways = u32::from(port.rx_queues) * u32::try_from(workers.saturating_sub(1)).unwrap_or(0);
    // What waits, and what gathers meanwhile.
    let bursts = u32::from(bursts_waiting(port)) + 1;
    ways.saturating_mul(bursts * BURST_MAX as u32)
}
