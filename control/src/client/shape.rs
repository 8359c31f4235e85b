//! What EC2's objects look like: on the wire, and in what `aws ec2` prints of them.
//!
//! Source: EC2's service model; the members stand in its order, which is that of the output.

use serde_json::{Map, Value};

use super::Element;
use crate::model::Kind;

/// What an element holds.
#[derive(Debug)]
pub enum Shape {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Any number of the same, in elements of their own.
    List(&'static Shape),
    /// Members by name; each may be absent.
    Structure(&'static [Member]),
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its element on the wire.
    pub element: &'static str,
    /// Its key in JSON.
    pub key: &'static str,
    /// What it holds.
    pub shape: Shape,
}

const fn text(element: &'static str, key: &'static str) -> Member {
    Member { element, key, shape: Shape::Text }
}

const fn number(element: &'static str, key: &'static str) -> Member {
    Member { element, key, shape: Shape::Number }
}

const fn list(element: &'static str, key: &'static str, of: &'static Shape) -> Member {
    Member { element, key, shape: Shape::List(of) }
}

const fn ports(element: &'static str, key: &'static str) -> Member {
    const RANGE: &[Member] = &[number("fromPort", "FromPort"), number("toPort", "ToPort")];
    Member { element, key, shape: Shape::Structure(RANGE) }
}

const TAG: Shape = Shape::Structure(&[text("key", "Key"), text("value", "Value")]);
const TAGS: Member = list("tagSet", "Tags", &TAG);

const RULE: Shape = Shape::Structure(&[
    text("trafficMirrorFilterRuleId", "TrafficMirrorFilterRuleId"),
    text("trafficMirrorFilterId", "TrafficMirrorFilterId"),
    text("trafficDirection", "TrafficDirection"),
    number("ruleNumber", "RuleNumber"),
    text("ruleAction", "RuleAction"),
    number("protocol", "Protocol"),
    ports("destinationPortRange", "DestinationPortRange"),
    ports("sourcePortRange", "SourcePortRange"),
    text("destinationCidrBlock", "DestinationCidrBlock"),
    text("sourceCidrBlock", "SourceCidrBlock"),
    text("description", "Description"),
    TAGS,
]);

const FILTER: Shape = Shape::Structure(&[
    text("trafficMirrorFilterId", "TrafficMirrorFilterId"),
    list("ingressFilterRuleSet", "IngressFilterRules", &RULE),
    list("egressFilterRuleSet", "EgressFilterRules", &RULE),
    list("networkServiceSet", "NetworkServices", &Shape::Text),
    text("description", "Description"),
    TAGS,
]);

const TARGET: Shape = Shape::Structure(&[
    text("trafficMirrorTargetId", "TrafficMirrorTargetId"),
    text("networkInterfaceId", "NetworkInterfaceId"),
    text("networkLoadBalancerArn", "NetworkLoadBalancerArn"),
    text("type", "Type"),
    text("description", "Description"),
    text("ownerId", "OwnerId"),
    TAGS,
    text("gatewayLoadBalancerEndpointId", "GatewayLoadBalancerEndpointId"),
]);

const SESSION: Shape = Shape::Structure(&[
    text("trafficMirrorSessionId", "TrafficMirrorSessionId"),
    text("trafficMirrorTargetId", "TrafficMirrorTargetId"),
    text("trafficMirrorFilterId", "TrafficMirrorFilterId"),
    text("networkInterfaceId", "NetworkInterfaceId"),
    text("ownerId", "OwnerId"),
    number("packetLength", "PacketLength"),
    number("sessionNumber", "SessionNumber"),
    number("virtualNetworkId", "VirtualNetworkId"),
    text("description", "Description"),
    TAGS,
]);

impl Shape {
    /// An element as the value that `aws ec2` makes of it. What the shape does not know is left out,
    /// as there.
    pub fn to_json(&self, element: &Element) -> Value {
        match self {
            Self::Text => element.text.clone().into(),
            Self::Number => match element.text.trim().parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => element.text.clone().into(),
            },
            Self::Flag => (element.text == "true").into(),
            Self::List(of) => element.children.iter().map(|child| of.to_json(child)).collect(),
            Self::Structure(members) => {
                let mut map = Map::new();
                for Member { element: name, key, shape } in *members {
                    if let Some(child) = element.child(name) {
                        map.insert((*key).to_owned(), shape.to_json(child));
                    }
                }
                map.into()
            }
        }
    }
}

/// How EC2 calls one of the four kinds.
#[derive(Debug)]
pub struct Noun {
    /// Which.
    pub kind: Kind,
    /// What its actions, parameters and keys are made of, such as `TrafficMirrorFilter`.
    pub base: &'static str,
    /// The same for elements.
    pub element: &'static str,
    /// The type of the resource, in tags.
    pub resource: &'static str,
    /// What it looks like.
    pub shape: Shape,
}

static NOUNS: [Noun; 4] = [
    Noun {
        kind: Kind::Filter,
        base: "TrafficMirrorFilter",
        element: "trafficMirrorFilter",
        resource: "traffic-mirror-filter",
        shape: FILTER,
    },
    Noun {
        kind: Kind::Rule,
        base: "TrafficMirrorFilterRule",
        element: "trafficMirrorFilterRule",
        resource: "traffic-mirror-filter-rule",
        shape: RULE,
    },
    Noun {
        kind: Kind::Target,
        base: "TrafficMirrorTarget",
        element: "trafficMirrorTarget",
        resource: "traffic-mirror-target",
        shape: TARGET,
    },
    Noun {
        kind: Kind::Session,
        base: "TrafficMirrorSession",
        element: "trafficMirrorSession",
        resource: "traffic-mirror-session",
        shape: SESSION,
    },
];

impl Noun {
    /// That of a kind.
    pub fn of(kind: Kind) -> &'static Self {
        let [filter, rule, target, session] = &NOUNS;
        match kind {
            Kind::Filter => filter,
            Kind::Rule => rule,
            Kind::Target => target,
            Kind::Session => session,
        }
    }

    /// The parameter with an id.
    pub fn id_parameter(&self) -> String {
        format!("{}Id", self.base)
    }

    /// The id of such an object.
    pub fn id_of<'e>(&self, object: &'e Element) -> &'e str {
        object.text_of(&format!("{}Id", self.element)).unwrap_or_default()
    }

    /// What `aws ec2 describe-…` prints of such objects.
    pub fn to_json(&self, objects: &[Element]) -> Value {
        let list: Value = objects.iter().map(|object| self.shape.to_json(object)).collect();
        Value::Object(Map::from_iter([(format!("{}s", self.base), list)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_printed_as_aws_does() {
        let xml = "<r><trafficMirrorFilterSet><item><trafficMirrorFilterId>tmf-1\
            </trafficMirrorFilterId><ingressFilterRuleSet><item><ruleNumber>1</ruleNumber>\
            <sourcePortRange><fromPort>0</fromPort><toPort>9</toPort></sourcePortRange>\
            <later>x</later><tagSet/></item></ingressFilterRuleSet><egressFilterRuleSet/>\
            <networkServiceSet><item>amazon-dns</item></networkServiceSet><tagSet><item>\
            <key>Name</key><value/></item></tagSet></item></trafficMirrorFilterSet></r>";
        let reply = Element::parse(xml).unwrap();
        let found: Vec<Element> = reply.items("trafficMirrorFilterSet").cloned().collect();
        let noun = Noun::of(Kind::Filter);
        assert_eq!(noun.id_of(&found[0]), "tmf-1");
        let want = r#"{"TrafficMirrorFilters":[{"TrafficMirrorFilterId":"tmf-1","#.to_owned()
            + r#""IngressFilterRules":[{"RuleNumber":1,"SourcePortRange":{"FromPort":0,"#
            + r#""ToPort":9},"Tags":[]}],"EgressFilterRules":[],"NetworkServices":"#
            + r#"["amazon-dns"],"Tags":[{"Key":"Name","Value":""}]}]}"#;
        assert_eq!(noun.to_json(&found).to_string(), want);
    }

    /// EC2's service model, of the folder that `LINETAP_SHARED` names.
    #[test]
    fn shapes_are_those_of_the_service_model() {
        let Some(folder) = std::env::var_os("LINETAP_SHARED").map(std::path::PathBuf::from) else {
            eprintln!("left out: LINETAP_SHARED names no folder with EC2's service model");
            return;
        };
        let text = std::fs::read_to_string(folder.join("reference/ec2-api.json")).unwrap();
        let model: Value = serde_json::from_str(&text).unwrap();
        for noun in &NOUNS {
            compare(&noun.shape, &model["outputShapes"], noun.base);
        }
    }

    fn compare(shape: &Shape, model: &Value, name: &str) {
        let Shape::Structure(members) = shape else { panic!("{name} is no structure here") };
        let theirs = model[name].as_array().unwrap();
        let names = |member: &Value| (member["element"].clone(), member["name"].clone());
        let theirs_named: Vec<_> = theirs.iter().map(names).collect();
        let ours: Vec<_> =
            members.iter().map(|it| (Value::from(it.element), Value::from(it.key))).collect();
        assert_eq!(ours, theirs_named, "{name}");
        for (ours, theirs) in members.iter().zip(theirs) {
            let kind = |of: &Value| of["type"].as_str().unwrap().to_owned();
            match &ours.shape {
                Shape::Text => assert_eq!(kind(theirs), "string", "{theirs}"),
                Shape::Number => assert_eq!(kind(theirs), "integer", "{theirs}"),
                Shape::Flag => assert_eq!(kind(theirs), "boolean", "{theirs}"),
                Shape::Structure(_) => {
                    compare(&ours.shape, model, theirs["shape"].as_str().unwrap());
                }
                Shape::List(Shape::Text) => assert_eq!(kind(&theirs["of"]), "string", "{theirs}"),
                Shape::List(of) => compare(of, model, theirs["of"]["shape"].as_str().unwrap()),
            }
        }
    }
}
