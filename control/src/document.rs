//! One tree for the three languages that people write to linetap in: TOML, YAML and JSON.
//!
//! A [`Node`] keeps the line it came from, so that whatever is found wrong with it later can be
//! told with its place, and the YAML tag (`!Ref`) that CloudFormation gives a meaning to.

pub mod json;
pub mod toml;
pub mod yaml;

use std::borrow::Cow;

/// The deepest nesting that is read. Real files need about ten.
pub const DEPTH_MAX: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line of the file, from 1.
    pub line: u32,
    /// A YAML tag without its `!`, such as `Ref`.
    pub tag: Option<String>,
    /// What stands there.
    pub value: Value,
}

/// What a file can say in one place.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number and its spelling. What exceeds 64 bits is held as the nearest that fits.
    Int(i64, String),
    /// A number that isn't whole, as spelled.
    Float(String),
    /// A TOML date or time, as spelled.
    Date(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file. Keys are unique.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: u32,
    /// What it stands for.
    pub node: Node,
}

impl Node {
    /// The value under a key of a map; `None` when there is no such key, or this is no map.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of a scalar, in the spelling of the file; `None` for lists, maps and nothing.
    pub fn scalar(&self) -> Option<Cow<'_, str>> {
        match &self.value {
            Value::Text(text) | Value::Int(_, text) | Value::Float(text) | Value::Date(text) => {
                Some(Cow::Borrowed(text))
            }
            Value::Bool(yes) => Some(Cow::Borrowed(if *yes { "true" } else { "false" })),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Names what stands there, for a sentence about what should.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(yes) => yes.to_string(),
            Value::Int(_, text) | Value::Float(text) => {
                format!("the number {}", crate::fault::quoted(text).trim_matches('"'))
            }
            Value::Date(text) => format!("the date {text}"),
            Value::Text(text) => format!("the text {}", crate::fault::quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a table".to_owned(),
        }
    }
}

impl Value {
    /// A whole number from its spelling, held to 64 bits.
    fn int(digits: &str, radix: u32, spelling: &str) -> Self {
        let value = i64::from_str_radix(digits, radix).unwrap_or(if digits.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        });
        Self::Int(value, spelling.to_owned())
    }
}

/// The first lines of a text by byte offset, to turn a span into a line number.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        Self(breaks.map(|(at, _)| at).collect())
    }

    /// Line of a byte offset, from 1.
    fn at(&self, offset: usize) -> u32 {
        let before = self.0.partition_point(|&end| end < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}
