//! `linetap check`: every fault of both files, or what they amount to and what can't be meant.

use std::collections::HashMap;
use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use engine::snapshot::{
    Affinity, AllDown, BalanceSpec, KernelSpec, NeighborSpec, Snapshot, TargetKind, TargetSpec,
};
use engine::units::{FilterIndex, PortIndex};

use super::{Failure, Files, complain};
use crate::config::{HealthCheck, Mode, Probe};
use crate::fault::Faults;
use crate::load::{Loaded, load};
use crate::warning::warnings;

/// The command line of `linetap check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    files: Files,
    /// Judge the files as `linetap mirror` does: no devices, no neighbours to be found.
    #[arg(long)]
    offline: bool,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mode = if self.offline { Mode::Offline } else { Mode::Online };
        let (sources, faults) = self.files.sources(mode);
        let loaded = faults.and(load(&sources, 1))?;
        loaded.prove()?;
        let warnings = warnings(&loaded, &sources.template.display().to_string());
        let mut out = io::stdout().lock();
        summarize(&loaded, warnings.len(), &mut out).context("the summary can't be printed")?;
        if !warnings.is_empty() {
            complain(&Faults(warnings));
        }
        Ok(())
    }
}

/// Tells in words what the data plane will do.
fn summarize(loaded: &Loaded, warnings: usize, out: &mut impl Write) -> io::Result<()> {
    let Snapshot { ports, links, spans, interfaces, targets, rules, sessions, .. } =
        &loaded.snapshot;
    let port = |index: PortIndex| ports.get(index.at()).map_or("?", |it| &it.name);
    let warnings = match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        more => format!(", {more} warnings"),
    };
    writeln!(out, "appliance {}: no faults{warnings}", loaded.appliance.id)?;
    for link in links {
        let [a, b] = link.ports.map(port);
        let what = if link.forward { "forwards" } else { "only listens" };
        writeln!(out, "  link {}: {a} <-> {b}, {what}", link.name)?;
    }
    for &span in spans {
        writeln!(out, "  span {}: only listens", port(span))?;
    }
    for interface in interfaces {
        let macs: Vec<String> = interface.macs.iter().map(ToString::to_string).collect();
        let macs = if macs.is_empty() { "every address".to_owned() } else { macs.join(", ") };
        let vlan = interface.vlan.map_or(String::new(), |it| format!(", VLAN {}", it.value()));
        writeln!(out, "  source {}: behind {}, {macs}{vlan}", interface.id, port(interface.port))?;
    }
    for port in ports {
        let kernel = match &port.kernel {
            KernelSpec::Auto => None,
            KernelSpec::Named(name) => Some(format!("the kernel's interface is {name}")),
            KernelSpec::None => Some("the kernel has no part in it".to_owned()),
        };
        let vlan = port.vlan.map(|vlan| format!("VLAN {}", vlan.value()));
        let told: Vec<String> = vlan.into_iter().chain(kernel).collect();
        if !told.is_empty() {
            writeln!(out, "  port {}: {}", port.name, told.join(", "))?;
        }
    }
    for target in targets {
        summarize_target(loaded, target, out)?;
    }
    let mut counts: HashMap<FilterIndex, usize> = HashMap::new();
    for rule in rules.iter() {
        *counts.entry(rule.filter).or_default() += 1;
    }
    for session in sessions {
        let source = interfaces.get(session.interface.at()).map_or("?", |it| &it.id);
        let target = targets.get(session.target.at()).map_or("?", |it| &it.id);
        let count = counts.get(&session.filter).copied().unwrap_or(0);
        writeln!(
            out,
            "  session {}: {source} #{}, {count} rules, to {target} with VNI {}",
            session.id,
            session.number,
            session.vni.value()
        )?;
    }
    Ok(())
}

/// Tells where the copies to one target go.
fn summarize_target(loaded: &Loaded, target: &TargetSpec, out: &mut impl Write) -> io::Result<()> {
    let port = loaded.snapshot.ports.get(target.port.at()).map_or("?", |it| &it.name);
    let kind = match target.kind {
        TargetKind::Interface => "interface",
        TargetKind::LoadBalancer => "load balancer",
    };
    let balance = balance(target);
    writeln!(out, "  target {}: {kind}, by port {}{balance}", target.id, port)?;
    for member in &target.members {
        let way = match member.neighbor {
            NeighborSpec::Fixed(mac) => format!("at {mac}"),
            NeighborSpec::Resolve(via) if via == member.address => "resolved".to_owned(),
            NeighborSpec::Resolve(via) => format!("by gateway {via}"),
        };
        let weight = match member.weight {
            1 => String::new(),
            other => format!(", weight {other}"),
        };
        writeln!(out, "    {} from {}, {way}{weight}", member.address, member.source)?;
    }
    if let Some(check) = check_of(loaded, &target.id) {
        writeln!(out, "    checked {}", check_words(check))?;
    }
    Ok(())
}

/// How the flows of a target find their member, where there are several; begins with a comma.
fn balance(target: &TargetSpec) -> String {
    if target.members.len() < 2 {
        return String::new();
    }
    let BalanceSpec { affinity, inner, sticky, sticky_flows, sticky_idle_s, all_down } =
        target.balance;
    let mut words = vec![
        match affinity {
            Affinity::Flow => "each flow to one member",
            Affinity::Hosts => "all flows of two hosts to one member",
        }
        .to_owned(),
    ];
    words.extend(inner.then(|| "by the packet inside of tunnels".to_owned()));
    words.extend(
        sticky.then(|| format!("sticky ({sticky_flows} flows for each worker, {sticky_idle_s} s)")),
    );
    words.extend((all_down == AllDown::Skip).then(|| "none while all are down".to_owned()));
    format!(", {}", words.join(", "))
}

/// How the members of a target are checked.
fn check_of<'l>(loaded: &'l Loaded, target: &str) -> Option<&'l HealthCheck> {
    let target = loaded.model.targets.iter().find(|it| it.id == target)?;
    let tool = loaded.appliance.tools.iter().find(|it| it.id == target.destination.id())?;
    tool.health_check.as_ref()
}

fn check_words(check: &HealthCheck) -> String {
    let HealthCheck { probe, interval, timeout, healthy_threshold, unhealthy_threshold } = check;
    let probe = match probe {
        Probe::Icmp => "ICMP echo".to_owned(),
        Probe::Tcp { port } => format!("TCP port {port}"),
        Probe::Http { port, path } => format!("HTTP port {port}, GET {path}"),
        Probe::Vxlan { port } => format!("UDP port {port} must not refuse"),
    };
    let (interval, timeout) = (interval.as_secs_f64(), timeout.as_secs_f64());
    format!(
        "every {interval} s, with {timeout} s for an answer: {probe}; down after \
         {unhealthy_threshold} failures, up after {healthy_threshold} successes"
    )
}
