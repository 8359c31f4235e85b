//! What the publisher was told, and what it is told next: what the kernel knows, lowered to what ICMP
//! errors have taught, and no sooner than copies can go by it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use engine::neighbors::{Hop, Way};
use engine::units::PortIndex;
use tokio::time::Instant;

use super::path_mtu::PathMtus;
use super::{Known, Wanted};

/// A new way whose next hops nobody has asked for yet is not taken for so long, if there is an old one:
/// neighbours answer sooner, and no copy is skipped meanwhile.
const PATIENCE: Duration = Duration::from_millis(50);

/// What was told, and what has to be heeded when something is.
#[derive(Debug)]
pub(super) struct Told<F> {
    tell: F,
    pub(super) last: Known,
    pub(super) path_mtus: PathMtus,
    /// Until when old ways are kept.
    kept: HashMap<(PortIndex, IpAddr), Instant>,
}

impl<F: Fn(Known)> Told<F> {
    /// Nothing was told yet; what there is to tell is told by `tell`.
    pub(super) fn new(tell: F) -> Self {
        Self { tell, last: Known::default(), path_mtus: PathMtus::default(), kept: HashMap::new() }
    }

    /// Tells what the kernel knows and ICMP errors have taught, if that is news.
    pub(super) fn tell(&mut self, of_kernel: &Known, tools: &[Wanted], now: Instant) {
        let mut known = of_kernel.clone();
        self.keep_old(&mut known, now);
        self.path_mtus.apply(tools, &mut known, now);
        if known != self.last {
            self.last.clone_from(&known);
            (self.tell)(known);
        }
    }

    /// Puts old ways that work in place of new ones that don't yet.
    fn keep_old(&mut self, known: &mut Known, now: Instant) {
        for (key, way) in &mut known.neighbors {
            let old = self.last.neighbors.get(key).filter(|old| is_better(old, way));
            let Some(old) = old else {
                self.kept.remove(key);
                continue;
            };
            if now < *self.kept.entry(*key).or_insert(now + PATIENCE) {
                way.clone_from(old);
            }
        }
        self.kept.retain(|key, _| known.neighbors.contains_key(key));
    }

    /// When something has to be told that is known now.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        let kept = self.kept.values().copied().filter(|&until| until > now);
        kept.chain(self.path_mtus.next_end(now)).min()
    }
}

/// True while copies can go the old way, and no next hop of the new one has been asked for: its next hops are
/// others. One that has failed is not waited for.
fn is_better(old: &Way, new: &Way) -> bool {
    let works = |way: &Way| way.hops.iter().any(|hop| hop.mac.is_some());
    let is_new = |way: &Way| {
        let is_known =
            |new: &Hop| old.hops.iter().any(|hop| (hop.via, hop.vlan) == (new.via, new.vlan));
        way.hops.iter().all(|hop| !is_known(hop))
    };
    works(old) && !works(new) && !new.hops.is_empty() && is_new(new)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use engine::units::Mac;

    const TOOL: (PortIndex, IpAddr) =
        (PortIndex(0), IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10)));

    fn known(hops: &[(&str, bool)]) -> Known {
        let hop = |&(via, is_known): &(&str, bool)| {
            Hop::only(via.parse().unwrap(), is_known.then_some(Mac([2; 6])))
        };
        let way = Way { hops: hops.iter().map(hop).collect(), ..Way::default() };
        Known { neighbors: [(TOOL, way)].into(), ..Known::default() }
    }

    /// What is told, one after the other, when that is known at these milliseconds.
    fn told(known_at: &[(u64, &Known)]) -> Vec<Known> {
        let all = RefCell::new(Vec::new());
        let mut told = Told::new(|known| all.borrow_mut().push(known));
        let start = Instant::now();
        for &(ms, known) in known_at {
            told.tell(known, &[], start + Duration::from_millis(ms));
        }
        drop(told);
        all.into_inner()
    }

    #[test]
    fn the_old_way_is_kept_until_the_new_one_can_be_taken() {
        let (old, new) = (known(&[("192.0.2.1", true)]), known(&[("192.0.2.2", false)]));
        let resolved = known(&[("192.0.2.2", true)]);
        assert_eq!(told(&[(0, &old), (5, &new), (9, &resolved)]), [old.clone(), resolved]);
        // But not for ever.
        assert_eq!(told(&[(0, &old), (5, &new), (54, &new)]).len(), 1);
        assert_eq!(told(&[(0, &old), (5, &new), (55, &new)]), [old, new]);
    }

    #[test]
    fn a_gateway_of_the_same_address_in_another_vlan_is_another_one() {
        let (old, mut new) = (known(&[("fe80::1", true)]), known(&[("fe80::1", false)]));
        for way in new.neighbors.values_mut() {
            way.hops[0].vlan = Some(100.try_into().unwrap());
        }
        assert_eq!(told(&[(0, &old), (5, &new)]), std::slice::from_ref(&old));
    }

    #[test]
    fn a_next_hop_that_fails_is_left_at_once() {
        let both = known(&[("192.0.2.1", true), ("192.0.2.2", true)]);
        let (one, none) = (
            known(&[("192.0.2.1", true), ("192.0.2.2", false)]),
            known(&[("192.0.2.1", false), ("192.0.2.2", false)]),
        );
        let all = [both.clone(), one.clone(), none.clone()];
        assert_eq!(told(&[(0, &both), (1, &one), (2, &none)]), all);
        let no_way = known(&[]);
        assert_eq!(told(&[(0, &both), (1, &no_way)]), [both, no_way]);
    }

    #[test]
    fn the_end_of_patience_is_told() {
        let mut told = Told::new(drop);
        let start = Instant::now();
        told.tell(&known(&[("192.0.2.1", true)]), &[], start);
        assert_eq!(told.next_end(start), None);
        told.tell(&known(&[("192.0.2.2", false)]), &[], start);
        assert_eq!(told.next_end(start), Some(start + PATIENCE));
        assert_eq!(told.next_end(start + PATIENCE), None);
    }
}
