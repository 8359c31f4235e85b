//! First-match tables: all sessions of one source and direction, settled by one lookup.
//!
//! The rules of the sessions stand one behind the other, sessions by ascending number, rules by
//! ascending number within them. So the first match of the whole list is what EC2 wants: the first
//! session in which any rule matches settles the packet, accept or reject, and only a packet that
//! matches nothing in one session is looked at by the next.

mod compiled;
mod linear;
#[cfg(test)]
mod samples;

pub use crate::conditions::Match;
pub use compiled::{BYTES_MAX, BYTES_PER_RULE_MAX, CompiledTable};
pub use linear::LinearTable;

use crate::keys::Keys;
use crate::rule::{FilterRule, RuleAction};
use crate::units::{RuleIndex, SessionIndex};

/// Rules of one table, at most: what lookups and memory cost in the worst case is bounded by it
/// ([`CompiledTable`]).
pub const TABLE_RULES_MAX: usize = 1 << 17;

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

/// What one lookup settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The session that gets a copy; [`SessionIndex::NONE`] for a reject and where no rule matches.
    pub session: SessionIndex,
    /// The rule that matches first; [`RuleIndex::NONE`] where none does.
    pub rule: RuleIndex,
}

impl Verdict {
    /// No rule of any session matches.
    pub const NONE: Self = Self { session: SessionIndex::NONE, rule: RuleIndex::NONE };
}

impl From<&TableRule<'_>> for Verdict {
    fn from(entry: &TableRule<'_>) -> Self {
        let session = match entry.rule.action {
            RuleAction::Accept => entry.session,
            RuleAction::Reject => SessionIndex::NONE,
        };
        Self { session, rule: entry.index }
    }
}

/// The verdicts of rules by place, then that of none.
fn verdicts(rules: &[TableRule<'_>]) -> Vec<Verdict> {
    rules.iter().map(Verdict::from).chain([Verdict::NONE]).collect()
}

/// A compiled, immutable, ordered set of rules; shared by all workers.
pub trait RuleTable: Send + Sync + Sized {
    /// Compiles rules, the first of which goes first. Thread: publisher.
    fn compile(rules: &[TableRule<'_>]) -> Self;

    /// Compiles rules that may differ little from this table's: what did not change is shared.
    /// Thread: publisher.
    #[must_use]
    fn update(&self, rules: &[TableRule<'_>]) -> Self;

    /// Which table it is, of all that were ever made in this process: never 0. `None` where to look up
    /// is as quick as to remember.
    fn id(&self) -> Option<u64>;

    /// Looks up the key at `which[n]` for each `n`, into `matches[n]`; `which` and `matches` have
    /// the same length. Quickest where packets stand side by side in `which`.
    /// Thread: worker. Cost: no allocation.
    fn classify(&self, keys: &Keys, which: &[u8], matches: &mut [Match]);

    /// What matches of this table settle, by [`Match::at`].
    fn verdicts(&self) -> &[Verdict];
}
