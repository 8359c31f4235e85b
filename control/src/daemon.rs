//! `linetapd`: keeps the data plane supplied with what the two files say.
//!
//! With `[api]` in the appliance file, that is the template's objects and those that the API made:
//! they are in force side by side, and the API shows the template's without letting them be changed
//! (who wrote a file expects it to hold). Without `[api]` it is the template's alone.
//!
//! It reads the files itself, and again on SIGHUP; or `linetap up`, which may read files that it may
//! not, feeds it their texts ([`Texts`]) over standard input. It connects to the data plane again
//! and again, sends what is to be in force, and logs what changes there. The data plane needs none
//! of this to go on.

mod changes;
mod filed;
mod office;
mod uplink;
mod ward;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use engine::link::read_message;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Appliance;
use crate::fault::Faults;
use crate::health::EchoSockets;
use crate::load::{self, Loaded, Sources};
use crate::privilege::Foothold;
use crate::service::Publish;
use filed::Filed;
use office::{Office, log_refusal};
use uplink::Uplink;
use ward::Ward;

/// How often the data plane is asked for its counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The API's store in `state_dir`: in a folder of our own, since the rest is the data plane's.
pub const STORE_NAME: &str = "control/control.db";
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
    /// Checks have found something new of members.
    Health,
    Stop,
}

/// Where the daemon finds what the files don't say.
#[derive(Debug, Default)]
pub struct Places {
    /// The data plane's socket, if it is not where the appliance file says.
    pub socket: Option<PathBuf>,
    /// A way to that socket which stays open.
    pub foothold: Option<Foothold>,
    /// In place of the appliance file's `run_dir`.
    pub run_dir: Option<PathBuf>,
    /// In place of the appliance file's `state_dir`.
    pub state_dir: Option<PathBuf>,
    /// What members are asked with by ICMP, if it was opened before rights were given up.
    pub echo: Option<EchoSockets>,
}

/// Runs until a signal, or the end of standard input. Errors: the first files are faulty, the API
/// can't begin, or signals can't be awaited.
pub fn run(sources: &Sources, places: Places, supply: Supply) -> Result<(), Failure> {
    let (events, inbox) = channel();
    let Places { socket, foothold, run_dir, state_dir, echo } = places;
    let uplink = Arc::new(Uplink::new(socket, foothold));
    let ward = Ward::new(echo.unwrap_or_else(EchoSockets::open), events.clone());
    let mut daemon = Daemon { sources, run_dir, state_dir, uplink, ward, stage: Stage::Empty };
    let first = match supply {
        Supply::Files => Some(load::load(sources, 0).map_err(Failure::Files)?),
        Supply::StandardInput => {
            feed_on_standard_input(events.clone()).map_err(Failure::Start)?;
            None
        }
    };
    heed_signals(events).map_err(Failure::Start)?;
    first.map_or(Ok(()), |loaded| daemon.take(loaded))?;
    daemon.serve(&inbox);
    Ok(())
}

/// Why the daemon could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The files are faulty.
    #[error("{0}")]
    Files(Faults),
    /// The store can't be used, or does not go with the files.
    #[error("the API can't start: {0}")]
    Api(String),
    /// Members of tools can't be checked as the appliance file asks for.
    #[error("{0}")]
    Health(String),
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
    /// In place of the appliance file's directories.
    run_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    uplink: Arc<Uplink>,
    ward: Ward,
    stage: Stage,
}

/// Who says what is to be in force.
enum Stage {
    /// Nobody yet.
    Empty,
    /// The files alone.
    Files(Box<Filed>),
    /// The files and the API.
    Office(Box<Office>),
}

impl Daemon<'_> {
    fn serve(&mut self, inbox: &Receiver<Event>) {
        loop {
            let patience = if self.uplink.is_up() { REPORT_EVERY } else { CONNECT_EVERY };
            match inbox.recv_timeout(patience) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return self.close(),
                Ok(Event::Reload) => self.judge(load::load(self.sources, 0)),
                Ok(Event::Texts(texts)) => {
                    let Texts { config, template } = *texts;
                    self.judge(load::from_texts(&config, &template, self.sources, 0));
                }
                Ok(Event::Health) => drop(self.heed_health()),
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    /// Takes over what the files say, unless they are faulty.
    fn judge(&mut self, loaded: Result<Loaded, Faults>) {
        let taken = loaded.map_err(Failure::Files).and_then(|loaded| self.take(loaded));
        if let Err(failure) = taken {
            log_refusal(&failure);
        }
    }

    /// Takes over what the files say, and sends it. Errors: what they say can't be done.
    fn take(&mut self, mut loaded: Loaded) -> Result<(), Failure> {
        self.uplink.seek_at(loaded.appliance.socket());
        self.uplink.connect();
        self.ward.judge(&loaded.appliance.tools)?;
        self.place(&mut loaded.appliance);
        let api = loaded.appliance.api.take();
        match (&mut self.stage, api) {
            (Stage::Office(office), Some(api)) => {
                let moved = office.move_to(loaded, api);
                return moved.and(self.check().map(drop));
            }
            (_, Some(api)) => {
                let store = loaded.appliance.state_dir.join(STORE_NAME);
                let office = Office::open(loaded, api, &store, &self.uplink, &mut self.ward)?;
                self.stage = Stage::Office(Box::new(office));
            }
            (_, None) => {
                self.close();
                self.stage = Stage::Files(Box::new(Filed::new(loaded)));
                if !self.check()? {
                    self.send();
                }
            }
        }
        Ok(())
    }

    /// Has the members checked that there are now. True when what the files say was sent for what is
    /// known of them. Errors: that can't be done.
    fn check(&mut self) -> Result<bool, Failure> {
        let known = self.uplink.known_health();
        match &mut self.stage {
            Stage::Empty => return Ok(false),
            Stage::Files(filed) => self.ward.follow(filed.tools(), &known)?,
            Stage::Office(office) => self.ward.follow(&office.tools_to_check(), &known)?,
        }
        Ok(self.heed_health())
    }

    /// Puts in force what the checks have found. True when the files' snapshot was sent for it.
    fn heed_health(&mut self) -> bool {
        let findings = self.ward.findings();
        match &mut self.stage {
            Stage::Empty => {}
            Stage::Files(filed) => {
                self.ward.tell(filed.tools(), &findings);
                if filed.set_health(&findings) {
                    self.send();
                    return true;
                }
            }
            Stage::Office(office) => {
                self.ward.tell(&office.tools(), &findings);
                office.set_health(findings);
            }
        }
        false
    }

    /// Has our files lie in the directories that we were told.
    fn place(&self, appliance: &mut Appliance) {
        let moves =
            [(&self.run_dir, &mut appliance.run_dir), (&self.state_dir, &mut appliance.state_dir)];
        for (ours, place) in moves {
            let Some(ours) = ours else { continue };
            let before = std::mem::replace(place, ours.clone());
            let Some(api) = &mut appliance.api else { continue };
            for file in [&mut api.socket, &mut api.audit] {
                let moved = file.strip_prefix(&before).map(|rest| ours.join(rest));
                if let Ok(moved) = moved {
                    *file = moved;
                }
            }
        }
    }

    /// Sends what is to be in force to a data plane that may know nothing of it.
    fn send(&mut self) {
        match &mut self.stage {
            Stage::Empty => {}
            // What was in the way is in the log.
            Stage::Files(filed) => drop(self.uplink.publish(filed.wanted())),
            Stage::Office(office) => office.publish_again(),
        }
    }

    /// Looks after the data plane.
    fn look(&mut self) {
        if let Stage::Office(office) = &mut self.stage
            && office.has_other_tools()
            && let Err(failure) = self.check()
        {
            log::error!("{failure}");
        }
        if self.uplink.connect() || self.uplink.look() {
            self.send();
        } else if let Stage::Office(office) = &mut self.stage
            && self.uplink.is_up()
        {
            office.publish();
        }
    }

    /// Ends the API, if there is one.
    fn close(&mut self) {
        if let Stage::Office(office) = std::mem::replace(&mut self.stage, Stage::Empty) {
            office.close();
        }
    }
}
