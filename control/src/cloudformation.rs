//! CloudFormation templates: the four `AWS::EC2::TrafficMirror…` types to the mirror objects.
//!
//! Read as far as they mean something here: parameters, `Ref`, `Fn::GetAtt` and `Fn::Sub` are
//! resolved; what has no meaning for an appliance (outputs, deletion policies) is passed over, and
//! everything else is a fault that names the resource and the property.
//! Source: CloudFormation template reference, `AWS::EC2::TrafficMirror*`.

mod intrinsic;
mod parameters;
mod properties;
mod resources;

use std::collections::{HashMap, HashSet};

use crate::document::{self, Entry, Node, Value};
use crate::fault::{FaultSink, did_you_mean, either, quoted};
use crate::model::{Kind, Model, ModelFault, Property};
use intrinsic::Scope;

pub use parameters::{Assignment, BadAssignment};

/// The largest template that is read: about 100,000 rules take 40 MB.
pub const TEMPLATE_BYTES_MAX: u64 = 256 << 20;

/// Sections that say nothing to an appliance.
const PASSED_OVER: [&str; 4] = ["AWSTemplateFormatVersion", "Description", "Metadata", "Outputs"];

/// A template, read.
#[derive(Debug, Default)]
pub struct Template {
    /// Its mirror objects in the order of the file. Where a fault stands, they hold stand-ins.
    pub model: Model,
    /// Where each property stands.
    lines: HashMap<Property, u32>,
    /// Properties that hold a stand-in.
    unread: HashSet<Property>,
}

impl Template {
    /// The objects, and the line of each by its id.
    pub fn into_model_and_lines(self) -> (Model, HashMap<String, u32>) {
        let whole = self.lines.into_iter().filter(|(property, _)| property.name.is_empty());
        (self.model, whole.map(|(property, line)| (property.id, line)).collect())
    }

    /// Notes what is wrong with its objects together, unless a fault that was noted before is the
    /// reason.
    pub fn note(&self, fault: &ModelFault, sink: &FaultSink) {
        let mut involved = std::iter::once(&fault.at).chain(&fault.rests_on);
        if involved.any(|property| self.unread.contains(property)) {
            return;
        }
        let Property { id, name } = &fault.at;
        let whole = Property::new(id, "");
        let line = self.lines.get(&fault.at).or_else(|| self.lines.get(&whole));
        let subject = if name.is_empty() { id.clone() } else { format!("{id}.{name}") };
        sink.add(line.copied().unwrap_or(0), format!("{subject}: {}", fault.message));
    }
}

/// Reads a template in YAML or JSON. Faults go to `sink`; `None` when the text is neither.
pub fn read(text: &str, assignments: &[Assignment], sink: &FaultSink) -> Option<Template> {
    let root = parse(text, sink)?;
    let Value::Map(sections) = &root.value else {
        let found = root.describe();
        sink.add(
            root.line,
            format!("a template is a table with Resources, not {found}; write one"),
        );
        return None;
    };
    for entry in sections {
        let key = entry.key.as_str();
        if !PASSED_OVER.contains(&key) && !["Parameters", "Resources"].contains(&key) {
            let hint =
                did_you_mean(key, ["Parameters", "Resources"].into_iter().chain(PASSED_OVER));
            let key = quoted(key);
            sink.add(entry.line, format!("the section {key} is not supported; remove it{hint}"));
        }
    }
    let parameters = root.entry("Parameters").map(|entry| &entry.node);
    let parameters = parameters::read(parameters, assignments, sink);
    let Some(resources) = root.entry("Resources") else {
        sink.add(root.line, "Resources is missing; add it with the mirror objects in it");
        return None;
    };
    let Value::Map(resources) = &resources.node.value else {
        let found = resources.node.describe();
        sink.add(resources.line, format!("Resources must be a table of resources, not {found}"));
        return None;
    };
    let kinds = resources.iter().map(|entry| (entry.key.as_str(), kind(entry, sink))).collect();
    let scope = Scope { parameters, kinds, sink };
    let mut template = Template::default();
    for entry in resources {
        check_attributes(entry, sink);
        if let Some(Some(kind)) = scope.kinds.get(entry.key.as_str()) {
            resources::decode(*kind, entry, &scope, &mut template);
        }
    }
    Some(template)
}

/// YAML or JSON: what begins like JSON and is JSON, is JSON; YAML's flow style begins like it too.
fn parse(text: &str, sink: &FaultSink) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_braced = text.trim_start().starts_with('{');
    let node = if is_braced {
        match document::json::read(text, sink) {
            Ok(node) => node,
            Err(not_json) => {
                // The fault to tell is that of the language the file was meant in.
                let as_yaml = FaultSink::new("");
                let node = document::yaml::read(text, &as_yaml);
                if node.is_none() || !as_yaml.is_empty() {
                    not_json.note(sink);
                    return None;
                }
                node
            }
        }
    } else {
        document::yaml::read(text, sink)
    };
    if node.is_none() && sink.is_empty() {
        sink.add(0, "the template is empty; write Resources with the mirror objects in it");
    }
    node
}

/// The kind of a resource; `None` and a fault when it is none of ours.
fn kind(entry: &Entry, sink: &FaultSink) -> Option<Kind> {
    let id = &entry.key;
    let types = Kind::ALL.map(Kind::type_name);
    let Some(named) = entry.node.entry("Type") else {
        sink.add(entry.line, format!("{id}.Type: it is missing; write {}", either(&types)));
        return None;
    };
    let name = named.node.scalar().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.type_name() == name);
    if kind.is_none() {
        let found = quoted(&name);
        let hint = did_you_mean(&name, types);
        let known = either(&types);
        sink.add(named.line, format!("{id}.Type: {found} is not supported; use {known}{hint}"));
    }
    kind
}

/// What stands beside the type and the properties of a resource.
fn check_attributes(entry: &Entry, sink: &FaultSink) {
    const KNOWN: [&str; 6] =
        ["Type", "Properties", "Metadata", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy"];
    let Value::Map(attributes) = &entry.node.value else {
        return;
    };
    for attribute in attributes.iter().filter(|it| !KNOWN.contains(&it.key.as_str())) {
        let hint = did_you_mean(&attribute.key, KNOWN);
        let (id, key) = (&entry.key, &attribute.key);
        sink.add(attribute.line, format!("{id}.{key}: it is not supported; remove it{hint}"));
    }
}
