//! Mirror targets: which tool each one means.

use std::collections::HashMap;

use engine::snapshot::{TargetKind, TargetSpec};

use super::{Faults, exceeds, last, over};
use crate::config::{Appliance, Tool};
use crate::fault::{did_you_mean, quoted};
use crate::model::{Destination, Listing, Model, Property, Target};

/// More can't be told apart by the data plane's index.
const TARGETS_MAX: usize = 65_536;

/// All targets, in the order of the model. Targets with a fault are left out.
pub(super) fn compile(
    model: &Model,
    appliance: &Appliance,
    faults: &mut Faults,
) -> Vec<TargetSpec> {
    let quotas = &appliance.quotas;
    faults.quota("targets", model.targets.len(), quotas.targets, last(&model.targets, |it| &it.id));
    if model.targets.len() > TARGETS_MAX {
        let at = Property::new(last(&model.targets, |it| &it.id), "");
        faults.add(at, format!("there are more than {TARGETS_MAX} targets; remove some"), []);
    }
    let tools: HashMap<&str, &Tool> =
        appliance.tools.iter().map(|tool| (tool.id.as_str(), tool)).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let mut compiled = Vec::with_capacity(model.targets.len());
    for target in &model.targets {
        let at = Property::new(&target.id, target.destination.property());
        if let Destination::NetworkLoadBalancer(arn) = &target.destination {
            let count = uses.entry(arn).or_default();
            *count += 1;
            if exceeds(*count, quotas.targets_per_load_balancer) {
                let found = format!("{count} targets with this load balancer");
                let max = quotas.targets_per_load_balancer;
                faults.add(at.clone(), over("targets_per_load_balancer", &found, max), []);
            }
        }
        match tools.get(target.destination.id()) {
            None => faults.unknown_id(at, Listing::Tools, unknown(target, appliance)),
            Some(tool) if target.destination.is_interface() && tool.members.len() > 1 => {
                let message = format!(
                    "tool {} has several members, and an interface is one; name it with \
                     NetworkLoadBalancerArn, or give the tool one address",
                    quoted(&tool.id)
                );
                faults.add(at, message, []);
            }
            Some(tool) => compiled.push(spec(target, tool)),
        }
    }
    compiled
}

fn unknown(target: &Target, appliance: &Appliance) -> String {
    let id = target.destination.id();
    let hint = did_you_mean(id, appliance.tools.iter().map(|tool| tool.id.as_str()));
    let id = quoted(id);
    format!("no [[tool]] of the appliance file has the id {id}; add it or correct the id{hint}")
}

fn spec(target: &Target, tool: &Tool) -> TargetSpec {
    let kind = if target.destination.is_interface() {
        TargetKind::Interface
    } else {
        TargetKind::LoadBalancer
    };
    TargetSpec {
        id: target.id.clone(),
        port: tool.port,
        kind,
        members: tool.members.clone(),
        balance: tool.balance,
    }
}
