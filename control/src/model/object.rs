//! Any one of the four mirror objects.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Filter, Model, Notes, Rule, Session, Target};

/// A mirror object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// A mirror filter.
    Filter(Filter),
    /// A rule of a filter.
    Rule(Rule),
    /// A mirror target.
    Target(Target),
    /// A mirror session.
    Session(Session),
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A mirror filter.
    Filter,
    /// A rule of a filter.
    Rule,
    /// A mirror target.
    Target,
    /// A mirror session.
    Session,
}

impl Kind {
    /// All kinds, in the order in which they are made: none names a later one.
    pub const ALL: [Self; 4] = [Self::Filter, Self::Rule, Self::Target, Self::Session];

    /// What EC2's ids of this kind begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Filter => "tmf-",
            Self::Rule => "tmfr-",
            Self::Target => "tmt-",
            Self::Session => "tms-",
        }
    }

    /// The type of such resources in CloudFormation's templates.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Filter => "AWS::EC2::TrafficMirrorFilter",
            Self::Rule => "AWS::EC2::TrafficMirrorFilterRule",
            Self::Target => "AWS::EC2::TrafficMirrorTarget",
            Self::Session => "AWS::EC2::TrafficMirrorSession",
        }
    }

    /// The kind whose ids begin like this one.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| id.starts_with(kind.prefix()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Rule => "filter rule",
            Self::Target => "target",
            Self::Session => "session",
        })
    }
}

impl Model {
    /// All objects: the kinds in the order of [`Kind::ALL`], each in its own order.
    pub fn into_objects(self) -> impl Iterator<Item = Object> {
        let objects = self.filters.into_iter().map(Object::Filter);
        let objects = objects.chain(self.rules.into_iter().map(Object::Rule));
        let objects = objects.chain(self.targets.into_iter().map(Object::Target));
        objects.chain(self.sessions.into_iter().map(Object::Session))
    }
}

impl Object {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Filter(_) => Kind::Filter,
            Self::Rule(_) => Kind::Rule,
            Self::Target(_) => Kind::Target,
            Self::Session(_) => Kind::Session,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Filter(it) => &it.id,
            Self::Rule(it) => &it.id,
            Self::Target(it) => &it.id,
            Self::Session(it) => &it.id,
        }
    }

    /// Gives it an id.
    pub fn set_id(&mut self, id: String) {
        match self {
            Self::Filter(it) => it.id = id,
            Self::Rule(it) => it.id = id,
            Self::Target(it) => it.id = id,
            Self::Session(it) => it.id = id,
        }
    }

    /// Its description and tags.
    pub fn notes(&self) -> &Notes {
        match self {
            Self::Filter(it) => &it.notes,
            Self::Rule(it) => &it.notes,
            Self::Target(it) => &it.notes,
            Self::Session(it) => &it.notes,
        }
    }

    /// Its description and tags, to be changed.
    pub fn notes_mut(&mut self) -> &mut Notes {
        match self {
            Self::Filter(it) => &mut it.notes,
            Self::Rule(it) => &mut it.notes,
            Self::Target(it) => &mut it.notes,
            Self::Session(it) => &mut it.notes,
        }
    }
}
