//! Where clients come in: TCP, TLS and the Unix socket, and no more of them than there is room for.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use super::connection::{self, Guest, House};
use super::exchange::Desk;
use super::peer::{Peer, caller_of};
use super::tls::Certificate;
use crate::config::{Api, Listen};

/// Connections of the Unix socket at a time: its own, so that no crowd elsewhere keeps the
/// operator out.
const UNIX_CONNECTIONS: usize = 64;
/// What the kernel may do with the socket: owner and group can connect.
const SOCKET_MODE: u32 = 0o660;
/// After a failure to accept, such as for want of file descriptors.
const RESPITE: Duration = Duration::from_millis(100);

/// What all ways in share.
#[derive(Debug, Clone)]
pub(super) struct Hall {
    house: Arc<House>,
    slots: Arc<Semaphore>,
    unix_slots: Arc<Semaphore>,
    seats: Seats,
    /// Turns true at the end. Every listener and connection has one, so that they can be awaited.
    stopped: watch::Receiver<bool>,
}

impl Hall {
    pub(super) fn new(config: &Api, desk: Arc<Desk>, stopped: watch::Receiver<bool>) -> Self {
        let limits = &config.limits;
        Self {
            house: Arc::new(House::new(limits, desk)),
            slots: Arc::new(Semaphore::new(limits.connections as usize)),
            unix_slots: Arc::new(Semaphore::new(UNIX_CONNECTIONS)),
            seats: Seats { max: limits.connections_per_address, taken: Arc::default() },
            stopped,
        }
    }
}

/// Connections by address.
#[derive(Debug, Clone)]
struct Seats {
    max: u32,
    taken: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One connection of an address, counted until it is dropped.
struct Seat {
    seats: Seats,
    address: IpAddr,
}

impl Seats {
    fn take(&self, address: IpAddr) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&address).copied().unwrap_or(0);
        if count >= self.max {
            return None;
        }
        taken.insert(address, count + 1);
        Some(Seat { seats: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.address);
        } else {
            taken.insert(self.address, left);
        }
    }
}

/// One way in.
enum Door {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix(UnixListener),
}

/// Opens all doors, or none. Called inside the runtime.
pub(super) fn open(
    config: &Api,
    hall: &Hall,
    certificate: Option<&Arc<Certificate>>,
) -> Result<Vec<SocketAddr>, ServeError> {
    let mut doors = Vec::new();
    let mut addresses = Vec::new();
    for listen in &config.listen {
        let acceptor = if listen.tls { Some(acceptor(listen, certificate)?) } else { None };
        let (listener, address) = tcp(listen.address).map_err(|cause| ServeError::Listen {
            address: listen.address.to_string(),
            cause,
            remedy: "end what holds that address, or correct `[api] listen`",
        })?;
        doors.push(Door::Tcp(listener, acceptor));
        addresses.push(address);
    }
    let listener = unix(&config.socket).map_err(|cause| ServeError::Listen {
        address: config.socket.display().to_string(),
        cause,
        remedy: "make its directory writable, or end the linetapd that serves it",
    })?;
    doors.push(Door::Unix(listener));
    for door in doors {
        tokio::spawn(keep(door, hall.clone()));
    }
    Ok(addresses)
}

fn acceptor(
    listen: &Listen,
    certificate: Option<&Arc<Certificate>>,
) -> Result<TlsAcceptor, ServeError> {
    let failure = |why: String| ServeError::Listen {
        address: listen.address.to_string(),
        cause: io::Error::other(why),
        remedy: "add certificate and private_key to [api]",
    };
    let certificate = certificate.ok_or_else(|| failure("TLS needs a certificate".into()))?;
    let config = Arc::clone(certificate).config();
    config.map(TlsAcceptor::from).map_err(|error| failure(error.to_string()))
}

fn tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    // The standard library lets an address be taken over from a process that has just ended.
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::net::{UnixListener as Listener, UnixStream as Stream};
    if Stream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = Listener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Lets clients in until the end.
async fn keep(door: Door, hall: Hall) {
    let mut stopped = hall.stopped.clone();
    let slots = match door {
        Door::Tcp(..) => &hall.slots,
        Door::Unix(_) => &hall.unix_slots,
    };
    let mut is_well = true;
    loop {
        let came = tokio::select! {
            came = door.accept() => came,
            _ = stopped.changed() => return,
        };
        let came = match came {
            Ok(came) => came,
            Err(error) => {
                if is_well {
                    log::error!("API: no connection can be accepted: {error}; trying on");
                }
                is_well = false;
                tokio::time::sleep(RESPITE).await;
                continue;
            }
        };
        is_well = true;
        // Whoever comes to a full house waits here, and the rest in the kernel's queue.
        let slot = tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => slot,
            _ = stopped.changed() => return,
        };
        let Ok(slot) = slot else { return };
        match came {
            Came::Tcp(stream, address, acceptor) => {
                let Some(seat) = hall.seats.take(address.ip()) else { continue };
                tokio::spawn(receive_tcp(hall.clone(), stream, address, acceptor, (slot, seat)));
            }
            Came::Unix(stream) => drop(tokio::spawn(receive_unix(hall.clone(), stream, slot))),
        }
    }
}

/// A client at a door.
enum Came {
    Tcp(TcpStream, SocketAddr, Option<TlsAcceptor>),
    Unix(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Came> {
        match self {
            Self::Tcp(listener, acceptor) => {
                let (stream, address) = listener.accept().await?;
                Ok(Came::Tcp(stream, address, acceptor.clone()))
            }
            Self::Unix(listener) => Ok(Came::Unix(listener.accept().await?.0)),
        }
    }
}

async fn receive_tcp(
    hall: Hall,
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    _place: (OwnedSemaphorePermit, Seat),
) {
    // Answers are whole: waiting for more to send would only delay them. Without it they are right.
    let _ = stream.set_nodelay(true);
    let guest = Guest { peer: Peer::Tcp(address), caller: None };
    let Some(acceptor) = acceptor else {
        return connection::serve(stream, guest, &hall.house, hall.stopped.clone()).await;
    };
    let patience = hall.house.client_timeout();
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, guest, &hall.house, hall.stopped.clone()).await,
        Ok(Err(error)) => log::debug!("API: no TLS with {address}: {error}"),
        Err(_) => log::debug!("API: {address} takes too long for TLS"),
    }
}

async fn receive_unix(hall: Hall, stream: UnixStream, _place: OwnedSemaphorePermit) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (uid, gid) = (peer.uid(), peer.gid());
    let account = hall.house.account().to_owned();
    let caller = tokio::task::spawn_blocking(move || caller_of(uid, gid, &account)).await;
    let peer = Peer::Unix { pid: peer.pid().unwrap_or(0), uid, gid };
    let guest = Guest { peer, caller: caller.ok().flatten() };
    connection::serve(stream, guest, &hall.house, hall.stopped.clone()).await;
}
