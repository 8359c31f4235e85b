//! What the checks of members have found: set by those who check, not stored, laid over what file and
//! store say.

use std::sync::Arc;

use tokio::sync::watch;

use super::refusal::Refusal;
use super::{Service, compiled};
use crate::config::Tool;
use crate::health::HealthMap;
use crate::store::Change;

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
    /// returns, if it is anything else than before; not stored. May block like every change. Errors:
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
