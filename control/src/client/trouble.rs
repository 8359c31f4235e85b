//! What can come between a request and its answer, in words.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::connection::is_lost;
use super::place::{Place, Url};
use super::trust;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    /// A sentence with its remedy.
    pub(super) message: String,
    /// The connection broke: trying again may help.
    pub(super) is_lost: bool,
    /// Nobody takes connections.
    pub(super) is_closed: bool,
}

impl Trouble {
    /// One that stays.
    pub(super) fn last(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_lost: false, is_closed: false }
    }

    /// One that may pass.
    pub(super) fn lost(message: impl Into<String>) -> Self {
        Self { is_lost: true, ..Self::last(message) }
    }

    fn closed(message: impl Into<String>) -> Self {
        Self { is_closed: true, ..Self::last(message) }
    }
}

/// A socket that lets nobody in.
pub(super) fn of_socket(path: &Path, cause: &io::Error) -> Trouble {
    let remedy = match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "ask as root, or as a member of linetapd's group (`linetap up --user` names its user)"
        }
        io::ErrorKind::NotFound => {
            "is `linetap up` running, with [api] in its appliance file? --socket or --endpoint-url \
             name another place"
        }
        _ => "linetapd has ended; start it with `linetap up`",
    };
    Trouble::closed(format!("no API answers on {}: {cause}; {remedy}", path.display()))
}

/// A host that lets nobody in.
pub(super) fn of_host(url: &Url, cause: &io::Error) -> Trouble {
    let remedy = match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "is linetapd running, and does [api] listen on that address and port?"
        }
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::TimedOut => "is the appliance up, and does a firewall let it be reached?",
        _ => "look at the host and the port of the URL",
    };
    Trouble::closed(format!("no API answers on {url}: {cause}; {remedy}"))
}

/// A peer that TLS does not come about with.
pub(super) fn of_tls(url: &Url, error: &io::Error) -> Trouble {
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
        return Trouble::lost(format!("{url} closed the connection; does it speak TLS?"));
    }
    Trouble::last(format!("{url} can't be trusted: {}", trust::explain(error)))
}

/// A request or a reply that did not get through.
pub(super) fn of_http(place: &Place, error: &hyper::Error) -> Trouble {
    if is_lost(error) {
        return Trouble::lost(format!(
            "{place} closed the connection without an answer; its log (linetapd's) may tell why"
        ));
    }
    let remedy = match place {
        Place::Url(url) if !url.tls => "; if it speaks TLS, write https://",
        _ => "",
    };
    Trouble::last(format!("{place} does not answer in HTTP: {error}{remedy}"))
}

/// No answer in time.
pub(super) fn late(place: &Place, timeout: Duration) -> Trouble {
    Trouble::last(format!(
        "{place} gave no answer within {} s, and whether it did what it was asked is not known; \
         look with `list`, or allow it more with --timeout",
        timeout.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_closed_door_has_its_remedy() {
        let socket = |kind: io::ErrorKind| of_socket(Path::new("/s"), &kind.into());
        let denied = socket(io::ErrorKind::PermissionDenied);
        assert!(denied.message.starts_with("no API answers on /s: permission denied; ask as root"));
        assert!(denied.is_closed && !denied.is_lost);
        assert!(socket(io::ErrorKind::NotFound).message.contains("is `linetap up` running"));
        assert!(socket(io::ErrorKind::ConnectionRefused).message.contains("linetapd has ended"));
        let url: Url = "https://tap".parse().unwrap();
        let host = |kind: io::ErrorKind| of_host(&url, &kind.into()).message;
        assert!(host(io::ErrorKind::HostUnreachable).contains("does a firewall let it be reached"));
        assert!(of_tls(&url, &io::ErrorKind::UnexpectedEof.into()).is_lost);
    }
}
