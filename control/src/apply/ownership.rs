//! Whose an object is: the two tags that tell it, and the name of a stack.

use std::path::Path;
use std::str::FromStr;

use crate::client::is_made_by_api;
use crate::model::{Model, ModelFault, Object, Property};

/// The tag with the name of the stack that an object belongs to. AWS keeps `aws:…` to itself.
pub const STACK: &str = "linetap:stack";
/// The tag with an object's logical id in the template of its stack.
pub const LOGICAL_ID: &str = "linetap:logical-id";

/// Characters of a stack's name (CloudFormation API Reference, `CreateStack`).
const NAME_CHARS_MAX: usize = 128;

/// The name that a template goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackName(String);

impl StackName {
    /// The name of a template's file without its ending. `None`: it can't be one.
    pub fn of_file(template: &Path) -> Option<Self> {
        template.file_stem()?.to_str()?.parse().ok()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when some of these objects go by this name.
    pub fn is_of(&self, model: &Model) -> bool {
        model.clone().into_objects().any(|object| tag(&object, STACK) == Some(self.as_str()))
    }

    /// The logical id of an object, if it belongs to this stack.
    pub(super) fn logical_id<'o>(&self, object: &'o Object) -> Option<&'o str> {
        let tag = |key| tag(object, key);
        let is_ours = is_made_by_api(object.id()) && tag(STACK) == Some(self.as_str());
        tag(LOGICAL_ID).filter(|_| is_ours)
    }

    /// Makes a wanted object this stack's.
    pub(super) fn adopt(&self, object: &mut Object) {
        let id = object.id().to_owned();
        let tags = &mut object.notes_mut().tags;
        tags.push((STACK.to_owned(), self.0.clone()));
        tags.push((LOGICAL_ID.to_owned(), id));
    }
}

impl FromStr for StackName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_sound = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        if text.is_empty() || text.chars().count() > NAME_CHARS_MAX || !text.chars().all(is_sound) {
            return Err(format!(
                "a stack's name is 1 to {NAME_CHARS_MAX} letters, digits, hyphens, underscores and \
                 dots"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The value of an object's tag.
pub(crate) fn tag<'o>(object: &'o Object, key: &str) -> Option<&'o str> {
    let tags = &object.notes().tags;
    tags.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
}

/// What a template that is to be applied must not say, beside what none may.
pub fn faults(model: &Model) -> Vec<ModelFault> {
    let mut faults = Vec::new();
    for object in model.clone().into_objects() {
        for key in [STACK, LOGICAL_ID] {
            if tag(&object, key).is_some() {
                let at = Property::new(object.id(), "Tags");
                let message = format!("{key} is set by linetap apply; remove it");
                faults.push(ModelFault { at, message, rests_on: Vec::new(), unknown_in: None });
            }
        }
    }
    faults
}
