//! A worker's own counters: plain numbers, added to without sharing, copied out on request.
//!
//! What belongs to ports lives as long as the worker ([`WorkerStats`]); what belongs to sessions and
//! rules lives as long as the view ([`ViewStats`]), travels back with it and is added up by the
//! publisher.

use crate::burst::BURST_MAX;
use crate::drop_reason::{Ended, NeverMirrored, Skipped, Unmirrored};
use crate::units::RuleIndex;

/// Counters of one port: see [`crate::report::PortReport`]. What it receives is counted by queue
/// ([`LaneStats`]). A worker has one transmit queue on a port: what it sends is that queue's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that the queue did not take, and the kernel's that found no buffer.
    pub tx_refused: u64,
    /// Received frames sent on by the other port.
    pub forwarded: u64,
    /// Received frames that are other workers' ([`crate::spreader`]).
    pub given: u64,
    /// Frames that other workers received for this one.
    pub taken: u64,
    /// Copies sent that held their frames' buffers.
    pub shared: u64,
    /// Received frames that were not forwarded, by [`Ended`].
    pub ended: [u64; Ended::COUNT],
}

/// Counters of one receive queue: see [`crate::report::RxQueueReport`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Frames received.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Polls that found some. All polls are [`WorkerStats::polls`]: a round polls each queue once, and those
    /// of tool ports at most.
    pub bursts: u64,
    /// Polls that found as many as a burst holds.
    pub full_bursts: u64,
    /// Frames that waited when the report was made, where the device can tell.
    pub waiting: Option<u32>,
}

impl LaneStats {
    /// Counts one burst.
    #[inline]
    pub fn add_burst(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
        self.bursts += 1;
        self.full_bursts += u64::from(packets == BURST_MAX);
    }
}

/// Counters of one session: see [`crate::report::SessionReport`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Copies wanted.
    pub matched: u64,
    /// Copies sent.
    pub mirrored_packets: u64,
    /// Their inner bytes.
    pub mirrored_bytes: u64,
    /// Those that were shortened.
    pub truncated_packets: u64,
    /// Copies not sent, by [`Skipped`].
    pub skipped: [u64; Skipped::COUNT],
}

/// What lives as long as the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// By port.
    pub ports: Vec<PortStats>,
    /// By receive queue, in the order in which they are polled.
    pub lanes: Vec<LaneStats>,
    /// By [`Unmirrored`].
    pub unmirrored: [u64; Unmirrored::COUNT],
    /// By [`NeverMirrored`].
    pub never_mirrored: [u64; NeverMirrored::COUNT],
    /// Rounds over the queues.
    pub polls: u64,
    /// Rounds that found nothing.
    pub empty_polls: u64,
    /// What its time went into, as of the report.
    pub time: TimeStats,
}

/// What a worker's time went into, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeStats {
    /// Since it began.
    pub total_ns: u64,
    /// Rounds that found something.
    pub busy_ns: u64,
    /// Sleeps.
    pub asleep_ns: u64,
    /// How many sleeps.
    pub sleeps: u64,
}

/// A counter in two parts, to be used in turn: nearly always one rule is hit by packet after packet,
/// and each addition would wait for the one before.
pub type Hits = [u64; 2];

/// Counters of one tool: see [`crate::report::NeighborState`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToolStats {
    /// Copies meant for it.
    pub copies: u64,
    /// Living flows that it got from a tool that no longer takes them.
    pub moved_flows: u64,
}

/// What lives as long as the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStats {
    /// By session.
    pub sessions: Vec<SessionStats>,
    /// By [`crate::units::ToolIndex`].
    pub tools: Vec<ToolStats>,
    /// Evaluations settled, by [`ViewStats::slot`].
    pub hits: Vec<Hits>,
}

impl ViewStats {
    /// Zeroes for so many sessions, tools and rules.
    pub fn new(sessions: usize, tools: usize, rules: usize) -> Self {
        Self {
            sessions: vec![SessionStats::default(); sessions],
            tools: vec![ToolStats::default(); tools],
            hits: vec![[0; 2]; 1 + rules],
        }
    }

    /// Where the hits of a rule are counted, and first of all those of [`RuleIndex::NONE`].
    #[inline]
    pub const fn slot(rule: RuleIndex) -> usize {
        rule.0.wrapping_add(1) as usize
    }

    /// Evaluations settled, by [`RuleIndex`].
    pub fn rule_hits(&self) -> impl Iterator<Item = u64> {
        self.hits.iter().skip(1).map(|hits| hits.iter().sum())
    }

    /// Copies `from` into place without allocating; false (and no change) when the shapes differ.
    pub fn copy_from(&mut self, from: &Self) -> bool {
        let is_same_shape = self.sessions.len() == from.sessions.len()
            && self.tools.len() == from.tools.len()
            && self.hits.len() == from.hits.len();
        if is_same_shape {
            self.sessions.copy_from_slice(&from.sessions);
            self.tools.copy_from_slice(&from.tools);
            self.hits.copy_from_slice(&from.hits);
        }
        is_same_shape
    }
}

impl PortStats {
    /// Adds another worker's counters of the same port.
    pub fn add(&mut self, other: &Self) {
        self.tx_packets += other.tx_packets;
        self.tx_bytes += other.tx_bytes;
        self.tx_refused += other.tx_refused;
        self.forwarded += other.forwarded;
        self.given += other.given;
        self.taken += other.taken;
        self.shared += other.shared;
        add_all(&mut self.ended, &other.ended);
    }
}

impl ToolStats {
    /// Adds another worker's (or an earlier view's) counters of the same tool.
    pub fn add(&mut self, other: &Self) {
        self.copies += other.copies;
        self.moved_flows += other.moved_flows;
    }
}

impl SessionStats {
    /// Adds another worker's (or an earlier view's) counters of the same session.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.mirrored_packets += other.mirrored_packets;
        self.mirrored_bytes += other.mirrored_bytes;
        self.truncated_packets += other.truncated_packets;
        add_all(&mut self.skipped, &other.skipped);
    }
}

/// Adds `other` to `total`, place by place.
pub fn add_all(total: &mut [u64], other: &[u64]) {
    for (total, other) in total.iter_mut().zip(other) {
        *total += other;
    }
}
