//! The packet logic of linetap. (architecture doc to come)

pub mod burst;
pub mod copy;
pub mod drop_reason;
pub mod encap;
pub mod exempt;
pub mod flow_key;
pub mod link;
pub mod mirror;
pub mod parse;
pub mod port;
pub mod publish;
pub mod report;
pub mod roster;
pub mod rule;
pub mod rule_table;
pub mod sim;
pub mod snapshot;
pub mod source;
pub mod stats;
pub mod tool;
pub mod units;
pub mod view;
pub mod wire;
pub mod worker;
