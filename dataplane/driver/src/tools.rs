//! The pools of a tool port, and its queues as the workers get them.

use engine::snapshot::{CopySpec, PortSpec, Snapshot};
use engine::tool::{Sharing, ToolPort};

use crate::break_even;
use crate::eal::Eal;
use crate::error::DriverError;
use crate::hardware::WorkerParts;
use crate::mempool::Mempool;
use crate::plan::{LEADS, PortPlan, copy_pool, lead_pool};
use crate::queue::TxQueue;

/// The pools of one tool port.
#[derive(Debug)]
pub(crate) struct ToolPools {
    copies: Mempool,
    /// By worker; empty where no copy is made by reference.
    leads: Vec<Mempool>,
    share_len_min: usize,
}

impl ToolPools {
    /// Makes them, adding a handle of each to `pools`, and measures from which length on a
    /// reference is cheaper than a copy of a frame out of `frames`. Errors: no memory.
    pub(crate) fn make(
        eal: &Eal,
        plan: &PortPlan,
        spec: &PortSpec,
        snapshot: &Snapshot,
        frames: &Mempool,
        pools: &mut Vec<Mempool>,
    ) -> Result<Self, DriverError> {
        let workers = &snapshot.dataplane.workers;
        let mut make = |plan| -> Result<Mempool, DriverError> {
            let pool = Mempool::create(eal, plan)?;
            pools.push(pool.handle());
            Ok(pool)
        };
        let copies = make(copy_pool(plan, &spec.name, workers.len()))?;
        let with_leads = workers.iter().filter(|_| plan.shares);
        let leads = with_leads.map(|&core| make(lead_pool(plan, &spec.name, core)));
        let leads = leads.collect::<Result<Vec<_>, _>>()?;
        let share_len_min = match (leads.first(), snapshot.dataplane.copies) {
            (None, _) | (_, CopySpec::Copy) => usize::MAX,
            (Some(_), CopySpec::Share) => 0,
            (Some(leads), CopySpec::Auto) => {
                break_even::measure(&mut copies.handle(), &mut leads.handle(), &mut frames.handle())
            }
        };
        if share_len_min != usize::MAX {
            log::info!(
                "port {}: copies of frames from {share_len_min} bytes on are made by reference",
                spec.name
            );
        }
        Ok(Self { copies, leads, share_len_min })
    }

    /// Copies from so many bytes on are made by reference; `None` when none are.
    pub(crate) fn share_len_min(&self) -> Option<u32> {
        u32::try_from(self.share_len_min).ok()
    }

    /// Gives each worker its queues, those for any frames first, and its pools.
    pub(crate) fn give(self, parts: &mut [WorkerParts], plan: &PortPlan, queues: Vec<TxQueue>) {
        let mut queues = queues.into_iter();
        let first: Vec<_> = queues.by_ref().take(parts.len()).collect();
        let mut leads = self.leads.into_iter();
        for (worker, tx) in parts.iter_mut().zip(first) {
            let mut tool = ToolPort::new(tx, self.copies.handle());
            if let Some(leads) = leads.next() {
                let (count, len_min) = (LEADS as usize, self.share_len_min);
                tool = tool.with_sharing(Sharing { leads, count, len_min });
            }
            if let Some(pooled) = queues.next() {
                tool = tool.with_pooled(pooled);
            }
            if let Some(place) = worker.tools.get_mut(plan.index.at()) {
                *place = Some(tool);
            }
        }
    }
}
