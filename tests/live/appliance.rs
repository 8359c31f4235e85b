//! linetap in the lab: `linetap up` in the appliance's namespace.

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::lab::{Lab, binary};
use crate::process::{Background, output, run, send_signal, wait_for};
use crate::report::Report;

/// `linetap up`, running. Killed when dropped.
pub(crate) struct Appliance<'lab> {
    lab: &'lab Lab,
    config: PathBuf,
    up: Background,
}

impl<'lab> Appliance<'lab> {
    /// Starts it with the lab's appliance file and a template, and waits until both wires and all
    /// neighbors of its targets are known.
    pub(crate) fn start(lab: &'lab Lab, template: &str) -> Self {
        let appliance = Self::start_unresolved(lab, template);
        wait_for("every target's neighbor", || {
            appliance.neighbor_macs().iter().all(Option::is_some)
        });
        appliance
    }

    /// Like [`Appliance::start`], without waiting for neighbors.
    pub(crate) fn start_unresolved(lab: &'lab Lab, template: &str) -> Self {
        let config = lab.run_dir().join("appliance.toml");
        let file = lab.file("mirror.yaml");
        fs::write(&file, template).unwrap();
        let mut command = lab.exec("appliance", binary("linetap").to_str().unwrap());
        command.arg("up").arg("--config").arg(&config).arg("--template").arg(&file);
        let up = Background::start(&mut command, &lab.file("up.log"));
        let mut appliance = Self { lab, config, up };
        wait_for("linetap to poll", || {
            assert!(appliance.up.is_running(), "linetap up ended:\n{}", appliance.up.log());
            appliance.try_status().is_some_and(|status| !status.0["live"].is_null())
        });
        appliance
    }

    fn try_status(&self) -> Option<Report> {
        let mut command = self.lab.exec("appliance", binary("linetap").to_str().unwrap());
        let output = output(command.args(["status", "--json", "--config"]).arg(&self.config));
        let json = output.status.success().then_some(output.stdout)?;
        Some(Report(serde_json::from_slice(&json).unwrap()))
    }

    /// The report now.
    pub(crate) fn status(&self) -> Report {
        self.try_status().unwrap_or_else(|| panic!("no status; linetap up says:\n{}", self.log()))
    }

    /// `linetap status` with these options; panics unless it succeeds.
    pub(crate) fn status_with(&self, options: &[&str]) -> String {
        let mut command = self.lab.exec("appliance", binary("linetap").to_str().unwrap());
        run(command.args(["status", "--config"]).arg(&self.config).args(options))
    }

    /// The report once no counter moves any more.
    pub(crate) fn settled(&self) -> Report {
        let mut last = self.status();
        wait_for("the counters to settle", || {
            // Longer than the workers take to publish.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            let now = self.status();
            let same = ["ports", "sessions"].iter().all(|part| now.0[part] == last.0[part]);
            last = now;
            same
        });
        last
    }

    /// The MAC address of each target's next hop, where it is known.
    pub(crate) fn neighbor_macs(&self) -> Vec<Option<String>> {
        let status = self.status();
        let neighbors = status.0["live"]["neighbors"].as_array().unwrap();
        neighbors.iter().map(|one| one["mac"].as_str().map(str::to_owned)).collect()
    }

    /// Has it read its files again.
    pub(crate) fn reload(&self) {
        send_signal(self.up.pid(), "HUP");
    }

    /// The process of that name that `linetap up` started.
    pub(crate) fn child(&self, name: &str) -> Option<u32> {
        // `ip netns exec` becomes the program: its pid is that of `linetap up`.
        let children = run(std::process::Command::new("ps").args([
            "-o",
            "pid=,comm=",
            "--ppid",
            &self.up.pid().to_string(),
        ]));
        // The kernel keeps 15 characters of a name.
        let name = &name[..name.len().min(15)];
        let line = children.lines().find(|line| line.trim().ends_with(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// All that it said.
    pub(crate) fn log(&self) -> String {
        self.up.log()
    }

    /// Ends it by a signal (`"INT"`, `"TERM"`).
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let status = self.up.end(signal);
        (status, self.up.log())
    }
}
