//! The linear table: every rule for every packet. The oracle of every faster one.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Match, RuleTable, TableRule, Verdict};
use crate::conditions::{Conditions, Masked};
use crate::flow_key::{FlowKey, word, words};
use crate::keys::Keys;
use crate::simd;

/// Rules in order, apart by family: a rule of one family never matches a packet of the other.
#[derive(Debug, Clone, Default)]
pub struct LinearTable {
    v4: Vec<Conditions<1>>,
    v6: Vec<Conditions<4>>,
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

impl RuleTable for LinearTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        let mut table = Self::default();
        for (entry, place) in rules.iter().zip(0..) {
            let rule = entry.rule;
            match (rule.source, rule.destination) {
                (IpNet::V4(src), IpNet::V4(dst)) => {
                    let nets = [masked_v4(src), masked_v4(dst)];
                    table.v4.push(Conditions::new(rule, place, nets));
                }
                (IpNet::V6(src), IpNet::V6(dst)) => {
                    let nets = [masked_v6(src), masked_v6(dst)];
                    table.v6.push(Conditions::new(rule, place, nets));
                }
                // A mixed rule matches nothing; `View::compile` refuses it before it comes here.
                _ => {}
            }
        }
        table.verdicts = rules.iter().map(Verdict::from).chain([Verdict::NONE]).collect();
        table
    }

    fn classify(&self, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        let rules = simd::Rules { v4: &self.v4, v6: &self.v6, none: self.none() };
        if !simd::first_matches(rules, keys, which, matches) {
            self.classify_portable(keys, which, matches);
        }
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

    /// The twin of [`simd::first_matches`], and its oracle.
    fn classify_portable(&self, keys: &Keys, which: &[u8], matches: &mut [Match]) {
        for (&at, found) in which.iter().zip(matches) {
            let key = keys.get(at.into());
            let first = if key.is_v6() { first(&self.v6, &key) } else { first(&self.v4, &key) };
            *found = Match(first.unwrap_or(self.none()));
        }
    }
}

fn first<const WORDS: usize>(rules: &[Conditions<WORDS>], key: &FlowKey) -> Option<u32> {
    rules.iter().find(|rule| rule.matches(key)).map(|rule| rule.place)
}

#[cfg(test)]
mod tests;
