//! `linetapd` with an API, in a folder of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::process::Background;

/// Writes what only its owner may read.
pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes an appliance file, `c.toml`, with all places in this folder and these lines in `[api]`; and
/// the file of keys.
pub(crate) fn put(dir: &Path, api: &str, config: &str, keys: &str) {
    let path = dir.display();
    let ours = format!(
        "[appliance]\nstate_dir = \"{path}\"\nrun_dir = \"{path}\"\n\
         [api]\nkeys = \"{path}/keys.toml\"\n{api}"
    );
    fs::write(dir.join("c.toml"), ours + config).unwrap();
    private(&dir.join("keys.toml"), keys);
}

/// The daemon over those files and the data plane at `dp.sock`.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linetapd"));
    command.current_dir(dir).args(["--config", "c.toml", "--socket", "dp.sock"]);
    command
}

/// Starts it, and waits until it listens on so many addresses.
pub(crate) fn start(dir: &Path, more: &[&str], addresses: usize) -> Background {
    let daemon = Background::start(command(dir).args(more), &dir.join("log"));
    daemon.wait_for("the API listens on", addresses);
    daemon
}
