//! `linetap apply`: a template's objects made true by calls of EC2, as CloudFormation does it.
//!
//! ```text
//!  template -> Model \
//!                     plan -> Plan -+-> shown as a diff
//!  EC2      -> Model /  (pure)      +-> its steps, one call after another
//! ```
//! Objects that are made carry two tags, set by the call that makes them: [`STACK`], the name that
//! the template goes by, and [`LOGICAL_ID`]. They are all that is remembered, so a run that broke off
//! is gone on with by the next one. Only what carries the stack's tag is ever changed or deleted;
//! objects of the template that `linetapd` was started with are nobody's here.
//!
//! # What forces a replacement
//! What CloudFormation's reference says, which is what EC2 has no modification for: everything of a
//! target but its tags, the `Description` of a filter, the filter of a rule and the interface of a
//! session. An absent `VirtualNetworkId` leaves the one that a session has.
//!
//! # What a wire sees meanwhile
//! Each step is in force before the next one begins, so packets meet every state in between, and the
//! order keeps those harmless:
//! - Targets, filters and their rules are complete before a session names them, and a session moves
//!   to them in one step. What sessions have left is deleted last.
//! - A rule or session that takes the number of one that goes is made right after that one's deletion:
//!   between these two calls its packets meet neither. Sessions that go are otherwise deleted by
//!   turns with those that are made, so that quotas are kept to.
//! - Of rules that exchange numbers one has another number meanwhile, 32766 or the next free below:
//!   it is tried last. So with sessions.
//! - EC2 allows one target for each network load balancer. When that has to be replaced, its sessions
//!   are deleted before and made anew after it, with the VNIs they had: no copies in between.

mod ownership;
mod properties;
mod steps;
mod order;
mod matching;
mod nodes;
mod plan;
mod diff;

pub(crate) use ownership::tag;
pub use ownership::{LOGICAL_ID, STACK, StackName, faults};
pub use plan::{Plan, plan};
pub use steps::Stopped;

#[cfg(test)]
mod tests;
