//! Reconfiguration: the load that passes without loss is held while the device is given another
//! configuration. What is lost, divided by the load, is the time for which it was blocked.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::trial::{Counts, Trial, TrialError, Trials};

/// The change begins so far into the trial.
const BEFORE: f64 = 0.25;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reconfiguration {
    /// Frames per second of each stream.
    pub load: f64,
    /// How long, in seconds.
    pub duration_s: f64,
    /// The same trial without a change, before.
    pub before: Counts,
    /// With it.
    pub during: Counts,
    /// The copies with it.
    pub copies: Option<Counts>,
    /// How long the change took, in seconds.
    pub change_s: f64,
    /// The change ended while frames were offered.
    pub is_within: bool,
    /// Lost frames that were sent, divided by the load: effective blocked time, in seconds.
    pub blocked_s: f64,
    /// Why the change failed.
    pub fault: Option<String>,
}

/// Changes the configuration of a device, once; called from a thread of its own.
pub type Change<'a> = dyn FnMut() -> Result<(), String> + Send + 'a;

/// Runs one trial without the change and one with it. Errors: those of a trial.
pub fn reconfigure(
    load: f64,
    duration: Duration,
    streams: u32,
    change: &mut Change<'_>,
    trials: &mut impl Trials,
) -> Result<Reconfiguration, TrialError> {
    trials.note("without a change");
    let before = trials.run(load, duration)?;
    trials.note("with the change");
    let (during, changed) = with_change(load, duration, change, trials)?;
    let (change_s, offset_s, fault) = changed;
    // What the sender did not send has not been blocked by the device.
    let lost = during.wire.lost().saturating_sub(during.wire.unsent());
    Ok(Reconfiguration {
        load,
        duration_s: duration.as_secs_f64(),
        before: before.wire,
        during: during.wire,
        copies: during.copies,
        change_s,
        is_within: offset_s + change_s <= duration.as_secs_f64(),
        blocked_s: blocked(lost, load, streams),
        fault,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a time needs no more than 52 bits")]
fn blocked(lost: u64, load: f64, streams: u32) -> f64 {
    lost as f64 / (load * f64::from(streams.max(1)))
}

/// Seconds that the change took, seconds after which it began, and its fault.
type Changed = (f64, f64, Option<String>);

fn with_change(
    load: f64,
    duration: Duration,
    change: &mut Change<'_>,
    trials: &mut impl Trials,
) -> Result<(Trial, Changed), TrialError> {
    thread::scope(|scope| {
        // Dropped with the trial: who still waits then has nothing to change any more.
        let (alive, trial_ended) = mpsc::channel::<()>();
        let started = Instant::now();
        let changing = scope.spawn(move || {
            if trial_ended.recv_timeout(duration.mul_f64(BEFORE)).is_err_and(is_over) {
                return (0.0, f64::INFINITY, Some("the trial was over before it".to_owned()));
            }
            let begun = Instant::now();
            let fault = change().err();
            (begun.elapsed().as_secs_f64(), (begun - started).as_secs_f64(), fault)
        });
        let trial = trials.run(load, duration);
        drop(alive);
        let died = |_| (0.0, 0.0, Some("the change came to no end".to_owned()));
        let changed = changing.join().unwrap_or_else(died);
        Ok((trial?, changed))
    })
}

fn is_over(error: mpsc::RecvTimeoutError) -> bool {
    error == mpsc::RecvTimeoutError::Disconnected
}

#[cfg(test)]
#[expect(clippy::cast_sign_loss, reason = "loads are not negative")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Loses so many frames of a trial in which the configuration has changed.
    struct Blocked<'a> {
        changed: &'a AtomicBool,
        lost: u64,
    }

    impl Trials for Blocked<'_> {
        fn run(&mut self, load: f64, duration: Duration) -> Result<Trial, TrialError> {
            thread::sleep(duration);
            let intended = (load * duration.as_secs_f64()).round() as u64;
            let lost = if self.changed.load(Ordering::Relaxed) { self.lost } else { 0 };
            let received = intended - lost;
            let wire = Counts { intended, sent: intended, received, ..Counts::default() };
            Ok(Trial { load, duration, wire, copies: None, latency: None, jitter: None })
        }

        fn burst(&mut self, _: u64) -> Result<Trial, TrialError> {
            Err(TrialError::Stopped)
        }
    }

    #[test]
    fn lost_frames_are_blocked_time() {
        let changed = AtomicBool::new(false);
        let mut device = Blocked { changed: &changed, lost: 500 };
        let mut change = || {
            changed.store(true, Ordering::Relaxed);
            Ok(())
        };
        let duration = Duration::from_millis(200);
        let found = reconfigure(1e5, duration, 1, &mut change, &mut device).unwrap();
        assert_eq!((found.before.lost(), found.during.lost()), (0, 500));
        assert!((found.blocked_s - 0.005).abs() < 1e-9 && found.is_within, "{found:?}");
        assert_eq!(found.fault, None);
    }

    #[test]
    fn a_change_that_fails_is_told() {
        let changed = AtomicBool::new(false);
        let mut device = Blocked { changed: &changed, lost: 0 };
        let mut change = || Err("no such rule".to_owned());
        let duration = Duration::from_millis(40);
        let found = reconfigure(1e5, duration, 2, &mut change, &mut device).unwrap();
        assert_eq!(found.fault.as_deref(), Some("no such rule"));
    }
}
