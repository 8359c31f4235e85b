//! `examples/impaired.rs`, running: a device under test whose faults are known.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// Two would be in each other's way.
static ONE: Mutex<()> = Mutex::new(());

/// It does not outlive its test, and there is one at a time.
pub(crate) struct DeviceUnderTest {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl DeviceUnderTest {
    /// With two ports, a tool port where `has_tool`, and these faults.
    pub(crate) fn start(has_tool: bool, faults: &[&str]) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let memif = |port| memif(folder.path(), port, "server");
        let mut command = Command::new(program());
        command.args(["--port", &memif(0), "--port", &memif(1)]);
        if has_tool {
            command.args(["--tool", &memif(2)]);
        }
        command.args(faults).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        prefer(&child);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, output, folder, _one: one }
    }

    /// DPDK's own, which forwards between two ports and does nothing to frames.
    pub(crate) fn testpmd() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        // Without it, what it says is buffered until it ends.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-huge", "-m", "256"]);
        command.args(["--no-pci", "--in-memory", "--iova-mode=va", "--no-telemetry"]);
        for port in 0..2 {
            command.args(["--vdev", &memif(folder.path(), port, "server")]);
        }
        command.args(["--", "--auto-start", "--forward-mode=io", "--total-num-mbufs=8192"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        prefer(&child);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("Press enter") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        Self { child, output, folder, _one: one }
    }

    /// The other end of its port `port`.
    pub(crate) fn peer(&self, port: usize) -> String {
        memif(self.folder.path(), port, "client")
    }

    /// What it has done with frames from port 0 to port 1, by name.
    pub(crate) fn finish(mut self) -> serde_json::Value {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[0].take()
    }
}

impl Drop for DeviceUnderTest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives a process its core before others get it, also where machines have more to do than cores.
pub(crate) fn prefer(child: &Child) {
    let renice = Command::new("renice").args(["-n", "-15", "-p", &child.id().to_string()]).output();
    if !renice.is_ok_and(|output| output.status.success()) {
        eprintln!("without a right to priority, cores must be free");
    }
}

fn memif(folder: &Path, port: usize, role: &str) -> String {
    let socket = folder.join(port.to_string());
    format!("net_memif{port},role={role},socket={},socket-abstract=no", socket.display())
}

/// Examples are built along with the tests of all packages, and stand beside their folder.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/impaired");
    assert!(program.exists(), "build it first: cargo build -p driver --example impaired");
    program
}
