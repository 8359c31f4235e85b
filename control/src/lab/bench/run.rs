//! A whole benchmark: every configuration of the device, every size of frames, every method.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use traffic::trial::{Frames, Made, Stream};

use super::appliance::witness::Limit;
use super::back_to_back::BurstSearch;
use super::device::{Device, Wiring};
use super::goal::Goal;
use super::latency::{self, LatencyPlan};
use super::loss::loss_curve;
use super::mlr::Search;
use super::outcome::{Method, PortFacts, Series, Settings};
use super::progress::Progress;
use super::rate::line_rate;
use super::reconfiguration::reconfigure;
use super::report::mirror::limit;
use super::runner::{Runner, Top};
use super::sizes::FrameSizes;
use super::soak::soak;
use super::throughput::ThroughputSearch;
use super::trial::{Counted, TrialError, Trials as _};
use crate::lab::{Interrupt, TrafficProcess};

/// How long the generator is let go to see what it can.
const TOP: Duration = Duration::from_secs(1);
/// A search goes so far beyond what the generator sent by itself: to see that there is no more.
const MARGIN: f64 = 1.05;
/// From one frame per second to more than any wire carries.
const DOUBLINGS_MAX: u32 = 36;
/// The lowest load of a search, as a part of the highest.
const LOWEST: f64 = 1e-4;
/// A final trial has so many frames at least, unless a tenth of the highest load has fewer: a small part that is
/// lost of fewer would not show.
const FRAMES_MIN: f64 = 1000.0;
/// A search ends after so many trials.
const TRIALS_MAX: usize = 3000;
/// The two loss ratios that everybody asks for (RFC 9971 §2.5).
const NDR: f64 = 0.0;
const PDR: f64 = 0.005;
/// Up to so much loss a trial of the throughput is repeated, as often as this.
const TRANSIENT: f64 = 1e-4;
const REPEATS: u32 = 2;
/// The longest burst takes so many seconds.
const BURST_S: f64 = 2.0;
/// An 802.1Q tag.
const TAG_BYTES: u16 = 4;
/// VXLAN over IPv4 and over IPv6, in bytes (RFC 7348 §5).
const VXLAN_BYTES: f64 = 50.0;

/// What a benchmark works with. The ports are open.
#[derive(Debug)]
pub struct Bench<'a> {
    /// Runs the trials.
    pub process: &'a mut TrafficProcess,
    /// Ends them.
    pub interrupt: &'a Interrupt,
    /// Shows them.
    pub progress: &'a mut Progress,
    /// The ports, in the order of the setup.
    pub ports: &'a [PortFacts],
    /// What is asked for.
    pub settings: &'a Settings,
}

/// What there is at the end, and why there is not more.
type Ended = (Vec<Series>, Result<(), TrialError>);

impl Bench<'_> {
    /// Runs everything, or as much as can be.
    pub fn run(&mut self, device: &mut dyn Device) -> Ended {
        let mut all = Vec::new();
        for stack in device.stacks() {
            if let Err(error) = self.stack(&stack, device, &mut all) {
                return (all, Err(error));
            }
        }
        (all, Ok(()))
    }

    /// All sizes in one configuration. Errors: it can't go on.
    fn stack(
        &mut self,
        stack: &str,
        device: &mut dyn Device,
        all: &mut Vec<Series>,
    ) -> Result<(), TrialError> {
        let named = || format!("the device can't be made ready ({stack})");
        let wiring = device.prepare(stack).with_context(named).map_err(TrialError::Failed)?;
        let first = all.len();
        let sizes: Vec<Option<&FrameSizes>> = match &self.settings.traffic.capture {
            Some(_) => vec![None],
            None => self.settings.traffic.sizes.iter().map(Some).collect(),
        };
        let mut ended = Ok(());
        for sizes in sizes {
            let mut series = Series { stack: stack.to_owned(), ..Series::default() };
            ended = self.series(sizes, &wiring, device, &mut series);
            if !series.trials.is_empty() {
                all.push(series);
            }
            if ended.is_err() {
                break;
            }
        }
        let faults = device.conclude();
        match ended {
            // It may know more about its end than who has lost it.
            Err(TrialError::Failed(error)) if !faults.is_empty() => {
                let faults = faults.join("\n");
                return Err(TrialError::Failed(anyhow!("{error:#}\n{faults}")));
            }
            _ => {}
        }
        if let Some(series) = all.get_mut(first..).and_then(<[Series]>::last_mut) {
            series.notes.extend(faults);
        }
        ended
    }

    /// All methods with frames of one kind.
    fn series(
        &mut self,
        sizes: Option<&FrameSizes>,
        wiring: &Wiring,
        device: &mut dyn Device,
        series: &mut Series,
    ) -> Result<(), TrialError> {
        series.frames = sizes.map_or_else(|| "capture".to_owned(), |it| it.name.clone());
        series.streams = wiring.streams.len() as u32;
        self.progress.series(&series.title());
        let streams = self.streams(sizes, wiring);
        let wait = Duration::from_secs_f64(self.settings.wait_s);
        let copies = wiring.copies.clone();
        let (process, progress) = (&mut *self.process, &mut *self.progress);
        let mut runner = Runner::new(process, self.interrupt, progress, streams, copies, wait);
        runner.is_tapped = wiring.is_tapped;
        runner.witness = device.witness().map_err(TrialError::Failed)?;
        let mut work = Work {
            settings: self.settings,
            ports: self.ports,
            wiring,
            runner: &mut runner,
            series: &mut *series,
        };
        let done = work.all(sizes, device);
        series.trials = runner.records;
        series.notes.extend(runner.faults);
        done
    }

    fn streams(&self, sizes: Option<&FrameSizes>, wiring: &Wiring) -> Vec<Stream> {
        let traffic = &self.settings.traffic;
        let frames = || match (&traffic.capture, sizes) {
            (Some(file), _) => Frames::Capture(file.clone()),
            (None, sizes) => Frames::Made(Made {
                sizes: sizes.map(|it| with_tag(it, wiring)).unwrap_or_default(),
                flows: traffic.flows,
                spread: traffic.spread,
                is_v6: traffic.is_v6,
                vlan: wiring.vlan.or(traffic.vlan),
                vni: traffic.vni,
                destination_mac: wiring.destination_mac,
                seed: traffic.seed,
            }),
        };
        wiring.streams.iter().map(|&(tx, rx)| Stream { tx, rx, frames: frames() }).collect()
    }
}

/// The sizes, a tag longer where the device asks for one: its copies have none.
fn with_tag(sizes: &FrameSizes, wiring: &Wiring) -> Vec<u16> {
    let more = if wiring.vlan.is_some() { TAG_BYTES } else { 0 };
    sizes.sizes.iter().map(|size| size + more).collect()
}

/// The methods of one series.
struct Work<'a, 'r> {
    settings: &'a Settings,
    ports: &'a [PortFacts],
    wiring: &'a Wiring,
    runner: &'a mut Runner<'r>,
    series: &'a mut Series,
}

impl Work<'_, '_> {
    fn all(
        &mut self,
        sizes: Option<&FrameSizes>,
        device: &mut dyn Device,
    ) -> Result<(), TrialError> {
        // Who wants short trials wants none of a second.
        let top = TOP.min(Duration::from_secs_f64(self.settings.mlr_s));
        let top = self.runner.top(top)?;
        if top.received <= 0.0 && self.wiring.copies.is_none() {
            let why = anyhow!(
                "no frame came back: is the device between the two ports, and does it forward to the frames' \
                 destination? see --destination-mac"
            );
            return Err(TrialError::Failed(why));
        }
        self.range(sizes, &top);
        self.reach()?;
        for method in Method::ALL {
            if !self.settings.methods.contains(&method) {
                continue;
            }
            self.runner.begin(method);
            match (method, self.rate()) {
                (Method::Mlr, _) => self.mlr()?,
                (Method::Throughput, _) => self.throughput()?,
                (Method::Loss, _) => self.loss()?,
                (Method::Latency, Some(rate)) => self.latency(rate)?,
                (Method::BackToBack, Some(rate)) => self.back_to_back(rate)?,
                (Method::Soak, Some(rate)) => self.soak(rate)?,
                (Method::Reconfiguration, Some(rate)) => self.reconfiguration(rate, device)?,
                (method, None) => self.note(format!(
                    "{}: not measured, since no load came through without loss",
                    method.name()
                )),
            }
        }
        Ok(())
    }

    /// How long frames are, what the wire carries, and what is worth a trial.
    fn range(&mut self, sizes: Option<&FrameSizes>, top: &Top) {
        let tunnel = if self.settings.traffic.vni.is_some() { VXLAN_BYTES } else { 0.0 };
        let made = sizes.map(|it| it.mean() + tunnel);
        let frame_len = made.or(top.frame_len).unwrap_or(0.0);
        let speed = |&(tx, rx): &(usize, usize)| {
            let of = |at: usize| self.ports.get(at).and_then(|port| port.speed_mbps);
            [of(tx), of(rx)].into_iter().flatten().min()
        };
        let slowest = self.wiring.streams.iter().filter_map(speed).min();
        let line = slowest.map(|mbps| line_rate(f64::from(mbps) * 1e6, frame_len));
        let whole = line.unwrap_or(top.sent);
        let reachable = (top.sent * MARGIN).max(1.0);
        let load_max = match self.settings.load_max {
            Some(load) => load.frames_per_second(frame_len, whole),
            None => line.unwrap_or(f64::INFINITY).min(reachable),
        };
        let series = &mut *self.series;
        (series.frame_len, series.line_rate) = (frame_len, line);
        (series.generator, series.forwarded) = (top.sent, top.received);
        series.load_max = load_max.max(1.0);
        if line.is_some_and(|line| top.sent < line * 0.99) && self.settings.load_max.is_none() {
            self.note(format!(
                "the generator does not fill the wire with such frames: it sends {:.0} % of the line rate",
                top.sent / line.unwrap_or(top.sent) * 100.0
            ));
        }
    }

    /// Doubles the highest load until something is lost or not sent: a generator that is let go may be slower than
    /// one that is paced, where its port makes it wait. Not where the load was asked for.
    fn reach(&mut self) -> Result<(), TrialError> {
        if self.settings.load_max.is_some() {
            return Ok(());
        }
        let line = self.series.line_rate.unwrap_or(f64::INFINITY);
        for _ in 0..DOUBLINGS_MAX {
            if self.series.load_max >= line {
                break;
            }
            let trial = self.runner.run(self.series.load_max, TOP)?;
            if trial.wire.lost() > 0 {
                break;
            }
            self.series.load_max = (self.series.load_max * 2.0).min(line);
        }
        Ok(())
    }

    fn mlr(&mut self) -> Result<(), TrialError> {
        let settings = self.settings;
        let final_duration = Duration::from_secs_f64(settings.mlr_s);
        let goal = |name: &str, counted, loss_ratio| Goal {
            name: name.to_owned(),
            counted,
            loss_ratio,
            exceed_ratio: 0.5,
            width: settings.precision,
            initial_duration: final_duration.min(Duration::from_secs(1)),
            final_duration,
            duration_sum: final_duration * settings.mlr_trials,
        };
        let mut goals = Vec::new();
        if !self.wiring.is_tapped {
            goals.extend([goal("NDR", Counted::Wire, NDR), goal("PDR", Counted::Wire, PDR)]);
        }
        if self.wiring.copies.is_some() {
            goals.push(goal("copies NDR", Counted::Copies, NDR));
            goals.push(goal("copies PDR", Counted::Copies, PDR));
        }
        let load_max = self.series.load_max;
        let load_min = load_min(load_max, settings.mlr_s);
        let search = Search { goals, load_max, load_min, trials_max: TRIALS_MAX };
        self.series.goals = search.run(self.runner)?;
        self.series.trials.clone_from(&self.runner.records);
        let limits: Vec<_> = self.series.goals.iter().map(|it| limit(self.series, it)).collect();
        for (result, &limit) in self.series.goals.iter_mut().zip(&limits) {
            // By memif a device that has no time lets the sender wait.
            result.is_sender_limited &= !matches!(limit, Some(it) if it != Limit::Sender);
        }
        self.series.limits = limits;
        self.stopped()
    }

    fn throughput(&mut self) -> Result<(), TrialError> {
        let load_max = self.series.load_max;
        let search = ThroughputSearch {
            load_max,
            load_min: load_min(load_max, self.settings.throughput_s),
            width: self.settings.precision,
            duration: Duration::from_secs_f64(self.settings.throughput_s),
            repeats: REPEATS,
            transient_loss_ratio: TRANSIENT,
        };
        self.series.throughput = Some(search.run(self.runner)?);
        self.stopped()
    }

    fn loss(&mut self) -> Result<(), TrialError> {
        let duration = Duration::from_secs_f64(self.settings.loss_s);
        self.series.loss = loss_curve(self.series.load_max, duration, self.runner)?;
        self.stopped()
    }

    fn latency(&mut self, rate: f64) -> Result<(), TrialError> {
        let plan = LatencyPlan {
            throughput: rate,
            duration: Duration::from_secs_f64(self.settings.latency_s),
            repeats: self.settings.latency_trials,
        };
        self.series.latency = latency::measure(&plan, self.runner)?;
        self.stopped()
    }

    fn back_to_back(&mut self, throughput: f64) -> Result<(), TrialError> {
        let rate_max = self.series.line_rate.unwrap_or(self.series.generator).max(1.0);
        #[expect(clippy::cast_sign_loss, reason = "it is above 0")]
        let frames_max = (rate_max * BURST_S).ceil() as u64;
        let repeats = self.settings.bursts;
        let search = BurstSearch { frames_max, precision: 1, repeats, rate_max, throughput };
        self.series.back_to_back = search.run(self.runner)?;
        self.stopped()
    }

    fn soak(&mut self, rate: f64) -> Result<(), TrialError> {
        let load = self.load(rate);
        let duration = Duration::from_secs_f64(self.settings.soak_s);
        self.series.soak = soak(load, duration, self.runner)?;
        self.stopped()
    }

    fn reconfiguration(&mut self, rate: f64, device: &mut dyn Device) -> Result<(), TrialError> {
        let load = self.load(rate);
        let duration = Duration::from_secs_f64(self.settings.reconfiguration_s);
        let Some(mut change) = device.change() else {
            self.note("reconfiguration: nothing says how; give --reconfigure".to_owned());
            return Ok(());
        };
        let streams = self.series.streams;
        let found = reconfigure(load, duration, streams, &mut *change, self.runner)?;
        self.series.reconfiguration = Some(found);
        Ok(())
    }

    /// Frames per second of the load that soak and reconfiguration hold.
    fn load(&self, rate: f64) -> f64 {
        self.settings.load.frames_per_second(self.series.frame_len, rate).max(1.0)
    }

    /// The rate that others begin with: without loss, else with hardly any.
    fn rate(&self) -> Option<f64> {
        let partial = || self.series.goals.iter().filter_map(|it| it.lower).reduce(f64::min);
        self.series.rate().or_else(partial)
    }

    /// Searches give what they have when they are stopped: nothing is begun after them.
    fn stopped(&self) -> Result<(), TrialError> {
        if self.runner.is_stopped() { Err(TrialError::Stopped) } else { Ok(()) }
    }

    fn note(&mut self, note: String) {
        self.series.notes.push(note);
    }
}

/// The lowest load that is worth a trial of so many seconds.
fn load_min(load_max: f64, seconds: f64) -> f64 {
    (load_max * LOWEST).max(FRAMES_MIN / seconds).min(load_max / 10.0)
}
