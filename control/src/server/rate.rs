//! How often each key may ask: a bucket of tokens that fills by itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::config::Limits;

/// Callers that are remembered. Those of the keys file are fewer; a full bucket needs no memory.
const CALLERS_MAX: usize = 16_384;

/// The buckets of all callers that asked lately.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            per_second: f64::from(limits.requests_per_second),
            burst: f64::from(limits.request_burst),
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of this caller's, proven before. False when it has none left.
    pub(super) fn take(&self, key_id: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS_MAX {
            buckets.retain(|_, bucket| self.fill(*bucket, now).tokens < self.burst);
        }
        let full = Bucket { tokens: self.burst, filled: now };
        let bucket = buckets.entry(key_id.to_owned()).or_insert(full);
        *bucket = self.fill(*bucket, now);
        let has_one = bucket.tokens >= 1.0;
        if has_one {
            bucket.tokens -= 1.0;
        }
        has_one
    }

    fn fill(&self, bucket: Bucket, now: Instant) -> Bucket {
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * self.per_second;
        Bucket { tokens: (bucket.tokens + gained).min(self.burst), filled: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_spent_and_comes_back_with_time() {
        let limits = Limits { requests_per_second: 10, request_burst: 3, ..Limits::default() };
        let rates = Rates::new(&limits);
        let start = Instant::now();
        let taken = |now, tries| (0..tries).filter(|_| rates.take("a", now)).count();
        assert_eq!(taken(start, 5), 3);
        assert!(rates.take("b", start), "another key has its own");
        assert_eq!(taken(start + Duration::from_millis(99), 5), 0);
        assert_eq!(taken(start + Duration::from_millis(201), 5), 2);
        assert_eq!(taken(start + Duration::from_hours(1), 5), 3, "no more than the burst");
        assert_eq!(taken(start, 5), 0, "an earlier moment gives nothing");
    }

    #[test]
    fn memory_is_bounded() {
        let rates = Rates::new(&Limits::default());
        let start = Instant::now();
        for caller in 0..CALLERS_MAX * 2 {
            let now = start + Duration::from_millis(caller as u64);
            assert!(rates.take(&caller.to_string(), now));
        }
        assert!(rates.buckets.lock().unwrap().len() <= CALLERS_MAX);
    }
}
