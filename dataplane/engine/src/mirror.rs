//! The stages between receive and send, over one burst: parse, attribute, classify, copy.
//!
//! Stages never call stages; [`mirror_burst`] calls each in turn. Each leaves its results in
//! [`Scratch`], which a worker allocates once.

use arrayvec::ArrayVec;

use crate::burst::{BURST_MAX, Burst};
use crate::copy::{self, gather};
use crate::drop_reason::{Skipped, Unmirrored};
use crate::flow_key::FlowKey;
use crate::parse::{HEADERS_LEN_MAX, Kind, Parsed, parse};
use crate::port::{Devices, Mbuf};
use crate::rule::Direction;
use crate::rule_table::{RuleTable, Verdict};
use crate::source::Source;
use crate::stats::{SessionStats, ViewStats, WorkerStats};
use crate::tool::{COPIES_MAX, CopyMeta, ToolPort};
use crate::units::{PortIndex, SessionIndex};
use crate::view::View;

/// One frame for one of its sources.
#[derive(Debug, Clone, Copy)]
struct Evaluation {
    frame: u8,
    state: State,
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Rules have to be looked up.
    Pending(Source),
    /// Nothing is mirrored.
    Settled,
    /// The session wants a copy.
    Wanted(SessionIndex),
}

/// The intermediate results of one burst.
pub struct Scratch {
    parsed: [Parsed; BURST_MAX],
    evaluations: ArrayVec<Evaluation, COPIES_MAX>,
    keys: ArrayVec<FlowKey, COPIES_MAX>,
    places: ArrayVec<u8, COPIES_MAX>,
    verdicts: [Verdict; COPIES_MAX],
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
            evaluations: ArrayVec::new(),
            keys: ArrayVec::new(),
            places: ArrayVec::new(),
            verdicts: [Verdict::NoMatch; COPIES_MAX],
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
/// they are consumed, and what is left of the burst is to be freed. Copies wait in their tool ports
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
    for (frame, parsed) in frames.iter().zip(&mut scratch.parsed) {
        *parsed = parse(frame.head(), frame.len()).unwrap_or_else(|_split| {
            let held = gather(frame, 0, &mut scratch.headers);
            parse(&scratch.headers[..held], frame.len()).unwrap_or(Parsed::EMPTY)
        });
    }
}

fn attribute_burst<M: Mbuf, T: RuleTable>(
    view: &View<T>,
    port: PortIndex,
    frames: &[M],
    scratch: &mut Scratch,
    unmirrored: &mut [u64; Unmirrored::COUNT],
) {
    scratch.evaluations.clear();
    let sources = &view.ports[port.at()];
    for (at, (frame, parsed)) in frames.iter().zip(&scratch.parsed).enumerate() {
        let (egress, ingress) = if frame.head().len() < 12 && !frame.is_contiguous() {
            let mut addresses = [0; 12];
            let held = gather(frame, 0, &mut addresses);
            sources.sources(&addresses[..held], parsed.vid)
        } else {
            sources.sources(frame.head(), parsed.vid)
        };
        let mut evaluations = 0;
        for source in [egress, ingress].into_iter().flatten() {
            evaluations += 1;
            let state = match admit(view, parsed, source) {
                Ok(state) => state,
                Err(reason) => {
                    unmirrored[reason as usize] += 1;
                    continue;
                }
            };
            scratch.evaluations.push(Evaluation { frame: at as u8, state });
        }
        if evaluations == 0 {
            unmirrored[Unmirrored::NoSource as usize] += 1;
        }
    }
}

/// Settles what rules never see.
fn admit<T: RuleTable>(
    view: &View<T>,
    parsed: &Parsed,
    source: Source,
) -> Result<State, Unmirrored> {
    match parsed.kind {
        Kind::Malformed => Err(Unmirrored::Malformed),
        Kind::NotIp => Err(Unmirrored::NotIp),
        Kind::Ip if view.exempt.is_never_mirrored(&parsed.key) => Err(Unmirrored::NeverMirrored),
        Kind::Ip if view.exempt.is_amazon_dns(&parsed.key) => {
            view.amazon_dns(source.0).map(State::Wanted).ok_or(Unmirrored::NoMatch)
        }
        Kind::Ip => Ok(State::Pending(source)),
    }
}

/// Looks up all pending evaluations, those of one source and direction at a time.
fn classify_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    scratch: &mut Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    let mut start = 0;
    while let Some((at, source)) = next_pending(&scratch.evaluations, start) {
        scratch.keys.clear();
        scratch.places.clear();
        for (place, evaluation) in scratch.evaluations.iter().enumerate().skip(at) {
            if evaluation.state == State::Pending(source) {
                scratch.keys.push(scratch.parsed[usize::from(evaluation.frame)].key);
                scratch.places.push(place as u8);
            }
        }
        let (interface, direction): (_, Direction) = source;
        let verdicts = &mut scratch.verdicts[..scratch.keys.len()];
        view.table(interface, direction).classify(&scratch.keys, verdicts);
        for (&place, &verdict) in scratch.places.iter().zip(&*verdicts) {
            scratch.evaluations[usize::from(place)].state = settle(verdict, outlets);
        }
        start = at + 1;
    }
}

fn next_pending(evaluations: &[Evaluation], start: usize) -> Option<(usize, Source)> {
    evaluations.iter().enumerate().skip(start).find_map(|(at, evaluation)| match evaluation.state {
        State::Pending(source) => Some((at, source)),
        _ => None,
    })
}

fn settle<D: Devices>(verdict: Verdict, outlets: &mut Outlets<'_, D>) -> State {
    match verdict {
        Verdict::Accept { session, rule } => {
            outlets.view.rule_hits[rule.at()] += 1;
            State::Wanted(session)
        }
        Verdict::Reject { rule, .. } => {
            outlets.view.rule_hits[rule.at()] += 1;
            outlets.worker.unmirrored[Unmirrored::Rejected as usize] += 1;
            State::Settled
        }
        Verdict::NoMatch => {
            outlets.worker.unmirrored[Unmirrored::NoMatch as usize] += 1;
            State::Settled
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
    for evaluation in &scratch.evaluations {
        if let State::Wanted(session) = evaluation.state {
            let frame = &frames[usize::from(evaluation.frame)];
            let parsed = &scratch.parsed[usize::from(evaluation.frame)];
            let wanted =
                Wanted { session, flow_hash: parsed.key.hash(), strip: strip(view, parsed) };
            copy_one(view, frame, wanted, outlets);
        }
    }
}

/// Copies out of frames that end here; the last copy of each is the frame itself.
fn give_burst<D: Devices, T: RuleTable>(
    view: &View<T>,
    frames: &mut Burst<D::Mbuf>,
    scratch: &Scratch,
    outlets: &mut Outlets<'_, D>,
) {
    let count = frames.len();
    let mut unwanted = Burst::new();
    let mut rest = scratch.evaluations.as_slice();
    for (at, frame) in frames.take_front(count).enumerate() {
        let own = rest.iter().take_while(|evaluation| usize::from(evaluation.frame) == at).count();
        let (of_frame, of_others) = rest.split_at(own);
        rest = of_others;
        let mut wanted = of_frame.iter().filter_map(|evaluation| match evaluation.state {
            State::Wanted(session) => Some(session),
            _ => None,
        });
        let parsed = &scratch.parsed[at];
        let Some(mut session) = wanted.next() else {
            let fits = unwanted.push(frame);
            debug_assert!(fits.is_ok(), "as many frames as the burst had");
            continue;
        };
        let (flow_hash, strip) = (parsed.key.hash(), strip(view, parsed));
        if let Some(last) = wanted.next() {
            copy_one(view, &frame, Wanted { session, flow_hash, strip }, outlets);
            session = last;
        }
        give_one(view, frame, Wanted { session, flow_hash, strip }, outlets);
    }
    *frames = unwanted;
}

/// A copy to be made.
#[derive(Clone, Copy)]
struct Wanted {
    session: SessionIndex,
    flow_hash: u16,
    strip: usize,
}

fn strip<T: RuleTable>(view: &View<T>, parsed: &Parsed) -> usize {
    if view.keep_inner_vlan { 0 } else { parsed.tags_len.into() }
}

/// Counts a copy that a session wants, and the reason if it can't be had.
fn counted<T>(
    sessions: &mut [SessionStats],
    session: SessionIndex,
    copied: Result<T, Skipped>,
) -> Option<T> {
    let stats = &mut sessions[session.at()];
    stats.matched += 1;
    copied.map_err(|reason| stats.skipped[reason as usize] += 1).ok()
}

fn copy_one<D: Devices, T: RuleTable>(
    view: &View<T>,
    frame: &D::Mbuf,
    wanted: Wanted,
    outlets: &mut Outlets<'_, D>,
) {
    let copied = try_copy(view, frame, wanted, outlets.tools, outlets.links_up);
    counted(&mut outlets.view.sessions, wanted.session, copied);
}

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
    tool.push(copy, meta(wanted, &plan));
    Ok(())
}

fn give_one<D: Devices, T: RuleTable>(
    view: &View<T>,
    frame: D::Mbuf,
    wanted: Wanted,
    outlets: &mut Outlets<'_, D>,
) {
    let given = try_give(view, frame, wanted, outlets.tools, outlets.links_up);
    counted(&mut outlets.view.sessions, wanted.session, given);
}

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
            tool.push(frame, meta(wanted, &plan));
            return Ok(());
        }
        left.strip = 0;
    }
    let mut copy = tool.empty().ok_or(Skipped::NoMbuf)?;
    let plan = copy::Plan { strip: left.strip, ..plan };
    if !copy::copy(&mut copy, &frame, encap, &plan, wanted.flow_hash) {
        return Err(Skipped::NoMbuf);
    }
    tool.push(copy, meta(wanted, &plan));
    Ok(())
}

/// What a copy needs before a buffer is touched.
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

fn meta(wanted: Wanted, plan: &copy::Plan) -> CopyMeta {
    CopyMeta {
        session: wanted.session,
        inner_len: plan.inner_len.into(),
        is_truncated: plan.is_truncated,
    }
}
