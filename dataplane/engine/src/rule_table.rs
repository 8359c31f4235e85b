//! First-match tables: all sessions of one source and direction, settled by one lookup.
//!
//! The rules of the sessions stand one behind the other, sessions by ascending number, rules by
//! ascending number within them. So the first match of the whole list is what EC2 wants: the first
//! session in which any rule matches settles the packet, accept or reject, and only a packet that
//! matches nothing in one session is looked at by the next.

mod linear;

pub use linear::LinearTable;

use crate::flow_key::FlowKey;
use crate::rule::FilterRule;
use crate::units::{RuleIndex, SessionIndex};

/// What a lookup settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No rule of any session matches.
    NoMatch,
    /// The session wants a copy, because of the rule.
    Accept {
        /// Whose copy.
        session: SessionIndex,
        /// Which rule settled it.
        rule: RuleIndex,
    },
    /// Settled without a copy by the rule.
    Reject {
        /// Whose filter it was.
        session: SessionIndex,
        /// Which rule settled it.
        rule: RuleIndex,
    },
}

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

/// A compiled, immutable, ordered set of rules; shared by all workers.
pub trait RuleTable: Send + Sync + Sized {
    /// Compiles rules, the first of which goes first. Thread: publisher.
    fn compile(rules: &[TableRule<'_>]) -> Self;

    /// Settles each key: `verdicts[n]` is that of `keys[n]`; both have the same length.
    /// Thread: worker. Cost: no allocation.
    fn classify(&self, keys: &[FlowKey], verdicts: &mut [Verdict]);
}
