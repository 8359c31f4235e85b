//! Everything that came of a benchmark, and everything that is needed to do it again: the JSON report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use traffic::histogram::Summary;
use traffic::trial::Spread;

use super::appliance::witness::{Limit, Seen};
use super::back_to_back::BackToBack;
use super::host::Host;
use super::latency::LatencyPoint;
use super::loss::LossPoint;
use super::mlr::GoalResult;
use super::rate::Load;
use super::reconfiguration::Reconfiguration;
use super::sizes::FrameSizes;
use super::soak::Soak;
use super::throughput::Throughput;
use super::trial::Counts;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// RFC 9971: NDR and PDR.
    Mlr,
    /// RFC 2544 §26.1.
    Throughput,
    /// RFC 2544 §26.3.
    Loss,
    /// RFC 2544 §26.2.
    Latency,
    /// RFC 9004.
    BackToBack,
    /// A load for a long time.
    Soak,
    /// Another configuration under load.
    Reconfiguration,
}

impl Method {
    /// All of them in the order in which they are run: later ones need what earlier ones find.
    pub const ALL: [Self; 7] = [
        Self::Mlr,
        Self::Throughput,
        Self::Loss,
        Self::Latency,
        Self::BackToBack,
        Self::Soak,
        Self::Reconfiguration,
    ];

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlr => "mlr",
            Self::Throughput => "throughput",
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::BackToBack => "back-to-back",
            Self::Soak => "soak",
            Self::Reconfiguration => "reconfiguration",
        }
    }

    /// It needs a rate that another one has to find first.
    pub fn needs_rate(self) -> bool {
        matches!(self, Self::Latency | Self::BackToBack | Self::Soak | Self::Reconfiguration)
    }
}

/// Which frames are offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// A series of trials for each; none with `capture`.
    pub sizes: Vec<FrameSizes>,
    /// Frames of this file instead.
    pub capture: Option<PathBuf>,
    /// Flows.
    pub flows: u32,
    /// How frames are spread over them.
    pub spread: Spread,
    /// IPv6 instead of IPv4.
    pub is_v6: bool,
    /// An 802.1Q tag.
    pub vlan: Option<u16>,
    /// VXLAN around each frame.
    pub vni: Option<u32>,
    /// Which pseudo-random order and payload.
    pub seed: u64,
}

/// How it is measured. Durations are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is measured, in order.
    pub methods: Vec<Method>,
    /// The frames.
    pub traffic: Traffic,
    /// The highest load; `None`: what the wire carries, or the generator sends.
    pub load_max: Option<Load>,
    /// The load of soak and reconfiguration; a part is one of the throughput.
    pub load: Load,
    /// Results may be so far from the lowest load that is too high, as a part of it.
    pub precision: f64,
    /// Of `MLRsearch`'s final trials, and of how many a load is decided.
    pub mlr_s: f64,
    /// See `mlr_s`.
    pub mlr_trials: u32,
    /// Of each trial of the throughput.
    pub throughput_s: f64,
    /// Of each trial of the loss rate.
    pub loss_s: f64,
    /// Of each trial of the latency.
    pub latency_s: f64,
    /// Trials of the latency at each load.
    pub latency_trials: u32,
    /// Searches for the longest burst.
    pub bursts: u32,
    /// Of the soak.
    pub soak_s: f64,
    /// Of the trial in which the configuration changes.
    pub reconfiguration_s: f64,
    /// How long stragglers are awaited.
    pub wait_s: f64,
}

/// A port as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// What was opened.
    pub device: String,
    /// DPDK's driver.
    pub driver: String,
    /// Its address.
    pub mac: String,
    /// Mb/s of the wire; `None` where there is no wire, or nobody knows.
    pub speed_mbps: Option<u32>,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// For which method.
    pub method: String,
    /// Frames per second that were meant, of each stream; `None`: as many as went.
    pub load: Option<f64>,
    /// Frames of a burst, of each stream.
    pub burst: Option<u64>,
    /// How long frames were offered, in seconds.
    pub duration_s: f64,
    /// All frames.
    pub wire: Counts,
    /// By stream, where there is more than one.
    pub streams: Vec<Counts>,
    /// All copies.
    pub copies: Option<Counts>,
    /// What the device itself counted, where it was asked.
    pub device: Option<Seen>,
    /// Nanoseconds from send to receive.
    pub latency: Option<Summary>,
    /// Frames that belonged to nobody.
    pub foreign: u64,
    /// How much later than due a frame was sent at most, in nanoseconds.
    pub late_ns_max: u64,
}

/// What came of one size in one configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The device's configuration; empty where it has none by name.
    pub stack: String,
    /// The frames, as they were asked for.
    pub frames: String,
    /// Streams at the same time; loads and rates are of each.
    pub streams: u32,
    /// Bytes of a frame on average, with its checksum.
    pub frame_len: f64,
    /// Frames per second that the wire carries; `None` where there is no wire.
    pub line_rate: Option<f64>,
    /// Frames per second that the generator sent when it was let go.
    pub generator: f64,
    /// Frames per second that came back then.
    pub forwarded: f64,
    /// The highest load of all searches.
    pub load_max: f64,
    /// What `MLRsearch` found, by goal.
    pub goals: Vec<GoalResult>,
    /// What is short beyond each of them, where the device's inside is known.
    pub limits: Vec<Option<Limit>>,
    /// What the binary search found.
    pub throughput: Option<Throughput>,
    /// Loss by load.
    pub loss: Vec<LossPoint>,
    /// Latency by load.
    pub latency: Vec<LatencyPoint>,
    /// Bursts.
    pub back_to_back: Option<BackToBack>,
    /// A load for long.
    pub soak: Option<Soak>,
    /// A change under load.
    pub reconfiguration: Option<Reconfiguration>,
    /// What a reader must know, a sentence each.
    pub notes: Vec<String>,
    /// Every trial, in order.
    pub trials: Vec<TrialRecord>,
}

impl Series {
    /// The highest load without loss that was found, of whatever method; `None` where every load has some.
    pub fn rate(&self) -> Option<f64> {
        let wire = self.goals.iter().filter(|it| it.goal.loss_ratio <= 0.0);
        let found = wire.filter_map(|it| it.lower);
        found.reduce(f64::min).or_else(|| self.throughput.as_ref()?.lower)
    }

    /// What a person calls it.
    pub fn title(&self) -> String {
        let is_number = self.frames.bytes().all(|it| it.is_ascii_digit());
        let frames = if is_number { format!("{} bytes", self.frames) } else { self.frames.clone() };
        if self.stack.is_empty() { frames } else { format!("{}, {frames}", self.stack) }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of linetap.
    pub version: String,
    /// The version of DPDK.
    pub dpdk: String,
    /// The command that does it again.
    pub command: Vec<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// Where it ran.
    pub host: Host,
    /// The cores that polled.
    pub cores: Vec<u16>,
    /// The ports.
    pub ports: Vec<PortFacts>,
    /// The device under test.
    pub device: Vec<(String, String)>,
    /// How it was measured.
    pub settings: Settings,
    /// What was found.
    pub series: Vec<Series>,
    /// Somebody wanted no more.
    pub was_stopped: bool,
    /// Why there is not more of it.
    pub faults: Vec<String>,
}
