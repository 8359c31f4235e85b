//! The EC2 API on a live wire, by a real client.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use crate::appliance::Appliance;
use crate::lab::{Lab, project};
use crate::process::run;

const ENDPOINT: &str = "127.0.0.1:8440";
/// Whom `linetap up` lets linetapd be.
const NOBODY: u32 = 65_534;

/// How often a rule is taken away and added; `LINETAP_API_TIMES` makes it more.
fn times() -> String {
    env::var("LINETAP_API_TIMES").unwrap_or_else(|_| "100".to_owned())
}

/// The Python that has boto3: of the virtual environment that `LINETAP_CLIENTS` names.
fn python() -> Option<PathBuf> {
    let clients = env::var_os("LINETAP_CLIENTS");
    if clients.is_none() {
        eprintln!("LINETAP_CLIENTS names no virtual environment: no client is run");
    }
    clients.map(|clients| PathBuf::from(clients).join("bin/python"))
}

#[test]
fn when_a_call_returns_the_next_packet_obeys_it() {
    let Some(python) = python() else { return };
    let Some(lab) = Lab::raise(&[]) else { return };
    let keys = lab.run_dir().join("keys.toml");
    let key = "[[key]]\nid = \"AKIDEXAMPLE\"\nsecret = \"secret-of-the-example-key\"\n\
               account = \"111111111111\"\naccess = \"read-write\"\n";
    fs::write(&keys, key).unwrap();
    fs::set_permissions(&keys, Permissions::from_mode(0o600)).unwrap();
    chown(&keys, Some(NOBODY), None).unwrap();
    let api = format!(
        "[api]\nlisten = [\"{ENDPOINT}\"]\naccount = \"111111111111\"\nkeys = \"{}\"\n\n",
        keys.display()
    );
    lab.edit_appliance("[dataplane]", &format!("{api}[dataplane]"));
    let appliance = Appliance::start_unresolved(&lab, "Resources: {}\n");

    let script = project().join("tests/live/api_walk.py");
    let mut walk = lab.exec("appliance", python.to_str().unwrap());
    walk.arg(script).args([lab.name(), &format!("http://{ENDPOINT}"), &times()]);
    eprint!("{}", run(&mut walk));

    appliance.settled().assert_conservation();
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
}
