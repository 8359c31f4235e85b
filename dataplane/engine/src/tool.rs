//! A tool port as one worker uses it: empty buffers at hand, copies that wait for the end of the
//! burst, one place where sent and refused copies are counted.

use arrayvec::ArrayVec;

use crate::burst::{BURST_MAX, Burst};
use crate::drop_reason::Skipped;
use crate::port::{Devices, Mbuf, Mempool, TxQueue};
use crate::stats::{PortStats, SessionStats};
use crate::units::SessionIndex;

/// Copies that one burst can cause: each frame has at most two sources.
pub const COPIES_MAX: usize = 2 * BURST_MAX;

/// Copies that wait one behind the other, of one session and with outer headers of one length: what
/// is counted of them is counted at once.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The session.
    pub session: SessionIndex,
    /// Bytes of each outer header.
    pub header_len: usize,
    /// How many copies.
    pub packets: usize,
    /// Their inner bytes.
    pub inner_bytes: usize,
}

/// The transmit queue and pool of one tool port, owned by one worker.
pub struct ToolPort<D: Devices> {
    tx: D::Tx,
    pool: D::Pool,
    empties: Burst<D::Mbuf>,
    waiting: Burst<D::Mbuf, COPIES_MAX>,
    runs: ArrayVec<Run, COPIES_MAX>,
    /// A bit for each waiting copy that is shorter than its frame, by place.
    truncated: u128,
}

impl<D: Devices> core::fmt::Debug for ToolPort<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToolPort").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<D: Devices> ToolPort<D> {
    /// A tool port that sends by `tx` and takes buffers for copies from `pool`.
    pub fn new(tx: D::Tx, pool: D::Pool) -> Self {
        Self {
            tx,
            pool,
            empties: Burst::new(),
            waiting: Burst::default(),
            runs: ArrayVec::new(),
            truncated: 0,
        }
    }

    /// True when frames of several segments may be sent.
    #[inline]
    pub fn takes_chains(&self) -> bool {
        self.tx.takes_chains()
    }

    /// An empty buffer, or `None` when the pool has none left. Cost: one bulk allocation in
    /// [`BURST_MAX`] calls.
    #[inline]
    pub fn empty(&mut self) -> Option<D::Mbuf> {
        if self.empties.is_empty() {
            self.pool.alloc_bulk(&mut self.empties);
        }
        self.empties.pop()
    }

    /// Keeps a copy until [`ToolPort::flush`]; it is to be in the next run that ends. At most
    /// [`COPIES_MAX`] fit: what one burst can cause.
    #[inline]
    pub fn push(&mut self, copy: D::Mbuf) {
        let fits = self.waiting.push(copy).is_ok();
        debug_assert!(fits, "more copies than one burst can cause");
    }

    /// Says of the next copy to be pushed that it is shorter than its frame.
    #[inline]
    pub fn mark_truncated(&mut self) {
        self.truncated |= 1 << self.waiting.len();
    }

    /// How many copies wait.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Says whose the copies are that were pushed since the last run ended.
    #[inline]
    pub fn end_run(&mut self, run: Run) {
        if run.packets > 0 {
            self.runs.push(run);
        }
    }

    /// Sends what waits, in order. What the queue does not take is freed and counted: a copy is
    /// never kept for later.
    pub fn flush(&mut self, port: &mut PortStats, sessions: &mut [SessionStats]) {
        if self.waiting.is_empty() {
            return;
        }
        let mut accepted = self.tx.send(&mut self.waiting);
        let mut refused = self.waiting.frames().iter();
        for mut run in self.runs.drain(..) {
            let sent = run.packets.min(accepted);
            let unsent = refused.by_ref().take(run.packets - sent);
            run.inner_bytes -= unsent.map(|copy| copy.len() - run.header_len).sum::<usize>();
            let session = &mut sessions[run.session.at()];
            session.skipped[Skipped::ToolCongested as usize] += (run.packets - sent) as u64;
            run.packets = sent;
            let (of_run, of_rest) = split_bits(self.truncated, sent);
            session.truncated_packets += u64::from(of_run.count_ones());
            run.count(port, session);
            (self.truncated, accepted) = (of_rest, accepted - sent);
        }
        self.truncated = 0;
        D::Mbuf::free_bulk(&mut self.waiting);
    }

    /// Gives the empty buffers back to the pool, for a clean end.
    pub fn release(&mut self) {
        D::Mbuf::free_bulk(&mut self.empties);
    }
}

impl Run {
    /// Counts it as sent.
    fn count(&self, port: &mut PortStats, session: &mut SessionStats) {
        port.tx_packets += self.packets as u64;
        port.tx_bytes += (self.inner_bytes + self.packets * self.header_len) as u64;
        session.mirrored_packets += self.packets as u64;
        session.mirrored_bytes += self.inner_bytes as u64;
    }
}

/// The lowest `count` bits, and the others moved down.
fn split_bits(bits: u128, count: usize) -> (u128, u128) {
    let rest = bits.checked_shr(count as u32).unwrap_or(0);
    (bits ^ rest.checked_shl(count as u32).unwrap_or(0), rest)
}
