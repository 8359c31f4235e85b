//! What a worker needs of the publisher: the view in force, and questions for its counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;

use super::{Links, WorkerView};
use crate::latency::Latency;
use crate::publish::Subscriber;
use crate::rule_table::CompiledTable;
use crate::stats::{ViewStats, WorkerStats};
use crate::units::PortIndex;

/// An answer to a request for counters. Made by the publisher with the right sizes, so that the
/// worker allocates nothing.
#[derive(Debug, Default)]
pub struct ReportBuffer {
    /// Counters that outlive the view.
    pub worker: WorkerStats,
    /// Counters of the view.
    pub view: ViewStats,
    /// The publication whose counters `view` is for.
    pub generation: u64,
    /// False when the worker polls with another publication, and `view` was left alone: that one's
    /// counters come with its view.
    pub is_complete: bool,
    /// Empty histograms for the worker, in exchange for those that it has filled; where times are
    /// measured.
    pub latency: Option<Box<Latency>>,
}

/// The queues of one worker, each with its number among those of its port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// In the order in which they are polled.
    pub rx: Vec<(PortIndex, u16)>,
    /// In the order of the ports.
    pub tx: Vec<(PortIndex, u16)>,
}

/// What a worker needs of the publisher.
#[derive(Debug)]
pub struct WorkerEnd<T = CompiledTable> {
    pub(super) views: Subscriber<WorkerView<T>>,
    pub(super) reports: Arc<Reports>,
    pub(super) taken_up: Arc<AtomicU64>,
    /// By port: it has a link.
    pub links: Links,
}

/// Report buffers on their way to and from one worker.
#[derive(Debug)]
pub(super) struct Reports {
    pub(super) requests: ArrayQueue<Box<ReportBuffer>>,
    pub(super) answers: ArrayQueue<Box<ReportBuffer>>,
    /// What the answers are about; empty until the worker has come.
    pub(super) queues: OnceLock<Queues>,
}

impl Reports {
    pub(super) fn new() -> Self {
        // One buffer at a time.
        let (requests, answers) = (ArrayQueue::new(1), ArrayQueue::new(1));
        Self { requests, answers, queues: OnceLock::new() }
    }
}

impl<T> WorkerEnd<T> {
    /// Says which queues the worker has: before it polls, once.
    pub fn introduce(&self, queues: Queues) {
        let is_first = self.reports.queues.set(queues).is_ok();
        debug_assert!(is_first, "a worker has one set of queues");
    }

    /// True when there may be a new view or a question. Cost: some loads.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.views.has_news() || !self.reports.requests.is_empty()
    }

    /// Takes up a new view; false when there is none.
    pub fn refresh(&mut self) -> bool {
        let is_new = self.views.refresh_with(|before, new| new.inherit(before));
        if is_new {
            self.taken_up.store(self.views.current().generation, Ordering::Release);
        }
        is_new
    }

    /// The view in force.
    pub fn current(&self) -> &WorkerView<T> {
        self.views.current()
    }

    /// The view in force, for its counters.
    pub fn current_mut(&mut self) -> &mut WorkerView<T> {
        self.views.current_mut()
    }

    /// A buffer to be filled, if the publisher asked.
    pub fn requested(&self) -> Option<Box<ReportBuffer>> {
        self.reports.requests.pop()
    }

    /// Gives the filled buffer back.
    pub fn answer(&self, report: Box<ReportBuffer>) {
        // There is one buffer at a time, so there is room for it.
        let answered = self.reports.answers.push(report);
        debug_assert!(answered.is_ok(), "one report at a time");
    }
}
