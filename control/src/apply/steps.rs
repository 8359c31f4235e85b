//! The steps of a plan: calls of EC2, made one after another.

use std::collections::HashMap;
use std::fmt;

use super::properties::{Difference, Property, Value, kebab};
use crate::client::{CallError, Ec2, Noun};
use crate::ec2::endpoint::Params;
use crate::model::{Kind, Object};

/// So many steps are named that were not done.
const LEFT_TOLD_MAX: usize = 20;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// It is known.
    Text(String),
    /// The id of the object with this logical id: known at the latest when a step has made it.
    IdOf(String),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// What it does, for people.
    pub(super) words: String,
    action: String,
    params: Vec<(String, Argument)>,
    /// The kind and the logical id of the object that it makes.
    makes: Option<(Kind, String)>,
}

impl From<&Value> for Argument {
    fn from(value: &Value) -> Self {
        match value {
            Value::Wanted(logical_id) => Self::IdOf(logical_id.clone()),
            Value::Text(text) | Value::Other(text) => Self::Text(text.clone()),
            Value::Ports(ports) => Self::Text(ports.to_string()),
        }
    }
}

fn text(name: impl Into<String>, text: impl Into<String>) -> (String, Argument) {
    (name.into(), Argument::Text(text.into()))
}

/// A property as parameters.
fn parameters(name: &str, value: &Value) -> Vec<(String, Argument)> {
    match value {
        Value::Ports(ports) => vec![
            text(format!("{name}.FromPort"), ports.from.to_string()),
            text(format!("{name}.ToPort"), ports.to.to_string()),
        ],
        _ => vec![(name.to_owned(), value.into())],
    }
}

/// The services of a filter are no parameters of its creation, but have a call of their own.
fn is_service(name: &str) -> bool {
    name == "NetworkServices"
}

/// Makes an object, its tags with it.
pub(super) fn create(object: &Object, properties: &[Property]) -> Vec<Step> {
    let (kind, id) = (object.kind(), object.id().to_owned());
    let mut params: Vec<_> = properties
        .iter()
        .filter(|(name, _)| !is_service(name))
        .flat_map(|(name, value)| parameters(name, value))
        .collect();
    params.push(text("TagSpecification.1.ResourceType", Noun::of(kind).resource));
    for (at, (key, value)) in (1..).zip(&object.notes().tags) {
        params.push(text(format!("TagSpecification.1.Tag.{at}.Key"), key));
        params.push(text(format!("TagSpecification.1.Tag.{at}.Value"), value));
    }
    let made = Step {
        words: format!("create {kind} {id}"),
        action: format!("Create{}", Noun::of(kind).base),
        params,
        makes: Some((kind, id.clone())),
    };
    let services = properties.iter().find(|(name, _)| is_service(name)).map(|(_, value)| {
        let words = format!("add {value} to {kind} {id}");
        services(words, Argument::IdOf(id), Some(value), None)
    });
    std::iter::once(made).chain(services).collect()
}

fn services(words: String, id: Argument, add: Option<&Value>, remove: Option<&Value>) -> Step {
    let lists = [("AddNetworkService.1", add), ("RemoveNetworkService.1", remove)];
    let lists =
        lists.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let id = ("TrafficMirrorFilterId".to_owned(), id);
    Step {
        words,
        action: "ModifyTrafficMirrorFilterNetworkServices".to_owned(),
        params: std::iter::once(id).chain(lists).collect(),
        makes: None,
    }
}

/// Gives the object with an id other properties, and then other tags.
pub(super) fn modify(
    wanted: &Object,
    id: &str,
    differences: &[Difference],
    tags: &TagDifference,
) -> Vec<Step> {
    let (kind, logical_id) = (wanted.kind(), wanted.id());
    let of = format!("{kind} {logical_id} ({id})");
    let mut steps = Vec::new();
    let services_of = differences.iter().find(|it| is_service(it.name));
    if let Some(Difference { old, new, .. }) = services_of {
        let id = Argument::Text(id.to_owned());
        steps.push(services(format!("modify {of}"), id, new.as_ref(), old.as_ref()));
    } else if !differences.is_empty() {
        steps.push(modify_properties(kind, id, format!("modify {of}"), differences));
    }
    let tagging = |action: &str, tags: Vec<(&str, Option<&str>)>| {
        let mut params = vec![text("ResourceId.1", id)];
        for (at, (key, value)) in (1..).zip(&tags) {
            params.push(text(format!("Tag.{at}.Key"), *key));
            params.extend(value.map(|value| text(format!("Tag.{at}.Value"), value)));
        }
        let (words, action) = (format!("{} of {of}", action_words(action)), action.to_owned());
        (!tags.is_empty()).then_some(Step { words, action, params, makes: None })
    };
    let set = tags.set.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
    steps.extend(tagging("CreateTags", set.collect()));
    let unset = tags.unset.iter().map(|(key, _)| (key.as_str(), None));
    steps.extend(tagging("DeleteTags", unset.collect()));
    steps
}

fn action_words(action: &str) -> &'static str {
    if action == "CreateTags" { "set tags" } else { "remove tags" }
}

fn modify_properties(kind: Kind, id: &str, words: String, differences: &[Difference]) -> Step {
    let mut params = vec![text(Noun::of(kind).id_parameter(), id)];
    let mut removed = 0;
    for Difference { name, new, .. } in differences {
        if let Some(value) = new {
            params.extend(parameters(name, value));
        } else {
            removed += 1;
            params.push(text(format!("RemoveField.{removed}"), kebab(name)));
        }
    }
    Step { words, action: format!("Modify{}", Noun::of(kind).base), params, makes: None }
}

/// Lets a rule or session have another number for a while.
pub(super) fn renumber(kind: Kind, logical_id: &str, id: &str, number: u16) -> Step {
    let name = if kind == Kind::Rule { "RuleNumber" } else { "SessionNumber" };
    let params = vec![text(Noun::of(kind).id_parameter(), id), text(name, number.to_string())];
    let words = format!("give {kind} {logical_id} ({id}) the number {number} for a while");
    Step { words, action: format!("Modify{}", Noun::of(kind).base), params, makes: None }
}

/// Deletes an object.
pub(super) fn delete(kind: Kind, logical_id: &str, id: &str) -> Step {
    Step {
        words: format!("delete {kind} {logical_id} ({id})"),
        action: format!("Delete{}", Noun::of(kind).base),
        params: vec![text(Noun::of(kind).id_parameter(), id)],
        makes: None,
    }
}

/// Tags that are to be others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TagDifference {
    /// Keys with the values to be.
    pub(super) set: Vec<(String, String)>,
    /// Those that are not to be, with the values that they have.
    pub(super) unset: Vec<(String, String)>,
    /// All tags that there are.
    pub(super) old: Vec<(String, String)>,
}

impl TagDifference {
    /// What has to be done to `old` to make it `new`; order does not count.
    pub(super) fn between(old: &[(String, String)], new: &[(String, String)]) -> Self {
        let has = |list: &[(String, String)], key: &str| list.iter().any(|(other, _)| other == key);
        Self {
            set: new.iter().filter(|tag| !old.contains(tag)).cloned().collect(),
            unset: old.iter().filter(|(key, _)| !has(new, key)).cloned().collect(),
            old: old.to_vec(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }
}

/// Why the steps of a plan were not all done.
#[derive(Debug)]
pub struct Stopped {
    step: String,
    why: CallError,
    done: usize,
    left: Vec<String>,
}

impl std::error::Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.step, self.why)?;
        if matches!(self.why, CallError::Unanswered(_)) {
            writeln!(f, "whether this step was done is not known")?;
        }
        let (done, left) = (self.done, self.left.len() + 1);
        writeln!(f, "{done} of {} steps are done and stay; not done:", done + left)?;
        writeln!(f, "  {}", self.step)?;
        for step in self.left.iter().take(LEFT_TOLD_MAX) {
            writeln!(f, "  {step}")?;
        }
        if let Some(more) = self.left.len().checked_sub(LEFT_TOLD_MAX).filter(|more| *more > 0) {
            writeln!(f, "  and {more} more")?;
        }
        write!(f, "remove the cause, and the same command goes on from here")
    }
}

/// Makes the calls of all steps in order. `ids` are those of objects that were there before, by
/// logical ids; `tell` is told of each step when it is done.
pub(super) fn carry_out(
    steps: &[Step],
    mut ids: HashMap<String, String>,
    ec2: &mut dyn Ec2,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Stopped> {
    for (done, step) in steps.iter().enumerate() {
        let stopped = |why| Stopped {
            step: step.words.clone(),
            why,
            done,
            left: steps.iter().skip(done + 1).map(|step| step.words.clone()).collect(),
        };
        let outcome = step.call(&ids, ec2).map_err(stopped)?;
        tell(&format!("{}: {}", step.words, outcome.as_deref().unwrap_or("done")));
        if let (Some((_, logical_id)), Some(id)) = (&step.makes, outcome) {
            ids.insert(logical_id.clone(), id);
        }
    }
    Ok(())
}

impl Step {
    /// The id of what it made, if it makes something.
    fn call(
        &self,
        ids: &HashMap<String, String>,
        ec2: &mut dyn Ec2,
    ) -> Result<Option<String>, CallError> {
        let value = |argument: &Argument| match argument {
            Argument::Text(text) => Ok(text.clone()),
            Argument::IdOf(logical_id) => ids.get(logical_id).cloned().ok_or_else(|| {
                CallError::Unanswered(format!("there is no {logical_id}: a fault in the plan"))
            }),
        };
        let params = self.params.iter().map(|(name, it)| Ok((name.clone(), value(it)?)));
        let reply = ec2.call(&self.action, &Params(params.collect::<Result<_, CallError>>()?))?;
        let Some((kind, _)) = &self.makes else { return Ok(None) };
        let noun = Noun::of(*kind);
        let made = reply.child(noun.element).map(|made| noun.id_of(made));
        let made = made.filter(|id| !id.is_empty());
        let none = || CallError::Unanswered(format!("the reply to {} has no id", self.action));
        Ok(Some(made.ok_or_else(none)?.to_owned()))
    }
}
