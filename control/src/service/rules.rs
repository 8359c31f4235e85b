//! What a rule has to keep to, and how one is changed.

use engine::rule::{Direction, PortRange, RuleAction};
use ipnet::IpNet;

use super::edit::{Edit, replace};
use super::refusal::{Limit, Refusal};
use super::world::World;
use crate::model::{Kind, Object, Rule, RuleFault};

/// What `ModifyTrafficMirrorFilterRule` asks for; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulePatch {
    /// `TrafficDirection`.
    pub direction: Option<Direction>,
    /// `RuleNumber`.
    pub number: Option<u16>,
    /// `RuleAction`.
    pub action: Option<RuleAction>,
    /// `SourceCidrBlock`.
    pub source: Option<IpNet>,
    /// `DestinationCidrBlock`.
    pub destination: Option<IpNet>,
    /// `Protocol`.
    pub protocol: Edit<u8>,
    /// `SourcePortRange`.
    pub source_ports: Edit<PortRange>,
    /// `DestinationPortRange`.
    pub destination_ports: Edit<PortRange>,
    /// `Description`.
    pub description: Edit<String>,
}

impl RulePatch {
    pub(super) fn apply(&self, rule: &mut Rule) {
        replace(&mut rule.direction, self.direction.as_ref());
        replace(&mut rule.number, self.number.as_ref());
        replace(&mut rule.action, self.action.as_ref());
        replace(&mut rule.source, self.source.as_ref());
        replace(&mut rule.destination, self.destination.as_ref());
        self.protocol.apply(&mut rule.protocol);
        self.source_ports.apply(&mut rule.source_ports);
        self.destination_ports.apply(&mut rule.destination_ports);
        self.description.apply(&mut rule.notes.description);
    }
}

/// Errors: the filter is not the account's or full, or the rule is wrong.
pub(super) fn check_new(world: &World, account: &str, rule: &Rule) -> Result<(), Refusal> {
    world.own(account, Kind::Filter, &rule.filter)?;
    let max = world.appliance().quotas.rules_per_filter;
    Limit::RulesPerFilter.check(world.rules_of(&rule.filter).count(), max, &rule.filter)?;
    check(world, rule)
}

/// Errors: its place is taken, or what it says does not go together.
pub(super) fn check(world: &World, rule: &Rule) -> Result<(), Refusal> {
    for record in world.rules_of(&rule.filter).filter(|record| record.id() != rule.id) {
        if let Object::Rule(other) = &record.object
            && (other.direction, other.number) == (rule.direction, rule.number)
        {
            let (number, filter) = (rule.number, rule.filter.clone());
            return Err(Refusal::RuleTaken { number, filter, by: other.id.clone() });
        }
    }
    rule.faults().first().map_or(Ok(()), |&fault| Err(refusal(rule, fault)))
}

/// In EC2's words.
fn refusal(rule: &Rule, fault: RuleFault) -> Refusal {
    match fault {
        RuleFault::Families => Refusal::Combination(format!(
            "SourceCidrBlock {} and DestinationCidrBlock {} are of different families; give both \
             as IPv4 or both as IPv6",
            rule.source, rule.destination
        )),
        RuleFault::Backwards { parameter, range: PortRange { from, to } } => {
            let why = "FromPort is above ToPort; exchange them.".to_owned();
            Refusal::Invalid { parameter, value: format!("{from}-{to}"), why }
        }
        RuleFault::Portless { parameter } => Refusal::Combination(format!(
            "{parameter} needs Protocol 6 (TCP) or 17 (UDP), and the rule is for {}; give Protocol \
             too, or leave the ports out",
            rule.protocol_in_words()
        )),
    }
}
