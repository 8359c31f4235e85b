//! `linetap up`: both processes in the foreground, started again when they die.

mod running;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;
use nix::unistd::{Uid, User};

use super::{Failure, Files};
use crate::config::{API_SOCKET_NAME, Mode, SOCKET_NAME};
use crate::daemon::{STORE_NAME, Texts};
use crate::fault::Faults;
use crate::link::Dataplane;
use crate::load::{self, Loaded, Sources};
use crate::privilege::user_named;
use crate::sibling::sibling;
use running::Running;

/// The data plane's state file in `state_dir`.
const STATE_NAME: &str = "snapshot";
/// The user that linetapd becomes when nobody is named.
const USER_DEFAULT: &str = "nobody";

/// The command line of `linetap up`.
#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    files: Files,
    /// Where the socket is made, in place of the appliance file's `run_dir`.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Where the data plane keeps its state, in place of the appliance file's `state_dir`.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The user that linetapd runs as [default: nobody, when started by root].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl Up {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (sources, faults) = self.files.sources(Mode::Online);
        let (texts, loaded) = faults.and(read(&sources))?;
        let identity = identity(self.user.as_deref())?;
        let run_dir = self.run_dir.as_ref().unwrap_or(&loaded.appliance.run_dir);
        let state_dir = self.state_dir.as_ref().unwrap_or(&loaded.appliance.state_dir);
        make_run_dir(run_dir, identity.as_ref())?;
        make_dir(state_dir, 0o700)?;
        if loaded.appliance.api.is_some() {
            let_in(state_dir, identity.as_ref())?;
            make_own_dir(&run_dir.join(API_SOCKET_NAME), 0o755, identity.as_ref())?;
            make_own_dir(&state_dir.join(STORE_NAME), 0o700, identity.as_ref())?;
        }
        let socket = run_dir.join(SOCKET_NAME);
        if let Ok(other) = Dataplane::connect(&socket) {
            let message = format!(
                "a data plane, process {}, serves {} already: stop it, or choose another run_dir",
                other.pid,
                socket.display()
            );
            return Err(Failure::Runtime(anyhow::Error::msg(message)));
        }
        let state = state_dir.join(STATE_NAME);
        forget(&state)?;
        let dataplane = dataplane_command(&socket, &state, identity.as_ref())?;
        let mut daemon = daemon_command(&self.files, &socket, identity.as_ref())?;
        daemon.arg("--run-dir").arg(run_dir).arg("--state-dir").arg(state_dir);
        Running::start(sources, texts, socket, dataplane, daemon)?.begin(loaded.snapshot)?.watch()
    }
}

/// Reads and judges both files, as the data plane will.
fn read(sources: &Sources) -> Result<(Texts, Loaded), Faults> {
    let (config, template) = load::read_texts(sources)?;
    let loaded = load::from_texts(&config, &template, sources, 1)?;
    loaded.prove()?;
    Ok((Texts { config, template }, loaded))
}

/// Whom linetapd becomes; `None` when it stays who we are.
fn identity(user: Option<&str>) -> Result<Option<User>, Failure> {
    if !Uid::effective().is_root() {
        let message = "--user: only root can start linetapd as another user; leave it out";
        return user.map_or(Ok(None), |_| Err(Faults::of_arguments([message.to_owned()]).into()));
    }
    let name = user.unwrap_or(USER_DEFAULT);
    match user_named(name) {
        Ok(user) => Ok(Some(user)),
        Err(why) => Err(Faults::of_arguments([format!("--user {name}: {why}")]).into()),
    }
}

/// Makes the directory of the socket, and lets linetapd enter it: it is ours.
fn make_run_dir(dir: &Path, user: Option<&User>) -> Result<(), Failure> {
    make_dir(dir, 0o755)?;
    let_in(dir, user)
}

/// Makes the directory of a file that is linetapd's own.
fn make_own_dir(file: &Path, mode: u32, user: Option<&User>) -> Result<(), Failure> {
    let Some(dir) = file.parent() else { return Ok(()) };
    make_dir(dir, mode)?;
    let Some(user) = user else { return Ok(()) };
    let owned = chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    Ok(owned.with_context(|| format!("{} can't be given to {}", dir.display(), user.name))?)
}

/// Lets linetapd find what is its own in a directory, and nothing else.
fn let_in(dir: &Path, user: Option<&User>) -> Result<(), Failure> {
    const SEARCH_OTHERS: u32 = 0o001;
    const SEARCH_GROUP: u32 = 0o010;
    let Some(user) = user else { return Ok(()) };
    let context = || format!("the directory {} can't be opened to {}", dir.display(), user.name);
    let metadata = fs::metadata(dir).with_context(context)?;
    let mut permissions = metadata.permissions();
    if permissions.mode() & SEARCH_OTHERS == 0 && metadata.uid() != user.uid.as_raw() {
        chown(dir, None, Some(user.gid.as_raw())).with_context(context)?;
        permissions.set_mode(permissions.mode() | SEARCH_GROUP);
        fs::set_permissions(dir, permissions).with_context(context)?;
    }
    Ok(())
}

fn make_dir(dir: &Path, mode: u32) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
    Ok(made.with_context(|| format!("the directory {} can't be made", dir.display()))?)
}

/// Takes away what an earlier data plane was configured with, and what waited for its restart: the
/// files of now decide.
fn forget(state: &Path) -> Result<(), Failure> {
    for file in [state.to_owned(), state.with_extension("restart")] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let context = format!("the old state {} can't be removed", file.display());
                return Err(anyhow::Error::new(error).context(context).into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn dataplane_command(socket: &Path, state: &Path, user: Option<&User>) -> anyhow::Result<Command> {
    let mut command = Command::new(sibling("linetap-dataplane")?);
    command.arg("--socket").arg(socket).arg("--state").arg(state).arg("--until-input-ends");
    if let Some(user) = user {
        command.arg("--control-uid").arg(user.uid.to_string());
    }
    Ok(command)
}

fn daemon_command(files: &Files, socket: &Path, user: Option<&User>) -> anyhow::Result<Command> {
    let mut command = Command::new(sibling("linetapd")?);
    command.arg("--config").arg(&files.config).arg("--template").arg(&files.template);
    for parameter in &files.parameters {
        command.arg("--parameter").arg(parameter);
    }
    command.arg("--socket").arg(socket).arg("--fed");
    if let Some(user) = user {
        command.arg("--user").arg(&user.name);
    }
    Ok(command)
}
