//! The copies that one burst wants, the frames that they are made of, and where they go.

use arrayvec::ArrayVec;

use crate::burst::{BURST_MAX, Burst};
use crate::flow_table::FlowTable;
use crate::groups::Groups;
use crate::keys::Keys;
use crate::outbox::COPIES_MAX;
use crate::parse::Parsed;
use crate::port::Devices;
use crate::stats::{ViewStats, WorkerStats};
use crate::steer::Paths;
use crate::tool::ToolPort;

/// The copies that a burst wants.
#[derive(Debug, Clone, Copy)]
pub struct Copies<'a> {
    /// By session, which copies.
    pub groups: &'a Groups,
    /// Of which frame each copy is, by place in the burst: ascending, at most two of each.
    pub frames: &'a [u8],
    /// What was parsed of each frame of the burst.
    pub parsed: &'a [Parsed; BURST_MAX],
    /// Some frame of the burst has tags.
    pub has_tags: bool,
    /// The key of each frame of the burst.
    pub keys: &'a Keys,
    /// Which path each copy takes, where its session has several.
    pub paths: &'a Paths,
}

/// What the copy of one frame depends on.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Of the frame's flow.
    pub flow_hash: u16,
    /// Bytes of tags to be left out.
    pub strip: u8,
    /// Which of the session's paths, where it has several.
    pub path: u16,
}

/// Where a burst's copies go, and where they are counted.
#[derive(Debug)]
pub struct Outlets<'a, D: Devices> {
    /// Tool ports by [`crate::units::PortIndex`]; `None` for the others.
    pub tools: &'a mut [Option<ToolPort<D>>],
    /// By [`crate::units::PortIndex`]: the port has a link.
    pub links_up: &'a [bool],
    /// When the burst was received, in nanoseconds, as well as the worker knows without asking: what
    /// rate limits go by. Of no use where the view polices nothing.
    pub received_ns: u64,
    /// Counters that outlive the view.
    pub worker: &'a mut WorkerStats,
    /// Counters of the view.
    pub view: &'a mut ViewStats,
    /// The tools of the flows that are to stay at theirs; where it is missing, flows go as if they were
    /// new.
    pub flows: Option<&'a mut FlowTable>,
}

impl Copies<'_> {
    /// The frame of the copy whose turn it is, by place in the burst.
    #[inline]
    pub fn frame(&self, turn: u8) -> usize {
        self.frames.get(usize::from(turn)).map_or(0, |&frame| frame.into()) % BURST_MAX
    }

    /// What the copy whose turn it is depends on.
    #[inline]
    pub fn wanted<const STRIPS: bool>(&self, turn: u8) -> Wanted {
        let frame = self.frame(turn);
        let strip = if STRIPS { self.parsed[frame].tags_len } else { 0 };
        let path = self.paths[usize::from(turn) % COPIES_MAX];
        Wanted { flow_hash: self.keys.hash(frame), strip, path }
    }

    /// True when each of `count` frames is wanted once.
    pub(crate) fn want_each(&self, count: usize) -> bool {
        let misplaced =
            || self.frames.iter().zip(0u8..).fold(0, |bits, (at, turn)| bits | (at ^ turn));
        self.frames.len() == count && misplaced() == 0
    }
}

/// Frames of a burst that are there to be taken.
pub(crate) struct Given<M> {
    /// Those that were not taken yet.
    pub(crate) frames: ArrayVec<Option<M>, BURST_MAX>,
    /// A bit for each frame that two copies are wanted of, and none was made yet.
    twice: u64,
}

impl<M> Given<M> {
    pub(crate) fn new(burst: &mut Burst<M>, wanted: &[u8]) -> Self {
        let (mut once, mut twice) = (0u64, 0);
        for place in wanted {
            let bit = 1 << (place % BURST_MAX as u8);
            twice |= once & bit;
            once |= bit;
        }
        let frames = burst.storage_mut().drain(..).map(Some).collect();
        Self { frames, twice }
    }

    /// The frame at a place: to be looked at where another copy is still wanted of it, else itself.
    #[inline]
    pub(crate) fn take(&mut self, place: usize) -> Taken<'_, M> {
        let bit = 1 << (place % BURST_MAX);
        let frame = self.frames.get_mut(place);
        if self.twice & bit == 0 {
            return frame.and_then(Option::take).map_or(Taken::Gone, Taken::Whole);
        }
        self.twice &= !bit;
        frame.and_then(|frame| frame.as_ref()).map_or(Taken::Gone, Taken::Lent)
    }

    /// A copy of the frame at a place will not be made.
    #[cold]
    pub(crate) fn forgo(&mut self, place: usize) {
        self.twice &= !(1 << (place % BURST_MAX));
    }
}

/// A frame of [`Given`].
pub(crate) enum Taken<'a, M> {
    /// Nobody else wants it.
    Whole(M),
    /// Another copy is wanted of it.
    Lent(&'a M),
    /// It was taken before.
    Gone,
}
