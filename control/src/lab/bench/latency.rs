//! Latency (RFC 2544 §26.2): at the throughput and at parts of it, over several trials.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use traffic::histogram::{Summary, summary};

use super::trial::{Counts, TrialError, Trials};

/// Parts of the throughput at which it is measured, in per cent; RFC 2544 has only the last.
pub const PERCENTS: [u32; 4] = [10, 50, 90, 100];
/// Steps of the percentile curve for each halving of what is left to 100 %.
const STEPS_PER_HALF: u32 = 4;

/// How it is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyPlan {
    /// The throughput, in frames per second of each stream.
    pub throughput: f64,
    /// Of each trial; RFC 2544 asks for 120 seconds.
    pub duration: Duration,
    /// Trials at each load; RFC 2544 asks for 20.
    pub repeats: u32,
}

/// Times of frames, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// In figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// Percentile (0 to 100) and nanoseconds, as HdrHistogram's plots have them.
    pub curve: Vec<(f64, u64)>,
}

impl Times {
    /// Of a histogram of nanoseconds; `None` of no frames.
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let curve = histogram.iter_quantiles(STEPS_PER_HALF);
        (!histogram.is_empty()).then(|| Self {
            summary: summary(histogram),
            curve: curve
                .map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to()))
                .collect(),
        })
    }
}

/// What was measured at one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyPoint {
    /// Of the throughput.
    pub percent: u32,
    /// Frames per second of each stream.
    pub load: f64,
    /// Trials that it took.
    pub trials: u32,
    /// Frames of all of them.
    pub counts: Counts,
    /// From send to receive.
    pub latency: Option<Times>,
    /// Between following frames.
    pub jitter: Option<Times>,
}

/// Measures. Errors: those of a trial; one that was stopped gives the loads that are done.
pub fn measure(
    plan: &LatencyPlan,
    trials: &mut impl Trials,
) -> Result<Vec<LatencyPoint>, TrialError> {
    let mut points = Vec::new();
    for percent in PERCENTS {
        match at_load(plan, percent, trials) {
            Ok(point) => points.push(point),
            Err(TrialError::Stopped) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(points)
}

fn at_load(
    plan: &LatencyPlan,
    percent: u32,
    trials: &mut impl Trials,
) -> Result<LatencyPoint, TrialError> {
    let load = (plan.throughput * f64::from(percent) / 100.0).max(1.0);
    let mut counts = Counts::default();
    let (mut latency, mut jitter) = (None, None);
    for at in 1..=plan.repeats {
        trials.note(&format!("{percent} % of the throughput, {at} of {}", plan.repeats));
        let trial = trials.run(load, plan.duration)?;
        counts = counts + trial.wire;
        merge(&mut latency, trial.latency);
        merge(&mut jitter, trial.jitter);
    }
    let times = |histogram: Option<Histogram<u64>>| histogram.as_ref().and_then(Times::of);
    let (latency, jitter) = (times(latency), times(jitter));
    Ok(LatencyPoint { percent, load, trials: plan.repeats, counts, latency, jitter })
}

/// Adds one histogram to another.
pub(super) fn merge(all: &mut Option<Histogram<u64>>, new: Option<Histogram<u64>>) {
    let Some(new) = new else { return };
    match all {
        None => *all = Some(new),
        // It fails for values beyond the range of the first only: those are of trials that went
        // wrong, and are told by their maximum where there is room.
        Some(all) => drop(all.add(new)),
    }
}

#[cfg(test)]
#[expect(clippy::cast_sign_loss, reason = "loads are not negative")]
mod tests {
    use super::*;
    use crate::lab::bench::model::Model;
    use crate::lab::bench::trial::Trial;
    use std::time::Duration;

    /// A device whose latency in microseconds is the load in kpps.
    struct Slow(Model);

    impl Trials for Slow {
        fn run(&mut self, load: f64, duration: Duration) -> Result<Trial, TrialError> {
            let mut trial = self.0.run(load, duration)?;
            let mut latency = Histogram::new_with_bounds(1, 10_000_000_000, 3).unwrap();
            latency.record(load.round() as u64).unwrap();
            trial.latency = Some(latency);
            Ok(trial)
        }

        fn burst(&mut self, frames: u64) -> Result<Trial, TrialError> {
            self.0.burst(frames)
        }
    }

    #[test]
    fn it_is_measured_at_parts_of_the_throughput() {
        let mut device = Slow(Model::ideal(1e6));
        let plan = LatencyPlan { throughput: 1000.0, duration: Duration::from_secs(2), repeats: 3 };
        let points = measure(&plan, &mut device).unwrap();
        let loads: Vec<(u32, f64)> = points.iter().map(|it| (it.percent, it.load)).collect();
        assert_eq!(loads, [(10, 100.0), (50, 500.0), (90, 900.0), (100, 1000.0)]);
        for point in &points {
            let latency = point.latency.as_ref().unwrap();
            let summary = latency.summary;
            assert_eq!((summary.count, summary.p50), (3, point.load.round() as u64));
            assert_eq!(point.counts.received, 3 * 2 * summary.p50);
            assert_eq!(latency.curve.last().unwrap(), &(100.0, summary.max));
        }
    }
}
