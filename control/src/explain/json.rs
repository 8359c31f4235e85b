//! An explanation as a document, for programs.

use engine::drop_reason::Unmirrored;
use engine::flow_key::Addresses;
use engine::snapshot::Snapshot;
use engine::units::RuleIndex;
use serde_json::{Value, json};

use super::text::{action_name, cause_sentence, direction_name, flow};
use super::{Asked, Content, Copy, Cut, Evaluation, Explanation, Frame, Outcome, Reason, Stranger};

/// An explanation by a snapshot, as one object. All rules that were asked are in it.
pub fn to_json(explanation: &Explanation, snapshot: &Snapshot) -> Value {
    let evaluations = explanation.evaluations.iter().map(|it| evaluation(it, snapshot));
    let strangers = explanation.strangers.iter().map(|it| stranger(it, snapshot));
    json!({
        "subject": explanation.subject,
        "frame": frame(&explanation.frame),
        "evaluations": evaluations.collect::<Vec<Value>>(),
        "no_source": strangers.collect::<Vec<Value>>(),
    })
}

fn frame(frame: &Frame) -> Value {
    let tags = frame.tags.iter();
    let tags = tags.map(|tag| json!({"ethertype": tag.ethertype, "vlan": tag.vid}));
    let mut object = json!({
        "length": frame.len,
        "source_mac": frame.src.map(|mac| mac.to_string()),
        "destination_mac": frame.dst.map(|mac| mac.to_string()),
        "tags": tags.collect::<Vec<Value>>(),
        "summary": flow(&frame.content),
    });
    match &frame.content {
        Content::Malformed(how) => object["malformed"] = json!(how.to_string()),
        Content::NotIp(ethertype) => object["ethertype"] = json!(ethertype),
        Content::Ip(headers) => {
            let (src, dst) = match headers.addresses {
                Addresses::V4 { src, dst } => (src.to_string(), dst.to_string()),
                Addresses::V6 { src, dst } => (src.to_string(), dst.to_string()),
            };
            let ports = headers.key().ports();
            object["ip"] = json!({
                "source": src,
                "destination": dst,
                "protocol": headers.protocol,
                "source_port": ports.map(|ports| ports.0),
                "destination_port": ports.map(|ports| ports.1),
                "fragment": match (headers.is_later, headers.fragment) {
                    (true, _) => Some("later"),
                    (false, Some(_)) => Some("first"),
                    (false, None) => None,
                },
            });
        }
    }
    object
}

fn evaluation(evaluation: &Evaluation, snapshot: &Snapshot) -> Value {
    let Evaluation { port, interface, direction, reason, outcome } = evaluation;
    let mut object = json!({
        "network_interface_id": snapshot.interfaces[interface.at()].id,
        "direction": direction_name(*direction),
        "port": snapshot.ports[port.at()].name,
        "outcome": name(reason, outcome),
    });
    match reason {
        Reason::Malformed(how) => object["why"] = json!(how.to_string()),
        Reason::NotIp => {}
        Reason::Exempt(cause) => object["why"] = json!(cause_sentence(*cause)),
        Reason::Rules(asked) => {
            object["sessions"] = asked.iter().map(|asked| session(asked, snapshot)).collect();
        }
    }
    let by = |rule: &RuleIndex| snapshot.rules.get(rule.at()).map(|rule| rule.id.clone());
    match outcome {
        Outcome::Exempt | Outcome::NoMatch => {}
        Outcome::Rejected(rule) => object["rule"] = json!(by(rule)),
        Outcome::Skipped(session, rule, skipped) => {
            object["session"] = json!(snapshot.sessions[session.at()].id);
            object["rule"] = json!(by(rule));
            object["skipped"] = json!(skipped.name());
        }
        Outcome::Mirrored(session, rule, made) => {
            let session = &snapshot.sessions[session.at()];
            object["session"] = json!(session.id);
            object["rule"] = json!(by(rule));
            let target = &snapshot.targets[session.target.at()];
            object["copy"] = copy(made, &target.id, &snapshot.ports[target.port.at()].name);
        }
    }
    object
}

/// The outcome in the words of reports.
fn name(reason: &Reason, outcome: &Outcome) -> &'static str {
    match (outcome, reason) {
        (Outcome::Exempt, Reason::Malformed(_)) => Unmirrored::Malformed.name(),
        (Outcome::Exempt, Reason::NotIp) => Unmirrored::NotIp.name(),
        (Outcome::Exempt, _) => Unmirrored::NeverMirrored.name(),
        (Outcome::NoMatch, _) => Unmirrored::NoMatch.name(),
        (Outcome::Rejected(_), _) => Unmirrored::Rejected.name(),
        (Outcome::Mirrored(..), _) => "mirrored",
        (Outcome::Skipped(..), _) => "skipped",
    }
}

fn session(asked: &Asked, snapshot: &Snapshot) -> Value {
    let session = &snapshot.sessions[asked.session.at()];
    let rules = asked.rules.iter().map(|(index, mismatch)| {
        let rule = &snapshot.rules[index.at()];
        json!({
            "logical_id": rule.id,
            "rule_number": rule.number,
            "action": action_name(rule.action),
            "matches": mismatch.is_none(),
            "why_not": mismatch.map(|why| why.to_string()),
        })
    });
    json!({
        "logical_id": session.id,
        "session_number": session.number,
        "filter": snapshot.filters[session.filter.at()].id,
        "rules": rules.collect::<Vec<Value>>(),
    })
}

fn copy(copy: &Copy, target: &str, port: &str) -> Value {
    json!({
        "target": target,
        "port": port,
        "neighbor": copy.neighbor.map(|mac| mac.to_string()),
        "vlan": copy.vlan,
        "source": copy.src.to_string(),
        "destination": copy.dst.to_string(),
        "source_port": copy.src_port,
        "destination_port": copy.dst_port,
        "vni": copy.vni,
        "inner_length": copy.inner_len,
        "whole_length": copy.whole_len,
        "stripped_length": copy.stripped_len,
        "truncated_by": copy.cut_by.map(|cut| match cut {
            Cut::PacketLength(_) => "packet_length",
            Cut::Mtu(_) => "mtu",
        }),
    })
}

fn stranger(stranger: &Stranger, snapshot: &Snapshot) -> Value {
    json!({
        "network_interface_id": snapshot.interfaces[stranger.interface.at()].id,
        "direction": direction_name(stranger.direction),
        "needs_mac": stranger.macs.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "needs_vlan": stranger.vlan.map(engine::units::VlanId::value),
    })
}
