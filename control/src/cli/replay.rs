//! `linetap replay`: captures put on a wire.

mod plan;
mod rewrites;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use traffic::link::{Event, Request};
use traffic::replay::{ReplayPlan, ReplayProgress, ReplayReport, Timing};
use traffic::setup::Setup;

use super::arguments::Arguments;
use super::descriptors::Descriptors;
use super::devices::{Devices, Found, Uses};
use super::{Failure, complain, say};
use crate::lab::progress::Progress;
use crate::lab::replayed::{failed, progress, timing_error, to_json, to_text};
use crate::lab::{Heed, Interrupt, TrafficProcess};
use crate::report::to_hgrm;

/// The command line of `linetap replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Captures: pcap or pcapng, also gzip or zstd; `-` is standard input. Several are merged by timestamp.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Send by this port: an interface, a PCI address, DPDK device arguments, or, with --config, a port of the
    /// appliance file.
    #[arg(long, value_name = "NAME")]
    port: String,
    /// Send what comes from servers by this port; --split says what that is.
    #[arg(long, value_name = "NAME")]
    port2: Option<String>,
    /// Who the clients are: client=NETWORK,…, client-mac=ADDRESS,…, ports (of TCP and UDP the lower one is the
    /// server's), first-speaker (of each flow), or cache=FILE of tcpprep.
    #[arg(long, value_name = "HOW")]
    split: Option<String>,
    /// Send several captures one after the other.
    #[arg(long)]
    concatenate: bool,
    #[command(flatten)]
    timing: plan::TimingArguments,
    #[command(flatten)]
    ends: plan::EndArguments,
    #[command(flatten)]
    reading: plan::ReadingArguments,
    #[command(flatten)]
    rewrites: rewrites::RewriteArguments,
    #[command(flatten)]
    devices: Devices,
    /// Write the report as JSON, to standard output with `-`.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Write the timing error in nanoseconds, for HdrHistogram's plotters.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    hgrm: Option<PathBuf>,
    /// Show no progress and no report, only what is wrong.
    #[arg(long, help_heading = "Report")]
    quiet: bool,
}

impl Replay {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (plan, found, _open) = self.read()?;
        for note in found.notes.iter().filter(|_| !self.quiet) {
            complain(note);
        }
        let interrupt = Interrupt::watch().context("signals can't be awaited")?;
        let shown = Progress::new("replay", self.quiet);
        let mut process = TrafficProcess::start(&interrupt)?.telling(shown.teller());
        let is_timed = plan.timing != Timing::Top;
        let setup = Setup { timed: is_timed, ..found.setup(frames(&found)) };
        process.open(setup)?;
        let report = replay(&mut process, plan, shown)?;
        // Its ports are closed before anything else is done with them.
        process.finish()?;
        self.tell(&report)
    }

    /// What is asked for, and the descriptors that stay open for it. Errors: all that is wrong with it.
    fn read(&self) -> Result<(ReplayPlan, Found, Descriptors), Failure> {
        let mut arguments = Arguments::default();
        let mut names = vec![("--port", self.port.as_str())];
        names.extend(self.port2.as_deref().map(|name| ("--port2", name)));
        let found = self.devices.find(&names, Uses { send: true, receive: false }, &mut arguments);
        let mut descriptors = Descriptors::default();
        let files = descriptors.inputs(&self.files, &mut arguments);
        let plan = self.plan(files, &found, &mut arguments);
        for (option, file) in [("--json", &self.json), ("--hgrm", &self.hgrm)] {
            if let Some(fault) = file.as_deref().and_then(fault_of_output) {
                arguments.fault(format!("{option} {fault}"));
            }
        }
        if self.hgrm.is_some() && plan.timing == Timing::Top {
            arguments.fault("--hgrm: with --top no frame is due at any time; leave it out");
        }
        arguments.done()?;
        Ok((plan, found, descriptors))
    }

    /// Prints and writes what became of it. Errors: it was not all that was asked for.
    fn tell(&self, report: &ReplayReport) -> Result<(), Failure> {
        let json = self.json.as_deref().map(|file| (file, format!("{:#}\n", to_json(report))));
        if !self.quiet && self.json.as_deref() != Some(Path::new("-")) {
            say(&to_text(report));
        }
        if let Some((file, text)) = json {
            write(file, &text)?;
        }
        if let (Some(file), Some(error)) = (&self.hgrm, timing_error(report)) {
            write(file, &to_hgrm(&error))?;
        }
        let mut faults = report.faults.clone();
        if failed(report) > 0 {
            faults.push(format!("{} frames were not sent", failed(report)));
        }
        if faults.is_empty() { Ok(()) } else { Err(anyhow!(faults.join("\n")).into()) }
    }
}

/// Has it done, showing how far it is.
fn replay(
    process: &mut TrafficProcess,
    plan: ReplayPlan,
    mut shown: Progress,
) -> Result<ReplayReport, Failure> {
    let is_timed = plan.timing != Timing::Top;
    let mut before = ReplayProgress::default();
    let report = process.run(&Request::Replay(Box::new(plan)), |event| match event {
        Event::ReplayProgress(now) => {
            shown.show(now.part, &progress(&now, &before, is_timed));
            before = now;
            Heed::GoOn
        }
        Event::Replayed(report) => Heed::Done(report),
        _ => Heed::Strange,
    });
    shown.end();
    Ok(report?)
}

/// Buffers for frames on their way to the ports: enough for some milliseconds at any rate, within 64 MiB.
fn frames(found: &Found) -> u32 {
    const BYTES: u32 = 64 << 20;
    /// What a buffer takes beside the frame, about.
    const AROUND: u32 = 512;
    let mtu = found.ports.iter().map(|port| u32::from(port.mtu)).max().unwrap_or(1500);
    (BYTES / (mtu.max(1500) + AROUND)).clamp(2048, 32_768)
}

/// Why nothing can be written to a file, as far as that can be seen before; what to do about it.
pub(super) fn fault_of_output(file: &Path) -> Option<String> {
    let name = file.display();
    if file == Path::new("-") {
        return None;
    }
    if file.is_dir() {
        return Some(format!("{name}: it is a directory; name a file"));
    }
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!dir.is_dir()).then(|| format!("{name}: there is no directory {}; make it", dir.display()))
}

/// Writes a report to a file, or to standard output.
pub(super) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if file == Path::new("-") {
        say(text);
        return Ok(());
    }
    fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
}
