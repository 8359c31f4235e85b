//! `linetap capture`: frames of ports, written into a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use traffic::capture::{BUFFER_BYTES, CapturePlan, CaptureReport, Decap, Rotation};
use traffic::link::{Event, Request};

use super::arguments::Arguments;
use super::descriptors::Descriptors;
use super::devices::{Devices, Found, Uses};
use super::replay::{fault_of_output, write};
use super::{Failure, complain, say};
use crate::lab::captured::{progress, to_json, to_text};
use crate::lab::progress::Progress;
use crate::lab::units::{COUNT_FORM, TIME_FORM, count, time_ns};
use crate::lab::{Heed, Interrupt, TrafficProcess};

/// Of VXLAN (RFC 7348 §8).
const VXLAN_PORT: u16 = 4789;
/// A frame's headers, and something behind them.
const SNAP_LEN_MIN: u64 = 14;
const SNAP_LEN_MAX: u64 = 131_072;
/// Less than this holds no frame of the usual size, with what a file begins and ends with.
const ROTATE_BYTES_MIN: u64 = 4096;

/// The command line of `linetap capture`.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// Record what this port receives: an interface, a PCI address, DPDK device arguments, or, with --config, a port
    /// of the appliance file. Several: each is an interface of the file.
    #[arg(long = "port", value_name = "NAME", required = true)]
    ports: Vec<String>,
    /// The file, pcapng with nanoseconds; `-` is standard output. It gets its name when it is complete.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    file: PathBuf,
    /// Keep so many bytes of each frame [default: all].
    #[arg(long, value_name = "BYTES")]
    snap_len: Option<String>,
    /// So many bytes of frames may wait for the file; what comes then is lost, and counted [default: 64M].
    #[arg(long, value_name = "BYTES")]
    buffer: Option<String>,
    /// Write what is in VXLAN, without it; each network is an interface of the file.
    #[arg(long, help_heading = "VXLAN")]
    decap: bool,
    /// Only this network.
    #[arg(long = "vni", value_name = "N", help_heading = "VXLAN")]
    vnis: Vec<String>,
    /// The UDP port of VXLAN [default: 4789].
    #[arg(long, value_name = "PORT", help_heading = "VXLAN")]
    udp_port: Option<String>,
    /// Begin another file, FILE.00001 and so on, before one gets larger than this, such as 100M.
    #[arg(long, value_name = "BYTES", help_heading = "Rotation")]
    rotate_size: Option<String>,
    /// Begin another file after this time, such as 60s.
    #[arg(long, value_name = "TIME", help_heading = "Rotation")]
    rotate_time: Option<String>,
    /// Keep so many files: the oldest goes.
    #[arg(long, value_name = "N", help_heading = "Rotation")]
    files: Option<String>,
    /// End after this time, such as 10s.
    #[arg(long, value_name = "TIME", help_heading = "End [default: Ctrl-C]")]
    duration: Option<String>,
    /// End after so many frames.
    #[arg(long, value_name = "N", help_heading = "End [default: Ctrl-C]")]
    limit: Option<String>,
    #[command(flatten)]
    devices: Devices,
    /// Write the report as JSON, to standard output with `-`.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Show no progress and no report, only what is wrong.
    #[arg(long, help_heading = "Report")]
    quiet: bool,
}

impl Capture {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (plan, found, _open) = self.read()?;
        for note in found.notes.iter().filter(|_| !self.quiet) {
            complain(note);
        }
        let interrupt = Interrupt::watch().context("signals can't be awaited")?;
        let shown = Progress::new("capture", self.quiet);
        let mut process = TrafficProcess::start(&interrupt)?.telling(shown.teller());
        process.open(found.setup(0))?;
        if !self.quiet {
            let names: Vec<&str> = found.ports.iter().map(|port| port.name.as_str()).collect();
            complain(&format!("capturing on {}; Ctrl-C ends it", names.join(", ")));
        }
        let report = capture(&mut process, plan, shown)?;
        process.finish()?;
        self.tell(&report)
    }

    /// What is asked for, and the descriptors that stay open for it. Errors: all that is wrong with it.
    fn read(&self) -> Result<(CapturePlan, Found, Descriptors), Failure> {
        let mut arguments = Arguments::default();
        let names: Vec<(&str, &str)> =
            self.ports.iter().map(|name| ("--port", name.as_str())).collect();
        let found = self.devices.find(&names, Uses { send: false, receive: true }, &mut arguments);
        let mut descriptors = Descriptors::default();
        let plan = self.plan(&mut descriptors, &mut arguments);
        for (option, file) in [("-w", Some(&self.file)), ("--json", self.json.as_ref())] {
            if let Some(fault) = file.and_then(|file| fault_of_output(file)) {
                arguments.fault(format!("{option} {fault}"));
            }
        }
        if self.writes_stdout() && self.json.as_deref() == Some(Path::new("-")) {
            arguments.fault("--json -: the capture goes to standard output; name a file");
        }
        arguments.done()?;
        Ok((plan, found, descriptors))
    }

    fn plan(&self, descriptors: &mut Descriptors, arguments: &mut Arguments) -> CapturePlan {
        let within = |least: u64, most: u64| {
            move |text: &str| count(text).filter(|number| (least..=most).contains(number))
        };
        let snap_len = within(SNAP_LEN_MIN, SNAP_LEN_MAX);
        let form = "a whole number from 14 to 131072";
        let snap_len = arguments.read("--snap-len", self.snap_len.as_ref(), snap_len, form);
        let form = "bytes from 1M to 16G, like 256M";
        let buffer = within(1_000_000, 16_000_000_000);
        let buffer = arguments.read("--buffer", self.buffer.as_ref(), buffer, form);
        CapturePlan {
            ports: (0..self.ports.len()).collect(),
            file: descriptors.output(&self.file, arguments),
            rotation: self.rotation(arguments),
            snap_len: snap_len.and_then(|len| u32::try_from(len).ok()),
            decap: self.decap(arguments),
            duration_ns: arguments.read("--duration", self.duration.as_ref(), time_ns, TIME_FORM),
            limit: arguments.read("--limit", self.limit.as_ref(), count, COUNT_FORM),
            buffer_bytes: buffer.unwrap_or(BUFFER_BYTES),
        }
    }

    fn rotation(&self, arguments: &mut Arguments) -> Rotation {
        let size = |text: &str| count(text).filter(|bytes| *bytes >= ROTATE_BYTES_MIN);
        let form = "bytes from 4096 on, like 100M";
        let bytes = arguments.read("--rotate-size", self.rotate_size.as_ref(), size, form);
        let time = arguments.read("--rotate-time", self.rotate_time.as_ref(), time_ns, TIME_FORM);
        let number = |text: &str| text.parse::<u32>().ok().filter(|files| *files > 0);
        let files =
            arguments.read("--files", self.files.as_ref(), number, "a whole number from 1 on");
        let rotates = self.rotate_size.is_some() || self.rotate_time.is_some();
        if self.files.is_some() && !rotates {
            arguments.fault("--files: there is one file only; add --rotate-size or --rotate-time");
        }
        if rotates && self.writes_stdout() {
            arguments.fault("-w -: only files can be rotated; name a file, or leave rotation out");
        }
        Rotation { bytes, duration_ns: time, files }
    }

    fn decap(&self, arguments: &mut Arguments) -> Option<Decap> {
        const VNI_MAX: u32 = 0xff_ffff;
        let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0);
        let udp_port = arguments.read("--udp-port", self.udp_port.as_ref(), port, "1 to 65535");
        let vni = |text: &str| text.parse().ok().filter(|vni: &u32| *vni <= VNI_MAX);
        let vnis = arguments.read_all("--vni", &self.vnis, vni, "0 to 16777215");
        if !self.decap {
            for (option, is_given) in
                [("--vni", !self.vnis.is_empty()), ("--udp-port", self.udp_port.is_some())]
            {
                if is_given {
                    arguments
                        .fault(format!("{option}: it is about --decap; add that, or leave it out"));
                }
            }
            return None;
        }
        Some(Decap { udp_port: udp_port.unwrap_or(VXLAN_PORT), vnis })
    }

    fn writes_stdout(&self) -> bool {
        self.file == Path::new("-")
    }

    /// Prints and writes what became of it. Errors: it was not all that was asked for.
    fn tell(&self, report: &CaptureReport) -> Result<(), Failure> {
        let mut shown = report.clone();
        if self.writes_stdout() {
            // What it is called here says nothing to anybody.
            shown.files = vec!["-".into()];
        }
        let json = self.json.as_deref().map(|file| (file, format!("{:#}\n", to_json(&shown))));
        if !self.quiet && self.json.as_deref() != Some(Path::new("-")) {
            let text = to_text(&shown);
            if self.writes_stdout() { complain(&text.trim_end()) } else { say(&text) }
        }
        if let Some((file, text)) = json {
            write(file, &text)?;
        }
        let called = |fault: &String| match report.files.first() {
            Some(file) if self.writes_stdout() => {
                fault.replace(&file.display().to_string(), "standard output")
            }
            _ => fault.clone(),
        };
        let faults: Vec<String> = report.faults.iter().map(called).collect();
        if faults.is_empty() { Ok(()) } else { Err(anyhow!(faults.join("\n")).into()) }
    }
}

/// Has it done, showing how far it is.
fn capture(
    process: &mut TrafficProcess,
    plan: CapturePlan,
    mut shown: Progress,
) -> Result<CaptureReport, Failure> {
    let (duration_ns, limit) = (plan.duration_ns, plan.limit);
    let mut before = CaptureReport::default();
    let report = process.run(&Request::Capture(plan), |event| match event {
        Event::CaptureProgress(now) => {
            shown.show(part(&now, duration_ns, limit), &progress(&now, &before));
            before = now;
            Heed::GoOn
        }
        Event::Captured(report) => Heed::Done(report),
        _ => Heed::Strange,
    });
    shown.end();
    Ok(report?)
}

/// How much is done of what ends by itself.
#[expect(clippy::cast_precision_loss, reason = "a part, to be shown")]
fn part(now: &CaptureReport, duration_ns: Option<u64>, limit: Option<u64>) -> Option<f64> {
    let of = |done: u64, all: Option<u64>| all.map(|all| done as f64 / all as f64);
    let kept = now.received.saturating_sub(now.others);
    let parts = [of(now.elapsed_ns, duration_ns), of(kept, limit)];
    parts.into_iter().flatten().reduce(f64::max)
}
