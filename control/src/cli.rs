//! The command `linetap`: one for everything that a person does.

mod arguments;
mod devices;
mod endpoint;
mod apply;
mod bench;
mod capture;
mod check;
mod completion;
mod descriptors;
mod explain;
mod export;
mod mirror;
mod objects;
mod replay;
mod status;
mod up;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::cloudformation::{Assignment, BadAssignment};
use crate::config::Mode;
use crate::fault::Faults;
use crate::lab::TrafficError;
use crate::load::Sources;

/// A traffic-mirroring appliance: VPC Traffic Mirroring for wires you own.
#[derive(Debug, Parser)]
#[command(name = "linetap", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell whether an appliance file and a template are right, what they amount to, and which rules
    /// can never match.
    Check(check::Check),
    /// Mirror capture files: the whole engine, without devices.
    Mirror(mirror::Mirror),
    /// Tell why a packet is mirrored, or not: every rule that was asked, and the copy.
    Explain(explain::Explain),
    /// Make, by the API, what a template says: show what has to be changed, then change it.
    Apply(apply::Apply),
    /// Print what there is, by the API, as a template that says the same.
    Export(export::Export),
    /// Start the appliance in the foreground; SIGHUP reads the files again, SIGINT or SIGTERM stops.
    Up(up::Up),
    /// Show what the running appliance does.
    Status(status::Status),
    /// Make, change, list and delete mirror targets: where copies go.
    Target(objects::Target),
    /// Make, change, list and delete mirror filters: what is mirrored.
    Filter(objects::Filter),
    /// Make, change, list and delete rules of filters.
    Rule(objects::Rule),
    /// Make, change, list and delete mirror sessions: whose packets go where, by which filter.
    Session(objects::Session),
    /// List tools, and add, change, drain and remove the members that share the flows of one.
    Tool(objects::Tool),
    /// Put captures on a wire: at their own times, at a rate, or as fast as it goes.
    Replay(Box<replay::Replay>),
    /// Measure what a device between two ports carries without loss, and at what latency.
    Bench(Box<bench::Bench>),
    /// Record what ports receive.
    Capture(Box<capture::Capture>),
    /// Print what makes a shell complete these arguments.
    Completion(completion::Completion),
}

/// The two files.
#[derive(Debug, Args)]
struct Files {
    /// The appliance file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The CloudFormation template, YAML or JSON.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// Give a parameter of the template a value.
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

impl Files {
    /// What to read, and what is wrong with the arguments: to be told with the files' faults.
    fn sources(&self, mode: Mode) -> (Sources, Faults) {
        let (parameters, faults) = assignments(&self.parameters);
        let (config, template) = (self.config.clone(), self.template.clone());
        (Sources { config, template, parameters, mode }, faults)
    }
}

/// The values of `--parameter`, and what is wrong with them.
fn assignments(texts: &[String]) -> (Vec<Assignment>, Faults) {
    let mut faults = Vec::new();
    let mut parameters: Vec<Assignment> = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(parameter) => parameters.push(parameter),
            Err(BadAssignment(text)) => faults.push(format!(
                "--parameter {text}: it is not KEY=VALUE; name a parameter of the template and its \
                 value"
            )),
        }
    }
    (parameters, Faults::of_arguments(faults))
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// What was asked for is wrong; nothing was done. Exit status 2.
    Usage(Faults),
    /// Something went wrong on the way. Exit status 1.
    Runtime(anyhow::Error),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Usage(faults)
    }
}

impl From<TrafficError> for Failure {
    fn from(error: TrafficError) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

/// Runs the command of this process's arguments. The exit status is 0 when all was done, 1 after a
/// fault at run time, 2 when arguments, appliance file or template are wrong.
pub fn run() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Check(check) => check.run(),
        Command::Mirror(mirror) => mirror.run(),
        Command::Explain(explain) => explain.run(),
        Command::Apply(apply) => apply.run(),
        Command::Export(export) => export.run(),
        Command::Up(up) => up.run(),
        Command::Status(status) => status.run(),
        Command::Target(target) => target.run(),
        Command::Filter(filter) => filter.run(),
        Command::Rule(rule) => rule.run(),
        Command::Session(session) => session.run(),
        Command::Tool(tool) => tool.run(),
        Command::Replay(replay) => replay.run(),
        Command::Bench(bench) => bench.run(),
        Command::Capture(capture) => capture.run(),
        Command::Completion(completion) => {
            completion.run();
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(faults)) => {
            complain(&faults);
            ExitCode::from(2)
        }
        Err(Failure::Runtime(error)) => {
            complain(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints for people and programs. Who does not listen any more misses nothing.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// Tells what is wrong.
fn complain(what: &dyn fmt::Display) {
    // At once: standard error has no buffer of its own, and there may be thousands of faults.
    let _ = io::stderr().lock().write_all(format!("{what}\n").as_bytes());
}
