//! The packet logic of linetap: from a received frame to a sent copy, without a device.
//!
//! linetap watches the traffic of *interfaces* on wires that people own. Ordered *rules* of a
//! *filter* decide which packets a *session* wants; a VXLAN copy of each goes to its *target*. The
//! words and their meaning are those of VPC Traffic Mirroring; what happens on the way is here.
//!
//! # A packet's walk
//! ```text
//!  RxQueue::recv(&mut Burst)                                          at most 64 frames   worker
//!    1 parse      bytes -> a key, tags, or a reason                                       parse
//!    2 attribute  port, addresses, VLAN -> interface and direction    at most two      attribute
//!                 what rules never see is settled here                                    exempt
//!    3 classify   keys -> verdicts           one lookup per source and direction        classify
//!                 flows of late are remembered                                     flow_cache
//!      police     what a session does not want of that: other flows, too much             police
//!      steer      flows to the tools of a target                   where there are several  steer
//!    4 copy       prepend | copy, truncated | hold by reference                      replicate
//!    5 encap      header template, lengths, source port, checksum                         encap
//!  TxQueue::send  the original, by the link's other port                                  worker
//!  TxQueue::send  the copies, by the tool port; what is not taken is freed and counted    tool
//!  what is no copy, on a tool port, is the kernel's                           exception
//!  other workers' frames, where one worker polls for many, go before step 1           spreader
//!  burst boundary a new View is taken up, a report is answered                            roster
//! ```
//! [`mirror::mirror_burst`] is steps 1 to 5. Nothing in it allocates, locks, logs or reads a clock.
//!
//! # Threads
//! A *worker* per core owns its queues, its pool of copies and its counters, and polls. One
//! *publisher* compiles each [`snapshot::Snapshot`] into a [`view::View`], hands it to every worker
//! over [`publish`], frees the views that come back and adds up counters ([`roster::Roster`]).
//!
//! # What holds
//! - For every port: received = forwarded + Σ ended, by reason.
//! - For every session: matched = mirrored + Σ skipped, by reason.
//! - A frame of a wire leaves unchanged, in order, before any copy of its burst.
//! - The first rule that matches settles a packet, accept or reject; only a packet that matches
//!   nothing in one session is looked at by the next.
//!
//! # Reading order
//! Modules are listed from the bottom up; a module uses only those above it.

pub mod units;
pub mod drop_reason;
pub mod burst;
pub mod port;
pub mod ticks;
pub mod busy;
pub mod idling;
pub mod latency;
pub mod wire;
pub mod rule;
mod flow_hash;
pub mod flow_key;
pub mod keys;
mod plain;
mod conditions;
pub mod source;
pub mod address_table;
mod simd;
pub mod parse;
pub mod rule_table;
pub mod flow_cache;
pub mod flow_table;
pub mod snapshot;
pub mod limiter;
pub mod policing;
pub mod claims;
pub mod exempt;
pub mod encap;
pub mod order;
pub mod balance;
pub mod neighbors;
mod path;
pub mod view;
pub mod publish;
pub mod stats;
pub mod report;
pub mod link;
mod pace;
pub mod outbox;
mod credits;
pub mod tool;
pub mod copy;
pub mod evaluations;
pub mod groups;
pub mod attribute;
pub mod classify;
pub mod police;
pub mod steer;
pub mod copies;
mod sink;
pub mod replicate;
pub mod mirror;
pub mod handover;
mod relief;
pub mod spreader;
pub mod exception;
pub mod roster;
mod drain;
pub mod worker;
pub mod sim;
