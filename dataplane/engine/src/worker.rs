//! The poll-mode loop of one core: receive, mirror, send on, send copies; run to completion.
//!
//! A worker owns its queues, its counters and (through the publish channel) its view. It shares
//! nothing that it writes. It waits for nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::burst::Burst;
use crate::copies::Outlets;
use crate::drop_reason::Ended;
use crate::mirror::{Fate, Scratch, mirror_burst};
use crate::port::{Devices, Mbuf, RxQueue, TxQueue};
use crate::roster::{ReportBuffer, WorkerEnd};
use crate::rule_table::{CompiledTable, RuleTable};
use crate::snapshot::Role;
use crate::stats::{PortStats, WorkerStats};
use crate::tool::ToolPort;
use crate::units::PortIndex;

/// Rounds between two looks at the links' state: often enough that no one waits for it.
const ROUNDS_PER_LINK_CHECK: u64 = 256;

/// One receive queue, with what becomes of its frames.
pub struct Lane<D: Devices> {
    /// The port it belongs to.
    pub port: PortIndex,
    /// The queue.
    pub rx: D::Rx,
    /// What becomes of the frames.
    pub role: Role,
}

impl<D: Devices> core::fmt::Debug for Lane<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lane")
            .field("port", &self.port)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// All that one core works with.
pub struct Worker<D: Devices, T = CompiledTable> {
    lanes: Vec<Lane<D>>,
    wires: Vec<Option<D::Tx>>,
    tools: Vec<Option<ToolPort<D>>>,
    end: WorkerEnd<T>,
    stats: WorkerStats,
    scratch: Box<Scratch>,
    burst: Burst<D::Mbuf>,
    links_up: Vec<bool>,
    /// By port: frames that a copy still holds may leave by it.
    shares_over: Vec<bool>,
}

impl<D: Devices, T> core::fmt::Debug for Worker<D, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Worker").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

impl<D: Devices, T: RuleTable> Worker<D, T> {
    /// A worker that polls `lanes` in their order. `wires` and `tools` are by [`PortIndex`] and as
    /// long as the snapshot's list of ports: transmit queues of the ports that frames are forwarded
    /// to, and tool ports.
    pub fn new(
        lanes: Vec<Lane<D>>,
        wires: Vec<Option<D::Tx>>,
        tools: Vec<Option<ToolPort<D>>>,
        end: WorkerEnd<T>,
    ) -> Self {
        let ports = wires.len().max(tools.len());
        let stats =
            WorkerStats { ports: vec![PortStats::default(); ports], ..WorkerStats::default() };
        let shares_over =
            wires.iter().map(|tx| tx.as_ref().is_some_and(TxQueue::takes_shared)).collect();
        let mut worker = Self {
            lanes,
            wires,
            tools,
            end,
            stats,
            scratch: Box::default(),
            burst: Burst::new(),
            links_up: vec![true; ports],
            shares_over,
        };
        worker.check_links();
        worker
    }

    /// Polls until `stop` is set. What it has received by then is sent.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.poll();
        }
        // The last word, for a publisher that asked just before.
        self.at_boundary();
    }

    /// One round over all lanes; returns the frames received.
    pub fn poll(&mut self) -> usize {
        self.at_boundary();
        let mut received = 0;
        for lane in 0..self.lanes.len() {
            received += self.poll_lane(lane);
        }
        self.stats.polls += 1;
        self.stats.empty_polls += u64::from(received == 0);
        received
    }

    /// What happens between bursts: a new view is taken up, a report is answered.
    fn at_boundary(&mut self) {
        if self.end.refresh() {
            self.tools.iter_mut().flatten().for_each(ToolPort::forget_sessions);
        }
        if let Some(mut report) = self.end.requested() {
            self.fill(&mut report);
            self.end.answer(report);
        }
        if self.stats.polls.is_multiple_of(ROUNDS_PER_LINK_CHECK) {
            self.check_links();
        }
    }

    fn check_links(&mut self) {
        for (is_up, shared) in self.links_up.iter_mut().zip(self.end.links.iter()) {
            *is_up = shared.load(Ordering::Relaxed);
        }
    }

    fn poll_lane(&mut self, lane: usize) -> usize {
        let Lane { port, rx, role } = &mut self.lanes[lane];
        let received = rx.recv(&mut self.burst);
        if received == 0 {
            return 0;
        }
        let (port, role) = (*port, *role);
        let current = self.end.current_mut();
        let mut outlets = Outlets {
            tools: &mut self.tools,
            links_up: &self.links_up,
            worker: &mut self.stats,
            view: &mut current.stats,
        };
        let fate = match role {
            Role::Wire(peer) => Fate::GoOn { may_share: self.shares_over[peer.at()] },
            Role::Tap | Role::Idle => Fate::End,
        };
        let (burst, scratch) = (&mut self.burst, &mut self.scratch);
        let bytes = mirror_burst(&current.view, port, fate, burst, scratch, &mut outlets);
        let rx_stats = &mut self.stats.ports[port.at()];
        rx_stats.rx_packets += received as u64;
        rx_stats.rx_bytes += bytes as u64;

        // The originals go first: no frame of the wire waits for a copy.
        match role {
            Role::Wire(peer) => self.forward(port, peer, received, bytes),
            Role::Tap => self.end_frames(port, Ended::Tap, received),
            Role::Idle => self.end_frames(port, Ended::NotTapped, received),
        }
        let sessions = &mut self.end.current_mut().stats.sessions;
        for (tool, stats) in self.tools.iter_mut().zip(&mut self.stats.ports) {
            if let Some(tool) = tool {
                tool.flush(stats, sessions);
            }
        }
        received
    }

    fn forward(&mut self, port: PortIndex, peer: PortIndex, received: usize, bytes: usize) {
        let Some(tx) = &mut self.wires[peer.at()] else {
            return self.end_frames(port, Ended::WireCongested, received);
        };
        let (received, bytes) = if tx.takes_chains() {
            (received, bytes)
        } else {
            end_chains(&mut self.burst, &mut self.stats.ports[port.at()])
        };
        let accepted = tx.send(&mut self.burst);
        // Usually nothing is left: the bytes sent are counted without touching the frames again.
        let left: usize = self.burst.frames().iter().map(Mbuf::len).sum();
        let rx_stats = &mut self.stats.ports[port.at()];
        rx_stats.forwarded += accepted as u64;
        rx_stats.ended[Ended::WireCongested as usize] += (received - accepted) as u64;
        let tx_stats = &mut self.stats.ports[peer.at()];
        tx_stats.tx_packets += accepted as u64;
        tx_stats.tx_bytes += (bytes - left) as u64;
        D::Mbuf::free_bulk(&mut self.burst);
    }

    fn end_frames(&mut self, port: PortIndex, reason: Ended, received: usize) {
        self.stats.ports[port.at()].ended[reason as usize] += received as u64;
        D::Mbuf::free_bulk(&mut self.burst);
    }

    fn fill(&self, report: &mut ReportBuffer) {
        let current = self.end.current();
        report.worker.ports.copy_from_slice(&self.stats.ports);
        report.worker.unmirrored = self.stats.unmirrored;
        report.worker.polls = self.stats.polls;
        report.worker.empty_polls = self.stats.empty_polls;
        report.is_complete =
            report.generation == current.generation && report.view.copy_from(&current.stats);
    }
}

impl<D: Devices, T> Drop for Worker<D, T> {
    fn drop(&mut self) {
        for tool in self.tools.iter_mut().flatten() {
            tool.release();
        }
    }
}

/// Ends the frames of several segments; returns the number of the others and their bytes.
fn end_chains<M: Mbuf>(burst: &mut Burst<M>, port: &mut PortStats) -> (usize, usize) {
    if burst.frames().iter().any(|frame| !frame.is_contiguous()) {
        let frames = burst.storage_mut();
        let before = frames.len();
        frames.retain(|frame| frame.is_contiguous());
        port.ended[Ended::Chained as usize] += (before - frames.len()) as u64;
    }
    (burst.len(), burst.frames().iter().map(Mbuf::len).sum())
}
