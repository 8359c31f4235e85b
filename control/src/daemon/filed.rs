//! The stage without an API: the files alone say what is in force, and health checks what members take.

use std::sync::Arc;

use engine::snapshot::Snapshot;

use crate::compile::compile_with_rules;
use crate::config::{Appliance, Tool};
use crate::health::{HealthMap, lay_over};
use crate::load::Loaded;
use crate::model::Model;

/// What the files say.
#[derive(Debug)]
pub(super) struct Filed {
    appliance: Appliance,
    model: Model,
    wanted: Snapshot,
}

impl Filed {
    pub(super) fn new(loaded: Loaded) -> Self {
        let Loaded { appliance, model, snapshot, .. } = loaded;
        Self { appliance, model, wanted: snapshot }
    }

    /// The tools as the appliance file has them.
    pub(super) fn tools(&self) -> &[Tool] {
        &self.appliance.tools
    }

    /// What is to be in force.
    pub(super) fn wanted(&self) -> &Snapshot {
        &self.wanted
    }

    /// Takes over what the checks have found. True when something else is to be in force than before.
    pub(super) fn set_health(&mut self, health: &HealthMap) -> bool {
        let mut appliance = self.appliance.clone();
        appliance.tools.iter_mut().for_each(|tool| lay_over(tool, health));
        let rules = Arc::clone(&self.wanted.rules);
        match compile_with_rules(&appliance, &self.model, rules) {
            Ok(snapshot) if snapshot == self.wanted => false,
            Ok(snapshot) => {
                self.wanted = snapshot;
                true
            }
            // It did compile, and health makes no faults.
            Err(faults) => {
                for fault in faults {
                    log::error!("{}", fault.message);
                }
                false
            }
        }
    }
}
