//! What makes a snapshot unusable. Control should never send such a one; the data plane checks all
//! the same, because the state on its disk and the socket are inputs like any other.

use std::collections::HashSet;

use foldhash::HashSetExt as _;

use super::{
    MEMBERS_MAX, MemberSpec, RateLimit, SAMPLE_MAX, SessionSpec, Snapshot, TargetKind, TargetSpec,
};
use crate::flow_table::{FLOWS_MAX, FLOWS_MIN, IDLE_S_MAX};
use crate::rule::{FilterRule, NUMBERS, TCP, UDP};
use crate::units::PortIndex;

/// Lowest IPv4 MTU that is accepted (RFC 791: every host takes 576 bytes).
const MTU_MIN: u16 = 576;

impl Snapshot {
    /// Every contradiction in it, a sentence each; empty for a sound one. Cost: linear.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.hardware_faults(&mut faults);
        self.interface_faults(&mut faults);
        self.target_faults(&mut faults);
        self.rule_faults(&mut faults);
        self.session_faults(&mut faults);
        faults
    }

    fn has_port(&self, port: PortIndex) -> bool {
        port.at() < self.ports.len()
    }

    fn hardware_faults(&self, faults: &mut Vec<String>) {
        let workers: HashSet<_> = self.dataplane.workers.iter().collect();
        if workers.is_empty() || workers.len() != self.dataplane.workers.len() {
            faults.push("workers: name at least one core, and none twice".into());
        }
        let mut names = HashSet::new();
        for port in &self.ports {
            if !names.insert(&port.name) {
                faults.push(format!("port \"{}\" stands there twice", port.name));
            }
            if port.mtu < MTU_MIN {
                faults.push(format!("port \"{}\": mtu {} is below {MTU_MIN}", port.name, port.mtu));
            }
        }
        let mut used = HashSet::new();
        let wired = self.links.iter().flat_map(|link| link.ports).chain(self.spans.iter().copied());
        for port in wired {
            if !self.has_port(port) {
                faults.push(format!(
                    "a link or span names port number {}, which is not there",
                    port.0
                ));
            } else if !used.insert(port) {
                faults.push(format!(
                    "port \"{}\" is in two links or spans",
                    self.ports[port.at()].name
                ));
            }
        }
    }

    fn interface_faults(&self, faults: &mut Vec<String>) {
        const MAX: usize = 1 << 16;
        if self.interfaces.len() > MAX {
            faults.push(format!("there are more than {MAX} interfaces"));
        }
        for interface in &self.interfaces {
            let id = &interface.id;
            let is_span = self.spans.contains(&interface.port);
            if !is_span && self.peer(interface.port).is_none() {
                faults.push(format!("interface {id}: its port is in no link and no span"));
            }
            if is_span && interface.macs.is_empty() {
                faults.push(format!("interface {id}: it is on a span and has no mac"));
            }
            let distinct: HashSet<_> = interface.macs.iter().collect();
            if distinct.len() != interface.macs.len()
                || interface.macs.iter().any(|mac| mac.is_group() || mac.is_zero())
            {
                faults.push(format!("interface {id}: a mac is a group address, zero or repeated"));
            }
        }
    }

    fn target_faults(&self, faults: &mut Vec<String>) {
        for target in &self.targets {
            let id = &target.id;
            let Some(port) = self.ports.get(target.port.at()) else {
                faults.push(format!("target {id}: its port is not there"));
                continue;
            };
            if self.spans.contains(&target.port) || self.peer(target.port).is_some() {
                faults.push(format!("target {id}: port \"{}\" is in a link or span", port.name));
            }
            if !(1..=MEMBERS_MAX).contains(&target.members.len())
                || (target.kind == TargetKind::Interface && target.members.len() != 1)
            {
                faults.push(format!("target {id}: it has {} tools", target.members.len()));
            }
            balance_faults(target, faults);
            for MemberSpec { address, source, .. } in &target.members {
                let is_ours = port.addresses.iter().any(|net| net.addr() == *source);
                if address.is_ipv4() != source.is_ipv4() || !is_ours {
                    faults.push(format!(
                        "target {id}: {source} can't be the source towards {address}"
                    ));
                }
            }
        }
    }

    fn rule_faults(&self, faults: &mut Vec<String>) {
        // There are many rules, and what decides is not a stranger's: who could choose numbers that
        // collide may send any snapshot.
        let mut numbers = foldhash::HashSet::with_capacity(self.rules.len());
        for rule in self.rules.iter() {
            if rule.filter.at() >= self.filters.len() {
                faults.push(format!("rule {}: its filter is not there", rule.id));
            }
            if !numbers.insert((rule.filter, rule.direction, rule.number)) {
                faults.push(format!("rule {}: number {} is taken", rule.id, rule.number));
            }
            faults.extend(rule_fault(rule).map(|what| format!("rule {}: {what}", rule.id)));
        }
    }

    fn session_faults(&self, faults: &mut Vec<String>) {
        let mut numbers = HashSet::new();
        for session in &self.sessions {
            let id = &session.id;
            if session.interface.at() >= self.interfaces.len()
                || session.target.at() >= self.targets.len()
                || session.filter.at() >= self.filters.len()
            {
                faults.push(format!("session {id}: its source, target or filter is not there"));
            }
            if !NUMBERS.contains(&session.number)
                || !numbers.insert((session.interface, session.number))
            {
                faults.push(format!(
                    "session {id}: number {} is taken or not 1..32766",
                    session.number
                ));
            }
            if session.packet_length == Some(0) {
                faults.push(format!("session {id}: a packet length of 0 mirrors nothing"));
            }
            faults.extend(policing_fault(session).map(|what| format!("session {id}: {what}")));
        }
    }
}

fn balance_faults(target: &TargetSpec, faults: &mut Vec<String>) {
    let TargetSpec { id, balance, .. } = target;
    let (flows, idle_s) = (balance.sticky_flows, balance.sticky_idle_s);
    if !(FLOWS_MIN..=FLOWS_MAX).contains(&flows) {
        faults.push(format!("target {id}: sticky_flows {flows} is not {FLOWS_MIN}..{FLOWS_MAX}"));
    }
    if !(1..=IDLE_S_MAX).contains(&idle_s) {
        faults.push(format!("target {id}: sticky_idle_s {idle_s} is not 1..{IDLE_S_MAX}"));
    }
}

fn policing_fault(session: &SessionSpec) -> Option<&'static str> {
    let is_sound = |RateLimit { bytes, packets }: RateLimit| {
        (bytes.is_some() || packets.is_some())
            && bytes.is_none_or(|rate| RateLimit::BYTES.contains(&rate.get()))
            && packets.is_none_or(|rate| RateLimit::PACKETS.contains(&rate.get()))
    };
    if !session.rate_limit.is_none_or(is_sound) {
        Some("its rate limit is none, or out of range")
    } else if session.sample.is_some_and(|of| of.get() > SAMPLE_MAX) {
        Some("it samples fewer flows than there are hashes")
    } else {
        None
    }
}

fn rule_fault(rule: &FilterRule) -> Option<&'static str> {
    let ports = [rule.source_ports, rule.destination_ports];
    if !NUMBERS.contains(&rule.number) {
        Some("its number is not 1..32766")
    } else if rule.source.addr().is_ipv4() != rule.destination.addr().is_ipv4() {
        Some("source and destination are of different families")
    } else if ports.iter().flatten().any(|range| range.from > range.to) {
        Some("a port range ends before it begins")
    } else if ports.iter().any(Option::is_some) && !matches!(rule.protocol, Some(TCP | UDP)) {
        Some("it has ports without protocol 6 or 17")
    } else {
        None
    }
}
