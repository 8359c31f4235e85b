//! What the checks of members have found: set by those who check, not stored, laid over what file and
//! store say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::refusal::Refusal;
use super::{Service, compiled};
use crate::config::Tool;
use crate::store::Change;

/// What was found, by tool and by address of the member. Members that are not in it count as well.
pub type HealthMap = BTreeMap<String, BTreeMap<IpAddr, HealthState>>;

/// How a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthState {
    /// In one word.
    pub state: Health,
    /// What the last check said, for a person: `connection refused`; empty when it was well.
    pub reason: String,
    /// Since when the state is this.
    pub since: SystemTime,
}

/// How a member is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not checked often enough yet; counts as well.
    Initial,
    /// It takes copies.
    Healthy,
    /// It gets none.
    Unhealthy(Cause),
}

/// Why a member is unhealthy, as far as ELB has a word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No answer in time: `Target.Timeout`.
    Timeout,
    /// Refused, unreachable, or no sense in the answer: `Target.FailedHealthChecks`.
    Failed,
    /// Another HTTP status than one that is wanted: `Target.ResponseCodeMismatch`.
    WrongStatus,
    /// We could not ask: `Elb.InternalError`.
    OwnFault,
}

impl Service {
    /// The tools, with their members as they are now: those who check members begin here, and again
    /// whenever [`Service::watch_tools`] tells of a change.
    pub fn tools(&self) -> Result<Vec<Tool>, Refusal> {
        Ok(self.world()?.appliance().tools.clone())
    }

    /// Grows with every change of the tools' members, and of how they are checked; not with
    /// [`Service::set_health`].
    pub fn watch_tools(&self) -> watch::Receiver<u64> {
        self.tools.subscribe()
    }

    /// Takes over what all checks have found, in place of what they had found before. In force when this
    /// returns, if it makes a difference to any member; not stored. May block like every change. Errors:
    /// it is not in force yet, and will be.
    ///
    /// Cost: that of a change that leaves rules as they are.
    pub fn set_health(&self, health: HealthMap) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        if !self.world.write().map_err(|_| Refusal::Poisoned)?.set_health(health) {
            return Ok(());
        }
        let world = self.world()?;
        writer.compiled_for.tools.clone_from(&world.appliance().tools);
        let before = writer.wanted.as_deref();
        let snapshot = compiled(&writer.compiled_for, &world, &Change::default(), before)?;
        drop(world);
        writer.wanted = Some(Arc::new(snapshot));
        self.publish(&mut writer)
    }
}

/// True when a member gets no copies for what its checks have found.
pub(super) fn is_down(health: &HealthMap, tool: &str, address: IpAddr) -> bool {
    let found = health.get(tool).and_then(|members| members.get(&address));
    found.is_some_and(|found| matches!(found.state, Health::Unhealthy(_)))
}
