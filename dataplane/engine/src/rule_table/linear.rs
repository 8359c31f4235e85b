//! The linear table: every rule for every packet. The oracle of every faster one.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Match, RuleTable, TableRule, Verdict, verdicts};
use crate::conditions::{Conditions, Masked};
use crate::flow_key::{FlowKey, word, words};
use crate::keys::Keys;
use crate::rule::FilterRule;
use crate::simd;

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    v4: Vec<Conditions<1>>,
    v6: Vec<Conditions<4>>,
}

/// Rules in order, and what they settle.
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    rules: Scan,
    /// By place of the rule, then [`Verdict::NONE`].
    verdicts: Vec<Verdict>,
}

fn masked_v4(net: Ipv4Net) -> [Masked; 1] {
    [Masked { value: word(net.network()), mask: word(net.netmask()) }]
}

fn masked_v6(net: Ipv6Net) -> [Masked; 4] {
    let (values, masks) = (words(net.network()), words(net.netmask()));
    core::array::from_fn(|at| Masked { value: values[at], mask: masks[at] })
}

impl Scan {
    /// Adds a rule behind all others. What is found where it matches first is its place.
    pub(super) fn push(&mut self, rule: &FilterRule, place: u32) {
        match (rule.source, rule.destination) {
            (IpNet::V4(src), IpNet::V4(dst)) => {
                self.v4.push(Conditions::new(rule, place, [masked_v4(src), masked_v4(dst)]));
            }
            (IpNet::V6(src), IpNet::V6(dst)) => {
                self.v6.push(Conditions::new(rule, place, [masked_v6(src), masked_v6(dst)]));
            }
            // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
            _ => {}
        }
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// As [`RuleTable::classify`]; `none` is found where no rule matches.
    pub(super) fn classify(&self, none: u32, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        let rules = simd::Rules { v4: &self.v4, v6: &self.v6, none };
        if !simd::first_matches(rules, keys, which, matches) {
            self.classify_portable(none, keys, which, matches);
        }
    }

    /// The twin of [`simd::first_matches`], and its oracle.
    fn classify_portable(&self, none: u32, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        for (&at, found) in which.iter().zip(matches) {
            let key = keys.get(at.into());
            let first = if key.is_v6() { first(&self.v6, &key) } else { first(&self.v4, &key) };
            *found = Match(first.unwrap_or(none));
        }
    }
}

impl RuleTable for LinearTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        let mut table = Self::default();
        for (place, entry) in (0..).zip(rules) {
            table.rules.push(entry.rule, place);
        }
        table.verdicts = verdicts(rules);
        table
    }

    fn update(&self, rules: &[TableRule<'_>]) -> Self {
        Self::compile(rules)
    }

    fn id(&self) -> Option<u64> {
        None
    }

    fn classify(&self, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        self.rules.classify(self.none(), keys, which, matches);
    }

    #[inline]
    fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }
}

impl LinearTable {
    /// Where the verdict stands of packets that match no rule.
    fn none(&self) -> u32 {
        self.verdicts.len() as u32 - 1
    }
}

fn first<const WORDS: usize>(rules: &[Conditions<WORDS>], key: &FlowKey) -> Option<u32> {
    rules.iter().find(|rule| rule.matches(key)).map(|rule| rule.place)
}

#[cfg(test)]
mod tests;
