//! Both processes while they run: what is done when one dies, when the files change, and at the end.

use std::path::PathBuf;
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use engine::link::write_message;
use engine::report::Report;
use engine::snapshot::Snapshot;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{Failure, say};
use crate::daemon::Texts;
use crate::fault::Faults;
use crate::keeper::Keeper;
use crate::link::{Applied, Dataplane, DataplaneError};
use crate::load::Sources;
use crate::report::to_text;

/// DPDK takes a second or two to start, more with many hugepages.
const START_WAIT: Duration = Duration::from_secs(30);
/// What the data plane may take to drain its queues and close its devices.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Between two looks while something is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The longest time between two looks at the children.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Both processes.
#[derive(Debug)]
pub(super) struct Running {
    sources: Sources,
    /// What linetapd is fed.
    texts: Texts,
    socket: PathBuf,
    dataplane: Keeper,
    daemon: Keeper,
    /// Open while linetapd may run; through it, it is fed.
    feed: Option<Sender<Texts>>,
    /// Open while the data plane may run.
    lifeline: Option<ChildStdin>,
    signals: Receiver<i32>,
}

impl Running {
    /// Starts the data plane alone. Errors: it can't be started.
    pub(super) fn start(
        sources: Sources,
        texts: Texts,
        socket: PathBuf,
        dataplane: Command,
        daemon: Command,
    ) -> anyhow::Result<Self> {
        let signals = signals()?;
        let mut dataplane = Keeper::new("linetap-dataplane", dataplane);
        let lifeline = dataplane.start().context("linetap-dataplane can't be started")?;
        let daemon = Keeper::new("linetapd", daemon);
        Ok(Self { sources, texts, socket, dataplane, daemon, feed: None, lifeline, signals })
    }

    /// Gives the data plane its first snapshot and starts linetapd. Errors: the data plane ends, or
    /// refuses it; nothing runs then.
    pub(super) fn begin(mut self, snapshot: Snapshot) -> Result<Self, Failure> {
        let mut link = self.await_dataplane()?;
        let ports: Vec<String> = snapshot.ports.iter().map(|port| port.name.clone()).collect();
        let (workers, sessions) = (snapshot.dataplane.workers.len(), snapshot.sessions.len());
        match link.apply(snapshot).context("linetap-dataplane took no configuration")? {
            Applied::InForce => {}
            Applied::Refused(reasons) => return Err(anyhow!(reasons.join("\n")).into()),
        }
        self.start_daemon();
        say(&format!(
            "ready: {workers} worker{} with {sessions} session{}, ports {}",
            plural(workers),
            plural(sessions),
            ports.join(", ")
        ));
        Ok(self)
    }

    /// Waits until the data plane listens.
    fn await_dataplane(&mut self) -> anyhow::Result<Dataplane> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            if let Some(status) = self.dataplane.ended() {
                return Err(anyhow!("linetap-dataplane ended at once ({status}): see above"));
            }
            match Dataplane::connect(&self.socket) {
                Ok(link) => return Ok(link),
                Err(DataplaneError::Unreachable { .. }) if Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
            if let Ok(SIGINT | SIGTERM) = self.signals.recv_timeout(LOOK_AGAIN) {
                return Err(anyhow!("stopped before it was ready"));
            }
        }
    }

    /// Looks after both until a signal says stop.
    pub(super) fn watch(mut self) -> Result<(), Failure> {
        loop {
            match self.signals.recv_timeout(LOOK_EVERY) {
                Ok(SIGINT | SIGTERM) | Err(RecvTimeoutError::Disconnected) => return self.stop(),
                Ok(SIGHUP) => self.reload(),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            self.revive();
        }
    }

    /// Starts again what has died.
    fn revive(&mut self) {
        if let Some(status) = self.dataplane.ended() {
            log::error!("linetap-dataplane ended ({status}); starting it with the last snapshot");
        }
        if self.dataplane.is_due() {
            match self.dataplane.start() {
                Ok(lifeline) => self.lifeline = lifeline,
                Err(error) => {
                    log::error!("linetap-dataplane can't be started: {error}; trying again");
                    self.dataplane.postpone();
                }
            }
        }
        if let Some(status) = self.daemon.ended() {
            log::error!("linetapd ended ({status}); starting it again");
        }
        if self.daemon.is_due() {
            self.start_daemon();
        }
    }

    fn start_daemon(&mut self) {
        match self.daemon.start() {
            Ok(feed) => {
                self.feed = feed.and_then(feeder);
                self.feed_daemon();
            }
            Err(error) => {
                log::error!("linetapd can't be started: {error}; trying again");
                self.daemon.postpone();
            }
        }
    }

    /// Hands the texts to linetapd. When it is gone, its successor gets them.
    fn feed_daemon(&self) {
        if let Some(feed) = &self.feed {
            let _ = feed.send(self.texts.clone());
        }
    }

    /// Reads the files again.
    fn reload(&mut self) {
        match super::read(&self.sources) {
            Ok((texts, _)) => {
                self.texts = texts;
                self.feed_daemon();
            }
            Err(Faults(faults)) => {
                for fault in faults {
                    log::error!("{fault}");
                }
                log::error!("the files are refused; what was in force still is");
            }
        }
    }

    /// Ends both in good order and tells the last counters.
    fn stop(mut self) -> Result<(), Failure> {
        let report = self.last_report();
        self.feed = None;
        self.daemon.stop(STOP_WAIT);
        let status = self.dataplane.stop(STOP_WAIT);
        if let Some(report) = report {
            say(&to_text(&report, None, usize::MAX));
        }
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(anyhow!("linetap-dataplane ended with {status}").into()),
            None => Err(anyhow!("linetap-dataplane was not running").into()),
        }
    }

    fn last_report(&self) -> Option<Report> {
        let report = Dataplane::connect(&self.socket).and_then(|mut link| link.report());
        report.map_err(|error| log::warn!("the last counters are lost: {error}")).ok()
    }
}

/// Feeds linetapd from a thread of its own: one that hangs must not keep us from the data plane.
fn feeder(mut input: ChildStdin) -> Option<Sender<Texts>> {
    let (feed, texts) = channel::<Texts>();
    let pass_on = move || {
        for texts in texts {
            if let Err(error) = write_message(&mut input, &texts) {
                log::warn!("linetapd does not listen: {error}");
                return;
            }
        }
    };
    thread::Builder::new().name("feed".into()).spawn(pass_on).ok().map(|_| feed)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Signals as messages, so that one place waits for everything.
fn signals() -> anyhow::Result<Receiver<i32>> {
    let (sender, receiver) = channel();
    let context = "signals can't be awaited";
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).context(context)?;
    let pass_on = move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(pass_on).context(context)?;
    Ok(receiver)
}
