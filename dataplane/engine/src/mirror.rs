//! The stages between receive and send, over one burst: parse, attribute, classify, copy.
//!
//! Stages never call stages; [`mirror_burst`] calls each in turn. Each leaves its results in
//! [`Scratch`], which a worker allocates once.

use crate::burst::{BURST_MAX, Burst};
use crate::copies::{Copies, Outlets, give_copies, make_copies};
use crate::copy::gather;
use crate::drop_reason::Unmirrored;
use crate::exempt::Exemption;
use crate::flow_key::FlowKey;
use crate::parse::{HEADERS_LEN_MAX, Kind, Parsed, parse};
use crate::port::{Devices, Mbuf};
use crate::rule::RuleAction;
use crate::rule_table::{Match, RuleTable};
use crate::source::Source;
use crate::tool::COPIES_MAX;
use crate::units::{PortIndex, SessionIndex};
use crate::view::View;
use crate::wire::ethernet::ADDRESSES_LEN;

/// What an evaluation wants before a session is found, and after none is.
const NOTHING: SessionIndex = SessionIndex(u32::MAX);

/// Evaluations of one burst, a frame's beside each other, by columns: each stage writes whole words
/// that the next reads whole.
struct Evaluations {
    len: usize,
    /// Which frame of the burst.
    frame: [u8; COPIES_MAX],
    /// For whom; [`Source::NONE`] when rules are not asked (any more).
    source: [Source; COPIES_MAX],
    /// Whose copy is wanted, or [`NOTHING`].
    wanted: [SessionIndex; COPIES_MAX],
}

impl Evaluations {
    #[inline]
    fn push(&mut self, frame: usize, source: Source, wanted: SessionIndex) {
        self.frame[self.len] = frame as u8;
        self.source[self.len] = source;
        self.wanted[self.len] = wanted;
        self.len += 1;
    }

    /// Leaves only those that want a copy, in order.
    fn keep_wanted(&mut self) {
        let mut kept = 0;
        for place in 0..self.len {
            // Written always, kept when it is wanted: no branch to mispredict.
            self.frame[kept] = self.frame[place];
            self.wanted[kept] = self.wanted[place];
            kept += usize::from(self.wanted[place] != NOTHING);
        }
        self.len = kept;
    }
}

/// The intermediate results of one burst.
pub struct Scratch {
    parsed: [Parsed; BURST_MAX],
    keys: [FlowKey; BURST_MAX],
    evaluations: Evaluations,
    /// The lookup at hand: frames, their evaluations, what was found.
    which: [u8; COPIES_MAX],
    places: [u8; COPIES_MAX],
    matches: [Match; COPIES_MAX],
    headers: Box<[u8]>,
}

impl Scratch {
    fn copies(&self) -> Copies<'_> {
        let Evaluations { len, frame, wanted, .. } = &self.evaluations;
        let (frames, sessions) = (&frame[..*len], &wanted[..*len]);
        Copies { frames, sessions, parsed: &self.parsed, keys: &self.keys }
    }
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
            keys: [FlowKey::EMPTY; BURST_MAX],
            evaluations: Evaluations {
                len: 0,
                frame: [0; COPIES_MAX],
                source: [Source::NONE; COPIES_MAX],
                wanted: [NOTHING; COPIES_MAX],
            },
            which: [0; COPIES_MAX],
            places: [0; COPIES_MAX],
            matches: [Match::NONE; COPIES_MAX],
            headers: vec![0; HEADERS_LEN_MAX].into(),
        }
    }
}

/// Mirrors one burst that `port` received. `is_tap` says that nobody else needs the frames: then
/// they are consumed. Copies wait in their tool ports
/// for the caller to flush. Thread: worker. Cost: no allocation, no lock, no clock.
pub fn mirror_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    port: PortIndex,
    is_tap: bool,
    frames: &mut Burst<D::Mbuf>,
    scratch: &mut Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    parse_burst(frames.frames(), scratch); //                                              1 parse
    attribute_burst(view, port, frames.frames(), scratch, &mut outlets.worker.unmirrored); // 2
    classify_burst(view, scratch, outlets); //                                          3 classify
    scratch.evaluations.keep_wanted();
    let copies = scratch.copies();
    if is_tap {
        give_copies(view, frames, copies, outlets); //                       4 copy, 5 encapsulate
    } else {
        make_copies(view, frames.frames(), copies, outlets);
    }
}

fn parse_burst<M: Mbuf>(frames: &[M], scratch: &mut Scratch) {
    let places = scratch.parsed.iter_mut().zip(&mut scratch.keys);
    for (frame, (parsed, key)) in frames.iter().zip(places) {
        if parse(frame.head(), frame.len(), parsed, key).is_err() {
            let held = gather(frame, 0, &mut scratch.headers);
            let whole = parse(&scratch.headers[..held], frame.len(), parsed, key);
            debug_assert!(whole.is_ok(), "no header reaches beyond HEADERS_LEN_MAX");
        }
    }
}

fn attribute_burst<M: Mbuf, T: RuleTable>(
    view: &View<T>,
    port: PortIndex,
    frames: &[M],
    scratch: &mut Scratch,
    unmirrored: &mut [u64; Unmirrored::COUNT],
) {
    let sources = &view.ports[port.at()];
    let of_all = sources.of_all();
    let evaluations = &mut scratch.evaluations;
    evaluations.len = 0;
    let parsed = scratch.parsed.iter().zip(&scratch.keys);
    for (at, (frame, (parsed, key))) in frames.iter().zip(parsed).enumerate() {
        let of_frame = if let Some(of_all) = of_all {
            of_all
        } else if frame.head().len() < ADDRESSES_LEN && !frame.is_contiguous() {
            let mut addresses = [0; ADDRESSES_LEN];
            let held = gather(frame, 0, &mut addresses);
            sources.sources(&addresses[..held], parsed.vid)
        } else {
            sources.sources(frame.head(), parsed.vid)
        };
        if of_frame == [Source::NONE; 2] {
            unmirrored[Unmirrored::NoSource as usize] += 1;
            continue;
        }
        let settled = settle_early(view, *parsed, key);
        for source in of_frame.into_iter().filter(|source| source.is_some()) {
            match settled {
                None => evaluations.push(at, source, NOTHING),
                Some(Settled::Unmirrored(reason)) => unmirrored[reason as usize] += 1,
                Some(Settled::AmazonDns) => match view.amazon_dns(source.interface()) {
                    Some(session) => evaluations.push(at, Source::NONE, session),
                    None => unmirrored[Unmirrored::NoMatch as usize] += 1,
                },
            }
        }
    }
}

/// What is settled before any rule is asked.
#[derive(Clone, Copy)]
enum Settled {
    Unmirrored(Unmirrored),
    AmazonDns,
}

#[inline]
fn settle_early<T: RuleTable>(view: &View<T>, parsed: Parsed, key: &FlowKey) -> Option<Settled> {
    match parsed.kind {
        Kind::Malformed => Some(Settled::Unmirrored(Unmirrored::Malformed)),
        Kind::NotIp => Some(Settled::Unmirrored(Unmirrored::NotIp)),
        Kind::Ip => view.exempt.of(key).map(|exemption| match exemption {
            Exemption::NeverMirrored => Settled::Unmirrored(Unmirrored::NeverMirrored),
            Exemption::AmazonDns => Settled::AmazonDns,
        }),
    }
}

/// Looks up all evaluations that rules are asked for, those of one source and direction at a time.
fn classify_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    scratch: &mut Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    let Scratch { evaluations, keys, which, places, matches, .. } = scratch;
    for start in 0..evaluations.len {
        let source = evaluations.source[start];
        if !source.is_some() {
            continue;
        }
        let table = view.table(source.interface(), source.direction());
        if start == 0 && evaluations.source[..evaluations.len].iter().all(|&other| other == source)
        {
            // Usually all are of one source and direction: nothing has to be sorted out.
            let matches = &mut matches[..evaluations.len];
            table.classify(keys, &evaluations.frame[..evaluations.len], matches);
            for (wanted, &found) in evaluations.wanted.iter_mut().zip(&*matches) {
                *wanted = settle(table, found, outlets);
            }
            break;
        }
        let mut count = 0;
        for place in start..evaluations.len {
            // Written always, kept when it is one: no branch to mispredict.
            which[count] = evaluations.frame[place];
            places[count] = place as u8;
            count += usize::from(evaluations.source[place] == source);
        }
        let matches = &mut matches[..count];
        table.classify(keys, &which[..count], matches);
        for (&place, &found) in places.iter().zip(&*matches) {
            evaluations.source[usize::from(place)] = Source::NONE;
            evaluations.wanted[usize::from(place)] = settle(table, found, outlets);
        }
    }
}

/// Counts what a lookup found; the session that wants a copy, or [`NOTHING`].
#[inline]
fn settle<D: Devices, T: RuleTable>(
    table: &T,
    found: Match,
    outlets: &mut Outlets<'_, D>,
) -> SessionIndex {
    let Some(verdict) = table.verdict(found) else {
        outlets.worker.unmirrored[Unmirrored::NoMatch as usize] += 1;
        return NOTHING;
    };
    outlets.view.rule_hits[verdict.rule.at()] += 1;
    match verdict.action {
        RuleAction::Accept => verdict.session,
        RuleAction::Reject => {
            outlets.worker.unmirrored[Unmirrored::Rejected as usize] += 1;
            NOTHING
        }
    }
}
