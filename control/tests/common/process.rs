//! Child processes that end with the test, and waiting for what they say.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stand_in::PATIENCE;

/// A process in the background; its output goes to a file. Killed when dropped.
pub(crate) struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until `text` stands in its output `times` times.
    pub(crate) fn wait_for(&self, text: &str, times: usize) {
        wait_for(|| self.log().matches(text).count() >= times, || self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        let log = self.log.clone();
        wait_for(
            || {
                ended = self.child.try_wait().unwrap();
                ended.is_some()
            },
            || fs::read_to_string(&log).unwrap(),
        );
        ended.unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`; panics with `else_tell` when that takes too long.
pub(crate) fn wait_for(mut done: impl FnMut() -> bool, else_tell: impl Fn() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain:\n{}", else_tell());
        sleep(Duration::from_millis(10));
    }
}
