//! A server on a free port, with a stand-in behind it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use control::config::{Api, Limits, Listen};
use control::ec2::auth::Keyring;
use control::ec2::caller::Caller;
use control::ec2::endpoint::{Answer, Endpoint, Params};
use control::server::{Handle, ServeError, serve};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const READ_SECRET: &str = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";
/// Somebody who may do everything, and somebody who may describe.
pub(crate) const WRITER: (&str, &str) = ("AKIDEXAMPLE", SECRET);
pub(crate) const READER: (&str, &str) = ("AKIDREADER", READ_SECRET);
/// How long the slow action takes.
pub(crate) const SLOW: Duration = Duration::from_millis(700);
pub(crate) const MADE: &str = "tmf-0123456789abcdef0";

/// What the stand-in was asked: who, and what.
pub(crate) type Asked = Arc<Mutex<Vec<(Caller, Params)>>>;

struct StandIn(Asked);

impl Endpoint for StandIn {
    fn answer(&self, caller: &Caller, params: &Params, request_id: &str) -> Answer {
        self.0.lock().unwrap().push((caller.clone(), params.clone()));
        let action = params.0.iter().find(|(name, _)| name == "Action");
        let action = action.map_or("", |(_, action)| action.as_str());
        let content = match action {
            "DescribeTags" => "<tagSet/>".to_owned(),
            "DescribeSlowly" => {
                sleep(SLOW);
                String::new()
            }
            "CreateTrafficMirrorFilter" => format!(
                "<trafficMirrorFilter><trafficMirrorFilterId>{MADE}</trafficMirrorFilterId>\
                 </trafficMirrorFilter>"
            ),
            "DescribePanic" => panic!("as asked"),
            "DescribeAtLength" => "<x>y</x>".repeat(2 << 20),
            _ => {
                let body = "<Response><Errors><Error><Code>InvalidAction</Code><Message/></Error>\
                            </Errors></Response>";
                return Answer { status: 400, body: body.to_owned() };
            }
        };
        let body = format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>{request_id}</requestId>{content}</{action}Response>"
        );
        Answer { status: 200, body }
    }
}

/// A running server, its files and what it was asked.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) config: Api,
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) asked: Asked,
}

pub(crate) fn keys_file() -> String {
    format!(
        "[[key]]\nid = \"{}\"\nsecret = \"{SECRET}\"\naccount = \"111111111111\"\n\
         access = \"read-write\"\n\n[[key]]\nid = \"{}\"\nsecret = \"{READ_SECRET}\"\n\
         account = \"222222222222\"\naccess = \"read-only\"\n",
        WRITER.0, READER.0
    )
}

/// A folder with keys, and a configuration on a free port.
pub(crate) fn draft() -> (TempDir, Api) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let config = Api {
        listen: vec![Listen { address: ([127, 0, 0, 1], 0).into(), tls: false }],
        socket: path("api.sock"),
        account: "333333333333".to_owned(),
        region: None,
        keys: path("keys.toml"),
        audit: path("audit.jsonl"),
        tls: None,
        limits: Limits::default(),
    };
    put_private(&config.keys, &keys_file());
    (dir, config)
}

pub(crate) fn put_private(path: &PathBuf, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Api)) -> Self {
        Self::try_with(change).unwrap()
    }

    pub(crate) fn try_with(change: impl FnOnce(&mut Api)) -> Result<Self, ServeError> {
        let (dir, mut config) = draft();
        change(&mut config);
        let keys = Keyring::read(&config.keys).unwrap();
        let asked = Asked::default();
        let handle = serve(&config, keys, Arc::new(StandIn(Arc::clone(&asked))))?;
        let address = handle.addresses()[0];
        Ok(Self { dir, config, address, handle, asked })
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The audit log, a value per line.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.config.audit).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
