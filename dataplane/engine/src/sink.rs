//! One session's way out: makes its copies of a burst, each in the way that fits.

mod ways;

use crate::copies::{Outlets, Wanted};
use crate::copy::{self, Plan};
use crate::drop_reason::Skipped;
use crate::encap::Encap;
use crate::outbox::{Outbox, TallyIndex};
use crate::port::Devices;
use crate::tool::ToolPort;
use crate::units::{PortIndex, SessionIndex};
use crate::view::{SessionView, View};

/// What may be done with the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// They go on: copies are made of them.
    Copy,
    /// They go on, and may be held meanwhile.
    Share,
    /// Nobody else needs them.
    Give,
}

/// Where the copies of one session go.
pub(crate) struct Sink<'a> {
    session: &'a SessionView,
    /// The outer header, when there is but one path to the target.
    header: Option<&'a Encap>,
    /// Tags are to be left out, and there are some.
    strips: bool,
    /// Frames that are not longer stay whole, where there is one path.
    whole_len_max: usize,
    is_pooled: bool,
    /// Copies from so many bytes on are made by reference.
    share_len_min: usize,
    /// How many still may be.
    credit: usize,
    /// How many copies are to be made.
    pub(crate) left: usize,
    /// How many there is room for, less those that have been made.
    unmade: usize,
    run: Run,
    skipped: [u64; Skipped::COUNT],
}

/// Copies that are counted at once.
#[derive(Clone, Copy)]
struct Run {
    session: SessionIndex,
    header_len: usize,
    /// Of no use before the first copy.
    tally: TallyIndex,
    packets: usize,
    inner_bytes: usize,
}

impl Run {
    fn new(session: SessionIndex, header_len: usize) -> Self {
        let tally = TallyIndex::default();
        Self { session, header_len, tally, packets: 0, inner_bytes: 0 }
    }

    /// Out of the loop over a burst: it is for the first copy.
    #[inline(never)]
    fn begin<D: Devices>(&mut self, outbox: &mut Outbox<D>) {
        self.tally = outbox.tally(self.session, self.header_len);
    }
}

impl<'a> Sink<'a> {
    /// Counts `count` copies of a session as wanted, and says in [`Sink::left`] how many are to be
    /// made; `None` when none can leave now. What is not to be made is counted too.
    pub(crate) fn open<D: Devices, T>(
        view: &'a View<T>,
        index: SessionIndex,
        has_tags: bool,
        count: usize,
        means: Means,
        outlets: &mut Outlets<'_, D>,
    ) -> Option<Self> {
        let session = &view.sessions[index.at()];
        let stats = &mut outlets.view.sessions[index.at()];
        stats.matched += count as u64;
        if let [only] = session.paths.as_slice()
            && let Some(tool) = outlets.view.tools.get_mut(only.tool.at())
        {
            tool.copies += count as u64;
        }
        let mut skip = |reason: Skipped, count| stats.skipped[reason as usize] += count as u64;
        let tool = match &mut outlets.tools[session.port.at()] {
            Some(tool) if outlets.links_up[session.port.at()] => tool,
            _ => {
                skip(Skipped::ToolDown, count);
                return None;
            }
        };
        let (header, whole_len_max) = match session.paths.as_slice() {
            [] => {
                skip(Skipped::NoMember, count);
                return None;
            }
            [only] if only.encap.is_none() => {
                skip(Skipped::NoNeighbor, count);
                return None;
            }
            [only] => (only.encap.as_ref(), only.whole_len_max),
            _ => (None, 0),
        };
        let len_min = tool.share_len_min();
        let may_share = means == Means::Share && session.snap_len >= len_min;
        let credit = if may_share { tool.credit(index) } else { 0 };
        let is_pooled = means != Means::Give && session.snap_len < len_min;
        let outbox = tool.outbox_mut(is_pooled);
        let left = outbox.reserve(count);
        skip(Skipped::ToolCongested, count - left);
        Some(Self {
            session,
            header,
            strips: !view.keep_inner_vlan && has_tags,
            whole_len_max,
            is_pooled,
            share_len_min: if credit > 0 { len_min } else { usize::MAX },
            credit,
            left,
            unmade: left,
            run: Run::new(index, header.map_or(0, Encap::header_len)),
            skipped: [0; Skipped::COUNT],
        })
    }

    /// The tool port.
    #[inline]
    pub(crate) fn port(&self) -> PortIndex {
        self.session.port
    }

    /// Ends it: the copies that were made are counted when they are sent.
    pub(crate) fn close<D: Devices>(self, outlets: &mut Outlets<'_, D>) {
        let stats = &mut outlets.view.sessions[self.run.session.at()];
        for (total, count) in stats.skipped.iter_mut().zip(self.skipped) {
            *total += count;
        }
        if let Some(tool) = &mut outlets.tools[self.port().at()] {
            let outbox = tool.outbox_mut(self.is_pooled);
            outbox.give_back(self.unmade);
            outbox.add(self.run.tally, self.run.packets, self.run.inner_bytes);
        }
    }

    /// The outer header of a copy, and how long frames may be that stay whole; `None` where there is none.
    #[inline]
    fn way<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        wanted: Wanted,
    ) -> Option<(&'a Encap, usize)> {
        if let Some(encap) = self.header {
            return Some((encap, self.whole_len_max));
        }
        let path = self.session.paths.get(usize::from(wanted.path))?;
        let encap = path.encap.as_ref()?;
        self.be_in_run_of(encap.header_len(), tool.outbox_mut(self.is_pooled));
        Some((encap, path.whole_len_max))
    }

    /// What a copy needs before a buffer is touched; `None` when it can't be had, which is counted.
    fn plan<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        len: usize,
        wanted: Wanted,
    ) -> Option<(&'a Encap, Plan)> {
        let path = match self.session.paths.as_slice() {
            [only] => Some(only),
            several => several.get(usize::from(wanted.path)),
        };
        let planned = path.ok_or(Skipped::NoMember).and_then(|path| {
            let encap = path.encap.as_ref().ok_or(Skipped::NoNeighbor)?;
            Ok((encap, copy::plan(self.session, path, len, wanted.strip)?))
        });
        match planned {
            Ok((encap, plan)) => {
                self.be_in_run_of(encap.header_len(), tool.outbox_mut(self.is_pooled));
                Some((encap, plan))
            }
            Err(reason) => {
                self.skipped[reason as usize] += 1;
                None
            }
        }
    }

    /// Begins a new run where the copies before went over the other family.
    #[inline]
    fn be_in_run_of<D: Devices>(&mut self, header_len: usize, outbox: &mut Outbox<D>) {
        if header_len != self.run.header_len {
            let Run { session, tally, packets, inner_bytes, .. } = self.run;
            outbox.add(tally, packets, inner_bytes);
            self.run = Run::new(session, header_len);
        }
    }

    #[inline]
    fn push<D: Devices>(
        &mut self,
        tool: &mut ToolPort<D>,
        copy: D::Mbuf,
        inner_len: usize,
        marks: u8,
    ) {
        let outbox = tool.outbox_mut(self.is_pooled);
        if self.run.packets == 0 {
            self.run.begin(outbox);
        }
        self.run.packets += 1;
        self.run.inner_bytes += inner_len;
        self.unmade = self.unmade.saturating_sub(1);
        outbox.push(copy, self.run.tally, marks);
    }
}
