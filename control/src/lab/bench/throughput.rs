//! Throughput (RFC 2544 §26.1): the fastest rate without loss, by binary search with loss verification
//! (ETSI GS NFV-TST 009 §12.3.3).
//!
//! A trial that loses a few frames is repeated: something else than the load may have been the cause. One that
//! loses more than that, or loses again, is an upper bound.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rate::scaled;
use super::trial::{Counted, Trial, TrialError, Trials};

/// How the search is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThroughputSearch {
    /// The highest load, in frames per second of each stream.
    pub load_max: f64,
    /// The lowest load that is worth a trial.
    pub load_min: f64,
    /// The result may be so far below the lowest load with loss, as a part of it.
    pub width: f64,
    /// Of each trial; RFC 2544 §24 asks for 60 seconds.
    pub duration: Duration,
    /// A trial with loss is repeated so often at most.
    pub repeats: u32,
    /// Loss up to this ratio may be transient.
    pub transient_loss_ratio: f64,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// The highest load without loss, in frames per second of each stream.
    pub lower: Option<f64>,
    /// The lowest load with loss; none where the maximum load had none.
    pub upper: Option<f64>,
    /// At the upper bound the sending ports, not the device, account for half of the loss or more.
    pub is_sender_limited: bool,
}

impl ThroughputSearch {
    /// Searches. Errors: those of a trial; a search that was stopped gives what it has.
    pub fn run(&self, trials: &mut impl Trials) -> Result<Throughput, TrialError> {
        let mut found = Throughput::default();
        match self.search(&mut found, trials) {
            Ok(()) | Err(TrialError::Stopped) => Ok(found),
            Err(error) => Err(error),
        }
    }

    fn search(&self, found: &mut Throughput, trials: &mut impl Trials) -> Result<(), TrialError> {
        let mut next = self.load_max.floor().max(1.0);
        loop {
            let trial = self.verified(next, trials)?;
            if trial.wire.lost() == 0 {
                found.lower = Some(next);
            } else {
                found.upper = Some(next);
                found.is_sender_limited = trial.wire.unsent() * 2 >= trial.wire.lost();
            }
            let bound = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), scaled);
            trials.note(&format!("{} to {} pps", bound(found.lower), bound(found.upper)));
            let Some(upper) = found.upper else { return Ok(()) };
            let lower = found.lower.unwrap_or(0.0);
            next = f64::midpoint(lower, upper).round();
            let is_near = upper - lower <= upper * self.width;
            if is_near || next <= lower || next >= upper || next < self.load_min {
                return Ok(());
            }
        }
    }

    /// A trial, repeated as long as its loss may be transient.
    fn verified(&self, load: f64, trials: &mut impl Trials) -> Result<Trial, TrialError> {
        let mut trial = trials.run(load, self.duration)?;
        for _ in 0..self.repeats {
            let loss_ratio = trial.loss_ratio(Counted::Wire);
            if loss_ratio <= 0.0 || loss_ratio > self.transient_loss_ratio {
                break;
            }
            trial = trials.run(load, self.duration)?;
        }
        Ok(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bench::model::Model;
    use proptest::prelude::*;

    fn search() -> ThroughputSearch {
        ThroughputSearch {
            load_max: 14_880_952.0,
            load_min: 1000.0,
            width: 0.005,
            duration: Duration::from_mins(1),
            repeats: 2,
            transient_loss_ratio: 0.001,
        }
    }

    #[test]
    fn all_trials_are_full_and_the_result_is_near() {
        let mut device = Model::ideal(4e6);
        let found = search().run(&mut device).unwrap();
        let (lower, upper) = (found.lower.unwrap(), found.upper.unwrap());
        assert!(lower <= 4e6 && 4e6 <= upper && upper - lower <= upper * 0.005, "{found:?}");
        assert!(device.trials.iter().all(|(_, it)| it.as_secs() == 60));
        assert!(device.trials.len() < 16);
        let mut device = Model::ideal(20e6);
        let found = search().run(&mut device).unwrap();
        assert_eq!((found.lower, found.upper), (Some(14_880_952.0), None));
        assert_eq!(device.trials.len(), 1);
    }

    #[test]
    fn transient_loss_is_verified_and_real_loss_is_not() {
        let mut device = Model { spikes_per_mille: 200, seed: 7 << 40, ..Model::ideal(4e6) };
        let found = search().run(&mut device).unwrap();
        assert!(found.lower.unwrap() <= 4e6 && 4e6 <= found.upper.unwrap(), "{found:?}");
        let mut strict = Model { spikes_per_mille: 200, seed: 7 << 40, ..Model::ideal(4e6) };
        let without = ThroughputSearch { repeats: 0, ..search() }.run(&mut strict).unwrap();
        assert!(without.upper.unwrap() < 4e6, "a spike was taken for a bound: {without:?}");
    }

    #[test]
    fn a_device_that_always_loses_has_none() {
        let mut device = Model { background: 0.01, ..Model::ideal(4e6) };
        let found = search().run(&mut device).unwrap();
        assert_eq!(found.lower, None);
        assert!(device.trials.len() < 40);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_result_is_within_the_width(capacity in 5_000_f64..14e6, width in 0.001_f64..0.1) {
            let mut device = Model::ideal(capacity);
            let found = ThroughputSearch { width, ..search() }.run(&mut device).unwrap();
            let (lower, upper) = (found.lower.unwrap(), found.upper.unwrap());
            prop_assert!(lower <= capacity + 1.0 && capacity <= upper + 1.0);
            prop_assert!(upper - lower <= (upper * width).max(1.0));
        }
    }
}
