//! The lab of `scripts/lab`, raised for one test and removed after it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::process::{output, run};

/// Addresses of the lab: the far end of the wire, and the tool.
pub(crate) const SERVER: &str = "198.51.100.2";
pub(crate) const SERVER_V6: &str = "2001:db8:1::2";
pub(crate) const TOOL: &str = "192.0.2.10";

/// What is tested.
const BINARIES: [&str; 4] = ["linetap", "linetapd", "linetap-dataplane", "linetap-traffic"];

/// One lab at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The lab, up. Removed when dropped.
pub(crate) struct Lab {
    name: String,
    work: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Raises it, with the options of `scripts/lab up`; `None` when that can't be done here and need
    /// not be, having said why.
    pub(crate) fn raise(options: &[&str]) -> Option<Self> {
        let turn = turn()?;
        let work = tempfile::tempdir().unwrap();
        let lab = Self { name: format!("test-{}", std::process::id()), work, _turn: turn };
        run(lab.script().arg("up").args(options));
        Some(lab)
    }

    /// `scripts/lab`, for this lab.
    pub(crate) fn script(&self) -> Command {
        let mut command = Command::new(project().join("scripts/lab"));
        command.env("LINETAP_LAB", &self.name);
        command
    }

    /// A command in one of the namespaces.
    pub(crate) fn exec(&self, side: &str, program: &str) -> Command {
        let mut command = self.script();
        command.args(["exec", side, program]);
        command
    }

    /// Runs a line of words in a namespace; panics unless it succeeds. Returns its output.
    pub(crate) fn sh(&self, side: &str, line: &str) -> String {
        let mut words = line.split_whitespace();
        run(self.exec(side, words.next().unwrap()).args(words))
    }

    /// Its name, with which those of its namespaces begin.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The directory of the lab.
    pub(crate) fn run_dir(&self) -> PathBuf {
        Path::new("/run/linetap-lab").join(&self.name)
    }

    /// Changes the appliance file.
    pub(crate) fn edit_appliance(&self, from: &str, to: &str) {
        let file = self.run_dir().join("appliance.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from:?} in:\n{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    }

    /// A file name of the test's own, in a directory that goes when the lab does.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What a test that failed has left behind: a poll-mode worker would keep its core for ever.
        for side in ["client", "appliance", "server", "tool"] {
            let mut pids = Command::new("ip");
            pids.args(["netns", "pids", &format!("{}-{side}", self.name)]);
            let pids = String::from_utf8(output(&mut pids).stdout).unwrap();
            if !pids.is_empty() {
                output(Command::new("kill").arg("-KILL").args(pids.split_whitespace()));
            }
        }
        let output = output(self.script().arg("down"));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The machine for one test; `None` when it can't be used and need not be, having said why.
pub(crate) fn turn() -> Option<MutexGuard<'static, ()>> {
    if let Some(reason) = obstacle() {
        assert!(env::var("LINETAP_LIVE").as_deref() != Ok("required"), "{reason}");
        eprintln!("left out: {reason}");
        return None;
    }
    // A test that failed has removed its lab all the same.
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The root of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// One of the binaries under test.
pub(crate) fn binary(name: &str) -> PathBuf {
    let dir = env::var_os("LINETAP_BIN").map_or_else(
        // target/<profile>/deps/live-…
        || env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(),
        PathBuf::from,
    );
    dir.join(name)
}

/// Why live tests can't run here.
fn obstacle() -> Option<String> {
    let uid = run(Command::new("id").arg("-u"));
    if uid.trim() != "0" {
        return Some("live tests make network namespaces, which needs root".to_owned());
    }
    let tools =
        ["ip", "tc", "ethtool", "tcpdump", "tshark", "iperf3", "curl", "suricata", "dpdk-testpmd"];
    let has = |tool: &str| output(Command::new("which").arg(tool)).status.success();
    if let Some(missing) = tools.iter().find(|tool| !has(tool)) {
        return Some(format!("live tests need {missing}: run scripts/setup --test"));
    }
    BINARIES.iter().map(|name| binary(name)).find(|path| !path.exists()).map(|path| {
        format!("live tests need {}: run cargo build --workspace --bins", path.display())
    })
}
