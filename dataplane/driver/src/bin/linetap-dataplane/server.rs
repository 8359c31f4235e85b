//! The Unix socket: who may speak, and one thread for each who does.

use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossbeam::channel::{Sender, bounded};
use engine::link::{
    FromDataplane, LinkError, PROTOCOL_VERSION, ToDataplane, read_message, write_message,
};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;

use crate::crew::forgo_capabilities;
use crate::publisher::{Event, Request, Shared};

/// Connections at a time.
const CLIENTS_MAX: usize = 16;
/// A client that does not read an answer for so long is cut off.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// The socket, not yet served.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    allowed: Vec<Uid>,
}

impl Server {
    /// Makes the socket, for its owner and group only. The first of `control_uids` owns it. Errors:
    /// another data plane listens there.
    pub(crate) fn bind(path: &Path, control_uids: &[u32]) -> anyhow::Result<Self> {
        let place = || format!("the socket {}", path.display());
        if UnixStream::connect(path).is_ok() {
            bail!("{} is served by another linetap-dataplane: stop it first", place());
        }
        // A socket that nobody serves is what a killed process left. Another file is not ours.
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            fs::remove_file(path).with_context(place)?;
        }
        let listener = UnixListener::bind(path).with_context(place)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).with_context(place)?;
        if let Some(uid) = control_uids.first() {
            chown(path, Some(*uid), None).with_context(place)?;
        }
        let mut allowed = vec![Uid::from_raw(0), Uid::effective()];
        allowed.extend(control_uids.iter().copied().map(Uid::from_raw));
        Ok(Self { listener, path: path.to_owned(), allowed })
    }

    /// Serves clients from now on, on threads of their own.
    pub(crate) fn start(&self, events: Sender<Event>, shared: Shared) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        let allowed = self.allowed.clone();
        thread::Builder::new().name("clients".to_owned()).spawn(move || {
            // Inherited by every client's thread.
            forgo_capabilities();
            accept(&listener, &allowed, &events, &shared);
        })?;
        Ok(())
    }

    /// Takes the socket away.
    pub(crate) fn close(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("the socket {} stays behind: {error}", self.path.display());
        }
    }
}

fn accept(listener: &UnixListener, allowed: &[Uid], events: &Sender<Event>, shared: &Shared) {
    let places = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // No file descriptors left, perhaps: do not spin on it.
                log::warn!("a client could not be accepted: {error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if let Err(reason) = admit(&stream, allowed) {
            log::warn!("a client is refused: {reason}");
            continue;
        }
        let place = Place::take(&places);
        if place.number > CLIENTS_MAX {
            log::warn!("a client is refused: {CLIENTS_MAX} are connected already");
            continue;
        }
        let (events, shared) = (events.clone(), shared.clone());
        let served = thread::Builder::new().name("client".to_owned()).spawn(move || {
            if let Err(error) = serve(&stream, &events, &shared) {
                log::warn!("a client is cut off: {error}");
            }
            drop(place);
        });
        if let Err(error) = served {
            log::warn!("a client could not be served: {error}");
        }
    }
}

/// One of the places that clients have, or control has among them; given back on drop.
struct Place {
    taken: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Self {
        Self { taken: Arc::clone(taken), number: taken.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

fn admit(stream: &UnixStream, allowed: &[Uid]) -> Result<(), String> {
    let peer = getsockopt(stream, PeerCredentials).map_err(|error| error.to_string())?;
    if allowed.contains(&Uid::from_raw(peer.uid())) {
        return Ok(());
    }
    Err(format!(
        "user {} (process {}) may not control this data plane; see --control-uid",
        peer.uid(),
        peer.pid()
    ))
}

/// Answers one client until it goes, or the publisher does.
fn serve(stream: &UnixStream, events: &Sender<Event>, shared: &Shared) -> Result<(), LinkError> {
    stream.set_write_timeout(Some(WRITE_WAIT))?;
    let (mut from, mut to) = (BufReader::new(stream), stream);
    let epoch = shared.in_force.lock().map_or(None, |epoch| *epoch);
    let hello = FromDataplane::Hello { protocol: PROTOCOL_VERSION, pid: std::process::id(), epoch };
    write_message(&mut to, &hello)?;
    // Held from its first snapshot on, until it goes.
    let mut control = None;
    while let Some(message) = read_message::<ToDataplane>(&mut from)? {
        let (reply, answer) = bounded(1);
        if events.send(Event::Request(Request { message, reply })).is_err() {
            break;
        }
        let Ok(answer) = answer.recv() else { break };
        if matches!(answer, FromDataplane::Applied { .. }) {
            control.get_or_insert_with(|| Place::take(&shared.controls));
        }
        write_message(&mut to, &answer)?;
    }
    Ok(())
}
