//! Mirroring on capture files: the whole engine, with files in place of devices.

mod write_behind;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use engine::burst::BURST_MAX;
use engine::neighbors::Neighbors;
use engine::outbox::COPIES_MAX;
use engine::report::Report;
use engine::roster::Roster;
use engine::sim::{Sim, SimFeed, SimOutput, SimPool};
use engine::snapshot::{Role, Snapshot};
use engine::tool::ToolPort;
use engine::units::PortIndex;
use engine::view::View;
use engine::worker::{Lane, Worker};
use traffic::compressed;
use write_behind::{Writing, write_behind};

/// Bytes of a copy beside its outer IP packet: an Ethernet header, and a tag on a trunk.
const ETHERNET_BYTES: usize = 14 + 4;

/// A capture file that stands for what a port receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The port.
    pub port: PortIndex,
    /// The capture; gzip and zstd are read as well.
    pub file: PathBuf,
}

/// An input, opened.
pub struct Source {
    input: Input,
    reader: io::Result<Box<dyn Read + Send>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Source {
    /// Opens an input. One that can't be opened fails when it is read, like one that can't be read
    /// on: its fault is told with the others, and they run to their end.
    pub fn open(input: Input) -> Self {
        let reader = compressed::open(&input.file);
        Self { input, reader }
    }

    /// Why it can't be read, a sentence.
    pub fn fault(&self) -> Option<String> {
        let error = self.reader.as_ref().err()?;
        Some(format!("{}: it can't be read: {error}", self.input.file.display()))
    }
}

/// A file that takes what a port sends.
#[derive(Debug)]
pub struct Output {
    /// The port.
    pub port: PortIndex,
    /// Its name, for messages.
    pub name: PathBuf,
    /// The file, open for writing.
    pub file: File,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// All counters.
    pub report: Report,
    /// What went wrong with files on the way, a sentence each. The rest was processed.
    pub faults: Vec<String>,
    /// Positions of the outputs that did not take everything, from 0.
    pub unfinished: Vec<usize>,
    /// There were inputs, and all of them failed before their first frame.
    pub is_nothing_read: bool,
}

/// An engine that is ready to run on captures.
#[derive(Debug)]
pub struct Offline {
    snapshot: Arc<Snapshot>,
    view: Arc<View>,
}

impl Offline {
    /// Compiles a snapshot. Errors: all its faults, a sentence each.
    pub fn new(mut snapshot: Snapshot) -> Result<Self, Vec<String>> {
        // One worker: the order of frames is that of their timestamps, whatever the cores.
        snapshot.dataplane.workers = vec![0];
        let view = View::compile(&snapshot, &Neighbors::offline(&snapshot))?;
        Ok(Self { snapshot: Arc::new(snapshot), view: Arc::new(view) })
    }

    /// Runs all inputs to their end. Inputs with equal timestamps go in the order given. Errors:
    /// an output that takes no bytes at all; what goes wrong later is in the outcome.
    pub fn run(&self, sources: Vec<Source>, outputs: Vec<Output>) -> io::Result<Outcome> {
        let feed = SimFeed::new();
        let mut inputs = Vec::new();
        for Source { input, reader } in sources {
            feed.add(input.port, reader.unwrap_or_else(|error| Box::new(Unreadable(Some(error)))));
            inputs.push(input);
        }
        let sinks = self.sinks(outputs)?;
        let (mut roster, ends) = Roster::new(Arc::clone(&self.snapshot), &self.view);
        let Some(end) = ends.into_iter().next() else {
            return Err(io::Error::other("there is no worker"));
        };
        let mut worker: Worker<Sim> =
            Worker::new(self.lanes(&inputs, &feed), self.wires(&sinks), self.tools(&sinks), end);
        while !feed.is_done() {
            worker.poll();
        }
        roster.request_report();
        worker.poll();
        roster.collect_report();
        let report = roster.report();
        let broken = feed.take_faults();
        let is_silent = report.ports.iter().all(|port| port.rx_packets == 0);
        let is_nothing_read = is_silent && !inputs.is_empty() && broken.len() == inputs.len();
        let mut faults: Vec<String> = Vec::new();
        for fault in broken {
            let file = inputs.get(fault.capture).map(|input| input.file.display());
            faults.extend(file.map(|file| format!("{file}: {}", fault.error)));
        }
        // The engine's end of the files goes first: their writers end when it is gone.
        drop(worker);
        let mut unfinished = Vec::new();
        for sink in sinks {
            if let Some((position, fault)) = sink.finish() {
                unfinished.push(position);
                faults.push(fault);
            }
        }
        Ok(Outcome { report, faults, unfinished, is_nothing_read })
    }

    /// Where each port's frames go, by [`PortIndex`].
    fn sinks(&self, outputs: Vec<Output>) -> io::Result<Vec<Sink>> {
        let discard = |_| Sink { output: SimOutput::discard(), file: None };
        let mut sinks: Vec<Sink> = self.snapshot.ports.iter().map(discard).collect();
        for (position, Output { port, name, file }) in outputs.into_iter().enumerate() {
            let (near, far) = write_behind(file)?;
            if let Some(sink) = sinks.get_mut(port.at()) {
                *sink =
                    Sink { output: SimOutput::capture(near)?, file: Some((position, name, far)) };
            }
        }
        Ok(sinks)
    }

    /// What the worker polls: the ports that are fed.
    fn lanes(&self, inputs: &[Input], feed: &SimFeed) -> Vec<Lane<Sim>> {
        let indexes = (0..).map(PortIndex).take(self.snapshot.ports.len());
        indexes
            .filter(|&port| inputs.iter().any(|input| input.port == port))
            .map(|port| Lane {
                port,
                rx: feed.rx(port),
                role: self.snapshot.role(port),
                spreader: None,
            })
            .collect()
    }

    /// Transmit queues of the ports that frames are forwarded to.
    fn wires(&self, sinks: &[Sink]) -> Vec<Option<engine::sim::SimTx>> {
        let indexes = (0..).map(PortIndex);
        let is_wire = |port| matches!(self.snapshot.role(port), Role::Wire(_));
        indexes.zip(sinks).map(|(port, sink)| is_wire(port).then(|| sink.output.tx())).collect()
    }

    /// Tool ports, with room for as many copies as one burst can cause.
    fn tools(&self, sinks: &[Sink]) -> Vec<Option<ToolPort<Sim>>> {
        let indexes = (0..).map(PortIndex);
        let ports = indexes.zip(&self.snapshot.ports).zip(sinks);
        ports
            .map(|((index, port), sink)| {
                let room = ETHERNET_BYTES + usize::from(port.mtu);
                let pool = || SimPool::new(room, COPIES_MAX + 2 * BURST_MAX);
                self.snapshot.is_tool(index).then(|| ToolPort::new(sink.output.tx(), pool()))
            })
            .collect()
    }
}

/// Where a port's frames go.
struct Sink {
    output: SimOutput,
    /// The file that is written, if any: its position among the outputs, and its name.
    file: Option<(usize, PathBuf, Writing)>,
}

impl Sink {
    /// Writes out what is left; the file's position and a sentence when it took not everything.
    fn finish(self) -> Option<(usize, String)> {
        let near = self.output.finish();
        let (position, name, far) = self.file?;
        // The far end knows the cause; the near end only that there is one.
        let error = far.finish().and(near).err()?;
        Some((position, format!("{}: it can't be written: {error}", name.display())))
    }
}

/// What stands for a file that can't be opened.
struct Unreadable(Option<io::Error>);

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::Error::other("it can't be opened")))
    }
}
