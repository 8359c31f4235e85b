//! Frames that one worker receives and others handle.

use super::{Lane, Worker, relief_can_help};
use crate::drop_reason::Ended;
use crate::mirror::keys_of_burst;
use crate::port::{Clock, Devices};
use crate::rule_table::RuleTable;
use crate::spreader::{Share, Spreader};

impl<D: Devices, T: RuleTable> Worker<D, T> {
    /// Gives other workers their part of what a lane has received, and handles the rest.
    pub(super) fn spread(&mut self, at: usize, received: usize) -> usize {
        let Lane { port, role, spreader, .. } = &mut self.lanes[at];
        let Some(spreader) = spreader else { return 0 };
        if received == 0 {
            spreader.give_due();
            return 0;
        }
        let begun = self.busy.begin::<D::Clock>();
        let is_timed = self.end.current().latency.is_some();
        let arrived = is_timed.then(|| begun.unwrap_or_else(D::Clock::now));
        let (keys, bytes) = keys_of_burst(self.burst.frames(), &mut self.scratch);
        let refused = spreader.spread(&mut self.burst, keys, arrived);
        spreader.give_due();
        let (port, role) = (*port, *role);
        self.stats.lanes[at].add_burst(received, bytes);
        let stats = &mut self.stats.ports[port.at()];
        stats.given += (received - refused - self.burst.len()) as u64;
        stats.ended[Ended::WorkerCongested as usize] += refused as u64;
        if !self.burst.is_empty() {
            // What is too much for this worker waits in the queue, as in a lane that is not spread.
            let can_help = relief_can_help(role, &self.end.current().view);
            let hurries = self.reliefs[at].is_needed(can_help, received, &self.lanes[at].rx);
            self.handle(port, role, arrived, hurries);
        }
        received
    }

    /// Handles a burst that another worker has received.
    pub(super) fn poll_share(&mut self, at: usize) -> usize {
        let Share { port, role, taker } = &mut self.shares[at];
        let Some(taken) = taker.take(&mut self.burst) else { return 0 };
        let (port, role, received) = (*port, *role, self.burst.len());
        self.stats.ports[port.at()].taken += received as u64;
        let begun = self.busy.begin::<D::Clock>();
        let can_help = relief_can_help(role, &self.end.current().view);
        let relief = &mut self.reliefs[self.lanes.len() + at];
        let hurries = relief.is_needed(can_help, received, taker);
        self.handle(port, role, taken.arrived.or(begun), hurries);
        received
    }

    /// Gives what this worker still holds for others, and handles what others have given.
    pub(super) fn finish_shares(&mut self) {
        for Lane { port, spreader, .. } in &mut self.lanes {
            let refused = spreader.as_mut().map_or(0, Spreader::close);
            let stats = &mut self.stats.ports[port.at()];
            stats.given -= refused as u64;
            stats.ended[Ended::WorkerCongested as usize] += refused as u64;
        }
        while (0..self.shares.len()).map(|share| self.poll_share(share)).sum::<usize>() > 0 {}
    }
}
