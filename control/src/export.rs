//! `linetap export`: what there is, as a CloudFormation template that gives the same objects again.
//!
//! ```text
//!  EC2 -> Objects -> which of them (a stack's, or all) -> names -> a tree -> YAML or JSON
//! ```
//! The same objects always give the same text, whatever their EC2 ids.

mod names;
mod resources;
mod yaml;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::apply::{STACK, StackName, tag};
use crate::client::Objects;
use crate::model::{Model, Object};

/// The language of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With `!Ref`.
    Yaml,
    /// Indented.
    Json,
}

/// The template of all objects, or of those of one stack and of what they use. Objects of other
/// accounts are left out, but for targets that are used.
///
/// Cost: linear in the number of objects, but for sorting rules.
pub fn export(objects: &Objects, stack: Option<&StackName>, format: Format) -> String {
    let model = chosen(objects, stack);
    let names = names::names(&model);
    let mut resources = Map::new();
    for (object, name) in model.clone().into_objects().zip(&names.in_order) {
        resources.insert(name.clone(), resources::resource(&object, &names));
    }
    let template =
        json!({ "AWSTemplateFormatVersion": "2010-09-09", "Resources": Value::Object(resources) });
    match format {
        Format::Yaml => yaml::write(&template),
        Format::Json => format!("{template:#}\n"),
    }
}

/// What is exported, the rules of each filter by direction and number.
fn chosen(objects: &Objects, stack: Option<&StackName>) -> Model {
    let mut model = objects.model.clone();
    let is_meant = |object: &Object| match stack {
        None => true,
        Some(stack) => tag(object, STACK) == Some(stack.as_str()),
    };
    let own_filters: HashSet<String> = model.filters.iter().map(|it| it.id.clone()).collect();
    // Sessions of others come to sight by our targets; their filters don't.
    model.sessions.retain(|it| own_filters.contains(&it.filter));
    let account = model.sessions.first().and_then(|it| objects.owners.get(&it.id)).cloned();
    model.sessions.retain(|it| is_meant(&Object::Session(it.clone())));
    let used: HashSet<String> = model
        .sessions
        .iter()
        .flat_map(|session| [session.filter.clone(), session.target.clone()])
        .collect();
    let meant_rules = model.rules.iter().filter(|it| is_meant(&Object::Rule((*it).clone())));
    let with_rules: HashSet<String> = meant_rules.map(|it| it.filter.clone()).collect();
    model.filters.retain(|it| {
        is_meant(&Object::Filter(it.clone()))
            || used.contains(&it.id)
            || with_rules.contains(&it.id)
    });
    let filters: HashSet<&str> = model.filters.iter().map(|it| it.id.as_str()).collect();
    model.rules.retain(|it| filters.contains(it.filter.as_str()));
    model.targets.retain(|it| {
        let owner = objects.owners.get(&it.id);
        let is_own = account.is_none() || owner == account.as_ref();
        used.contains(&it.id) || is_own && is_meant(&Object::Target(it.clone()))
    });
    model
}

#[cfg(test)]
mod tests;
