//! A small appliance in memory: a link `lan`–`wan`, a span, a tool port; five interfaces.

use std::io::Cursor;
use std::sync::Arc;

use engine::neighbors::Neighbors;
use engine::report::Report;
use engine::roster::{Roster, WorkerEnd};
use engine::rule::{Direction, FilterRule, PortRange, RuleAction};
use engine::sim::{SentFrame, Sim, SimFeed, SimOutput, SimPool, TxFaults, capture_of};
use engine::snapshot::{
    BalanceSpec, DataplaneSpec, ExemptSpec, FilterSpec, InterfaceSpec, LinkSpec, MemberSpec,
    NeighborSpec, PortSpec, Role, SessionSpec, Snapshot, TargetKind, TargetSpec, VxlanSpec,
};
use engine::tool::{Sharing, ToolPort};
use engine::units::{FilterIndex, InterfaceIndex, Mac, PortIndex, TargetIndex, VlanId, Vni};
use engine::view::View;
use engine::worker::{Lane, Worker};

pub const LAN: PortIndex = PortIndex(0);
pub const WAN: PortIndex = PortIndex(1);
pub const SPAN: PortIndex = PortIndex(2);
pub const TOOL: PortIndex = PortIndex(3);
/// On the link, behind `lan`, with an address.
pub const MAC_A: Mac = Mac([2, 0, 0, 0, 0xaa, 1]);
/// On the link, behind `wan`, VLAN 100, any address.
pub const VLAN_B: u16 = 100;
/// On the span.
pub const MAC_C: Mac = Mac([2, 0, 0, 0, 0xcc, 1]);
/// On the span, spread over a tool of each family.
pub const MAC_E: Mac = Mac([2, 0, 0, 0, 0xee, 1]);

fn port(name: &str) -> PortSpec {
    let addresses = match name {
        "tool" => vec!["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
        _ => Vec::new(),
    };
    PortSpec { addresses, ..PortSpec::new(name.into(), None, 1500) }
}

fn interface(id: &str, port: PortIndex, mac: Option<Mac>, vlan: Option<u16>) -> InterfaceSpec {
    let vlan = vlan.and_then(|vlan| VlanId::try_from(vlan).ok());
    InterfaceSpec { id: id.into(), port, macs: mac.into_iter().collect(), vlan }
}

const TOOL_V4: (&str, &str) = ("192.0.2.10", "192.0.2.1");
const TOOL_V6: (&str, &str) = ("2001:db8::10", "2001:db8::1");

fn target(id: &str, kind: TargetKind, tools: &[(&str, &str)]) -> TargetSpec {
    let member = |(address, source): &(&str, &str)| {
        let address = address.parse().unwrap();
        let neighbor = NeighborSpec::Resolve(address);
        MemberSpec::new(address, source.parse().unwrap(), neighbor)
    };
    let members = tools.iter().map(member).collect();
    TargetSpec { id: id.into(), port: TOOL, kind, members, balance: BalanceSpec::default() }
}

fn session(id: &str, interface: u16, target: u16, filter: u32, number: u16) -> SessionSpec {
    SessionSpec {
        id: id.into(),
        interface: InterfaceIndex(interface),
        target: TargetIndex(target),
        filter: FilterIndex(filter),
        number,
        vni: Vni::try_from(u32::from(number) + 100 * u32::from(interface)).unwrap(),
        packet_length: (number == 2).then_some(96),
        rate_limit: None,
        sample: None,
    }
}

pub fn rule(filter: u32, direction: Direction, number: u16, action: RuleAction) -> FilterRule {
    FilterRule {
        id: format!("rule-{filter}-{direction:?}-{number}"),
        filter: FilterIndex(filter),
        direction,
        number,
        action,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        protocol: None,
        source_ports: None,
        destination_ports: None,
    }
}

/// Filter 0 takes UDP but for port 53, which it rejects; filter 1 takes everything.
fn rules() -> Vec<FilterRule> {
    let mut rules = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        rules.push(FilterRule {
            protocol: Some(17),
            destination_ports: Some(PortRange { from: 53, to: 53 }),
            ..rule(0, direction, 10, RuleAction::Reject)
        });
        rules.push(FilterRule { protocol: Some(17), ..rule(0, direction, 20, RuleAction::Accept) });
        rules.push(rule(1, direction, 1, RuleAction::Accept));
        rules.push(FilterRule {
            source: "::/0".parse().unwrap(),
            destination: "::/0".parse().unwrap(),
            ..rule(1, direction, 2, RuleAction::Accept)
        });
    }
    rules
}

pub fn snapshot() -> Snapshot {
    Snapshot {
        epoch: 1,
        appliance_id: "test".into(),
        dataplane: DataplaneSpec::new(vec![1]),
        ports: ["lan", "wan", "span", "tool"].map(port).into(),
        links: vec![LinkSpec { name: "wire".into(), ports: [LAN, WAN], forward: true }],
        spans: vec![SPAN],
        interfaces: vec![
            interface("eni-a", LAN, Some(MAC_A), None),
            interface("eni-b", WAN, None, Some(VLAN_B)),
            interface("eni-c", SPAN, Some(MAC_C), None),
            interface("eni-d", SPAN, Some(MAC_A), None),
            interface("eni-e", SPAN, Some(MAC_E), None),
        ],
        targets: vec![
            target("t4", TargetKind::Interface, &[TOOL_V4]),
            target("t6", TargetKind::Interface, &[TOOL_V6]),
            target("t46", TargetKind::LoadBalancer, &[TOOL_V4, TOOL_V6]),
        ],
        filters: ["udp", "all"].map(|id| FilterSpec { id: id.into(), amazon_dns: false }).into(),
        rules: rules().into(),
        sessions: vec![
            session("a1", 0, 0, 0, 1),
            session("a2", 0, 1, 1, 2),
            session("b1", 1, 0, 1, 1),
            session("c1", 2, 1, 1, 1),
            session("d1", 3, 0, 1, 1),
            session("e1", 4, 2, 1, 1),
        ],
        vxlan: VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false },
        exempt: ExemptSpec { aws_never_mirrored: true, amazon_dns: Vec::new() },
    }
}

/// How the devices of a run behave.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    pub segment_len: usize,
    pub wire: TxFaults,
    pub tool: TxFaults,
    pub pool: usize,
    /// Copies of frames from so many bytes on are made by reference.
    pub share_len_min: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            segment_len: usize::MAX,
            wire: TxFaults::default(),
            tool: TxFaults::default(),
            pool: 4096,
            share_len_min: usize::MAX,
        }
    }
}

/// A worker, its publisher, and what comes out.
pub struct Appliance {
    pub worker: Worker<Sim>,
    pub roster: Roster,
    pub outputs: Vec<SimOutput>,
    pub feed: SimFeed,
    pub pool: SimPool,
    pub leads: SimPool,
}

/// Copies by reference at once.
pub const LEADS: usize = 511;

impl Appliance {
    /// `frames` arrive one by one, each on its port.
    pub fn new(snapshot: Snapshot, frames: &[(PortIndex, Vec<u8>)], behaviour: Behaviour) -> Self {
        let snapshot = Arc::new(snapshot);
        let neighbors = Neighbors::offline(&snapshot);
        let view = Arc::new(View::compile(&snapshot, &neighbors).expect("a sound snapshot"));
        let (roster, mut ends) = Roster::new(Arc::clone(&snapshot), &view);
        let feed = feed(frames, behaviour.segment_len);
        let outputs: Vec<_> = snapshot.ports.iter().map(|_| SimOutput::memory()).collect();
        for port in [LAN, WAN] {
            outputs[port.at()].set_faults(behaviour.wire);
        }
        outputs[TOOL.at()].set_faults(behaviour.tool);
        let pool = SimPool::new(2048, behaviour.pool);
        let leads = SimPool::new(0, LEADS);
        let sharing =
            Sharing { leads: leads.clone(), count: LEADS, len_min: behaviour.share_len_min };
        let tool = ToolPort::new(outputs[TOOL.at()].tx(), pool.clone()).with_sharing(sharing);
        let worker = worker(&snapshot, &feed, &outputs, tool, ends.remove(0));
        Self { worker, roster, outputs, feed, pool, leads }
    }

    pub fn run(&mut self) {
        while !self.feed.is_done() {
            self.worker.poll();
        }
        // What still waits leaves when nothing comes.
        self.worker.poll();
    }

    pub fn report(&mut self) -> Report {
        self.roster.request_report();
        self.worker.poll();
        assert!(self.roster.collect_report(), "the worker has answered");
        self.roster.report()
    }

    pub fn sent(&self, port: PortIndex) -> Vec<SentFrame> {
        self.outputs[port.at()].take_sent()
    }
}

pub fn feed(frames: &[(PortIndex, Vec<u8>)], segment_len: usize) -> SimFeed {
    let feed = SimFeed::in_segments(segment_len);
    for port in [LAN, WAN, SPAN, TOOL] {
        let own = frames.iter().enumerate().filter(|(_, (at, _))| *at == port);
        feed.add(port, Cursor::new(capture_of(own.map(|(at, (_, bytes))| (at as u64, bytes)))));
    }
    feed
}

pub fn worker(
    snapshot: &Snapshot,
    feed: &SimFeed,
    outputs: &[SimOutput],
    tool: ToolPort<Sim>,
    end: WorkerEnd,
) -> Worker<Sim> {
    let all = (0..snapshot.ports.len()).map(|at| PortIndex(at as u16));
    let lane = |port| Lane { port, rx: feed.rx(port), role: snapshot.role(port), spreader: None };
    let lanes = all.clone().map(lane);
    let wires = all
        .clone()
        .map(|port| matches!(snapshot.role(port), Role::Wire(_)).then(|| outputs[port.at()].tx()));
    let mut tool = Some(tool);
    let tools = all.map(|port| tool.take_if(|_| snapshot.is_tool(port)));
    Worker::new(lanes.collect(), wires.collect(), tools.collect(), end)
}
