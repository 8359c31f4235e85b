//! The packet logic of linetap. (architecture doc to come)

pub mod burst;
pub mod drop_reason;
pub mod link;
pub mod port;
pub mod report;
pub mod rule;
pub mod snapshot;
pub mod units;
