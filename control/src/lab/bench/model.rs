//! Devices that are not there: what searches are tested on.

use std::time::Duration;

use super::goal::Goal;
use super::trial::{Counted, Counts, Trial, TrialError, Trials};

/// A goal as CSIT searches for: trials of a second, 21 of them, half of which may exceed the loss.
pub(super) fn goal(name: &str, loss_ratio: f64) -> Goal {
    Goal {
        name: name.to_owned(),
        counted: Counted::Wire,
        loss_ratio,
        exceed_ratio: 0.5,
        width: 0.005,
        initial_duration: Duration::from_secs(1),
        final_duration: Duration::from_secs(1),
        duration_sum: Duration::from_secs(21),
    }
}

/// A device that forwards so many frames per second, and more or less of what makes real ones hard.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Frames per second.
    pub(super) capacity: f64,
    /// It always loses this part.
    pub(super) background: f64,
    /// In so many of a thousand trials it loses a part more.
    pub(super) spikes_per_mille: u64,
    pub(super) spike: f64,
    /// After an overload it carries only this part of its capacity until it was offered less.
    pub(super) recovery: f64,
    /// Frames that it can store.
    pub(super) buffer: u64,
    /// Frames per second that the generator can send.
    pub(super) generator: f64,
    /// Of the copies, frames per second.
    pub(super) copies: Option<f64>,
    pub(super) seed: u64,
    pub(super) is_overloaded: bool,
    /// What was asked for.
    pub(super) trials: Vec<(f64, Duration)>,
    /// It is stopped after so many trials.
    pub(super) stop_after: usize,
}

impl Model {
    pub(super) fn ideal(capacity: f64) -> Self {
        Self {
            capacity,
            background: 0.0,
            spikes_per_mille: 0,
            spike: 0.001,
            recovery: 1.0,
            buffer: 0,
            generator: f64::INFINITY,
            copies: None,
            seed: 1,
            is_overloaded: false,
            trials: Vec::new(),
            stop_after: usize::MAX,
        }
    }

    /// xorshift64, of which the upper bits are good enough.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed >> 11
    }
}

#[expect(clippy::cast_sign_loss, reason = "frames are counted upwards")]
fn frames(count: f64) -> u64 {
    count.round() as u64
}

impl Trials for Model {
    fn run(&mut self, load: f64, duration: Duration) -> Result<Trial, TrialError> {
        if self.trials.len() >= self.stop_after {
            return Err(TrialError::Stopped);
        }
        self.trials.push((load, duration));
        let seconds = duration.as_secs_f64();
        let offered = load.min(self.generator);
        let part = if self.is_overloaded { self.recovery } else { 1.0 };
        let capacity = self.capacity * part;
        self.is_overloaded = offered > capacity;
        let mut carried = offered.min(capacity) * (1.0 - self.background);
        if self.random() % 1000 < self.spikes_per_mille {
            carried *= 1.0 - self.spike;
        }
        let counts = |received: f64| Counts {
            intended: frames(load * seconds),
            sent: frames(offered * seconds),
            received: frames(received * seconds),
            ..Counts::default()
        };
        let copies = self.copies.map(|copies| counts(carried.min(copies)));
        let wire = counts(carried);
        Ok(Trial { load, duration, wire, copies, latency: None, jitter: None })
    }

    /// What comes faster than the capacity is stored.
    #[expect(clippy::cast_precision_loss, reason = "bursts are short")]
    fn burst(&mut self, frames: u64) -> Result<Trial, TrialError> {
        self.trials.push((frames as f64, Duration::ZERO));
        let wire = Counts {
            intended: frames,
            sent: frames,
            received: frames.min(self.buffer + self.random() % 2),
            ..Counts::default()
        };
        let duration = Duration::ZERO;
        Ok(Trial { load: 0.0, duration, wire, copies: None, latency: None, jitter: None })
    }
}
