//! Which object that is there each wanted one is, or comes in place of.

use std::collections::{HashMap, HashSet};

use super::ownership::StackName;
use super::properties::{
    Property, Value, differences, forces_replacement, load_balancer, properties,
};
use crate::compile::LOAD_BALANCER_PACKET_LENGTH;
use crate::model::{Kind, Model, Object, Target};

/// An object of the template.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Complete with the stack's tags, and with what EC2 fills in.
    pub(super) object: Object,
    pub(super) properties: Vec<Property>,
    pub(super) found: Found,
    /// A target whose load balancer has another one that has to be deleted first: its place.
    pub(super) waits_for: Option<usize>,
}

/// What is there of a wanted object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// The object at this place, which can be made like it.
    Kept(usize),
    /// The object at this place, which can't: these properties are the reason.
    Replaced(usize, Vec<&'static str>),
}

/// An object that is there.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) object: Object,
    /// In the template of our stack; `None` is not ours to change.
    pub(super) logical_id: Option<String>,
    /// A wanted object is this one.
    pub(super) is_kept: bool,
}

impl Present {
    /// Ours, and wanted no more as it is.
    pub(super) fn is_doomed(&self) -> bool {
        self.logical_id.is_some() && !self.is_kept
    }
}

/// Both sides.
#[derive(Debug, Default)]
pub(super) struct Matching {
    pub(super) wanted: Vec<Wanted>,
    pub(super) present: Vec<Present>,
    /// The places of both sides by their ids.
    wanted_places: HashMap<String, usize>,
    present_places: HashMap<String, usize>,
    /// Logical ids of kept objects by EC2's ids.
    names: HashMap<String, String>,
    /// The places of what the stack has, by kind and logical id: the oldest first.
    candidates: HashMap<(Kind, String), Vec<usize>>,
    /// Doomed targets whose load balancers are wanted again, by EC2's ids.
    contested: HashSet<String>,
}

/// Finds the objects of a stack among those that are there.
///
/// Several may have the same logical id when a run broke off between making an object's successor
/// and deleting it: the first that needs no replacement is kept.
pub(super) fn matched(stack: &StackName, wanted: &Model, present: &Model) -> Matching {
    let mut matching = Matching::default();
    for object in present.clone().into_objects() {
        let logical_id = stack.logical_id(&object).map(str::to_owned);
        if let Some(id) = &logical_id {
            let places = matching.candidates.entry((object.kind(), id.clone())).or_default();
            places.push(matching.present.len());
        }
        matching.present_places.insert(object.id().to_owned(), matching.present.len());
        matching.present.push(Present { object, logical_id, is_kept: false });
    }
    let targets: HashMap<&str, &Target> =
        wanted.targets.iter().map(|target| (target.id.as_str(), target)).collect();
    let (sessions, others): (Vec<Object>, Vec<Object>) =
        wanted.clone().into_objects().partition(|object| object.kind() == Kind::Session);
    for mut object in others {
        complete(&mut object, &targets);
        stack.adopt(&mut object);
        matching.find(object);
    }
    matching.contest();
    for mut object in sessions {
        complete(&mut object, &targets);
        stack.adopt(&mut object);
        matching.find(object);
    }
    matching
}

/// Fills in what EC2 would.
fn complete(object: &mut Object, targets: &HashMap<&str, &Target>) {
    let notes = object.notes_mut();
    notes.description = notes.description.take().filter(|text| !text.is_empty());
    if let Object::Session(session) = object
        && let Some(target) = targets.get(session.target.as_str())
        && !target.destination.is_interface()
    {
        session.packet_length.get_or_insert(LOAD_BALANCER_PACKET_LENGTH);
    }
}

/// The properties of a wanted object: what it names is wanted too.
fn wanted_properties(object: &Object) -> Vec<Property> {
    properties(object, |id| Value::Wanted(id.to_owned()))
}

impl Matching {
    /// The properties of an object that is there.
    pub(super) fn properties_of(&self, object: &Object) -> Vec<Property> {
        properties(object, |id| match self.names.get(id) {
            Some(logical_id) => Value::Wanted(logical_id.clone()),
            None => Value::Other(id.to_owned()),
        })
    }

    /// The place of the object with this EC2 id.
    pub(super) fn place_of_present(&self, id: &str) -> Option<usize> {
        self.present_places.get(id).copied()
    }

    /// The object with this EC2 id.
    pub(super) fn find_present(&self, id: &str) -> Option<&Present> {
        self.present.get(self.place_of_present(id)?)
    }

    /// The wanted object with this logical id.
    pub(super) fn find_wanted(&self, logical_id: &str) -> Option<&Wanted> {
        self.wanted.get(*self.wanted_places.get(logical_id)?)
    }

    /// What a wanted object is already, and where that is.
    pub(super) fn kept(&self, wanted: &Wanted) -> Option<(usize, &Present)> {
        match wanted.found {
            Found::Kept(at) => Some((at, self.present.get(at)?)),
            Found::Nothing | Found::Replaced(..) => None,
        }
    }

    /// EC2's id of a wanted object that is there already.
    pub(super) fn kept_id(&self, logical_id: &str) -> Option<&str> {
        let (_, present) = self.kept(self.find_wanted(logical_id)?)?;
        Some(present.object.id())
    }

    /// EC2's ids of kept objects by logical ids.
    pub(super) fn kept_ids(&self) -> HashMap<String, String> {
        self.names.iter().map(|(id, logical_id)| (logical_id.clone(), id.clone())).collect()
    }

    /// Settles what a wanted object finds.
    fn find(&mut self, mut object: Object) {
        let key = (object.kind(), object.id().to_owned());
        let places = self.candidates.get(&key).cloned().unwrap_or_default();
        let mut found = Found::Nothing;
        for at in places {
            let forced = self.forced(at, &object);
            if forced.is_empty() {
                self.keep(at, key.1.clone());
                found = Found::Kept(at);
                break;
            }
            if found == Found::Nothing {
                found = Found::Replaced(at, forced);
            }
        }
        self.inherit_vni(&mut object, &found);
        let properties = wanted_properties(&object);
        self.wanted_places.insert(key.1, self.wanted.len());
        self.wanted.push(Wanted { object, properties, found, waits_for: None });
    }

    fn keep(&mut self, at: usize, logical_id: String) {
        if let Some(present) = self.present.get_mut(at) {
            present.is_kept = true;
            self.names.insert(present.object.id().to_owned(), logical_id);
        }
    }

    /// The properties that keep the object at a place from becoming like the wanted one.
    fn forced(&self, at: usize, wanted: &Object) -> Vec<&'static str> {
        let Some(present) = self.present.get(at) else { return Vec::new() };
        let kind = wanted.kind();
        let old = self.properties_of(&present.object);
        let different = differences(&old, &wanted_properties(wanted)).into_iter();
        let names = different.map(|it| it.name).filter(|name| forces_replacement(kind, name));
        let mut names: Vec<&'static str> = names.collect();
        if let (Object::Session(old), Object::Session(new)) = (&present.object, wanted)
            && self.contested.contains(&old.target)
            && self.waits(&new.target)
        {
            names.push("TrafficMirrorTargetId");
        }
        names
    }

    /// A session that stays on its source keeps the VNI that was chosen for it.
    fn inherit_vni(&self, object: &mut Object, found: &Found) {
        let at = match found {
            Found::Kept(at) => at,
            Found::Replaced(at, forced) if forced.as_slice() == ["TrafficMirrorTargetId"] => at,
            Found::Nothing | Found::Replaced(..) => return,
        };
        if let (Object::Session(new), Some(Object::Session(old))) =
            (object, self.present.get(*at).map(|it| &it.object))
        {
            new.vni = new.vni.or(old.vni);
        }
    }

    fn waits(&self, target: &str) -> bool {
        self.wanted.iter().any(|it| it.waits_for.is_some() && it.object.id() == target)
    }

    /// Finds targets whose load balancer has another target that goes.
    fn contest(&mut self) {
        let mut doomed: HashMap<&str, usize> = HashMap::new();
        for (at, present) in self.present.iter().enumerate().filter(|(_, it)| it.is_doomed()) {
            if let Some(arn) = balancer_of(&present.object) {
                doomed.entry(arn).or_insert(at);
            }
        }
        for wanted in &mut self.wanted {
            if matches!(wanted.found, Found::Kept(_)) {
                continue;
            }
            wanted.waits_for = balancer_of(&wanted.object).and_then(|arn| doomed.get(arn)).copied();
            let contested = wanted.waits_for.and_then(|at| self.present.get(at));
            self.contested.extend(contested.map(|it| it.object.id().to_owned()));
        }
    }
}

fn balancer_of(object: &Object) -> Option<&str> {
    match object {
        Object::Target(target) => load_balancer(&target.destination),
        _ => None,
    }
}
