//! The poll-mode loop of one core: receive, mirror, send on, send copies; run to completion.
//!
//! A worker owns its queues, its counters and (through the publish channel) its view. It shares
//! nothing that it writes. It waits for nobody.

mod flushing;
mod kernel;
mod shares;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::burst::Burst;
use crate::busy::Busy;
use crate::copies::Outlets;
use crate::drain::Drain;
use crate::drop_reason::Ended;
use crate::exception::WorkerSide;
use crate::idling::Idling;
use crate::latency::record;
use crate::mirror::{Fate, Scratch, mirror_burst};
use crate::port::{Clock, Devices, Mbuf, RxQueue, TxQueue};
use crate::relief::Relief;
use crate::roster::{Queues, ReportBuffer, WorkerEnd};
use crate::rule_table::{CompiledTable, RuleTable};
use crate::snapshot::{IdleSpec, Role};
use crate::spreader::{Share, Spreader};
use crate::stats::{LaneStats, PortStats, TimeStats, WorkerStats};
use crate::ticks::Scale;
use crate::tool::ToolPort;
use crate::units::PortIndex;
use crate::view::View;

/// Rounds between two looks at the links' state: often enough that no one waits for it.
const ROUNDS_PER_LINK_CHECK: u64 = 256;

/// Rounds between two looks at tool ports, while frames come: under full load some ten microseconds.
const ROUNDS_PER_IDLE_PORTS: u64 = 16;

/// One receive queue, with what becomes of its frames.
pub struct Lane<D: Devices> {
    /// The port it belongs to.
    pub port: PortIndex,
    /// The queue.
    pub rx: D::Rx,
    /// What becomes of the frames.
    pub role: Role,
    /// What gives other workers their part of the frames, where they have no queues of their own.
    pub spreader: Option<Spreader<D::Mbuf>>,
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
    /// What comes from other workers.
    shares: Vec<Share<D::Mbuf>>,
    /// By lane, then by share: whether there is time for copies.
    reliefs: Vec<Relief>,
    /// By port: where the kernel's part of a tool port is.
    kernels: Vec<Option<WorkerSide>>,
    wires: Vec<Option<D::Tx>>,
    tools: Vec<Option<ToolPort<D>>>,
    end: WorkerEnd<T>,
    stats: WorkerStats,
    scratch: Box<Scratch>,
    burst: Box<Burst<D::Mbuf>>,
    links_up: Vec<bool>,
    /// By port: frames that a copy still holds may leave by it.
    shares_over: Vec<bool>,
    /// By port: the copies that wait there.
    drains: Vec<Drain>,
    /// Copies wait somewhere.
    holds_copies: bool,
    /// The round before received something.
    is_busy: bool,
    /// In ticks, so long at most.
    drain_ticks: u64,
    busy: Busy,
    idling: Idling,
    scale: Scale,
    /// When it began, in ticks.
    began: u64,
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
        let stats = WorkerStats {
            ports: vec![PortStats::default(); ports],
            lanes: vec![LaneStats::default(); lanes.len()],
            ..WorkerStats::default()
        };
        let shares_over =
            wires.iter().map(|tx| tx.as_ref().is_some_and(TxQueue::takes_shared)).collect();
        end.introduce(queues(&lanes, &wires, &tools));
        let scale = Scale::new(D::Clock::hz());
        let drain_ticks = scale.ticks(end.current().tx_drain_ns);
        let mut worker = Self {
            reliefs: lanes.iter().map(|_| Relief::default()).collect(),
            lanes,
            shares: Vec::new(),
            kernels: (0..ports).map(|_| None).collect(),
            wires,
            tools,
            end,
            stats,
            scratch: Box::default(),
            burst: Box::default(),
            links_up: vec![true; ports],
            shares_over,
            drains: (0..ports).map(|_| Drain::default()).collect(),
            holds_copies: false,
            is_busy: false,
            drain_ticks,
            busy: Busy::default(),
            idling: Idling::default(),
            scale,
            began: D::Clock::now(),
        };
        worker.check_links();
        worker
    }

    /// What it gets of the queues that other workers spread.
    #[must_use]
    pub fn with_shares(mut self, shares: Vec<Share<D::Mbuf>>) -> Self {
        self.reliefs.extend(shares.iter().map(|_| Relief::default()));
        self.shares = shares;
        self
    }

    /// The exception paths of the tool ports whose receive queues it polls.
    #[must_use]
    pub fn with_kernels(mut self, kernels: Vec<WorkerSide>) -> Self {
        for kernel in kernels {
            if let Some(place) = self.kernels.get_mut(kernel.port().at()) {
                *place = Some(kernel);
            }
        }
        self
    }

    /// Polls until `stop` is set. What it has received by then is sent, or given to its worker: where
    /// queues are spread, what comes late is handled by a second call, once all workers have stopped.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.turn();
        }
        self.finish_shares();
        self.flush_all();
        self.finish_kernels();
        // The last word, for a publisher that asked just before.
        self.at_boundary();
    }

    /// One round, and a rest where that is wanted and nothing has come.
    pub fn turn(&mut self) {
        let received = self.poll();
        if self.end.current().idle == IdleSpec::Poll {
            return;
        }
        if received == 0 {
            self.idling.rest::<D::Clock>();
        } else {
            self.idling.wake();
        }
    }

    /// One round over all lanes and shares; returns the frames that came.
    pub fn poll(&mut self) -> usize {
        self.at_boundary();
        let mut received = 0;
        for lane in 0..self.lanes.len() {
            received += self.poll_lane(lane);
        }
        self.send_for_kernels();
        for share in 0..self.shares.len() {
            received += self.poll_share(share);
        }
        self.stats.polls += 1;
        self.is_busy = received > 0;
        if received == 0 {
            self.stats.empty_polls += 1;
            self.busy.end_empty_round();
            // There is nothing else to do.
            self.flush_all();
        } else {
            let now = self.busy.end_round::<D::Clock>();
            self.flush_due(now);
        }
        received
    }

    /// What happens between bursts: a new view is taken up, a report is answered.
    fn at_boundary(&mut self) {
        if self.end.has_news() {
            // What waits is counted by the view that wanted it, and before it is told.
            self.flush_all();
            if self.end.refresh() {
                self.tools.iter_mut().flatten().for_each(ToolPort::forget_sessions);
                self.drain_ticks = self.scale.ticks(self.end.current().tx_drain_ns);
            }
            if let Some(mut report) = self.end.requested() {
                self.fill(&mut report);
                self.end.answer(report);
            }
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

    fn poll_lane(&mut self, at: usize) -> usize {
        let Lane { port, rx, role, spreader } = &mut self.lanes[at];
        if *role == Role::Idle && !is_idle_ports_turn(self.stats.polls, self.is_busy) {
            return 0;
        }
        let received = rx.recv(&mut self.burst);
        if spreader.is_some() {
            return self.spread(at, received);
        }
        if received == 0 {
            return 0;
        }
        let begun = self.busy.begin::<D::Clock>();
        let (port, role) = (*port, *role);
        let can_help = relief_can_help(role, &self.end.current().view);
        let hurries = self.reliefs[at].is_needed(can_help, received, rx);
        let bytes = self.handle(port, role, begun, hurries);
        self.stats.lanes[at].add_burst(received, bytes);
        received
    }

    /// Mirrors the burst and sends it on; returns its bytes. `arrived`: when it had been received, where
    /// that is known. `hurries`: frames of a wire leave without copies.
    #[inline]
    fn handle(
        &mut self,
        port: PortIndex,
        role: Role,
        arrived: Option<u64>,
        hurries: bool,
    ) -> usize {
        let received = self.burst.len();
        let current = self.end.current_mut();
        // Without histograms nothing is timed.
        let is_timed = current.latency.is_some();
        let arrived = is_timed.then(|| arrived.unwrap_or_else(D::Clock::now));
        if let Some(flows) = &mut current.flows {
            flows.tick::<D::Clock>(self.busy.since());
        }
        let is_policed = !current.view.policing.is_off();
        let mut outlets = Outlets {
            tools: &mut self.tools,
            links_up: &self.links_up,
            received_ns: if is_policed { self.scale.ns(self.busy.since()) } else { 0 },
            worker: &mut self.stats,
            view: &mut current.stats,
            flows: current.flows.as_deref_mut(),
        };
        let fate = match role {
            Role::Wire(_) if hurries => Fate::HurryOn,
            Role::Wire(peer) => Fate::GoOn { may_share: self.shares_over[peer.at()] },
            Role::Tap => Fate::End,
            // To the kernel.
            Role::Idle => Fate::GoOn { may_share: false },
        };
        let (burst, scratch) = (&mut self.burst, &mut self.scratch);
        let bytes = mirror_burst(&current.view, port, fate, burst, scratch, &mut outlets);
        // The originals go first: no frame of the wire waits for a copy.
        match role {
            Role::Wire(peer) => self.forward(port, peer, received, bytes, arrived),
            Role::Tap => self.end_frames(port, Ended::Tap, received),
            Role::Idle => self.give_to_kernel(port),
        }
        self.send_copies(arrived.unwrap_or_else(|| self.busy.since()));
        bytes
    }

    /// Sends a burst on. `arrived`: when it had been received, where that is measured.
    fn forward(
        &mut self,
        port: PortIndex,
        peer: PortIndex,
        received: usize,
        bytes: usize,
        arrived: Option<u64>,
    ) {
        let Some(tx) = &mut self.wires[peer.at()] else {
            return self.end_frames(port, Ended::WireCongested, received);
        };
        let (received, bytes) = if tx.takes_chains() {
            (received, bytes)
        } else {
            end_chains(&mut self.burst, &mut self.stats.ports[port.at()])
        };
        let accepted = tx.send(&mut self.burst);
        if let (Some(arrived), Some(latency), 1..) =
            (arrived, &mut self.end.current_mut().latency, accepted)
        {
            let ticks = D::Clock::now().saturating_sub(arrived);
            record(&mut latency.wire, self.scale.ns(ticks), accepted as u64);
        }
        // Usually nothing is left: the bytes sent are counted without touching the frames again.
        let left: usize = self.burst.frames().iter().map(Mbuf::len).sum();
        let rx_stats = &mut self.stats.ports[port.at()];
        rx_stats.forwarded += accepted as u64;
        rx_stats.ended[Ended::WireCongested as usize] += (received - accepted) as u64;
        let tx_stats = &mut self.stats.ports[peer.at()];
        tx_stats.tx_packets += accepted as u64;
        tx_stats.tx_bytes += (bytes - left) as u64;
        tx_stats.tx_refused += self.burst.len() as u64;
        D::Mbuf::free_bulk(&mut self.burst);
    }

    fn end_frames(&mut self, port: PortIndex, reason: Ended, received: usize) {
        self.stats.ports[port.at()].ended[reason as usize] += received as u64;
        D::Mbuf::free_bulk(&mut self.burst);
    }

    /// What the time since the beginning went into.
    fn time(&self) -> TimeStats {
        let total = D::Clock::now().saturating_sub(self.began);
        TimeStats {
            total_ns: self.scale.ns(total),
            busy_ns: self.scale.ns(self.busy.ticks()),
            asleep_ns: self.scale.ns(self.idling.asleep_ticks()),
            sleeps: self.idling.sleeps(),
        }
    }

    fn fill(&mut self, report: &mut ReportBuffer) {
        let lanes = self.stats.lanes.iter().zip(&self.lanes);
        report.worker.ports.copy_from_slice(&self.stats.ports);
        report.worker.unmirrored = self.stats.unmirrored;
        report.worker.never_mirrored = self.stats.never_mirrored;
        report.worker.polls = self.stats.polls;
        report.worker.empty_polls = self.stats.empty_polls;
        for (to, (from, lane)) in report.worker.lanes.iter_mut().zip(lanes) {
            *to = LaneStats { waiting: lane.rx.waiting(), ..*from };
        }
        report.worker.time = self.time();
        let current = self.end.current_mut();
        report.is_complete =
            report.generation == current.generation && report.view.copy_from(&current.stats);
        if report.is_complete && report.latency.is_some() && current.latency.is_some() {
            // No copy: the histograms are large, and the wire waits.
            core::mem::swap(&mut report.latency, &mut current.latency);
        }
    }
}

/// True when less would be lost of what comes in if no copies were made of it.
#[inline]
fn relief_can_help<T>(role: Role, view: &View<T>) -> bool {
    matches!(role, Role::Wire(_)) && !view.sessions.is_empty()
}

/// True when tool ports are to be looked at: in every round while nothing comes, else seldom, so that a
/// flood there does not keep the worker from its wires.
#[inline]
fn is_idle_ports_turn(round: u64, is_busy: bool) -> bool {
    !is_busy || round.is_multiple_of(ROUNDS_PER_IDLE_PORTS)
}

/// The queues that a worker has.
fn queues<D: Devices>(
    lanes: &[Lane<D>],
    wires: &[Option<D::Tx>],
    tools: &[Option<ToolPort<D>>],
) -> Queues {
    let rx = lanes.iter().map(|lane| (lane.port, lane.rx.number())).collect();
    let ports = (0..).map(PortIndex);
    let wires =
        ports.clone().zip(wires).filter_map(|(port, tx)| Some((port, tx.as_ref()?.number())));
    let tools = ports.zip(tools).filter_map(|(port, tool)| Some((port, tool.as_ref()?.queue())));
    let mut tx: Vec<_> = wires.chain(tools).collect();
    tx.sort_unstable();
    Queues { rx, tx }
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
