//! `linetap bench`: what a device carries without loss, and at what latency.

mod itself;
mod options;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use clap::Args;
use engine::units::Mac;
use jiff::Timestamp;
use traffic::setup::{OpenPort, PortSetup};

use super::arguments::Arguments;
use super::devices::{Devices, Found, Uses};
use super::replay::{fault_of_output, write};
use super::{Failure, complain, say};
use crate::lab::bench::appliance::Itself;
use crate::lab::bench::device::{Device, Pair};
use crate::lab::bench::host::{Host, wire_speed_mbps};
use crate::lab::bench::outcome::{Method, Outcome, PortFacts, Settings};
use crate::lab::bench::progress::Progress;
use crate::lab::bench::report::{mirror, page, table};
use crate::lab::bench::run::Bench as Benchmark;
use crate::lab::bench::trial::TrialError;
use crate::lab::{Interrupt, TrafficProcess};
use itself::OfItself;
use options::Options;

/// Buffers for frames that are on their way.
const FRAMES: u32 = 16_384;

/// The command line of `linetap bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// A port, twice: frames leave by the first and come back by the second.
    #[arg(long = "port", value_name = "NAME", help_heading = "Ports and cores")]
    ports: Vec<String>,
    /// Frames also go from the second to the first, as many, at the same time.
    #[arg(long, help_heading = "Ports and cores")]
    both_ways: bool,
    /// Destination address of the frames [default: that of the port where they arrive].
    #[arg(long, value_name = "MAC", help_heading = "Ports and cores")]
    destination_mac: Option<String>,
    #[command(flatten)]
    devices: Devices,
    #[command(flatten)]
    of_itself: OfItself,
    #[command(flatten)]
    options: Options,
    /// A command for the shell that gives the device another configuration while frames pass, for
    /// --method reconfiguration.
    #[arg(long, value_name = "COMMAND", help_heading = "What is measured")]
    reconfigure: Option<String>,
    /// Write everything that was measured, and how, as JSON; - is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Write a page with plots, which needs no other file.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    /// No progress.
    #[arg(long, help_heading = "Report")]
    quiet: bool,
}

/// What is asked for, without faults.
struct Asked {
    found: Found,
    settings: Settings,
    device: What,
}

/// What is measured.
enum What {
    /// Whatever is between two ports.
    Pair(Pair),
    /// linetap.
    Itself(itself::Itself),
}

impl Bench {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let asked = self.asked()?;
        for note in asked.found.notes.iter().filter(|_| !self.quiet) {
            complain(note);
        }
        let outcome = self.measure(asked)?;
        self.report(&outcome)?;
        if outcome.faults.is_empty() {
            Ok(())
        } else {
            Err(anyhow!(outcome.faults.join("\n")).into())
        }
    }

    /// Reads the arguments. Errors: all that is wrong with them.
    fn asked(&self) -> Result<Asked, Failure> {
        let mut arguments = Arguments::default();
        let is_foreign = self.options.capture.is_some() || self.options.vxlan.is_some();
        let polling = self.devices.cores.as_ref();
        if let Some((itself, cores)) = self.of_itself.read(polling, is_foreign, &mut arguments) {
            let settings = self.options.settings(&[itself::port()], &mut arguments);
            self.check_files(&mut arguments);
            arguments.done()?;
            let found = Found { cores, ..Found::default() };
            return Ok(Asked { found, settings, device: What::Itself(itself) });
        }
        if self.ports.len() != 2 {
            arguments.fault(format!(
                "--port is given {} times; name two: where frames leave, and where they come back",
                self.ports.len()
            ));
        }
        let names: Vec<(&str, &str)> =
            self.ports.iter().map(|name| ("--port", name.as_str())).collect();
        let found = self.devices.find(&names, Uses { send: true, receive: true }, &mut arguments);
        let settings = self.options.settings(&found.ports, &mut arguments);
        let mac = |text: &str| text.parse::<Mac>().ok();
        let form = "an Ethernet address like 02:00:00:00:00:01";
        let mac = arguments.read("--destination-mac", self.destination_mac.as_ref(), mac, form);
        let changes = settings.methods.contains(&Method::Reconfiguration);
        match &self.reconfigure {
            None if changes => arguments.fault(
                "--method reconfiguration: nothing says how; give --reconfigure with a command",
            ),
            Some(_) if !changes => arguments
                .fault("--reconfigure is for --method reconfiguration; add that, or leave it out"),
            _ => {}
        }
        self.check_files(&mut arguments);
        arguments.done()?;
        let device = Pair {
            both_ways: self.both_ways,
            reconfigure: self.reconfigure.clone(),
            destination_mac: mac,
        };
        Ok(Asked { found, settings, device: What::Pair(device) })
    }

    fn check_files(&self, arguments: &mut Arguments) {
        for (option, file) in [("--json", &self.json), ("--html", &self.html)] {
            if let Some(why) = file.as_deref().and_then(fault_of_output) {
                arguments.fault(format!("{option} {why}"));
            }
        }
    }

    /// Opens the ports and runs everything.
    fn measure(&self, asked: Asked) -> Result<Outcome, Failure> {
        let Asked { mut found, settings, device } = asked;
        let interrupt = Interrupt::watch().context("signals can't be received")?;
        match device {
            What::Pair(mut pair) => self.measure_device(&found, settings, &mut pair, &interrupt),
            What::Itself(itself::Itself { stacks, expected, cores }) => {
                // First: what opens the other ends of its ports finds nobody otherwise.
                let mut itself = Itself::start(&stacks, cores, &interrupt)?;
                if let Some(name) = expected {
                    itself.expect(&name);
                }
                found.ports = itself.ports();
                let outcome = self.measure_device(&found, settings, &mut itself, &interrupt);
                let mut outcome = outcome?;
                outcome.faults.extend(mirror::faults(&outcome));
                if let Err(error) = itself.finish() {
                    outcome.faults.push(error.to_string());
                }
                Ok(outcome)
            }
        }
    }

    fn measure_device(
        &self,
        found: &Found,
        settings: Settings,
        device: &mut dyn Device,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Failure> {
        let mut progress = Progress::new(self.quiet);
        let process = TrafficProcess::start(interrupt)?;
        let mut process = process.telling(progress.teller());
        let opened = process.open(found.setup(FRAMES))?;
        let ports = facts(&found.ports, &opened.0);
        let (started, clock) = (Timestamp::now(), Instant::now());
        let mut bench = Benchmark {
            process: &mut process,
            interrupt,
            progress: &mut progress,
            ports: &ports,
            settings: &settings,
        };
        let (series, ended) = bench.run(device);
        progress.end();
        let was_stopped = matches!(ended, Err(TrialError::Stopped));
        let mut faults = Vec::new();
        if let Err(TrialError::Failed(error)) = ended {
            faults.push(format!("{error:#}"));
        }
        if let Err(error) = process.finish() {
            faults.push(error.to_string());
        }
        Ok(Outcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: opened.1,
            command: env::args().collect(),
            started: format!("{started:.0}"),
            elapsed_s: clock.elapsed().as_secs_f64(),
            host: Host::here(),
            cores: found.cores.clone(),
            ports,
            device: device.facts(),
            settings,
            series,
            was_stopped,
            faults,
        })
    }

    /// Writes the report in every form that was asked for. Errors: those of files.
    fn report(&self, outcome: &Outcome) -> anyhow::Result<()> {
        let is_stdout =
            |file: &Option<PathBuf>| file.as_deref().is_some_and(|it| it == Path::new("-"));
        if !is_stdout(&self.json) && !is_stdout(&self.html) {
            say(&table::render(outcome));
        }
        if let Some(file) = &self.json {
            let text =
                serde_json::to_string_pretty(outcome).context("the report can't be written")?;
            write(file, &format!("{text}\n"))?;
        }
        if let Some(file) = &self.html {
            write(file, &page::render(outcome))?;
        }
        Ok(())
    }
}

fn facts(setups: &[PortSetup], opened: &[OpenPort]) -> Vec<PortFacts> {
    let fact = |(setup, opened): (&PortSetup, &OpenPort)| PortFacts {
        name: setup.name.clone(),
        device: setup.device.clone(),
        driver: opened.driver.clone(),
        mac: opened.mac.to_string(),
        speed_mbps: wire_speed_mbps(&setup.device, opened.speed_mbps),
    };
    setups.iter().zip(opened).map(fact).collect()
}
