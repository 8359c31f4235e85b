//! Why a packet is mirrored, or not: what each stage of the engine makes of it, and what decided.
//!
//! ```text
//!  packet text -> packet -> forge -\
//!                                   frame -> the engine's stages, one by one -> Explanation -> text
//!  capture ------------------------/    \--> the engine as a whole (trial) ---/              \-> json
//! ```
//! The stages are the engine's own: its parser, its attribution, its list of what is exempt, its
//! compiled table. Only why a rule does *not* match is found out beside it ([`mismatch`]). The copy is
//! read from what the engine as a whole would have sent.

mod copy;
mod forge;
mod frame;
mod json;
mod mismatch;
mod packet;
mod stranger;
mod text;
mod trial;

use std::sync::Arc;

use engine::drop_reason::Skipped;
use engine::exempt::Cause;
use engine::flow_key::FlowKey;
use engine::keys::Keys;
use engine::neighbors::Neighbors;
use engine::order::Order;
use engine::parse::Malformed;
use engine::rule::Direction;
use engine::rule_table::{Match, RuleTable, Verdict};
use engine::snapshot::Snapshot;
use engine::source::Source;
use engine::units::{InterfaceIndex, PortIndex, RuleIndex, SessionIndex};
use engine::view::View;

pub use copy::{Copy, Cut};
pub use frame::{Content, Frame, Tag};
pub use json::to_json;
pub use mismatch::{End, Mismatch, mismatch};
pub(crate) use packet::{PROTOCOLS, protocol_name};
pub use packet::{Packet, PacketError};
pub use stranger::Stranger;
pub use text::to_text;
pub use trial::{Trace, Trial};

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked about, as a person would name it.
    pub subject: String,
    /// What the engine reads in it.
    pub frame: Frame,
    /// For whom it is looked at: at most two for a frame of a capture.
    pub evaluations: Vec<Evaluation>,
    /// When for nobody: what it lacks to be somebody's.
    pub strangers: Vec<Stranger>,
}

/// What becomes of a packet for one interface, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The port that receives it.
    pub port: PortIndex,
    /// The interface.
    pub interface: InterfaceIndex,
    /// The direction.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// What comes of it.
    pub outcome: Outcome,
}

/// How it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The frame contradicts itself.
    Malformed(Malformed),
    /// It is not IP.
    NotIp,
    /// Rules are not asked; of [`Cause::AmazonDns`] only sessions with the network service are.
    Exempt(Cause),
    /// By rules: sessions in the order in which they were asked.
    Rules(Vec<Asked>),
}

/// A session that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The session.
    pub session: SessionIndex,
    /// Its rules up to the one that settled the packet, in the order in which they were asked; why
    /// each does not match.
    pub rules: Vec<(RuleIndex, Option<Mismatch>)>,
}

/// What comes of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it was settled before any rule was asked.
    Exempt,
    /// Nothing: no session wants it.
    NoMatch,
    /// Nothing: this rule rejects it.
    Rejected(RuleIndex),
    /// A copy for this session, by this rule ([`RuleIndex::NONE`] for Amazon DNS).
    Mirrored(SessionIndex, RuleIndex, Copy),
    /// A copy was wanted, and is not sent.
    Skipped(SessionIndex, RuleIndex, Skipped),
}

/// An engine to ask.
#[derive(Debug)]
pub struct Explainer {
    snapshot: Arc<Snapshot>,
    view: Arc<View>,
    trial: Trial,
}

impl Explainer {
    /// Compiles a snapshot. Errors: all its faults, a sentence each.
    pub fn new(snapshot: Snapshot) -> Result<Self, Vec<String>> {
        // What a session may send depends on what it has sent; nothing of that is known here.
        let mut unlimited = snapshot.clone();
        unlimited.sessions.iter_mut().for_each(|session| session.rate_limit = None);
        let view = Arc::new(View::compile(&unlimited, &Neighbors::offline(&unlimited))?);
        let snapshot = Arc::new(snapshot);
        let trial = Trial::new(Arc::clone(&snapshot), Arc::clone(&view));
        Ok(Self { snapshot, view, trial })
    }

    /// What it was compiled of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Explains a frame that a port received.
    pub fn frame(&mut self, subject: String, port: PortIndex, bytes: &[u8]) -> Explanation {
        let frame = Frame::read(bytes);
        let mut trace = self.trial.run(port, bytes);
        let sources = self.view.ports.get(port.at());
        let [one, other] =
            sources.map_or([Source::NONE; 2], |it| it.sources(bytes, frame.parsed.vid));
        let mut evaluations = Vec::new();
        for source in [one, other.unless_same_interface(one)] {
            if source.is_some() {
                let (interface, direction) = (source.interface(), source.direction());
                let (reason, verdict) = self.settle(&frame, interface, direction);
                let outcome = self.outcome(&frame, verdict, &mut trace);
                evaluations.push(Evaluation { port, interface, direction, reason, outcome });
            }
        }
        let strangers = if evaluations.is_empty() {
            stranger::strangers(&self.snapshot, port, &frame)
        } else {
            Vec::new()
        };
        Explanation { subject, frame, evaluations, strangers }
    }

    /// What comes of a verdict: the copy is the next that the tool port was given.
    fn outcome(&self, frame: &Frame, verdict: Option<Verdict>, trace: &mut Trace) -> Outcome {
        let (session, rule) = match verdict {
            None => return Outcome::Exempt,
            Some(Verdict::NONE) => return Outcome::NoMatch,
            Some(Verdict { session: SessionIndex::NONE, rule }) => return Outcome::Rejected(rule),
            Some(Verdict { session, rule }) => (session, rule),
        };
        let skipped = trace.counters.sessions[session.at()].skipped;
        if let Some(reason) = Skipped::ALL.iter().find(|&&it| skipped[it as usize] > 0) {
            return Outcome::Skipped(session, rule, *reason);
        }
        let tool = self.view.sessions[session.at()].port;
        let strip = if self.view.keep_inner_vlan { 0 } else { frame.parsed.tags_len };
        let copy = trace.copies[tool.at()].pop_front().and_then(|bytes| {
            let with = (&*self.snapshot, &*self.view);
            Copy::read(&bytes, with, session, frame.len, strip.into())
        });
        // Nothing is short of buffers here: there is a copy.
        copy.map_or(Outcome::Skipped(session, rule, Skipped::NoMbuf), |copy| {
            Outcome::Mirrored(session, rule, copy)
        })
    }

    /// Explains a described packet for each interface and direction that `is_meant`.
    pub fn packet(
        &mut self,
        packet: &Packet,
        is_meant: impl Fn(&str, Direction) -> bool,
    ) -> Explanation {
        let snapshot = Arc::clone(&self.snapshot);
        let nobody = forge::stranger(&snapshot.interfaces);
        let untagged = forge::frame(packet, nobody, nobody, None);
        let mut explanation = Explanation {
            subject: format!("packet {packet}"),
            // Its link layer is what each interface would have of it.
            frame: Frame { src: None, dst: None, ..Frame::read(&untagged) },
            evaluations: Vec::new(),
            strangers: Vec::new(),
        };
        for (spec, at) in snapshot.interfaces.iter().zip(0..) {
            for direction in [Direction::Egress, Direction::Ingress] {
                if !is_meant(&spec.id, direction) {
                    continue;
                }
                let own = spec.macs.first().copied().unwrap_or(nobody);
                let (src, dst) = match direction {
                    Direction::Egress => (own, nobody),
                    Direction::Ingress => (nobody, own),
                };
                let frame = forge::frame(packet, src, dst, spec.vlan);
                let port = stranger::port_of(&snapshot, spec, direction);
                let seen = self.frame(String::new(), port, &frame);
                // On a link it may be somebody else's too.
                let is_own = |it: &Evaluation| {
                    it.interface == InterfaceIndex(at) && it.direction == direction
                };
                explanation.evaluations.extend(seen.evaluations.into_iter().filter(is_own));
            }
        }
        explanation
    }

    /// How it is decided, and what; no verdict where no rule and no session is asked.
    fn settle(
        &self,
        frame: &Frame,
        interface: InterfaceIndex,
        direction: Direction,
    ) -> (Reason, Option<Verdict>) {
        let key = match &frame.content {
            Content::Malformed(how) => return (Reason::Malformed(*how), None),
            Content::NotIp(_) => return (Reason::NotIp, None),
            Content::Ip(headers) => headers.key(),
        };
        match self.view.exempt.cause(&key) {
            Some(Cause::AmazonDns) => {
                let session = self.view.amazon_dns(interface).unwrap_or(SessionIndex::NONE);
                let verdict = Verdict { session, rule: RuleIndex::NONE };
                (Reason::Exempt(Cause::AmazonDns), Some(verdict))
            }
            Some(cause) => (Reason::Exempt(cause), None),
            None => {
                let verdict = self.verdict(&key, interface, direction);
                (Reason::Rules(self.asked(&key, interface, direction, verdict)), Some(verdict))
            }
        }
    }

    /// What the source's table settles.
    fn verdict(&self, key: &FlowKey, interface: InterfaceIndex, direction: Direction) -> Verdict {
        let table = self.view.table(interface, direction);
        let (mut keys, mut found) = (Keys::default(), [Match::default()]);
        keys.set(0, key);
        table.classify(&keys, &[0], &mut found);
        table.verdicts()[found[0].at()]
    }

    /// The sessions and rules that are asked until one settles it.
    fn asked(
        &self,
        key: &FlowKey,
        interface: InterfaceIndex,
        direction: Direction,
        verdict: Verdict,
    ) -> Vec<Asked> {
        let mut asked = Vec::new();
        let order = Order::of(&self.snapshot);
        for &(session, spec) in order.sessions(interface) {
            let mut rules = Vec::new();
            let mut is_settled = false;
            for &(index, rule) in order.rules(spec.filter, direction) {
                // Sessions may share a filter: the first one settles.
                is_settled = index == verdict.rule;
                rules.push((index, mismatch(rule, key)));
                if is_settled {
                    break;
                }
            }
            asked.push(Asked { session, rules });
            if is_settled {
                break;
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests;
