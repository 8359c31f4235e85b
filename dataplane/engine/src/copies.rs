//! The copy stage: the copies that one burst wants, in runs of one session.
//!
//! What a session needs (its tool port, a link, a neighbour) is looked up once per run; in most
//! bursts there is one.

use crate::burst::Burst;
use crate::copy::{self, Plan};
use crate::drop_reason::Skipped;
use crate::encap::Encap;
use crate::flow_key::FlowKey;
use crate::parse::Parsed;
use crate::port::{Devices, Mbuf};
use crate::stats::{SessionStats, ViewStats, WorkerStats};
use crate::tool::{CopyMeta, ToolPort};
use crate::units::SessionIndex;
use crate::view::{SessionView, View};

/// The copies that a burst wants: which frame for which session, in the order of the frames.
#[derive(Debug, Clone, Copy)]
pub struct Copies<'a> {
    /// Places in the burst, ascending; at most two of each.
    pub frames: &'a [u8],
    /// As long as `frames`.
    pub sessions: &'a [SessionIndex],
    /// What was parsed of each frame of the burst.
    pub parsed: &'a [Parsed],
    /// The key of each frame of the burst.
    pub keys: &'a [FlowKey],
}

/// Where a burst's copies go, and where they are counted.
#[derive(Debug)]
pub struct Outlets<'a, D: Devices> {
    /// Tool ports by [`crate::units::PortIndex`]; `None` for the others.
    pub tools: &'a mut [Option<ToolPort<D>>],
    /// By [`crate::units::PortIndex`]: the port has a link.
    pub links_up: &'a [bool],
    /// Counters that outlive the view.
    pub worker: &'a mut WorkerStats,
    /// Counters of the view.
    pub view: &'a mut ViewStats,
}

/// Copies out of frames that go on.
pub fn make_copies<D: Devices, T>(
    view: &View<T>,
    frames: &[D::Mbuf],
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let mut done = 0;
    for run in copies.sessions.chunk_by(|a, b| a == b) {
        let [session, ..] = *run else { continue };
        let places = &copies.frames[done..done + run.len()];
        done += run.len();
        let Some(mut sink) = Sink::open(view, session, run.len(), outlets) else { continue };
        for at in places.iter().map(|&place| usize::from(place)) {
            let wanted = copies.wanted(at, view.keep_inner_vlan);
            let made = sink.copy(&frames[at], wanted);
            sink.count(made);
        }
    }
}

/// Copies out of frames that end here, and takes them all off the burst; the last copy of each is
/// the frame itself.
pub fn give_copies<D: Devices, T>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let mut unwanted = Burst::new();
    // In reverse, so that taking the last off yields them in order.
    frames.frames_mut().reverse();
    let (count, mut done) = (frames.len(), 0);
    for run in copies.sessions.chunk_by(|a, b| a == b) {
        let [session, ..] = *run else { continue };
        let places = done..done + run.len();
        done = places.end;
        let Some(mut sink) = Sink::open(view, session, run.len(), outlets) else { continue };
        for place in places {
            let at = usize::from(copies.frames[place]);
            while count - frames.len() < at {
                move_last(frames, &mut unwanted);
            }
            let wanted = copies.wanted(at, view.keep_inner_vlan);
            let is_last = copies.frames.get(place + 1) != Some(&copies.frames[place]);
            let made = match frames.frames().last() {
                Some(frame) if !is_last => sink.copy(frame, wanted),
                _ => frames.pop().map_or(Ok(()), |frame| sink.give(frame, wanted)),
            };
            sink.count(made);
        }
    }
    D::Mbuf::free_bulk(&mut unwanted);
    D::Mbuf::free_bulk(frames);
}

fn move_last<M>(from: &mut Burst<M>, to: &mut Burst<M>) {
    let moved = from.pop().map(|frame| to.push(frame));
    debug_assert!(matches!(moved, Some(Ok(()))), "both hold as many as a burst");
}

/// What the copy of one frame depends on.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    flow_hash: u16,
    /// Bytes of tags to be left out.
    strip: usize,
}

impl Copies<'_> {
    #[inline]
    fn wanted(&self, frame: usize, keep_inner_vlan: bool) -> Wanted {
        let tags_len = self.parsed[frame].tags_len;
        let strip = if keep_inner_vlan { 0 } else { tags_len.into() };
        Wanted { flow_hash: self.keys[frame].hash(), strip }
    }
}

/// One session's way out.
struct Sink<'a, D: Devices> {
    index: SessionIndex,
    session: &'a SessionView,
    tool: &'a mut ToolPort<D>,
    takes_chains: bool,
    stats: &'a mut SessionStats,
}

impl<'a, D: Devices> Sink<'a, D> {
    /// Counts the copies of a run as wanted; `None` when none of them can leave now, which is
    /// counted too.
    fn open<T>(
        view: &'a View<T>,
        index: SessionIndex,
        count: usize,
        outlets: &'a mut Outlets<'_, D>,
    ) -> Option<Self> {
        let session = &view.sessions[index.at()];
        let stats = &mut outlets.view.sessions[index.at()];
        stats.matched += count as u64;
        match &mut outlets.tools[session.port.at()] {
            Some(tool) if outlets.links_up[session.port.at()] => {
                let takes_chains = tool.takes_chains();
                Some(Self { index, session, tool, takes_chains, stats })
            }
            _ => {
                stats.skipped[Skipped::ToolDown as usize] += count as u64;
                None
            }
        }
    }

    /// Counts the reason for which a copy could not be had.
    #[inline]
    fn count(&mut self, made: Result<(), Skipped>) {
        if let Err(reason) = made {
            self.stats.skipped[reason as usize] += 1;
        }
    }

    /// Makes a copy of a frame that stays.
    #[inline]
    fn copy(&mut self, frame: &D::Mbuf, wanted: Wanted) -> Result<(), Skipped> {
        let (encap, plan) = self.plan(frame.len(), wanted)?;
        self.copy_planned(frame, encap, &plan, wanted.flow_hash)
    }

    /// Makes a frame its own copy, or a copy of it where its buffer or the tool port don't allow
    /// that.
    #[inline]
    fn give(&mut self, mut frame: D::Mbuf, wanted: Wanted) -> Result<(), Skipped> {
        let (encap, mut plan) = self.plan(frame.len(), wanted)?;
        let is_sendable = frame.is_contiguous() || self.takes_chains;
        if is_sendable && copy::can_strip_in_place(&frame, plan.strip) {
            if copy::prepend(&mut frame, encap, &plan, wanted.flow_hash) {
                self.tool.push(frame, meta(self.index, encap, &plan));
                return Ok(());
            }
            plan.strip = 0;
        }
        self.copy_planned(&frame, encap, &plan, wanted.flow_hash)
    }

    /// What a copy needs before a buffer is touched.
    #[inline]
    fn plan(&self, len: usize, wanted: Wanted) -> Result<(&'a Encap, Plan), Skipped> {
        let member = self.session.member(wanted.flow_hash);
        let encap = member.encap.as_ref().ok_or(Skipped::NoNeighbor)?;
        Ok((encap, copy::plan(self.session, member, len, wanted.strip)?))
    }

    #[inline]
    fn copy_planned(
        &mut self,
        frame: &D::Mbuf,
        encap: &Encap,
        plan: &Plan,
        flow_hash: u16,
    ) -> Result<(), Skipped> {
        let mut empty = self.tool.empty().ok_or(Skipped::NoMbuf)?;
        if !copy::copy(&mut empty, frame, encap, plan, flow_hash) {
            return Err(Skipped::NoMbuf);
        }
        self.tool.push(empty, meta(self.index, encap, plan));
        Ok(())
    }
}

#[inline]
fn meta(session: SessionIndex, encap: &Encap, plan: &Plan) -> CopyMeta {
    CopyMeta {
        session,
        header_len: encap.header_len() as u32,
        inner_len: plan.inner_len.into(),
        is_truncated: plan.is_truncated.into(),
    }
}
