//! What the data plane tells control: counters by port, session and rule, and the state behind them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::drop_reason::{Ended, NeverMirrored, Skipped, Unmirrored};
use crate::latency::PackedLatency;
use crate::snapshot::{AllDown, HealthState, MemberHealth};
use crate::units::{Mac, VlanId};

/// All counters since the data plane started (or the offline run began), in configuration order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The snapshot that every worker polls with.
    pub epoch: u64,
    /// Every configured port, silent ones too.
    pub ports: Vec<PortReport>,
    /// Every session, in template order.
    pub sessions: Vec<SessionReport>,
    /// Every rule, in template order.
    pub rules: Vec<RuleReport>,
    /// Evaluations that mirrored nothing, by reason.
    pub unmirrored: [u64; Unmirrored::COUNT],
    /// Those of [`Unmirrored::NeverMirrored`], by what they were.
    pub never_mirrored_by: [u64; NeverMirrored::COUNT],
    /// What only a running data plane has; absent offline.
    pub live: Option<LiveReport>,
}

/// Counters of one port. `rx_packets = forwarded + Σ ended + between_workers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    /// Name in the appliance file.
    pub name: String,
    /// Frames received.
    pub rx_packets: u64,
    /// Their captured bytes.
    pub rx_bytes: u64,
    /// Frames that the device took to send: forwarded ones and copies.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Copies sent that held their frames' buffers instead of their bytes.
    pub shared_packets: u64,
    /// Received frames that left by the link's other port.
    pub forwarded: u64,
    /// Received frames that did not, by reason.
    pub ended: [u64; Ended::COUNT],
    /// Received frames on their way from one worker to another ([`crate::spreader`]), as far as the
    /// workers had told: each at a moment of its own, so that it may be negative. 0 when nothing
    /// comes, at the end, and offline.
    pub between_workers: i64,
}

/// Counters of one session. `matched = mirrored_packets + Σ skipped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// Its source.
    pub network_interface_id: String,
    /// Its number.
    pub session_number: u16,
    /// The VNI of its copies.
    pub vni: u32,
    /// Evaluations that the session settled with a copy wanted.
    pub matched: u64,
    /// Copies that the tool port took.
    pub mirrored_packets: u64,
    /// Their inner bytes.
    pub mirrored_bytes: u64,
    /// Those among them that are shorter than their stripped frame.
    pub truncated_packets: u64,
    /// Copies wanted and not sent, by reason.
    pub skipped: [u64; Skipped::COUNT],
}

/// Counter of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// Evaluations that the rule settled.
    pub hits: u64,
}

/// The state of a running data plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveReport {
    /// Seconds since the workers started.
    pub uptime_s: u64,
    /// Process id of the data plane.
    pub pid: u32,
    /// Who sent a snapshot is still connected; otherwise what was in force last stays so, and what is
    /// known of tools' health with it.
    pub is_controlled: bool,
    /// Every port, in configuration order.
    pub ports: Vec<PortState>,
    /// Every worker.
    pub workers: Vec<WorkerState>,
    /// Times of frames and copies, where they are measured.
    pub latency: Option<PackedLatency>,
    /// Every member of every target.
    pub neighbors: Vec<NeighborState>,
    /// Every packet pool.
    pub pools: Vec<PoolState>,
}

/// State of one port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// Name in the appliance file.
    pub name: String,
    /// DPDK driver, e.g. `net_af_packet`.
    pub driver: String,
    /// The address it sends from.
    pub mac: Mac,
    /// Link is up.
    pub link_up: bool,
    /// In Mb/s; 0 when unknown.
    pub speed_mbps: u32,
    /// Of a tool port: copies from so many bytes on are made so; `None` where none are.
    pub share_len_min: Option<u32>,
    /// What the device itself lost; `None` when it does not tell.
    pub losses: Option<DeviceLosses>,
    /// The driver's own counters that are not zero, by name (DPDK xstats).
    pub xstats: Vec<(String, u64)>,
    /// Of a tool port: the kernel's interface that was made for it ([`crate::exception`]).
    pub kernel: Option<KernelState>,
}

/// State of an interface of the kernel that was made for a tool port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelState {
    /// Its name.
    pub interface: String,
    /// Frames that it received: of those that ended as [`Ended::ToKernel`].
    pub received: u64,
    /// Those that the kernel did not take.
    pub refused: u64,
    /// Those that were not of the port's VLAN.
    pub other_vlan: u64,
    /// Frames that it sent.
    pub sent: u64,
}

/// Frames that a device lost before or after the data plane had them, as its driver counts them
/// (`rte_eth_stats_get`). Drivers leave at zero what they do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLosses {
    /// Received ones for which the receive queues had no room: the workers were too slow.
    pub imissed: u64,
    /// Received ones that were damaged.
    pub ierrors: u64,
    /// Received ones for which there was no packet buffer.
    pub rx_nombuf: u64,
    /// Ones that could not be sent.
    pub oerrors: u64,
}

/// State of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerState {
    /// The core it is pinned to.
    pub core: u16,
    /// The snapshot it polls with.
    pub epoch: u64,
    /// Rounds over its queues.
    pub polls: u64,
    /// Rounds that found nothing.
    pub empty_polls: u64,
    /// Nanoseconds since it began to poll.
    pub total_ns: u64,
    /// Nanoseconds in rounds that found something.
    pub busy_ns: u64,
    /// Nanoseconds in sleeps.
    pub asleep_ns: u64,
    /// Sleeps, of which only an adaptive worker has some.
    pub sleeps: u64,
    /// Its receive queues, in the order in which it polls them.
    pub rx: Vec<RxQueueReport>,
    /// Its transmit queues.
    pub tx: Vec<TxQueueReport>,
}

/// Counters of one receive queue. Those of all queues of a port add up to the port's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxQueueReport {
    /// Name of the port in the appliance file.
    pub port: String,
    /// Its number on the port.
    pub queue: u16,
    /// Frames received.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often it was asked for frames.
    pub polls: u64,
    /// How often it had none.
    pub empty_polls: u64,
    /// How often it had as many as can be taken at once, [`crate::burst::BURST_MAX`].
    pub full_bursts: u64,
    /// Frames that waited when the report was made; `None` where the device can't tell.
    pub waiting: Option<u32>,
}

/// Counters of one transmit queue. Those of all queues of a port add up to the port's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxQueueReport {
    /// Name of the port in the appliance file.
    pub port: String,
    /// Its number on the port.
    pub queue: u16,
    /// Frames that it took.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that it did not take.
    pub refused: u64,
}

/// Where a target's copies go on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborState {
    /// The target's name.
    pub target: String,
    /// Outer destination.
    pub address: IpAddr,
    /// Outer source.
    pub source: IpAddr,
    /// What it takes.
    pub health: MemberHealth,
    /// Why, where it is checked.
    pub checked: Option<HealthState>,
    /// What becomes of the target's copies while none of its members takes any.
    pub all_down: AllDown,
    /// Its part of the flows, beside the others'.
    pub weight: u16,
    /// The IP MTU of the way there, where it is less than the port's.
    pub path_mtu: Option<u16>,
    /// The next hops: several where routes of equal cost lead there, none while there is no way.
    pub hops: Vec<HopState>,
    /// Copies that were meant for it, sent or skipped, for all sessions together.
    pub copies: u64,
    /// Living flows that it got from a member that no longer takes them, where flows are
    /// [sticky](crate::snapshot::BalanceSpec::sticky).
    pub moved_flows: u64,
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopState {
    /// Its address; the tool's own where it is on the subnet.
    pub via: IpAddr,
    /// The MAC address in use; `None` while it is not known.
    pub mac: Option<Mac>,
    /// The tag of its VLAN.
    pub vlan: Option<VlanId>,
}

impl NeighborState {
    /// The MAC address of the first next hop that has one.
    pub fn mac(&self) -> Option<Mac> {
        self.hops.iter().find_map(|hop| hop.mac)
    }
}

/// State of one packet pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// Name of the pool.
    pub name: String,
    /// Buffers in all.
    pub size: u32,
    /// Buffers not in the pool now.
    pub in_use: u32,
}
