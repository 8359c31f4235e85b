//! Frame loss rate (RFC 2544 §26.3): at the maximum load, then 10 % less each time, until two trials in a row
//! have none.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::trial::{Counted, TrialError, Trials};
use crate::lab::units::ratio;

/// The largest step that RFC 2544 §26.3 allows.
pub const STEP_PERCENT: u32 = 10;

/// One point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Of the maximum load.
    pub percent: u32,
    /// Frames per second of each stream.
    pub load: f64,
    /// Lost of intended, 0 to 1.
    pub loss_ratio: f64,
    /// Never sent, of intended: this part of the loss is not the device's.
    pub unsent_ratio: f64,
    /// Lost copies of intended.
    pub copies_loss_ratio: Option<f64>,
}

/// The curve, from the highest load down. Errors: those of a trial; one that was stopped gives what it has.
pub fn loss_curve(
    load_max: f64,
    duration: Duration,
    trials: &mut impl Trials,
) -> Result<Vec<LossPoint>, TrialError> {
    let mut points = Vec::new();
    let mut without_loss = 0;
    for percent in (1..=100 / STEP_PERCENT).rev().map(|step| step * STEP_PERCENT) {
        let load = (load_max * f64::from(percent) / 100.0).max(1.0);
        let trial = match trials.run(load, duration) {
            Ok(trial) => trial,
            Err(TrialError::Stopped) => break,
            Err(error) => return Err(error),
        };
        let loss_ratio = trial.loss_ratio(Counted::Wire);
        let copies_loss_ratio = trial.copies.map(|copies| copies.loss_ratio());
        let unsent_ratio = ratio(trial.wire.unsent(), trial.wire.intended);
        points.push(LossPoint { percent, load, loss_ratio, unsent_ratio, copies_loss_ratio });
        let is_lossless = loss_ratio <= 0.0 && copies_loss_ratio.is_none_or(|it| it <= 0.0);
        without_loss = if is_lossless { without_loss + 1 } else { 0 };
        if without_loss == 2 {
            break;
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bench::model::Model;

    fn percents(device: &mut Model) -> Vec<u32> {
        let points = loss_curve(1e6, Duration::from_secs(1), device).unwrap();
        points.iter().map(|point| point.percent).collect()
    }

    #[test]
    fn it_ends_after_two_trials_without_loss() {
        assert_eq!(percents(&mut Model::ideal(2e6)), [100, 90]);
        assert_eq!(percents(&mut Model::ideal(0.75e6)), [100, 90, 80, 70, 60]);
        assert_eq!(percents(&mut Model { background: 0.1, ..Model::ideal(2e6) }).len(), 10);
        // Copies that are lost are no trial without loss.
        assert_eq!(
            percents(&mut Model { copies: Some(0.85e6), ..Model::ideal(2e6) }),
            [100, 90, 80, 70]
        );
    }

    #[test]
    fn the_curve_is_the_devices() {
        let mut device = Model { generator: 0.9e6, ..Model::ideal(0.5e6) };
        let points = loss_curve(1e6, Duration::from_secs(1), &mut device).unwrap();
        for point in points {
            let expected = (1.0 - 0.5e6 / point.load).max(0.0);
            assert!((point.loss_ratio - expected).abs() < 1e-5, "{point:?}");
            let unsent = (1.0 - 0.9e6 / point.load).max(0.0);
            assert!((point.unsent_ratio - unsent).abs() < 1e-5, "{point:?}");
        }
    }
}
