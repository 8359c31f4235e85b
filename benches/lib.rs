//! What the benches share: the packet path over simulated devices, and frames to send through it.
//!
//! Side-by-side figures on DPDK's devices come from `scripts/bench`; records of both kinds are in
//! `record/`.

mod random;
pub mod rulesets;

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control::config::Mode;
use control::load::{Sources, load};
use engine::neighbors::Neighbors;
use engine::report::Report;
use engine::roster::Roster;
use engine::sim::{Sim, SimFeed, SimOutput, SimPool, capture_of};
use engine::snapshot::Role;
use engine::tool::ToolPort;
use engine::units::PortIndex;
use engine::view::View;
use engine::worker::{Lane, Worker};

/// Frames in a row on one port: a full burst.
const RUN: usize = 64;

/// The appliance of `fixtures/`, fed from memory; what it sends is discarded.
#[derive(Debug)]
pub struct SimAppliance {
    /// The one worker.
    pub worker: Worker<Sim>,
    /// Its publisher.
    pub roster: Roster,
    /// What it receives.
    pub feed: SimFeed,
}

impl SimAppliance {
    /// An appliance that will receive so many frames, in bursts on its three ports in turn.
    /// `latency`: it measures times.
    pub fn new(frames: usize, latency: bool) -> anyhow::Result<Self> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let sources = Sources {
            config: fixtures.join("appliance.toml"),
            template: fixtures.join("mirror.yaml"),
            parameters: Vec::new(),
            mode: Mode::Offline,
        };
        let mut snapshot = load(&sources, 1)?.snapshot;
        snapshot.dataplane.latency = latency;
        let snapshot = Arc::new(snapshot);
        let view = View::compile(&snapshot, &Neighbors::offline(&snapshot));
        let view = Arc::new(view.map_err(|faults| anyhow::anyhow!(faults.join("; ")))?);
        let (roster, mut ends) = Roster::new(Arc::clone(&snapshot), &view);
        let feed = feed(frames);
        let output = SimOutput::discard();
        let ports =
            (0..snapshot.ports.len()).filter_map(|at| u16::try_from(at).ok().map(PortIndex));
        let ports: Vec<_> = ports.collect();
        let lane = |&port: &PortIndex| Lane {
            port,
            rx: feed.rx(port),
            role: snapshot.role(port),
            spreader: None,
        };
        let wire =
            |&port: &PortIndex| matches!(snapshot.role(port), Role::Wire(_)).then(|| output.tx());
        let tool = |&port: &PortIndex| {
            snapshot.is_tool(port).then(|| ToolPort::new(output.tx(), SimPool::new(2048, 1024)))
        };
        let worker = Worker::new(
            ports.iter().map(lane).collect(),
            ports.iter().map(wire).collect(),
            ports.iter().map(tool).collect(),
            ends.pop().context("the fixture names a worker")?,
        );
        Ok(Self { worker, roster, feed })
    }

    /// The counters. Errors: some frame or copy did not end as it should.
    pub fn report(&mut self) -> anyhow::Result<Report> {
        self.roster.request_report();
        self.worker.poll();
        ensure!(self.roster.collect_report(), "the worker did not answer");
        Ok(self.roster.report())
    }
}

/// TCP and UDP, IPv4 and IPv6, tagged and not, small and large, in runs on the first three ports.
fn feed(frames: usize) -> SimFeed {
    let feed = SimFeed::new();
    for port in 0..3 {
        let own = (0..frames).filter(|at| at / RUN % 3 == usize::from(port));
        let timed = own.map(|at| (at as u64, frame(at)));
        feed.add(PortIndex(port), Cursor::new(capture_of(timed)));
    }
    feed
}

fn frame(at: usize) -> Vec<u8> {
    let payload: usize = [6, 512, 1460, 20][at % 4];
    let mut frame = vec![2, 0, 0, 0, 0xbb, 1, 2, 0, 0, 0, 0xaa, 1];
    if at.is_multiple_of(5) {
        frame.extend([0x81, 0, 0, 100]);
    }
    let is_v6 = at.is_multiple_of(3);
    let upper_len = u16::try_from(20 + payload).unwrap_or(u16::MAX);
    if is_v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(upper_len.to_be_bytes());
        frame.extend([6, 64]);
        frame.extend([0xfd; 32]);
    } else {
        frame.extend([0x08, 0, 0x45, 0]);
        frame.extend((upper_len + 20).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    let dst_port: u16 = if at.is_multiple_of(7) { 443 } else { 80 };
    frame.extend(u16::try_from(1024 + at % 60_000).unwrap_or(1024).to_be_bytes());
    frame.extend(dst_port.to_be_bytes());
    frame.extend([0; 16]);
    frame.resize(frame.len() + payload, 0x5a);
    frame
}
