//! What has to be done, to be shown first and then carried out.

use std::collections::{HashMap, HashSet};

use super::matching::{Found, Matching, Present, Wanted, matched};
use super::nodes::{change, nodes, slot_of_present};
use super::order::{Slot, in_order};
use super::ownership::StackName;
use super::properties::{Difference, Property, differences};
use super::steps::{Step, Stopped, TagDifference, carry_out};
use crate::client::{Ec2, is_made_by_api};
use crate::model::{Kind, Model, Object};

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Create,
    Modify,
    /// For the sake of these properties.
    Replace(Vec<&'static str>),
    Delete,
}

/// One object that does not stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
    pub(super) logical_id: String,
    /// Of what is there.
    pub(super) id: Option<String>,
    pub(super) differences: Vec<Difference>,
    pub(super) tags: TagDifference,
}

/// The way from what is there to what a template says.
#[derive(Debug)]
pub struct Plan {
    pub(super) stack: StackName,
    pub(super) changes: Vec<Change>,
    /// What is left alone although it stands in the way of a whole stack.
    pub(super) notes: Vec<String>,
    steps: Vec<Step>,
    ids: HashMap<String, String>,
}

impl Plan {
    /// True when everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Each step in words, in order.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.words.as_str())
    }

    /// True when something is deleted, be it to be made anew.
    pub fn deletes(&self) -> bool {
        let is_deleted = |change: &Change| matches!(change.mark, Mark::Replace(_) | Mark::Delete);
        self.changes.iter().any(is_deleted)
    }

    /// Makes the calls, one after another. `tell` is told of each when it is done. Errors: a call
    /// failed; those before it stay done.
    pub fn carry_out(self, ec2: &mut dyn Ec2, tell: &mut dyn FnMut(&str)) -> Result<(), Stopped> {
        carry_out(&self.steps, self.ids, ec2, tell)
    }
}

/// Plans how what is `present` becomes what is `wanted`, as far as it is the stack's. Pure. The
/// wanted objects have no faults among themselves. Errors: what others have stands in the way; a
/// sentence each.
pub fn plan(stack: &StackName, wanted: &Model, present: &Model) -> Result<Plan, Vec<String>> {
    let matching = matched(stack, wanted, present);
    let (held, mut notes) = held(&matching);
    let conflicts = conflicts(&matching, &held);
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    notes.extend(strange_rules(&matching));
    let slots = matching.wanted.iter().filter_map(|it| matching.slot_of_wanted(it));
    let slots: HashSet<Slot> =
        slots.chain(matching.present.iter().filter_map(slot_of_present)).collect();
    Ok(Plan {
        stack: stack.clone(),
        changes: changes(&matching, &held),
        notes,
        steps: in_order(nodes(&matching, &held), slots),
        ids: matching.kept_ids(),
    })
}

/// The places of doomed objects that can't go, because something that is not the stack's hangs on
/// them; and a sentence for each.
fn held(matching: &Matching) -> (HashSet<usize>, Vec<String>) {
    let mut holders: HashMap<&str, &Object> = HashMap::new();
    for Present { object, .. } in matching.present.iter().filter(|it| it.logical_id.is_none()) {
        let held: [&str; 2] = match object {
            Object::Rule(rule) => [&rule.filter, ""],
            Object::Session(session) => [&session.filter, &session.target],
            Object::Filter(_) | Object::Target(_) => continue,
        };
        for id in held {
            holders.entry(id).or_insert(object);
        }
    }
    let mut held = HashSet::new();
    let mut notes = Vec::new();
    for (at, present) in matching.present.iter().enumerate().filter(|(_, it)| it.is_doomed()) {
        let Some(holder) = holders.get(present.object.id()) else { continue };
        held.insert(at);
        notes.push(format!(
            "{} stays, with what is in it: {}, which is not of this stack, needs it",
            named(present),
            stranger(holder)
        ));
    }
    (held, notes)
}

fn named(present: &Present) -> String {
    let logical_id = present.logical_id.as_deref().unwrap_or_default();
    format!("{} {logical_id} ({})", present.object.kind(), present.object.id())
}

/// An object that is not the stack's.
fn stranger(object: &Object) -> String {
    let of = if is_made_by_api(object.id()) { "" } else { " of the template of linetapd" };
    format!("{} {}{of}", object.kind(), object.id())
}

/// What others have and the template wants.
fn conflicts(matching: &Matching, held: &HashSet<usize>) -> Vec<String> {
    let others = matching.present.iter().filter(|it| it.logical_id.is_none());
    let slots = others.filter_map(|it| Some((slot_of_present(it)?, &it.object)));
    let slots: HashMap<Slot, &Object> = slots.collect();
    let mut conflicts = Vec::new();
    for wanted in &matching.wanted {
        let slot = matching.slot_of_wanted(wanted);
        if let Some(other) = slot.as_ref().and_then(|slot| slots.get(slot)) {
            conflicts.push(taken(wanted, &stranger(other)));
        }
        let waits_for = wanted.waits_for.filter(|at| held.contains(at));
        if let Some(other) = waits_for.and_then(|at| matching.present.get(at)) {
            conflicts.push(format!(
                "{}: its load balancer has the target {} already, which is in use by a session that \
                 is not of this stack; delete that session first",
                wanted.object.id(),
                other.object.id()
            ));
        }
    }
    conflicts
}

fn taken(wanted: &Wanted, by: &str) -> String {
    let id = wanted.object.id();
    let (name, number) = match &wanted.object {
        Object::Rule(rule) => ("RuleNumber", rule.number),
        Object::Session(session) => ("SessionNumber", session.number),
        Object::Filter(_) | Object::Target(_) => ("number", 0),
    };
    format!(
        "{id}.{name}: {number} is taken by {by}, which is not of this stack; choose another or \
         delete that"
    )
}

/// Rules that somebody added to filters of the stack.
fn strange_rules(matching: &Matching) -> Vec<String> {
    let mut notes = Vec::new();
    for present in matching.present.iter().filter(|it| it.logical_id.is_none()) {
        let Object::Rule(rule) = &present.object else { continue };
        if let Some(filter) = matching.find_present(&rule.filter).filter(|it| it.is_kept) {
            let filter = filter.logical_id.as_deref().unwrap_or_default();
            let id = &rule.id;
            notes.push(format!("rule {id} in {filter} stays: it is not of this stack"));
        }
    }
    notes
}

/// What becomes of all objects that don't stay as they are.
fn changes(matching: &Matching, held: &HashSet<usize>) -> Vec<Change> {
    let mut changes: Vec<Change> =
        matching.wanted.iter().filter_map(|wanted| change_of(matching, wanted)).collect();
    let is_wanted = |present: &Present| {
        let logical_id = present.logical_id.as_deref().unwrap_or_default();
        let wanted = matching.find_wanted(logical_id);
        wanted.is_some_and(|it| it.object.kind() == present.object.kind())
    };
    for (at, present) in matching.present.iter().enumerate().filter(|(_, it)| it.is_doomed()) {
        // What is replaced is told there, unless it is what an earlier run left over.
        if held.contains(&at) || is_wanted(present) && !is_left_over(matching, at) {
            continue;
        }
        if matching.stays_with_filter(&present.object, held) {
            continue;
        }
        changes.push(Change {
            mark: Mark::Delete,
            kind: present.object.kind(),
            logical_id: present.logical_id.clone().unwrap_or_default(),
            id: Some(present.object.id().to_owned()),
            differences: Vec::new(),
            tags: TagDifference::default(),
        });
    }
    changes
}

/// True for an object that no wanted one comes in place of.
fn is_left_over(matching: &Matching, at: usize) -> bool {
    let is_it = |wanted: &Wanted| matches!(wanted.found, Found::Replaced(old, _) if old == at);
    let present = matching.present.get(at);
    let logical_id = present.and_then(|it| it.logical_id.as_deref());
    !logical_id.and_then(|id| matching.find_wanted(id)).is_some_and(is_it)
}

fn change_of(matching: &Matching, wanted: &Wanted) -> Option<Change> {
    let kind = wanted.object.kind();
    let whole = |mark, old: &[Property], old_tags: &[(String, String)], id| Change {
        mark,
        kind,
        logical_id: wanted.object.id().to_owned(),
        id,
        differences: differences(old, &wanted.properties),
        tags: TagDifference::between(old_tags, &wanted.object.notes().tags),
    };
    match &wanted.found {
        Found::Nothing => Some(whole(Mark::Create, &[], &[], None)),
        Found::Replaced(at, forced) => {
            let old = &matching.present.get(*at)?.object;
            let (tags, id) = (&old.notes().tags, Some(old.id().to_owned()));
            let properties = matching.properties_of(old);
            Some(whole(Mark::Replace(forced.clone()), &properties, tags, id))
        }
        Found::Kept(_) => {
            let (_, present) = matching.kept(wanted)?;
            let (differences, tags) = change(matching, wanted, present);
            let is_same = differences.is_empty() && tags.is_empty();
            (!is_same).then(|| Change {
                mark: Mark::Modify,
                kind,
                logical_id: wanted.object.id().to_owned(),
                id: Some(present.object.id().to_owned()),
                differences,
                tags,
            })
        }
    }
}

impl Matching {
    /// True for the rules of a doomed filter that can't go.
    fn stays_with_filter(&self, object: &Object, held: &HashSet<usize>) -> bool {
        match object {
            Object::Rule(rule) => {
                self.place_of_present(&rule.filter).is_some_and(|at| held.contains(&at))
            }
            _ => false,
        }
    }
}
