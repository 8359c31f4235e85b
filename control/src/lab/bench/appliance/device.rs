//! The appliance as a [`Device`]: one process, which has one configuration after the other.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use engine::snapshot::Snapshot;
use tempfile::TempDir;
use traffic::setup::PortSetup;
use traffic::trial::CopyPlan;

use super::dataplane::Measured;
pub use super::dataplane::SelfError;
use super::stacks::{MTU, PORTS, Place, STACKS, STATION, Stack, VLAN, VXLAN_PORT, named};
use super::witness::Witness;
use crate::lab::Interrupt;
use crate::lab::bench::device::{Device, Wiring};
use crate::lab::bench::reconfiguration::Change;

/// A change under load is so many configurations, one after the other, each in its share of this time.
const CHANGES: u32 = 20;
const CHANGES_TAKE: Duration = Duration::from_secs(1);
/// Rules of a filter that is replaced, at least.
const RULES_CHANGED: usize = 10;

/// linetap itself.
#[derive(Debug)]
pub struct Itself {
    measured: Measured,
    place: Place,
    stacks: Vec<&'static Stack>,
    stack: &'static Stack,
    /// Whose copies are expected, where not those of `stack`.
    expected: Option<&'static Stack>,
    /// Of the last snapshot.
    epoch: u64,
    /// Sockets, state and log; removed at the end, after the process.
    _dir: TempDir,
}

impl Itself {
    /// Starts a data plane on these cores, with its first configuration: then its ports can be opened from the other
    /// side. `names`: the stacks that are measured; none: the wire alone, on a device without tool port.
    /// Errors: no such stack; it can't be started.
    pub fn start(names: &[String], cores: Vec<u16>, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let stacks = if names.is_empty() { vec![&STACKS[0]] } else { chosen(names)? };
        let dir = tempfile::Builder::new().prefix("linetap-self-").tempdir();
        let dir = dir.context("a folder for the data plane's sockets can't be made")?;
        let is_mirroring = !names.is_empty();
        let place = Place { dir: dir.path().to_owned(), cores, is_mirroring };
        let first = place.load(&STACKS[0], 0, 1)?.snapshot;
        let mut measured = Measured::start(dir.path(), interrupt)?;
        measured.apply(first)?;
        Ok(Self { measured, place, stacks, stack: &STACKS[0], expected: None, epoch: 1, _dir: dir })
    }

    /// Has copies held against those of another stack: to see that they are looked at.
    pub fn expect(&mut self, name: &str) {
        self.expected = named(name);
    }

    /// The other ends of its ports, for the setup of the traffic; plans name them by their places here.
    pub fn ports(&self) -> Vec<PortSetup> {
        let ports = self.place.ports().iter().enumerate();
        let port = |(at, name): (usize, &&str)| PortSetup {
            name: (*name).to_owned(),
            device: self.place.device(at, false),
            mtu: MTU,
            mac: None,
        };
        ports.map(port).collect()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.measured.pid()
    }

    /// Ends it in good order. Errors: it ended otherwise.
    pub fn finish(self) -> Result<(), SelfError> {
        self.measured.finish()
    }

    fn wiring(&self) -> Wiring {
        let place = |name: &str| PORTS.iter().position(|port| *port == name).unwrap_or_default();
        let stack = self.stack;
        let stream = if stack.is_span {
            (place("span"), place("tool"))
        } else {
            (place("lan"), place("wan"))
        };
        let expected = self.expected.unwrap_or(stack);
        let (vnis, sources): (Vec<u32>, Vec<[u16; 2]>) = expected.networks().into_iter().unzip();
        let is_part = vnis.len() > 1 || !expected.copies_all();
        let copies = (expected.sessions > 0).then(|| CopyPlan {
            rx: place("tool"),
            udp_port: VXLAN_PORT,
            vnis,
            len_max: Some(expected.copy_len_max()),
            sources: if is_part { sources } else { Vec::new() },
        });
        Wiring {
            streams: vec![stream],
            copies,
            destination_mac: Some(STATION),
            vlan: stack.is_tagged.then_some(VLAN),
            is_tapped: stack.is_span,
        }
    }
}

/// The stacks of these names; `all`: all. Errors: there is none of a name.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Stack>> {
    let mut stacks = Vec::new();
    for name in names {
        if name == "all" {
            return Ok(STACKS.iter().collect());
        }
        let known = || STACKS.map(|stack| stack.name).join(", ");
        let stack = named(name).with_context(|| {
            format!("there is no stack {name:?}; there are {}, and all", known())
        })?;
        stacks.push(stack);
    }
    Ok(stacks)
}

impl Device for Itself {
    fn facts(&self) -> Vec<(String, String)> {
        let cores: Vec<String> = self.place.cores.iter().map(ToString::to_string).collect();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = vec![
            fact("device", "linetap-dataplane of this machine, by net_memif".to_owned()),
            fact("version", env!("CARGO_PKG_VERSION").to_owned()),
            fact("cores", cores.join(", ")),
        ];
        let about = self.stacks.iter().map(|stack| fact(stack.name, stack.about.to_owned()));
        facts.extend(about);
        facts
    }

    fn stacks(&self) -> Vec<String> {
        self.stacks.iter().map(|stack| stack.name.to_owned()).collect()
    }

    fn prepare(&mut self, stack: &str) -> anyhow::Result<Wiring> {
        self.stack = named(stack).with_context(|| format!("there is no stack {stack:?}"))?;
        self.epoch += 1;
        let loaded = self.place.load(self.stack, 0, self.epoch)?;
        self.measured.apply(loaded.snapshot)?;
        self.measured.await_links()?;
        Ok(self.wiring())
    }

    fn witness(&mut self) -> anyhow::Result<Option<Witness>> {
        Ok(Some(Witness::new(self.measured.connect()?)?))
    }

    fn change(&mut self) -> Option<Box<Change<'_>>> {
        let stack = Stack { rules: self.stack.rules.max(RULES_CHANGED), ..*self.stack };
        let snapshots: Vec<Snapshot> = (1..=CHANGES)
            .filter_map(|version| {
                let epoch = self.epoch + u64::from(version);
                Some(self.place.load(&stack, version, epoch).ok()?.snapshot)
            })
            .collect();
        self.epoch += u64::from(CHANGES);
        let measured = &mut self.measured;
        let mut snapshots = Some(snapshots);
        Some(Box::new(move || {
            let began = Instant::now();
            for (at, snapshot) in (0u32..).zip(snapshots.take().into_iter().flatten()) {
                let due = began + CHANGES_TAKE * at / CHANGES;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                measured.apply(snapshot).map_err(|error| error.to_string())?;
            }
            Ok(())
        }))
    }

    fn conclude(&mut self) -> Vec<String> {
        match self.measured.report() {
            Ok(report) => crate::report::violations(&report),
            Err(error) => vec![error.to_string()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_chosen_by_name() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names).map(|it| it.iter().map(|stack| stack.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["span", "wire"]).unwrap(), ["span", "wire"]);
        assert_eq!(names(&["all"]).unwrap().len(), STACKS.len());
        let error = names(&["speed"]).unwrap_err().to_string();
        assert!(error.contains("\"speed\"") && error.contains("three-sessions"), "{error}");
    }
}
