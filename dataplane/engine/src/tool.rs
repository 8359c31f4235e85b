//! A tool port as one worker uses it: empty buffers at hand, credits for copies by reference, and
//! the queues to which the copies go.

use crate::burst::Burst;
use crate::credits::Credits;
use crate::outbox::Outbox;
use crate::port::{Devices, Mbuf, Mempool};
use crate::stats::{PortStats, SessionStats};
use crate::units::SessionIndex;

/// What copies by reference need.
#[derive(Debug)]
pub struct Sharing<P> {
    /// Buffers for the outer headers, of this worker alone: how many there are bounds how many of
    /// the wire's buffers the tool can hold.
    pub leads: P,
    /// How many there are.
    pub count: usize,
    /// Copies from so many bytes on are made by reference.
    pub len_min: usize,
}

/// The transmit queues and pools of one tool port, owned by one worker.
pub struct ToolPort<D: Devices> {
    /// For copies of any kind; or the only one.
    mixed: Outbox<D>,
    /// For sessions whose copies all come from the pool of copies: a device frees those faster when
    /// it sees no others. Every session has one queue, which keeps the order of its copies.
    pooled: Option<Outbox<D>>,
    pool: Stock<D::Pool>,
    sharing: Option<Shares<D::Pool>>,
}

/// A pool with some of its buffers at hand.
struct Stock<P: Mempool> {
    pool: P,
    empties: Burst<P::Mbuf>,
    /// It had none at the last try: it is not tried again before the next flush.
    is_dry: bool,
}

struct Shares<P: Mempool> {
    leads: Stock<P>,
    credits: Credits,
    count: usize,
    len_min: usize,
}

impl<D: Devices> core::fmt::Debug for ToolPort<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToolPort")
            .field("mixed", &self.mixed)
            .field("pooled", &self.pooled)
            .finish_non_exhaustive()
    }
}

impl<P: Mempool> Stock<P> {
    fn new(pool: P) -> Self {
        Self { pool, empties: Burst::new(), is_dry: false }
    }

    #[inline]
    fn take(&mut self) -> Option<P::Mbuf> {
        if self.empties.is_empty() && !self.is_dry {
            self.is_dry = self.pool.alloc_bulk(&mut self.empties) == 0;
        }
        self.empties.pop()
    }
}

impl<D: Devices> ToolPort<D> {
    /// A tool port that sends by `tx` and takes buffers for copies from `pool`.
    pub fn new(tx: D::Tx, pool: D::Pool) -> Self {
        Self { mixed: Outbox::new(tx), pooled: None, pool: Stock::new(pool), sharing: None }
    }

    /// Makes copies by reference too, where the port can send them.
    #[must_use]
    pub fn with_sharing(mut self, sharing: Sharing<D::Pool>) -> Self {
        let Sharing { leads, count, len_min } = sharing;
        self.sharing = self.mixed.takes_chains().then(|| Shares {
            leads: Stock::new(leads),
            credits: Credits::new(count),
            count,
            len_min,
        });
        self
    }

    /// Sends copies of sessions that never need another way by a queue of their own.
    #[must_use]
    pub fn with_pooled(mut self, tx: D::Tx) -> Self {
        self.pooled = Some(Outbox::new(tx));
        self
    }

    /// Copies from so many bytes on are made by reference, where that is allowed; `usize::MAX`
    /// when none are.
    #[inline]
    pub fn share_len_min(&self) -> usize {
        self.sharing.as_ref().map_or(usize::MAX, |sharing| sharing.len_min)
    }

    /// The queue for a session's copies. `is_pooled`: all of them come from the pool of copies.
    #[inline]
    pub fn outbox_mut(&mut self, is_pooled: bool) -> &mut Outbox<D> {
        match &mut self.pooled {
            Some(pooled) if is_pooled => pooled,
            _ => &mut self.mixed,
        }
    }

    /// The number of its transmit queue.
    pub fn queue(&self) -> u16 {
        self.mixed.number()
    }

    /// An empty buffer, or `None` when the pool has none left. Cost: one bulk allocation in
    /// [`crate::burst::BURST_MAX`] calls.
    #[inline]
    pub fn empty(&mut self) -> Option<D::Mbuf> {
        self.pool.take()
    }

    /// How many copies of a burst the session may make by reference.
    #[inline]
    pub fn credit(&mut self, session: SessionIndex) -> usize {
        let Some(Shares { leads, credits, count, .. }) = &mut self.sharing else { return 0 };
        let is_out = || *count - leads.pool.available() - leads.empties.len();
        credits.grant(session, is_out)
    }

    /// An empty buffer for the header of a copy by reference, within the session's credit; `None` when
    /// there is none.
    #[inline]
    pub fn lead(&mut self, session: SessionIndex) -> Option<D::Mbuf> {
        let Shares { leads, credits, .. } = self.sharing.as_mut()?;
        let lead = leads.take()?;
        credits.spend(session);
        Some(lead)
    }

    /// Gives back the last lead: the copy was not made.
    #[cold]
    pub fn return_lead(&mut self, lead: D::Mbuf) {
        drop(lead);
        if let Some(sharing) = &mut self.sharing {
            sharing.credits.take_back(1);
        }
    }

    /// Sends what waits in each queue.
    pub fn flush(&mut self, port: &mut PortStats, sessions: &mut [SessionStats]) {
        let unshared = self.mixed.flush(port, sessions);
        if let Some(pooled) = &mut self.pooled {
            pooled.flush(port, sessions);
        }
        self.pool.is_dry = false;
        if let Some(sharing) = &mut self.sharing {
            sharing.leads.is_dry = false;
            sharing.credits.take_back(unshared);
        }
    }

    /// Sends frames that are no copies, at once. What the queue does not take is freed and counted.
    pub fn send(&mut self, burst: &mut Burst<D::Mbuf>, port: &mut PortStats) {
        self.mixed.send(burst, port);
        // It may have been asked for buffers in vain, and is asked again.
        self.pool.is_dry = false;
    }

    /// True when a queue refused copies not long ago.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.mixed.is_congested() || self.pooled.as_ref().is_some_and(Outbox::is_congested)
    }

    /// True when a queue has a burst to send.
    #[inline]
    pub fn has_enough(&self) -> bool {
        self.mixed.has_enough() || self.pooled.as_ref().is_some_and(Outbox::has_enough)
    }

    /// How many copies wait.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.mixed.waiting() + self.pooled.as_ref().map_or(0, Outbox::waiting)
    }

    /// Sessions have other indices from now on. Nothing may wait.
    pub fn forget_sessions(&mut self) {
        if let Some(sharing) = &mut self.sharing {
            sharing.credits.forget_sessions();
        }
    }

    /// Gives the empty buffers back to the pools, for a clean end.
    pub fn release(&mut self) {
        D::Mbuf::free_bulk(&mut self.pool.empties);
        if let Some(sharing) = &mut self.sharing {
            D::Mbuf::free_bulk(&mut sharing.leads.empties);
        }
    }
}
