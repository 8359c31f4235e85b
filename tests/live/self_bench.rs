//! `linetap bench --self --mirror`: the appliance measures itself, every copy is looked at, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{binary, is_possible};
use crate::process::{Background, output, run, send_signal, wait_for};

/// A search as short as it can be, at a load that a busy machine carries.
const SHORT: [&str; 8] = [
    "--duration=50ms",
    "--trials=1",
    "--precision=20%",
    "--max-load=4kpps",
    "--flows=64",
    "--sizes=256",
    "--json=-",
    "--quiet",
];

/// A bench of itself with sockets in `dir`, if it can run here.
fn bench(dir: &TempDir) -> Option<Command> {
    if !is_possible() {
        return None;
    }
    let mut command = Command::new(binary("linetap"));
    command.args(["bench", "--self"]).env("TMPDIR", dir.path());
    Some(command)
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// The series of a report, by configuration: goals, trials, notes.
fn series(report: &[u8]) -> Vec<Value> {
    let report: Value = serde_json::from_slice(report).unwrap();
    report["series"].as_array().unwrap().clone()
}

/// A count of copies, of all trials together.
fn copies(series: &Value, what: &str) -> u64 {
    let trials = series["trials"].as_array().unwrap();
    trials.iter().filter_map(|trial| trial["copies"][what].as_u64()).sum()
}

#[test]
fn every_copy_of_every_configuration_is_what_was_mirrored() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut bench) = bench(&dir) else { return };
    let report = run(bench.args(["--mirror", "--method=mlr"]).args(SHORT));
    let all = series(report.as_bytes());
    assert_eq!(all.len(), 11);
    for one in &all {
        let name = &one["stack"];
        assert_eq!(one["notes"].as_array().unwrap().len(), 0, "{name}: {}", one["notes"]);
        assert!(one["goals"].as_array().unwrap().iter().all(|goal| goal["lower"].is_f64()), "{one}");
        assert_eq!(copies(one, "corrupted"), 0, "{name}");
        assert_eq!(copies(one, "received") > 0, *name != "wire", "{name}");
        let foreign = |trial: &Value| trial["foreign"].as_u64().unwrap();
        assert_eq!(one["trials"].as_array().unwrap().iter().map(foreign).sum::<u64>(), 0, "{name}");
        // A quarter of all flows, whatever is lost of them.
        if name == "quarter" {
            let sent = |trial: &Value| trial["wire"]["intended"].as_u64().unwrap();
            let all: u64 = one["trials"].as_array().unwrap().iter().map(sent).sum();
            let part = copies(one, "intended") * 100 / all;
            assert!((20..=30).contains(&part), "{part} %");
        }
    }
    assert!(is_empty(dir.path()));
}

#[test]
fn copies_that_are_cut_or_not_wanted_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut bench) = bench(&dir) else { return };
    bench.args(["--mirror=truncated", "--expect=one-session", "--method=mlr"]).args(SHORT);
    let cut = output(&mut bench);
    assert_eq!(cut.status.code(), Some(1));
    let said = String::from_utf8_lossy(&cut.stderr);
    assert!(said.contains("copies are not what was mirrored"), "{said}");
    assert!(copies(&series(&cut.stdout)[0], "corrupted") > 0);
    let mut bench = Command::new(binary("linetap"));
    bench.args(["bench", "--self", "--mirror=one-session", "--expect=quarter", "--method=mlr"]);
    let more = run(bench.args(SHORT).env("TMPDIR", dir.path()));
    let trials = series(more.as_bytes())[0]["trials"].clone();
    assert!(trials.as_array().unwrap().iter().any(|trial| trial["foreign"].as_u64() > Some(0)));
    assert!(is_empty(dir.path()));
}

/// The child processes of one, by name.
fn child(parent: u32, name: &str) -> Option<u32> {
    let mut find = Command::new("pgrep");
    let found = output(find.args(["-P", &parent.to_string(), "-f", name]));
    String::from_utf8_lossy(&found.stdout).lines().next()?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A bench that would take minutes, once both of its processes run.
fn long(bench: &mut Command, log: &Path) -> (Background, [u32; 2]) {
    let long = ["--mirror=one-session", "--duration=20s", "--max-load=1kpps", "--quiet"];
    let bench = Background::start(bench.args(long), log);
    let mut children = [None; 2];
    wait_for("a data plane and a generator at work", || {
        let pid = bench.pid();
        children = ["linetap-dataplane", "linetap-traffic"].map(|name| child(pid, name));
        children.iter().all(Option::is_some) && has_polled(bench.pid())
    });
    (bench, children.map(Option::unwrap))
}

/// The generator's pinned thread runs: a trial has begun.
fn has_polled(parent: u32) -> bool {
    let Some(pid) = child(parent, "linetap-traffic") else { return false };
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads.is_ok_and(|threads| {
        let names = threads.flatten().map(|it| fs::read_to_string(it.path().join("comm")));
        names.flatten().any(|name| name.contains("worker"))
    })
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let (dir, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut bench) = bench(&dir) else { return };
    let (mut bench, children) = long(&mut bench, &logs.path().join("log"));
    assert!(!is_empty(dir.path()));
    bench.end("INT");
    assert!(!children.into_iter().any(is_alive), "{}", bench.log());
    assert!(is_empty(dir.path()), "{}", bench.log());
}

#[test]
fn a_data_plane_that_dies_is_told_and_nothing_is_left() {
    let (dir, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut bench) = bench(&dir) else { return };
    bench.arg("--method=mlr");
    let (mut bench, [dataplane, traffic]) = long(&mut bench, &logs.path().join("log"));
    send_signal(dataplane, "KILL");
    let status = bench.wait();
    assert_eq!(status.code(), Some(1));
    let log = bench.log();
    assert!(log.contains("which is measured, has ended (signal: 9 (SIGKILL))"), "{log}");
    assert!(!is_alive(traffic) && is_empty(dir.path()), "{log}");
}
