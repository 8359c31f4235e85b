//! The options of `linetap bench` that make the appliance itself the device under test.

use clap::Args;
use traffic::setup::PortSetup;

use crate::cli::arguments::Arguments;
use crate::cli::devices::{cores, cores_allowed};
use crate::lab::bench::appliance::device::chosen;
use crate::lab::bench::appliance::stacks::MTU;

/// linetap against itself.
#[derive(Debug, Args)]
pub(super) struct OfItself {
    /// Measure linetap itself: a data plane in another process, by memif.
    #[arg(long = "self", help_heading = "linetap itself", conflicts_with_all = [
        "ports", "both_ways", "destination_mac", "config", "driver", "mtu", "reconfigure",
    ])]
    is_itself: bool,
    /// With --self: its mirroring, each configuration in turn, frames and copies, of which each is held against
    /// its original: all, or some of wire, one-session, quarter, three-sessions, thousand-rules, truncated, span,
    /// vlan-strip, rate-limit, v6-underlay, balancer.
    #[arg(
        long,
        value_name = "LIST",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        requires = "is_itself",
        help_heading = "linetap itself"
    )]
    mirror: Option<String>,
    /// Hold copies against those of this configuration instead: to see that copies are looked at.
    #[arg(long, value_name = "NAME", requires = "mirror", hide = true)]
    expect: Option<String>,
    /// The cores of the data plane that is measured [default: the last one, and the first one polls for the traffic].
    #[arg(long, value_name = "LIST", requires = "is_itself", help_heading = "linetap itself")]
    dut_cores: Option<String>,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Itself {
    /// The configurations; none: the wire alone.
    pub(super) stacks: Vec<String>,
    /// Whose copies are expected instead.
    pub(super) expected: Option<String>,
    /// Of the data plane.
    pub(super) cores: Vec<u16>,
}

impl OfItself {
    /// What is to be started, and on which cores the traffic polls, where `--cores` does not say; `None` where
    /// something else is measured. What is wrong is noted.
    pub(super) fn read(
        &self,
        polling: Option<&String>,
        is_foreign: bool,
        arguments: &mut Arguments,
    ) -> Option<(Itself, Vec<u16>)> {
        if !self.is_itself {
            // The parser does not ask for --self where there are ports, which exclude it.
            let given =
                [("--mirror", self.mirror.is_some()), ("--dut-cores", self.dut_cores.is_some())];
            for (option, _) in given.iter().filter(|(_, is_given)| *is_given) {
                arguments.fault(format!(
                    "{option} is about linetap itself; name --self in place of ports, or leave it out"
                ));
            }
            return None;
        }
        let form = "cores by number, each once, like 1 or 2,4-6";
        let allowed = cores_allowed();
        let (first, last) = (allowed.first().copied(), allowed.last().copied());
        let own = arguments.read("--cores", polling, cores, form);
        let theirs = arguments.read("--dut-cores", self.dut_cores.as_ref(), cores, form);
        let own = own.unwrap_or_else(|| first.into_iter().collect());
        let free = allowed.iter().rev().find(|core| !own.contains(core)).copied();
        let theirs = theirs.unwrap_or_else(|| free.or(last).into_iter().collect());
        if let Some(core) = theirs.iter().find(|core| own.contains(core)) {
            arguments.fault(format!(
                "--self: core {core} would poll for the traffic and for the data plane, and one of them would wait \
                 for the other; give --cores and --dut-cores that differ, on a machine with two cores or more"
            ));
        }
        if let Some(core) = theirs.iter().find(|core| !allowed.contains(core)) {
            arguments
                .fault(format!("--dut-cores: this process can't run on core {core}; name others"));
        }
        let names = self.mirror.iter().flat_map(|list| list.split(','));
        let stacks: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        match chosen(&stacks) {
            Err(error) => arguments.fault(format!("--mirror: {error}")),
            Ok(stacks) if is_foreign => {
                let is_odd = |name: &str| {
                    ["quarter", "three-sessions", "vlan-strip", "truncated"].contains(&name)
                };
                let odd: Vec<&str> =
                    stacks.iter().map(|it| it.name).filter(|it| is_odd(it)).collect();
                if !odd.is_empty() {
                    arguments.fault(format!(
                        "--mirror: {} choose frames by what is in made ones; leave --capture and --vxlan out, or name other stacks",
                        odd.join(", ")
                    ));
                }
            }
            Ok(_) => {}
        }
        let expected = self.expect.clone();
        if let Some(Err(error)) = expected.clone().map(|name| chosen(&[name])) {
            arguments.fault(format!("--expect: {error}"));
        }
        Some((Itself { stacks, expected, cores: theirs }, own))
    }
}

/// A port of the kind that there will be.
pub(super) fn port() -> PortSetup {
    PortSetup { name: "lan".to_owned(), device: "net_memif0".to_owned(), mtu: MTU, mac: None }
}
