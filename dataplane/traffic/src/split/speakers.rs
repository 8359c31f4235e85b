//! Who of two ends is the client: whoever speaks first, of those flows and datagrams that are remembered.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use foldhash::{HashMap, HashMapExt};

/// Flows of a generation. Two generations are kept: what is seen seldom is forgotten first, and memory is
/// bounded (64 MiB).
const FLOWS_MAX: usize = 1 << 20;

/// What is remembered of a flow, a pair of hosts or a datagram: a bit, by a fingerprint of 64 bits. Of a
/// million, the chance that any two have the same is one in thirty million.
#[derive(Debug)]
pub(super) struct Memory {
    young: HashMap<u64, bool>,
    old: HashMap<u64, bool>,
    flows_max: usize,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), flows_max: FLOWS_MAX }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// What was remembered.
    #[inline]
    pub(super) fn get(&mut self, key: u64) -> Option<bool> {
        if let Some(&found) = self.young.get(&key) {
            return Some(found);
        }
        let found = self.old.remove(&key)?;
        self.set(key, found);
        Some(found)
    }

    /// Remembers.
    pub(super) fn set(&mut self, key: u64, is: bool) {
        if self.young.len() >= self.flows_max && !self.young.contains_key(&key) {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, is);
    }
}

/// The fingerprint of something; the same on every run.
#[inline]
pub(super) fn fingerprint(of: impl Hash) -> u64 {
    FixedState::with_seed(0x6c69_6e65).hash_one(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_memory_is_bounded() {
        let mut memory = Memory { flows_max: 10, ..Memory::new() };
        memory.set(7, true);
        for key in 100..1000 {
            memory.set(key, key % 2 == 0);
            assert_eq!(memory.get(7), Some(true), "{key}");
            assert_eq!(memory.get(key), Some(key % 2 == 0));
            assert!(memory.young.len() + memory.old.len() <= 20);
        }
        assert_eq!(memory.get(100), None);
        memory.clear();
        assert_eq!(memory.get(7), None);
    }
}
