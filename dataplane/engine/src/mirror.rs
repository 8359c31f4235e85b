//! The stages between receive and send, over one burst: parse, attribute, classify, copy.
//!
//! Stages never call stages; [`mirror_burst`] calls each in turn. Each leaves its results in
//! [`Scratch`], which a worker allocates once.

use crate::attribute::{attribute_burst, settle_exempt};
use crate::burst::{BURST_MAX, Burst};
use crate::classify::{Counters, Lookup, classify_burst};
use crate::copies::{Copies, Outlets, give_copies, make_copies};
use crate::copy::gather;
use crate::evaluations::Evaluations;
use crate::keys::Keys;
use crate::parse::{HEADERS_LEN_MAX, Parsed, parse};
use crate::port::{Devices, Mbuf};
use crate::rule_table::RuleTable;
use crate::units::PortIndex;
use crate::view::View;

/// The intermediate results of one burst.
pub struct Scratch {
    parsed: [Parsed; BURST_MAX],
    keys: Keys,
    evaluations: Evaluations,
    lookup: Lookup,
    headers: Box<[u8]>,
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
            headers: vec![0; HEADERS_LEN_MAX].into(),
        }
    }
}

/// Mirrors one burst that `port` received; returns the bytes of its frames. `is_tap` says that nobody
/// else needs the frames: then they are consumed. Copies wait in their tool ports for the caller to
/// flush.
/// Thread: worker. Cost: no allocation, no lock, no clock.
pub fn mirror_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    port: PortIndex,
    is_tap: bool,
    frames: &mut Burst<D::Mbuf>,
    scratch: &mut Scratch,
    outlets: &mut Outlets<'_, D>,
) -> usize {
    let bytes = parse_burst(frames.frames(), scratch);
    let Scratch { parsed, keys, evaluations, lookup, .. } = scratch;
    let unmirrored = &mut outlets.worker.unmirrored;
    let sources = evaluations.of_frames_mut();
    attribute_burst(view, port, frames.frames(), parsed, sources);
    settle_exempt(view, frames.len(), parsed, keys, sources, unmirrored);
    let counters = Counters { hits: &mut outlets.view.hits, unmirrored };
    classify_burst(view, frames.len(), keys, evaluations, lookup, counters);
    let (frames_and_end, sessions) = (evaluations.frames_and_end(), evaluations.wanted());
    let copies = Copies { frames_and_end, sessions, parsed, keys };
    if is_tap {
        give_copies(view, frames, copies, outlets);
    } else {
        make_copies(view, frames.frames(), copies, outlets);
    }
    bytes
}

/// Parses all frames; returns the bytes of all.
fn parse_burst<M: Mbuf>(frames: &[M], scratch: &mut Scratch) -> usize {
    let Scratch { parsed, keys, headers, .. } = scratch;
    let mut bytes = 0;
    for ((at, frame), parsed) in frames.iter().enumerate().zip(parsed) {
        bytes += frame.len();
        if parse(frame.head(), frame.len(), at, parsed, keys).is_err() {
            parse_gathered(frame, at, parsed, keys, headers);
        }
    }
    bytes
}

/// Parses a frame whose headers lie in several segments.
#[cold]
fn parse_gathered<M: Mbuf>(
    frame: &M,
    at: usize,
    parsed: &mut Parsed,
    keys: &mut Keys,
    headers: &mut [u8],
) {
    let held = gather(frame, 0, headers);
    let whole = parse(&headers[..held], frame.len(), at, parsed, keys);
    debug_assert!(whole.is_ok(), "no header reaches beyond HEADERS_LEN_MAX");
}
