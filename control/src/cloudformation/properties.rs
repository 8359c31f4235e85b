//! The properties of one resource, read name by name; what nobody asked for is unknown.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use engine::rule::PortRange;
use ipnet::IpNet;

use super::Template;
use super::intrinsic::{Resolved, Scope, is_call};
use crate::document::{Entry, Node, Value};
use crate::fault::{did_you_mean, either, quoted};
use crate::model::{Kind, Notes, Property, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX};

/// Reads the properties of one resource. Every reader notes a fault and returns `None` for what is
/// wrong, and marks it as unread; what is absent is `None` alone.
pub(super) struct Properties<'n> {
    id: &'n str,
    line: u32,
    node: Option<&'n Node>,
    scope: &'n Scope<'n>,
    asked: RefCell<Vec<&'static str>>,
    unread: RefCell<Vec<&'static str>>,
}

impl<'n> Properties<'n> {
    /// Begins to read the properties of a resource.
    pub(super) fn of(entry: &'n Entry, scope: &'n Scope<'n>) -> Self {
        let mut properties = Self {
            id: &entry.key,
            line: entry.line,
            node: entry.node.entry("Properties").map(|entry| &entry.node),
            scope,
            asked: RefCell::default(),
            unread: RefCell::default(),
        };
        if let Some(node) = properties.node
            && (!matches!(node.value, Value::Map(_) | Value::Null) || is_call(node))
        {
            let message = format!("it must be a table, not {}", node.describe());
            properties.fault(node.line, "Properties", message);
            properties.node = None;
        }
        properties
    }

    /// The logical id.
    pub(super) fn id(&self) -> String {
        self.id.to_owned()
    }

    /// Notes a fault of a property.
    pub(super) fn fault(&self, line: u32, name: &str, message: impl Display) {
        self.scope.sink.add(line, format!("{}.{name}: {message}", self.id));
    }

    /// Marks a property as holding a stand-in.
    pub(super) fn mark_unread(&self, name: &'static str) {
        self.unread.borrow_mut().push(name);
    }

    /// The line of the resource.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The node of a property, asked for by name.
    fn ask(&self, name: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(name);
        let entry = self.node?.entry(name)?;
        if matches!(entry.node.value, Value::Null) && entry.node.tag.is_none() {
            self.fault(entry.line, name, "it has no value; write one or remove the property");
            self.mark_unread(name);
            return None;
        }
        Some(&entry.node)
    }

    /// True when a property is there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.node.is_some_and(|node| node.entry(name).is_some())
    }

    /// Notes a fault when a property is absent, with an example of what to write.
    pub(super) fn require(&self, name: &'static str, example: &str) {
        if !self.has(name) {
            self.fault(self.line, name, format!("it is missing; add {name}: {example}"));
            self.mark_unread(name);
        }
    }

    /// Reads one property; `None` from `read` marks it as unread.
    fn read<T>(&self, name: &'static str, read: impl FnOnce(&'n Node) -> Option<T>) -> Option<T> {
        let node = self.ask(name)?;
        let value = read(node);
        if value.is_none() {
            self.mark_unread(name);
        }
        value
    }

    /// The value of a node that has to be known now.
    fn known(&self, node: &Node, name: &str) -> Option<String> {
        match self.scope.resolve(node, &format!("{}.{name}", self.id))? {
            Resolved::Text(text) => Some(text),
            Resolved::Many(_) => {
                self.fault(node.line, name, "it must be one value, not a list; write one");
                None
            }
            Resolved::Resource(id) | Resolved::Mixed(id) => {
                let message =
                    format!("{} has an id of this template in it; write the value", quoted(&id));
                self.fault(node.line, name, message);
                None
            }
        }
    }

    /// Text whose value has to be known.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.read(name, |node| {
            let text = self.known(node, name)?;
            if text.is_empty() {
                self.fault(node.line, name, "it is empty; write a value");
                return None;
            }
            Some(text)
        })
    }

    /// A whole number, also as text.
    pub(super) fn integer(
        &self,
        name: &'static str,
        range: &RangeInclusive<i64>,
        hint: &str,
    ) -> Option<i64> {
        self.read(name, |node| self.number(node, name, range, hint))
    }

    fn number(
        &self,
        node: &Node,
        name: &str,
        range: &RangeInclusive<i64>,
        hint: &str,
    ) -> Option<i64> {
        let number = match &node.value {
            Value::Int(number, _) if !is_call(node) => Some((*number, self.known(node, name)?)),
            _ => {
                let text = self.known(node, name)?;
                let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
                let is_whole = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
                let held = if text.starts_with('-') { i64::MIN } else { i64::MAX };
                let number = text.parse().unwrap_or(held);
                if !is_whole {
                    let (start, end) = (range.start(), range.end());
                    let found = quoted(&text);
                    let message =
                        format!("{found} is not a whole number; write {start} to {end}{hint}");
                    self.fault(node.line, name, message);
                    return None;
                }
                Some((number, text))
            }
        };
        let (number, text) = number?;
        if range.contains(&number) {
            return Some(number);
        }
        let (start, end) = (range.start(), range.end());
        let message = format!("{text} is out of range; write {start} to {end}{hint}");
        self.fault(node.line, name, message);
        None
    }

    /// One of some words, each with its meaning.
    pub(super) fn choice<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.read(name, |node| {
            let text = self.known(node, name)?;
            let found = words.iter().find(|(word, _)| *word == text).map(|&(_, meaning)| meaning);
            if found.is_none() {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let hint = did_you_mean(&text, known.iter().copied());
                let message =
                    format!("{} is unknown; write {}{hint}", quoted(&text), either(&known));
                self.fault(node.line, name, message);
            }
            found
        })
    }

    /// The logical id of a resource of a certain kind.
    pub(super) fn reference(&self, name: &'static str, kind: Kind) -> Option<String> {
        self.read(name, |node| {
            let known = self.scope.kinds.iter().filter(|(_, other)| **other == Some(kind));
            let hint = |text: &str| did_you_mean(text, known.map(|(id, _)| *id));
            match self.scope.resolve(node, &format!("{}.{name}", self.id))? {
                Resolved::Resource(id) => match self.scope.kinds.get(id.as_str()) {
                    Some(Some(other)) if *other == kind => Some(id),
                    Some(Some(other)) => {
                        let (is, want) = (other.type_name(), kind.type_name());
                        let message = format!("{id} is an {is}; name an {want}{}", hint(&id));
                        self.fault(node.line, name, message);
                        None
                    }
                    // Its type is a fault already.
                    _ => None,
                },
                other => {
                    let text = other.text();
                    let message = format!(
                        "{} is not made by this template; name one of its own with !Ref{}",
                        quoted(&text),
                        hint(&text)
                    );
                    self.fault(node.line, name, message);
                    None
                }
            }
        })
    }

    /// A CIDR block; host bits are cleared.
    pub(super) fn cidr(&self, name: &'static str) -> Option<IpNet> {
        self.read(name, |node| {
            let text = self.known(node, name)?;
            if let Ok(net) = text.parse::<IpNet>() {
                return Some(net.trunc());
            }
            let remedy = match text.parse() {
                Ok(IpAddr::V4(address)) => format!("write {address}/32"),
                Ok(IpAddr::V6(address)) => format!("write {address}/128"),
                Err(_) => "write one like 10.0.0.0/8 or 2001:db8::/32".to_owned(),
            };
            self.fault(node.line, name, format!("{} is not a CIDR block; {remedy}", quoted(&text)));
            None
        })
    }

    /// `{FromPort, ToPort}`. Which of the two is larger is for others to judge.
    pub(super) fn ports(&self, name: &'static str) -> Option<PortRange> {
        const PORTS: RangeInclusive<i64> = 0..=65_535;
        self.read(name, |node| {
            let Value::Map(entries) = &node.value else {
                let found = node.describe();
                let message =
                    format!("it must be a table, not {found}; write FromPort and ToPort in it");
                self.fault(node.line, name, message);
                return None;
            };
            if is_call(node) {
                self.fault(node.line, name, "write FromPort and ToPort in it, not a function");
                return None;
            }
            for entry in entries.iter().filter(|it| !["FromPort", "ToPort"].contains(&&*it.key)) {
                let hint = did_you_mean(&entry.key, ["FromPort", "ToPort"]);
                let path = format!("{name}.{}", entry.key);
                self.fault(entry.line, &path, format!("it is unknown; remove it{hint}"));
            }
            let port = |key: &str| {
                let path = format!("{name}.{key}");
                let Some(entry) = node.entry(key) else {
                    self.fault(node.line, &path, format!("it is missing; add {key}: 443"));
                    return None;
                };
                u16::try_from(self.number(&entry.node, &path, &PORTS, "")?).ok()
            };
            let (from, to) = (port("FromPort"), port("ToPort"));
            Some(PortRange { from: from?, to: to? })
        })
    }

    /// A list of texts, or a parameter of a list type.
    pub(super) fn texts(&self, name: &'static str) -> Option<Vec<(String, u32)>> {
        self.read(name, |node| {
            if is_call(node) {
                return match self.scope.resolve(node, &format!("{}.{name}", self.id))? {
                    Resolved::Many(texts) => {
                        Some(texts.into_iter().map(|text| (text, node.line)).collect())
                    }
                    _ => self.no_list(node, name),
                };
            }
            let Value::List(items) = &node.value else {
                return self.no_list(node, name);
            };
            let text = |item: &Node| Some((self.known(item, name)?, item.line));
            let texts: Vec<_> = items.iter().filter_map(text).collect();
            (texts.len() == items.len()).then_some(texts)
        })
    }

    fn no_list<T>(&self, node: &Node, name: &str) -> Option<T> {
        self.fault(node.line, name, "it must be a list; write each item behind a dash");
        None
    }

    /// `Description` and `Tags`.
    pub(super) fn notes(&self) -> Notes {
        let description = self.read("Description", |node| {
            let value = self.scope.resolve(node, &format!("{}.Description", self.id))?;
            Some(value.text().into_owned())
        });
        Notes { description, tags: self.tags().unwrap_or_default() }
    }

    /// `Tags: [{Key, Value}]`, with EC2's limits (EC2 user guide, "Tag restrictions").
    fn tags(&self) -> Option<Vec<(String, String)>> {
        self.read("Tags", |node| {
            let Value::List(items) = &node.value else {
                return self.no_list(node, "Tags");
            };
            let mut tags: Vec<(String, String)> = Vec::new();
            let mut keys = HashSet::new();
            for item in items {
                let Some(tag) = self.tag(item) else { continue };
                if keys.insert(tag.0.clone()) {
                    tags.push(tag);
                } else {
                    let message = format!("the key {} is here twice; remove one", quoted(&tag.0));
                    self.fault(item.line, "Tags", message);
                }
            }
            (tags.len() == items.len()).then_some(tags)
        })
    }

    fn tag(&self, node: &Node) -> Option<(String, String)> {
        let entries = match &node.value {
            Value::Map(entries) if !is_call(node) => entries.as_slice(),
            _ => &[],
        };
        let value = |key| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
        let (Some(key), Some(value), 2) = (value("Key"), value("Value"), entries.len()) else {
            self.fault(node.line, "Tags", "a tag is a Key and a Value; write both and no more");
            return None;
        };
        let key = self.known(key, "Tags.Key")?;
        let value = self.scope.resolve(value, &format!("{}.Tags.Value", self.id))?;
        let value = value.text().into_owned();
        let why = if key.is_empty() || key.chars().count() > TAG_KEY_CHARS_MAX {
            format!("a key has 1 to {TAG_KEY_CHARS_MAX} characters; shorten {}", quoted(&key))
        } else if value.chars().count() > TAG_VALUE_CHARS_MAX {
            format!("a value has up to {TAG_VALUE_CHARS_MAX} characters; shorten that of {key}")
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            format!("{} begins with aws:, which is AWS's own; rename it", quoted(&key))
        } else {
            return Some((key, value));
        };
        self.fault(node.line, "Tags", why);
        None
    }

    /// Notes every property that was never asked for, and hands the places over.
    pub(super) fn finish(self, template: &mut Template) {
        template.lines.insert(Property::new(self.id, ""), self.line);
        for name in self.unread.into_inner() {
            template.unread.insert(Property::new(self.id, name));
        }
        let asked = self.asked.into_inner();
        let Some(Node { value: Value::Map(entries), .. }) = self.node else {
            return;
        };
        for entry in entries {
            if let Some(name) = asked.iter().find(|name| **name == entry.key) {
                template.lines.insert(Property::new(self.id, name), entry.line);
                continue;
            }
            let hint = did_you_mean(&entry.key, asked.iter().copied());
            let path = format!("{}.{}", self.id, entry.key);
            self.scope.sink.add(entry.line, format!("{path}: it is unknown; remove it{hint}"));
        }
    }
}
