//! What is refused is logged once for each source and reason: nobody fills the log from outside.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::peer::Peer;
use crate::ec2::auth::Refusal;

/// Sources and reasons that are remembered.
const KNOWN_MAX: usize = 4096;

/// A source and a reason: the address or, on the Unix socket, the user.
type Kind = (Option<IpAddr>, u32, Discriminant<Refusal>);

/// What was logged already.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    known: Mutex<HashSet<Kind>>,
}

impl Refusals {
    /// Logs a refusal unless its like was logged before. Holds no secret, nor anything a stranger
    /// wrote; `key_id` is that of a key which exists.
    pub(super) fn note(&self, peer: &Peer, refusal: &Refusal, key_id: Option<&str>) {
        let (address, uid) = match peer {
            Peer::Tcp(address) => (Some(address.ip()), 0),
            Peer::Unix { uid, .. } => (None, *uid),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX || !known.insert((address, uid, discriminant(refusal))) {
            return;
        }
        let is_last = known.len() == KNOWN_MAX;
        drop(known);
        let source = address.map_or_else(|| peer.to_string(), |address| address.to_string());
        let key = key_id.map_or_else(String::new, |id| format!(" with key {id}"));
        let reason = refusal.reason();
        log::warn!("API: requests from {source}{key} are refused: {reason}; told once");
        if is_last {
            log::warn!("API: too many sources are refused: no more are told until SIGHUP");
        }
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.known.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn each_source_and_reason_is_told_once() {
        let refusals = Refusals::default();
        let peer = |port: u16| Peer::Tcp(SocketAddr::from(([192, 0, 2, 1], port)));
        refusals.note(&peer(1), &Refusal::Unsigned, None);
        refusals.note(&peer(2), &Refusal::Unsigned, None);
        assert_eq!(refusals.count(), 1, "the port is no other source");
        refusals.note(&peer(1), &Refusal::UnknownKey, None);
        refusals.note(&Peer::Unix { pid: 1, uid: 0, gid: 0 }, &Refusal::Unsigned, None);
        assert_eq!(refusals.count(), 3);
        refusals.forget();
        assert_eq!(refusals.count(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::default();
        for address in 0..2 * KNOWN_MAX as u32 {
            let peer = Peer::Tcp((Ipv4Addr::from(address), 1).into());
            refusals.note(&peer, &Refusal::Unsigned, None);
        }
        assert_eq!(refusals.count(), KNOWN_MAX);
    }
}
