//! The linear table: every rule for every packet. The oracle of every faster one.

use ipnet::IpNet;

use super::{Match, RuleTable, TableRule, Verdict};
use crate::conditions::{Conditions, Masked};
use crate::flow_key::{FlowKey, IS_V6, words};
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

/// The words of a network; of an IPv4 network the last.
fn masked(net: IpNet) -> [Masked; 4] {
    let (address, mask) = match net {
        IpNet::V4(net) => (u32::from(net.network()).into(), u32::from(net.netmask()).into()),
        IpNet::V6(net) => (u128::from(net.network()), u128::from(net.netmask())),
    };
    let (values, masks) = (words(address), words(mask));
    [0, 1, 2, 3].map(|word| Masked { value: values[word], mask: masks[word] })
}

impl RuleTable for LinearTable {
    fn compile(rules: &[TableRule<'_>]) -> Self {
        let mut table = Self::default();
        for (entry, place) in rules.iter().zip(0..) {
            let rule = entry.rule;
            let nets = [masked(rule.source), masked(rule.destination)];
            match (rule.source, rule.destination) {
                (IpNet::V4(_), IpNet::V4(_)) => {
                    let nets = nets.map(|[.., word]| [word]);
                    table.v4.push(Conditions::new(rule, place, 0, nets));
                }
                (IpNet::V6(_), IpNet::V6(_)) => {
                    table.v6.push(Conditions::new(rule, place, IS_V6, nets));
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
        if !simd::first_matches(rules, keys, which, matches, Match) {
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
