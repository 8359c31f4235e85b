//! What a filter has to keep to.

use super::refusal::{Limit, Refusal};
use super::world::World;
use crate::model::Kind;

/// Errors: the account has as many as it may.
pub(super) fn check_new(world: &World, account: &str) -> Result<(), Refusal> {
    let max = world.appliance().quotas.filters;
    Limit::Filters.check(world.count(account, Kind::Filter), max, "")
}

/// Errors: a session uses it, whoever's it is.
pub(super) fn check_unused(world: &World, id: &str) -> Result<(), Refusal> {
    match world.sessions().find(|(_, session)| session.filter == id) {
        None => Ok(()),
        Some((user, _)) => {
            let by = user.id().to_owned();
            Err(Refusal::InUse { kind: Kind::Filter, id: id.to_owned(), by })
        }
    }
}

impl Limit {
    /// Whether there is room for one more beside `count`. Errors: there is not.
    pub(super) fn check(self, count: usize, max: u32, of: &str) -> Result<(), Refusal> {
        if count < max as usize {
            return Ok(());
        }
        Err(Refusal::Over { limit: self, max, of: of.to_owned() })
    }
}
