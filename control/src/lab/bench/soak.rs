//! Soak: a load for a long time, in trials one after the other, and how much is lost at most, with confidence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::trial::{Counted, Counts, TrialError, Trials};

/// A trial takes no longer than this: so that a moment of loss can be told from loss all the time.
const TRIAL_S_MAX: f64 = 10.0;
/// Trials at least, where the duration allows a second for each.
const TRIALS_MIN: f64 = 10.0;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Soak {
    /// Frames per second of each stream.
    pub load: f64,
    /// How long, in seconds.
    pub duration_s: f64,
    /// Frames of all trials.
    pub counts: Counts,
    /// Copies of all trials.
    pub copies: Option<Counts>,
    /// Lost of intended, in each trial.
    pub loss_ratios: Vec<f64>,
    /// Lost of intended, over all.
    pub loss_ratio: f64,
    /// With 95 % confidence the loss ratio in the long run is not above this. Loss comes in bursts, so that
    /// trials are counted, not frames; without any loss it is three lost frames of all that were offered.
    pub loss_ratio_max: f64,
}

/// Runs it. `None` if it was stopped before the first trial was over. Errors: those of a trial.
pub fn soak(
    load: f64,
    duration: Duration,
    trials: &mut impl Trials,
) -> Result<Option<Soak>, TrialError> {
    let total = duration.as_secs_f64();
    let each = (total / TRIALS_MIN).clamp(1.0_f64.min(total), TRIAL_S_MAX);
    let mut counts = Counts::default();
    let mut copies: Option<Counts> = None;
    let mut loss_ratios = Vec::new();
    let mut elapsed = 0.0;
    while elapsed + each / 2.0 < total {
        let trial = match trials.run(load, Duration::from_secs_f64(each)) {
            Ok(trial) => trial,
            Err(TrialError::Stopped) => break,
            Err(error) => return Err(error),
        };
        elapsed += each;
        counts = counts + trial.wire;
        copies = trial.copies.map(|new| copies.unwrap_or_default() + new);
        loss_ratios.push(trial.loss_ratio(Counted::Wire));
        trials.note(&format!("{elapsed:.0} of {total:.0} s, {} lost", counts.lost()));
    }
    if loss_ratios.is_empty() {
        return Ok(None);
    }
    let (loss_ratio, loss_ratio_max) = (counts.loss_ratio(), bound(&loss_ratios, &counts));
    Ok(Some(Soak {
        load,
        duration_s: elapsed,
        counts,
        copies,
        loss_ratios,
        loss_ratio,
        loss_ratio_max,
    }))
}

/// The upper end of the 95 % interval: of Student's t over the trials, and not below the rule of three.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
fn bound(loss_ratios: &[f64], counts: &Counts) -> f64 {
    let rule_of_three = (3.0 / counts.intended.max(1) as f64).min(1.0);
    let trials = loss_ratios.len() as f64;
    if loss_ratios.len() < 2 {
        return if counts.lost() == 0 { rule_of_three } else { 1.0 };
    }
    let mean = loss_ratios.iter().sum::<f64>() / trials;
    let squares: f64 = loss_ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
    let error = (squares / (trials - 1.0) / trials).sqrt();
    (mean + student_t(loss_ratios.len() - 1) * error).clamp(rule_of_three, 1.0)
}

/// The 95th percentile of Student's t, one-sided.
fn student_t(degrees: usize) -> f64 {
    const SMALL: [f64; 10] = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812];
    match degrees {
        0 => f64::INFINITY,
        1..=10 => SMALL[degrees - 1],
        11..=20 => 1.796,
        21..=60 => 1.725,
        _ => 1.671,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bench::model::Model;

    #[test]
    fn without_loss_the_rule_of_three_holds() {
        let mut device = Model::ideal(2e6);
        let soak = soak(1e6, Duration::from_mins(5), &mut device).unwrap().unwrap();
        assert_eq!((soak.loss_ratios.len(), soak.counts.lost()), (30, 0));
        assert!((soak.loss_ratio_max - 1e-8).abs() < 1e-12, "{soak:?}");
    }

    #[test]
    fn the_true_ratio_is_below_the_bound() {
        // A part in a thousand is lost in a tenth of the trials: 1e-4 in the long run.
        let mut wrong = 0;
        for seed in 1_u64..=100 {
            let mut device = Model { spikes_per_mille: 100, seed: seed << 40, ..Model::ideal(2e6) };
            let soak = soak(1e6, Duration::from_secs(1000), &mut device).unwrap().unwrap();
            assert!(soak.loss_ratio <= soak.loss_ratio_max);
            wrong += u32::from(soak.loss_ratio_max < 1e-4);
        }
        assert!(wrong <= 12, "{wrong} of 100 are wrong, not 5");
    }

    #[test]
    fn it_is_cut_into_trials_and_can_be_stopped() {
        let mut device = Model::ideal(2e6);
        soak(1e6, Duration::from_millis(500), &mut device).unwrap().unwrap();
        soak(1e6, Duration::from_secs(20), &mut device).unwrap().unwrap();
        let durations: Vec<u128> = device.trials.iter().map(|(_, it)| it.as_millis()).collect();
        assert_eq!(durations[0], 500);
        assert_eq!(durations[1..], [2000; 10]);
        let mut device = Model { stop_after: 0, ..Model::ideal(2e6) };
        assert_eq!(soak(1e6, Duration::from_secs(20), &mut device).unwrap(), None);
    }
}
