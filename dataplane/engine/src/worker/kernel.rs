//! What comes in on a tool port is the kernel's, and what the kernel says leaves there.

use super::{Worker, is_idle_ports_turn};
use crate::drop_reason::Ended;
use crate::exception::{FROM_KERNEL_MAX, HandedOver, WorkerSide};
use crate::port::{Devices, Mbuf};
use crate::rule_table::RuleTable;
use crate::units::PortIndex;

impl<D: Devices, T: RuleTable> Worker<D, T> {
    /// Ends a burst that a tool port has received: it is handed to the kernel, where that has a part in
    /// the port.
    pub(super) fn give_to_kernel(&mut self, port: PortIndex) {
        let Some(kernel) = &mut self.kernels[port.at()] else {
            return self.end_frames(port, Ended::NotTapped, self.burst.len());
        };
        let HandedOver { to_kernel, congested, too_long } = kernel.hand_over(self.burst.frames());
        let ended = &mut self.stats.ports[port.at()].ended;
        ended[Ended::ToKernel as usize] += to_kernel as u64;
        ended[Ended::KernelCongested as usize] += congested as u64;
        ended[Ended::NotTapped as usize] += too_long as u64;
        D::Mbuf::free_bulk(&mut self.burst);
    }

    /// Sends some of what the kernel has said, when it is its turn. Cost while it is silent: two loads
    /// for each exception path, and without one a comparison.
    #[inline]
    pub(super) fn send_for_kernels(&mut self) {
        if !is_idle_ports_turn(self.stats.polls, self.is_busy) {
            return;
        }
        for at in 0..self.kernels.len() {
            if self.kernels[at].as_ref().is_some_and(|kernel| !kernel.is_silent()) {
                self.send_for_kernel(at);
            }
        }
    }

    /// Sends what the kernel has said last.
    pub(super) fn finish_kernels(&mut self) {
        for at in 0..self.kernels.len() {
            // Whoever goes on speaking is not waited for.
            for _ in 0..FROM_KERNEL_MAX {
                if self.kernels[at].as_ref().is_none_or(WorkerSide::is_silent) {
                    break;
                }
                self.send_for_kernel(at);
            }
        }
    }

    fn send_for_kernel(&mut self, at: usize) {
        let (Some(kernel), Some(tool)) = (&mut self.kernels[at], &mut self.tools[at]) else {
            return;
        };
        debug_assert!(self.burst.is_empty(), "between bursts");
        let refused = kernel.collect(&mut self.burst, || tool.empty());
        let stats = &mut self.stats.ports[at];
        stats.tx_refused += refused as u64;
        tool.send(&mut self.burst, stats);
    }
}
