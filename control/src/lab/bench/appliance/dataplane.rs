//! The process `linetap-dataplane` that is measured: started, configured, asked, ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use engine::report::Report;
use engine::snapshot::Snapshot;
use thiserror::Error;

use crate::config::SOCKET_NAME;
use crate::keeper::Keeper;
use crate::lab::Interrupt;
use crate::link::{Applied, Dataplane, DataplaneError};
use crate::sibling::sibling;

/// The program.
const PROGRAM: &str = "linetap-dataplane";
/// DPDK takes a second or two to start, more with many hugepages.
const START_WAIT: Duration = Duration::from_secs(30);
/// `net_memif` connects within a tenth of a second; a busy machine takes longer.
const LINK_WAIT: Duration = Duration::from_secs(10);
/// What it may take to close its devices.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Between two looks while something is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Lines of its log that are told when it has ended.
const LAST_LINES: usize = 12;

/// Why the data plane that shall be measured is not there.
#[derive(Debug, Error)]
pub enum SelfError {
    /// It can't be started.
    #[error("{PROGRAM} can't be started: {0:#}")]
    Start(anyhow::Error),
    /// It has ended by itself.
    #[error("{PROGRAM}, which is measured, has ended ({status}); the end of its log:\n{log}")]
    Died {
        /// How.
        status: String,
        /// Its last words.
        log: String,
    },
    /// It does not listen.
    #[error("{PROGRAM} did not listen within {} s; the end of its log:\n{log}", START_WAIT.as_secs())]
    Late {
        /// Its last words.
        log: String,
    },
    /// It can't be spoken to.
    #[error(transparent)]
    Link(#[from] DataplaneError),
    /// It refused a configuration: sentences.
    #[error("{PROGRAM} refused its configuration: {}", .0.join("\n"))]
    Refused(Vec<String>),
    /// A port has no link.
    #[error(
        "port {port} of {PROGRAM} got no link to linetap-traffic within {} s: did that end, or open other ports?",
        LINK_WAIT.as_secs()
    )]
    NoLink {
        /// Its name.
        port: String,
    },
    /// A signal came.
    #[error("stopped before the data plane was ready")]
    Interrupted,
}

/// The process. Dropping it ends it. Thread: any, one at a time.
#[derive(Debug)]
pub struct Measured {
    keeper: Keeper,
    /// Its standard input: its end is the process's.
    _lifeline: Option<ChildStdin>,
    link: Dataplane,
    dir: PathBuf,
    interrupt: Interrupt,
}

impl Measured {
    /// Starts it, with its sockets, state and log in `dir`, and waits until it listens. Errors: it does not.
    pub fn start(dir: &Path, interrupt: &Interrupt) -> Result<Self, SelfError> {
        let command = command(dir).map_err(SelfError::Start)?;
        let mut keeper = Keeper::new(PROGRAM, command);
        let lifeline = keeper.start().map_err(|error| SelfError::Start(error.into()))?;
        let link = await_link(&mut keeper, dir, interrupt)?;
        let (dir, interrupt) = (dir.to_owned(), interrupt.clone());
        Ok(Self { keeper, _lifeline: lifeline, link, dir, interrupt })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.link.pid
    }

    /// Another connection, for who asks for counters meanwhile. Errors: it has ended.
    pub fn connect(&self) -> Result<Dataplane, SelfError> {
        Ok(Dataplane::connect(&self.dir.join(SOCKET_NAME))?)
    }

    /// Gives it a configuration and waits until its workers poll with it. Errors: it refuses, or has ended.
    pub fn apply(&mut self, snapshot: Snapshot) -> Result<(), SelfError> {
        match self.link.apply(snapshot) {
            Ok(Applied::InForce) => Ok(()),
            Ok(Applied::Refused(faults)) => Err(SelfError::Refused(faults)),
            Err(error) => Err(self.explained(error)),
        }
    }

    /// Its counters. Errors: it has ended.
    pub fn report(&mut self) -> Result<Report, SelfError> {
        self.link.report().map_err(|error| self.explained(error))
    }

    /// Waits until every port has a link. Errors: one has none for long; it has ended; a signal came.
    pub fn await_links(&mut self) -> Result<(), SelfError> {
        let deadline = Instant::now() + LINK_WAIT;
        loop {
            let report = self.report()?;
            let ports = report.live.iter().flat_map(|live| &live.ports);
            let Some(down) = ports.into_iter().find(|port| !port.link_up) else { return Ok(()) };
            if self.interrupt.is_set() {
                return Err(SelfError::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(SelfError::NoLink { port: down.name.clone() });
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Why it does not answer: its end, if it has ended.
    fn explained(&mut self, error: DataplaneError) -> SelfError {
        // Its end is seen by the socket before it is by the kernel's notice.
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            if let Some(status) = self.keeper.ended() {
                return SelfError::Died { status: status.to_string(), log: last_words(&self.dir) };
            }
            thread::sleep(LOOK_AGAIN);
        }
        error.into()
    }

    /// Ends it in good order. Errors: it ends otherwise.
    pub fn finish(mut self) -> Result<(), SelfError> {
        match self.keeper.stop(STOP_WAIT) {
            Some(status) if status.success() => Ok(()),
            status => {
                let status = status.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
                Err(SelfError::Died { status, log: last_words(&self.dir) })
            }
        }
    }
}

fn command(dir: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(sibling(PROGRAM)?);
    command.arg("--socket").arg(dir.join(SOCKET_NAME)).arg("--state").arg(dir.join("snapshot"));
    let log = File::create(log_of(dir))?;
    command.arg("--until-input-ends").stdout(Stdio::null()).stderr(log);
    Ok(command)
}

fn await_link(
    keeper: &mut Keeper,
    dir: &Path,
    interrupt: &Interrupt,
) -> Result<Dataplane, SelfError> {
    let deadline = Instant::now() + START_WAIT;
    loop {
        if let Some(status) = keeper.ended() {
            return Err(SelfError::Died { status: status.to_string(), log: last_words(dir) });
        }
        match Dataplane::connect(&dir.join(SOCKET_NAME)) {
            Ok(link) => return Ok(link),
            Err(DataplaneError::Unreachable { .. }) if Instant::now() < deadline => {}
            Err(DataplaneError::Unreachable { .. }) => {
                return Err(SelfError::Late { log: last_words(dir) });
            }
            Err(error) => return Err(error.into()),
        }
        if interrupt.is_set() {
            return Err(SelfError::Interrupted);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// The end of its log.
fn last_words(dir: &Path) -> String {
    let log = fs::read(log_of(dir)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
}
