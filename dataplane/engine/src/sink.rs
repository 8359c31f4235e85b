//! One session's way out: makes its copies of a burst, each in the way that fits.

use arrayvec::Drain;

use crate::burst::BURST_MAX;
use crate::copies::{Copies, Given, Outlets, Taken, Wanted};
use crate::copy::{self, Plan};
use crate::drop_reason::Skipped;
use crate::encap::{Encap, Header};
use crate::outbox::{Outbox, TallyIndex, mark};
use crate::port::{Devices, Mbuf};
use crate::stats::SessionStats;
use crate::tool::ToolPort;
use crate::units::SessionIndex;
use crate::view::{SessionView, View};

/// Where the copies of one session go.
pub(crate) struct Sink<'a, D: Devices> {
    session: &'a SessionView,
    /// Tags are to be left out, and there are some.
    strips: bool,
    /// Frames that are not longer stay whole, where there is one tool; 0 where there are several.
    whole_len_max: usize,
    tool: &'a mut ToolPort<D>,
    is_pooled: bool,
    /// Copies from so many bytes on are made by reference.
    share_len_min: usize,
    /// How many still may be.
    credit: usize,
    stats: &'a mut SessionStats,
    run: Run,
}

/// What is counted at once.
#[derive(Clone, Copy)]
struct Run {
    session: SessionIndex,
    header_len: usize,
    tally: TallyIndex,
    /// Copies that waited before.
    start: usize,
    inner_bytes: usize,
}

impl<'a, D: Devices> Sink<'a, D> {
    /// Counts `count` copies of a session as wanted; `None` when none of them can leave now, which
    /// is counted too. `is_given`: they are made of frames that nobody else needs. With it come the
    /// outer header, when the target has but one tool, and how many are to be made.
    pub(crate) fn open<T>(
        view: &'a View<T>,
        index: SessionIndex,
        has_tags: bool,
        count: usize,
        is_given: bool,
        outlets: &'a mut Outlets<'_, D>,
    ) -> Option<(Self, Option<&'a Encap>, usize)> {
        let session = &view.sessions[index.at()];
        let stats = &mut outlets.view.sessions[index.at()];
        stats.matched += count as u64;
        let mut skip = |reason: Skipped, count| stats.skipped[reason as usize] += count as u64;
        let tool = match &mut outlets.tools[session.port.at()] {
            Some(tool) if outlets.links_up[session.port.at()] => tool,
            _ => {
                skip(Skipped::ToolDown, count);
                return None;
            }
        };
        let (encap, whole_len_max) = match session.members.as_slice() {
            [only] if only.encap.is_none() => {
                skip(Skipped::NoNeighbor, count);
                return None;
            }
            [only] => (only.encap.as_ref(), only.whole_len_max),
            _ => (None, 0),
        };
        let is_pooled = !is_given && session.snap_len < tool.share_len_min();
        let outbox = tool.outbox_mut(is_pooled);
        let made = count.min(outbox.room());
        if made < count {
            skip(Skipped::ToolCongested, count - made);
        }
        let header_len = encap.map_or(0, Encap::header_len);
        let tally = outbox.tally(index, header_len);
        let start = outbox.waiting();
        let run = Run { session: index, header_len, tally, start, inner_bytes: 0 };
        let strips = !view.keep_inner_vlan && has_tags;
        let sink = Self {
            session,
            strips,
            whole_len_max,
            tool,
            is_pooled,
            share_len_min: usize::MAX,
            credit: 0,
            stats,
            run,
        };
        Some((sink, encap, made))
    }

    /// Copies may be made by reference, as far as the session has credit.
    #[inline]
    pub(crate) fn use_credit(&mut self) {
        let len_min = self.tool.share_len_min();
        if self.session.snap_len >= len_min {
            self.share_len_min = len_min;
            self.credit = self.tool.credit(self.run.session);
        }
    }

    /// Ends the last run: its copies are counted when they are sent.
    pub(crate) fn close(mut self) {
        let Run { tally, start, inner_bytes, .. } = self.run;
        let outbox = self.outbox_mut();
        outbox.add(tally, outbox.waiting() - start, inner_bytes);
    }

    #[inline]
    fn outbox_mut(&mut self) -> &mut Outbox<D> {
        self.tool.outbox_mut(self.is_pooled)
    }

    pub(crate) fn copy_group<H: Header>(
        &mut self,
        header: Option<&H>,
        frames: &mut [D::Mbuf],
        copies: Copies<'_>,
        turns: &[u8],
    ) {
        if self.strips {
            self.copy_each::<H, true>(header, frames, copies, turns);
        } else {
            self.copy_each::<H, false>(header, frames, copies, turns);
        }
    }

    fn copy_each<H: Header, const STRIPS: bool>(
        &mut self,
        header: Option<&H>,
        frames: &mut [D::Mbuf],
        copies: Copies<'_>,
        turns: &[u8],
    ) {
        for &turn in turns {
            let wanted = copies.wanted::<STRIPS>(turn);
            self.copy(header, &mut frames[copies.frame(turn)], wanted);
        }
    }

    pub(crate) fn give_all<H: Header>(
        &mut self,
        header: Option<&H>,
        frames: Drain<'_, D::Mbuf, BURST_MAX>,
        copies: Copies<'_>,
    ) {
        if self.strips {
            for (turn, frame) in (0..).zip(frames) {
                self.give(header, frame, copies.wanted::<true>(turn));
            }
        } else {
            for (turn, frame) in (0..).zip(frames) {
                self.give(header, frame, copies.wanted::<false>(turn));
            }
        }
    }

    pub(crate) fn give_group<H: Header>(
        &mut self,
        header: Option<&H>,
        given: &mut Given<D::Mbuf>,
        copies: Copies<'_>,
        turns: &[u8],
    ) {
        for &turn in turns {
            let mut wanted = copies.wanted::<true>(turn);
            wanted.strip = if self.strips { wanted.strip } else { 0 };
            match given.take(copies.frame(turn)) {
                Taken::Whole(frame) => self.give(header, frame, wanted),
                Taken::Lent(frame) => self.copy_lent(frame, wanted),
                Taken::Gone => debug_assert!(false, "at most two copies of a frame"),
            }
        }
    }

    /// Makes a copy of a frame that stays.
    #[expect(
        clippy::inline_always,
        reason = "the loop over a group keeps in registers what it needs"
    )]
    #[inline(always)]
    fn copy<H: Header>(&mut self, header: Option<&H>, frame: &mut D::Mbuf, wanted: Wanted) {
        let len = frame.len();
        if let Some(header) = header
            && wanted.strip == 0
            && len <= self.whole_len_max
        {
            if len >= self.share_len_min && self.share(header, frame, wanted) {
                return;
            }
            if frame.is_contiguous()
                && let Some(mut empty) = self.tool.empty()
                && copy::copy_plain(&mut empty, frame, header, wanted.flow_hash)
            {
                return self.push(empty, len, wanted.turn, 0);
            }
        }
        self.copy_any(frame, wanted);
    }

    #[inline(never)]
    fn copy_any(&mut self, frame: &mut D::Mbuf, wanted: Wanted) {
        let len = frame.len();
        let Some((encap, plan)) = self.plan(len, wanted) else { return };
        if usize::from(plan.inner_len) == len && len >= self.share_len_min {
            let is_done = match encap {
                Encap::V4(header) => self.share(header, frame, wanted),
                Encap::V6(header) => self.share(header, frame, wanted),
            };
            if is_done {
                return;
            }
        }
        self.copy_planned(frame, encap, plan, wanted);
    }

    /// Makes a copy that holds the frame's buffers behind a header of its own. False (and no change)
    /// where that is not to be had now: then it is copied.
    #[inline]
    fn share<H: Header>(&mut self, header: &H, frame: &mut D::Mbuf, wanted: Wanted) -> bool {
        if self.credit == 0 {
            return false;
        }
        let Some(mut lead) = self.tool.lead(self.run.session) else { return false };
        let inner_len = frame.len();
        if !lead.share(frame)
            || !copy::put_header(&mut lead, header, inner_len as u16, wanted.flow_hash)
        {
            self.tool.return_lead(lead);
            return false;
        }
        self.credit -= 1;
        lead.inherit(frame);
        self.push(lead, inner_len, wanted.turn, mark::SHARED);
        true
    }

    #[inline(never)]
    fn copy_lent(&mut self, frame: &D::Mbuf, wanted: Wanted) {
        if let Some((encap, plan)) = self.plan(frame.len(), wanted) {
            self.copy_planned(frame, encap, plan, wanted);
        }
    }

    /// Makes a frame its own copy, or a copy of it where its buffer or the tool port don't allow
    /// that.
    #[expect(
        clippy::inline_always,
        reason = "the loop over a group keeps in registers what it needs"
    )]
    #[inline(always)]
    fn give<H: Header>(&mut self, header: Option<&H>, mut frame: D::Mbuf, wanted: Wanted) {
        let inner_len = frame.len();
        if let Some(header) = header
            && frame.is_contiguous()
            && wanted.strip == 0
            && inner_len <= self.whole_len_max
            && copy::put_header(&mut frame, header, inner_len as u16, wanted.flow_hash)
        {
            self.push(frame, inner_len, wanted.turn, 0);
        } else {
            self.give_any(frame, wanted);
        }
    }

    #[inline(never)]
    fn give_any(&mut self, mut frame: D::Mbuf, wanted: Wanted) {
        let Some((encap, mut plan)) = self.plan(frame.len(), wanted) else { return };
        let is_sendable = frame.is_contiguous() || self.outbox_mut().takes_chains();
        if is_sendable && copy::can_strip_in_place(&frame, plan.strip) {
            let is_done = match encap {
                Encap::V4(header) => copy::prepend(&mut frame, header, plan, wanted.flow_hash),
                Encap::V6(header) => copy::prepend(&mut frame, header, plan, wanted.flow_hash),
            };
            if is_done {
                return self.push_planned(frame, plan, wanted.turn);
            }
            plan.strip = 0;
        }
        self.copy_planned(&frame, encap, plan, wanted);
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
        let Run { session, header_len: before, tally, start, inner_bytes } = self.run;
        if header_len != before {
            let outbox = self.outbox_mut();
            let waiting = outbox.waiting();
            outbox.add(tally, waiting - start, inner_bytes);
            let tally = outbox.tally(session, header_len);
            self.run = Run { session, header_len, tally, start: waiting, inner_bytes: 0 };
        }
    }

    fn copy_planned(&mut self, frame: &D::Mbuf, encap: &Encap, plan: Plan, wanted: Wanted) {
        let made = self.tool.empty().and_then(|mut empty| {
            let fits = match encap {
                Encap::V4(header) => copy::copy(&mut empty, frame, header, plan, wanted.flow_hash),
                Encap::V6(header) => copy::copy(&mut empty, frame, header, plan, wanted.flow_hash),
            };
            fits.then_some(empty)
        });
        match made {
            Some(copy) => self.push_planned(copy, plan, wanted.turn),
            None => self.stats.skipped[Skipped::NoMbuf as usize] += 1,
        }
    }

    fn push_planned(&mut self, copy: D::Mbuf, plan: Plan, turn: u8) {
        let marks = if plan.is_truncated { mark::TRUNCATED } else { 0 };
        self.push(copy, plan.inner_len.into(), turn, marks);
    }

    #[inline]
    fn push(&mut self, copy: D::Mbuf, inner_len: usize, turn: u8, marks: u8) {
        self.run.inner_bytes += inner_len;
        let tally = self.run.tally;
        self.outbox_mut().push(copy, tally, turn, marks);
    }
}
