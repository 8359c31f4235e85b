//! Filter rules: what they may say together.

use std::collections::hash_map::Entry;

use engine::rule::{Direction, FilterRule, PortRange};
use engine::units::FilterIndex;
use foldhash::{HashMap, HashMapExt};

use super::{Faults, exceeds, over};
use crate::config::Quotas;
use crate::fault::quoted;
use crate::model::{Model, Property, Rule, RuleFault};

/// All rules, in the order of the model. Rules with a fault are left out.
pub(super) fn compile(model: &Model, quotas: &Quotas, faults: &mut Faults) -> Vec<FilterRule> {
    let filters: HashMap<&str, u32> =
        model.filters.iter().map(|filter| filter.id.as_str()).zip(0..=u32::MAX).collect();
    let mut firsts: HashMap<(u32, Direction, u16), &str> =
        HashMap::with_capacity(model.rules.len());
    let mut counts = vec![0; model.filters.len()];
    let mut compiled = Vec::with_capacity(model.rules.len());
    for rule in &model.rules {
        check(rule, faults);
        let Some(&filter) = filters.get(rule.filter.as_str()) else {
            faults.add(
                Property::new(&rule.id, "TrafficMirrorFilterId"),
                format!("there is no filter {}; add it or name another", quoted(&rule.filter)),
                [],
            );
            continue;
        };
        match firsts.entry((filter, rule.direction, rule.number)) {
            Entry::Occupied(first) => taken(rule, first.get(), faults),
            Entry::Vacant(place) => drop(place.insert(&rule.id)),
        }
        counts[filter as usize] += 1;
        compiled.push(spec(rule, FilterIndex(filter)));
    }
    for (filter, count) in model.filters.iter().zip(counts) {
        if exceeds(count, quotas.rules_per_filter) {
            let found = format!("{count} rules");
            let message = over("rules_per_filter", &found, quotas.rules_per_filter);
            faults.add(Property::new(&filter.id, ""), message, []);
        }
    }
    compiled
}

/// What must fit together within one rule.
fn check(rule: &Rule, faults: &mut Faults) {
    let at = |name| Property::new(&rule.id, name);
    for fault in rule.faults() {
        match fault {
            RuleFault::Families => faults.add(
                at("DestinationCidrBlock"),
                format!(
                    "{} and SourceCidrBlock {} are of different families; write both as IPv4 or \
                     both as IPv6",
                    rule.destination, rule.source
                ),
                [at("SourceCidrBlock")],
            ),
            RuleFault::Backwards { parameter, range: PortRange { from, to } } => {
                let message = format!("FromPort {from} is above ToPort {to}; exchange them");
                faults.add(at(parameter), message, []);
            }
            RuleFault::Portless { parameter } => {
                let protocol = rule.protocol_in_words();
                let message = format!(
                    "ports need TCP or UDP, and this rule is for {protocol}; write Protocol: 6 or \
                     Protocol: 17, or remove the ports"
                );
                faults.add(at(parameter), message, [at("Protocol")]);
            }
        }
    }
}

fn taken(rule: &Rule, first: &str, faults: &mut Faults) {
    let place = |id: &str| {
        ["RuleNumber", "TrafficDirection", "TrafficMirrorFilterId"]
            .map(|name| Property::new(id, name))
    };
    let direction = match rule.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let message = format!(
        "{} is taken by {first}, also {direction} of {}; choose another",
        rule.number, rule.filter
    );
    let at = Property::new(&rule.id, "RuleNumber");
    faults.add(at, message, place(first).into_iter().chain(place(&rule.id)));
}

fn spec(rule: &Rule, filter: FilterIndex) -> FilterRule {
    FilterRule {
        id: rule.id.clone(),
        filter,
        direction: rule.direction,
        number: rule.number,
        action: rule.action,
        source: rule.source,
        destination: rule.destination,
        protocol: rule.protocol,
        source_ports: rule.source_ports,
        destination_ports: rule.destination_ports,
    }
}
