//! What was found for the packets of late: most packets are of a flow that was just looked up.
//!
//! One entry of a cache line for each hash of a flow, in the hands of one worker. An entry says of which
//! table it is, and no two tables are the same one, so a new table makes what the old ones found
//! worthless without anything being cleared. The cache is never needed: where most packets miss it,
//! it rests, and tables are asked at once.

use crate::burst::BURST_MAX;
use crate::flow_hash::HASH_BITS;
use crate::flow_key::FlowKey;
use crate::keys::Keys;
use crate::rule_table::{Match, RuleTable};

/// One for each value of [`FlowKey::hash`].
const ENTRIES: usize = 1 << HASH_BITS;
/// After so many lookups it is seen whether the cache is worth its price.
const WINDOW: u32 = 4096;
/// So many lookups are done without it where it is not.
const REST: u32 = 16 * WINDOW;

/// What was found for one key.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Entry {
    key: FlowKey,
    /// [`RuleTable::id`]; 0 is none.
    table: u64,
    found: Match,
}

/// Entries by hash, and how well they do. One of each worker: 1 MiB.
#[derive(Debug)]
pub struct FlowCache {
    entries: Box<[Entry]>,
    asked: u32,
    missed: u32,
    /// Lookups that are to be done without it.
    rest: u32,
}

impl Default for FlowCache {
    fn default() -> Self {
        let empty = Entry { key: FlowKey::EMPTY, table: 0, found: Match::default() };
        Self { entries: vec![empty; ENTRIES].into(), asked: 0, missed: 0, rest: 0 }
    }
}

impl FlowCache {
    /// As [`RuleTable::classify`] of this table, which is asked about what is not known.
    /// Thread: worker. Cost: no allocation.
    #[inline]
    pub fn classify<T: RuleTable>(
        &mut self,
        table: &T,
        keys: &Keys,
        which: &[u8],
        matches: &mut [Match],
    ) {
        let Some(id) = table.id() else {
            table.classify(keys, which, matches);
            return;
        };
        if self.rest > 0 {
            self.rest = self.rest.saturating_sub(which.len() as u32);
            table.classify(keys, which, matches);
            return;
        }
        for (which, matches) in which.chunks(BURST_MAX).zip(matches.chunks_mut(BURST_MAX)) {
            self.classify_burst(table, id, keys, which, matches);
        }
        self.judge();
    }

    /// As [`FlowCache::classify`], for at most [`BURST_MAX`] packets.
    fn classify_burst<T: RuleTable>(
        &mut self,
        table: &T,
        id: u64,
        keys: &Keys,
        which: &[u8],
        matches: &mut [Match],
    ) {
        let (mut missed, mut places, mut count) = ([0; BURST_MAX], [0u8; BURST_MAX], 0);
        for ((place, &at), found) in (0..).zip(which).zip(&mut *matches) {
            let key = keys.get(at.into());
            let entry = &self.entries[slot(id, &key)];
            *found = entry.found;
            // Written always, kept when it is missed: no branch to mispredict.
            missed[count % BURST_MAX] = at;
            places[count % BURST_MAX] = place;
            count += usize::from((entry.table != id) | !entry.key.is_same(&key));
        }
        self.asked += which.len() as u32;
        if count == 0 {
            return;
        }
        self.missed += count as u32;
        let mut found = [Match::default(); BURST_MAX];
        table.classify(keys, &missed[..count], &mut found[..count]);
        for ((&at, &place), &found) in missed.iter().zip(&places).zip(&found).take(count) {
            let key = keys.get(at.into());
            self.entries[slot(id, &key)] = Entry { key, table: id, found };
            matches[usize::from(place)] = found;
        }
    }

    /// Lets the cache rest when most packets of a window missed it.
    fn judge(&mut self) {
        if self.asked >= WINDOW {
            self.rest = if 2 * self.missed > self.asked { REST } else { 0 };
            (self.asked, self.missed) = (0, 0);
        }
    }
}

/// Where a key's entry is: another place for each table, for both directions of a flow hash alike.
#[inline]
fn slot(table: u64, key: &FlowKey) -> usize {
    (usize::from(key.hash()) ^ (table as usize).wrapping_mul(0x9e37)) % ENTRIES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::flow_key::Addresses;
    use crate::rule_table::{TableRule, Verdict};

    /// Finds the source port plus its own id, and counts how often it is asked.
    #[derive(Default)]
    struct Counting {
        id: u64,
        asked: AtomicUsize,
    }

    impl RuleTable for Counting {
        fn compile(_: &[TableRule<'_>]) -> Self {
            Self::default()
        }

        fn update(&self, _: &[TableRule<'_>]) -> Self {
            Self::default()
        }

        fn id(&self) -> Option<u64> {
            Some(self.id).filter(|id| *id != 0)
        }

        fn classify(&self, keys: &Keys, which: &[u8], matches: &mut [Match]) {
            self.asked.fetch_add(which.len(), Ordering::Relaxed);
            for (found, &at) in matches.iter_mut().zip(which) {
                *found = Match(u32::from(keys.get(at.into()).src_port()) + self.id as u32);
            }
        }

        fn verdicts(&self) -> &[Verdict] {
            &[]
        }
    }

    fn key(flow: u32) -> FlowKey {
        let addresses = Addresses::V4 { src: flow.into(), dst: (!flow).into() };
        FlowKey::new(addresses, Some(17), Some([(flow >> 8) as u8, flow as u8, 0, 53]), None)
    }

    fn burst(flows: impl Iterator<Item = u32>) -> Keys {
        let mut keys = Keys::default();
        flows.take(BURST_MAX).enumerate().for_each(|(at, flow)| keys.set(at, &key(flow)));
        keys
    }

    fn is_right(cache: &mut FlowCache, table: &Counting, keys: &Keys) {
        let which: Vec<u8> = (0..BURST_MAX as u8).rev().chain([3, 3]).collect();
        let mut matches = vec![Match(7777); which.len()];
        cache.classify(table, keys, &which, &mut matches);
        for (&at, found) in which.iter().zip(matches) {
            let expected = u32::from(keys.get(at.into()).src_port()) + table.id as u32;
            assert_eq!(found, Match(expected));
        }
    }

    #[test]
    fn a_flow_is_looked_up_once_by_each_table() {
        let mut cache = FlowCache::default();
        let keys = burst(0..);
        // The last one's entries are where the first one's are.
        for id in [1, 2, 3, 1 + ENTRIES as u64] {
            let table = Counting { id, ..Counting::default() };
            for _ in 0..20 {
                is_right(&mut cache, &table, &keys);
            }
            let asked = table.asked.load(Ordering::Relaxed);
            // Two flows of one hash take turns; more than a few would be no hash.
            assert!((60..200).contains(&asked), "{asked}");
        }
    }

    #[test]
    fn flows_that_never_come_again_are_looked_up_at_once_before_long() {
        let mut cache = FlowCache::default();
        let table = Counting { id: 9, ..Counting::default() };
        let mut flows = 0..;
        for _ in 0..=WINDOW as usize / BURST_MAX {
            let keys = burst(flows.by_ref());
            is_right(&mut cache, &table, &keys);
        }
        assert!(cache.rest > 0);
        while cache.rest > 0 {
            let keys = burst(flows.by_ref());
            is_right(&mut cache, &table, &keys);
        }
        // Flows that do come again are remembered again.
        let keys = burst(0..);
        is_right(&mut cache, &table, &keys);
        let asked = table.asked.load(Ordering::Relaxed);
        is_right(&mut cache, &table, &keys);
        assert!(table.asked.load(Ordering::Relaxed) < asked + BURST_MAX / 2);
    }

    #[test]
    fn a_table_without_an_id_is_always_asked() {
        let mut cache = FlowCache::default();
        let table = Counting::default();
        is_right(&mut cache, &table, &burst(0..));
        is_right(&mut cache, &table, &burst(0..));
        assert_eq!(table.asked.load(Ordering::Relaxed), 2 * (BURST_MAX + 2));
    }
}
