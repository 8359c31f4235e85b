//! Trials by `linetap-traffic`: what a search asks for, said as a plan; what came of it, written down.

use std::time::Duration;

use anyhow::anyhow;
use hdrhistogram::Histogram;
use traffic::histogram;
use traffic::link::{Event, Request};
use traffic::trial::{CopyPlan, Received, Stream, TrialPlan, TrialResult};

use super::appliance::witness::Witness;
use super::latency::merge;
use super::outcome::{Method, TrialRecord};
use super::progress::Progress;
use super::trial::{Counts, Trial, TrialError, Trials};
use crate::lab::{Heed, Interrupt, TrafficError, TrafficProcess};

/// The Ethernet checksum, which is on the wire but in no buffer.
const CHECKSUM_BYTES: f64 = 4.0;
/// A burst ends by its frames; no port is so slow that this ends it before.
const BURST_MAX: Duration = Duration::from_secs(30);

/// Runs trials of one series.
#[derive(Debug)]
pub struct Runner<'a> {
    process: &'a mut TrafficProcess,
    interrupt: &'a Interrupt,
    progress: &'a mut Progress,
    streams: Vec<Stream>,
    copies: Option<CopyPlan>,
    wait: Duration,
    /// For what trials are run now.
    method: String,
    /// The device only listens: copies count for the frames.
    pub is_tapped: bool,
    /// Who is asked after each trial what the device itself counted.
    pub witness: Option<Witness>,
    /// All that were run.
    pub records: Vec<TrialRecord>,
    /// What went wrong in trials, each once.
    pub faults: Vec<String>,
}

/// What a generator that is let go sends, and what comes back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Top {
    /// Frames per second of each stream.
    pub sent: f64,
    /// The same that came back.
    pub received: f64,
    /// Bytes of a frame on average, with its checksum; `None` where none came back.
    pub frame_len: Option<f64>,
}

impl<'a> Runner<'a> {
    /// Trials of these streams.
    pub fn new(
        process: &'a mut TrafficProcess,
        interrupt: &'a Interrupt,
        progress: &'a mut Progress,
        streams: Vec<Stream>,
        copies: Option<CopyPlan>,
        wait: Duration,
    ) -> Self {
        Self {
            process,
            interrupt,
            progress,
            streams,
            copies,
            wait,
            method: String::new(),
            is_tapped: false,
            witness: None,
            records: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Says for what the next trials are.
    pub fn begin(&mut self, method: Method) {
        method.name().clone_into(&mut self.method);
        self.progress.method(method.name());
    }

    /// Lets the generator go. Errors: those of a trial.
    pub fn top(&mut self, duration: Duration) -> Result<Top, TrialError> {
        "top speed".clone_into(&mut self.method);
        self.progress.method("top speed");
        let result = self.offer(None, None, duration)?;
        let seconds = Duration::from_nanos(result.duration_ns.max(1)).as_secs_f64();
        let streams = self.streams.len().max(1);
        let sum = |of: fn(&Received) -> u64| as_f64(result.streams.iter().map(of).sum());
        let each = |frames: f64| frames / seconds / as_f64(streams as u64);
        let (received, bytes) = (sum(|it| it.received), sum(|it| it.bytes));
        Ok(Top {
            sent: each(sum(|it| it.sent)),
            received: each(received),
            frame_len: (received > 0.0).then(|| bytes / received + CHECKSUM_BYTES),
        })
    }

    /// Somebody wants no more.
    pub fn is_stopped(&self) -> bool {
        self.interrupt.is_set()
    }

    fn offer(
        &mut self,
        load: Option<f64>,
        burst: Option<u64>,
        duration: Duration,
    ) -> Result<TrialResult, TrialError> {
        self.progress.trial(load, burst, duration);
        let plan = TrialPlan {
            streams: self.streams.clone(),
            load,
            burst,
            duration_ns: nanoseconds(duration),
            wait_ns: nanoseconds(self.wait),
            learning: false,
            copies: self.copies.clone(),
        };
        let heed = |event| match event {
            Event::Measured(result) => Heed::Done(result),
            _ => Heed::Strange,
        };
        let mut result = match self.process.run(&Request::Trial(Box::new(plan)), heed) {
            Ok(result) => *result,
            Err(TrafficError::Interrupted) => return Err(TrialError::Stopped),
            Err(error) => return Err(TrialError::Failed(error.into())),
        };
        if self.interrupt.is_set() {
            // It was cut short: it says nothing about the load.
            return Err(TrialError::Stopped);
        }
        if self.is_tapped {
            stand_in(&mut result);
        }
        self.record(load, burst, &result)?;
        Ok(result)
    }

    fn record(
        &mut self,
        load: Option<f64>,
        burst: Option<u64>,
        result: &TrialResult,
    ) -> Result<(), TrialError> {
        let streams: Vec<Counts> = result.streams.iter().map(counts).collect();
        let wire = sum(&streams);
        if wire.sent == 0 && !result.faults.is_empty() {
            return Err(TrialError::Failed(anyhow!(result.faults.join("\n"))));
        }
        for fault in &result.faults {
            if !self.faults.contains(fault) {
                self.faults.push(fault.clone());
            }
        }
        let latency = all(&result.streams, |it| &it.latency);
        let copies = self.copies.is_some().then(|| of_copies(result));
        let duration_s = Duration::from_nanos(result.duration_ns).as_secs_f64();
        let device = match &mut self.witness {
            Some(witness) => Some(witness.look(duration_s, wire.sent).map_err(TrialError::Failed)?),
            None => None,
        };
        if let Some(seen) = &device {
            for fault in seen.contradictions(&wire, copies.as_ref()) {
                self.faults.push(format!("trial {}: {fault}", self.records.len() + 1));
            }
        }
        self.records.push(TrialRecord {
            method: self.method.clone(),
            load,
            burst,
            duration_s,
            wire,
            streams: if streams.len() > 1 { streams } else { Vec::new() },
            copies,
            device,
            latency: latency.filter(|it| !it.is_empty()).map(|it| histogram::summary(&it)),
            foreign: result.foreign.iter().sum(),
            late_ns_max: result.streams.iter().map(|it| it.late_ns_max).max().unwrap_or(0),
        });
        self.progress.measured(&wire);
        Ok(())
    }

    fn trial(&self, load: f64, duration: Duration, result: &TrialResult) -> Trial {
        Trial {
            load,
            duration,
            wire: sum(&result.streams.iter().map(counts).collect::<Vec<_>>()),
            copies: self.copies.is_some().then(|| of_copies(result)),
            latency: all(&result.streams, |it| &it.latency),
            jitter: all(&result.streams, |it| &it.jitter),
        }
    }
}

impl Trials for Runner<'_> {
    fn run(&mut self, load: f64, duration: Duration) -> Result<Trial, TrialError> {
        let result = self.offer(Some(load), None, duration)?;
        Ok(self.trial(load, duration, &result))
    }

    fn burst(&mut self, frames: u64) -> Result<Trial, TrialError> {
        let result = self.offer(None, Some(frames), BURST_MAX)?;
        Ok(self.trial(0.0, Duration::from_nanos(result.duration_ns), &result))
    }

    fn note(&mut self, bounds: &str) {
        self.progress.bounds(bounds);
    }
}

/// Of a device that only listens, the copies come back for the frames.
fn stand_in(result: &mut TrialResult) {
    let Some(stream) = result.streams.first_mut() else { return };
    let copies = &result.copies;
    let sum = |of: fn(&Received) -> u64| copies.iter().map(of).sum::<u64>();
    stream.received = sum(|it| it.received);
    (stream.duplicated, stream.reordered) = (sum(|it| it.duplicated), sum(|it| it.reordered));
    (stream.corrupted, stream.bytes) = (sum(|it| it.corrupted), sum(|it| it.bytes));
    if let [copies] = copies.as_slice() {
        (stream.latency, stream.jitter) = (copies.latency.clone(), copies.jitter.clone());
    }
}

/// What was counted, as searches see it: a frame that came back with other bytes is lost.
fn counts(of: &Received) -> Counts {
    Counts {
        intended: of.intended,
        sent: of.sent,
        received: of.received.saturating_sub(of.corrupted),
        duplicated: of.duplicated,
        reordered: of.reordered,
        corrupted: of.corrupted,
    }
}

fn sum(parts: &[Counts]) -> Counts {
    parts.iter().fold(Counts::default(), |sum, &part| sum + part)
}

fn of_copies(result: &TrialResult) -> Counts {
    sum(&result.copies.iter().map(counts).collect::<Vec<_>>())
}

/// The histograms of all streams as one. What can't be read is none.
fn all(parts: &[Received], of: fn(&Received) -> &String) -> Option<Histogram<u64>> {
    let mut sum = None;
    for part in parts {
        merge(&mut sum, histogram::decode(of(part)).ok());
    }
    sum
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "rates need no more than 52 bits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
