//! What a target has to keep to.

use super::refusal::{Limit, Refusal};
use super::world::World;
use crate::model::{Destination, Kind, Target};

/// Errors: the account has as many as it may, or the tool is unknown, or has a target already.
pub(super) fn check_new(world: &World, account: &str, target: &Target) -> Result<(), Refusal> {
    let quotas = &world.appliance().quotas;
    Limit::Targets.check(world.count(account, Kind::Target), quotas.targets, "")?;
    let destination = &target.destination;
    if world.tool(destination).is_none() {
        return Err(Refusal::UnknownTool(destination.clone()));
    }
    if let Destination::NetworkLoadBalancer(arn) = destination {
        let count = world.targets().filter(|(_, other)| other.destination == *destination).count();
        Limit::TargetsPerLoadBalancer.check(count, quotas.targets_per_load_balancer, arn)?;
    }
    Ok(())
}

/// Errors: a session uses it, whoever's it is.
pub(super) fn check_unused(world: &World, id: &str) -> Result<(), Refusal> {
    match world.sessions().find(|(_, session)| session.target == id) {
        None => Ok(()),
        Some((user, _)) => {
            let by = user.id().to_owned();
            Err(Refusal::InUse { kind: Kind::Target, id: id.to_owned(), by })
        }
    }
}
