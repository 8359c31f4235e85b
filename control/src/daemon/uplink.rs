//! The way up to the data plane, shared by all who need it: those who publish changes and the one
//! who watches. It is sought again and again; who needs it meanwhile is told that it is not there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::report::NeighborState;
use engine::snapshot::{Health, HealthState, Snapshot};

use super::changes::Changes;
use crate::link::{Applied, Dataplane};
use crate::privilege::Foothold;
use crate::service::{NotYet, Publish};

/// A data plane that runs nothing gets a snapshot that it refused again this often.
const RETRY_EVERY: Duration = Duration::from_secs(10);
/// A first snapshot opens devices, and some take their time.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// Beyond this, whoever waits for a change is told that the data plane is late: clients wait for no
/// more than a minute, and the data plane itself gives up on a stuck worker sooner.
const CHANGE_WAIT: Duration = Duration::from_secs(10);

/// The connection to the data plane.
#[derive(Debug)]
pub(super) struct Uplink(Mutex<State>);

#[derive(Debug)]
struct State {
    socket: Option<PathBuf>,
    foothold: Option<Foothold>,
    link: Option<Dataplane>,
    changes: Changes,
    /// When a snapshot was refused last, until one is accepted.
    refused: Option<Instant>,
    /// The last epoch that was sent or met.
    epoch: u64,
    /// It runs what we know of: a change takes milliseconds.
    runs: bool,
}

impl Uplink {
    /// No connection yet. It is sought at `socket`, if that is known; through `foothold` if there is
    /// one.
    pub(super) fn new(socket: Option<PathBuf>, foothold: Option<Foothold>) -> Self {
        let changes = Changes::default();
        let state =
            State { socket, foothold, link: None, changes, refused: None, epoch: 0, runs: false };
        Self(Mutex::new(state))
    }

    /// A thread that failed has left nothing half done that the next snapshot would not mend.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to seek the data plane, if that is not known yet.
    pub(super) fn seek_at(&self, socket: PathBuf) {
        self.state().socket.get_or_insert(socket);
    }

    /// True while there is a connection.
    pub(super) fn is_up(&self) -> bool {
        self.state().link.is_some()
    }

    /// Tries to connect. True when there is a connection that was not there before: what is to be in
    /// force has to be sent.
    pub(super) fn connect(&self) -> bool {
        self.state().connect()
    }

    /// What the data plane has in force of the members that were unhealthy when somebody checked them:
    /// they stay so until they are checked again. By address: whichever tool it is a member of.
    pub(super) fn known_health(&self) -> HashMap<IpAddr, HealthState> {
        let mut state = self.state();
        let report = match state.link.as_mut().map(Dataplane::report) {
            Some(Ok(report)) => report,
            Some(Err(error)) => {
                state.lose(&error);
                return HashMap::new();
            }
            None => return HashMap::new(),
        };
        let members = report.live.into_iter().flat_map(|live| live.neighbors);
        let unhealthy = |member: NeighborState| {
            let is_it = |found: &HealthState| matches!(found.state, Health::Unhealthy(_));
            Some((member.address, member.checked.filter(is_it)?))
        };
        members.filter_map(unhealthy).collect()
    }

    /// Looks at what has changed in the data plane. True when what it refused has to be sent again.
    pub(super) fn look(&self) -> bool {
        let mut state = self.state();
        match state.link.as_mut().map(Dataplane::report) {
            Some(Ok(report)) => {
                let runs_nothing = report.live.is_none();
                state.changes.note(report);
                // What it was refused for may have passed: a device that was not there yet.
                runs_nothing && state.refused.is_some_and(|when| when.elapsed() >= RETRY_EVERY)
            }
            Some(Err(error)) => {
                state.lose(&error);
                false
            }
            None => false,
        }
    }
}

impl State {
    fn connect(&mut self) -> bool {
        if self.link.is_some() {
            return false;
        }
        let Some(socket) = &self.socket else { return false };
        let reach = self.foothold.as_ref().map(|foothold| foothold.reach(socket));
        match Dataplane::connect(reach.as_ref().unwrap_or(socket)) {
            Ok(link) => {
                log::info!("connected to the data plane, process {}", link.pid);
                self.epoch = self.epoch.max(link.epoch.unwrap_or(0));
                self.runs = link.epoch.is_some();
                self.link = Some(link);
                true
            }
            Err(error) => {
                self.changes.unreachable(&error.named(socket));
                false
            }
        }
    }

    fn send(&mut self, snapshot: &Snapshot) -> Result<(), NotYet> {
        self.connect();
        let Some(link) = &mut self.link else {
            let why = "no data plane answers; it gets the change when it does";
            return Err(NotYet(vec![why.to_owned()]));
        };
        self.epoch += 1;
        let epoch = self.epoch;
        let patience = if self.runs { CHANGE_WAIT } else { FIRST_WAIT };
        match link.apply_within(Snapshot { epoch, ..snapshot.clone() }, patience) {
            Ok(Applied::InForce) => {
                self.refused = None;
                self.runs = true;
                log::info!("snapshot {epoch} is accepted: every worker polls with it");
                Ok(())
            }
            Ok(Applied::Refused(reasons)) => {
                self.refused = Some(Instant::now());
                for reason in &reasons {
                    log::error!("snapshot {epoch} is refused: {reason}");
                }
                Err(NotYet(reasons))
            }
            Err(error) => {
                self.lose(&error);
                Err(NotYet(vec![error.to_string()]))
            }
        }
    }

    fn lose(&mut self, error: &dyn std::error::Error) {
        log::warn!("the data plane is lost: {error}; connecting again");
        self.link = None;
    }
}

impl Publish for Uplink {
    fn publish(&self, snapshot: &Snapshot) -> Result<(), NotYet> {
        self.state().send(snapshot)
    }
}
