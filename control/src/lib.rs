//! What a person works with: the files that say what is mirrored, and the commands that do it.
//!
//! ```text
//!  appliance.toml -> document -> config         \
//!                                                 compile -> Snapshot -> the data plane
//!  template       -> document -> cloudformation  /
//! ```
//! Every reader tells all faults of its file, not the first ([`fault`]). What the data plane gets
//! is made whole and anew from both files each time ([`compile`], pure), so there is no state that
//! could disagree with them.

pub mod fault;
pub mod document;
pub mod config;
pub mod model;
pub mod compile;
pub mod cloudformation;
pub mod load;
pub mod report;
pub mod offline;
pub mod link;
pub mod privilege;
pub mod daemon;
pub mod cli;
