//! What is known of each member that is checked: written by the checks, read by whoever asks.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use engine::snapshot::{Health, HealthState};

use super::HealthMap;
use super::gauge::Finding;

/// A tool's id and a member's address.
pub(super) type MemberKey = (String, IpAddr);

/// The findings about all members that are checked. Any thread.
#[derive(Debug, Default)]
pub struct Board(Mutex<HealthMap>);

impl Board {
    /// A thread that failed has left nothing half done: entries are replaced whole.
    fn entries(&self) -> MutexGuard<'_, HealthMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of all of them.
    pub fn all(&self) -> HealthMap {
        self.entries().clone()
    }

    /// What is known of a member; `None`: it is not checked.
    pub(super) fn of(&self, (tool, address): &MemberKey) -> Option<HealthState> {
        self.entries().get(tool)?.get(address).cloned()
    }

    /// Notes members of which nothing may be known yet, and forgets all others. `before`: what was
    /// known of one by somebody else.
    pub(super) fn have(
        &self,
        members: impl Iterator<Item = MemberKey>,
        before: impl Fn(IpAddr) -> Option<HealthState>,
    ) {
        let mut entries = self.entries();
        let mut old = std::mem::take(&mut *entries);
        for (tool, address) in members {
            let known = old.get_mut(&tool).and_then(|members| members.remove(&address));
            let state = known.or_else(|| before(address)).unwrap_or_else(|| HealthState {
                state: Health::Initial,
                reason: "not checked yet".to_owned(),
                since: SystemTime::now(),
            });
            entries.entry(tool).or_default().insert(address, state);
        }
    }

    /// Notes what has been found of a member, if that is still checked.
    pub(super) fn note(&self, (tool, address): &MemberKey, finding: Finding) {
        let Finding { state, reason } = finding;
        let mut entries = self.entries();
        if let Some(entry) = entries.get_mut(tool).and_then(|members| members.get_mut(address)) {
            *entry = HealthState { state, reason, since: SystemTime::now() };
        }
    }
}
