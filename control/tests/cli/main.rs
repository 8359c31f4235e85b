//! The two files that an appliance is made from, and the commands that need no API; one program, for
//! each is linked with all of the control plane.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod appliance_file;
mod noise;
mod templates;

mod check;
mod daemon;
mod explain;
mod lab;
mod mirror;
mod status;
mod up;
