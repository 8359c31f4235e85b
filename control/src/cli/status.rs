//! `linetap status`: what the data plane does now.

mod watch;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use engine::report::Report;

use super::{Failure, say};
use crate::config::{self, Mode};
use crate::fault::FaultSink;
use crate::link::Dataplane;
use crate::load;
use crate::report::{latency, to_hgrm, to_json, to_text, violations};

/// The socket of an appliance file that leaves it at that.
const SOCKET_DEFAULT: &str = "/run/linetap/dataplane.sock";

/// The command line of `linetap status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show it anew each second, with rates, until `q` is pressed.
    #[arg(long)]
    watch: bool,
    /// Also write the latencies as `wire.hgrm` and `copy.hgrm`, in nanoseconds, for HdrHistogram's
    /// plotters.
    #[arg(long, value_name = "DIR", conflicts_with = "watch")]
    hgrm: Option<PathBuf>,
    /// The appliance file, whose `run_dir` holds the socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The data plane's socket [default: /run/linetap/dataplane.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let socket = self.socket()?;
        if self.watch {
            return Ok(watch::watch(&socket, self.json)?);
        }
        let mut link = Dataplane::connect(&socket).map_err(anyhow::Error::new)?;
        let report = link.report().map_err(anyhow::Error::new)?;
        if report.live.is_none() && !self.json {
            say("the data plane waits for its first configuration");
        } else if self.json {
            say(&format!("{:#}", to_json(&report)));
        } else {
            say(&to_text(&report, None, usize::MAX));
        }
        if let Some(dir) = &self.hgrm {
            write_hgrm(&report, dir)?;
        }
        let broken = violations(&report);
        if broken.is_empty() {
            Ok(())
        } else {
            Err(anyhow!("packets are not accounted for: {}", broken.join("; ")).into())
        }
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(config) = &self.config {
            let text = load::read_config(config)?;
            // Whether the file is sound does not matter here: what runs was read before.
            let appliance = config::read(&text, Mode::Online, &FaultSink::new(""));
            return Ok(appliance.socket());
        }
        Ok(self.socket.clone().unwrap_or_else(|| SOCKET_DEFAULT.into()))
    }
}

/// Writes both histograms into a directory, which is made if need be.
fn write_hgrm(report: &Report, dir: &Path) -> anyhow::Result<()> {
    let latency = latency(report).ok_or_else(|| {
        anyhow!(
            "--hgrm: the data plane measures no latency; set latency = true under [dataplane] in the \
             appliance file, and reload it (SIGHUP to linetap up)"
        )
    })?;
    fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    for (name, histogram) in [("wire.hgrm", &latency.wire), ("copy.hgrm", &latency.copy)] {
        let file = dir.join(name);
        fs::write(&file, to_hgrm(histogram))
            .with_context(|| format!("{} can't be written", file.display()))?;
    }
    Ok(())
}
