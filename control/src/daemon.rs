//! `linetapd`: keeps the data plane supplied with what the two files say.
//!
//! It reads the files itself, and again on SIGHUP; or `linetap up`, which may read files that it may
//! not, feeds it their texts ([`Texts`]) over standard input. It connects to the data plane again
//! and again, sends what is to be in force, and logs what changes there. The data plane needs none
//! of this to go on.

mod changes;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::link::read_message;
use engine::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fault::Faults;
use crate::link::{Applied, Dataplane};
use crate::load::{self, Sources};
use crate::privilege::Foothold;
use changes::Changes;

/// How often the data plane is asked for its counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// A data plane that runs nothing gets a snapshot that it refused again this often.
const RETRY_EVERY: Duration = Duration::from_secs(10);
/// How often a connection is tried.
const CONNECT_EVERY: Duration = Duration::from_millis(200);

/// The texts of both files, as `linetap up` feeds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The appliance file.
    pub config: String,
    /// The template.
    pub template: String,
}

/// Where the texts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// The files of [`Sources`], now and on SIGHUP.
    Files,
    /// Standard input, as often as it likes; its end is ours.
    StandardInput,
}

/// What the main thread waits for.
enum Event {
    Reload,
    Texts(Box<Texts>),
    Stop,
}

/// Runs until a signal, or the end of standard input. The data plane is sought at `socket`, else
/// where the appliance file says; through `foothold` if there is one. Errors: the first files are
/// faulty, or signals can't be awaited.
pub fn run(
    sources: &Sources,
    socket: Option<PathBuf>,
    foothold: Option<Foothold>,
    supply: Supply,
) -> Result<(), Failure> {
    let (events, inbox) = channel();
    let first = match supply {
        Supply::Files => {
            let loaded = load::load(sources, 0).map_err(Failure::Files)?;
            Some((loaded.appliance.socket(), loaded.snapshot))
        }
        Supply::StandardInput => {
            feed_on_standard_input(events.clone()).map_err(Failure::Start)?;
            None
        }
    };
    heed_signals(events).map_err(Failure::Start)?;
    let mut daemon = Daemon {
        sources,
        socket,
        foothold,
        wanted: None,
        link: None,
        changes: Changes::default(),
        refused: None,
        epoch: 0,
    };
    if let Some((socket, snapshot)) = first {
        daemon.want(socket, snapshot);
        daemon.connect();
    }
    daemon.serve(&inbox);
    Ok(())
}

/// Why the daemon could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The files are faulty.
    #[error("{0}")]
    Files(Faults),
    /// The process lacks something.
    #[error("linetapd can't start: {0}")]
    Start(io::Error),
}

fn heed_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGHUP { Event::Reload } else { Event::Stop };
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

fn feed_on_standard_input(events: Sender<Event>) -> io::Result<()> {
    thread::Builder::new().name("feed".into()).spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(texts)) = read_message(&mut input) {
            if events.send(Event::Texts(Box::new(texts))).is_err() {
                return;
            }
        }
        // Whoever fed us is gone, and we with it; when nobody listens, we are already.
        let _ = events.send(Event::Stop);
    })?;
    Ok(())
}

struct Daemon<'s> {
    sources: &'s Sources,
    socket: Option<PathBuf>,
    foothold: Option<Foothold>,
    /// What is to be in force.
    wanted: Option<Snapshot>,
    link: Option<Dataplane>,
    changes: Changes,
    /// When a snapshot was refused last, until one is accepted.
    refused: Option<Instant>,
    /// The last epoch that was sent or met.
    epoch: u64,
}

impl Daemon<'_> {
    fn serve(&mut self, inbox: &Receiver<Event>) {
        loop {
            let patience = if self.link.is_some() { REPORT_EVERY } else { CONNECT_EVERY };
            match inbox.recv_timeout(patience) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Event::Reload) => self.judge(load::load(self.sources, 0)),
                Ok(Event::Texts(texts)) => {
                    let Texts { config, template } = *texts;
                    self.judge(load::from_texts(&config, &template, self.sources, 0));
                }
                Err(RecvTimeoutError::Timeout) if self.link.is_some() => self.look(),
                Err(RecvTimeoutError::Timeout) => self.connect(),
            }
        }
    }

    /// Takes over what the files say, unless they are faulty.
    fn judge(&mut self, loaded: Result<load::Loaded, Faults>) {
        match loaded {
            Ok(loaded) => {
                self.want(loaded.appliance.socket(), loaded.snapshot);
                if self.link.is_some() { self.send() } else { self.connect() }
            }
            Err(Faults(faults)) => {
                for fault in faults {
                    log::error!("{fault}");
                }
                log::error!("the files are refused; what was in force still is");
            }
        }
    }

    fn want(&mut self, socket: PathBuf, snapshot: Snapshot) {
        self.socket.get_or_insert(socket);
        self.wanted = Some(snapshot);
    }

    fn connect(&mut self) {
        let Some(socket) = &self.socket else { return };
        let reach = self.foothold.as_ref().map(|foothold| foothold.reach(socket));
        match Dataplane::connect(reach.as_ref().unwrap_or(socket)) {
            Ok(link) => {
                log::info!("connected to the data plane, process {}", link.pid);
                self.epoch = self.epoch.max(link.epoch.unwrap_or(0));
                self.link = Some(link);
                self.send();
            }
            Err(error) => self.changes.unreachable(&error.named(socket)),
        }
    }

    /// Sends what is to be in force.
    fn send(&mut self) {
        let (Some(link), Some(wanted)) = (&mut self.link, &self.wanted) else { return };
        self.epoch += 1;
        let epoch = self.epoch;
        match link.apply(Snapshot { epoch, ..wanted.clone() }) {
            Ok(Applied::InForce) => {
                self.refused = None;
                log::info!("snapshot {epoch} is accepted: every worker polls with it");
            }
            Ok(Applied::Refused(reasons)) => {
                self.refused = Some(Instant::now());
                for reason in reasons {
                    log::error!("snapshot {epoch} is refused: {reason}");
                }
            }
            Err(error) => self.lose(&error),
        }
    }

    /// Looks at what has changed in the data plane.
    fn look(&mut self) {
        match self.link.as_mut().map(Dataplane::report) {
            Some(Ok(report)) => {
                let runs_nothing = report.live.is_none();
                self.changes.note(report);
                // What it was refused for may have passed: a device that was not there yet.
                if runs_nothing && self.refused.is_some_and(|when| when.elapsed() >= RETRY_EVERY) {
                    self.send();
                }
            }
            Some(Err(error)) => self.lose(&error),
            None => {}
        }
    }

    fn lose(&mut self, error: &dyn std::error::Error) {
        log::warn!("the data plane is lost: {error}; connecting again");
        self.link = None;
    }
}
