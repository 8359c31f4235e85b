//! Which frames of a stream have come: each once, again, or out of order; and how late each was.
//!
//! Numbers count a whole stream. A flow's frames have rising numbers, so its order shows in them too: a frame is
//! reordered that comes behind a later one of its flow (RFC 4737 §3.3, type-P-reordered, per flow).
//!
//! Whether a frame has come before is remembered of the last [`WINDOW`] numbers. What is older than that is
//! taken for a frame that is late, not for one that comes again.

use engine::latency;
use hdrhistogram::Histogram;

/// So many numbers behind the highest one are remembered: a tenth of a second at ten million frames a second.
pub const WINDOW: u64 = (WORDS - 1) * WORD_BITS;
const WORD_BITS: u64 = u64::BITS as u64;
const WORDS: u64 = 1 << 14;
/// No frame of the flow has come yet.
const NEVER: u64 = u64::MAX;

/// What has come of one stream.
#[derive(Debug)]
pub struct Sequence {
    /// A bit for each number of the window, in a ring; the word that the highest number is in has no others.
    seen: Box<[u64]>,
    /// One more than the highest number.
    next: u64,
    flows: Box<[Flow]>,
    /// Frames that came, each once.
    pub received: u64,
    /// Frames that came again.
    pub duplicated: u64,
    /// Frames that came behind a later one of their flow.
    pub reordered: u64,
    /// Nanoseconds from sending to receiving.
    pub latency: Histogram<u64>,
    /// Difference of that from one frame of a flow to the next (RFC 3393), without sign.
    pub jitter: Histogram<u64>,
}

#[derive(Debug, Clone)]
struct Flow {
    /// One more than the highest number of the flow.
    next: u64,
    /// Of the frame that came last, or [`NEVER`].
    latency_ns: u64,
}

/// The memory that it takes to remember so many flows.
pub fn bytes(flows: u32) -> u64 {
    const HISTOGRAM_BYTES: u64 = 220 << 10;
    WORDS * size_of::<u64>() as u64
        + 2 * HISTOGRAM_BYTES
        + u64::from(flows) * size_of::<Flow>() as u64
}

impl Sequence {
    /// Nothing has come. Allocates [`bytes`], and writes to all of it: who records does not have
    /// to be the first.
    pub fn new(flows: u32) -> Self {
        let mut seen = vec![1; WORDS as usize];
        seen.fill(0);
        Self {
            seen: seen.into(),
            next: 0,
            flows: vec![Flow { next: 0, latency_ns: NEVER }; flows as usize].into(),
            received: 0,
            duplicated: 0,
            reordered: 0,
            latency: latency::empty(),
            jitter: latency::empty(),
        }
    }

    /// Records a frame; false when it has come before. Cost: some sixty instructions, two cache lines by number and
    /// flow; after a gap, up to 2^14 words.
    #[inline]
    pub fn record(&mut self, number: u64, flow: u32, latency_ns: u64) -> bool {
        if !self.is_new(number) {
            self.duplicated += 1;
            return false;
        }
        self.received += 1;
        latency::record(&mut self.latency, latency_ns, 1);
        let Some(flow) = self.flows.get_mut(flow as usize) else { return true };
        if flow.latency_ns != NEVER {
            latency::record(&mut self.jitter, latency_ns.abs_diff(flow.latency_ns), 1);
        }
        flow.latency_ns = latency_ns;
        if number < flow.next {
            self.reordered += 1;
        } else {
            flow.next = number + 1;
        }
        true
    }

    /// Adds what another worker has counted of other flows of the stream.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        let added = self.latency.add(&other.latency).and(self.jitter.add(&other.jitter));
        debug_assert!(added.is_ok(), "all have the same bounds");
    }

    #[inline]
    fn is_new(&mut self, number: u64) -> bool {
        if number >= self.next {
            self.slide_to(number);
        } else if self.next - number > WINDOW {
            return true;
        }
        let (at, bit) = ((number / WORD_BITS % WORDS) as usize, 1 << (number % WORD_BITS));
        let Some(word) = self.seen.get_mut(at) else { return true };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Forgets what leaves the window when `number` enters it.
    #[inline]
    fn slide_to(&mut self, number: u64) {
        // The word of `next` has been cleared when its first number came.
        let first = self.next.div_ceil(WORD_BITS);
        let last = number / WORD_BITS;
        for word in first..=last.min(first + WORDS) {
            if let Some(word) = self.seen.get_mut((word % WORDS) as usize) {
                *word = 0;
            }
        }
        self.next = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The definitions, with unbounded memory.
    #[derive(Default)]
    struct Naive {
        seen: HashSet<u64>,
        duplicated: u64,
        reordered: u64,
        highest: HashMap<u32, u64>,
        last: HashMap<u32, u64>,
        jitter: u64,
    }

    impl Naive {
        fn record(&mut self, number: u64, flow: u32, latency_ns: u64) {
            if !self.seen.insert(number) {
                self.duplicated += 1;
                return;
            }
            let highest = self.highest.entry(flow).or_insert(number);
            if number < *highest {
                self.reordered += 1;
            }
            *highest = number.max(*highest);
            if let Some(last) = self.last.insert(flow, latency_ns) {
                self.jitter += last.abs_diff(latency_ns);
            }
        }
    }

    /// What was sent, as a bad network delivers it: lost, doubled, displaced.
    fn arrivals() -> impl Strategy<Value = Vec<u64>> {
        let fate = (0..10u8, 0..2000u64, 0..20u64);
        (vec(fate, 1..3000), 0..100_000u64).prop_map(|(fates, gap)| {
            let mut arrivals = Vec::new();
            for (number, (kind, displaced, twin)) in (0u64..).zip(fates) {
                let number = if number > 1000 { number + gap } else { number };
                match kind {
                    0 => {}
                    1 => arrivals.extend([(number * 10, number), (number * 10 + twin, number)]),
                    2 => arrivals.push((number * 10 + displaced, number)),
                    _ => arrivals.push((number * 10, number)),
                }
            }
            arrivals.sort_by_key(|(time, _)| *time);
            arrivals.into_iter().map(|(_, number)| number).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_counts_as_the_definitions_do(arrivals in arrivals(), flows in 1u32..9) {
            let (mut sequence, mut naive) = (Sequence::new(flows), Naive::default());
            for number in arrivals {
                let (flow, latency) = ((number % u64::from(flows)) as u32, number % 37 + 1);
                let is_new = !naive.seen.contains(&number);
                naive.record(number, flow, latency);
                prop_assert_eq!(sequence.record(number, flow, latency), is_new);
            }
            prop_assert_eq!(sequence.received, naive.seen.len() as u64);
            prop_assert_eq!(sequence.duplicated, naive.duplicated);
            prop_assert_eq!(sequence.reordered, naive.reordered);
            prop_assert_eq!(sequence.latency.len(), sequence.received);
            let jitter: u64 = sequence.jitter.iter_recorded().map(|it| {
                it.value_iterated_to() * it.count_at_value()
            }).sum();
            prop_assert_eq!(jitter, naive.jitter);
        }
    }

    #[test]
    fn the_window_is_as_long_as_it_says() {
        let mut sequence = Sequence::new(1);
        for number in 0..WINDOW {
            assert!(sequence.record(number, 0, 1));
        }
        assert!(!sequence.record(0, 0, 1), "still known");
        assert!(sequence.record(WINDOW + 70, 0, 1));
        assert!(!sequence.record(WINDOW - 1, 0, 1));
        assert!(!sequence.record(WINDOW + 70, 0, 1));
        assert!(!sequence.record(71, 0, 1), "still known");
        assert!(sequence.record(WINDOW, 0, 1), "cleared");
        assert_eq!((sequence.reordered, sequence.duplicated), (1, 4));
        // Forgotten: taken for late, and not for another one.
        for number in [0, 70, 70] {
            assert!(sequence.record(number, 0, 1));
        }
        for number in WINDOW + 71..3 * WINDOW {
            assert!(sequence.record(number, 0, 1), "{number}");
        }
    }

    #[test]
    fn after_any_gap_what_was_seen_long_ago_is_forgotten() {
        for gap in [WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 64, 5 * WINDOW, 1 << 47] {
            let mut sequence = Sequence::new(1);
            assert!(sequence.record(3, 0, 1));
            assert!(sequence.record(3 + gap, 0, 1), "{gap}");
            assert!(!sequence.record(3 + gap, 0, 1));
            assert!(sequence.record(2 + gap, 0, 1), "{gap}: it has never come");
        }
    }
}
