//! The daemon `linetapd`, against a stand-in for the data plane.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::process::Background;
use common::stand_in::StandIn;
use common::{CONFIG, TEMPLATE, with};
use nix::sys::signal::Signal;

fn start(dir: &Path) -> Background {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linetapd"));
    command.current_dir(dir).args(["--config", "c.toml", "--template", "t.yaml"]);
    command.args(["--socket", "dp.sock"]);
    Background::start(&mut command, &dir.join("log"))
}

fn put(dir: &Path, template: &str) {
    fs::write(dir.join("c.toml"), CONFIG).unwrap();
    fs::write(dir.join("t.yaml"), template).unwrap();
}

#[test]
fn a_change_of_the_files_is_sent_on_sighup_unless_it_is_faulty() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, TEMPLATE);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let mut daemon = start(dir);
    let first = stand_in.next_snapshot();
    daemon.wait_for("is accepted", 1);

    put(dir, &with(TEMPLATE, "RuleAction: accept", "RuleAction: acept"));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("t.yaml:13: R.RuleAction: \"acept\" is unknown", 1);
    assert!(stand_in.is_idle());

    put(dir, &with(TEMPLATE, "RuleAction: accept", "RuleAction: reject"));
    daemon.signal(Signal::SIGHUP);
    let second = stand_in.next_snapshot();
    assert!(second.epoch > first.epoch);
    assert_ne!(second.rules, first.rules);
    daemon.wait_for("is accepted", 2);

    stand_in.refuse("out of tables");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("is refused: out of tables", 1);

    daemon.signal(Signal::SIGTERM);
    assert!(daemon.end().success());
}

#[test]
fn a_data_plane_that_comes_later_or_again_gets_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, TEMPLATE);
    let daemon = start(dir);
    daemon.wait_for("no data plane answers", 1);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let snapshot = stand_in.next_snapshot();
    assert_eq!(snapshot.sessions.len(), 1);
    drop(daemon);
    let _again = start(dir);
    let again = stand_in.next_snapshot();
    assert!(again.epoch > snapshot.epoch, "its predecessor's epoch is met, and passed");
}

#[test]
fn faulty_files_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "Resources: 3");
    let mut daemon = start(dir.path());
    assert_eq!(daemon.end().code(), Some(2));
    assert!(daemon.log().contains("t.yaml:1: Resources must be a table"), "{}", daemon.log());
}
