//! Control's end of the Unix socket to the data plane.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::link::{
    FromDataplane, LinkError, PROTOCOL_VERSION, ToDataplane, read_message, write_message,
};
use engine::report::Report;
use engine::rule::FilterRule;
use engine::snapshot::Snapshot;
use thiserror::Error;

/// A greeting or a report takes milliseconds, also on a busy machine.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// A first snapshot opens devices, and some take their time.
const APPLY_WAIT: Duration = Duration::from_mins(1);

/// Why the data plane could not be spoken to.
#[derive(Debug, Error)]
pub enum DataplaneError {
    /// Nobody listens.
    #[error("no data plane answers on {socket}: {cause}; {}", remedy(cause))]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It speaks another version.
    #[error(
        "the data plane speaks version {0} of the protocol, not {PROTOCOL_VERSION}: install \
         linetap and linetap-dataplane of the same version"
    )]
    Version(u32),
    /// It said something out of turn.
    #[error("the data plane gave an answer to another question; restart it")]
    OutOfTurn,
    /// It closed the connection.
    #[error("the data plane closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

fn remedy(cause: &io::Error) -> &'static str {
    if cause.kind() == io::ErrorKind::PermissionDenied {
        "ask as root, or as the user that `linetap up --user` names"
    } else {
        "start it with `linetap up`"
    }
}

impl DataplaneError {
    /// The same, with the socket called by the name that people know.
    #[must_use]
    pub fn named(self, socket: &Path) -> Self {
        match self {
            Self::Unreachable { cause, .. } => {
                Self::Unreachable { socket: socket.to_owned(), cause }
            }
            other => other,
        }
    }
}

/// What became of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Every worker polls with it, and it is on disk.
    InForce,
    /// It was refused whole, for these reasons.
    Refused(Vec<String>),
}

/// A connection to a running data plane.
#[derive(Debug)]
pub struct Dataplane {
    from: BufReader<UnixStream>,
    to: UnixStream,
    /// Its process id.
    pub pid: u32,
    /// The snapshot in force when the connection began.
    pub epoch: Option<u64>,
    /// The rules that were applied last over this connection, and with which epoch: they need not be
    /// sent again.
    rules: Option<(u64, Arc<[FilterRule]>)>,
}

impl Dataplane {
    /// Connects and takes the greeting. Errors: nobody listens, or one of another version.
    pub fn connect(socket: &Path) -> Result<Self, DataplaneError> {
        let unreachable = |cause| DataplaneError::Unreachable { socket: socket.to_owned(), cause };
        let to = UnixStream::connect(socket).map_err(unreachable)?;
        let from = BufReader::new(to.try_clone().map_err(unreachable)?);
        let mut dataplane = Self { from, to, pid: 0, epoch: None, rules: None };
        dataplane.wait_for(ANSWER_WAIT)?;
        match dataplane.read()? {
            FromDataplane::Hello { protocol, .. } if protocol != PROTOCOL_VERSION => {
                Err(DataplaneError::Version(protocol))
            }
            FromDataplane::Hello { pid, epoch, .. } => Ok(Self { pid, epoch, ..dataplane }),
            _ => Err(DataplaneError::OutOfTurn),
        }
    }

    /// Asks it to take a snapshot, and waits until every worker polls with it.
    pub fn apply(&mut self, snapshot: Snapshot) -> Result<Applied, DataplaneError> {
        self.apply_within(snapshot, APPLY_WAIT)
    }

    /// The same with another patience. When that ends, the connection is of no more use: the answer
    /// may come any time.
    pub fn apply_within(
        &mut self,
        snapshot: Snapshot,
        patience: Duration,
    ) -> Result<Applied, DataplaneError> {
        self.wait_for(patience)?;
        let (epoch, rules) = (snapshot.epoch, Arc::clone(&snapshot.rules));
        // Whatever goes wrong, all is sent the next time.
        let before = self.rules.take().filter(|(_, before)| Arc::ptr_eq(before, &rules));
        let message = match before {
            Some((of, _)) => ToDataplane::SameRules {
                of,
                snapshot: Box::new(Snapshot { rules: [].into(), ..snapshot }),
            },
            None => ToDataplane::Snapshot(Box::new(snapshot)),
        };
        write_message(&mut self.to, &message)?;
        match self.read()? {
            FromDataplane::Applied { .. } => {
                self.rules = Some((epoch, rules));
                Ok(Applied::InForce)
            }
            FromDataplane::Refused { faults, .. } => Ok(Applied::Refused(faults)),
            _ => Err(DataplaneError::OutOfTurn),
        }
    }

    /// Asks for all counters.
    pub fn report(&mut self) -> Result<Report, DataplaneError> {
        self.wait_for(ANSWER_WAIT)?;
        write_message(&mut self.to, &ToDataplane::Report)?;
        match self.read()? {
            FromDataplane::Report(report) => Ok(*report),
            _ => Err(DataplaneError::OutOfTurn),
        }
    }

    fn wait_for(&self, patience: Duration) -> Result<(), DataplaneError> {
        let limits = self.to.set_read_timeout(Some(patience));
        let limits = limits.and(self.to.set_write_timeout(Some(patience)));
        Ok(limits.map_err(LinkError::from)?)
    }

    fn read(&mut self) -> Result<FromDataplane, DataplaneError> {
        read_message(&mut self.from)?.ok_or(DataplaneError::Closed)
    }
}
