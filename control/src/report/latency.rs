//! Times of frames and copies: what is told of their histograms.

use engine::latency::Latency;
use engine::report::{LiveReport, Report};
use hdrhistogram::Histogram;

/// What is told of a histogram; times in nanoseconds. Absent of no packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) mean: f64,
    pub(super) min: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Times {
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            mean: histogram.mean(),
            min: histogram.min(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }
}

/// The histograms since the start of the data plane. `None` where times are not measured, or can't be
/// read.
pub fn latency(report: &Report) -> Option<Latency> {
    of(report.live.as_ref()?)
}

pub(super) fn of(live: &LiveReport) -> Option<Latency> {
    live.latency.as_ref()?.unpack().ok()
}

/// What has come to the histograms since `before`: all of them when the data plane has begun anew.
pub(super) fn since(now: Latency, before: &Latency) -> Latency {
    let mut new = now.clone();
    let is_later =
        new.wire.subtract(&before.wire).is_ok() && new.copy.subtract(&before.copy).is_ok();
    if is_later { new } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::latency::record;

    #[test]
    fn quantiles_are_those_of_the_packets() {
        let mut latency = Latency::new();
        assert_eq!(Times::of(&latency.wire), None);
        for ns in 1..=1000 {
            record(&mut latency.wire, ns, 10);
        }
        let times = Times::of(&latency.wire).unwrap();
        assert_eq!((times.min, times.p50, times.p90), (1, 500, 900));
        assert_eq!((times.p99, times.p999, times.max), (990, 999, 1000));
        assert!((times.mean - 500.5).abs() < 0.01, "{}", times.mean);
    }

    #[test]
    fn what_is_new_is_told_apart() {
        let mut before = Latency::new();
        record(&mut before.wire, 500, 7);
        let mut now = before.clone();
        record(&mut now.wire, 900, 2);
        let new = since(now.clone(), &before);
        assert_eq!((new.wire.len(), new.wire.count_at(900), new.copy.len()), (2, 2, 0));
        // The data plane was started again: what it tells now is all new.
        assert_eq!(since(before.clone(), &now), before);
    }
}
