//! How long frames stay in the appliance, and how long it takes until copies leave it: histograms of
//! high dynamic range (HDR), in nanoseconds.
//!
//! A worker records a burst at a time: all frames that a queue took at once waited equally long. The
//! histograms have fixed bounds, so nothing is allocated then.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{
    DeserializeError, Deserializer, Serializer, V2DeflateSerializeError, V2DeflateSerializer,
};
use serde::{Deserialize, Serialize};

/// Longer times count as this one.
pub const NS_MAX: u64 = 10_000_000_000;
/// Decimal digits that are kept of a time.
pub const DIGITS: u8 = 3;

/// The histograms of a worker, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// From the return of the receive burst until the other port's queue had taken the frame.
    pub wire: Histogram<u64>,
    /// From the return of the receive burst until the tool port's queue had taken the copy.
    pub copy: Histogram<u64>,
}

/// [`Latency`] as it travels: V2 format with DEFLATE, as all implementations of HdrHistogram read
/// it. Nothing is lost on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedLatency {
    /// See [`Latency::wire`].
    pub wire: Vec<u8>,
    /// See [`Latency::copy`].
    pub copy: Vec<u8>,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Empty histograms. Allocates about 400 KB. Thread: publisher.
    pub fn new() -> Self {
        Self { wire: empty(), copy: empty() }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        let added = self.wire.add(&other.wire).and(self.copy.add(&other.copy));
        debug_assert!(added.is_ok(), "all have the same bounds");
    }

    /// Makes them empty again.
    pub fn reset(&mut self) {
        self.wire.reset();
        self.copy.reset();
    }

    /// For the way to control. Errors: none that is known of.
    pub fn pack(&self) -> Result<PackedLatency, V2DeflateSerializeError> {
        let mut serializer = V2DeflateSerializer::new();
        let mut packed = PackedLatency::default();
        serializer.serialize(&self.wire, &mut packed.wire)?;
        serializer.serialize(&self.copy, &mut packed.copy)?;
        Ok(packed)
    }
}

impl PackedLatency {
    /// The histograms again. Errors: the bytes are none.
    pub fn unpack(&self) -> Result<Latency, DeserializeError> {
        let mut deserializer = Deserializer::new();
        let wire = deserializer.deserialize(&mut self.wire.as_slice())?;
        let copy = deserializer.deserialize(&mut self.copy.as_slice())?;
        Ok(Latency { wire, copy })
    }
}

/// Records that `frames` took `ns` each. Thread: worker. Cost: some twenty instructions, no allocation.
#[inline]
pub fn record(histogram: &mut Histogram<u64>, ns: u64, frames: u64) {
    histogram.saturating_record_n(ns, frames);
}

/// A histogram of nanoseconds up to [`NS_MAX`]. Allocates about 200 KB.
pub fn empty() -> Histogram<u64> {
    let Ok(mut histogram) = Histogram::new_with_bounds(1, NS_MAX, DIGITS) else {
        unreachable!("the bounds are constants that a histogram can have")
    };
    // Writes to every page, so that the worker does not have to be the first.
    histogram.reset();
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_the_same_after_their_way_to_control() {
        let mut latency = Latency::new();
        for (ns, frames) in [(0, 1), (1, 64), (999, 3), (123_456, 9), (NS_MAX, 2)] {
            record(&mut latency.wire, ns, frames);
        }
        record(&mut latency.copy, 77, 5);
        let packed = latency.pack().unwrap();
        assert!(packed.wire.len() < 500, "{} bytes", packed.wire.len());
        assert_eq!(packed.unpack().unwrap(), latency);
        assert!(PackedLatency::default().unpack().is_err());
    }

    #[test]
    fn what_takes_too_long_counts_as_the_longest() {
        let mut latency = Latency::new();
        record(&mut latency.wire, u64::MAX, 7);
        record(&mut latency.wire, NS_MAX, 1);
        assert_eq!(latency.wire.len(), 8);
        assert!(latency.wire.max() >= NS_MAX && latency.wire.max() < 2 * NS_MAX);
    }

    #[test]
    fn workers_add_up() {
        let (mut all, mut one) = (Latency::new(), Latency::new());
        record(&mut one.copy, 1_000, 3);
        all.add(&one);
        all.add(&one);
        assert_eq!((all.copy.len(), all.copy.count_at(1_000), all.wire.len()), (6, 6, 0));
        one.reset();
        assert!(one.copy.is_empty());
        assert_eq!(one, Latency::new());
    }
}
