//! Copies on their way to one transmit queue of a tool port, and the one place where sent and
//! refused copies are counted.

use arrayvec::ArrayVec;

use crate::burst::{BURST_MAX, Burst};
use crate::drop_reason::Skipped;
use crate::pace::Pace;
use crate::port::{Devices, Mbuf, TxQueue};
use crate::stats::{PortStats, SessionStats};
use crate::units::SessionIndex;

/// Copies that one burst can cause: each frame has at most two sources.
pub const COPIES_MAX: usize = 2 * BURST_MAX;
/// So many waiting copies are worth a call of the driver.
const ENOUGH: usize = BURST_MAX;
/// Copies that can wait: fewer than enough, and what one burst adds.
const WAITING_MAX: usize = ENOUGH - 1 + COPIES_MAX;

/// What is to be known of a single copy when it is counted.
pub mod mark {
    /// It is shorter than its frame.
    pub const TRUNCATED: u8 = 1;
    /// It holds its frame's buffers.
    pub const SHARED: u8 = 2;
}

/// What belongs to a copy that waits.
#[derive(Debug, Clone, Copy, Default)]
struct Tag {
    tally: u16,
    marks: u8,
}

/// Copies of one session that wait, with outer headers of one length.
#[derive(Debug, Clone, Copy)]
struct Tally {
    session: SessionIndex,
    /// Bytes of each outer header.
    header_len: usize,
    packets: usize,
    inner_bytes: usize,
}

/// A place to count copies at, given by [`Outbox::tally`] until the next flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TallyIndex(u16);

/// A transmit queue with the copies that wait for it, owned by one worker.
pub struct Outbox<D: Devices> {
    tx: D::Tx,
    waiting: Burst<D::Mbuf, WAITING_MAX>,
    /// By place among the waiting.
    tags: [Tag; WAITING_MAX],
    /// Each is of one waiting copy at least.
    tallies: ArrayVec<Tally, WAITING_MAX>,
    /// All marks since the last flush.
    any: u8,
    /// Copies that may be made until the next flush.
    budget: usize,
    pace: Pace,
}

impl<D: Devices> core::fmt::Debug for Outbox<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbox").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<D: Devices> Outbox<D> {
    /// Nothing waits for `tx`.
    pub fn new(tx: D::Tx) -> Self {
        Self {
            tx,
            waiting: Burst::default(),
            tags: [Tag::default(); WAITING_MAX],
            tallies: ArrayVec::new(),
            any: 0,
            budget: usize::MAX,
            pace: Pace::default(),
        }
    }

    /// True when frames of several segments may be sent.
    #[inline]
    pub fn takes_chains(&self) -> bool {
        self.tx.takes_chains()
    }

    /// The number of its queue among the transmit queues of its port.
    pub fn number(&self) -> u16 {
        self.tx.number()
    }

    /// How many copies wait.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True when what waits is not to wait for more: it fills a burst, or the queue is congested.
    #[inline]
    pub fn has_enough(&self) -> bool {
        self.waiting.len() >= ENOUGH || self.is_congested()
    }

    /// True when the queue refused copies not long ago.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.pace.is_congested()
    }

    /// How many of `count` copies are worth being made: all, unless the queue did not take what it was
    /// given last. Copies for a tool that has stopped would cost the wire and go nowhere.
    #[inline]
    pub fn reserve(&mut self, count: usize) -> usize {
        let reserved = count.min(self.budget);
        self.budget -= reserved;
        reserved
    }

    /// So many of the reserved copies were not made.
    #[inline]
    pub fn give_back(&mut self, count: usize) {
        self.budget = self.budget.saturating_add(count);
    }

    /// Where copies of a session are counted, the first of which is being pushed.
    #[inline]
    pub fn tally(&mut self, session: SessionIndex, header_len: usize) -> TallyIndex {
        // Nearly always it is the one before.
        if !self
            .tallies
            .last()
            .is_some_and(|it| it.session == session && it.header_len == header_len)
        {
            self.tallies.push(Tally { session, header_len, packets: 0, inner_bytes: 0 });
        }
        TallyIndex((self.tallies.len() - 1) as u16)
    }

    /// Counts copies that were pushed.
    #[inline]
    pub fn add(&mut self, tally: TallyIndex, packets: usize, inner_bytes: usize) {
        if let Some(tally) = self.tallies.get_mut(usize::from(tally.0)) {
            tally.packets += packets;
            tally.inner_bytes += inner_bytes;
        }
    }

    /// Keeps a copy until [`Outbox::flush`]; it is to be counted by [`Outbox::add`]. What one burst
    /// can cause always fits after a flush, or while [`Outbox::has_enough`] is false.
    #[inline]
    pub fn push(&mut self, copy: D::Mbuf, tally: TallyIndex, marks: u8) {
        if let Some(place) = self.tags.get_mut(self.waiting.len()) {
            *place = Tag { tally: tally.0, marks };
        }
        self.any |= marks;
        let fits = self.waiting.push(copy).is_ok();
        debug_assert!(fits, "more copies than one burst can cause");
    }

    /// Sends what waits, in order. What the queue does not take is freed and counted: a copy is
    /// never kept for later. Returns how many of the refused hold their frames' buffers.
    pub fn flush(&mut self, port: &mut PortStats, sessions: &mut [SessionStats]) -> usize {
        let waiting = self.waiting.len();
        if waiting == 0 {
            // Where nothing was to be made, some may be now.
            self.budget = self.pace.next(0, 0);
            return 0;
        }
        let accepted = self.tx.send(&mut self.waiting).min(waiting);
        port.tx_refused += (waiting - accepted) as u64;
        let unshared =
            if accepted < waiting { self.count_refused(accepted, waiting, sessions) } else { 0 };
        self.budget = self.pace.next(accepted, waiting);
        if self.any != 0 {
            self.count_marks(accepted, port, sessions);
        }
        for tally in self.tallies.drain(..) {
            tally.count(port, &mut sessions[tally.session.at()]);
        }
        self.any = 0;
        D::Mbuf::free_bulk(&mut self.waiting);
        unshared
    }

    /// Sends frames that are no copies, before those that wait. What the queue does not take is freed and
    /// counted.
    pub fn send(&mut self, burst: &mut Burst<D::Mbuf>, port: &mut PortStats) {
        let (frames, bytes) = (burst.len(), burst.frames().iter().map(Mbuf::len).sum::<usize>());
        let accepted = self.tx.send(burst).min(frames);
        let left: usize = burst.frames().iter().map(Mbuf::len).sum();
        port.tx_packets += accepted as u64;
        port.tx_bytes += (bytes - left) as u64;
        port.tx_refused += (frames - accepted) as u64;
        D::Mbuf::free_bulk(burst);
    }

    /// Takes what was not accepted, and still waits, off the tallies.
    #[cold]
    fn count_refused(
        &mut self,
        accepted: usize,
        waiting: usize,
        sessions: &mut [SessionStats],
    ) -> usize {
        let mut unshared = 0;
        for (copy, tag) in self.waiting.frames().iter().zip(&self.tags[accepted..waiting]) {
            let tally = &mut self.tallies[usize::from(tag.tally)];
            tally.packets -= 1;
            tally.inner_bytes -= copy.len() - tally.header_len;
            sessions[tally.session.at()].skipped[Skipped::ToolCongested as usize] += 1;
            unshared += usize::from(tag.marks & mark::SHARED != 0);
        }
        unshared
    }

    #[inline(never)]
    fn count_marks(&self, accepted: usize, port: &mut PortStats, sessions: &mut [SessionStats]) {
        for tag in &self.tags[..accepted] {
            port.shared += u64::from(tag.marks & mark::SHARED != 0);
            if tag.marks & mark::TRUNCATED != 0 {
                let session = self.tallies[usize::from(tag.tally)].session;
                sessions[session.at()].truncated_packets += 1;
            }
        }
    }
}

impl Tally {
    /// Counts it as sent.
    fn count(&self, port: &mut PortStats, session: &mut SessionStats) {
        port.tx_packets += self.packets as u64;
        port.tx_bytes += (self.inner_bytes + self.packets * self.header_len) as u64;
        session.mirrored_packets += self.packets as u64;
        session.mirrored_bytes += self.inner_bytes as u64;
    }
}
