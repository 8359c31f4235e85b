//! The most that a session may send: token buckets that all workers share, without a lock.
//!
//! A bucket is one word: the time at which it will be full again, the *theoretical arrival time* of the
//! generic cell rate algorithm (GCRA, ITU-T I.371 annex A). What is taken moves that time on; a copy that
//! would move it beyond now and the depth of the bucket is not granted. So time fills the bucket by
//! itself, and a worker writes once for all copies of a burst.
//!
//! ```text
//!  ahead = full_at − now, 0 when that is past       how much is missing
//!  granted when ahead + cost(copy) <= depth         and then full_at = now + ahead + cost(copy)
//! ```
//! 1. Never more than `rate · t + depth` in any time t, however many workers take, up to the time by
//!    which their clocks differ: a worker takes at the time at which its round began.
//! 2. Costs are rounded up, by less than a picosecond for a burst's copies.
//! 3. A time that goes back fills nothing until it has come forward again. One that leaps back
//!    ([`LEAP_NS`]) is another's: a capture behind a later one. The bucket is full then.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::snapshot::RateLimit;

/// A full bucket holds what comes in so long, …
const DEPTH_MS: u64 = 100;
/// … and so many bytes at least: the largest copy that there can be (an IP packet has 16 bits).
pub const DEPTH_BYTES_MIN: u64 = 1 << 16;
/// … or so many copies.
const DEPTH_PACKETS_MIN: u64 = 1;
/// Time that goes back by more does not come forward again.
const LEAP_NS: u64 = 1_000_000_000;

/// Times are in 1/1024 ns, and wrap: what is taken for a leap after half a year fills a bucket that is
/// full anyway.
const UNITS_PER_NS: u64 = 1024;
const UNITS_PER_SECOND: u128 = 1_000_000_000 * UNITS_PER_NS as u128;
/// Bits behind the point of [`Bucket::unit_cost`].
const FRACTION_BITS: u32 = 32;

/// A copy that is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    /// When its frame came, in nanoseconds.
    pub time_ns: u64,
    /// Its inner bytes.
    pub bytes: u64,
    /// It may be made.
    pub is_granted: bool,
}

/// The buckets of one session. They begin full.
#[derive(Debug)]
pub struct Limiter {
    spec: RateLimit,
    bytes: Option<Bucket>,
    packets: Option<Bucket>,
}

impl Limiter {
    /// Full buckets.
    pub fn new(spec: RateLimit) -> Self {
        let bucket = |rate: NonZeroU64, min| {
            let rate = rate.get();
            Bucket::new(rate, (rate / (1000 / DEPTH_MS)).max(min))
        };
        Self {
            spec,
            bytes: spec.bytes.map(|rate| bucket(rate, DEPTH_BYTES_MIN)),
            packets: spec.packets.map(|rate| bucket(rate, DEPTH_PACKETS_MIN)),
        }
    }

    /// What it was made of.
    pub fn spec(&self) -> RateLimit {
        self.spec
    }

    /// Grants, in their order, those of at most 128 copies for which there is enough in both
    /// buckets. Thread: any. Cost: some twenty instructions for each, one write for each bucket;
    /// it is repeated where another worker has written meanwhile.
    pub fn admit(&self, claims: &mut [Claim]) {
        for claim in claims.iter_mut() {
            claim.is_granted = true;
        }
        let bytes = self.bytes.as_ref();
        if let Some(packets) = &self.packets {
            // What the other bucket will not grant is to take nothing here. If it has less by the time
            // its turn comes, what was taken for that is lost: never too much is granted.
            let beside = bytes.map(|bytes| (bytes, bytes.full_at.load(Ordering::Relaxed)));
            packets.take(claims, |_| 1, beside);
        }
        if let Some(bytes) = bytes {
            bytes.take(claims, |claim| claim.bytes, None);
        }
    }
}

/// One token bucket.
#[derive(Debug)]
struct Bucket {
    full_at: AtomicU64,
    /// Time in which one token comes in, with [`FRACTION_BITS`] behind the point.
    unit_cost: u128,
    /// Tokens of the full bucket.
    depth: u64,
    /// Time in which it is filled.
    depth_time: u64,
}

impl Bucket {
    fn new(rate: u64, depth: u64) -> Self {
        let unit_cost = (UNITS_PER_SECOND << FRACTION_BITS).div_ceil(u128::from(rate.max(1)));
        let mut bucket = Self { full_at: AtomicU64::new(0), unit_cost, depth, depth_time: 0 };
        bucket.depth_time = bucket.cost(depth);
        bucket
    }

    #[inline]
    fn cost(&self, tokens: u64) -> u64 {
        let cost = (u128::from(tokens) * self.unit_cost).div_ceil(1 << FRACTION_BITS);
        u64::try_from(cost).unwrap_or(u64::MAX / 2)
    }

    /// When it would be full if this were taken as well; `None` when there is too little.
    #[inline]
    fn with(&self, full_at: u64, time_ns: u64, tokens: u64) -> Option<u64> {
        let now = time_ns.wrapping_mul(UNITS_PER_NS);
        let ahead = full_at.wrapping_sub(now);
        let ahead = if ahead > self.depth_time + LEAP_NS * UNITS_PER_NS { 0 } else { ahead };
        // More than the bucket holds costs all of it, and no copy is refused for ever.
        let after = ahead + self.cost(tokens.min(self.depth));
        (after <= self.depth_time).then(|| now.wrapping_add(after))
    }

    /// Takes for as many of the granted as there is enough for, and also in the bucket `beside`, which
    /// has nothing taken; the others are not granted any more.
    fn take(
        &self,
        claims: &mut [Claim],
        tokens: impl Fn(&Claim) -> u64,
        beside: Option<(&Self, u64)>,
    ) {
        debug_assert!(claims.len() <= u128::BITS as usize, "a bit for each");
        let mut before = self.full_at.load(Ordering::Relaxed);
        loop {
            let (mut after, mut beside, mut granted) = (before, beside, 0u128);
            for (place, claim) in claims.iter().enumerate().filter(|(_, claim)| claim.is_granted) {
                let Some(own) = self.with(after, claim.time_ns, tokens(claim)) else { continue };
                if let Some((other, full_at)) = &mut beside {
                    match other.with(*full_at, claim.time_ns, claim.bytes) {
                        Some(taken) => *full_at = taken,
                        None => continue,
                    }
                }
                after = own;
                granted |= 1 << place;
            }
            let written = granted == 0
                || self
                    .full_at
                    .compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed)
                    .map_err(|now| before = now)
                    .is_ok();
            if written {
                for (place, claim) in claims.iter_mut().enumerate() {
                    claim.is_granted = granted >> place & 1 == 1;
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
