//! How much later than due frames are sent, told while it goes on: for a progress bar.

use core::sync::atomic::{AtomicU64, Ordering};

/// Each power of two is cut into so many parts: a time is known to an eighth.
const PARTS_BITS: u32 = 3;
/// Enough for any time of 64 bits.
const BUCKETS: usize = 64 << PARTS_BITS;

/// A coarse histogram that one thread writes and another one reads meanwhile.
#[derive(Debug)]
pub struct Coarse(Box<[AtomicU64; BUCKETS]>);

/// What another thread has seen of [`Coarse`] ones.
#[derive(Debug)]
pub struct Seen(Vec<u64>);

impl Default for Coarse {
    fn default() -> Self {
        Self(Box::new([const { AtomicU64::new(0) }; BUCKETS]))
    }
}

impl Coarse {
    /// Counts a time. Thread: the only one that writes. Cost: a load and a store.
    #[inline]
    pub fn record(&self, ns: u64) {
        if let Some(count) = self.0.get(bucket(ns)) {
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Seen {
    /// The median of what was recorded since the last call, to an eighth; 0 when nothing was.
    pub fn median_since<'a>(&mut self, all: impl Iterator<Item = &'a Coarse>) -> u64 {
        let mut now = vec![0u64; BUCKETS];
        for coarse in all {
            for (sum, count) in now.iter_mut().zip(coarse.0.iter()) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        let new: Vec<u64> =
            now.iter().zip(&self.0).map(|(now, before)| now.saturating_sub(*before)).collect();
        self.0 = now;
        let total: u64 = new.iter().sum();
        let mut below = 0;
        for (at, count) in new.iter().enumerate() {
            below += count;
            if total > 0 && below * 2 >= total {
                return least(at);
            }
        }
        0
    }
}

/// Where a time is counted: times below `1 << PARTS_BITS` each for itself, then parts of powers of two.
#[inline]
fn bucket(ns: u64) -> usize {
    let power = ns.checked_ilog2().unwrap_or(0);
    let Some(shift) = power.checked_sub(PARTS_BITS) else { return ns as usize };
    (((shift + 1) as usize) << PARTS_BITS) + (ns >> shift) as usize - (1 << PARTS_BITS)
}

/// The least time that is counted there.
fn least(bucket: usize) -> u64 {
    let (row, part) = (bucket >> PARTS_BITS, (bucket & ((1 << PARTS_BITS) - 1)) as u64);
    match row.checked_sub(1) {
        None => part,
        Some(shift) => (part + (1 << PARTS_BITS)) << shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_to_an_eighth() {
        for power in 0..64 {
            for ns in [1u64 << power, (1 << power) + (1 << power) / 3, u64::MAX >> (63 - power)] {
                let least = least(bucket(ns));
                assert!(bucket(ns) < BUCKETS, "{ns}");
                assert!(least <= ns && ns - least <= ns / 8, "{ns}: {least}");
            }
        }
        assert_eq!((0..20).map(bucket).collect::<Vec<_>>()[..16], (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn a_median_is_of_what_is_new() {
        let (one, other, mut seen) = (Coarse::default(), Coarse::default(), Seen::default());
        assert_eq!(seen.median_since([&one, &other].into_iter()), 0);
        for ns in [1, 2, 3] {
            one.record(ns);
        }
        other.record(1 << 20);
        assert_eq!(seen.median_since([&one, &other].into_iter()), 2);
        other.record(1 << 20);
        assert_eq!(seen.median_since([&one, &other].into_iter()), 1 << 20);
        assert_eq!(seen.median_since([&one, &other].into_iter()), 0);
    }
}
