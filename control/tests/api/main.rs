//! The API, from what it answers to those who ask it; one program, for each is linked with all of the
//! control plane.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

mod bench;
#[path = "../common/mod.rs"]
mod common;

mod ec2;
mod ec2_wire;
mod tools;

mod server;

mod apply;
mod daemon;
mod objects;
