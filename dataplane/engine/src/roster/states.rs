//! What each worker does, and each of its queues, as last answered.

use std::sync::atomic::Ordering;

use super::{Member, Roster, add_tools};
use crate::latency::Latency;
use crate::report::{RxQueueReport, TxQueueReport, WorkerState};
use crate::stats::ToolStats;
use crate::units::PortIndex;

impl<T> Roster<T> {
    /// The state of every worker as last answered.
    pub fn workers(&self) -> Vec<WorkerState> {
        self.members.iter().map(|member| self.state(member)).collect()
    }

    /// Counters of every member of every target, in the order of the snapshot, as last answered.
    pub fn tools(&self) -> Vec<ToolStats> {
        let mut tools = self.tools.clone();
        for last in self.members.iter().map(|member| &member.last) {
            if last.is_complete && last.generation == self.generation {
                add_tools(&mut tools, &self.names, &last.view);
            }
        }
        let names = self.names.tools.iter();
        names.map(|name| tools.get(name).copied().unwrap_or_default()).collect()
    }

    /// The times of all workers as last answered, where they are measured.
    pub fn latency(&self) -> Option<&Latency> {
        self.snapshot.dataplane.latency.then_some(&self.latency)
    }

    fn state(&self, member: &Member<T>) -> WorkerState {
        let (worker, time) = (&member.last.worker, member.last.worker.time);
        let is_current = member.taken_up.load(Ordering::Acquire) == self.generation;
        let queues = member.queues();
        let lanes = queues.iter().flat_map(|queues| &queues.rx).zip(&worker.lanes);
        let rx = lanes.map(|(&(port, queue), lane)| RxQueueReport {
            port: self.port_name(port),
            queue,
            packets: lane.packets,
            bytes: lane.bytes,
            polls: worker.polls,
            empty_polls: worker.polls.saturating_sub(lane.bursts),
            full_bursts: lane.full_bursts,
            waiting: lane.waiting,
        });
        let tx = queues.iter().flat_map(|queues| &queues.tx).filter_map(|&(port, queue)| {
            let stats = worker.ports.get(port.at())?;
            Some(TxQueueReport {
                port: self.port_name(port),
                queue,
                packets: stats.tx_packets,
                bytes: stats.tx_bytes,
                refused: stats.tx_refused,
            })
        });
        WorkerState {
            core: member.core,
            epoch: if is_current { self.snapshot.epoch } else { 0 },
            polls: worker.polls,
            empty_polls: worker.empty_polls,
            total_ns: time.total_ns,
            busy_ns: time.busy_ns,
            asleep_ns: time.asleep_ns,
            sleeps: time.sleeps,
            rx: rx.collect(),
            tx: tx.collect(),
        }
    }

    fn port_name(&self, port: PortIndex) -> String {
        self.snapshot.ports.get(port.at()).map_or_else(String::new, |spec| spec.name.clone())
    }
}
