//! What a person works with: the files that say what is mirrored, and the commands that do it.
//!
//! ```text
//!  appliance.toml -> document -> config        \
//!                                               compile -> Snapshot -+-> offline: captures
//!  template       -> document -> cloudformation /                    |
//!                                                                    +-> link -> the data plane
//!  linetap up: starts and feeds linetapd (daemon), which keeps the data plane supplied
//!  report: the counters of both ways, as JSON and as tables, and whether they add up
//!  service: the only writer of what the API makes; ec2: its wire; store: where it stays
//!  health: whether tools take copies, asked again and again, for service and status
//!  server: who calls the EC2 API is proven (ec2::auth) and written down (audit), then answered
//!  client: the other end of that API, by socket or HTTP, for the CLI
//!  apply: a template made true by that API; export: what there is, as a template
//!  lab: captures replayed and recorded, benchmarks, by linetap-traffic
//!  warning: rules that can never match (shadow); explain: why a packet is mirrored, or not
//! ```
//! Every reader tells all faults of its file, not the first ([`fault`]). What the data plane gets
//! is made whole and anew from both files and the store each time ([`compile`], pure), so there is
//! no state that could disagree with them.
//!
//! # Exit statuses
//! 0: all was done. 1: something went wrong on the way. 2: arguments, appliance file or template are
//! wrong; all faults are told, and nothing was written or started.

pub mod fault;
pub mod document;
pub mod config;
pub mod health;
pub mod model;
pub mod compile;
pub mod cloudformation;
pub mod shadow;
pub mod load;
pub mod warning;
pub mod report;
pub mod offline;
pub mod explain;
pub mod link;
pub mod privilege;
mod sibling;
mod keeper;
pub mod lab;
pub mod store;
pub mod service;
pub mod ec2;
pub mod audit;
pub mod server;
pub mod daemon;
pub mod client;
pub mod apply;
pub mod export;
pub mod cli;
