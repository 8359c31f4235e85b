//! The stages between receive and send, over one burst: parse, attribute, classify, police, steer,
//! copy.
//!
//! Stages never call stages; [`mirror_burst`] calls each in turn. Each leaves its results in
//! [`Scratch`], which a worker allocates once.

use crate::attribute::{attribute_burst, settle_exempt};
use crate::burst::{BURST_MAX, Burst};
use crate::classify::{Counters, Lookup, classify_burst};
use crate::copies::{Copies, Outlets};
use crate::copy::gather;
use crate::evaluations::Evaluations;
use crate::flow_key::FlowKey;
use crate::groups::Groups;
use crate::keys::Keys;
use crate::outbox::COPIES_MAX;
use crate::parse::{HEADERS_LEN_MAX, Parsed, Split, parse, plain_keys};
use crate::plain::{Head, SHORT, head_of};
use crate::police::{Policed, police_burst};
use crate::port::{Devices, Mbuf};
use crate::replicate::{forgo_copies, give_copies, make_copies};
use crate::rule_table::RuleTable;
use crate::steer::{Flows, Paths, steer_burst};
use crate::units::PortIndex;
use crate::view::View;

/// The intermediate results of one burst.
pub struct Scratch {
    parsed: [Parsed; BURST_MAX],
    keys: Keys,
    evaluations: Evaluations,
    lookup: Lookup,
    groups: Groups,
    headers: Box<[u8]>,
    paths: Paths,
    /// For the heads of short frames.
    rooms: Box<[Head; BURST_MAX]>,
}

impl core::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            parsed: [Parsed::EMPTY; BURST_MAX],
            keys: Keys::default(),
            evaluations: Evaluations::default(),
            lookup: Lookup::default(),
            groups: Groups::default(),
            headers: vec![0; HEADERS_LEN_MAX].into(),
            paths: [0; COPIES_MAX],
            rooms: Box::new([*SHORT; BURST_MAX]),
        }
    }
}

/// What becomes of the frames of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They end here: they are consumed.
    End,
    /// They go on. `may_share`: the queue by which they leave takes frames that a copy still holds.
    GoOn {
        /// Copies by reference may be made of them.
        may_share: bool,
    },
    /// They go on, and there is no time for copies.
    HurryOn,
}

/// Mirrors one burst that `port` received; returns the bytes of its frames. Copies wait in their tool
/// ports for the caller to flush.
/// Thread: worker. Cost: no allocation, no lock, no clock.
pub fn mirror_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    port: PortIndex,
    fate: Fate,
    frames: &mut Burst<D::Mbuf>,
    scratch: &mut Scratch,
    outlets: &mut Outlets<'_, D>,
) -> usize {
    let (bytes, has_tags) = parse_burst(frames.frames(), scratch);
    let Scratch { parsed, keys, evaluations, lookup, groups, headers, paths, .. } = scratch;
    let sources = evaluations.of_frames_mut();
    attribute_burst(view, port, frames.frames(), parsed, sources);
    settle_exempt(view, frames.len(), parsed, keys, sources, outlets.worker);
    let counters =
        Counters { hits: &mut outlets.view.hits, unmirrored: &mut outlets.worker.unmirrored };
    classify_burst(view, frames.len(), keys, evaluations, lookup, counters);
    if !view.policing.is_off() {
        let burst =
            Policed { frames: frames.frames(), parsed, keys, received_ns: outlets.received_ns };
        police_burst(view, &burst, evaluations, &mut outlets.view.sessions);
    }
    groups.fill(evaluations.wanted());
    if view.steers && fate != Fate::HurryOn {
        let (table, tools) = (outlets.flows.as_deref_mut(), &mut *outlets.view.tools);
        let flows = Flows { frames: frames.frames(), keys, headers, table, tools };
        steer_burst(view, evaluations.frames(), groups, flows, paths);
    }
    let copies = Copies { groups, frames: evaluations.frames(), parsed, has_tags, keys, paths };
    match fate {
        Fate::End => give_copies(view, frames, copies, outlets),
        Fate::GoOn { may_share } => {
            make_copies(view, frames.frames_mut(), may_share, copies, outlets);
        }
        Fate::HurryOn => forgo_copies(groups, &mut outlets.view.sessions),
    }
    bytes
}

/// The keys of all frames, by place, and their bytes: the first stage alone.
pub(crate) fn keys_of_burst<'a, M: Mbuf>(
    frames: &[M],
    scratch: &'a mut Scratch,
) -> (&'a Keys, usize) {
    let (bytes, _) = parse_burst(frames, scratch);
    (&scratch.keys, bytes)
}

/// Parses all frames; returns the bytes of all, and whether any has tags.
fn parse_burst<M: Mbuf>(frames: &[M], scratch: &mut Scratch) -> (usize, bool) {
    let Scratch { parsed, keys, headers, rooms, .. } = scratch;
    let (mut heads, mut bytes, mut tags_len) = ([SHORT; BURST_MAX], 0, 0);
    for ((head, frame), room) in heads.iter_mut().zip(frames).zip(rooms.iter_mut()) {
        *head = head_of(frame.head(), room);
        bytes += frame.len();
    }
    parsed[..frames.len()].fill(Parsed::PLAIN);
    let plain = plain_keys(&heads, frames.len(), keys);
    let all = (1u128 << frames.len()) - 1;
    let mut others = all as u64 & !plain;
    while others != 0 {
        let at = others.trailing_zeros() as usize;
        keys.set(at, &parse_whole(&frames[at], &mut parsed[at], headers));
        tags_len |= parsed[at].tags_len;
        others &= others - 1;
    }
    (bytes, tags_len != 0)
}

/// Parses a frame, whose headers may lie in several segments.
fn parse_whole<M: Mbuf>(frame: &M, parsed: &mut Parsed, headers: &mut [u8]) -> FlowKey {
    parse(frame.head(), frame.len(), parsed).unwrap_or_else(|Split| {
        let held = gather(frame, 0, headers);
        let whole = parse(&headers[..held], frame.len(), parsed);
        debug_assert!(whole.is_ok(), "no header reaches beyond HEADERS_LEN_MAX");
        whole.unwrap_or(FlowKey::EMPTY)
    })
}
