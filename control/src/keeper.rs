//! A child process that is started again when it ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that has run for so long was not faulty from the start.
const SOUND_AFTER: Duration = Duration::from_secs(5);
/// Wait before the second attempt in a row; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What a process may take to end when something went wrong.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a process that was asked to end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// One child process.
#[derive(Debug)]
pub(crate) struct Keeper {
    name: &'static str,
    command: Command,
    child: Option<Child>,
    started: Instant,
    /// Ends in a row without a sound run between.
    failures: u32,
    /// When the next attempt is due, while nothing runs.
    due: Instant,
}

impl Keeper {
    /// A child that is not started yet. It gets a process group of its own, so that what is typed
    /// at the terminal reaches it through us, in order.
    pub(crate) fn new(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).process_group(0);
        let now = Instant::now();
        Self { name, command, child: None, started: now, failures: 0, due: now }
    }

    /// Starts it. Its standard input is returned: it lives as long as the child may.
    pub(crate) fn start(&mut self) -> io::Result<Option<ChildStdin>> {
        let mut child = self.command.spawn()?;
        let input = child.stdin.take();
        self.child = Some(child);
        self.started = Instant::now();
        Ok(input)
    }

    /// How it ended, if it did since the last look. The next attempt is then scheduled.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        if self.started.elapsed() >= SOUND_AFTER {
            self.failures = 0;
        }
        self.due = Instant::now() + wait_after(self.failures);
        self.failures += 1;
        Some(status)
    }

    /// True when nothing runs and the next attempt is due.
    pub(crate) fn is_due(&self) -> bool {
        self.child.is_none() && Instant::now() >= self.due
    }

    /// Counts a failed attempt to start, and schedules the next.
    pub(crate) fn postpone(&mut self) {
        self.due = Instant::now() + wait_after(self.failures);
        self.failures += 1;
    }

    /// Asks it to end, waits for it, and ends it by force after `patience`. How it ended.
    pub(crate) fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        let deadline = Instant::now() + patience;
        let pid = i32::try_from(child.id()).map(Pid::from_raw).ok()?;
        // Fails only when it has ended already.
        let _ = kill(pid, Signal::SIGTERM);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        log::error!("{} does not end when asked to; ending it by force", self.name);
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Keeper {
    /// Nobody is left to look after it.
    fn drop(&mut self) {
        self.stop(LAST_PATIENCE);
    }
}

/// Wait before the attempt that follows so many failures.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait() {
        let waits: Vec<u128> = (0..9).map(|failures| wait_after(failures).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn a_child_that_ends_is_due_again() {
        let mut keeper = Keeper::new("false", Command::new("false"));
        drop(keeper.start().unwrap());
        let status = loop {
            if let Some(status) = keeper.ended() {
                break status;
            }
        };
        assert_eq!(status.code(), Some(1));
        assert!(keeper.is_due());
    }

    #[test]
    fn a_child_that_does_not_listen_is_ended_by_force() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo; while :; do sleep 1; done"]);
        command.stdout(Stdio::piped());
        let mut keeper = Keeper::new("sh", command);
        let _input = keeper.start().unwrap();
        // Its first line says that it has stopped listening.
        let output = keeper.child.as_mut().unwrap().stdout.take().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).unwrap();
        let status = keeper.stop(Duration::from_millis(50)).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
