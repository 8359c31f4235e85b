//! Tags: what they may be, how they are changed, and the one that shares a target.

use std::collections::HashSet;

use super::plan::Plan;
use super::refusal::{Limit, Refusal};
use super::world::World;
use crate::config::account_is_sound;
use crate::model::policing::check_tag;
use crate::model::{Kind, Object, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, Target};
use crate::store::Change;

/// The tag of a target whose value names the accounts, by spaces, that may use it too. AWS shares
/// with its Resource Access Manager; a tag is what every client of EC2 can set.
pub const SHARED_WITH: &str = "linetap:shared-with";

/// What is to be done with the tags of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagPatch {
    /// They have these tags afterwards, in place of those with the same keys.
    Set(Vec<(String, String)>),
    /// They have those with these keys no more; with a value, only if it is that one.
    Unset(Vec<(String, Option<String>)>),
    /// They have none.
    Clear,
}

impl TagPatch {
    fn apply(&self, tags: &mut Vec<(String, String)>) {
        match self {
            Self::Set(new) => {
                for (key, value) in new {
                    match tags.iter_mut().find(|(other, _)| other == key) {
                        Some((_, place)) => place.clone_from(value),
                        None => tags.push((key.clone(), value.clone())),
                    }
                }
            }
            Self::Unset(gone) => tags.retain(|(key, value)| {
                let is_gone = |(other, wanted): &(String, Option<String>)| {
                    other == key && wanted.as_ref().is_none_or(|wanted| wanted == value)
                };
                !gone.iter().any(is_gone)
            }),
            Self::Clear => tags.clear(),
        }
    }
}

/// Plans a change of tags. Errors: one of the objects is not there, or its tags would be wrong.
pub(super) fn plan(
    world: &World,
    account: &str,
    ids: &[String],
    patch: &TagPatch,
) -> Result<Plan<()>, Refusal> {
    let mut change = Change::default();
    let mut seen = HashSet::new();
    for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
        let Some(kind) = world.find(id).map(|record| record.object.kind()).or(Kind::of_id(id))
        else {
            let why = "It is the id of nothing that can be tagged here.".to_owned();
            return Err(Refusal::Invalid { parameter: "ResourceId", value: id.clone(), why });
        };
        let mut record = world.own(account, kind, id)?.clone();
        patch.apply(&mut record.object.notes_mut().tags);
        world.check_tags(&record.object)?;
        change.put.push(record);
    }
    Ok(Plan::Do(change, ()))
}

impl World {
    /// Errors: a tag of the object is not as tags may be, or it has too many.
    pub(super) fn check_tags(&self, object: &Object) -> Result<(), Refusal> {
        let tags = &object.notes().tags;
        let max = self.appliance().quotas.tags_per_resource;
        if tags.len() > max as usize {
            return Err(Refusal::Over { limit: Limit::Tags, max, of: object.id().to_owned() });
        }
        let mut keys = HashSet::new();
        for (key, value) in tags {
            check_key(key)?;
            let invalid = |why: String| {
                Err(Refusal::Invalid { parameter: "Tag.Value", value: value.clone(), why })
            };
            if value.chars().count() > TAG_VALUE_CHARS_MAX {
                return invalid(format!(
                    "A tag's value has at most {TAG_VALUE_CHARS_MAX} characters."
                ));
            }
            if !keys.insert(key) {
                let why = "Duplicate tag key; give each one once.".to_owned();
                return Err(Refusal::Invalid { parameter: "Tag.Key", value: key.clone(), why });
            }
            check_tag(object.kind(), key, value).or_else(invalid)?;
            if key == SHARED_WITH && !accounts(value).all(account_is_sound) {
                return invalid(format!(
                    "{SHARED_WITH} names accounts of 12 digits, with spaces between."
                ));
            }
        }
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), Refusal> {
    let why = if key.is_empty() || key.chars().count() > TAG_KEY_CHARS_MAX {
        format!("A tag's key has 1 to {TAG_KEY_CHARS_MAX} characters.")
    } else if key.to_ascii_lowercase().starts_with("aws:") {
        "Tag keys starting with 'aws:' are reserved for internal use.".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid { parameter: "Tag.Key", value: key.to_owned(), why })
}

fn accounts(value: &str) -> impl Iterator<Item = &str> {
    value.split_whitespace()
}

/// True when a target's owner lets this account use it.
pub(super) fn is_shared_with(target: &Target, account: &str) -> bool {
    let shared = target.notes.tag(SHARED_WITH);
    shared.is_some_and(|value| accounts(value).any(|it| it == account))
}
