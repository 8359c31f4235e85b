//! The daemon `linetapd`, against a stand-in for the data plane.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::common::process::Background;
use crate::common::stand_in::StandIn;
use crate::common::{CONFIG, TEMPLATE, checked_config, checked_template, with};
use engine::snapshot::{Cause, Health, MemberHealth, MemberSpec};
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

/// What each member takes, in the next snapshot in which that is as wanted.
fn members_as(stand_in: &StandIn, wanted: [MemberHealth; 2]) -> Vec<MemberSpec> {
    loop {
        let members = stand_in.next_snapshot().targets.swap_remove(0).members;
        let health: Vec<_> = members.iter().map(|member| member.health).collect();
        if health == wanted && members.iter().all(is_checked) {
            return members;
        }
    }
}

fn is_checked(member: &MemberSpec) -> bool {
    member.checked.as_ref().is_some_and(|found| found.state != Health::Initial)
}

#[test]
fn tools_are_checked_and_what_was_found_outlives_the_daemon() {
    use MemberHealth::{Active, Down};
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let first_tool = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = first_tool.local_addr().unwrap().port();
    fs::write(dir.join("c.toml"), checked_config(&["127.0.0.2", "127.0.0.3"], port)).unwrap();
    fs::write(dir.join("t.yaml"), checked_template()).unwrap();
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let daemon = start(dir);
    let first = stand_in.next_snapshot().targets.swap_remove(0).members;
    assert!(first.iter().all(|member| member.health == Active), "{first:?}");
    let members = members_as(&stand_in, [Active, Down]);
    let found = members[1].checked.as_ref().unwrap();
    assert_eq!(found.state, Health::Unhealthy(Cause::Failed));
    assert_eq!(found.reason, "connection refused");
    daemon
        .wait_for("tool arn:nlb: 127.0.0.3 is unhealthy: connection refused, 2 times in a row", 1);

    drop(daemon);
    let daemon = start(dir);
    let first = stand_in.next_snapshot().targets.swap_remove(0).members;
    assert_eq!([first[0].health, first[1].health], [Active, Down], "as it was found before");
    assert_eq!(first[1].checked, members[1].checked);

    let second_tool = TcpListener::bind(("127.0.0.3", port)).unwrap();
    members_as(&stand_in, [Active, Active]);
    drop((first_tool, second_tool));
    members_as(&stand_in, [Down, Down]);
    daemon.wait_for("tool arn:nlb: no member is healthy; copies to it are skipped", 1);
    assert_eq!(daemon.log().matches("is unhealthy").count(), 2, "once for each transition");
}
