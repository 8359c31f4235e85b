//! What two lists of rules have in common, in order.

use ipnet::IpNet;

use crate::rule::{FilterRule, PortRange};

/// How far behind a difference the lists are searched for where they agree again.
const REACH: usize = 64;

/// What a rule accepts: all that lookups need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepts {
    /// Source and destination.
    pub(super) networks: [IpNet; 2],
    pub(super) protocol: Option<u8>,
    /// Source and destination.
    pub(super) ports: [Option<PortRange>; 2],
}

impl Accepts {
    pub(super) fn of(rule: &FilterRule) -> Self {
        Self {
            networks: [rule.source, rule.destination],
            protocol: rule.protocol,
            ports: [rule.source_ports, rule.destination_ports],
        }
    }
}

/// For each of the rules after a change, which of those before it is: the same, and those that are kept
/// stand in the same order. Not always as many as can be; all where nothing changed.
pub(super) fn kept<T: PartialEq>(before: &[T], after: &[T]) -> Vec<Option<usize>> {
    let mut kept = vec![None; after.len()];
    let (mut old, mut new) = (0, 0);
    while old < before.len() && new < after.len() {
        if before[old] == after[new] {
            kept[new] = Some(old);
            (old, new) = (old + 1, new + 1);
            continue;
        }
        let agree = |&(gone, come): &(usize, usize)| {
            let pair = before.get(old + gone).zip(after.get(new + come));
            pair.is_some_and(|(one, other)| one == other)
        };
        // Rules that have gone, come, or been changed: the least of them.
        let ways = (1..=REACH).flat_map(|n| [(n, 0), (0, n), (n, n)]);
        let (gone, come) = ways.clone().find(agree).unwrap_or((REACH, REACH));
        (old, new) = (old + gone, new + come);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_change_leaves_all_others() {
        let before: Vec<u32> = (0..1000).collect();
        for at in [0, 1, 500, 998, 999] {
            let mut removed = before.clone();
            removed.remove(at);
            assert_eq!(kept(&before, &removed).iter().flatten().count(), 999);
            let mut added = before.clone();
            added.insert(at, 7777);
            assert_eq!(kept(&before, &added).iter().flatten().count(), 1000);
            let mut changed = before.clone();
            changed[at] = 7777;
            assert_eq!(kept(&before, &changed).iter().flatten().count(), 999);
        }
        assert_eq!(kept(&before, &before).iter().flatten().count(), 1000);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_equal_and_in_order(
            before in prop::collection::vec(0u8..6, 0..200),
            after in prop::collection::vec(0u8..6, 0..200),
        ) {
            let kept = kept(&before, &after);
            prop_assert_eq!(kept.len(), after.len());
            let pairs: Vec<(usize, usize)> =
                kept.iter().enumerate().filter_map(|(new, old)| Some((new, (*old)?))).collect();
            prop_assert!(pairs.iter().all(|&(new, old)| before[old] == after[new]));
            prop_assert!(pairs.is_sorted_by(|one, other| one.1 < other.1));
        }
    }
}
