//! `linetap bench --self --mirror`: the appliance measures itself, every copy is looked at, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{binary, turn};
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

/// Where benches have their sockets.
struct Place {
    dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    /// `None` where none can run.
    fn new() -> Option<Self> {
        let turn = turn()?;
        Some(Self { dir: tempfile::tempdir().unwrap(), _turn: turn })
    }

    fn bench(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("linetap"));
        command.args(["bench", "--self"]).args(arguments).env("TMPDIR", self.dir.path());
        command
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.dir.path()).unwrap().next().is_none()
    }
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
    let Some(place) = Place::new() else { return };
    let report = run(place.bench(&SHORT).args(["--mirror", "--method=mlr"]));
    let all = series(report.as_bytes());
    assert_eq!(all.len(), 11);
    for one in &all {
        let name = &one["stack"];
        // A busy machine makes a sender late, and that is told as well.
        let notes = one["notes"].to_string();
        assert!(!notes.contains("by the appliance"), "{name}: {notes}");
        assert!(
            one["goals"].as_array().unwrap().iter().all(|goal| goal["lower"].is_f64()),
            "{one}"
        );
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
    assert!(place.is_empty());
}

#[test]
fn copies_that_are_cut_or_not_wanted_are_seen() {
    let Some(place) = Place::new() else { return };
    let mut bench = place.bench(&SHORT);
    let cut = output(bench.args(["--mirror=truncated", "--expect=one-session", "--method=mlr"]));
    assert_eq!(cut.status.code(), Some(1));
    let said = String::from_utf8_lossy(&cut.stderr);
    assert!(said.contains("copies are not what was mirrored"), "{said}");
    assert!(copies(&series(&cut.stdout)[0], "corrupted") > 0);
    let mut bench = place.bench(&SHORT);
    let more = run(bench.args(["--mirror=one-session", "--expect=quarter", "--method=mlr"]));
    let trials = series(more.as_bytes())[0]["trials"].clone();
    assert!(trials.as_array().unwrap().iter().any(|trial| trial["foreign"].as_u64() > Some(0)));
    assert!(place.is_empty());
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
fn long(place: &Place, log: &Path) -> (Background, [u32; 2]) {
    let long = ["--mirror=one-session", "--duration=5s", "--max-load=1kpps", "--quiet"];
    let bench = Background::start(&mut place.bench(&long), log);
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
    let Some(place) = Place::new() else { return };
    let logs = tempfile::tempdir().unwrap();
    let (mut bench, children) = long(&place, &logs.path().join("log"));
    assert!(!place.is_empty());
    bench.end("INT");
    assert!(!children.into_iter().any(is_alive), "{}", bench.log());
    assert!(place.is_empty(), "{}", bench.log());
}

#[test]
fn a_data_plane_that_dies_is_told_and_nothing_is_left() {
    let Some(place) = Place::new() else { return };
    let logs = tempfile::tempdir().unwrap();
    let (mut bench, [dataplane, traffic]) = long(&place, &logs.path().join("log"));
    send_signal(dataplane, "KILL");
    let status = bench.wait();
    assert_eq!(status.code(), Some(1));
    let log = bench.log();
    assert!(log.contains("which is measured, has ended (signal: 9 (SIGKILL))"), "{log}");
    assert!(!is_alive(traffic) && place.is_empty(), "{log}");
}
