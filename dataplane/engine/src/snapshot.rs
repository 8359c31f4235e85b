//! The whole of what control wants, as plain data: one [`Snapshot`] replaces another, whole.
//!
//! Control makes it from the appliance file and the mirror objects; it crosses the Unix socket and
//! is kept on disk by the data plane. It refers by index, is flat like EC2's own tables, and is
//! trusted by nobody: [`crate::view::View::compile`] checks every index and range again.

use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::flow_hash::HASH_BITS;
use crate::rule::FilterRule;
use crate::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, VlanId, Vni};

/// Everything that the data plane needs, hardware and mirroring alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every change that control makes; reports name it.
    pub epoch: u64,
    /// `[appliance] id`.
    pub appliance_id: String,
    /// Cores and memory, which can't change while the data plane runs, and how its workers work.
    pub dataplane: DataplaneSpec,
    /// All ports, in the order of the file; can't change while the data plane runs.
    pub ports: Vec<PortSpec>,
    /// Inline wires and tap pairs; can't change while the data plane runs.
    pub links: Vec<LinkSpec>,
    /// Receive-only ports fed by a switch; can't change while the data plane runs.
    pub spans: Vec<PortIndex>,
    /// Mirror sources.
    pub interfaces: Vec<InterfaceSpec>,
    /// Mirror targets, resolved to tools.
    pub targets: Vec<TargetSpec>,
    /// Mirror filters.
    pub filters: Vec<FilterSpec>,
    /// The rules of all filters, in template order. Shared: most changes are of sessions, and there are
    /// many rules.
    pub rules: Arc<[FilterRule]>,
    /// Mirror sessions, in template order.
    pub sessions: Vec<SessionSpec>,
    /// `[vxlan]`.
    pub vxlan: VxlanSpec,
    /// `[exempt]`.
    pub exempt: ExemptSpec,
}

/// `[dataplane]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataplaneSpec {
    /// One worker per core, pinned to it. Not empty, no repeats.
    pub workers: Vec<u16>,
    /// Where packet memory comes from.
    pub memory: MemorySpec,
    /// How copies are made of frames that go on.
    pub copies: CopySpec,
    /// Microseconds that a copy waits at most for others, to leave with them; 0: it never waits.
    pub tx_drain_us: u32,
    /// Times of frames and copies are measured.
    pub latency: bool,
    /// What workers do while nothing comes.
    pub idle: IdleSpec,
}

/// `[dataplane] tx_drain_us` where the file says nothing of it.
pub const TX_DRAIN_US: u32 = 20;
/// The most that it may be: a tool should not wait for a hundredth of a second.
pub const TX_DRAIN_US_MAX: u32 = 10_000;

impl DataplaneSpec {
    /// These workers, and everything else as when the file says nothing of it.
    pub fn new(workers: Vec<u16>) -> Self {
        Self {
            workers,
            memory: MemorySpec::Auto,
            copies: CopySpec::Auto,
            tx_drain_us: TX_DRAIN_US,
            latency: false,
            idle: IdleSpec::Poll,
        }
    }
}

/// `[dataplane] copies`: how copies are made of frames that also cross a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopySpec {
    /// Short frames are copied, long ones held by reference where the tool port can send that; what is
    /// long is measured at the start.
    Auto,
    /// All are copied.
    Copy,
    /// By reference whenever the tool port can send that and the session has credit.
    Share,
}

/// `[dataplane] idle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdleSpec {
    /// Workers poll all the time.
    Poll,
    /// Workers rest while nothing comes ([`crate::idling`]).
    Adaptive,
}

/// `[dataplane] memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemorySpec {
    /// Hugepages if there are any, else ordinary pages; as much as the pools need.
    Auto,
    /// This many MiB, from hugepages if there are enough, else from ordinary pages.
    MiB(u32),
}

/// `[[port]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Its name in the file and in reports.
    pub name: String,
    /// PCI address or DPDK device arguments; absent offline.
    pub device: Option<String>,
    /// IP MTU in bytes: an Ethernet frame may be 14 bytes longer, and 4 more per VLAN tag.
    pub mtu: u16,
    /// The address to send from, where it is not the device's own.
    pub mac: Option<Mac>,
    /// Underlay addresses with their subnets.
    pub addresses: Vec<IpNet>,
    /// Next hops for targets off the subnets, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// It is on a trunk: what it sends carries this tag.
    pub vlan: Option<VlanId>,
    /// Its own interface of the kernel, through which the kernel speaks on this port; see [`KernelSpec`].
    pub kernel: KernelSpec,
}

impl PortSpec {
    /// A port of which nothing but this is said.
    pub const fn new(name: String, device: Option<String>, mtu: u16) -> Self {
        Self {
            name,
            device,
            mtu,
            mac: None,
            addresses: Vec::new(),
            gateways: Vec::new(),
            vlan: None,
            kernel: KernelSpec::Auto,
        }
    }
}

/// `[[port]] kernel_interface`: how the kernel takes part in a tool port's network (addresses, neighbours,
/// routes, everything that is not a copy).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelSpec {
    /// By the interface that the device sits on, where the kernel receives there too; else by one that
    /// is made for it, with the port's name in its own.
    #[default]
    Auto,
    /// By an interface of this name, which is made.
    Named(String),
    /// Not at all.
    None,
}

/// The longest name that the kernel gives an interface (`IFNAMSIZ`, less the zero at its end).
pub const INTERFACE_NAME_MAX: usize = 15;

impl KernelSpec {
    /// The name of the interface that is made for a port of this name, if one is to be made:
    /// `lt-` and the port's name, cut, with a dash for what is in no name of an interface.
    pub fn interface(&self, port: &str) -> Option<String> {
        let letter =
            |it: char| if it.is_ascii_alphanumeric() || "._-".contains(it) { it } else { '-' };
        match self {
            Self::Auto => {
                let name = "lt-".chars().chain(port.chars().map(letter));
                Some(name.take(INTERFACE_NAME_MAX).collect())
            }
            Self::Named(name) => Some(name.clone()),
            Self::None => None,
        }
    }
}

/// `[[link]]`: frames received on one port leave by the other, unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Its name in the file.
    pub name: String,
    /// The two ends.
    pub ports: [PortIndex; 2],
    /// False: two receive-only taps, one per direction.
    pub forward: bool,
}

/// `[[interface]]`: a mirror source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSpec {
    /// Its id, `eni-…`.
    pub id: String,
    /// The port behind which it lives: one of a link, or a span.
    pub port: PortIndex,
    /// Its addresses; may be empty on a link (then every frame is its own), not on a span.
    pub macs: Vec<Mac>,
    /// Only frames whose outermost tag carries this VLAN.
    pub vlan: Option<VlanId>,
}

/// A mirror target, resolved to the tools that receive its copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSpec {
    /// The name in reports: the logical id of a template, or an EC2 id.
    pub id: String,
    /// The tool port.
    pub port: PortIndex,
    /// One tool or several.
    pub kind: TargetKind,
    /// The tools: exactly one for an interface, at least one for a load balancer.
    pub members: Vec<MemberSpec>,
    /// How flows find their tool, where there are several.
    pub balance: BalanceSpec,
}

impl TargetSpec {
    /// The same without what only people read: what decides over packets.
    pub(crate) fn bare(&self) -> Self {
        let bare = |member: &MemberSpec| MemberSpec { checked: None, ..member.clone() };
        Self { members: self.members.iter().map(bare).collect(), ..self.clone() }
    }
}

/// How the flows to a load balancer are given to its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceSpec {
    /// What has to stay together.
    pub affinity: Affinity,
    /// Of VXLAN, GRE and GTP-U, the packet inside decides.
    pub inner: bool,
    /// Flows that live stay at their member when others come, go, or change.
    pub sticky: bool,
    /// Where they do: so many flows each worker can remember ([`crate::flow_table`]), those of all targets
    /// together. The largest number of all targets holds; another one forgets them all.
    pub sticky_flows: u32,
    /// Seconds after which a TCP flow without packets has ended, 1..=6000. Others end after 120, where that
    /// is less, as with a Network Load Balancer.
    pub sticky_idle_s: u16,
    /// What happens while no member is [`MemberHealth::Active`] or draining.
    pub all_down: AllDown,
}

/// Flows that a worker remembers for sticky targets where nothing is said of it: half a MiB.
pub const STICKY_FLOWS: u32 = 65_536;
/// Seconds that a flow may be silent where nothing is said of it: a Network Load Balancer's for TCP.
pub const STICKY_IDLE_S: u16 = 350;

impl Default for BalanceSpec {
    fn default() -> Self {
        Self {
            affinity: Affinity::Flow,
            inner: false,
            sticky: false,
            sticky_flows: STICKY_FLOWS,
            sticky_idle_s: STICKY_IDLE_S,
            all_down: AllDown::FailOpen,
        }
    }
}

/// What reaches one member together; both directions always do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affinity {
    /// Addresses, protocol and ports; fragments by addresses and protocol.
    #[default]
    Flow,
    /// Addresses alone: fragments stay with the rest of their conversation, and related flows of two
    /// hosts together.
    Hosts,
}

/// `[[tool]] all_down`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllDown {
    /// All members get their flows as if they were up.
    #[default]
    FailOpen,
    /// Copies are skipped ([`crate::drop_reason::Skipped::NoMember`]).
    Skip,
}

/// What kind of EC2 target it is: what is done with copies that exceed the MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// Copies are truncated to the tool port's MTU.
    Interface,
    /// Copies are cut to 8500 bytes by default and skipped when over the MTU all the same.
    LoadBalancer,
}

/// Members of one target: as many as a target group has (ELB quotas, "Targets per target group").
pub const MEMBERS_MAX: usize = 1000;

/// One tool behind a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Outer destination.
    pub address: IpAddr,
    /// Outer source, of the same family: one of the tool port's addresses.
    pub source: IpAddr,
    /// Where the outer frame goes on the wire.
    pub neighbor: NeighborSpec,
    /// Its part of the flows, beside the others'; 0: none.
    pub weight: u16,
    /// What it takes now.
    pub health: MemberHealth,
    /// Why, where it is checked.
    pub checked: Option<HealthState>,
}

impl MemberSpec {
    /// A member of weight 1 that takes flows.
    pub const fn new(address: IpAddr, source: IpAddr, neighbor: NeighborSpec) -> Self {
        Self { address, source, neighbor, weight: 1, health: MemberHealth::Active, checked: None }
    }
}

/// What health checks have found of a member: for people, without effect on packets. It is told with
/// the snapshot so that who asks the data plane learns what is in force, whether control runs or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    /// In one word.
    pub state: Health,
    /// Why, in a few words, for a person: `connection refused`; empty when it is well.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
}

/// How a member is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Not checked often enough yet; counts as well.
    Initial,
    /// It takes copies.
    Healthy,
    /// It gets none.
    Unhealthy(Cause),
}

/// Why a member is unhealthy, as far as ELB has a word for it (`TargetHealth` of its API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// No answer in time: `Target.Timeout`.
    Timeout,
    /// Refused, unreachable, or no sense in the answer: `Target.FailedHealthChecks`.
    Failed,
    /// Another HTTP status than one that is wanted: `Target.ResponseCodeMismatch`.
    WrongStatus,
}

/// What a member takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberHealth {
    /// Flows, old and new.
    #[default]
    Active,
    /// Flows that it has already; without [`BalanceSpec::sticky`] nobody knows them: none.
    Draining,
    /// None.
    Down,
}

/// How the outer destination MAC is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NeighborSpec {
    /// Configured.
    Fixed(Mac),
    /// Resolved by the kernel; the address is the gateway of the file for a target off the subnet,
    /// else the target itself. A route that the kernel has through the tool port goes before it.
    Resolve(IpAddr),
}

/// A mirror filter; its rules are those of `Snapshot::rules` that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSpec {
    /// The name in reports.
    pub id: String,
    /// It has the network service `amazon-dns`.
    pub amazon_dns: bool,
}

/// A mirror session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// The name in reports: the logical id of a template, or an EC2 id.
    pub id: String,
    /// The source.
    pub interface: InterfaceIndex,
    /// Where the copies go.
    pub target: TargetIndex,
    /// Which packets are copied.
    pub filter: FilterIndex,
    /// Order among the sessions of the source, 1..=32766, unique there.
    pub number: u16,
    /// Identifier in the VXLAN header.
    pub vni: Vni,
    /// EC2 `PacketLength`: bytes kept from the inner Ethernet header on.
    pub packet_length: Option<u32>,
    /// The most that it may send.
    pub rate_limit: Option<RateLimit>,
    /// Of so many flows one is mirrored, chosen by the flow's hash; both directions together.
    pub sample: Option<NonZeroU16>,
}

/// The tag `linetap:rate-limit` of a session: two token buckets, each of which may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Inner bytes a second.
    pub bytes: Option<NonZeroU64>,
    /// Copies a second.
    pub packets: Option<NonZeroU64>,
}

impl RateLimit {
    /// Bytes a second that can be asked for: with fewer, the smallest bucket would take minutes to be
    /// filled; more is no limit to anything.
    pub const BYTES: RangeInclusive<u64> = 1000..=1_000_000_000_000;
    /// Copies a second that can be asked for.
    pub const PACKETS: RangeInclusive<u64> = 1..=1_000_000_000;
}

/// Of so many flows one can be sampled: so many values has a flow's hash.
pub const SAMPLE_MAX: u16 = 1 << HASH_BITS;

/// `[vxlan]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VxlanSpec {
    /// UDP destination port.
    pub port: u16,
    /// Keep the inner VLAN tags; they are stripped otherwise (RFC 7348 §6.1).
    pub keep_inner_vlan: bool,
    /// Over IPv6, send the UDP checksum as zero (RFC 6935) instead of computing it.
    pub udp6_zero_checksum: bool,
}

/// `[exempt]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptSpec {
    /// AWS's list of traffic that is never mirrored is in force.
    pub aws_never_mirrored: bool,
    /// The resolver addresses of the network service `amazon-dns`.
    pub amazon_dns: Vec<IpAddr>,
}

mod faults;

/// What becomes of the frames that a port receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// They leave, unchanged, by this port.
    Wire(PortIndex),
    /// They are only looked at.
    Tap,
    /// They are the kernel's, if anybody's: a tool port.
    Idle,
}

impl Snapshot {
    /// What becomes of the frames that `port` receives.
    pub fn role(&self, port: PortIndex) -> Role {
        match self.peer(port) {
            Some((peer, true)) => Role::Wire(peer),
            Some((_, false)) => Role::Tap,
            None if self.spans.contains(&port) => Role::Tap,
            None => Role::Idle,
        }
    }

    /// The other port of the link that `port` is in, and whether the link forwards.
    pub fn peer(&self, port: PortIndex) -> Option<(PortIndex, bool)> {
        self.links.iter().find_map(|link| match link.ports {
            [a, b] if a == port => Some((b, link.forward)),
            [a, b] if b == port => Some((a, link.forward)),
            _ => None,
        })
    }

    /// True when some target's copies leave by `port`.
    pub fn is_tool(&self, port: PortIndex) -> bool {
        self.targets.iter().any(|target| target.port == port)
    }

    /// True when `other` needs the same ports, pools, links and workers: it can replace this one while the
    /// data plane runs.
    pub fn has_same_hardware(&self, other: &Self) -> bool {
        self.dataplane.workers == other.dataplane.workers
            && self.dataplane.memory == other.dataplane.memory
            && self.dataplane.copies == other.dataplane.copies
            && self.ports == other.ports
            && self.links == other.links
            && self.spans == other.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_of_the_kernel_is_called_after_its_port_as_far_as_that_may_be() {
        let auto = |port| KernelSpec::Auto.interface(port).unwrap();
        assert_eq!(auto("tool"), "lt-tool");
        assert_eq!(auto("tools of ward 7"), "lt-tools-of-war");
        assert_eq!(auto("a/b:c%d\u{e4}"), "lt-a-b-c-d-");
        let named = KernelSpec::Named("net7".to_owned());
        assert_eq!(named.interface("tool").as_deref(), Some("net7"));
        assert_eq!(KernelSpec::None.interface("tool"), None);
    }

    #[test]
    fn what_workers_do_can_change_while_they_run_and_what_they_have_can_not() {
        let snapshot = |dataplane| Snapshot {
            epoch: 1,
            appliance_id: "t".to_owned(),
            dataplane,
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
        };
        let usual = || DataplaneSpec::new(vec![1]);
        let is_same = |other| snapshot(usual()).has_same_hardware(&snapshot(other));
        assert!(is_same(DataplaneSpec { latency: true, tx_drain_us: 0, ..usual() }));
        assert!(is_same(DataplaneSpec { idle: IdleSpec::Adaptive, ..usual() }));
        assert!(!is_same(DataplaneSpec { copies: CopySpec::Share, ..usual() }));
        assert!(!is_same(DataplaneSpec { memory: MemorySpec::MiB(1), ..usual() }));
        assert!(!is_same(DataplaneSpec::new(vec![2])));
    }
}
