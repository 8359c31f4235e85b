//! Back-to-back frames (RFC 2544 §26.4, RFC 9004): the longest burst at the full rate of the wire that comes
//! through without loss, on average over many searches, and how much time of buffer that is.

use serde::{Deserialize, Serialize};

use super::trial::{TrialError, Trials};

/// How bursts are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BurstSearch {
    /// The longest burst, in frames.
    pub frames_max: u64,
    /// A result may be so many frames too short.
    pub precision: u64,
    /// Searches; RFC 9004 §6.4 and RFC 2544 §26.4 ask for 50.
    pub repeats: u32,
    /// The highest frame rate that the wire can have, per second.
    pub rate_max: f64,
    /// The throughput for these frames, in frames per second.
    pub throughput: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackToBack {
    /// The longest burst of each search, in frames.
    pub bursts: Vec<u64>,
    /// Their average: the benchmark.
    pub average: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// Searches in which the longest burst that was tried came through: they have no end.
    pub unlimited: u32,
    /// Seconds that a burst takes (RFC 9004 §6.5): the buffer, as far as nothing leaves it meanwhile.
    pub implied_buffer_s: f64,
    /// Without what leaves the buffer meanwhile, at the rate of the throughput.
    pub corrected_buffer_s: f64,
}

impl BurstSearch {
    /// Searches. `None` if it was stopped before the first search had its end. Errors: those of a trial.
    pub fn run(&self, trials: &mut impl Trials) -> Result<Option<BackToBack>, TrialError> {
        let mut bursts = Vec::new();
        for at in 1..=self.repeats {
            match self.longest(trials) {
                Ok(burst) => bursts.push(burst),
                Err(TrialError::Stopped) => break,
                Err(error) => return Err(error),
            }
            trials.note(&format!("{at} of {} searches", self.repeats));
            // RFC 9004 §5.2: who forwards at the rate of the wire needs no buffer to be found.
            if bursts == [self.frames_max] {
                break;
            }
        }
        Ok(self.summary(bursts))
    }

    /// One binary search: the longest burst without loss.
    fn longest(&self, trials: &mut impl Trials) -> Result<u64, TrialError> {
        if trials.burst(self.frames_max)?.wire.lost() == 0 {
            return Ok(self.frames_max);
        }
        let (mut lower, mut upper) = (0, self.frames_max);
        while upper - lower > self.precision.max(1) {
            let middle = lower + (upper - lower) / 2;
            let is_whole = trials.burst(middle)?.wire.lost() == 0;
            *(if is_whole { &mut lower } else { &mut upper }) = middle;
        }
        Ok(lower)
    }

    #[expect(clippy::cast_precision_loss, reason = "bursts are shorter than 2^52 frames")]
    fn summary(&self, bursts: Vec<u64>) -> Option<BackToBack> {
        let (min, max) = (*bursts.iter().min()?, *bursts.iter().max()?);
        let count = bursts.len() as f64;
        let average = bursts.iter().map(|&burst| burst as f64).sum::<f64>() / count;
        let squares = bursts.iter().map(|&burst| (burst as f64 - average).powi(2)).sum::<f64>();
        let implied_buffer_s = average / self.rate_max;
        Some(BackToBack {
            average,
            deviation: (squares / count).sqrt(),
            min,
            max,
            unlimited: bursts.iter().filter(|&&burst| burst == self.frames_max).count() as u32,
            implied_buffer_s,
            corrected_buffer_s: implied_buffer_s
                - implied_buffer_s * (self.throughput / self.rate_max).min(1.0),
            bursts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bench::model::Model;
    use proptest::prelude::*;

    fn search() -> BurstSearch {
        BurstSearch {
            frames_max: 1 << 20,
            precision: 1,
            repeats: 50,
            rate_max: 14_880_952.0,
            throughput: 8_434_584.0,
        }
    }

    #[test]
    fn the_average_is_the_buffer() {
        let mut device = Model { buffer: 26_000, ..Model::ideal(1.0) };
        let found = search().run(&mut device).unwrap().unwrap();
        assert_eq!(found.bursts.len(), 50);
        assert!((found.average - 26_000.0).abs() <= 1.0, "{found:?}");
        assert!(found.min >= 25_999 && found.max <= 26_001 && found.deviation < 1.0);
        assert_eq!(found.unlimited, 0);
    }

    #[test]
    fn buffer_times_are_those_of_rfc_9004() {
        let found = search().summary(vec![26_000; 50]).unwrap();
        // 26,000 frames at 14,880,952 per second take 1.747 ms; a device that forwards
        // 8,434,584 of them empties 57 % of that meanwhile.
        assert!((found.implied_buffer_s - 1.747_2e-3).abs() < 1e-7, "{found:?}");
        assert!((found.corrected_buffer_s - 0.756_85e-3).abs() < 1e-7, "{found:?}");
        assert_eq!(search().summary(Vec::new()), None);
    }

    #[test]
    fn a_device_without_end_is_told() {
        let mut device = Model { buffer: 1 << 30, ..Model::ideal(1.0) };
        let found = search().run(&mut device).unwrap().unwrap();
        assert_eq!((found.unlimited, found.min), (1, 1 << 20));
        assert_eq!(device.trials.len(), 1);
    }

    proptest! {
        #[test]
        fn any_buffer_is_found(buffer in 0_u64..1 << 20, precision in 1_u64..100) {
            let mut device = Model { buffer, ..Model::ideal(1.0) };
            let search = BurstSearch { repeats: 1, precision, ..search() };
            let found = search.run(&mut device).unwrap().unwrap();
            prop_assert!(found.max <= buffer + 1 && found.max + precision >= buffer);
            prop_assert!(device.trials.len() <= 22);
        }
    }
}
