//! When copies leave: a burst of them, or those that have waited as long as they may.

use super::Worker;
use crate::latency::record;
use crate::port::{Clock, Devices};
use crate::rule_table::RuleTable;

impl<D: Devices, T: RuleTable> Worker<D, T> {
    /// Sends the copies of tool ports that have a burst of them; others wait. `arrived`: when their
    /// frames had been received.
    pub(super) fn send_copies(&mut self, arrived: u64) {
        for at in 0..self.tools.len() {
            let Some(tool) = &self.tools[at] else { continue };
            let (waiting, is_full) = (tool.waiting(), tool.has_enough() || self.drain_ticks == 0);
            if waiting > 0 {
                self.drains[at].note(arrived, waiting);
                self.holds_copies = true;
            }
            // Also where none could be made: a queue that refused is given some again.
            if is_full {
                self.flush(at);
            }
        }
    }

    /// Sends the copies that have waited as long as they may.
    #[inline]
    pub(super) fn flush_due(&mut self, now: u64) {
        if !self.holds_copies {
            return;
        }
        self.holds_copies = false;
        for at in 0..self.drains.len() {
            if self.drains[at].is_due(now, self.drain_ticks) {
                self.flush(at);
            }
            self.holds_copies |= !self.drains[at].is_empty();
        }
    }

    /// Sends all copies.
    #[inline]
    pub(super) fn flush_all(&mut self) {
        if self.holds_copies {
            (0..self.tools.len()).for_each(|at| self.flush(at));
            self.holds_copies = false;
        }
    }

    /// Sends the copies that wait in a tool port.
    pub(super) fn flush(&mut self, at: usize) {
        let (Some(tool), stats) = (&mut self.tools[at], &mut self.stats.ports[at]) else { return };
        let current = self.end.current_mut();
        let sent_before = stats.tx_packets;
        tool.flush(stats, &mut current.stats.sessions);
        let sent = (stats.tx_packets - sent_before) as usize;
        if let Some(latency) = &mut current.latency {
            let now = D::Clock::now();
            self.drains[at].leave(sent, |arrived, copies| {
                let ns = self.scale.ns(now.saturating_sub(arrived));
                record(&mut latency.copy, ns, copies as u64);
            });
        } else {
            self.drains[at].leave(0, |_, _| ());
        }
    }
}
