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

/// Who wanted a copy, and what of the frame is in it.
#[derive(Debug, Clone, Copy)]
pub struct CopyMeta {
    /// The session.
    pub session: SessionIndex,
    /// Bytes of the outer header.
    pub header_len: u32,
    /// Inner bytes.
    pub inner_len: u32,
    /// 1 when shorter than the frame, else 0.
    pub is_truncated: u32,
}

/// The transmit queue and pool of one tool port, owned by one worker.
pub struct ToolPort<D: Devices> {
    tx: D::Tx,
    pool: D::Pool,
    empties: Burst<D::Mbuf>,
    waiting: [Burst<D::Mbuf>; COPIES_MAX / BURST_MAX],
    meta: ArrayVec<CopyMeta, COPIES_MAX>,
}

impl<D: Devices> core::fmt::Debug for ToolPort<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToolPort").field("waiting", &self.meta.len()).finish_non_exhaustive()
    }
}

impl<D: Devices> ToolPort<D> {
    /// A tool port that sends by `tx` and takes buffers for copies from `pool`.
    pub fn new(tx: D::Tx, pool: D::Pool) -> Self {
        Self {
            tx,
            pool,
            empties: Burst::new(),
            waiting: core::array::from_fn(|_| Burst::new()),
            meta: ArrayVec::new(),
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

    /// Keeps a copy until [`ToolPort::flush`]. At most [`COPIES_MAX`] fit: what one burst can cause.
    #[inline]
    pub fn push(&mut self, copy: D::Mbuf, meta: CopyMeta) {
        let [first, second] = &mut self.waiting;
        let fits = first.push(copy).or_else(|copy| second.push(copy)).is_ok();
        debug_assert!(fits, "more copies than one burst can cause");
        if fits {
            self.meta.push(meta);
        }
    }

    /// Sends what waits, in order. What the queue does not take is freed and counted: a copy is
    /// never kept for later.
    pub fn flush(&mut self, port: &mut PortStats, sessions: &mut [SessionStats]) {
        if self.meta.is_empty() {
            return;
        }
        let mut meta = self.meta.as_slice();
        for burst in &mut self.waiting {
            let (of_burst, of_next) = meta.split_at(burst.len().min(meta.len()));
            let accepted = if of_burst.is_empty() { 0 } else { self.tx.send(burst) };
            let (sent, refused) = of_burst.split_at(accepted.min(of_burst.len()));
            count_sent(sent, port, sessions);
            for copy in refused {
                sessions[copy.session.at()].skipped[Skipped::ToolCongested as usize] += 1;
            }
            D::Mbuf::free_bulk(burst);
            meta = of_next;
        }
        self.meta.clear();
    }

    /// Gives the empty buffers back to the pool, for a clean end.
    pub fn release(&mut self) {
        D::Mbuf::free_bulk(&mut self.empties);
    }
}

/// Counts copies that were sent. Runs of one session are summed in registers first.
fn count_sent(sent: &[CopyMeta], port: &mut PortStats, sessions: &mut [SessionStats]) {
    for run in sent.chunk_by(|a, b| a.session == b.session) {
        let [first, ..] = run else { continue };
        let (mut header_bytes, mut inner_bytes, mut truncated) = (0, 0, 0);
        for copy in run {
            header_bytes += copy.header_len;
            inner_bytes += copy.inner_len; // 128 copies of 64 KiB fit
            truncated += copy.is_truncated;
        }
        let packets = run.len() as u64;
        port.tx_packets += packets;
        port.tx_bytes += u64::from(header_bytes + inner_bytes);
        let session = &mut sessions[first.session.at()];
        session.mirrored_packets += packets;
        session.mirrored_bytes += u64::from(inner_bytes);
        session.truncated_packets += u64::from(truncated);
    }
}
