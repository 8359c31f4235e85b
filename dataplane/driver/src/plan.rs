//! What each port and pool shall be, worked out from the snapshot before DPDK starts and again when
//! the devices are known. Pure: nothing here touches a device.

use std::collections::BTreeMap;
use std::fs;

use engine::burst::BURST_MAX;
use engine::encap::HEADER_LEN_MAX;
use engine::snapshot::{CopySpec, KernelSpec, PortSpec, Role, Snapshot};
use engine::units::PortIndex;

use crate::af_packet;
use crate::device::Device;
use crate::error::DriverError;
use crate::memory::Memory;
use crate::mempool::{CACHE, HEADROOM, PoolPlan};
use crate::port::Abilities;
use crate::spreading::{are_spread, frames_waiting};

/// Frames that a receive or transmit queue holds: about a hundred microseconds of 10 Gb/s.
pub const DESCRIPTORS: u16 = 1024;
/// An Ethernet frame is so much longer than its IP packet: addresses and type, and up to four tags.
pub(crate) const ETHERNET_LEN_MAX: u32 = 14 + TAGS_LEN_MAX;
const TAGS_LEN_MAX: u32 = 4 * 4;
/// What some devices write behind or before the frame: checksum, and tags that they count double.
const DEVICE_EXTRA: u32 = 12;
/// The least bytes of a buffer for received frames, as most devices like it.
const BUFFER_BYTES_MIN: u32 = 2048;
/// The largest MTU whose frames fit one buffer: lengths in a buffer have 16 bits.
const MTU_IN_ONE_BUFFER_MAX: u16 = 64_000;
/// What the engine may write in front of a copy.
const OUTER_LEN_MAX: u32 = HEADER_LEN_MAX as u32;
/// Bursts that one worker has in hand at most: received, being sent, empty copies, copies waiting.
const BURSTS_IN_HAND: usize = 6;

/// Copies to one tool port by one worker that hold frames' buffers at once: they fill a transmit
/// ring, in which each takes two places.
pub const LEADS: u32 = DESCRIPTORS as u32 / 2 - 1;

/// What one port needs of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlan {
    /// Its place in the snapshot.
    pub index: PortIndex,
    /// The device, its arguments completed.
    pub device: Device,
    /// What becomes of received frames.
    pub role: Role,
    /// The configured IP MTU.
    pub mtu: u16,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues for any frames: one for each worker, or none.
    pub tx_queues: u16,
    /// Transmit queues for frames in one segment, of one pool, that nobody else holds, which a device
    /// may free faster: one for each worker, or none.
    pub pooled_tx_queues: u16,
    /// It sends frames of several segments.
    pub chains: bool,
    /// Of a tool port: copies hold their frames' buffers.
    pub shares: bool,
    /// Received frames may lie in several buffers.
    pub scatter: bool,
    /// Bytes that a buffer for its received frames holds, behind the headroom.
    pub buffer_bytes: u32,
    /// Buffers that the device keeps for itself.
    pub kept: u32,
    /// NUMA node, or −1 for any.
    pub socket: i32,
    /// Of a tool port: the name of the kernel's interface that is made for it.
    pub kernel: Option<String>,
}

impl PortPlan {
    /// The plan before the device is known. Errors: no device, or one that can't be right.
    pub fn new(
        snapshot: &Snapshot,
        index: PortIndex,
        spec: &PortSpec,
    ) -> Result<Self, DriverError> {
        let port = || spec.name.clone();
        let text =
            spec.device.as_deref().ok_or_else(|| DriverError::DeviceMissing { port: port() })?;
        let mut device = Device::parse(&spec.name, text)?;
        let role = snapshot.role(index);
        let workers = u16::try_from(snapshot.dataplane.workers.len()).unwrap_or(u16::MAX);
        let frame_len = u32::from(spec.mtu) + ETHERNET_LEN_MAX;
        let mut buffer_bytes = frame_buffer_bytes(spec.mtu);
        if device.is("af_packet") {
            af_packet::complete(&spec.name, &mut device, spec.mtu, frame_len, workers)?;
            buffer_bytes = buffer_bytes.max(af_packet::buffer_bytes(&device));
        }
        if device.is("null") {
            // It makes frames of that size without looking at the buffer.
            let size = device.argument("size").and_then(|text| text.parse().ok());
            buffer_bytes = buffer_bytes.max(size.unwrap_or(0));
        }
        Ok(Self {
            index,
            role,
            mtu: spec.mtu,
            // What comes in on a tool port is little, or to be lost: one queue is enough.
            rx_queues: if role == Role::Idle { 1 } else { queues_of(&device).unwrap_or(workers) },
            tx_queues: workers,
            pooled_tx_queues: 0,
            chains: true,
            shares: role == Role::Idle && snapshot.dataplane.copies != CopySpec::Copy,
            scatter: false,
            buffer_bytes,
            kept: kept_by(&device),
            socket: -1,
            kernel: kernel_interface(role, spec, &device),
            device,
        })
    }

    /// The plan for the device as it is. `peer_sends_chains`: what it receives may be sent on in
    /// several segments. `memory`: only hugepages belong to NUMA nodes. Errors: too few transmit
    /// queues, or too small an MTU.
    pub fn fit(
        &mut self,
        name: &str,
        abilities: &Abilities,
        peer_sends_chains: bool,
        memory: Memory,
    ) -> Result<(), DriverError> {
        let driver = || abilities.driver.clone();
        let sends = self.role != Role::Tap;
        if sends && abilities.tx_queues_max < self.tx_queues {
            return Err(DriverError::TxQueues {
                port: name.to_owned(),
                driver: driver(),
                offered: abilities.tx_queues_max,
                workers: self.tx_queues,
            });
        }
        self.tx_queues = self.tx_queues.min(abilities.tx_queues_max);
        self.shares &= abilities.sends_chains;
        self.rx_queues = self.rx_queues.min(abilities.rx_queues_max);
        if queues_of(&self.device).is_some() && self.role != Role::Idle {
            self.rx_queues = abilities.rx_queues_max;
        }
        self.socket = if memory == Memory::Hugepages { abilities.socket } else { -1 };
        self.scatter =
            self.buffer_bytes > BUFFER_BYTES_MIN && abilities.scatters && peer_sends_chains;
        if self.scatter {
            self.buffer_bytes = BUFFER_BYTES_MIN;
        }
        let by_device = if self.device.is("af_packet") { u32::MAX } else { abilities.mtu_max };
        let by_buffer = if self.scatter { u16::MAX } else { MTU_IN_ONE_BUFFER_MAX };
        let most = by_device.min(by_buffer.into());
        if u32::from(self.mtu) > most {
            let (port, mtu) = (name.to_owned(), self.mtu);
            return Err(DriverError::Mtu { port, driver: driver(), most, mtu });
        }
        Ok(())
    }

    /// The longest frame that the kernel's interface of the port is given, or sends.
    pub fn frame_len_max(&self) -> usize {
        usize::from(self.mtu) + ETHERNET_LEN_MAX as usize
    }

    /// Transmit queues in all.
    fn all_tx_queues(&self) -> u16 {
        self.tx_queues + self.pooled_tx_queues
    }

    /// The MTU to ask the device for: tags of a wire's frames count as part of the packet for most
    /// devices. `None` for `net_af_packet`, which refuses what it can do: see its module.
    pub fn device_mtu(&self, abilities: &Abilities) -> Option<u16> {
        let wanted = match self.role {
            Role::Idle => self.mtu.into(),
            Role::Wire(_) | Role::Tap => u32::from(self.mtu) + TAGS_LEN_MAX,
        };
        let mtu = wanted.min(abilities.mtu_max).min(u16::MAX.into());
        (!self.device.is("af_packet")).then(|| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    /// The MTU that the interface of the kernel below should have. The kernel lets frames pass that
    /// are 14 bytes longer, and 4 more with a tag: a wire's other tags need room.
    pub fn kernel_mtu(&self) -> u32 {
        match self.role {
            Role::Idle => self.mtu.into(),
            Role::Wire(_) | Role::Tap => u32::from(self.mtu) + TAGS_LEN_MAX - 4,
        }
    }

    /// The most buffers that one received frame takes.
    fn segments_max(&self) -> u32 {
        let frame_len = u32::from(self.mtu) + ETHERNET_LEN_MAX + DEVICE_EXTRA;
        if self.scatter { frame_len.div_ceil(self.buffer_bytes) } else { 1 }
    }

    fn data_room(&self) -> u16 {
        let bytes = (self.buffer_bytes + u32::from(HEADROOM)).next_multiple_of(64);
        u16::try_from(bytes).unwrap_or(u16::MAX)
    }
}

/// Settles what one port's plan says of another's, once all are fitted: which queues may be told that
/// all their frames are of one pool and nobody else's, and which ports send chains. A session's
/// copies leave by one queue, in order: by the second one when none of them is made another way
/// than out of the pool of copies.
pub fn agree(ports: &mut [PortPlan], abilities: &[&Abilities]) {
    let is_wire = |port: &PortPlan| matches!(port.role, Role::Wire(_));
    let mut both = ports.iter().zip(abilities);
    // What a copy still holds must be able to leave by the wire.
    let may_share = both.any(|(port, abilities)| is_wire(port) && abilities.sends_chains);
    for port in &mut *ports {
        port.shares &= may_share;
    }
    let shares = ports.iter().any(|port| port.shares);
    let scatters: Vec<bool> = ports.iter().map(|port| port.scatter).collect();
    let has_taps = ports.iter().any(|port| port.role == Role::Tap);
    for (port, abilities) in ports.iter_mut().zip(abilities) {
        let (queues, most) = (port.tx_queues, abilities.tx_queues_max);
        let (is_mixed, chains) = match port.role {
            Role::Idle => (port.shares || has_taps, port.shares || scatters.contains(&true)),
            Role::Wire(peer) => (shares, scatters.get(peer.at()).is_some_and(|&is| is)),
            Role::Tap => (true, false),
        };
        port.chains = chains;
        if !abilities.frees_fast || chains && !is_mixed {
            continue;
        }
        if !is_mixed {
            (port.tx_queues, port.pooled_tx_queues) = (0, queues);
        } else if port.role == Role::Idle && u32::from(most) >= 2 * u32::from(queues) {
            port.pooled_tx_queues = queues;
        }
    }
}

/// The bytes that a buffer for frames of that IP MTU holds, behind the headroom.
pub(crate) fn frame_buffer_bytes(mtu: u16) -> u32 {
    BUFFER_BYTES_MIN.max(u32::from(mtu) + ETHERNET_LEN_MAX + DEVICE_EXTRA)
}

/// The name of the kernel's interface that a port needs: a tool port whose frames the kernel does not
/// see otherwise. `net_null` and captures have nobody at their other end.
fn kernel_interface(role: Role, spec: &PortSpec, device: &Device) -> Option<String> {
    let needs_none = ["af_packet", "tap", "pcap", "null"].iter().any(|driver| device.is(driver));
    let is_needed = role == Role::Idle && !(needs_none && spec.kernel == KernelSpec::Auto);
    spec.kernel.interface(&spec.name).filter(|_| is_needed)
}

/// The receive queues of devices that have as many as their arguments make, and whose queues all
/// receive: what nobody polls is lost.
pub(crate) fn queues_of(device: &Device) -> Option<u16> {
    if device.is("af_packet") {
        return device.argument("qpairs").and_then(|text| text.parse().ok());
    }
    let made = ["rx_pcap", "rx_iface", "rx_iface_in"].map(|key| device.count(key)).iter().sum();
    device.is("pcap").then(|| u16::try_from(1.max(made)).unwrap_or(u16::MAX))
}

/// The buffers that a device keeps beside its rings. `net_pcap,infinite_rx=1` keeps the whole capture
/// in the pool; its records are at least as long as a record's header and the shortest Ethernet
/// frame. `net_af_xdp` fills a ring of its own size, whatever it is asked for, and as much in flight.
pub(crate) fn kept_by(device: &Device) -> u32 {
    const RECORD_BYTES_MIN: u64 = 16 + 60;
    const XDP_RINGS: u32 = 2 * 2048;
    if device.is("af_xdp") {
        return XDP_RINGS;
    }
    let repeats = device.is("pcap") && device.argument("infinite_rx") == Some("1");
    let file = device.argument("rx_pcap").filter(|_| repeats);
    let len = file.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len());
    u32::try_from(len.div_ceil(RECORD_BYTES_MIN)).unwrap_or(u32::MAX)
}

/// The pools for received frames: one for each buffer size and NUMA node, shared by its ports; with
/// each, the ports that receive into it. A pool holds what can be under way at once: full receive
/// rings, full transmit rings of every port that its frames may leave by, what waits for other workers
/// where queues are spread, what workers have in hand.
pub fn rx_pools(ports: &[PortPlan], workers: usize) -> Vec<(PoolPlan, Vec<PortIndex>)> {
    let mut classes: BTreeMap<(i32, u16), Vec<&PortPlan>> = BTreeMap::new();
    for port in ports {
        classes.entry((port.socket, port.data_room())).or_default().push(port);
    }
    let is_spread = are_spread(ports, workers);
    let pools = classes.into_iter().map(|((socket, data_room), members)| {
        let receives = members.iter().map(|port| ring(port.rx_queues) + port.kept);
        let spread = members.iter().filter(|port| is_spread && port.role != Role::Idle);
        let spread =
            spread.map(|port| frames_waiting(port, workers).saturating_mul(port.segments_max()));
        // Of a frame that a copy shares, all segments are held.
        let segments = members.iter().map(|port| port.segments_max()).max().unwrap_or(1);
        let shared = ports.iter().filter(|port| port.shares);
        let shared = shared.map(|_| LEADS.saturating_mul(workers as u32).saturating_mul(segments));
        let leaves_by = ports.iter().filter(|port| {
            let is_peer = members.iter().any(|member| member.role == Role::Wire(port.index));
            is_peer || port.role == Role::Idle
        });
        let sends = leaves_by.map(|port| ring(port.all_tx_queues()));
        let buffers = receives
            .chain(spread)
            .chain(sends)
            .chain(shared)
            .fold(in_hand(workers), u32::saturating_add);
        let mut pool = pool(format!("rx-{data_room}"), buffers, data_room, socket);
        // Its close leaves the buffers of its fill ring with the kernel, up to 26.07 at least.
        pool.is_lossy = members.iter().any(|port| port.device.is("af_xdp"));
        (pool, members.iter().map(|port| port.index).collect())
    });
    pools.collect()
}

/// The pool of a tool port's copies.
pub fn copy_pool(port: &PortPlan, name: &str, workers: usize) -> PoolPlan {
    let bytes = u32::from(HEADROOM) + u32::from(port.mtu) + ETHERNET_LEN_MAX + OUTER_LEN_MAX;
    let data_room = u16::try_from(bytes.next_multiple_of(64)).unwrap_or(u16::MAX);
    let buffers = ring(port.all_tx_queues()).saturating_add(in_hand(workers));
    pool(format!("copies-{name}"), buffers, data_room, port.socket)
}

/// The pool of one worker's leads for a tool port: headers of copies that hold their frames' buffers.
pub fn lead_pool(port: &PortPlan, name: &str, core: u16) -> PoolPlan {
    // Headers are written in front of no data.
    let name = format!("leads-{name}-{core}");
    PoolPlan { name, buffers: LEADS, data_room: HEADROOM, socket: port.socket, is_lossy: false }
}

fn pool(name: String, buffers: u32, data_room: u16, socket: i32) -> PoolPlan {
    // "Optimum size (in terms of memory usage) is when n is a power of two minus one."
    // (rte_mempool.h) Not for large ones, where it would waste half.
    let buffers = if buffers < 16_384 { buffers.next_power_of_two() - 1 } else { buffers };
    PoolPlan { name, buffers, data_room, socket, is_lossy: false }
}

fn ring(queues: u16) -> u32 {
    u32::from(queues) * u32::from(DESCRIPTORS)
}

/// What workers hold outside of rings. A pool cache is flushed at one and a half times its size.
fn in_hand(workers: usize) -> u32 {
    let each = CACHE + CACHE / 2 + u32::try_from(BURSTS_IN_HAND * BURST_MAX).unwrap_or(0);
    // The main thread has a cache too.
    u32::try_from(workers + 1).unwrap_or(u32::MAX).saturating_mul(each)
}

#[cfg(test)]
mod tests;
