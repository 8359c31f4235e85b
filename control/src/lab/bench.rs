//! `linetap bench`: what a device carries, by the methods of RFC 2544 and its successors.
//!
//! Searches ([`mlr`], [`throughput`], [`back_to_back`], …) are pure: they ask [`trial::Trials`] for trials and
//! decide by what comes of them. [`runner`] is the one that has them run by `linetap-traffic`, [`run`] asks all
//! that was asked for of a [`device::Device`], and [`outcome`] is everything that came of it.

pub mod trial;
pub mod rate;
pub mod sizes;
pub mod goal;
pub mod mlr;
pub mod throughput;
pub mod loss;
pub mod latency;
pub mod back_to_back;
pub mod soak;
pub mod reconfiguration;
pub mod device;
pub mod appliance;
pub mod host;
pub mod outcome;
pub mod progress;
pub mod runner;
pub mod run;
pub mod report;
#[cfg(test)]
mod model;
