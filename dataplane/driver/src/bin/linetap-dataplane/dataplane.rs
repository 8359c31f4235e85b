//! A running data plane: hardware, workers, and what they poll with.

#![expect(unsafe_code, reason = "pools of what could not be started are freed")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use driver::hardware::{Hardware, LivePort, WorkerParts};
use driver::kernel::Interface;
use driver::plan::PortPlan;
use driver::{Eal, Mempool, free_pools};
use engine::latency::{Latency, PackedLatency};
use engine::neighbors::{Hop, Neighbors};
use engine::report::{HopState, LiveReport, NeighborState, PoolState, PortState, Report};
use engine::roster::Roster;
use engine::snapshot::{KernelSpec, MemberSpec, NeighborSpec, Snapshot, TargetSpec};
use engine::units::PortIndex;
use engine::view::View;

use crate::crew::Crew;
use crate::kernel_ports::{self, KernelPort};
use crate::publisher::sentences;
use crate::resolver::{Known, Wanted};
use crate::state_file::StateFile;

/// A worker that has not taken a view up by then is stuck: a round takes microseconds.
const APPLY_WAIT: Duration = Duration::from_secs(2);
/// A worker that has not told its counters by then is left out of the report.
const REPORT_WAIT: Duration = Duration::from_millis(500);
/// Between two looks at what workers have done.
const LOOK_AGAIN: Duration = Duration::from_micros(100);
/// What devices need to send what they hold, before they are stopped.
const DRAIN: Duration = Duration::from_millis(20);

/// Everything that runs. Thread: publisher.
#[derive(Debug)]
pub(crate) struct Dataplane {
    ports: Vec<LivePort>,
    pools: Vec<Mempool>,
    crew: Crew,
    /// The kernel's interfaces of tool ports.
    kernels: Vec<KernelPort>,
    roster: Roster,
    neighbors: Neighbors,
    started: Instant,
}

/// How a data plane ended.
#[derive(Debug)]
pub(crate) struct End {
    /// The counters at the end.
    pub(crate) report: Report,
    /// The pools that miss buffers after the ports were closed.
    pub(crate) missing: Vec<PoolState>,
    /// Those that miss them because of a driver that never gives some back.
    pub(crate) kept: Vec<PoolState>,
    /// A worker did not end: it holds its queues and buffers.
    pub(crate) is_stuck: bool,
    /// Every worker ended and every buffer is back.
    pub(crate) is_clean: bool,
    /// All pools.
    pub(crate) pools: Vec<Mempool>,
}

impl Dataplane {
    /// Opens the hardware, starts the workers and keeps the snapshot. Errors: all reasons; nothing
    /// runs then.
    pub(crate) fn start(
        eal: &Eal,
        snapshot: Snapshot,
        plans: Vec<PortPlan>,
        state: &StateFile,
    ) -> Result<Self, Vec<String>> {
        let opened =
            kernel_ports::open(&plans, &snapshot.ports).map_err(|errors| sentences(&errors))?;
        let mut hardware =
            Hardware::open(eal, &snapshot, plans).map_err(|errors| sentences(&errors))?;
        let port_macs = hardware.macs(&snapshot.ports);
        let kernels = kernel_ports::serve(opened, &snapshot, &mut hardware);
        let Hardware { ports, pools, workers } = hardware;
        let neighbors = Neighbors { port_macs, ..Neighbors::default() };
        let snapshot = Arc::new(snapshot);
        let working = kernels.and_then(|kernels| {
            let (crew, roster) = set_to_work(&snapshot, &neighbors, &ports, workers)?;
            Ok((kernels, crew, roster))
        });
        let (kernels, crew, roster) = match working {
            Ok(working) => working,
            Err(faults) => {
                drop(ports);
                // SAFETY: the workers' threads have ended with all that they held, or have not
                // begun; with the queues and the controls gone, the ports are closed.
                unsafe { free_pools(eal, pools) };
                return Err(faults);
            }
        };
        let started = Instant::now();
        let running = Self { ports, pools, crew, kernels, roster, neighbors, started };
        let Err(faults) = save(state, &snapshot) else { return Ok(running) };
        let End { pools, is_stuck, .. } = running.stop();
        if is_stuck {
            for _ in pools {
                eal.lose_pool();
            }
        } else {
            // SAFETY: as above; `stop` has joined the threads and closed the ports.
            unsafe { free_pools(eal, pools) };
        }
        Err(faults)
    }

    /// What is in force.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.roster.snapshot()
    }

    /// Puts a snapshot of the same hardware in force: it is on disk, and every worker polls with
    /// it. Errors: all reasons; what was in force still is.
    pub(crate) fn apply(
        &mut self,
        snapshot: Snapshot,
        state: &StateFile,
    ) -> Result<(), Vec<String>> {
        let view = Arc::new(self.roster.view().update(&snapshot, &self.neighbors)?);
        save(state, &snapshot)?;
        let before = Arc::clone(self.roster.snapshot());
        self.roster.publish(Arc::new(snapshot), &view);
        let roster = &mut self.roster;
        if within(APPLY_WAIT, || roster.stragglers().next().is_none()) {
            roster.reclaim();
            return Ok(());
        }
        let stuck = roster.stragglers().map(|core| {
            format!("the worker on core {core} is stuck and does not take the configuration up")
        });
        let stuck = stuck.collect();
        self.publish(&before);
        save(state, &before)?;
        Err(stuck)
    }

    /// Takes in what the kernel knows of ways to tools.
    pub(crate) fn learn(&mut self, known: Known) {
        // With a link that is back comes a way, which would wait for the next look at links.
        set_links(&self.ports, &self.roster);
        let mut neighbors = self.neighbors.clone();
        neighbors.known = known.neighbors;
        neighbors.addresses = known.addresses;
        for (port, mac) in known.port_macs {
            let is_own =
                self.snapshot().ports.get(port.at()).is_some_and(|spec| spec.mac.is_none());
            if let Some(place) = neighbors.port_macs.get_mut(port.at()).filter(|_| is_own) {
                *place = mac;
            }
        }
        if neighbors != self.neighbors {
            self.neighbors = neighbors;
            self.publish(&Arc::clone(self.roster.snapshot()));
        }
    }

    /// Publishes a snapshot that compiled before, with the neighbours of now.
    fn publish(&mut self, snapshot: &Arc<Snapshot>) {
        match self.roster.view().update(snapshot, &self.neighbors) {
            Ok(view) => self.roster.publish(Arc::clone(snapshot), &Arc::new(view)),
            Err(faults) => log::error!("what was in force compiles no more: {faults:?}"),
        }
    }

    /// Looks after links and workers; false when a worker has ended.
    pub(crate) fn tick(&mut self) -> bool {
        set_links(&self.ports, &self.roster);
        for kernel in &mut self.kernels {
            kernel.follow(&self.ports);
        }
        self.roster.reclaim();
        let casualty = self.crew.casualty();
        if let Some(core) = casualty {
            log::error!("the worker on core {core} has ended; stopping, to be started again");
        }
        casualty.is_none()
    }

    /// All counters and states.
    pub(crate) fn report(&mut self) -> Report {
        let roster = &mut self.roster;
        roster.request_report();
        if !within(REPORT_WAIT, || roster.collect_report()) {
            log::warn!("a worker did not tell its counters in time");
        }
        let mut report = roster.report();
        report.live = Some(self.live());
        report
    }

    /// The tools whose ways the kernel knows.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let specs = &self.snapshot().ports;
        let wanted = members(self.snapshot()).filter_map(|(&TargetSpec { port, .. }, member)| {
            let via = match member.neighbor {
                NeighborSpec::Resolve(via) => Some(via),
                NeighborSpec::Fixed(_) => None,
            };
            let interface = self.kernels_interface(port)?;
            let (&MemberSpec { address, source, .. }, mtu) = (member, specs.get(port.at())?.mtu);
            Some(Wanted { port, interface, address, via, mtu, source })
        });
        wanted.collect()
    }

    /// The interface that was made for a port.
    fn kernel_of(&self, port: PortIndex) -> Option<&KernelPort> {
        self.kernels.iter().find(|kernel| kernel.port() == port)
    }

    /// The kernel's index of the interface by which it takes part in a port's network: the one that was made
    /// for it, or else the one that it sits on.
    fn kernels_interface(&self, port: PortIndex) -> Option<u32> {
        let made = self.kernel_of(port);
        let takes_part = self.snapshot().ports.get(port.at())?.kernel != KernelSpec::None;
        let below = || self.ports.get(port.at())?.interface.as_ref().filter(|_| takes_part);
        made.map(KernelPort::index).or_else(|| below().map(Interface::index))
    }

    /// Tools that nothing resolves, by port and address: the kernel has no part in their port.
    pub(crate) fn unresolvable(&self) -> Vec<(&str, IpAddr)> {
        let specs = &self.snapshot().ports;
        let members = members(self.snapshot()).filter_map(|(&TargetSpec { port, .. }, member)| {
            let resolves = matches!(member.neighbor, NeighborSpec::Resolve(_));
            let is_kernels = self.kernels_interface(port).is_some();
            (resolves && !is_kernels)
                .then_some((specs.get(port.at())?.name.as_str(), member.address))
        });
        members.collect()
    }

    /// Stops the workers, closes the ports and counts the buffers.
    pub(crate) fn stop(mut self) -> End {
        let stuck = self.crew.stop();
        for core in &stuck {
            log::error!("the worker on core {core} does not stop; its queues are left open");
        }
        thread::sleep(DRAIN);
        // What was asked before and answered late is not the last word.
        self.roster.collect_report();
        self.roster.request_report();
        let mut report = if stuck.is_empty() {
            self.crew.join();
            self.roster.collect_report();
            self.roster.report()
        } else {
            self.roster.report()
        };
        report.live = None;
        // What workers have handed over last still reaches the kernel.
        drop(self.kernels);
        drop(self.ports);
        let (lossy, strict): (Vec<_>, Vec<_>) =
            self.pools.iter().partition(|pool| pool.plan().is_lossy);
        let with_loss = |pools: Vec<&Mempool>| -> Vec<PoolState> {
            pools.into_iter().map(pool_state).filter(|pool| pool.in_use > 0).collect()
        };
        let (missing, kept) = (with_loss(strict), with_loss(lossy));
        let is_stuck = !stuck.is_empty();
        let is_clean = !is_stuck && missing.is_empty();
        End { report, missing, kept, is_stuck, is_clean, pools: self.pools }
    }

    fn live(&self) -> LiveReport {
        let ports = self.ports.iter().zip(0..).map(|(live, at)| {
            let (link_up, speed_mbps) = live.link();
            PortState {
                name: live.port.name().to_owned(),
                driver: live.port.abilities().driver.clone(),
                mac: live.port.mac(),
                link_up,
                speed_mbps,
                share_len_min: live.share_len_min,
                losses: live.port.losses(),
                xstats: live.port.xstats(),
                kernel: self.kernel_of(PortIndex(at)).map(KernelPort::state),
            }
        });
        let counted = self.roster.tools();
        let neighbors =
            members(self.snapshot()).zip(&counted).map(|((target, member), counted)| {
                let way = self.neighbors.way(target.port, member);
                let hop = |hop: &Hop| HopState { via: hop.via, mac: hop.mac, vlan: hop.vlan };
                NeighborState {
                    target: target.id.clone(),
                    address: member.address,
                    source: way.source.unwrap_or(member.source),
                    health: member.health,
                    checked: member.checked.clone(),
                    all_down: target.balance.all_down,
                    weight: member.weight,
                    path_mtu: way.mtu,
                    hops: way.hops.iter().map(hop).collect(),
                    copies: counted.copies,
                    moved_flows: counted.moved_flows,
                }
            });
        LiveReport {
            uptime_s: self.started.elapsed().as_secs(),
            pid: std::process::id(),
            // The publisher knows.
            is_controlled: false,
            ports: ports.collect(),
            workers: self.roster.workers(),
            latency: self.roster.latency().and_then(packed),
            neighbors: neighbors.collect(),
            pools: self.pools.iter().map(pool_state).collect(),
        }
    }
}

/// Starts the workers with their first view. Errors: all reasons; no worker's thread is left.
fn set_to_work(
    snapshot: &Arc<Snapshot>,
    neighbors: &Neighbors,
    ports: &[LivePort],
    workers: Vec<WorkerParts>,
) -> Result<(Crew, Roster), Vec<String>> {
    let view = Arc::new(View::compile(snapshot, neighbors)?);
    let (roster, ends) = Roster::new(Arc::clone(snapshot), &view);
    set_links(ports, &roster);
    let crew = Crew::start(workers, ends).map_err(|errors| sentences(&errors))?;
    Ok((crew, roster))
}

/// Every member of every target, with its target.
fn members(snapshot: &Snapshot) -> impl Iterator<Item = (&TargetSpec, &MemberSpec)> {
    snapshot.targets.iter().flat_map(|target| target.members.iter().map(move |it| (target, it)))
}

fn packed(latency: &Latency) -> Option<PackedLatency> {
    latency.pack().inspect_err(|error| log::error!("times can't be told: {error}")).ok()
}

fn pool_state(pool: &Mempool) -> PoolState {
    PoolState { name: pool.plan().name.clone(), size: pool.plan().buffers, in_use: pool.in_use() }
}

/// Tells the workers which ports have a link.
fn set_links(ports: &[LivePort], roster: &Roster) {
    for (live, shared) in ports.iter().zip(roster.links().iter()) {
        let (is_up, _) = live.link();
        if shared.swap(is_up, Ordering::Relaxed) != is_up {
            log::info!("port {}: link {}", live.port.name(), if is_up { "up" } else { "down" });
        }
    }
}

fn save(state: &StateFile, snapshot: &Snapshot) -> Result<(), Vec<String>> {
    state.save(snapshot).map_err(|error| {
        vec![format!("the configuration can't be kept in {}: {error}", state.path().display())]
    })
}

/// Waits until `is_done`, but not longer than `limit`; true when it is.
fn within(limit: Duration, mut is_done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if is_done() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use engine::snapshot::{DataplaneSpec, ExemptSpec, VxlanSpec};

    /// A snapshot of nothing.
    pub(crate) fn snapshot() -> Snapshot {
        Snapshot {
            epoch: 1,
            appliance_id: "t".to_owned(),
            dataplane: DataplaneSpec::new(vec![0]),
            ports: vec![],
            links: vec![],
            spans: vec![],
            interfaces: vec![],
            targets: vec![],
            filters: vec![],
            rules: [].into(),
            sessions: vec![],
            vxlan: VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false },
            exempt: ExemptSpec { aws_never_mirrored: true, amazon_dns: vec![] },
        }
    }
}
