//! The data plane of linetap: ports, one polling worker per core, and a publisher that takes
//! snapshots from control over a Unix socket.
//!
//! # Threads
//! - *workers* ([`crew`]): one per core of the snapshot, pinned, polling, without capabilities;
//! - *publisher* ([`publisher`]): the main thread. It alone configures ports, compiles views, adds
//!   up counters, and answers;
//! - *clients* ([`server`]): one per connection, each reads requests and waits for its answer;
//! - one for each tool port that DPDK owns ([`kernel_ports`]): moves what is no copy to and from the
//!   kernel's interface of the port;
//! - *resolver* ([`resolver`]): follows the kernel's neighbours and routes.
//!
//! Control may come and go; what runs is the last snapshot that was accepted, which is on disk.

mod crew;
mod dataplane;
mod kernel_ports;
mod publisher;
mod resolver;
mod server;
mod state_file;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::Parser;
use crossbeam::channel::{Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::publisher::{Event, Publisher};
use crate::server::Server;
use crate::state_file::StateFile;

/// Requests that may wait for the publisher; more wait in their clients.
const EVENTS_MAX: usize = 64;

/// The data plane of linetap. Started by `linetap up`, or by a service manager.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The Unix socket on which control is awaited.
    #[arg(long)]
    socket: PathBuf,
    /// Where the last accepted configuration is kept.
    #[arg(long)]
    state: PathBuf,
    /// A user beside root and this process's own that may control it; may be repeated.
    #[arg(long, value_name = "UID")]
    control_uid: Vec<u32>,
    /// Stop when standard input ends: with the process that started this one.
    #[arg(long)]
    until_input_ends: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal; true when nothing went wrong and nothing is missing.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (events, inbox) = bounded(EVENTS_MAX);
    stop_on_signals(events.clone()).context("signals can't be awaited")?;
    if arguments.until_input_ends {
        stop_with_input(events.clone()).context("standard input can't be awaited")?;
    }
    let state = StateFile::new(&arguments.state);
    let mut publisher = Publisher::new(state, events.clone());
    let server = Server::bind(&arguments.socket, &arguments.control_uid)?;
    let shared = publisher.shared();
    publisher.resume();
    // Listening only now: the first greeting tells what is in force.
    server.start(events, shared)?;
    let is_clean = publisher.run(&inbox);
    server.close();
    Ok(is_clean)
}

/// The end of standard input stops in good order; what stands in it means nothing.
fn stop_with_input(events: Sender<Event>) -> std::io::Result<()> {
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        // An input that can't be read is one that has ended.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        log::info!("standard input has ended: stopping");
        // The publisher that is gone has stopped already.
        let _ = events.send(Event::Stop);
    })?;
    Ok(())
}

/// SIGTERM and SIGINT stop in good order; a second one at once. SIGHUP is control's: one that is meant
/// for everything called linetap must not end the wire.
fn stop_on_signals(events: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let ends = signals.forever().filter(|&signal| signal != SIGHUP);
        for (count, signal) in ends.enumerate() {
            log::info!("signal {signal}: stopping");
            if count > 0 || events.send(Event::Stop).is_err() {
                std::process::exit(1);
            }
        }
    })?;
    Ok(())
}
