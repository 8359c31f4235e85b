//! The lab's devices, opened and running: for each worker a transmit queue of every port and its part of the
//! receive queues, and a pool of frames to send.

use engine::burst::BURST_MAX;
use traffic::setup::{OpenPort, PortSetup, Setup};

use crate::af_packet;
use crate::device::Device;
use crate::eal::{Eal, EalConfig};
use crate::error::DriverError;
use crate::kernel::Interface;
use crate::memory::Memory;
use crate::mempool::{CACHE, HEADROOM, Mempool, PoolPlan};
use crate::plan::{DESCRIPTORS, ETHERNET_LEN_MAX, frame_buffer_bytes, kept_by, queues_of};
use crate::port::{Port, PortConfig};
use crate::queue::{RxQueue, TxQueue};
use crate::running::RunningPort;
use crate::timestamps;

/// Bursts that one worker has in hand at most: received, being sent.
const BURSTS_IN_HAND: usize = 4;

/// What one port needs of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabPlan {
    device: Device,
    buffer_bytes: u32,
    is_timed: bool,
}

/// A port of the lab.
#[derive(Debug)]
pub struct LabPort {
    /// Its control.
    pub port: RunningPort,
    /// The interface of the kernel below it.
    pub interface: Option<Interface>,
}

/// What one worker polls and sends by.
#[derive(Debug)]
pub struct LabWorker {
    /// Its core.
    pub core: u16,
    /// Its receive queues, by port; the devices' queues are dealt out, so some worker may have none.
    pub rx: Vec<Vec<RxQueue>>,
    /// Its transmit queue, by port; absent where the device has fewer than there are workers.
    pub tx: Vec<Option<TxQueue>>,
    /// Frames to be sent: every worker's handle is of the same pool.
    pub frames: Mempool,
}

/// All ports and workers.
#[derive(Debug)]
pub struct Lab {
    /// In the order of [`Setup::ports`].
    pub ports: Vec<LabPort>,
    /// In the order of [`Setup::cores`].
    pub workers: Vec<LabWorker>,
    /// Frames to be sent.
    pub frames: Mempool,
    /// Frames that are received; the same pool where `net_af_xdp` is used.
    pub received: Mempool,
}

/// Reads what each port is. Errors: all ports' faults.
pub fn plan(setup: &Setup) -> Result<Vec<LabPlan>, Vec<DriverError>> {
    let (mut plans, mut errors) = (Vec::new(), Vec::new());
    for port in &setup.ports {
        match LabPlan::new(port, setup) {
            Ok(plan) => plans.push(plan),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(plans) } else { Err(errors) }
}

/// What DPDK has to start with.
pub fn eal_config(setup: &Setup, plans: &[LabPlan]) -> EalConfig {
    let (received, frames) = pools(setup, plans);
    let bytes = received.bytes() + frames.as_ref().map_or(0, PoolPlan::bytes);
    let pci = plans.iter().filter(|plan| plan.device.is_pci());
    EalConfig {
        pci: pci.map(|plan| plan.device.to_arguments()).collect(),
        memory: Memory::choose(setup.memory, bytes),
    }
}

impl LabPlan {
    fn new(port: &PortSetup, setup: &Setup) -> Result<Self, DriverError> {
        let mut device = Device::parse(&port.name, &port.device)?;
        let frame_len = u32::from(port.mtu) + ETHERNET_LEN_MAX;
        let mut buffer_bytes = frame_buffer_bytes(port.mtu);
        if device.is("af_packet") {
            let workers = u16::try_from(setup.cores.len()).unwrap_or(u16::MAX);
            af_packet::complete(&port.name, &mut device, port.mtu, frame_len, workers)?;
            buffer_bytes = buffer_bytes.max(af_packet::buffer_bytes(&device));
        }
        Ok(Self { device, buffer_bytes, is_timed: setup.timed })
    }
}

impl Lab {
    /// Opens and starts everything. Errors: the first fault; what was opened is closed again.
    pub fn open(eal: &Eal, setup: &Setup, plans: &[LabPlan]) -> Result<Self, DriverError> {
        let (received, frames) = match pools(setup, plans) {
            (received, Some(frames)) => {
                (Mempool::create(eal, received)?, Mempool::create(eal, frames)?)
            }
            (both, None) => {
                let both = Mempool::create(eal, both)?;
                (both.handle(), both)
            }
        };
        let none = |core: &u16| LabWorker {
            core: *core,
            rx: Vec::new(),
            tx: Vec::new(),
            frames: frames.handle(),
        };
        let mut workers: Vec<LabWorker> = setup.cores.iter().map(none).collect();
        let mut ports = Vec::new();
        for (port, plan) in setup.ports.iter().zip(plans) {
            ports.push(start(eal, port, plan, &received, &mut workers)?);
        }
        Ok(Self { ports, workers, frames, received })
    }

    /// What the ports turned out to be.
    pub fn opened(&self) -> Vec<OpenPort> {
        self.ports.iter().map(LabPort::opened).collect()
    }
}

impl LabPort {
    /// Whether it has a link, by DPDK and by the kernel, and its speed in Mb/s (0: unknown).
    pub fn link(&self) -> (bool, u32) {
        let (is_up, speed) = self.port.link();
        (is_up && self.interface.as_ref().is_none_or(Interface::is_running), speed)
    }

    fn opened(&self) -> OpenPort {
        let (is_up, speed_mbps) = self.link();
        OpenPort {
            driver: self.port.abilities().driver.clone(),
            mac: self.port.mac(),
            speed_mbps,
            is_up,
            sends_timed: self.port.abilities().sends_timed,
        }
    }
}

/// Starts one port and deals its queues out.
fn start(
    eal: &Eal,
    setup: &PortSetup,
    plan: &LabPlan,
    received: &Mempool,
    workers: &mut [LabWorker],
) -> Result<LabPort, DriverError> {
    let port = Port::attach(eal, &setup.name, &plan.device)?;
    let wanted = u16::try_from(workers.len()).unwrap_or(u16::MAX);
    let abilities = port.abilities();
    let config = PortConfig {
        mtu: device_mtu(setup, plan, abilities.mtu_max),
        mac: setup.mac,
        promiscuous: true,
        rx_queues: queues_of(&plan.device).unwrap_or(wanted).min(abilities.rx_queues_max),
        tx_queues: wanted.min(abilities.tx_queues_max),
        timed: plan.is_timed,
        timestamps: timestamps::are_told_by(&abilities.driver),
        rx_descriptors: DESCRIPTORS,
        tx_descriptors: DESCRIPTORS,
        ..PortConfig::default()
    };
    let interface = Interface::from_index(abilities.interface_index).ok();
    let (port, rx, tx) = port.start(&config, received)?;
    log::info!(
        "port {}: {} ({}), {}, {} receive and {} transmit queue(s)",
        setup.name,
        plan.device.to_arguments(),
        port.abilities().driver,
        port.mac(),
        rx.len(),
        tx.len()
    );
    let mut dealt: Vec<Vec<RxQueue>> = workers.iter().map(|_| Vec::new()).collect();
    let count = workers.len().max(1);
    for (at, queue) in rx.into_iter().enumerate() {
        if let Some(place) = dealt.get_mut(at % count) {
            place.push(queue);
        }
    }
    let mut tx = tx.into_iter();
    for (worker, rx) in workers.iter_mut().zip(dealt) {
        worker.rx.push(rx);
        worker.tx.push(tx.next());
    }
    Ok(LabPort { port, interface })
}

/// The MTU to ask the device for; `None` for `net_af_packet`, which refuses what it can do.
fn device_mtu(setup: &PortSetup, plan: &LabPlan, most: u32) -> Option<u16> {
    let mtu = u32::from(setup.mtu).min(most);
    (!plan.device.is("af_packet")).then(|| u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// The pool of received frames and that of frames to be sent. They are one where a port is of `net_af_xdp`: it maps
/// the pool that it receives into for the kernel, and copies what it sends from any other.
fn pools(setup: &Setup, plans: &[LabPlan]) -> (PoolPlan, Option<PoolPlan>) {
    let ring = usize::from(DESCRIPTORS);
    let kept = plans.iter().map(|plan| setup.cores.len() * ring + kept_by(&plan.device) as usize);
    // What is received may wait for a writer: as much again.
    let received = 2 * kept.sum::<usize>() + in_hand(setup);
    let rings = plans.len() * setup.cores.len() * ring;
    let frames = rings + usize::try_from(setup.frames).unwrap_or(usize::MAX) + in_hand(setup);
    if plans.iter().any(|plan| plan.device.is("af_xdp")) {
        let mut both = pool("frames", received + frames, plans);
        // Its close leaves the buffers of its fill ring with the kernel.
        both.is_lossy = true;
        return (both, None);
    }
    (pool("received", received, plans), Some(pool("frames", frames, plans)))
}

fn in_hand(setup: &Setup) -> usize {
    let each = CACHE as usize * 3 / 2 + BURSTS_IN_HAND * BURST_MAX;
    // The feeder's and the main thread have caches too.
    (setup.cores.len() + 2) * each
}

fn pool(name: &str, buffers: usize, plans: &[LabPlan]) -> PoolPlan {
    let bytes = plans.iter().map(|plan| plan.buffer_bytes).max().unwrap_or(0);
    let data_room = (bytes + u32::from(HEADROOM)).next_multiple_of(64);
    PoolPlan {
        name: name.to_owned(),
        buffers: u32::try_from(buffers).unwrap_or(u32::MAX),
        data_room: u16::try_from(data_room).unwrap_or(u16::MAX),
        socket: -1,
        is_lossy: false,
    }
}
