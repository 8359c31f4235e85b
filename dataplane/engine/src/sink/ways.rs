//! The three ways to make a copy: prepend, copy, hold by reference; each where it fits, else the next.

use arrayvec::Drain;

use super::Sink;
use crate::burst::BURST_MAX;
use crate::copies::{Copies, Wanted};
use crate::copy::{self, Plan};
use crate::drop_reason::Skipped;
use crate::encap::{Encap, Header, with_header};
use crate::outbox::mark;
use crate::port::{Devices, Mbuf};
use crate::tool::ToolPort;

impl Sink<'_> {
    /// Makes all copies of a burst, as many as are left to be made.
    pub(crate) fn copy_all<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frames: &mut [D::Mbuf],
        copies: Copies<'_>,
    ) {
        match (self.header, self.strips) {
            (Some(Encap::V4(header)), false) => {
                let whole = self.whole_len_max;
                for turn in 0..self.left as u8 {
                    let wanted = copies.wanted::<false>(turn);
                    self.copy(tool, header, whole, &mut frames[copies.frame(turn)], wanted);
                }
            }
            _ => {
                for turn in 0..self.left as u8 {
                    let wanted = copies.wanted::<true>(turn);
                    self.copy_one(tool, &mut frames[copies.frame(turn)], wanted);
                }
            }
        }
    }

    /// Makes each of a burst's frames its own copy, as many as are left to be made.
    pub(crate) fn give_all<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frames: Drain<'_, D::Mbuf, BURST_MAX>,
        copies: Copies<'_>,
    ) {
        match (self.header, self.strips) {
            (Some(Encap::V4(header)), false) => {
                let whole = self.whole_len_max;
                for (turn, frame) in (0..).zip(frames) {
                    self.give(tool, header, whole, frame, copies.wanted::<false>(turn));
                }
            }
            _ => {
                for (turn, frame) in (0..).zip(frames) {
                    self.give_one(tool, frame, copies.wanted::<true>(turn));
                }
            }
        }
    }

    /// Makes a copy of a frame that stays.
    #[expect(
        clippy::inline_always,
        reason = "the loop over a burst keeps in registers what it needs"
    )]
    #[inline(always)]
    pub(crate) fn copy_one<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frame: &mut D::Mbuf,
        wanted: Wanted,
    ) {
        let wanted = self.heed(wanted);
        match self.way(tool, wanted) {
            Some((Encap::V4(header), whole)) => self.copy(tool, header, whole, frame, wanted),
            Some((Encap::V6(header), whole)) => self.copy(tool, header, whole, frame, wanted),
            // Rarer, and each kind more costs all others.
            _ => self.copy_any(tool, frame, wanted),
        }
    }

    /// Makes a copy of a frame that another is still wanted of.
    #[inline(never)]
    pub(crate) fn copy_lent<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frame: &D::Mbuf,
        wanted: Wanted,
    ) {
        let wanted = self.heed(wanted);
        if let Some((encap, plan)) = self.plan(tool, frame.len(), wanted) {
            self.copy_planned(tool, frame, encap, plan, wanted);
        }
    }

    /// Makes a frame its own copy, or a copy of it where its buffer or the tool port don't allow that.
    #[inline]
    pub(crate) fn give_one<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frame: D::Mbuf,
        wanted: Wanted,
    ) {
        let wanted = self.heed(wanted);
        match self.way(tool, wanted) {
            Some((Encap::V4(header), whole)) => self.give(tool, header, whole, frame, wanted),
            Some((Encap::V6(header), whole)) => self.give(tool, header, whole, frame, wanted),
            // Rarer, and each kind more costs all others.
            _ => self.give_any(tool, frame, wanted),
        }
    }

    /// Tags stay where they are to be kept.
    #[inline]
    fn heed(&self, wanted: Wanted) -> Wanted {
        Wanted { strip: if self.strips { wanted.strip } else { 0 }, ..wanted }
    }

    #[expect(
        clippy::inline_always,
        reason = "the loop over a burst keeps in registers what it needs"
    )]
    #[inline(always)]
    fn copy<D: Devices, H: Header>(
        &mut self,
        tool: &mut ToolPort<D>,
        header: &H,
        whole_len_max: usize,
        frame: &mut D::Mbuf,
        wanted: Wanted,
    ) {
        let len = frame.len();
        if wanted.strip == 0 && len <= whole_len_max {
            if len >= self.share_len_min && self.share(tool, header, frame, wanted) {
                return;
            }
            if frame.is_contiguous()
                && let Some(mut empty) = tool.empty()
                && copy::copy_plain(&mut empty, frame, header, wanted.flow_hash)
            {
                return self.push(tool, empty, len, 0);
            }
        }
        self.copy_any(tool, frame, wanted);
    }

    #[inline(never)]
    fn copy_any<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frame: &mut D::Mbuf,
        wanted: Wanted,
    ) {
        let len = frame.len();
        let Some((encap, plan)) = self.plan(tool, len, wanted) else { return };
        if usize::from(plan.inner_len) == len && len >= self.share_len_min {
            let is_done = with_header!(encap, header => self.share(tool, header, frame, wanted));
            if is_done {
                return;
            }
        }
        self.copy_planned(tool, frame, encap, plan, wanted);
    }

    /// Makes a copy that holds the frame's buffers behind a header of its own. False (and no change)
    /// where that is not to be had now: then it is copied.
    #[inline]
    fn share<D: Devices, H: Header>(
        &mut self,
        tool: &mut ToolPort<D>,
        header: &H,
        frame: &mut D::Mbuf,
        wanted: Wanted,
    ) -> bool {
        if self.credit == 0 {
            return false;
        }
        let Some(mut lead) = tool.lead(self.run.session) else { return false };
        let inner_len = frame.len();
        if !lead.share(frame)
            || !copy::put_header(&mut lead, header, inner_len as u16, wanted.flow_hash)
        {
            tool.return_lead(lead);
            return false;
        }
        self.credit -= 1;
        lead.inherit(frame);
        self.push(tool, lead, inner_len, mark::SHARED);
        true
    }

    #[expect(
        clippy::inline_always,
        reason = "the loop over a burst keeps in registers what it needs"
    )]
    #[inline(always)]
    fn give<D: Devices, H: Header>(
        &mut self,
        tool: &mut ToolPort<D>,
        header: &H,
        whole_len_max: usize,
        mut frame: D::Mbuf,
        wanted: Wanted,
    ) {
        let inner_len = frame.len();
        if frame.is_contiguous()
            && wanted.strip == 0
            && inner_len <= whole_len_max
            && copy::put_header(&mut frame, header, inner_len as u16, wanted.flow_hash)
        {
            self.push(tool, frame, inner_len, 0);
        } else {
            self.give_any(tool, frame, wanted);
        }
    }

    #[inline(never)]
    fn give_any<D: Devices>(&mut self, tool: &mut ToolPort<D>, mut frame: D::Mbuf, wanted: Wanted) {
        let Some((encap, mut plan)) = self.plan(tool, frame.len(), wanted) else { return };
        let is_sendable = frame.is_contiguous() || tool.outbox_mut(self.is_pooled).takes_chains();
        if is_sendable && copy::can_strip_in_place(&frame, plan.strip) {
            let hash = wanted.flow_hash;
            let is_done =
                with_header!(encap, header => copy::prepend(&mut frame, header, plan, hash));
            if is_done {
                return self.push_planned(tool, frame, plan);
            }
            plan.strip = 0;
        }
        self.copy_planned(tool, &frame, encap, plan, wanted);
    }

    fn copy_planned<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        frame: &D::Mbuf,
        encap: &Encap,
        plan: Plan,
        wanted: Wanted,
    ) {
        let made = tool.empty().and_then(|mut empty| {
            let hash = wanted.flow_hash;
            let fits =
                with_header!(encap, header => copy::copy(&mut empty, frame, header, plan, hash));
            fits.then_some(empty)
        });
        match made {
            Some(copy) => self.push_planned(tool, copy, plan),
            None => self.skipped[Skipped::NoMbuf as usize] += 1,
        }
    }

    fn push_planned<D: Devices>(&mut self, tool: &mut ToolPort<D>, copy: D::Mbuf, plan: Plan) {
        let marks = if plan.is_truncated { mark::TRUNCATED } else { 0 };
        self.push(tool, copy, plan.inner_len.into(), marks);
    }
}
