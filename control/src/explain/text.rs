//! An explanation in words, for a terminal.

use std::net::{IpAddr, SocketAddr};

use engine::drop_reason::{Skipped, Unmirrored};
use engine::exempt::Cause;
use engine::flow_key::Addresses;
use engine::rule::{Direction, FilterRule, RuleAction};
use engine::snapshot::{Affinity, MemberSpec, Snapshot, TargetSpec};
use engine::units::RuleIndex;

use super::frame::ethertype_name;
use super::packet::protocol_name;
use super::{Asked, Content, Copy, Cut, Evaluation, Explanation, Frame, Outcome, Reason, Stranger};
use crate::fault::{either, printable};

/// Of a longer list of rules, so many are told from its start, and then the last one.
const FIRST_RULES: usize = 5;

/// An explanation by a snapshot, line by line. Of long lists of rules the middle is left out.
pub fn to_text(explanation: &Explanation, snapshot: &Snapshot) -> String {
    let mut page = Page { snapshot, text: String::new() };
    page.line(0, &explanation.subject);
    page.frame(&explanation.frame);
    for evaluation in &explanation.evaluations {
        page.line(0, "");
        page.evaluation(evaluation, &explanation.frame);
    }
    if explanation.evaluations.is_empty() {
        page.strangers(&explanation.strangers);
    }
    page.text
}

/// The name of a direction.
pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// The name of an action.
pub(super) fn action_name(action: RuleAction) -> &'static str {
    match action {
        RuleAction::Accept => "accept",
        RuleAction::Reject => "reject",
    }
}

/// Why rules are not asked, a sentence.
pub(super) fn cause_sentence(cause: Cause) -> &'static str {
    match cause {
        Cause::OwnOutput => "it is VXLAN from one of the appliance's own addresses (loop guard)",
        Cause::Dhcp => "it is DHCP",
        Cause::Metadata => "it is to or from the instance metadata service",
        Cause::Ntp => "it is to or from the link-local time service",
        Cause::Activation => "it is Windows activation",
        Cause::AmazonDns => "it is to or from an address of [exempt] amazon_dns",
    }
}

/// Which of several members a copy goes to, and by what.
fn choice(target: &TargetSpec, member: IpAddr) -> String {
    let weight = |member: &MemberSpec| u32::from(member.weight);
    let its = target.members.iter().find(|it| it.address == member).map_or(0, weight);
    let of_all: u32 = target.members.iter().map(weight).sum();
    let by = match target.balance.affinity {
        Affinity::Flow => "the flow",
        Affinity::Hosts => "the two addresses",
    };
    let inner = if target.balance.inner { " (in a tunnel, of the packet inside)" } else { "" };
    format!(
        "member {member} of {}, by {by}{inner}; its weight is {its} of {of_all}",
        target.members.len()
    )
}

/// Source, destination and what follows IP, as one would write them.
pub(super) fn flow(content: &Content) -> String {
    let headers = match content {
        Content::Malformed(how) => return format!("malformed: {how}"),
        Content::NotIp(ethertype) => {
            let name = ethertype_name(*ethertype).map_or(String::new(), |it| format!(" ({it})"));
            return format!("not IP: EtherType 0x{ethertype:04x}{name}");
        }
        Content::Ip(headers) => headers,
    };
    let (family, src, dst) = match headers.addresses {
        Addresses::V4 { src, dst } => ("IPv4", src.to_string(), dst.to_string()),
        Addresses::V6 { src, dst } => ("IPv6", src.to_string(), dst.to_string()),
    };
    let key = headers.key();
    let end = |address: String, port: Option<u16>| match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address,
    };
    let protocol = headers.protocol.map_or("no layer 4".to_owned(), |protocol| {
        let name = protocol_name(protocol);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            format!("protocol {name}")
        } else {
            name
        }
    });
    let src = end(src, key.ports().map(|ports| ports.0));
    let dst = end(dst, key.ports().map(|ports| ports.1));
    let fragment = match (headers.is_later, headers.fragment) {
        (true, _) => ", later fragment: no ports",
        (false, Some(_)) => ", first fragment",
        (false, None) => "",
    };
    format!("{family}, {protocol} {src} > {dst}{fragment}")
}

struct Page<'s> {
    snapshot: &'s Snapshot,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(&printable(line));
        self.text.push('\n');
    }

    fn frame(&mut self, frame: &Frame) {
        let tags = frame.tags.iter().map(|tag| match tag.vid {
            0 => format!(", priority tag (0x{:04x})", tag.ethertype),
            vid => format!(", VLAN {vid} (0x{:04x})", tag.ethertype),
        });
        let tags: String = tags.collect();
        let addresses = match (frame.src, frame.dst) {
            (Some(src), Some(dst)) => format!(", {src} > {dst}"),
            _ => String::new(),
        };
        self.line(1, &format!("{} bytes{addresses}{tags}", frame.len));
        self.line(1, &flow(&frame.content));
    }

    fn evaluation(&mut self, evaluation: &Evaluation, frame: &Frame) {
        let Evaluation { port, interface, direction, reason, outcome } = evaluation;
        let (interface, port) =
            (&self.snapshot.interfaces[interface.at()].id, &self.snapshot.ports[port.at()].name);
        let direction = direction_name(*direction);
        let outcome_words = self.outcome(reason, outcome, frame);
        self.line(0, &format!("{interface}, {direction}, received on {port}: {outcome_words}"));
        if let Reason::Rules(asked) = reason {
            for asked in asked {
                self.session(asked);
            }
        }
        if let Outcome::Mirrored(session, _, copy) = outcome {
            let session = &self.snapshot.sessions[session.at()];
            let target = &self.snapshot.targets[session.target.at()];
            let port = &self.snapshot.ports[target.port.at()].name;
            self.copy(copy, target, port);
        }
    }

    fn outcome(&self, reason: &Reason, outcome: &Outcome, frame: &Frame) -> String {
        let session = |at: engine::units::SessionIndex| &self.snapshot.sessions[at.at()].id;
        let by = |rule: RuleIndex| match self.snapshot.rules.get(rule.at()) {
            Some(rule) => format!("rule {}", rule.id),
            None => format!(
                "network service amazon-dns: {}; rules are not asked",
                cause_sentence(Cause::AmazonDns)
            ),
        };
        match (outcome, reason) {
            (Outcome::Exempt, Reason::Exempt(cause)) => {
                format!("{}: {}", Unmirrored::NeverMirrored.name(), cause_sentence(*cause))
            }
            (Outcome::Exempt, Reason::NotIp) => {
                format!("{}: only IPv4 and IPv6 are mirrored", Unmirrored::NotIp.name())
            }
            (Outcome::Exempt, _) => match frame.content {
                Content::Malformed(how) => format!("{}: {how}", Unmirrored::Malformed.name()),
                _ => Unmirrored::Malformed.name().to_owned(),
            },
            (Outcome::NoMatch, Reason::Exempt(cause)) => format!(
                "{}: {}, and no session's filter has the network service amazon-dns",
                Unmirrored::NoMatch.name(),
                cause_sentence(*cause)
            ),
            (Outcome::NoMatch, Reason::Rules(asked)) if asked.is_empty() => {
                format!("{}: it is the source of no session", Unmirrored::NoMatch.name())
            }
            (Outcome::NoMatch, _) => {
                format!("{}: no rule of any session matches", Unmirrored::NoMatch.name())
            }
            (Outcome::Rejected(rule), _) => format!("rejected by {}", by(*rule)),
            (Outcome::Mirrored(at, rule, _), _) => {
                format!("mirrored by session {}, {}", session(*at), by(*rule))
            }
            (Outcome::Skipped(at, rule, skipped), _) => format!(
                "wanted by session {}, {}, and skipped as {}{}",
                session(*at),
                by(*rule),
                skipped.name(),
                match skipped {
                    Skipped::OverMtu => {
                        ": the copy exceeds the tool port's mtu, and for a load balancer nothing is \
                         cut to it; give the session a PacketLength that fits"
                    }
                    Skipped::NotSampled => {
                        ": the session's tag linetap:sample wants other flows; all packets of this \
                         one are left out"
                    }
                    _ => "",
                }
            ),
        }
    }

    fn session(&mut self, asked: &Asked) {
        let session = &self.snapshot.sessions[asked.session.at()];
        let filter = &self.snapshot.filters[session.filter.at()].id;
        let (id, number) = (&session.id, session.number);
        let none =
            if asked.rules.is_empty() { ", which has no rule for this direction" } else { "" };
        self.line(1, &format!("session {id}, number {number}, asks filter {filter}{none}"));
        let last = asked.rules.len().saturating_sub(1);
        for (at, (index, mismatch)) in asked.rules.iter().enumerate() {
            let is_long = last > FIRST_RULES + 1;
            if is_long && at == FIRST_RULES {
                self.line(2, &format!("... {} rules more, of which none matches", last - at));
            }
            if is_long && at >= FIRST_RULES && at < last {
                continue;
            }
            let rule = &self.snapshot.rules[index.at()];
            let found = mismatch.map_or("matches".to_owned(), |why| format!("no, {why}"));
            self.line(2, &format!("{}: {found}", named(rule)));
        }
    }

    fn copy(&mut self, copy: &Copy, target: &TargetSpec, port: &str) {
        let way = match copy.neighbor {
            Some(mac) => format!("to {mac}"),
            None => "to a neighbour that is resolved at run time (no_neighbor until it is)".into(),
        };
        let vlan = copy.vlan.map_or(String::new(), |vlan| format!(" in VLAN {vlan}"));
        self.line(1, &format!("copy to target {}, by port {port}{vlan} {way}", target.id));
        let src = SocketAddr::new(copy.src, copy.src_port);
        let dst = SocketAddr::new(copy.dst, copy.dst_port);
        self.line(2, &format!("UDP {src} > {dst}, VXLAN with VNI {}", copy.vni));
        if target.members.len() > 1 {
            self.line(2, &choice(target, copy.dst));
        }
        let whole_len = copy.whole_len;
        let cut = match copy.cut_by {
            None => "whole".to_owned(),
            Some(Cut::PacketLength(length)) => {
                format!("truncated from {whole_len} by PacketLength {length}")
            }
            Some(Cut::Mtu(mtu)) => {
                format!("truncated from {whole_len} by the tool port's mtu {mtu}")
            }
        };
        let stripped = match copy.stripped_len {
            0 => String::new(),
            len => format!(", without {len} bytes of VLAN tags"),
        };
        self.line(2, &format!("{} bytes of the frame{stripped}: {cut}", copy.inner_len));
    }

    fn strangers(&mut self, strangers: &[Stranger]) {
        self.line(0, "");
        let none = if strangers.is_empty() {
            "; no interface's frames arrive on this port"
        } else {
            "; it would have to have:"
        };
        self.line(0, &format!("{}: it belongs to no interface{none}", Unmirrored::NoSource.name()));
        for Stranger { interface, direction, macs, vlan } in strangers {
            let mut lacks = Vec::new();
            if !macs.is_empty() {
                let end = match direction {
                    Direction::Egress => "source",
                    Direction::Ingress => "destination",
                };
                let macs: Vec<String> = macs.iter().map(ToString::to_string).collect();
                let macs: Vec<&str> = macs.iter().map(String::as_str).collect();
                lacks.push(format!("{end} {}", either(&macs)));
            }
            lacks.extend(vlan.map(|vlan| format!("VLAN {} in its outermost tag", vlan.value())));
            let interface = &self.snapshot.interfaces[interface.at()].id;
            let (direction, lacks) = (direction_name(*direction), lacks.join(" and "));
            self.line(1, &format!("for {interface}, {direction}: {lacks}"));
        }
    }
}

/// A rule as reports name it.
fn named(rule: &FilterRule) -> String {
    format!("rule {} {}, {}", rule.number, rule.id, action_name(rule.action))
}
