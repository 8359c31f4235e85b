//! Suricata as a consumer of copies, or as the judge of what there is to be found.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab::Lab;
use crate::process::{Background, run};

/// The whole configuration that Suricata needs for linetap's copies.
fn config(dir: &Path, filter: &str, checks_sums: bool) -> String {
    let checks = if checks_sums { "yes" } else { "no" };
    format!(
        "%YAML 1.1
---
vars:
  address-groups: {{HOME_NET: any, EXTERNAL_NET: any}}
  port-groups: {{}}
default-log-dir: {dir}
af-packet:
  - interface: mirror0
    cluster-id: 99
    cluster-type: cluster_flow
    defrag: yes
    use-mmap: yes
    ring-size: 20000
    bpf-filter: {filter}
    checksum-checks: {checks}
decoder:
  vxlan: {{enabled: true, ports: '4789'}}
# linetap strips VLAN tags: they must not make two flows of one elsewhere.
vlan: {{use-for-tracking: false}}
stream: {{midstream: true, checksum-validation: {checks}}}
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [alert, stats]
stats: {{enabled: yes, interval: 1}}
app-layer:
  protocols:
    dns: {{tcp: {{enabled: yes}}, udp: {{enabled: yes}}}}
    ftp: {{enabled: yes}}
    http: {{enabled: yes}}
    quic: {{enabled: yes}}
    ssh: {{enabled: yes}}
    tls: {{enabled: yes}}
unix-command: {{enabled: no}}
",
        dir = dir.display()
    )
}

/// Suricata, running on the tool's interface.
pub(crate) struct Suricata {
    process: Background,
    eve: PathBuf,
}

impl Suricata {
    /// Starts one for the packets of a capture filter; it is called `name`.
    pub(crate) fn start(
        lab: &Lab,
        name: &str,
        filter: &str,
        checks_sums: bool,
        rules: &str,
    ) -> Self {
        let dir = furnish(lab, name, filter, checks_sums, rules);
        let mut command = lab.exec("tool", "suricata");
        command.args(arguments(&dir)).arg("--af-packet=mirror0");
        let process = Background::start(&mut command, &lab.file(&format!("{name}.out")));
        Self { process, eve: dir.join("eve.json") }
    }

    /// Waits until it reads packets.
    pub(crate) fn wait_until_ready(&mut self) {
        self.process.wait_for_log("Engine started");
    }

    fn stats(&self) -> Option<Value> {
        events(&self.eve).into_iter().rfind(|event| event["event_type"] == "stats")
    }

    /// VXLAN packets so far, up to a second ago.
    pub(crate) fn decapsulated(&self) -> u64 {
        let stats = self.stats();
        stats.and_then(|stats| stats["stats"]["decoder"]["vxlan"].as_u64()).unwrap_or(0)
    }

    /// Ends it and returns the alerts and the final counters.
    pub(crate) fn finish(mut self) -> (Vec<Value>, Value) {
        let status = self.process.end("INT");
        assert!(status.success(), "{}", self.process.log());
        (alerts(&self.eve), self.stats().unwrap()["stats"].take())
    }
}

/// The alerts that one Suricata raises on a capture.
pub(crate) fn alerts_on(lab: &Lab, capture: &Path, rules: &str) -> Vec<Value> {
    let dir = furnish(lab, "judge", "udp", false, rules);
    let mut command = lab.exec("tool", "suricata");
    run(command.args(arguments(&dir)).arg("-r").arg(capture));
    alerts(&dir.join("eve.json"))
}

/// A directory with what a Suricata needs.
fn furnish(lab: &Lab, name: &str, filter: &str, checks_sums: bool, rules: &str) -> PathBuf {
    let dir = lab.file(name);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("linetap.rules"), rules).unwrap();
    fs::write(dir.join("suricata.yaml"), config(&dir, filter, checks_sums)).unwrap();
    dir
}

fn arguments(dir: &Path) -> Vec<PathBuf> {
    let (config, rules) = (dir.join("suricata.yaml"), dir.join("linetap.rules"));
    let words = ["-c".into(), config, "-S".into(), rules, "--runmode=single".into()];
    [words.as_slice(), &["-l".into(), dir.to_owned()]].concat()
}

fn events(eve: &Path) -> Vec<Value> {
    let eve = fs::read_to_string(eve).unwrap_or_default();
    eve.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn alerts(eve: &Path) -> Vec<Value> {
    events(eve).into_iter().filter(|event| event["event_type"] == "alert").collect()
}
