//! `linetap status`: what the data plane does now.

mod watch;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{Failure, say};
use crate::config::{self, Mode};
use crate::fault::FaultSink;
use crate::link::Dataplane;
use crate::load;
use crate::report::{to_json, to_text, violations};

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
