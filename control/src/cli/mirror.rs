//! `linetap mirror`: the engine on capture files.

mod drafts;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow};
use clap::Args;
use engine::snapshot::Snapshot;
use engine::units::PortIndex;
use thiserror::Error;

use super::{Failure, Files};
use crate::config::{Appliance, Mode};
use crate::fault::{Fault, Faults, did_you_mean, quoted};
use crate::load::load_with;
use crate::model::Listing;
use crate::offline::{Input, Offline, Outcome, Output, Source};
use crate::report::{to_json, to_text};
use drafts::{Draft, Drafts};

/// The command line of `linetap mirror`.
#[derive(Debug, Args)]
pub(super) struct Mirror {
    #[command(flatten)]
    files: Files,
    /// Read a capture in place of what a port receives (pcap or pcapng, also gzip or zstd). Several
    /// are merged by timestamp.
    #[arg(long = "read", value_name = "PORT=FILE")]
    reads: Vec<String>,
    /// Write what a port sends into a capture.
    #[arg(long = "write", value_name = "PORT=FILE")]
    writes: Vec<String>,
    /// Write all counters as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is asked for, as far as the arguments can be read.
struct Request<'a> {
    files: &'a Files,
    reads: Vec<PortFile>,
    writes: Vec<PortFile>,
    json: Option<&'a Path>,
}

/// `PORT=FILE`.
#[derive(Debug, Clone)]
pub(super) struct PortFile {
    pub(super) port: String,
    pub(super) file: PathBuf,
}

/// A text that is no [`PortFile`].
#[derive(Debug, Error)]
#[error("it is not PORT=FILE; name a port of the appliance file and a file")]
pub(super) struct BadPortFile;

impl FromStr for PortFile {
    type Err = BadPortFile;

    fn from_str(text: &str) -> Result<Self, BadPortFile> {
        match text.split_once('=') {
            Some((port, file)) if !port.is_empty() && !file.is_empty() => {
                Ok(Self { port: port.to_owned(), file: file.into() })
            }
            _ => Err(BadPortFile),
        }
    }
}

impl Mirror {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut faults = Vec::new();
        let mut read = |option: &str, texts: &[String]| -> Vec<PortFile> {
            let read = |text: &String| {
                let bad = |why: BadPortFile| argument_fault(format!("{option} {text}: {why}"));
                text.parse().map_err(|why| faults.push(bad(why))).ok()
            };
            texts.iter().filter_map(read).collect()
        };
        let (reads, writes) = (read("--read", &self.reads), read("--write", &self.writes));
        Request { files: &self.files, reads, writes, json: self.json.as_deref() }.run(faults)
    }
}

impl Request<'_> {
    /// Does it, unless there are faults.
    fn run(&self, mut faults: Vec<Fault>) -> Result<(), Failure> {
        faults.extend(self.clashes());
        let (sources, Faults(of_parameters)) = self.files.sources(Mode::Offline);
        faults.extend(of_parameters);
        let loaded = load_with(&sources, 1, |appliance| self.unknown_ports(appliance));
        let snapshot = Faults(faults).and(loaded)?.snapshot;
        let inputs = places(&snapshot, &self.reads).map(|(port, file)| Input { port, file });
        let inputs: Vec<Input> = inputs.collect();
        let ports: Vec<PortIndex> = places(&snapshot, &self.writes).map(|(port, _)| port).collect();
        let offline = Offline::new(snapshot).map_err(Faults::of_arguments)?;
        let drafts = Drafts::new()?;
        // Before anything is made that would have to be taken away again.
        let sources: Vec<Source> = inputs.into_iter().map(Source::open).collect();
        let (captures, json) = self.open_outputs(&drafts, &sources)?;
        let mut outputs = Vec::new();
        for (port, draft) in ports.into_iter().zip(&captures) {
            let file = draft.file().context("an output can't be written")?;
            outputs.push(Output { port, name: draft.name().to_owned(), file });
        }
        let outcome = offline.run(sources, outputs).context("an output can't be written")?;
        let faults = tell(&drafts, outcome, captures, json);
        if faults.is_empty() { Ok(()) } else { Err(Failure::Runtime(anyhow!(faults.join("\n")))) }
    }

    /// The captures to write, and the report. Errors: all of those that can't be written, and the
    /// inputs that can't be read.
    fn open_outputs(
        &self,
        drafts: &Drafts,
        sources: &[Source],
    ) -> Result<(Vec<Draft>, Option<Draft>), Failure> {
        let mut faults = Vec::new();
        let mut open = |name: &Path| drafts.open(name).map_err(|fault| faults.push(fault)).ok();
        let captures = self.writes.iter().filter_map(|write| open(&write.file)).collect();
        let json = self.json.and_then(open);
        if faults.is_empty() {
            return Ok((captures, json));
        }
        let mut all: Vec<String> = sources.iter().filter_map(Source::fault).collect();
        all.append(&mut faults);
        Err(Failure::Runtime(anyhow!(all.join("\n"))))
    }

    /// Ports that the appliance file does not have.
    fn unknown_ports(&self, appliance: &Appliance) -> Vec<Fault> {
        // What seems unknown may be the port whose name could not be read.
        if appliance.incomplete.contains(&Listing::Ports) {
            return Vec::new();
        }
        let names: Vec<&str> = appliance.ports.iter().map(|port| port.name.as_str()).collect();
        let arguments = self.arguments();
        let unknown = arguments.filter(|(_, it)| !names.contains(&it.port.as_str()));
        let fault = |(option, it): (&str, &PortFile)| {
            let hint = did_you_mean(&it.port, names.iter().copied());
            let port = quoted(&it.port);
            argument_fault(format!(
                "{option} {}={}: the appliance file has no port {port}; name one of its own{hint}",
                it.port,
                it.file.display()
            ))
        };
        unknown.map(fault).collect()
    }

    fn arguments(&self) -> impl Iterator<Item = (&'static str, &PortFile)> {
        let reads = self.reads.iter().map(|read| ("--read", read));
        reads.chain(self.writes.iter().map(|write| ("--write", write)))
    }

    /// Files that would destroy each other, and ports that are written twice.
    fn clashes(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut taken: HashMap<Identity, String> = HashMap::new();
        let files = [
            ("--config", self.files.config.as_path()),
            ("--template", self.files.template.as_path()),
        ];
        let reads = self.reads.iter().map(|read| ("--read", read.file.as_path()));
        for (option, file) in files.into_iter().chain(reads) {
            if let Some(identity) = Identity::of(file) {
                taken.insert(identity, format!("{option} {}", file.display()));
            }
        }
        let writes = self.writes.iter().map(|write| ("--write", write.file.as_path()));
        for (option, file) in writes.chain(self.json.iter().map(|&json| ("--json", json))) {
            let name = format!("{option} {}", file.display());
            let Some(identity) = Identity::of(file) else { continue };
            if let Some(other) = taken.get(&identity) {
                let message = format!("{name}: it is the file of {other}; choose another");
                faults.push(argument_fault(message));
            } else {
                taken.insert(identity, name);
            }
        }
        let mut ports: HashMap<&str, &Path> = HashMap::new();
        for write in &self.writes {
            if let Some(first) = ports.insert(&write.port, &write.file) {
                let port = &write.port;
                faults.push(argument_fault(format!(
                    "--write {port}={}: port {} is written to {} already; write it once",
                    write.file.display(),
                    quoted(port),
                    first.display()
                )));
            }
        }
        faults
    }
}

/// Writes the report and puts all outputs in their places; gives what went wrong on the way.
fn tell(
    drafts: &Drafts,
    outcome: Outcome,
    captures: Vec<Draft>,
    json: Option<Draft>,
) -> Vec<String> {
    let Outcome { report, mut faults, unfinished, is_nothing_read } = outcome;
    let mut finished = Vec::new();
    // Who has no use for JSON reads the report here, unless a capture goes the same way.
    let is_taken = |draft: &Draft| draft.is_stdout() || is_special(draft.name());
    let is_printed = json.is_none() && !captures.iter().any(is_taken);
    let captures = captures.into_iter().zip(0..);
    finished.extend(captures.filter(|(_, at)| !unfinished.contains(at)).map(|(it, _)| it));
    if let Some(draft) = json {
        let text = format!("{:#}\n", to_json(&report));
        match draft.file().and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => finished.push(draft),
            Err(error) => {
                let name = draft.name().display();
                faults.push(format!("{name}: it can't be written: {error}"));
            }
        }
    }
    if is_printed {
        let text = to_text(&report, None, usize::MAX);
        if let Err(error) = io::stdout().lock().write_all(text.as_bytes()) {
            faults.push(format!("the report can't be printed: {error}"));
        }
    }
    for draft in finished {
        // A slip in the name of a capture is no reason to lose what an earlier run found.
        let done = if is_nothing_read { drafts.finish_new(draft) } else { drafts.finish(draft) };
        faults.extend(done.err());
    }
    faults
}

pub(super) fn argument_fault(message: String) -> Fault {
    Fault { file: String::new(), line: None, message }
}

/// The arguments with their ports looked up; unknown ports are faults already.
fn places(
    snapshot: &Snapshot,
    arguments: &[PortFile],
) -> impl Iterator<Item = (PortIndex, PathBuf)> {
    let indexes: HashMap<&str, PortIndex> =
        snapshot.ports.iter().map(|port| port.name.as_str()).zip((0..).map(PortIndex)).collect();
    let place = |it: &PortFile| Some((*indexes.get(it.port.as_str())?, it.file.clone()));
    arguments.iter().filter_map(place).collect::<Vec<_>>().into_iter()
}

/// True for a pipe, a terminal or a device: what is written there is not kept.
fn is_special(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| !metadata.is_file())
}

/// What makes two paths the same file.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// A file that exists: device and inode, whatever the links to it.
    Inode(u64, u64),
    /// A file to be made: its directory, resolved, and its name.
    Path(PathBuf),
}

impl Identity {
    /// `None` for what can't be destroyed by writing twice: devices, pipes.
    fn of(file: &Path) -> Option<Self> {
        if let Ok(metadata) = fs::metadata(file) {
            return metadata.is_file().then(|| Self::Inode(metadata.dev(), metadata.ino()));
        }
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
        Some(Self::Path(parent.join(file.file_name()?)))
    }
}
