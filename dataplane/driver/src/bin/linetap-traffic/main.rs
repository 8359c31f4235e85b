//! The lab's process: captures put on wires, traffic made and measured, frames recorded.
//!
//! `linetap replay`, `linetap bench` and `linetap capture` start it with a Unix socket as its standard input and
//! speak [`traffic::link`] with it.
//!
//! # Threads
//! - *main*: opens ports, runs one job after the other and answers;
//! - *requests*: reads what is asked; the end of the stream ends the job and the process;
//! - *workers* ([`crew`]): one per core, pinned, polling, as long as a job runs.

mod capture;
mod crew;
mod desk;
mod replay;
mod requests;
mod trial;

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use driver::Eal;
use driver::lab::{self, Lab};
use traffic::link::{Event, Request};
use traffic::setup::Setup;

use crate::desk::{Desk, refused};
use crate::requests::Requests;

/// The lab of linetap. Started by `linetap replay`, `linetap bench` and `linetap capture`, which speak with it over
/// its standard input, a Unix socket.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn,dpdk=error"))
        .init();
    let Arguments {} = Arguments::parse();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Answers requests until their stream ends.
fn run() -> anyhow::Result<()> {
    if std::io::stdin().is_terminal() {
        bail!("it is started by linetap: see linetap replay --help, bench, capture");
    }
    let stream = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let requests = Requests::start(stream.context("standard input can't be read")?)?;
    let Some(first) = requests.next() else { return Ok(()) };
    let Request::Open(setup) = first else {
        requests.answer(&refused("the first request must open ports"));
        return Ok(());
    };
    crew::keep_off(&setup.cores);
    let lab = match open(&setup) {
        Ok(lab) => lab,
        Err(faults) => {
            requests.answer(&Event::Refused(faults));
            return Ok(());
        }
    };
    requests.answer(&Event::Opened { ports: lab.opened(), dpdk: Eal::version() });
    let mut desk = Desk { lab, setup, requests };
    desk.serve();
    Ok(())
}

/// Starts DPDK, which then runs until the process ends, and the ports. Errors: sentences.
fn open(setup: &Setup) -> Result<Lab, Vec<String>> {
    let words = |error: driver::DriverError| error.to_string();
    let plans =
        lab::plan(setup).map_err(|errors| errors.into_iter().map(words).collect::<Vec<_>>())?;
    let one = |error| vec![words(error)];
    let eal = Eal::start(&lab::eal_config(setup, &plans)).map_err(one)?;
    Lab::open(&eal, setup, &plans).map_err(one)
}
