//! A trial as searches see it, and who runs one.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::lab::units::ratio;

/// Which frames a goal counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// The frames that were offered, where they come out again.
    #[default]
    Wire,
    /// The copies that a mirroring device makes of them.
    Copies,
}

/// Frames of one kind in a trial, of all streams together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames that the load means for the duration.
    pub intended: u64,
    /// Frames that the sending ports took.
    pub sent: u64,
    /// Frames that came back whole, each once.
    pub received: u64,
    /// Came back more than once: so many too many.
    pub duplicated: u64,
    /// Came back behind a later frame of their flow.
    pub reordered: u64,
    /// Came back with other bytes.
    pub corrupted: u64,
}

impl Counts {
    /// Frames that should have come and did not; those that were never sent are among them, for the
    /// duration is not stretched until all are (RFC 9971 §4.5.5).
    pub fn lost(&self) -> u64 {
        self.intended.max(self.sent).saturating_sub(self.received)
    }

    /// Frames that the sending port did not take in time.
    pub fn unsent(&self) -> u64 {
        self.intended.saturating_sub(self.sent)
    }

    /// Lost of intended, 0 to 1.
    pub fn loss_ratio(&self) -> f64 {
        ratio(self.lost(), self.intended.max(self.sent))
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            intended: self.intended + other.intended,
            sent: self.sent + other.sent,
            received: self.received + other.received,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            corrupted: self.corrupted + other.corrupted,
        }
    }
}

/// What became of a load.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Frames per second that were meant, of each stream.
    pub load: f64,
    /// How long they were offered.
    pub duration: Duration,
    /// The frames themselves.
    pub wire: Counts,
    /// Their copies, where some are expected.
    pub copies: Option<Counts>,
    /// Nanoseconds from send to receive.
    pub latency: Option<Histogram<u64>>,
    /// Nanoseconds by which the latency of following frames differs.
    pub jitter: Option<Histogram<u64>>,
}

impl Trial {
    /// The ratio that a goal is held against. Without copies there is nothing of them to lose.
    pub fn loss_ratio(&self, counted: Counted) -> f64 {
        match counted {
            Counted::Wire => self.wire.loss_ratio(),
            Counted::Copies => self.copies.map_or(0.0, |copies| copies.loss_ratio()),
        }
    }
}

/// Why there is no trial.
#[derive(Debug, Error)]
pub enum TrialError {
    /// Somebody wants no more of them.
    #[error("stopped")]
    Stopped,
    /// It can't be run.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// Runs trials, one at a time.
pub trait Trials {
    /// Offers so many frames per second in each stream for so long.
    fn run(&mut self, load: f64, duration: Duration) -> Result<Trial, TrialError>;

    /// Sends so many frames in each stream as fast as it goes.
    fn burst(&mut self, frames: u64) -> Result<Trial, TrialError>;

    /// Is told how far a search is, for people who wait.
    fn note(&mut self, _bounds: &str) {}
}
