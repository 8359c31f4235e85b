//! First-match tables: all sessions of one source and direction, settled by one lookup.
//!
//! The rules of the sessions stand one behind the other, sessions by ascending number, rules by
//! ascending number within them. So the first match of the whole list is what EC2 wants: the first
//! session in which any rule matches settles the packet, accept or reject, and only a packet that
//! matches nothing in one session is looked at by the next.

mod linear;

pub use linear::LinearTable;

use crate::flow_key::FlowKey;
use crate::rule::{FilterRule, RuleAction};
use crate::units::{RuleIndex, SessionIndex};

/// One rule in its place in a table.
#[derive(Debug, Clone, Copy)]
pub struct TableRule<'a> {
    /// The session for which the rule stands here.
    pub session: SessionIndex,
    /// Its position in the snapshot.
    pub index: RuleIndex,
    /// What it says.
    pub rule: &'a FilterRule,
}

/// What a rule settles, in its place in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The session for which it stands there.
    pub session: SessionIndex,
    /// Its position in the snapshot.
    pub rule: RuleIndex,
    /// Whether the session gets a copy.
    pub action: RuleAction,
}

impl From<&TableRule<'_>> for Verdict {
    fn from(entry: &TableRule<'_>) -> Self {
        Self { session: entry.session, rule: entry.index, action: entry.rule.action }
    }
}

/// The outcome of a lookup: the place of the first rule that matches, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match(u32);

impl Match {
    /// No rule of any session matches.
    pub const NONE: Self = Self(u32::MAX);
}

/// A compiled, immutable, ordered set of rules; shared by all workers.
pub trait RuleTable: Send + Sync + Sized {
    /// Compiles rules, the first of which goes first. Thread: publisher.
    fn compile(rules: &[TableRule<'_>]) -> Self;

    /// Looks up `keys[which[n]]` for each `n`, into `matches[n]`; `which` and `matches` have the
    /// same length, and every place in `which` is one of `keys`. Thread: worker. Cost: no allocation.
    fn classify(&self, keys: &[FlowKey], which: &[u8], matches: &mut [Match]);

    /// What a match settles; `None` for [`Match::NONE`].
    fn verdict(&self, found: Match) -> Option<&Verdict>;
}
