//! The copy stage: makes the copies that one burst wants.
//!
//! Copies leave in the order of their frames, whosever they are. Only where a tool does not take all
//! of them, the session that wants the fewest comes first: it gets them before one that floods.

use arrayvec::ArrayVec;

use crate::burst::Burst;
use crate::copies::{Copies, Given, Outlets, Taken};
use crate::drop_reason::Skipped;
use crate::groups::{Group, Groups};
use crate::outbox::COPIES_MAX;
use crate::port::{Devices, Mbuf};
use crate::sink::{Means, Sink};
use crate::stats::SessionStats;
use crate::tool::ToolPort;
use crate::units::SessionIndex;
use crate::view::View;

/// Counts the copies that a burst wants as wanted, and as not made.
#[cold]
pub(crate) fn forgo_copies(groups: &Groups, sessions: &mut [SessionStats]) {
    for group in groups.all() {
        let stats = &mut sessions[group.session.at()];
        stats.matched += u64::from(group.len);
        stats.skipped[Skipped::Overloaded as usize] += u64::from(group.len);
    }
}

/// Copies out of frames that go on, by reference where `may_share`.
#[inline(never)]
pub fn make_copies<D: Devices, T>(
    view: &View<T>,
    frames: &mut [D::Mbuf],
    may_share: bool,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    if copies.frames.is_empty() {
        return;
    }
    let means = if may_share { Means::Share } else { Means::Copy };
    if let Some(session) = copies.groups.only() {
        let count = copies.frames.len();
        let opened = Sink::open(view, session, copies.has_tags, count, means, outlets);
        let Some(mut sink) = opened else { return };
        if let Some(tool) = &mut outlets.tools[sink.port().at()] {
            sink.copy_all(tool, frames, copies);
        }
        sink.close(outlets);
    } else {
        let mut sinks = Sinks::new();
        sinks.open(view, copies, means, outlets);
        for turn in sinks.turns(copies) {
            if let Some((sink, tool)) = sinks.of_copy(turn, copies, outlets) {
                sink.copy_one(tool, &mut frames[copies.frame(turn)], copies.wanted::<true>(turn));
            }
        }
        sinks.close(outlets);
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
    match copies.groups.only() {
        Some(session) if copies.want_each(frames.len()) => {
            give_all(view, frames, session, copies, outlets);
        }
        Some(_) | None => give_some(view, frames, copies, outlets),
    }
    D::Mbuf::free_bulk(frames);
}

fn give_all<D: Devices, T>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    session: SessionIndex,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let count = frames.len();
    let opened = Sink::open(view, session, copies.has_tags, count, Means::Give, outlets);
    let Some(mut sink) = opened else { return };
    if let Some(tool) = &mut outlets.tools[sink.port().at()] {
        sink.give_all(tool, frames.storage_mut().drain(..sink.left), copies);
    }
    sink.close(outlets);
}

/// Leaves the frames that nobody took in the burst.
fn give_some<D: Devices, T>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let mut given = Given::new(frames, copies.frames);
    let mut sinks = Sinks::new();
    sinks.open(view, copies, Means::Give, outlets);
    for turn in sinks.turns(copies) {
        let place = copies.frame(turn);
        let Some((sink, tool)) = sinks.of_copy(turn, copies, outlets) else {
            given.forgo(place);
            continue;
        };
        let wanted = copies.wanted::<true>(turn);
        match given.take(place) {
            Taken::Whole(frame) => sink.give_one(tool, frame, wanted),
            Taken::Lent(frame) => sink.copy_lent(tool, frame, wanted),
            Taken::Gone => debug_assert!(false, "at most two copies of a frame"),
        }
    }
    sinks.close(outlets);
    frames.storage_mut().extend(given.frames.into_iter().flatten());
}

/// The sinks of all sessions that want copies of a burst.
struct Sinks<'a> {
    /// By the place of the session's group; `None` where nothing can leave.
    sinks: ArrayVec<Option<Sink<'a>>, COPIES_MAX>,
    /// Some tool does not take all copies.
    is_congested: bool,
}

impl<'a> Sinks<'a> {
    /// None yet. To be opened where it lies: it is too large to be moved.
    #[inline]
    fn new() -> Self {
        Self { sinks: ArrayVec::new(), is_congested: false }
    }

    fn open<D: Devices, T>(
        &mut self,
        view: &'a View<T>,
        copies: Copies<'_>,
        means: Means,
        outlets: &mut Outlets<'_, D>,
    ) {
        let groups = copies.groups.all();
        self.is_congested = outlets.tools.iter().flatten().any(ToolPort::is_congested);
        let mut open = |group: &Group| {
            Sink::open(view, group.session, copies.has_tags, group.len.into(), means, outlets)
        };
        if self.is_congested {
            // What can leave is divided in this order.
            self.sinks.extend(groups.iter().map(|_| None));
            for place in copies.groups.by_size() {
                let place = usize::from(place);
                self.sinks[place] = open(&groups[place]);
            }
        } else {
            self.sinks.extend(groups.iter().map(open));
        }
    }

    /// The copies in the order in which they are to be made.
    fn turns(&self, copies: Copies<'_>) -> ArrayVec<u8, COPIES_MAX> {
        let mut turns: ArrayVec<u8, COPIES_MAX> = (0..copies.frames.len() as u8).collect();
        if self.is_congested {
            turns.sort_unstable_by_key(|&turn| {
                let group = copies.groups.of_copy(turn);
                (copies.groups.all()[group].len, group, turn)
            });
        }
        turns
    }

    /// Where a copy goes; `None` when it is not to be made.
    #[inline]
    fn of_copy<'s, D: Devices>(
        &'s mut self,
        turn: u8,
        copies: Copies<'_>,
        outlets: &'s mut Outlets<'_, D>,
    ) -> Option<(&'s mut Sink<'a>, &'s mut ToolPort<D>)> {
        let sink = self.sinks.get_mut(copies.groups.of_copy(turn))?.as_mut()?;
        let tool = outlets.tools[sink.port().at()].as_mut()?;
        sink.left = sink.left.checked_sub(1)?;
        Some((sink, tool))
    }

    fn close<D: Devices>(&mut self, outlets: &mut Outlets<'_, D>) {
        self.sinks.drain(..).flatten().for_each(|sink| sink.close(outlets));
    }
}
