//! `linetapd` with an API in a folder of its own, and the commands that ask it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::CONFIG;
use crate::common::linetapd;
use crate::common::process::Background;
use crate::common::stand_in::StandIn;

pub(crate) struct Site {
    dir: TempDir,
    pub(crate) dataplane: StandIn,
    pub(crate) daemon: Background,
}

/// What a command did: its exit status, and what it said on both ways.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Site {
    /// Starts it, with `more` in the appliance file and a template if one is given.
    pub(crate) fn start(more: &str, template: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        linetapd::put(path, &format!("listen = \"127.0.0.1:0\"\n{more}"), CONFIG, "");
        fs::write(path.join("start.yaml"), template.unwrap_or("Resources: {}")).unwrap();
        let dataplane = StandIn::start(&path.join("dp.sock"));
        let daemon = daemon(path);
        Self { dir, dataplane, daemon }
    }

    /// Starts the daemon again, after it has ended.
    pub(crate) fn restart(&mut self) {
        self.daemon = daemon(self.dir.path());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A command that asks the API.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linetap"));
        command.current_dir(self.dir.path()).args(arguments);
        command.args(["--socket", "api/api.sock"]);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        done(&mut self.command(arguments))
    }

    /// What a command says that has to succeed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{arguments:?}: {}", done.out);
        done.out
    }

    /// `linetap check` of a template.
    pub(crate) fn check(&self, template: &str) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linetap"));
        command.current_dir(self.dir.path());
        done(command.args(["check", "--config", "c.toml", "--template", template]))
    }
}

fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn daemon(dir: &Path) -> Background {
    linetapd::start(dir, &["--template", "start.yaml"], 1)
}
