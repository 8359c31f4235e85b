//! The section `Parameters` and the values that the command line gives.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use regex::Regex;
use thiserror::Error;

use crate::document::{Entry, Node, Value};
use crate::fault::{FaultSink, did_you_mean, either, quoted};

/// `KEY=VALUE` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The parameter.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A text that is no [`Assignment`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not KEY=VALUE")]
pub struct BadAssignment(pub String);

impl FromStr for Assignment {
    type Err = BadAssignment;

    fn from_str(text: &str) -> Result<Self, BadAssignment> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(BadAssignment(text.to_owned())),
        }
    }
}

/// What a parameter stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// One value.
    One(String),
    /// The values of a list type.
    Many(Vec<String>),
    /// A value that could not be read; a fault says why.
    Unread,
}

/// The most of `AllowedValues` that a message lists.
const TOLD_MAX: usize = 20;

const KEYS: [&str; 11] = [
    "Type",
    "Default",
    "Description",
    "AllowedValues",
    "AllowedPattern",
    "ConstraintDescription",
    "MinLength",
    "MaxLength",
    "MinValue",
    "MaxValue",
    "NoEcho",
];

/// Reads the section and settles every parameter's value.
pub(super) fn read(
    section: Option<&Node>,
    assignments: &[Assignment],
    sink: &FaultSink,
) -> HashMap<String, Argument> {
    let entries = match section.map(|node| (&node.value, node)) {
        None | Some((Value::Null, _)) => &[],
        Some((Value::Map(entries), _)) => entries.as_slice(),
        Some((_, node)) => {
            let found = node.describe();
            sink.add(node.line, format!("Parameters must be a table of parameters, not {found}"));
            &[]
        }
    };
    let names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let mut given: HashMap<&str, &str> = HashMap::new();
    let mut seen = HashSet::new();
    for Assignment { key, value } in assignments {
        if !seen.insert(key) {
            sink.add(0, format!("--parameter {key} is given twice; give it once"));
        } else if names.contains(&key.as_str()) {
            given.insert(key, value);
        } else {
            let hint = did_you_mean(key, names.iter().copied());
            sink.add(0, format!("--parameter {key}: the template has no such parameter{hint}"));
        }
    }
    let settle = |entry: &Entry| {
        let given = given.get(entry.key.as_str()).copied();
        (entry.key.clone(), settle(entry, given, sink).unwrap_or(Argument::Unread))
    };
    entries.iter().map(settle).collect()
}

/// The value of one parameter; `None` when a fault was noted.
fn settle(entry: &Entry, given: Option<&str>, sink: &FaultSink) -> Option<Argument> {
    let declaration = Declaration { name: &entry.key, node: &entry.node, sink };
    if let Value::Map(keys) = &entry.node.value {
        for key in keys.iter().filter(|key| !KEYS.contains(&key.key.as_str())) {
            let hint = did_you_mean(&key.key, KEYS);
            declaration.fault(key.line, format!("{} is not supported; remove it{hint}", key.key));
        }
    }
    let is_list = declaration.is_list(entry.line)?;
    let text = match (given, declaration.text("Default")) {
        (Some(value), _) => value.to_owned(),
        (None, Some((default, _))) => default,
        (None, None) => {
            if declaration.node.entry("Default").is_none() {
                let name = declaration.name;
                let message =
                    format!("it has no value; give it a Default, or --parameter {name}=VALUE");
                declaration.fault(entry.line, message);
            }
            return None;
        }
    };
    let line = declaration.node.entry("Default").map_or(entry.line, |default| default.line);
    let line = if given.is_some() { entry.line } else { line };
    let values: Vec<String> = if is_list {
        text.split(',').map(|item| item.trim().to_owned()).collect()
    } else {
        vec![text]
    };
    let mut is_allowed = true;
    let conditions = declaration.conditions();
    for value in &values {
        if let Err(why) = conditions.check(value) {
            declaration.fault(line, format!("{} {why}", quoted(value)));
            is_allowed = false;
        }
    }
    match (is_allowed, is_list) {
        (false, _) => None,
        (true, true) => Some(Argument::Many(values)),
        (true, false) => values.into_iter().next().map(Argument::One),
    }
}

/// One entry of the section.
struct Declaration<'n> {
    name: &'n str,
    node: &'n Node,
    sink: &'n FaultSink,
}

impl Declaration<'_> {
    fn fault(&self, line: u32, message: impl std::fmt::Display) {
        self.sink.add(line, format!("parameter {}: {message}", self.name));
    }

    /// The text under a key, and its line. Notes a fault when something else stands there.
    fn text(&self, key: &str) -> Option<(String, u32)> {
        let entry = self.node.entry(key)?;
        let Some(text) = entry.node.scalar() else {
            let found = entry.node.describe();
            self.fault(entry.line, format!("{key} must be text or a number, not {found}"));
            return None;
        };
        Some((text.into_owned(), entry.line))
    }

    fn number(&self, key: &str) -> Option<f64> {
        let (text, line) = self.text(key)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.fault(line, format!("{key} must be a number, not {}", quoted(&text)));
        }
        number
    }

    /// Whether the type is one of several values. `None` when it can't be resolved here.
    fn is_list(&self, line: u32) -> Option<bool> {
        if self.node.entry("Type").is_none() {
            self.fault(line, "Type is missing; write Type: String");
            return None;
        }
        let (name, line) = self.text("Type")?;
        match name.as_str() {
            "String" | "Number" => Some(false),
            "CommaDelimitedList" => Some(true),
            _ if name.starts_with("List<") && name.ends_with('>') => Some(true),
            _ if name.starts_with("AWS::SSM::") => {
                let why = "is looked up in an AWS account, which is out of reach here; use String";
                self.fault(line, format!("the type {} {why}", quoted(&name)));
                None
            }
            _ if name.starts_with("AWS::") => Some(false),
            _ => {
                let known = ["String", "Number", "CommaDelimitedList"];
                let hint = did_you_mean(&name, known);
                let message = format!("the type {} is unknown; use String{hint}", quoted(&name));
                self.fault(line, message);
                None
            }
        }
    }

    fn conditions(&self) -> Conditions {
        let pattern = self.text("AllowedPattern").and_then(|(pattern, line)| {
            let regex = Regex::new(&format!("^(?:{pattern})$"));
            if regex.is_err() {
                let why = "is a pattern that can't be checked here; simplify or remove it";
                self.fault(line, format!("AllowedPattern {} {why}", quoted(&pattern)));
            }
            regex.ok().map(|regex| (pattern, regex))
        });
        Conditions {
            allowed: self.allowed(),
            is_number: self
                .text("Type")
                .is_some_and(|(name, _)| matches!(name.as_str(), "Number" | "List<Number>")),
            values: [self.number("MinValue"), self.number("MaxValue")],
            lengths: [self.number("MinLength"), self.number("MaxLength")],
            pattern,
        }
    }

    fn allowed(&self) -> Option<Allowed> {
        let entry = self.node.entry("AllowedValues")?;
        let Value::List(items) = &entry.node.value else {
            let found = entry.node.describe();
            self.fault(entry.line, format!("AllowedValues must be a list, not {found}"));
            return None;
        };
        let texts: Vec<Cow<'_, str>> = items.iter().filter_map(Node::scalar).collect();
        let first: Vec<&str> = texts.iter().take(TOLD_MAX).map(AsRef::as_ref).collect();
        let told = either(&first);
        Some(Allowed { values: texts.into_iter().map(Cow::into_owned).collect(), told })
    }
}

/// `AllowedValues`, and the first of them as a sentence names them.
struct Allowed {
    values: HashSet<String>,
    told: String,
}

/// What a declaration asks of each value.
struct Conditions {
    allowed: Option<Allowed>,
    is_number: bool,
    /// From and to.
    values: [Option<f64>; 2],
    lengths: [Option<f64>; 2],
    pattern: Option<(String, Regex)>,
}

impl Conditions {
    /// Whether a value keeps them; if not, the rest of a sentence.
    fn check(&self, value: &str) -> Result<(), String> {
        if let Some(Allowed { values, told }) = &self.allowed
            && !values.contains(value)
        {
            return Err(format!("is not among AllowedValues; use {told}"));
        }
        if self.is_number {
            let number: f64 = value.parse().map_err(|_| "is not a number; write one".to_owned())?;
            let [min, max] = self.values;
            if min.is_some_and(|min| number < min) {
                return Err("is below MinValue; write more".to_owned());
            }
            if max.is_some_and(|max| number > max) {
                return Err("is above MaxValue; write less".to_owned());
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "no value is 2^52 characters long")]
        let length = value.chars().count() as f64;
        let [min, max] = self.lengths;
        if min.is_some_and(|min| length < min) {
            return Err("is shorter than MinLength; write more".to_owned());
        }
        if max.is_some_and(|max| length > max) {
            return Err("is longer than MaxLength; write less".to_owned());
        }
        match &self.pattern {
            Some((pattern, regex)) if !regex.is_match(value) => {
                Err(format!("does not match AllowedPattern {}; change it", quoted(pattern)))
            }
            _ => Ok(()),
        }
    }
}
