//! `Ref`, `Fn::GetAtt` and `Fn::Sub`, in their short and long forms, resolved where they stand.

use std::borrow::Cow;
use std::collections::HashMap;

use super::parameters::Argument;
use super::resources::id_attribute;
use crate::document::{Entry, Node, Value};
use crate::fault::{FaultSink, did_you_mean, quoted};
use crate::model::Kind;

/// The longest text that `Fn::Sub` may make.
const SUBSTITUTED_BYTES_MAX: usize = 1 << 20;

/// What names mean throughout a template.
pub(super) struct Scope<'n> {
    /// Parameters by name.
    pub(super) parameters: HashMap<String, Argument>,
    /// Resources by logical id; `None` for those of a type that is a fault already.
    pub(super) kinds: HashMap<&'n str, Option<Kind>>,
    /// Where faults go.
    pub(super) sink: &'n FaultSink,
}

/// A value with its functions resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolved {
    /// Known text.
    Text(String),
    /// The values of a list parameter.
    Many(Vec<String>),
    /// The id that a resource of this template will have.
    Resource(String),
    /// Text with such an id inside: what it will be is not known.
    Mixed(String),
}

/// A function and what it is applied to.
struct Call<'n> {
    /// `Ref`, `Condition` or `Fn::…`.
    name: String,
    line: u32,
    argument: &'n Value,
}

/// The call that a node is, if it is one.
fn call(node: &Node) -> Option<Call<'_>> {
    let long = |name: &str| match name {
        "Ref" | "Condition" => name.to_owned(),
        _ => format!("Fn::{name}"),
    };
    if let Some(tag) = &node.tag {
        return Some(Call { name: long(tag), line: node.line, argument: &node.value });
    }
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [Entry { key, line, node }] if key == "Ref" || key.starts_with("Fn::") => {
                Some(Call { name: key.clone(), line: *line, argument: &node.value })
            }
            _ => None,
        },
        _ => None,
    }
}

/// The values of a list, unless one of them is a call.
fn plain(items: &[Node]) -> Vec<&Value> {
    if items.iter().any(|item| item.tag.is_some()) {
        return Vec::new();
    }
    items.iter().map(|item| &item.value).collect()
}

/// True when a node is a function call, not a value as it stands.
pub(super) fn is_call(node: &Node) -> bool {
    call(node).is_some()
}

impl Scope<'_> {
    /// Resolves a node that should be one value. `None` when a fault was noted, now or (for a
    /// parameter without a value) before. `subject` names the property in messages.
    pub(super) fn resolve(&self, node: &Node, subject: &str) -> Option<Resolved> {
        let Some(call) = call(node) else {
            if let Some(text) = node.scalar() {
                return Some(Resolved::Text(text.into_owned()));
            }
            let found = node.describe();
            self.fault(node.line, subject, format!("it must be one value, not {found}"));
            return None;
        };
        let Call { name, line, argument } = call;
        match (name.as_str(), argument) {
            ("Ref", Value::Text(to)) => self.name(to, line, subject),
            ("Fn::GetAtt", Value::Text(path)) => self.attribute(path, line, subject),
            ("Fn::GetAtt", Value::List(items))
                if let [Value::Text(id), Value::Text(name)] = plain(items).as_slice() =>
            {
                self.attribute(&format!("{id}.{name}"), line, subject)
            }
            ("Fn::Sub", Value::Text(text)) => self.substitute(text, &[], line, subject),
            ("Fn::Sub", Value::List(items))
                if let [Value::Text(text), Value::Map(names)] = plain(items).as_slice() =>
            {
                self.substitute(text, names, line, subject)
            }
            _ => {
                let message = match name.as_str() {
                    "Ref" => "Ref takes a name; write one".to_owned(),
                    "Fn::GetAtt" => "Fn::GetAtt takes Id.Name or [Id, Name]; write one".to_owned(),
                    "Fn::Sub" => "Fn::Sub takes a text, or [text, table]; write one".to_owned(),
                    _ => format!(
                        "{} is not supported; write the value itself, Ref, Fn::GetAtt or Fn::Sub",
                        quoted(&name).trim_matches('"')
                    ),
                };
                self.fault(line, subject, message);
                None
            }
        }
    }

    fn fault(&self, line: u32, subject: &str, message: impl std::fmt::Display) {
        self.sink.add(line, format!("{subject}: {message}"));
    }

    /// What `Ref` makes of a name.
    fn name(&self, name: &str, line: u32, subject: &str) -> Option<Resolved> {
        match self.parameters.get(name) {
            Some(Argument::One(text)) => return Some(Resolved::Text(text.clone())),
            Some(Argument::Many(texts)) => return Some(Resolved::Many(texts.clone())),
            Some(Argument::Unread) => return None,
            None => {}
        }
        if self.kinds.contains_key(name) {
            return Some(Resolved::Resource(name.to_owned()));
        }
        let message = if name.starts_with("AWS::") {
            format!("{} has no value outside AWS; write the value itself", quoted(name))
        } else {
            let known =
                self.parameters.keys().map(String::as_str).chain(self.kinds.keys().copied());
            let hint = did_you_mean(name, known);
            let name = quoted(name);
            format!("the template has no parameter or resource {name}; add it{hint}")
        };
        self.fault(line, subject, message);
        None
    }

    /// What `Fn::GetAtt` makes of `LogicalId.Attribute`.
    fn attribute(&self, path: &str, line: u32, subject: &str) -> Option<Resolved> {
        let Some((id, attribute)) = path.split_once('.') else {
            let message = format!("{} is not LogicalId.Attribute; write it so", quoted(path));
            self.fault(line, subject, message);
            return None;
        };
        let Some(kind) = self.kinds.get(id) else {
            let hint = did_you_mean(id, self.kinds.keys().copied());
            let message = format!("the template has no resource {}; add it{hint}", quoted(id));
            self.fault(line, subject, message);
            return None;
        };
        let kind = (*kind)?;
        if attribute != id_attribute(kind) {
            let message = format!(
                "{id} has no attribute {}; write {id}.{}",
                quoted(attribute),
                id_attribute(kind)
            );
            self.fault(line, subject, message);
            return None;
        }
        Some(Resolved::Resource(id.to_owned()))
    }

    /// What `Fn::Sub` makes of a text with `${Name}`, `${Id.Attribute}` and `${!Literal}`.
    fn substitute(
        &self,
        text: &str,
        names: &[Entry],
        line: u32,
        subject: &str,
    ) -> Option<Resolved> {
        // Each once, however often the text names it: nested ones would multiply.
        let values = names.iter().map(|it| (it.key.as_str(), self.resolve(&it.node, subject)));
        let values: HashMap<&str, Option<Resolved>> = values.collect();
        let mut pieces = Vec::new();
        let mut len = text.len();
        let mut is_read = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                self.fault(line, subject, "a ${ of Fn::Sub has no }; close it");
                return None;
            };
            rest = behind;
            pieces.push(Resolved::Text(before.to_owned()));
            let piece = match (name.strip_prefix('!'), values.get(name)) {
                (Some(literal), _) => Some(Resolved::Text(format!("${{{literal}}}"))),
                (None, Some(value)) => value.clone(),
                (None, None) if name.contains('.') => self.attribute(name, line, subject),
                (None, None) => self.name(name, line, subject),
            };
            let Some(piece) = piece else {
                is_read = false;
                continue;
            };
            len += piece.text().len();
            if len > SUBSTITUTED_BYTES_MAX {
                let message = format!("Fn::Sub makes more than {SUBSTITUTED_BYTES_MAX} bytes");
                self.fault(line, subject, format!("{message}; shorten it"));
                return None;
            }
            pieces.push(piece);
        }
        pieces.push(Resolved::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Resolved::Text(text) if text.is_empty()));
        is_read.then(|| join(pieces))
    }
}

impl Resolved {
    /// The text that it is, or stands for in messages.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Resource(text) | Self::Mixed(text) => Cow::Borrowed(text),
            Self::Many(texts) => Cow::Owned(texts.join(",")),
        }
    }
}

/// The pieces of a text as one.
fn join(mut pieces: Vec<Resolved>) -> Resolved {
    if let [Resolved::Resource(_)] = pieces.as_slice()
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let is_known =
        pieces.iter().all(|piece| matches!(piece, Resolved::Text(_) | Resolved::Many(_)));
    let text = pieces.iter().map(Resolved::text).collect();
    if is_known { Resolved::Text(text) } else { Resolved::Mixed(text) }
}
