//! The four resource types: which properties each has, and what becomes of them.
//! Source: CloudFormation template reference, `AWS::EC2::TrafficMirror*`.

use engine::rule::{Direction, NUMBERS, RuleAction};
use engine::units::Vni;
use ipnet::{IpNet, Ipv4Net};

use super::Template;
use super::intrinsic::Scope;
use super::properties::Properties;
use crate::document::Entry;
use crate::fault::{did_you_mean, quoted};
use crate::model::{
    ACTIONS, AMAZON_DNS, DIRECTIONS, Destination, Filter, Kind, Rule, Session, Target,
};

/// What stands for a number that could not be read: no readable one is equal.
const NO_NUMBER: u16 = 0;

/// The attribute that `Fn::GetAtt` gives for an object's id.
pub(super) fn id_attribute(kind: Kind) -> &'static str {
    match kind {
        Kind::Rule => "TrafficMirrorFilterRuleId",
        Kind::Filter | Kind::Target | Kind::Session => "Id",
    }
}

/// Adds what a resource makes to the template's model.
pub(super) fn decode(kind: Kind, entry: &Entry, scope: &Scope<'_>, template: &mut Template) {
    let properties = Properties::of(entry, scope);
    match kind {
        Kind::Filter => template.model.filters.push(filter(&properties)),
        Kind::Rule => template.model.rules.push(rule(&properties)),
        Kind::Target => template.model.targets.push(target(&properties)),
        Kind::Session => template.model.sessions.push(session(&properties)),
    }
    properties.finish(template);
}

fn filter(properties: &Properties<'_>) -> Filter {
    let services = properties.texts("NetworkServices").unwrap_or_default();
    for (service, line) in &services {
        if service != AMAZON_DNS {
            let hint = did_you_mean(service, [AMAZON_DNS]);
            let message = format!("{} is unknown; write {AMAZON_DNS}{hint}", quoted(service));
            properties.fault(*line, "NetworkServices", message);
        }
    }
    Filter {
        id: properties.id(),
        amazon_dns: services.iter().any(|(service, _)| service == AMAZON_DNS),
        notes: properties.notes(),
    }
}

fn rule(properties: &Properties<'_>) -> Rule {
    properties.require("TrafficMirrorFilterId", "!Ref Filter");
    properties.require("TrafficDirection", "ingress");
    properties.require("RuleNumber", "100");
    properties.require("RuleAction", "accept");
    properties.require("SourceCidrBlock", "0.0.0.0/0");
    properties.require("DestinationCidrBlock", "0.0.0.0/0");
    let everywhere = IpNet::V4(Ipv4Net::default());
    Rule {
        id: properties.id(),
        filter: properties.reference("TrafficMirrorFilterId", Kind::Filter).unwrap_or_default(),
        direction: properties.choice("TrafficDirection", &DIRECTIONS).unwrap_or(Direction::Ingress),
        number: number(properties, "RuleNumber"),
        action: properties.choice("RuleAction", &ACTIONS).unwrap_or(RuleAction::Accept),
        source: properties.cidr("SourceCidrBlock").unwrap_or(everywhere),
        destination: properties.cidr("DestinationCidrBlock").unwrap_or(everywhere),
        protocol: protocol(properties),
        source_ports: properties.ports("SourcePortRange"),
        destination_ports: properties.ports("DestinationPortRange"),
        notes: properties.notes(),
    }
}

fn number(properties: &Properties<'_>, name: &'static str) -> u16 {
    let numbers = i64::from(*NUMBERS.start())..=i64::from(*NUMBERS.end());
    let number = properties.integer(name, &numbers, "");
    number.and_then(|number| u16::try_from(number).ok()).unwrap_or(NO_NUMBER)
}

fn protocol(properties: &Properties<'_>) -> Option<u8> {
    const HINT: &str =
        ", the IANA number (6 is TCP, 17 UDP, 1 ICMP, 58 ICMPv6), or remove it for every protocol";
    u8::try_from(properties.integer("Protocol", &(0..=255), HINT)?).ok()
}

fn target(properties: &Properties<'_>) -> Target {
    type Make = fn(String) -> Destination;
    const WAYS: [(&str, Make); 3] = [
        ("NetworkInterfaceId", Destination::NetworkInterface),
        ("NetworkLoadBalancerArn", Destination::NetworkLoadBalancer),
        ("GatewayLoadBalancerEndpointId", Destination::GatewayLoadBalancerEndpoint),
    ];
    let mut found = Vec::new();
    for (name, make) in WAYS {
        if let Some(id) = properties.text(name) {
            found.push(make(id));
        }
    }
    let named = WAYS.iter().filter(|(name, _)| properties.has(name)).count();
    if named != 1 {
        let message = "a target has exactly one of NetworkInterfaceId, NetworkLoadBalancerArn and \
                       GatewayLoadBalancerEndpointId";
        let remedy = if named == 0 { "add one" } else { "keep one" };
        let (name, _) = WAYS[0];
        properties.fault(properties.line(), name, format!("{message}; {remedy}"));
        for (name, _) in WAYS {
            properties.mark_unread(name);
        }
    }
    let unread = || Destination::NetworkInterface(String::new());
    Target {
        id: properties.id(),
        destination: found.into_iter().next().unwrap_or_else(unread),
        notes: properties.notes(),
    }
}

fn session(properties: &Properties<'_>) -> Session {
    properties.require("NetworkInterfaceId", "eni-…");
    properties.require("TrafficMirrorTargetId", "!Ref Target");
    properties.require("TrafficMirrorFilterId", "!Ref Filter");
    properties.require("SessionNumber", "1");
    // Settable in EC2, where the account is another; there is one owner here.
    properties.text("OwnerId");
    let vni = properties.integer("VirtualNetworkId", &(0..=Vni::MAX.into()), "");
    let packet_length = properties.integer("PacketLength", &(1..=i32::MAX.into()), "");
    Session {
        id: properties.id(),
        interface: properties.text("NetworkInterfaceId").unwrap_or_default(),
        target: properties.reference("TrafficMirrorTargetId", Kind::Target).unwrap_or_default(),
        filter: properties.reference("TrafficMirrorFilterId", Kind::Filter).unwrap_or_default(),
        number: number(properties, "SessionNumber"),
        vni: vni.and_then(|vni| Vni::try_from(u32::try_from(vni).ok()?).ok()),
        packet_length: packet_length.and_then(|length| u32::try_from(length).ok()),
        notes: properties.notes(),
    }
}
