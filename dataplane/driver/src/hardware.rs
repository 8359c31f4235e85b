//! Everything that a snapshot asks of the hardware, opened and running: ports, pools, and for each
//! worker the queues that it polls.

#![expect(unsafe_code, reason = "pools of what could not be started are freed")]

use std::collections::HashSet;

use engine::exception::WorkerSide;
use engine::snapshot::{PortSpec, Role, Snapshot};
use engine::spreader::{Share, Spreader};
use engine::tool::ToolPort;
use engine::units::{Mac, PortIndex};
use engine::worker::Lane;

use crate::Dpdk;
use crate::eal::{Eal, EalConfig};
use crate::error::DriverError;
use crate::kernel::Interface;
use crate::mbuf::Mbuf;
use crate::memory::Memory;
use crate::mempool::{Mempool, PoolPlan, free_pools};
use crate::plan::{DESCRIPTORS, PortPlan, agree, copy_pool, lead_pool, rx_pools};
use crate::port::{Port, PortConfig};
use crate::queue::{RxQueue, TxQueue};
use crate::running::RunningPort;
use crate::spreading::{are_spread, bursts_waiting, worker_of};
use crate::tools::ToolPools;

/// A running port with the interface of the kernel below it, if there is one.
#[derive(Debug)]
pub struct LivePort {
    /// Its control.
    pub port: RunningPort,
    /// The interface of the kernel.
    pub interface: Option<Interface>,
    /// Of a tool port: copies from so many bytes on are made by reference; `None` when none are.
    pub share_len_min: Option<u32>,
}

impl LivePort {
    /// Whether it has a link, by DPDK and by the kernel, and its speed in Mb/s (0: unknown).
    pub fn link(&self) -> (bool, u32) {
        let (is_up, speed) = self.port.link();
        (is_up && self.interface.as_ref().is_none_or(Interface::is_running), speed)
    }
}

/// What one worker polls and sends by.
#[derive(Debug)]
pub struct WorkerParts {
    /// Its core.
    pub core: u16,
    /// Its receive queues.
    pub lanes: Vec<Lane<Dpdk>>,
    /// Its part of the queues that other workers poll, where there are fewer queues than workers.
    pub shares: Vec<Share<Mbuf>>,
    /// The exception paths of the tool ports whose receive queues it has.
    pub kernels: Vec<WorkerSide>,
    /// Its transmit queues of ports that frames are forwarded to, by port.
    pub wires: Vec<Option<TxQueue>>,
    /// Its transmit queues and pools of tool ports, by port.
    pub tools: Vec<Option<ToolPort<Dpdk>>>,
}

/// All ports, all pools and all workers' parts.
#[derive(Debug)]
pub struct Hardware {
    /// By [`PortIndex`].
    pub ports: Vec<LivePort>,
    /// For received frames first, then for copies.
    pub pools: Vec<Mempool>,
    /// In the order of `[dataplane] workers`.
    pub workers: Vec<WorkerParts>,
}

/// Plans every port of the snapshot. Errors: all ports' faults.
pub fn plan(snapshot: &Snapshot) -> Result<Vec<PortPlan>, Vec<DriverError>> {
    let specs = &snapshot.ports;
    let plans: Vec<PortPlan> =
        all(specs.iter().zip(0..).map(|(spec, at)| PortPlan::new(snapshot, PortIndex(at), spec)))?;
    // By DPDK's name for it: a PCI address has several spellings.
    let mut taken = HashSet::new();
    all(specs.iter().zip(&plans).map(|(spec, plan)| {
        let device = plan.device.name();
        if taken.insert(device) {
            return Ok(());
        }
        Err(DriverError::InUse { port: spec.name.clone(), device: device.to_owned() })
    }))?;
    Ok(plans)
}

/// What DPDK has to start with for these ports.
pub fn eal_config(snapshot: &Snapshot, plans: &[PortPlan]) -> EalConfig {
    let workers = snapshot.dataplane.workers.len();
    let rx = rx_bytes_max(plans, workers);
    let copies = plans.iter().filter(|port| port.role == Role::Idle);
    let copies = copies.map(|port| {
        let leads = if port.shares { lead_pool(port, "", 0).bytes() * workers as u64 } else { 0 };
        copy_pool(port, "", workers).bytes() + leads
    });
    let pci = plans.iter().filter(|port| port.device.is_pci());
    EalConfig {
        pci: pci.map(|port| port.device.to_arguments()).collect(),
        memory: Memory::choose(snapshot.dataplane.memory, copies.fold(rx, u64::saturating_add)),
    }
}

/// What the pools for received frames take at most: a device may have fewer queues than are asked
/// for, and then there are frames on their way between workers.
fn rx_bytes_max(plans: &[PortPlan], workers: usize) -> u64 {
    let with_queues = |most: u16| {
        let mut plans = plans.to_vec();
        for plan in &mut *plans {
            plan.rx_queues = plan.rx_queues.min(most);
        }
        rx_pools(&plans, workers).iter().map(|(pool, _)| pool.bytes()).sum()
    };
    (1..u16::MAX).take(workers).chain([u16::MAX]).map(with_queues).max().unwrap_or(0)
}

impl Hardware {
    /// Opens and starts everything. Errors: all ports' faults; everything is closed again, and the
    /// pools are given back as far as drivers give their buffers back ([`Eal::lost_pools`]).
    pub fn open(
        eal: &Eal,
        snapshot: &Snapshot,
        plans: Vec<PortPlan>,
    ) -> Result<Self, Vec<DriverError>> {
        let mut pools = Vec::new();
        match start_all(eal, snapshot, plans, &mut pools) {
            Ok((ports, workers)) => Ok(Self { ports, pools, workers }),
            Err(errors) => {
                // SAFETY: no thread but this has seen the pools, nobody has polled a port, and all
                // ports are closed: they and the workers' parts were dropped with the error.
                unsafe { free_pools(eal, pools) };
                Err(errors)
            }
        }
    }

    /// What each port sends from, by [`PortIndex`].
    pub fn macs(&self, specs: &[PortSpec]) -> Vec<Mac> {
        let live = self.ports.iter().zip(specs);
        live.map(|(live, spec)| spec.mac.unwrap_or_else(|| live.port.mac())).collect()
    }

    /// Gives a tool port's exception path to the worker that has the port's receive queue.
    pub fn give_kernel(&mut self, kernel: WorkerSide) {
        let has_lane =
            |worker: &&mut WorkerParts| worker.lanes.iter().any(|it| it.port == kernel.port());
        if let Some(worker) = self.workers.iter_mut().find(has_lane) {
            worker.kernels.push(kernel);
        }
    }
}

impl WorkerParts {
    fn new(core: u16, ports: usize) -> Self {
        let none = |_| None;
        Self {
            core,
            lanes: Vec::new(),
            shares: Vec::new(),
            kernels: Vec::new(),
            wires: (0..ports).map(none).collect(),
            tools: (0..ports).map(|_| None).collect(),
        }
    }
}

/// Attaches all ports, makes the pools and starts the ports. Errors: all ports' faults; what was
/// made is closed, but for `pools`.
fn start_all(
    eal: &Eal,
    snapshot: &Snapshot,
    mut plans: Vec<PortPlan>,
    pools: &mut Vec<Mempool>,
) -> Result<(Vec<LivePort>, Vec<WorkerParts>), Vec<DriverError>> {
    let specs = &snapshot.ports;
    let workers = &snapshot.dataplane.workers;
    let ports: Vec<Port> = all(plans
        .iter()
        .zip(specs)
        .map(|(plan, spec)| Port::attach(eal, &spec.name, &plan.device)))?;
    let takes_chains =
        |port: PortIndex| ports.get(port.at()).is_some_and(|port| port.abilities().sends_chains);
    all(plans.iter_mut().zip(&ports).zip(specs).map(|((plan, port), spec)| {
        let peer_sends_chains = !matches!(plan.role, Role::Wire(peer) if !takes_chains(peer));
        plan.fit(&spec.name, port.abilities(), peer_sends_chains, eal.memory())
    }))?;
    agree(&mut plans, &ports.iter().map(Port::abilities).collect::<Vec<_>>());
    let is_spread = are_spread(&plans, workers.len());
    tell_spread(&plans, specs, workers.len(), is_spread);
    let pool_of = make_rx_pools(eal, &plans, workers.len(), pools).map_err(one)?;
    let mut parts: Vec<WorkerParts> =
        workers.iter().map(|&core| WorkerParts::new(core, specs.len())).collect();
    let mut running = Vec::new();
    for (at, (port, (plan, spec))) in ports.into_iter().zip(plans.iter().zip(specs)).enumerate() {
        let pool = pool_of.get(at).and_then(|pool| pools.get(*pool)).map(Mempool::handle);
        let Some(pool) = pool else { continue };
        let is_tool = plan.role == Role::Idle;
        let tools = is_tool.then(|| ToolPools::make(eal, plan, spec, snapshot, &pool, pools));
        let tools = tools.transpose().map_err(one)?;
        let (mut live, rx, tx) = start(port, plan, spec, &pool).map_err(one)?;
        live.share_len_min = tools.as_ref().and_then(ToolPools::share_len_min);
        running.push(live);
        give_rx(&mut parts, plan, rx, is_spread);
        match (plan.role, tools) {
            (Role::Wire(_), _) => give_wires(&mut parts, plan.index, tx),
            (_, Some(tools)) => tools.give(&mut parts, plan, tx),
            (_, None) => {}
        }
    }
    Ok((running, parts))
}

/// Says which ports have fewer queues than there are workers, and what is done about it.
fn tell_spread(plans: &[PortPlan], specs: &[PortSpec], workers: usize, is_spread: bool) {
    let spread = plans.iter().zip(specs).filter(|(plan, _)| is_spread && plan.role != Role::Idle);
    for (plan, spec) in spread {
        log::info!(
            "port {}: {workers} workers, {} receive queue(s): who polls one hands flows to all workers",
            spec.name,
            plan.rx_queues
        );
    }
}

/// Makes the pools for received frames; returns, for each port, which one is its own.
fn make_rx_pools(
    eal: &Eal,
    plans: &[PortPlan],
    workers: usize,
    pools: &mut Vec<Mempool>,
) -> Result<Vec<usize>, DriverError> {
    let mut pool_of = vec![0; plans.len()];
    for (plan, members) in rx_pools(plans, workers) {
        for member in members {
            if let Some(pool) = pool_of.get_mut(member.at()) {
                *pool = pools.len();
            }
        }
        pools.push(make_pool(eal, plan)?);
    }
    Ok(pool_of)
}

fn make_pool(eal: &Eal, plan: PoolPlan) -> Result<Mempool, DriverError> {
    log::info!(
        "packet pool {}: {} buffers of {} bytes, {} MiB",
        plan.name,
        plan.buffers,
        plan.data_room,
        plan.bytes() >> 20
    );
    Mempool::create(eal, plan)
}

fn start(
    port: Port,
    plan: &PortPlan,
    spec: &PortSpec,
    pool: &Mempool,
) -> Result<(LivePort, Vec<RxQueue>, Vec<TxQueue>), DriverError> {
    let interface = interface_below(&port, plan, spec)?;
    let config = PortConfig {
        mtu: plan.device_mtu(port.abilities()),
        mac: spec.mac,
        // Wires and spans carry other stations' frames.
        promiscuous: plan.role != Role::Idle,
        // The kernel decides which groups it listens to: neighbour discovery alone takes one for each
        // address (RFC 4861 §7.2.1).
        all_multicast: plan.kernel.is_some(),
        scatter: plan.scatter,
        timestamps: false,
        rx_queues: plan.rx_queues,
        tx_queues: plan.tx_queues,
        pooled_tx_queues: plan.pooled_tx_queues,
        chains: plan.chains,
        timed: false,
        rx_descriptors: DESCRIPTORS,
        tx_descriptors: DESCRIPTORS,
    };
    let (port, rx, tx) = port.start(&config, pool)?;
    log::info!(
        "port {}: {} ({}), {}, MTU {}, {} receive and {} transmit queue(s)",
        spec.name,
        plan.device.to_arguments(),
        port.abilities().driver,
        port.mac(),
        spec.mtu,
        rx.len(),
        tx.len()
    );
    Ok((LivePort { port, interface, share_len_min: None }, rx, tx))
}

/// The interface of the kernel below a port, its MTU large enough.
fn interface_below(
    port: &Port,
    plan: &PortPlan,
    spec: &PortSpec,
) -> Result<Option<Interface>, DriverError> {
    let index = port.abilities().interface_index;
    let Ok(interface) = Interface::from_index(index) else { return Ok(None) };
    let has = interface.mtu().unwrap_or(0);
    if has >= plan.kernel_mtu() || plan.device.is_pci() {
        return Ok(Some(interface));
    }
    let set = |mtu| port.changing(|| interface.set_mtu(mtu));
    let Err(cause) = set(plan.kernel_mtu()) else { return Ok(Some(interface)) };
    if has < u32::from(spec.mtu) && set(spec.mtu.into()).is_err() {
        return Err(DriverError::KernelMtu {
            port: spec.name.clone(),
            interface: interface.name().to_owned(),
            has,
            mtu: spec.mtu.into(),
            cause,
        });
    }
    log::warn!(
        "port {}: frames of full size with more than one VLAN tag can't leave by {}: its MTU can't \
         be raised to {} ({cause})",
        spec.name,
        interface.name(),
        plan.kernel_mtu()
    );
    Ok(Some(interface))
}

/// Gives each receive queue of a port to its worker ([`worker_of`]), and, where queues are spread, to
/// each other worker its part of the frames.
fn give_rx(parts: &mut [WorkerParts], plan: &PortPlan, queues: Vec<RxQueue>, is_spread: bool) {
    let (workers, port, role) = (parts.len(), plan.index, plan.role);
    // What comes in on a tool port is the kernel's.
    let is_spread = is_spread && role != Role::Idle;
    for (queue, rx) in (0..).zip(queues) {
        let own = worker_of(plan, queue, workers);
        let bursts = bursts_waiting(plan).into();
        let spread = is_spread.then(|| Spreader::new(workers, own, bursts));
        let (spreader, takers) = spread.unzip();
        for (worker, taker) in parts.iter_mut().zip(takers.unwrap_or_default()) {
            worker.shares.extend(taker.map(|taker| Share { port, role, taker }));
        }
        if let Some(worker) = parts.get_mut(own) {
            worker.lanes.push(Lane { port, rx, role, spreader });
        }
    }
}

fn give_wires(parts: &mut [WorkerParts], port: PortIndex, queues: Vec<TxQueue>) {
    for (worker, tx) in parts.iter_mut().zip(queues) {
        if let Some(place) = worker.wires.get_mut(port.at()) {
            *place = Some(tx);
        }
    }
}

/// All values, or all errors.
fn all<T>(
    results: impl Iterator<Item = Result<T, DriverError>>,
) -> Result<Vec<T>, Vec<DriverError>> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn one(error: DriverError) -> Vec<DriverError> {
    vec![error]
}
