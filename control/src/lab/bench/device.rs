//! What is measured: any device between ports, or one that knows more about itself.

use std::process::{Command, Stdio};

use engine::units::Mac;
use traffic::trial::CopyPlan;

use super::appliance::witness::Witness;
use super::reconfiguration::Change;

/// Between which ports frames go, and what else is expected of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wiring {
    /// The sending and the receiving port of each stream, by their places in the setup.
    pub streams: Vec<(usize, usize)>,
    /// Copies that the device sends.
    pub copies: Option<CopyPlan>,
    /// Destination of the frames, where not the receiving port.
    pub destination_mac: Option<Mac>,
    /// Frames have this tag, whatever else is asked for.
    pub vlan: Option<u16>,
    /// The device only listens: of the frames, nothing comes back but their copies, and these count for them.
    pub is_tapped: bool,
}

/// A device under test. Its ports are open before [`Device::prepare`] and until the end.
pub trait Device {
    /// What it is: name and value, for the report.
    fn facts(&self) -> Vec<(String, String)>;

    /// The configurations in which it is measured one after the other, by name; one without a name where
    /// it is left as it is.
    fn stacks(&self) -> Vec<String> {
        vec![String::new()]
    }

    /// Puts it into one of its configurations. Errors: it can't be.
    fn prepare(&mut self, stack: &str) -> anyhow::Result<Wiring>;

    /// Who is asked after each trial what the device itself counted. Errors: it does not answer.
    fn witness(&mut self) -> anyhow::Result<Option<Witness>> {
        Ok(None)
    }

    /// What gives it another configuration while frames pass. `None`: nobody knows how.
    fn change(&mut self) -> Option<Box<Change<'_>>> {
        None
    }

    /// After all trials of a configuration: what the device says against itself, a sentence each.
    fn conclude(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Whatever is between two ports.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Frames go both ways at the same time.
    pub both_ways: bool,
    /// A command for the shell that gives it another configuration.
    pub reconfigure: Option<String>,
    /// Destination of the frames, where not the receiving port.
    pub destination_mac: Option<Mac>,
}

impl Device for Pair {
    fn facts(&self) -> Vec<(String, String)> {
        let ways = if self.both_ways { "both ways at the same time" } else { "from A to B" };
        let mut facts = vec![("frames go".to_owned(), ways.to_owned())];
        facts.extend(self.reconfigure.clone().map(|it| ("reconfigured by".to_owned(), it)));
        facts
    }

    fn prepare(&mut self, _stack: &str) -> anyhow::Result<Wiring> {
        let mut streams = vec![(0, 1)];
        if self.both_ways {
            streams.push((1, 0));
        }
        let destination_mac = self.destination_mac;
        Ok(Wiring { streams, destination_mac, ..Wiring::default() })
    }

    fn change(&mut self) -> Option<Box<Change<'_>>> {
        let command = self.reconfigure.clone()?;
        Some(Box::new(move || run(&command)))
    }
}

/// Runs a command in a shell, without input. Errors: what it said when it failed.
fn run(command: &str) -> Result<(), String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null());
    let output = shell.output().map_err(|error| format!("sh can't be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it said nothing");
    Err(format!("`{command}` failed ({}): {last}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_wired_one_way_or_both() {
        let mut pair = Pair { both_ways: false, reconfigure: None, destination_mac: None };
        assert_eq!(pair.prepare("").unwrap().streams, [(0, 1)]);
        assert!(pair.change().is_none());
        pair.both_ways = true;
        assert_eq!(pair.prepare("").unwrap().streams, [(0, 1), (1, 0)]);
    }

    #[test]
    fn a_command_changes_it_or_says_why_not() {
        let with = |command: &str| {
            let reconfigure = Some(command.to_owned());
            let mut pair = Pair { both_ways: false, reconfigure, destination_mac: None };
            let mut change = pair.change().unwrap();
            change()
        };
        assert_eq!(with("exit 0"), Ok(()));
        let why = with("echo no such rule >&2; exit 3").unwrap_err();
        assert!(why.contains("exit status: 3") && why.ends_with("no such rule"), "{why}");
    }
}
