//! The control daemon: sends the data plane what the appliance file and the template say.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use control::cloudformation::Assignment;
use control::config::Mode;
use control::daemon::{Failure, Places, Supply, run};
use control::health::EchoSockets;
use control::load::Sources;
use control::privilege::{Foothold, become_user, user_named};

/// The control daemon of linetap. Started by `linetap up`, or by a service manager.
///
/// SIGHUP makes it read both files again.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The appliance file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The `CloudFormation` template, YAML or JSON; with `[api]` in the appliance file none is
    /// needed.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Give a parameter of the template a value.
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<Assignment>,
    /// The data plane's socket [default: dataplane.sock in the appliance file's `run_dir`].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where the API's socket is made, in place of the appliance file's `run_dir`.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Where the API keeps its store, in place of the appliance file's `state_dir`.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Become this user at once; only root can.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Take the files' texts from standard input; end with it.
    #[arg(long, hide = true)]
    fed: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let arguments = Arguments::parse();
    // What takes rights is had before they are given up.
    let echo = Some(EchoSockets::open());
    let foothold = match become_unprivileged(&arguments) {
        Ok(foothold) => foothold,
        Err(why) => {
            eprintln!("linetapd: {why}");
            return ExitCode::FAILURE;
        }
    };
    let supply = if arguments.fed { Supply::StandardInput } else { Supply::Files };
    let sources = Sources {
        config: arguments.config.clone(),
        template: arguments.template.clone().unwrap_or_default(),
        parameters: arguments.parameters.clone(),
        mode: Mode::Online,
    };
    let Arguments { socket, run_dir, state_dir, .. } = arguments;
    let places = Places { socket, foothold, run_dir, state_dir, echo };
    match run(&sources, places, supply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(if matches!(failure, Failure::Files(_)) { 2 } else { 1 })
        }
    }
}

/// Becomes the user that was asked for. The socket stays in reach: its directory is opened before.
fn become_unprivileged(arguments: &Arguments) -> Result<Option<Foothold>, String> {
    let Some(name) = &arguments.user else { return Ok(None) };
    let user = user_named(name).map_err(|why| format!("--user {name}: {why}"))?;
    let foothold = arguments.socket.as_ref().map(|socket| {
        Foothold::beside(socket).map_err(|error| format!("--socket {}: {error}", socket.display()))
    });
    let foothold = foothold.transpose()?;
    become_user(&user).map_err(|error| format!("--user {name}: {error}; only root can"))?;
    Ok(foothold)
}
