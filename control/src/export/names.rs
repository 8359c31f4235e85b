//! Logical ids: those that objects had in their templates, or such as tell what they are.

use std::collections::{HashMap, HashSet};

use crate::apply::{LOGICAL_ID, tag};
use crate::model::{Model, Object};

/// The tag that people name objects with.
const NAME: &str = "Name";
/// Characters of a logical id (CloudFormation user guide, "Resources section").
const CHARS_MAX: usize = 255;
/// Of a name no more than this is taken: there has to be room for a number.
const NAME_CHARS_MAX: usize = 64;

/// The logical ids of all objects of a model.
#[derive(Debug)]
pub(super) struct Names {
    /// In the order of the model's objects.
    pub(super) in_order: Vec<String>,
    by_id: HashMap<String, String>,
}

impl Names {
    /// The logical id of the object with this id.
    pub(super) fn of<'n>(&'n self, id: &'n str) -> &'n str {
        self.by_id.get(id).map_or(id, String::as_str)
    }
}

/// Names all objects: each has a name of its own.
pub(super) fn names(model: &Model) -> Names {
    let objects: Vec<Object> = model.clone().into_objects().collect();
    let mut taken: HashSet<String> = HashSet::new();
    // What has been a logical id comes first: a made-up one must not take its place.
    let mut given: Vec<Option<String>> = Vec::new();
    for object in &objects {
        let id = tag(object, LOGICAL_ID).or(Some(object.id())).filter(|id| is_sound(id));
        given.push(id.filter(|id| taken.insert((*id).to_owned())).map(str::to_owned));
    }
    let mut in_order = Vec::with_capacity(objects.len());
    for (object, given) in objects.iter().zip(given) {
        in_order.push(given.unwrap_or_else(|| made_up(object, &mut taken)));
    }
    let ids = objects.iter().map(|object| object.id().to_owned());
    Names { by_id: ids.zip(in_order.iter().cloned()).collect(), in_order }
}

fn is_sound(id: &str) -> bool {
    !id.is_empty() && id.len() <= CHARS_MAX && id.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// A name that is not taken: of the tags, of the object's id, with a number if need be.
fn made_up(object: &Object, taken: &mut HashSet<String>) -> String {
    let texts = [tag(object, LOGICAL_ID), tag(object, NAME), Some(object.id())];
    let base = texts.into_iter().flatten().map(joined).find(|name| !name.is_empty());
    let base = base.unwrap_or_else(|| "Object".to_owned());
    let mut name = base.clone();
    let mut number = 1_u64;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{base}{number}");
    }
    name
}

/// The words of a text, written together: `web tap` is `WebTap`.
fn joined(text: &str) -> String {
    let mut name = String::new();
    let mut begins = true;
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            begins = true;
        } else if name.len() < NAME_CHARS_MAX {
            name.push(if begins { letter.to_ascii_uppercase() } else { letter });
            begins = false;
        }
    }
    name
}
