//! The stages between receive and send, over one burst: parse, attribute, classify, copy.
//!
//! Stages never call stages; [`mirror_burst`] calls each in turn. Each leaves its results in
//! [`Scratch`], which a worker allocates once.

use crate::burst::{BURST_MAX, Burst};
use crate::copy::{self, gather};
use crate::drop_reason::{Skipped, Unmirrored};
use crate::exempt::Exemption;
use crate::flow_key::FlowKey;
use crate::parse::{HEADERS_LEN_MAX, Kind, Parsed, parse};
use crate::port::{Devices, Mbuf};
use crate::rule::RuleAction;
use crate::rule_table::{Match, RuleTable};
use crate::source::Source;
use crate::stats::{SessionStats, ViewStats, WorkerStats};
use crate::tool::{COPIES_MAX, CopyMeta, ToolPort};
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

    /// Frames and sessions of the wanted copies, in order.
    fn wanted(&self) -> impl Iterator<Item = (usize, SessionIndex)> + '_ {
        let all = self.frame.iter().zip(&self.wanted).take(self.len);
        all.filter(|&(_, &session)| session != NOTHING)
            .map(|(&frame, &session)| (usize::from(frame), session))
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

/// Where a burst's copies go, and where they are counted.
#[derive(Debug)]
pub struct Outlets<'a, D: Devices> {
    /// Tool ports by [`PortIndex`]; `None` for the others.
    pub tools: &'a mut [Option<ToolPort<D>>],
    /// By [`PortIndex`]: the port has a link.
    pub links_up: &'a [bool],
    /// Counters that outlive the view.
    pub worker: &'a mut WorkerStats,
    /// Counters of the view.
    pub view: &'a mut ViewStats,
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
    if is_tap {
        give_burst(view, frames, scratch, outlets); //                       4 copy, 5 encapsulate
    } else {
        copy_burst(view, frames.frames(), scratch, outlets);
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
        let settled = settle_early(view, parsed, key);
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
fn settle_early<T: RuleTable>(view: &View<T>, parsed: &Parsed, key: &FlowKey) -> Option<Settled> {
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
    let evaluations = &mut scratch.evaluations;
    for start in 0..evaluations.len {
        let source = evaluations.source[start];
        if !source.is_some() {
            continue;
        }
        let mut count = 0;
        for place in start..evaluations.len {
            // Written always, kept when it is one: no branch to mispredict.
            scratch.which[count] = evaluations.frame[place];
            scratch.places[count] = place as u8;
            count += usize::from(evaluations.source[place] == source);
        }
        let table = view.table(source.interface(), source.direction());
        let matches = &mut scratch.matches[..count];
        table.classify(&scratch.keys, &scratch.which[..count], matches);
        for (&place, &found) in scratch.places.iter().zip(&*matches) {
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

/// Copies out of frames that go on.
fn copy_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    frames: &[D::Mbuf],
    scratch: &Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    for (at, session) in scratch.evaluations.wanted() {
        copy_one(view, &frames[at], Wanted::new(view, scratch, at, session), outlets);
    }
}

/// Copies out of frames that end here; the last copy of each is the frame itself.
fn give_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    scratch: &Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    let mut unwanted = Burst::new();
    let mut wanted = scratch.evaluations.wanted().peekable();
    // In reverse, so that taking the last off yields them in order.
    frames.frames_mut().reverse();
    for at in 0..frames.len() {
        let Some(frame) = frames.pop() else { break };
        let mut last = None;
        while let Some((_, session)) = wanted.next_if(|&(wanted_at, _)| wanted_at == at) {
            if let Some(earlier) = last.replace(session) {
                copy_one(view, &frame, Wanted::new(view, scratch, at, earlier), outlets);
            }
        }
        if let Some(session) = last {
            give_one(view, frame, Wanted::new(view, scratch, at, session), outlets);
        } else {
            let fits = unwanted.push(frame);
            debug_assert!(fits.is_ok(), "as many frames as the burst had");
        }
    }
    D::Mbuf::free_bulk(&mut unwanted);
}

/// A copy to be made.
#[derive(Clone, Copy)]
struct Wanted {
    session: SessionIndex,
    flow_hash: u16,
    strip: usize,
}

impl Wanted {
    #[inline]
    fn new<T: RuleTable>(
        view: &View<T>,
        scratch: &Scratch,
        frame: usize,
        session: SessionIndex,
    ) -> Self {
        let tags_len = scratch.parsed[frame].tags_len;
        let strip = if view.keep_inner_vlan { 0 } else { tags_len.into() };
        Self { session, flow_hash: scratch.keys[frame].hash(), strip }
    }
}

/// Counts a copy that a session wants, and the reason if it can't be had.
#[inline]
fn counted<T>(
    sessions: &mut [SessionStats],
    session: SessionIndex,
    copied: Result<T, Skipped>,
) -> Option<T> {
    let stats = &mut sessions[session.at()];
    stats.matched += 1;
    copied.map_err(|reason| stats.skipped[reason as usize] += 1).ok()
}

#[inline]
fn copy_one<D: Devices, T: RuleTable>(
    view: &View<T>,
    frame: &D::Mbuf,
    wanted: Wanted,
    outlets: &mut Outlets<'_, D>,
) {
    let copied = try_copy(view, frame, wanted, outlets.tools, outlets.links_up);
    counted(&mut outlets.view.sessions, wanted.session, copied);
}

#[inline]
fn try_copy<D: Devices, T: RuleTable>(
    view: &View<T>,
    frame: &D::Mbuf,
    wanted: Wanted,
    tools: &mut [Option<ToolPort<D>>],
    links_up: &[bool],
) -> Result<(), Skipped> {
    let (tool, encap, plan) = prepare(view, frame, wanted, tools, links_up)?;
    let mut copy = tool.empty().ok_or(Skipped::NoMbuf)?;
    if !copy::copy(&mut copy, frame, encap, &plan, wanted.flow_hash) {
        return Err(Skipped::NoMbuf);
    }
    tool.push(copy, meta(wanted, &plan, encap.header_len()));
    Ok(())
}

#[inline]
fn give_one<D: Devices, T: RuleTable>(
    view: &View<T>,
    frame: D::Mbuf,
    wanted: Wanted,
    outlets: &mut Outlets<'_, D>,
) {
    let given = try_give(view, frame, wanted, outlets.tools, outlets.links_up);
    counted(&mut outlets.view.sessions, wanted.session, given);
}

#[inline]
fn try_give<D: Devices, T: RuleTable>(
    view: &View<T>,
    mut frame: D::Mbuf,
    wanted: Wanted,
    tools: &mut [Option<ToolPort<D>>],
    links_up: &[bool],
) -> Result<(), Skipped> {
    let (tool, encap, plan) = prepare(view, &frame, wanted, tools, links_up)?;
    let is_sendable = frame.is_contiguous() || tool.takes_chains();
    let mut left = wanted;
    if is_sendable && copy::can_strip_in_place(&frame, plan.strip) {
        if copy::prepend(&mut frame, encap, &plan, wanted.flow_hash) {
            tool.push(frame, meta(wanted, &plan, encap.header_len()));
            return Ok(());
        }
        left.strip = 0;
    }
    let mut copy = tool.empty().ok_or(Skipped::NoMbuf)?;
    let plan = copy::Plan { strip: left.strip, ..plan };
    if !copy::copy(&mut copy, &frame, encap, &plan, wanted.flow_hash) {
        return Err(Skipped::NoMbuf);
    }
    tool.push(copy, meta(wanted, &plan, encap.header_len()));
    Ok(())
}

/// What a copy needs before a buffer is touched.
#[inline]
fn prepare<'a, D: Devices, T: RuleTable>(
    view: &'a View<T>,
    frame: &D::Mbuf,
    wanted: Wanted,
    tools: &'a mut [Option<ToolPort<D>>],
    links_up: &[bool],
) -> Result<(&'a mut ToolPort<D>, &'a crate::encap::Encap, copy::Plan), Skipped> {
    let session = &view.sessions[wanted.session.at()];
    let tool = tools[session.port.at()].as_mut().ok_or(Skipped::ToolDown)?;
    if !links_up[session.port.at()] {
        return Err(Skipped::ToolDown);
    }
    let member = session.member(wanted.flow_hash);
    let encap = member.encap.as_ref().ok_or(Skipped::NoNeighbor)?;
    let plan = copy::plan(session, member, frame.len(), wanted.strip)?;
    Ok((tool, encap, plan))
}

#[inline]
fn meta(wanted: Wanted, plan: &copy::Plan, header_len: usize) -> CopyMeta {
    CopyMeta {
        session: wanted.session,
        header_len: header_len as u32,
        inner_len: plan.inner_len.into(),
        is_truncated: plan.is_truncated.into(),
    }
}
