//! The command `linetap up`. Its data plane is this test program in disguise: see [`disguised`].

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::process::{Background, wait_for};
use crate::common::stand_in::StandIn;
use crate::common::{CONFIG, TEMPLATE, with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Tells a copy of this program that it is the data plane, and where it listens.
const DISGUISE: &str = "LINETAP_TEST_SOCKET";

/// The data plane of the other tests: not a test of its own.
#[test]
fn disguised() {
    let Ok(socket) = std::env::var(DISGUISE) else { return };
    eprintln!("stand-in {} listens", std::process::id());
    let stand_in = StandIn::start(Path::new(&socket));
    if fs::exists(format!("{socket}.refuse")).unwrap() {
        stand_in.refuse("no such device");
    }
    // Ends with standard input, as the real one does. SIGTERM ends it too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

/// A directory with the programs as they are installed, and the files.
struct Case(TempDir);

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let case = Self(dir);
        for program in [env!("CARGO_BIN_EXE_linetap"), env!("CARGO_BIN_EXE_linetapd")] {
            let name = Path::new(program).file_name().unwrap();
            fs::copy(program, case.path(name.to_str().unwrap())).unwrap();
        }
        let script = format!(
            "#!/bin/sh\n{DISGUISE}=\"$2\" exec '{}' --exact up::disguised --nocapture\n",
            std::env::current_exe().unwrap().display()
        );
        fs::write(case.path("linetap-dataplane"), script).unwrap();
        fs::set_permissions(case.path("linetap-dataplane"), fs::Permissions::from_mode(0o755))
            .unwrap();
        fs::create_dir(case.path("run")).unwrap();
        case.put(TEMPLATE);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, template: &str) {
        fs::write(self.path("c.toml"), CONFIG).unwrap();
        fs::write(self.path("t.yaml"), template).unwrap();
    }

    fn up(&self) -> Background {
        let mut command = Command::new(self.path("linetap"));
        command.current_dir(self.0.path()).args(["up", "--config", "c.toml"]);
        command.args(["--template", "t.yaml", "--run-dir", "run", "--state-dir", "state"]);
        Background::start(&mut command, &self.path("log"))
    }

    /// The numbers of the processes that run a program of this directory.
    fn processes(&self, program: &str) -> Vec<i32> {
        let path = self.path(program).display().to_string();
        let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let entry = entry.unwrap();
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let is_it = line.split('\0').next() == Some(&path);
            entry.file_name().to_str()?.parse().ok().filter(|_| is_it)
        });
        numbers.collect()
    }

    fn kill(&self, program: &str) {
        for process in self.processes(program) {
            kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
        }
    }
}

/// The processes that called themselves the data plane, in order.
fn stand_ins(log: &str) -> Vec<i32> {
    let words = log.lines().filter_map(|line| line.strip_prefix("stand-in ")?.split_once(' '));
    words.map(|(pid, _)| pid.parse().unwrap()).collect()
}

#[test]
fn what_dies_is_started_again_and_all_ends_with_the_counters() {
    let case = Case::new();
    let mut up = case.up();
    up.wait_for("ready: 1 worker with 1 session, ports lan, wan, tool", 1);
    // What it is told stands in the log before or after what it says itself.
    up.wait_for("listens", 1);
    up.wait_for("is accepted", 1);

    case.kill("linetapd");
    up.wait_for("linetapd ended (signal: 9 (SIGKILL)); starting it again", 1);
    up.wait_for("is accepted", 2);

    kill(Pid::from_raw(stand_ins(&up.log())[0]), Signal::SIGKILL).unwrap();
    up.wait_for("linetap-dataplane ended (signal: 9 (SIGKILL))", 1);
    up.wait_for("listens", 2);
    up.wait_for("is accepted", 3);

    case.put(&with(TEMPLATE, "RuleAction: accept", "RuleAction: acept"));
    up.signal(Signal::SIGHUP);
    up.wait_for("t.yaml:13: R.RuleAction", 1);
    case.put(&with(TEMPLATE, "RuleAction: accept", "RuleAction: reject"));
    up.signal(Signal::SIGHUP);
    up.wait_for("is accepted", 4);

    up.signal(Signal::SIGINT);
    up.end();
    let log = up.log();
    assert!(log.contains("lan   1234567  234    1234567"), "{log}");
    assert!(log.contains("conservation: ok"), "{log}");
    assert!(case.processes("linetapd").is_empty());
    for process in stand_ins(&log) {
        assert!(kill(Pid::from_raw(process), None).is_err(), "{process} still runs");
    }
}

#[test]
fn its_children_end_with_it_whatever_ends_it() {
    let case = Case::new();
    let up = case.up();
    up.wait_for("listens", 1);
    up.wait_for("is accepted", 1);
    let stand_in = stand_ins(&up.log())[0];
    up.signal(Signal::SIGKILL);
    wait_for(|| case.processes("linetapd").is_empty(), || "linetapd stays".into());
    wait_for(|| kill(Pid::from_raw(stand_in), None).is_err(), || "the data plane stays".into());
}

#[test]
fn faulty_files_start_nothing() {
    let case = Case::new();
    case.put("Resources: 3");
    let mut up = case.up();
    assert_eq!(up.end().code(), Some(2));
    assert_eq!(up.log(), "t.yaml:1: Resources must be a table of resources, not the number 3\n");
    assert!(!case.path("state").exists());
}

#[test]
fn a_data_plane_that_refuses_or_ends_is_told() {
    let case = Case::new();
    fs::write(case.path("run/dataplane.sock.refuse"), "").unwrap();
    let mut up = case.up();
    assert_eq!(up.end().code(), Some(1));
    assert!(up.log().ends_with("no such device\n"), "{}", up.log());

    fs::write(case.path("linetap-dataplane"), "#!/bin/sh\nexit 3\n").unwrap();
    let mut up = case.up();
    assert_eq!(up.end().code(), Some(1));
    assert!(up.log().contains("linetap-dataplane ended at once (exit status: 3)"), "{}", up.log());

    fs::remove_file(case.path("linetap-dataplane")).unwrap();
    let mut up = case.up();
    assert_eq!(up.end().code(), Some(1));
    assert!(up.log().contains("linetap-dataplane is not beside linetap"), "{}", up.log());
}

#[test]
fn a_second_one_keeps_away_from_the_first() {
    let case = Case::new();
    let up = case.up();
    up.wait_for("ready", 1);
    let mut command = Command::new(case.path("linetap"));
    command.current_dir(case.0.path()).args(["up", "--config", "c.toml", "--template", "t.yaml"]);
    command.args(["--run-dir", "run", "--state-dir", "state2"]);
    let mut second = Background::start(&mut command, &case.path("log2"));
    assert_eq!(second.end().code(), Some(1));
    assert!(second.log().contains("process 4711, serves run/dataplane.sock already"));
}
