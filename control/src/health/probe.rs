//! One check of one member: what is asked, and what the answer says.

mod http;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine::snapshot::Cause;
use nix::errno::Errno;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Subject;
use super::echo::Pinger;
use super::gauge::Outcome;
use crate::config::Probe;

/// A VXLAN header whose I flag is not set, and nothing behind it: no receiver takes it for traffic
/// (RFC 7348 §5: the flag MUST be set for a valid VNI).
const NO_VNI: [u8; 8] = [0; 8];

/// Asks once, and waits no longer than the check says.
///
/// It asks from the address that copies come from, and so by the kernel's own route from there.
pub(super) async fn probe(subject: &Subject, pinger: &Pinger) -> Outcome {
    let Subject { address, source, check, .. } = subject;
    let at = |port: u16| SocketAddr::new(*address, port);
    let asked = async {
        match &check.probe {
            Probe::Icmp => pinger.ask(*source, *address).await,
            Probe::Tcp { port } => match connect(*source, at(*port)).await {
                Ok(_) => Outcome::Passed,
                Err(error) => trouble(&error, *source),
            },
            Probe::Http { port, path } => match connect(*source, at(*port)).await {
                Ok(stream) => http::get(stream, at(*port), path).await,
                Err(error) => trouble(&error, *source),
            },
            Probe::Vxlan { port } => trouble(&objection(*source, at(*port)).await, *source),
        }
    };
    match timeout(check.timeout, asked).await {
        Ok(outcome) => outcome,
        // Nobody has objected.
        Err(_) if matches!(check.probe, Probe::Vxlan { .. }) => Outcome::Passed,
        Err(_) => {
            let why = format!("no answer in {}", seconds(check.timeout));
            Outcome::Failed(Cause::Timeout, why)
        }
    }
}

async fn connect(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

/// Waits for the ICMP error that a datagram to the port causes, for ever if there is none.
async fn objection(source: IpAddr, to: SocketAddr) -> io::Error {
    let wait = async || {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
        socket.connect(to).await?;
        socket.send(&NO_VNI).await?;
        loop {
            // What comes back is none; it says no more than silence.
            socket.recv(&mut [0; 1]).await?;
        }
    };
    let outcome: io::Result<std::convert::Infallible> = wait().await;
    match outcome {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// What it means that the system reports an error: the member's fault, or ours.
pub(super) fn trouble(error: &io::Error, source: IpAddr) -> Outcome {
    const OURS: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let number = error.raw_os_error().map(Errno::from_raw);
    let words = match error.kind() {
        ErrorKind::AddrNotAvailable | ErrorKind::InvalidInput => {
            return Outcome::Unable(format!("the kernel has no address {source} to ask from"));
        }
        ErrorKind::PermissionDenied | ErrorKind::WouldBlock => {
            return Outcome::Unable(error.to_string());
        }
        _ if number.is_some_and(|number| OURS.contains(&number)) => {
            return Outcome::Unable(error.to_string());
        }
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => "connection reset",
        ErrorKind::HostUnreachable => "host unreachable",
        ErrorKind::NetworkUnreachable => "network unreachable",
        ErrorKind::TimedOut => return Outcome::Failed(Cause::Timeout, "no answer".to_owned()),
        _ => return Outcome::Failed(Cause::Failed, error.to_string()),
    };
    Outcome::Failed(Cause::Failed, words.to_owned())
}

/// A time as people write it.
pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A number that nobody can foresee.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests;
