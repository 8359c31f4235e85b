//! Times of frames and copies: what is told of their histograms.

use engine::latency::Latency;
use engine::report::{LiveReport, Report};
use hdrhistogram::Histogram;

/// What is told of a histogram; times in nanoseconds. Absent of no packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) mean_ns: f64,
    pub(super) min_ns: u64,
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) max_ns: u64,
}

impl Times {
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            mean_ns: histogram.mean(),
            min_ns: histogram.min(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
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
        assert_eq!((times.min_ns, times.p50_ns, times.p90_ns), (1, 500, 900));
        assert_eq!((times.p99_ns, times.p999_ns, times.max_ns), (990, 999, 1000));
        assert!((times.mean_ns - 500.5).abs() < 0.01, "{}", times.mean_ns);
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
