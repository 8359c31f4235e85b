//! The command `linetap status`, against a stand-in for the data plane.

use std::process::Output;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::stand_in::StandIn;
use crate::common::{CONFIG, TEMPLATE, load, with};
use assert_cmd::Command;
use control::link::{Applied, Dataplane};
use engine::snapshot::{AllDown, Cause, Health, HealthState, MemberHealth};
use serde_json::Value;
use tempfile::TempDir;

fn status(arguments: &[&str]) -> Output {
    Command::cargo_bin("linetap").unwrap().arg("status").args(arguments).output().unwrap()
}

/// A stand-in with a snapshot in force, and its socket's path.
fn running(dir: &TempDir) -> (StandIn, String) {
    let stand_in = StandIn::start(&dir.path().join("dataplane.sock"));
    let mut link = Dataplane::connect(&stand_in.socket).unwrap();
    let snapshot = load(CONFIG, TEMPLATE).unwrap().snapshot;
    assert_eq!(link.apply(snapshot).unwrap(), Applied::InForce);
    let socket = stand_in.socket.display().to_string();
    (stand_in, socket)
}

#[test]
fn everything_is_shown_as_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (_stand_in, socket) = running(&dir);
    let output = status(&["--socket", &socket]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn json_has_the_live_state_too() {
    let dir = tempfile::tempdir().unwrap();
    let (_stand_in, socket) = running(&dir);
    let output = status(&["--json", "--socket", &socket]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ports"]["lan"]["forwarded"], 1_234_567);
    assert_eq!(report["live"]["pid"], 4711);
    assert_eq!(report["live"]["ports"]["wan"]["link_up"], true);
    assert_eq!(report["live"]["workers"][0]["empty_polls"], 75_000);
    assert_eq!(report["live"]["workers"][0]["rx_queues"][0]["waiting"], 17);
    assert_eq!(report["live"]["ports"]["lan"]["losses"]["imissed"], 3);
    assert!(report["live"]["ports"]["tool"]["losses"].is_null());
    assert_eq!(report["live"]["sessions"][0]["matched"], 7);
    assert_eq!(report["live"]["violations"], Value::Array(Vec::new()));
}

#[test]
fn what_tools_take_and_why_is_shown() {
    const MEMBERS: &str = "{ address = \"192.0.2.11\" }, { address = \"2001:db8::11\" }";
    let dir = tempfile::tempdir().unwrap();
    let (stand_in, socket) = running(&dir);
    let three = "{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\", weight = 2 }, \
                 { address = \"192.0.2.13\" }";
    let config = with(CONFIG, MEMBERS, three);
    let balancer = "NetworkLoadBalancerArn: arn:nlb";
    let template = with(TEMPLATE, "NetworkInterfaceId: eni-tool", balancer);
    let mut snapshot = load(&config, &template).unwrap().snapshot;
    let since = UNIX_EPOCH + Duration::from_millis(1_795_701_600_123);
    let found = |state, reason: &str| Some(HealthState { state, reason: reason.into(), since });
    let members = &mut snapshot.targets[0].members;
    members[0].checked = found(Health::Healthy, "");
    members[1].checked = found(Health::Unhealthy(Cause::WrongStatus), "HTTP 503");
    members[1].health = MemberHealth::Down;
    members[2].health = MemberHealth::Draining;
    let mut link = Dataplane::connect(&stand_in.socket).unwrap();
    assert_eq!(link.apply(snapshot.clone()).unwrap(), Applied::InForce);
    let table = || {
        let text = String::from_utf8(status(&["--socket", &socket]).stdout).unwrap();
        let start = text.find("TARGET").unwrap();
        text[start..].split("\n\n").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(table());
    let output = status(&["--json", "--socket", &socket]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let member = &report["live"]["neighbors"][1];
    assert_eq!((&member["health"], &member["weight"]), (&"down".into(), &2.into()));
    assert_eq!(member["checked"]["state"], "unhealthy");
    assert_eq!(member["checked"]["reason"], "HTTP 503");
    assert_eq!(member["checked"]["since"], 1_795_701_600);

    for member in &mut snapshot.targets[0].members {
        member.health = MemberHealth::Down;
    }
    for (all_down, what) in [(AllDown::FailOpen, "fail_open"), (AllDown::Skip, "are skipped")] {
        snapshot.targets[0].balance.all_down = all_down;
        assert_eq!(link.apply(snapshot.clone()).unwrap(), Applied::InForce);
        let table = table();
        assert!(table.contains("target T: no tool is healthy") && table.contains(what), "{table}");
    }
}

#[test]
fn latencies_are_shown_and_written_where_they_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (stand_in, socket) = running(&dir);
    let hgrm = dir.path().join("a/b");
    let ask = |option: &str| {
        let options = ["--socket", &socket, option, "--hgrm", hgrm.to_str().unwrap()];
        status(&options)
    };
    let output = ask("--json");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("set latency = true under [dataplane]"), "{text}");
    assert!(!hgrm.exists());

    let timed = format!("[dataplane]\nlatency = true\n{CONFIG}");
    let mut link = Dataplane::connect(&stand_in.socket).unwrap();
    let snapshot = load(&timed, TEMPLATE).unwrap().snapshot;
    assert_eq!(link.apply(snapshot).unwrap(), Applied::InForce);
    let report: Value = serde_json::from_slice(&ask("--json").stdout).unwrap();
    let wire = &report["live"]["latency"]["wire"];
    assert_eq!((&wire["packets"], &wire["p50_ns"]), (&1000.into(), &800.into()));
    assert_eq!((&wire["p99_ns"], &wire["p90_ns"]), (&1500.into(), &800.into()));
    assert_eq!(report["live"]["latency"]["copy"]["p999_ns"], 1900);
    let file = std::fs::read_to_string(hgrm.join("copy.hgrm")).unwrap();
    assert!(file.contains("1900.000 1.000000000000        997\n"), "{file}");
    assert!(std::fs::read_to_string(hgrm.join("wire.hgrm")).unwrap().contains(" 1000]"));

    let text = String::from_utf8(status(&["--socket", &socket]).stdout).unwrap();
    let start = text.find("LATENCY").unwrap();
    let table: Vec<&str> = text[start..].lines().take(3).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn the_socket_is_found_through_the_appliance_file() {
    let dir = tempfile::tempdir().unwrap();
    let (_stand_in, _) = running(&dir);
    let config = dir.path().join("c.toml");
    let text = format!("[appliance]\nrun_dir = {:?}\n{CONFIG}", dir.path());
    std::fs::write(&config, text).unwrap();
    let output = status(&["--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_a_data_plane_it_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let output = status(&["--socket", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("No such file") && text.contains("linetap up"), "{text}");
}

#[test]
fn a_data_plane_without_a_configuration_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let stand_in = StandIn::start(&dir.path().join("dataplane.sock"));
    let output = status(&["--socket", stand_in.socket.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "the data plane waits for its first configuration\n");
}
