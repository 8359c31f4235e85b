//! The copy stage: makes the copies that one burst wants, session by session.

use crate::burst::Burst;
use crate::copies::{Copies, Given, Outlets};
use crate::encap::{Encap, HeaderV4};
use crate::groups::Groups;
use crate::port::{Devices, Mbuf};
use crate::sink::Sink;
use crate::tool::ToolPort;
use crate::units::SessionIndex;
use crate::view::View;

/// Copies out of frames that go on, by reference where `may_share`.
#[inline(never)]
pub fn make_copies<D: Devices, T>(
    view: &View<T>,
    frames: &mut [D::Mbuf],
    may_share: bool,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    begin(copies.groups, outlets);
    for (session, turns) in copies.groups.iter() {
        let opened = Sink::open(view, session, copies.has_tags, turns.len(), false, outlets);
        let Some((mut sink, header, count)) = opened else { continue };
        if may_share {
            sink.use_credit();
        }
        let turns = &turns[..count];
        match header {
            Some(Encap::V4(header)) => sink.copy_group(Some(header), frames, copies, turns),
            Some(Encap::V6(header)) => sink.copy_group(Some(header), frames, copies, turns),
            None => sink.copy_group(None::<&HeaderV4>, frames, copies, turns),
        }
        sink.close();
    }
    put_in_order(copies.groups, outlets);
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
        _ => give_some(view, frames, copies, outlets),
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
    let opened = Sink::open(view, session, copies.has_tags, frames.len(), true, outlets);
    let Some((mut sink, header, count)) = opened else { return };
    let given = frames.storage_mut().drain(..count);
    match header {
        Some(Encap::V4(header)) => sink.give_all(Some(header), given, copies),
        Some(Encap::V6(header)) => sink.give_all(Some(header), given, copies),
        None => sink.give_all(None::<&HeaderV4>, given, copies),
    }
    sink.close();
}

/// Leaves the frames that nobody took in the burst.
fn give_some<D: Devices, T>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    copies: Copies<'_>,
    outlets: &mut Outlets<'_, D>,
) {
    let mut given = Given::new(frames, copies.frames);
    begin(copies.groups, outlets);
    for (session, turns) in copies.groups.iter() {
        let opened = Sink::open(view, session, copies.has_tags, turns.len(), true, outlets);
        let Some((mut sink, header, count)) = opened else {
            given.forgo(turns, copies);
            continue;
        };
        let (turns, others) = turns.split_at(count);
        match header {
            Some(Encap::V4(header)) => sink.give_group(Some(header), &mut given, copies, turns),
            Some(Encap::V6(header)) => sink.give_group(Some(header), &mut given, copies, turns),
            None => sink.give_group(None::<&HeaderV4>, &mut given, copies, turns),
        }
        sink.close();
        given.forgo(others, copies);
    }
    put_in_order(copies.groups, outlets);
    frames.storage_mut().extend(given.frames.into_iter().flatten());
}

/// Before the copies of several sessions are made.
#[inline]
fn begin<D: Devices>(groups: &Groups, outlets: &mut Outlets<'_, D>) {
    if groups.are_several() {
        outlets.tools.iter_mut().flatten().for_each(ToolPort::begin);
    }
}

/// Copies leave in the order of their frames, whosever they are.
#[inline]
fn put_in_order<D: Devices>(groups: &Groups, outlets: &mut Outlets<'_, D>) {
    if groups.are_several() {
        outlets.tools.iter_mut().flatten().for_each(ToolPort::put_in_order);
    }
}
