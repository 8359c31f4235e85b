//! The two files that a person writes, read together into one snapshot.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::neighbors::Neighbors;
use engine::rule_table::CompiledTable;
use engine::snapshot::Snapshot;
use engine::view::View;

use crate::cloudformation::{self, Assignment, TEMPLATE_BYTES_MAX, Template};
use crate::compile::{compile, faults_among};
use crate::config::{self, Appliance, Mode};
use crate::fault::{Fault, FaultSink, Faults};
use crate::model::{Model, ModelFault};

/// The largest appliance file that is read.
const CONFIG_BYTES_MAX: u64 = 64 << 20;

/// A template without objects.
const EMPTY_TEMPLATE: &str = "Resources: {}";

/// What to read, and for which purpose.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The appliance file.
    pub config: PathBuf,
    /// The template; an empty path stands for one without objects.
    pub template: PathBuf,
    /// `--parameter`.
    pub parameters: Vec<Assignment>,
    /// Live, or on capture files.
    pub mode: Mode,
}

/// Both files, without a fault.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The appliance file.
    pub appliance: Appliance,
    /// The template's objects.
    pub model: Model,
    /// What the data plane gets.
    pub snapshot: Snapshot,
    /// Where each object stands in the template, by its id.
    pub lines: HashMap<String, u32>,
}

/// Reads both files and compiles them. Errors: every fault of both, as far as they can be read.
pub fn load(sources: &Sources, epoch: u64) -> Result<Loaded, Faults> {
    load_with(sources, epoch, |_| Vec::new())
}

/// As [`load`], with the faults of arguments that name what the appliance file has: `judge` gives
/// them as soon as that file could be read, whatever the template. They come first.
pub fn load_with(
    sources: &Sources,
    epoch: u64,
    judge: impl FnOnce(&Appliance) -> Vec<Fault>,
) -> Result<Loaded, Faults> {
    let sinks = Sinks::of(sources);
    let config = read_text(&sources.config, CONFIG_BYTES_MAX, &sinks.config);
    let template = read_template(sources, &sinks.template);
    let mut of_arguments = Vec::new();
    let judge = |appliance: &Appliance| of_arguments = judge(appliance);
    let loaded = sinks.judge(config.as_deref(), template.as_deref(), sources, epoch, judge);
    Faults(of_arguments).and(loaded)
}

/// The texts of both files. Errors: those that can't be read.
pub fn read_texts(sources: &Sources) -> Result<(String, String), Faults> {
    let sinks = Sinks::of(sources);
    let config = read_text(&sources.config, CONFIG_BYTES_MAX, &sinks.config);
    let template = read_template(sources, &sinks.template);
    match (config, template) {
        (Some(config), Some(template)) => Ok((config, template)),
        _ => Err(sinks.into_faults()),
    }
}

/// The text of an appliance file. Errors: it can't be read.
pub fn read_config(config: &Path) -> Result<String, Faults> {
    let sink = FaultSink::new(config.display().to_string());
    read_text(config, CONFIG_BYTES_MAX, &sink).ok_or_else(|| Faults(sink.into_faults()))
}

/// Compiles the texts of both files; `sources` names them. Pure. Errors: as of [`load`].
pub fn from_texts(
    config: &str,
    template: &str,
    sources: &Sources,
    epoch: u64,
) -> Result<Loaded, Faults> {
    Sinks::of(sources).judge(Some(config), Some(template), sources, epoch, |_| ())
}

/// Reads a template alone. `judge` gives faults of its objects beside those that they have among
/// themselves. Errors: every fault, as far as the template can be read.
pub fn load_template(
    path: &Path,
    parameters: &[Assignment],
    judge: impl FnOnce(&Model) -> Vec<ModelFault>,
) -> Result<Model, Faults> {
    let sink = FaultSink::new(path.display().to_string());
    let text = read_text(path, TEMPLATE_BYTES_MAX, &sink);
    let template = text.and_then(|text| cloudformation::read(&text, parameters, &sink));
    if let Some(template) = &template {
        for fault in faults_among(&template.model).iter().chain(&judge(&template.model)) {
            template.note(fault, &sink);
        }
    }
    match template {
        Some(template) if sink.is_empty() => Ok(template.model),
        _ => Err(Faults(sink.into_faults())),
    }
}

/// The faults of both files.
struct Sinks {
    config: FaultSink,
    template: FaultSink,
}

impl Sinks {
    fn of(sources: &Sources) -> Self {
        Self {
            config: FaultSink::new(sources.config.display().to_string()),
            template: FaultSink::new(sources.template.display().to_string()),
        }
    }

    /// Reads what texts there are, and compiles them if there are both. `see` is shown the
    /// appliance file, faulty or not.
    fn judge(
        self,
        config: Option<&str>,
        template: Option<&str>,
        sources: &Sources,
        epoch: u64,
        see: impl FnOnce(&Appliance),
    ) -> Result<Loaded, Faults> {
        let appliance = config.map(|text| config::read(text, sources.mode, &self.config));
        if let Some(appliance) = &appliance {
            see(appliance);
        }
        let template = template
            .and_then(|text| cloudformation::read(text, &sources.parameters, &self.template));
        let snapshot = match (&appliance, &template) {
            (Some(appliance), Some(template)) => join(appliance, template, epoch, &self.template),
            _ => None,
        };
        let faults = self.into_faults();
        match (appliance, template, snapshot) {
            (Some(appliance), Some(template), Some(snapshot)) if faults.0.is_empty() => {
                let (model, lines) = template.into_model_and_lines();
                Ok(Loaded { appliance, model, snapshot, lines })
            }
            _ => Err(faults),
        }
    }

    fn into_faults(self) -> Faults {
        let mut faults = self.config.into_faults();
        faults.extend(self.template.into_faults());
        Faults(faults)
    }
}

impl Loaded {
    /// Has the data plane's own compiler judge the snapshot. Errors: what it has against it, although
    /// the files' own checks let it pass.
    pub fn prove(&self) -> Result<(), Faults> {
        let neighbors = Neighbors::offline(&self.snapshot);
        let view = View::<CompiledTable>::compile(&self.snapshot, &neighbors);
        view.map(drop).map_err(Faults::of_arguments)
    }
}

/// Compiles the two, and notes what is wrong between them.
fn join(
    appliance: &Appliance,
    template: &Template,
    epoch: u64,
    sink: &FaultSink,
) -> Option<Snapshot> {
    match compile(appliance, &template.model, epoch) {
        Ok(snapshot) => Some(snapshot),
        Err(faults) => {
            for fault in faults {
                // An id that seems unknown may be the one that could not be read.
                if !fault.unknown_in.is_some_and(|list| appliance.incomplete.contains(&list)) {
                    template.note(&fault, sink);
                }
            }
            None
        }
    }
}

fn read_template(sources: &Sources, sink: &FaultSink) -> Option<String> {
    if sources.template.as_os_str().is_empty() {
        return Some(EMPTY_TEMPLATE.to_owned());
    }
    read_text(&sources.template, TEMPLATE_BYTES_MAX, sink)
}

/// A whole text file of limited size. Notes why it can't be read.
fn read_text(path: &Path, bytes_max: u64, sink: &FaultSink) -> Option<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        sink.add(0, format!("it can't be read: {error}; name a readable file"));
        return None;
    }
    if bytes.len() as u64 > bytes_max {
        sink.add(0, format!("it is larger than {} MiB; split it", bytes_max >> 20));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.split(|&byte| byte == b'\n').count();
            let line = u32::try_from(line).unwrap_or(0);
            sink.add(line, format!("the byte at {at} is not UTF-8; save the file as UTF-8"));
            None
        }
    }
}
