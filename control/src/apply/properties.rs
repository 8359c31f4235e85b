//! Objects as lists of properties: what is compared, shown, and sent.

use std::fmt;

use engine::rule::PortRange;
use engine::units::Vni;

use crate::model::{ACTIONS, AMAZON_DNS, DIRECTIONS, Destination, Kind, Object, word};

/// What a property holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Text, or what is sent as such.
    Text(String),
    /// A range of ports.
    Ports(PortRange),
    /// An object of the template, by its logical id.
    Wanted(String),
    /// Any other object, by EC2's id.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Wanted(text) | Self::Other(text) => f.write_str(text),
            Self::Ports(ports) => write!(f, "{ports}"),
        }
    }
}

/// A property by its name in templates, which is that of EC2's parameters too.
pub(super) type Property = (&'static str, Value);

/// The properties that an object has, but for its tags. `name` tells what the ids in it mean.
pub(super) fn properties(object: &Object, name: impl Fn(&str) -> Value) -> Vec<Property> {
    let text = |text: &dyn fmt::Display| Some(Value::Text(text.to_string()));
    let mut all: Vec<(&'static str, Option<Value>)> = match object {
        Object::Filter(it) => {
            vec![("NetworkServices", it.amazon_dns.then_some(Value::Text(AMAZON_DNS.to_owned())))]
        }
        Object::Rule(it) => vec![
            ("TrafficMirrorFilterId", Some(name(&it.filter))),
            ("TrafficDirection", text(&word(&DIRECTIONS, it.direction))),
            ("RuleNumber", text(&it.number)),
            ("RuleAction", text(&word(&ACTIONS, it.action))),
            ("SourceCidrBlock", text(&it.source)),
            ("DestinationCidrBlock", text(&it.destination)),
            ("Protocol", it.protocol.and_then(|protocol| text(&protocol))),
            ("SourcePortRange", it.source_ports.map(Value::Ports)),
            ("DestinationPortRange", it.destination_ports.map(Value::Ports)),
        ],
        Object::Target(it) => vec![(it.destination.property(), text(&it.destination.id()))],
        Object::Session(it) => vec![
            ("NetworkInterfaceId", text(&it.interface)),
            ("TrafficMirrorTargetId", Some(name(&it.target))),
            ("TrafficMirrorFilterId", Some(name(&it.filter))),
            ("SessionNumber", text(&it.number)),
            ("VirtualNetworkId", it.vni.map(Vni::value).and_then(|vni| text(&vni))),
            ("PacketLength", it.packet_length.and_then(|length| text(&length))),
        ],
    };
    all.push(("Description", object.notes().description.as_ref().and_then(|it| text(it))));
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// True when an object can't be given another value of a property.
pub(super) fn forces_replacement(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Filter => name == "Description",
        Kind::Rule => name == "TrafficMirrorFilterId",
        Kind::Target => true,
        Kind::Session => name == "NetworkInterfaceId",
    }
}

/// One property that is to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) old: Option<Value>,
    pub(super) new: Option<Value>,
}

/// What differs, in the order of the names of what is wanted; what is wanted no more at the end.
pub(super) fn differences(old: &[Property], new: &[Property]) -> Vec<Difference> {
    let find = |list: &[Property], name: &str| {
        list.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
    };
    let gone = old.iter().filter(|(name, _)| find(new, name).is_none());
    let names = new.iter().chain(gone).map(|&(name, _)| name);
    let both = names.map(|name| Difference { name, old: find(old, name), new: find(new, name) });
    both.filter(|it| it.old != it.new).collect()
}

/// `RuleNumber` as `rule-number`.
pub(super) fn kebab(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// The tool that copies for a target go to, if several targets can mean it only one at a time.
pub(super) fn load_balancer(destination: &Destination) -> Option<&str> {
    match destination {
        Destination::NetworkLoadBalancer(arn) => Some(arn),
        _ => None,
    }
}
