//! The lab: captures put on a wire, traffic made and measured, frames recorded.
//!
//! `linetap replay`, `linetap bench` and `linetap capture` ask; the process `linetap-traffic` does, with one
//! pinned poll-mode worker per core, on the same queues, buffers and devices as the mirroring itself.
//! Here is what both speak about and everything that needs no device: it runs on [`engine::sim`] too.
//!
//! # Reading order
//! Modules are listed from the bottom up; a module uses only those above it.

pub mod setup;
pub mod histogram;
pub mod replay;
pub mod capture;
pub mod trial;
pub mod link;
pub mod readahead;
pub mod compressed;
pub mod gaps;
pub mod captures;
pub mod schedule;
pub mod layers;
pub mod flow;
pub mod split;
pub mod rewrite;
pub mod player;
pub mod timing;
pub mod pace;
pub mod supply;
mod buffers;
pub mod kept;
pub mod device_clock;
pub mod sender;
pub mod feeder;
pub mod stamp;
pub mod flows;
pub mod frames;
pub mod load;
pub mod sequence;
pub mod generator;
pub mod learning;
pub mod decap;
pub mod receiver;
pub mod station;
pub mod pcapng;
pub mod wall_clock;
pub mod recording;
pub mod recorder;
pub mod capture_files;
pub mod capture_writer;
pub mod prepare;
pub mod account;
