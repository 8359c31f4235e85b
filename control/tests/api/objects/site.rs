//! A running `linetapd` and the command `linetap` beside it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::linetapd::{self, private};
use crate::common::process::Background;
use crate::common::stand_in::StandIn;
use crate::common::{CONFIG, with};

pub(crate) const KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// May only describe.
pub(crate) const READER: &str = "AKIDREADER";
/// Of the keys and of the socket, so that all ways lead to the same objects.
const ACCOUNT: &str = "111111111111";

/// The load balancer of the appliance file.
pub(crate) const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/nlb/0123456789abcdef";

pub(crate) struct Site {
    pub(crate) dir: TempDir,
    _daemon: Background,
    _stand_in: StandIn,
    /// URLs of HTTP and HTTPS.
    pub(crate) http: String,
    pub(crate) https: String,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let status = output.status.code().unwrap();
        Self { status, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What it printed, given that all went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What it complained of, given that it failed so.
    pub(crate) fn failed(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.err
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// A certificate for the loopback address that is its own authority, and its key.
pub(crate) fn certify(dir: &Path) {
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    private(&dir.join("tls.key"), &key.serialize_pem());
    fs::write(dir.join("tls.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
}

impl Site {
    /// Starts the daemon with a template.
    pub(crate) fn start(template: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let folder = path.display();
        certify(path);
        let api = format!(
            "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\naccount = \"{ACCOUNT}\"\n\
             certificate = \"{folder}/tls.pem\"\nprivate_key = \"{folder}/tls.key\"\n"
        );
        fs::write(path.join("t.yaml"), template).unwrap();
        let key = |id: &str, access: &str| {
            format!(
                "[[key]]\nid = \"{id}\"\nsecret = \"{SECRET}\"\naccount = \"{ACCOUNT}\"\n\
                 access = \"{access}\"\n"
            )
        };
        let keys = key(KEY, "read-write") + &key(READER, "read-only");
        linetapd::put(path, &api, &with(CONFIG, "arn:nlb", BALANCER), &keys);
        let stand_in = StandIn::start(&path.join("dp.sock"));
        let daemon = linetapd::start(path, &["--template", "t.yaml"], 2);
        let log = daemon.log();
        let addresses: Vec<&str> = log.split("the API listens on ").skip(1).collect();
        let address = |at: usize| addresses[at].split_whitespace().next().unwrap();
        let (http, https) = (format!("http://{}", address(0)), format!("https://{}", address(1)));
        Self { dir, _daemon: daemon, _stand_in: stand_in, http, https }
    }

    /// `linetap` without anything of the person who runs the test.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linetap"));
        command.env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command
    }

    /// Runs it with these variables, apart from the socket.
    pub(crate) fn with(&self, set: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = self.command();
        command.envs(set.iter().copied()).args(arguments);
        Said::of(&command.output().unwrap())
    }

    /// Runs it by the socket; the arguments are words divided by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Said {
        let mut command = self.command();
        command.args(arguments.split(' ')).args(["--socket", "api/api.sock"]);
        Said::of(&command.output().unwrap())
    }
}
