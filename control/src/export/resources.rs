//! Objects as CloudFormation's resources, each property in its type.
//! Source: CloudFormation template reference, `AWS::EC2::TrafficMirror*`.

use engine::rule::PortRange;
use engine::units::Vni;
use serde_json::{Map, Value, json};

use super::names::Names;
use crate::apply::{LOGICAL_ID, STACK};
use crate::model::{ACTIONS, AMAZON_DNS, DIRECTIONS, Notes, Object, Rule, Session, word};

/// A resource, with references by logical ids.
pub(super) fn resource(object: &Object, names: &Names) -> Value {
    let mut resource = Map::new();
    resource.insert("Type".to_owned(), json!(object.kind().type_name()));
    if let Object::Rule(rule) = object
        && rule.source.addr().is_ipv6()
    {
        // EC2 takes IPv6 here; the schema that cfn-lint holds rules against does not know it.
        let metadata = json!({ "cfn-lint": { "config": { "ignore_checks": ["E3002"] } } });
        resource.insert("Metadata".to_owned(), metadata);
    }
    let mut properties: Vec<(&str, Option<Value>)> = match object {
        Object::Filter(filter) => {
            vec![("NetworkServices", filter.amazon_dns.then(|| json!([AMAZON_DNS])))]
        }
        Object::Rule(it) => rule(it, names),
        Object::Target(target) => {
            vec![(target.destination.property(), Some(json!(target.destination.id())))]
        }
        Object::Session(it) => session(it, names),
    };
    let Notes { description, tags } = object.notes();
    properties.push(("Description", description.as_ref().map(|text| json!(text))));
    properties.push(("Tags", tags_of(tags)));
    let present = properties.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?)));
    let properties: Map<String, Value> = present.collect();
    if !properties.is_empty() {
        resource.insert("Properties".to_owned(), Value::Object(properties));
    }
    Value::Object(resource)
}

fn reference(names: &Names, id: &str) -> Value {
    json!({ "Ref": names.of(id) })
}

fn rule(rule: &Rule, names: &Names) -> Vec<(&'static str, Option<Value>)> {
    let ports = |ports: PortRange| json!({ "FromPort": ports.from, "ToPort": ports.to });
    vec![
        ("TrafficMirrorFilterId", Some(reference(names, &rule.filter))),
        ("TrafficDirection", Some(json!(word(&DIRECTIONS, rule.direction)))),
        ("RuleNumber", Some(json!(rule.number))),
        ("RuleAction", Some(json!(word(&ACTIONS, rule.action)))),
        ("Protocol", rule.protocol.map(|protocol| json!(protocol))),
        ("SourceCidrBlock", Some(json!(rule.source.to_string()))),
        ("DestinationCidrBlock", Some(json!(rule.destination.to_string()))),
        ("SourcePortRange", rule.source_ports.map(ports)),
        ("DestinationPortRange", rule.destination_ports.map(ports)),
    ]
}

fn session(session: &Session, names: &Names) -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("NetworkInterfaceId", Some(json!(session.interface))),
        ("TrafficMirrorTargetId", Some(reference(names, &session.target))),
        ("TrafficMirrorFilterId", Some(reference(names, &session.filter))),
        ("SessionNumber", Some(json!(session.number))),
        ("VirtualNetworkId", session.vni.map(Vni::value).map(|vni| json!(vni))),
        ("PacketLength", session.packet_length.map(|length| json!(length))),
    ]
}

/// Tags by their keys, without those that `linetap apply` sets again. `None`: there are none.
fn tags_of(tags: &[(String, String)]) -> Option<Value> {
    let is_shown = |(key, _): &&(String, String)| key != STACK && key != LOGICAL_ID;
    let mut tags: Vec<&(String, String)> = tags.iter().filter(is_shown).collect();
    tags.sort();
    let tags: Vec<Value> =
        tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    (!tags.is_empty()).then_some(Value::Array(tags))
}
