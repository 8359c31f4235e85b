//! The copy stage: the copies that one burst wants, in runs of one session.
//!
//! What a session needs (its tool port, a link, a neighbour) is looked up once per run; in most
//! bursts there is one.

use core::iter;

use arrayvec::Drain;

use crate::burst::{BURST_MAX, Burst};
use crate::copy::{self, Plan};
use crate::drop_reason::Skipped;
use crate::encap::{Encap, Header, HeaderV4};
use crate::evaluations::END;
use crate::keys::Keys;
use crate::parse::Parsed;
use crate::port::{Devices, Mbuf};
use crate::stats::{SessionStats, ViewStats, WorkerStats};
use crate::tool::{Run, ToolPort};
use crate::units::SessionIndex;
use crate::view::{SessionView, View};

/// The copies that a burst wants: which frame for which session, in the order of the frames.
#[derive(Debug, Clone, Copy)]
pub struct Copies<'a> {
    /// Places in the burst, ascending, at most two of each; then [`END`].
    pub frames_and_end: &'a [u8],
    /// As many as there are frames.
    pub sessions: &'a [SessionIndex],
    /// What was parsed of each frame of the burst.
    pub parsed: &'a [Parsed; BURST_MAX],
    /// Some frame of the burst has tags.
    pub has_tags: bool,
    /// The key of each frame of the burst.
    pub keys: &'a Keys,
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
#[inline(never)]
pub fn make_copies<D: Devices, T>(
    view: &View<T>,
    frames: &[D::Mbuf],
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    for (session, run) in copies.runs() {
        let Some((mut sink, header)) = Sink::open(view, session, copies, run.len() - 1, outlets)
        else {
            continue;
        };
        match header {
            Some(Encap::V4(header)) => sink.copy_run(Some(header), frames, copies, run),
            Some(Encap::V6(header)) => sink.copy_run(Some(header), frames, copies, run),
            None => sink.copy_run(None::<&HeaderV4>, frames, copies, run),
        }
        sink.close();
    }
}

/// Copies out of frames that end here, and takes them all off the burst; the last copy of each is
/// the frame itself.
#[inline(never)]
pub fn give_copies<D: Devices, T>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let frames = frames.storage_mut().drain(..);
    let mut taking = Taking { frames, next: 0, held: None, unwanted: Burst::new() };
    for (session, run) in copies.runs() {
        let Some((mut sink, header)) = Sink::open(view, session, copies, run.len() - 1, outlets)
        else {
            continue;
        };
        match header {
            Some(Encap::V4(header)) => sink.give_run(Some(header), &mut taking, copies, run),
            Some(Encap::V6(header)) => sink.give_run(Some(header), &mut taking, copies, run),
            None => sink.give_run(None::<&HeaderV4>, &mut taking, copies, run),
        }
        sink.close();
    }
    taking.take(END.into());
    D::Mbuf::free_bulk(&mut taking.unwanted);
}

/// Frames being taken off a burst in their order.
struct Taking<'a, M> {
    frames: Drain<'a, M, BURST_MAX>,
    /// The place of the next one.
    next: usize,
    /// The one before, given back because it is wanted again.
    held: Option<M>,
    unwanted: Burst<M>,
}

impl<M> Taking<'_, M> {
    /// True when a run wants each frame of the burst, once, and no other run wants one.
    fn is_all(&self, run: &[u8]) -> bool {
        let [frames @ .., END] = run else { return false };
        let misplaced =
            || frames.iter().zip(0u8..).fold(0, |bits, (&frame, place)| bits | (frame ^ place));
        self.next == 0 && self.frames.len() == frames.len() && misplaced() == 0
    }

    /// The frame at a place, and those before it to the unwanted ones. `None` behind the last.
    #[inline]
    fn take(&mut self, at: usize) -> Option<M> {
        if let Some(held) = self.held.take() {
            if at + 1 == self.next {
                return Some(held);
            }
            discard(held, &mut self.unwanted);
        }
        while self.next < at {
            discard(self.frames.next()?, &mut self.unwanted);
            self.next += 1;
        }
        self.next += 1;
        self.frames.next()
    }
}

#[cold]
fn discard<M>(frame: M, unwanted: &mut Burst<M>) {
    let fits = unwanted.push(frame).is_ok();
    debug_assert!(fits, "both hold as many as a burst");
}

/// What the copy of one frame depends on.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    flow_hash: u16,
    /// Bytes of tags to be left out.
    strip: u8,
}

impl<'a> Copies<'a> {
    /// Copies of one session that follow each other: the session, their frames and the frame of the
    /// copy after them.
    fn runs(&self) -> impl Iterator<Item = (SessionIndex, &'a [u8])> {
        let Self { frames_and_end: frames, sessions, .. } = *self;
        // Nearly always all are one session's, which vectors find out.
        let differs = |&other: &SessionIndex| sessions.first().map_or(0, |one| one.0 ^ other.0);
        let is_one = sessions.iter().fold(0, |bits, other| bits | differs(other)) == 0;
        let mut done = 0;
        iter::from_fn(move || {
            let (start, &session) = (done, sessions.get(done)?);
            let is_others = |&other: &SessionIndex| other != session;
            let len = if is_one { None } else { sessions[start..].iter().position(is_others) };
            done = len.map_or(sessions.len(), |len| start + len);
            Some((session, &frames[start..=done]))
        })
    }

    #[inline]
    fn wanted<const STRIPS: bool>(&self, frame: u8) -> Wanted {
        let frame = usize::from(frame) % BURST_MAX;
        let strip = if STRIPS { self.parsed[frame].tags_len } else { 0 };
        Wanted { flow_hash: self.keys.hash(frame), strip }
    }
}

/// One session's way out.
struct Sink<'a, D: Devices> {
    session: &'a SessionView,
    /// Tags are to be left out, and there are some.
    strips: bool,
    /// Frames that are not longer stay whole, where there is one tool; 0 where there are several.
    whole_len_max: usize,
    tool: &'a mut ToolPort<D>,
    takes_chains: bool,
    stats: &'a mut SessionStats,
    run: OpenRun,
}

/// The run that goes on.
#[derive(Clone, Copy)]
struct OpenRun {
    session: SessionIndex,
    header_len: usize,
    /// Copies that waited before.
    start: usize,
    inner_bytes: usize,
}

impl<'a, D: Devices> Sink<'a, D> {
    /// Counts the copies of a run as wanted; `None` when none of them can leave now, which is
    /// counted too. With it comes the outer header, when the target has but one tool.
    fn open<T>(
        view: &'a View<T>,
        index: SessionIndex,
        copies: Copies<'_>,
        count: usize,
        outlets: &'a mut Outlets<'_, D>,
    ) -> Option<(Self, Option<&'a Encap>)> {
        let session = &view.sessions[index.at()];
        let stats = &mut outlets.view.sessions[index.at()];
        stats.matched += count as u64;
        let mut skip = |reason: Skipped| stats.skipped[reason as usize] += count as u64;
        let tool = match &mut outlets.tools[session.port.at()] {
            Some(tool) if outlets.links_up[session.port.at()] => tool,
            _ => {
                skip(Skipped::ToolDown);
                return None;
            }
        };
        let (encap, whole_len_max) = match session.members.as_slice() {
            [only] if only.encap.is_none() => {
                skip(Skipped::NoNeighbor);
                return None;
            }
            [only] => (only.encap.as_ref(), only.whole_len_max),
            _ => (None, 0),
        };
        let header_len = encap.map_or(0, Encap::header_len);
        let run = OpenRun { session: index, header_len, start: tool.waiting(), inner_bytes: 0 };
        let strips = !view.keep_inner_vlan && copies.has_tags;
        let takes_chains = tool.takes_chains();
        let sink = Self { session, strips, whole_len_max, tool, takes_chains, stats, run };
        Some((sink, encap))
    }

    /// Ends the run: its copies are counted when they are sent.
    fn close(self) {
        let OpenRun { session, header_len, start, inner_bytes } = self.run;
        let packets = self.tool.waiting() - start;
        self.tool.end_run(Run { session, header_len, packets, inner_bytes });
    }

    fn copy_run<H: Header>(
        &mut self,
        header: Option<&H>,
        frames: &[D::Mbuf],
        copies: Copies<'_>,
        run: &[u8],
    ) {
        if self.strips {
            self.copy_each::<H, true>(header, frames, copies, run);
        } else {
            self.copy_each::<H, false>(header, frames, copies, run);
        }
    }

    fn copy_each<H: Header, const STRIPS: bool>(
        &mut self,
        header: Option<&H>,
        frames: &[D::Mbuf],
        copies: Copies<'_>,
        run: &[u8],
    ) {
        for &[at, _] in run.array_windows() {
            self.copy(header, &frames[usize::from(at)], copies.wanted::<STRIPS>(at));
        }
    }

    fn give_run<H: Header>(
        &mut self,
        header: Option<&H>,
        taking: &mut Taking<'_, D::Mbuf>,
        copies: Copies<'_>,
        run: &[u8],
    ) {
        if self.strips {
            self.give_each::<H, true>(header, taking, copies, run);
        } else {
            self.give_each::<H, false>(header, taking, copies, run);
        }
    }

    fn give_each<H: Header, const STRIPS: bool>(
        &mut self,
        header: Option<&H>,
        taking: &mut Taking<'_, D::Mbuf>,
        copies: Copies<'_>,
        run: &[u8],
    ) {
        if taking.is_all(run) {
            for (at, frame) in (0..).zip(taking.frames.by_ref()) {
                self.give(header, frame, copies.wanted::<STRIPS>(at));
            }
            return;
        }
        for &[at, next] in run.array_windows() {
            let Some(frame) = taking.take(at.into()) else { break };
            let wanted = copies.wanted::<STRIPS>(at);
            if at == next {
                self.copy_any(&frame, wanted);
                taking.held = Some(frame);
            } else {
                self.give(header, frame, wanted);
            }
        }
    }

    /// Makes a copy of a frame that stays.
    #[expect(
        clippy::inline_always,
        reason = "the loop over a run keeps in registers what it needs"
    )]
    #[inline(always)]
    fn copy<H: Header>(&mut self, header: Option<&H>, frame: &D::Mbuf, wanted: Wanted) {
        if let Some(header) = header
            && self.is_plain(frame, wanted)
            && let Some(mut empty) = self.tool.empty()
            && copy::copy_plain(&mut empty, frame, header, wanted.flow_hash)
        {
            self.push(empty, frame.len());
        } else {
            self.copy_any(frame, wanted);
        }
    }

    #[inline(never)]
    fn copy_any(&mut self, frame: &D::Mbuf, wanted: Wanted) {
        if let Some((encap, plan)) = self.plan(frame.len(), wanted) {
            self.copy_planned(frame, encap, plan, wanted.flow_hash);
        }
    }

    /// Makes a frame its own copy, or a copy of it where its buffer or the tool port don't allow
    /// that.
    #[expect(
        clippy::inline_always,
        reason = "the loop over a run keeps in registers what it needs"
    )]
    #[inline(always)]
    fn give<H: Header>(&mut self, header: Option<&H>, mut frame: D::Mbuf, wanted: Wanted) {
        let inner_len = frame.len();
        if let Some(header) = header
            && self.is_plain(&frame, wanted)
            && copy::put_header(&mut frame, header, inner_len as u16, wanted.flow_hash)
        {
            self.push(frame, inner_len);
        } else {
            self.give_any(frame, wanted);
        }
    }

    /// A plain frame, and nearly all are plain: one segment, no tag to strip, nothing to cut off.
    #[inline]
    fn is_plain(&self, frame: &D::Mbuf, wanted: Wanted) -> bool {
        frame.is_contiguous() && wanted.strip == 0 && frame.len() <= self.whole_len_max
    }

    #[inline(never)]
    fn give_any(&mut self, mut frame: D::Mbuf, wanted: Wanted) {
        let Some((encap, mut plan)) = self.plan(frame.len(), wanted) else { return };
        let is_sendable = frame.is_contiguous() || self.takes_chains;
        if is_sendable && copy::can_strip_in_place(&frame, plan.strip) {
            let is_done = match encap {
                Encap::V4(header) => copy::prepend(&mut frame, header, plan, wanted.flow_hash),
                Encap::V6(header) => copy::prepend(&mut frame, header, plan, wanted.flow_hash),
            };
            if is_done {
                return self.push_planned(frame, plan);
            }
            plan.strip = 0;
        }
        self.copy_planned(&frame, encap, plan, wanted.flow_hash);
    }

    /// What a copy needs before a buffer is touched; `None` when it can't be had, which is counted.
    fn plan(&mut self, len: usize, wanted: Wanted) -> Option<(&'a Encap, Plan)> {
        let member = self.session.member(wanted.flow_hash);
        let planned =
            member.encap.as_ref().ok_or(Skipped::NoNeighbor).and_then(|encap| {
                Ok((encap, copy::plan(self.session, member, len, wanted.strip)?))
            });
        match planned {
            Ok((encap, plan)) => {
                self.be_in_run_of(encap.header_len());
                Some((encap, plan))
            }
            Err(reason) => {
                self.stats.skipped[reason as usize] += 1;
                None
            }
        }
    }

    /// Begins a new run where the copies before went over the other family.
    fn be_in_run_of(&mut self, header_len: usize) {
        let OpenRun { session, header_len: before, start, inner_bytes } = self.run;
        if header_len != before {
            let waiting = self.tool.waiting();
            let packets = waiting - start;
            self.tool.end_run(Run { session, header_len: before, packets, inner_bytes });
            self.run = OpenRun { session, header_len, start: waiting, inner_bytes: 0 };
        }
    }

    fn copy_planned(&mut self, frame: &D::Mbuf, encap: &Encap, plan: Plan, flow_hash: u16) {
        let made = self.tool.empty().and_then(|mut empty| {
            let fits = match encap {
                Encap::V4(header) => copy::copy(&mut empty, frame, header, plan, flow_hash),
                Encap::V6(header) => copy::copy(&mut empty, frame, header, plan, flow_hash),
            };
            fits.then_some(empty)
        });
        match made {
            Some(copy) => self.push_planned(copy, plan),
            None => self.stats.skipped[Skipped::NoMbuf as usize] += 1,
        }
    }

    fn push_planned(&mut self, copy: D::Mbuf, plan: Plan) {
        if plan.is_truncated {
            self.tool.mark_truncated();
        }
        self.push(copy, plan.inner_len.into());
    }

    #[inline]
    fn push(&mut self, copy: D::Mbuf, inner_len: usize) {
        self.run.inner_bytes += inner_len;
        self.tool.push(copy);
    }
}
