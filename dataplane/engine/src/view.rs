//! The read-only form of a snapshot that workers poll with: everything looked up, nothing searched.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::claims::PortSources;
use crate::exempt::Exempt;
use crate::neighbors::Neighbors;
use crate::order::Order;
use crate::path::{TargetView, targets};
use crate::policing::Policing;
use crate::rule::Direction;
use crate::rule_table::{CompiledTable, RuleTable, TABLE_RULES_MAX, TableRule};
use crate::snapshot::{SessionSpec, Snapshot, TargetKind};
use crate::units::{FilterIndex, InterfaceIndex, PortIndex, SessionIndex};

/// Bytes that a load-balancer target keeps unless the session says otherwise (EC2 `PacketLength`).
const LOAD_BALANCER_PACKET_LENGTH: u32 = 8500;

/// A compiled snapshot. Shared by all workers, changed by none.
#[derive(Debug)]
pub struct View<T = CompiledTable> {
    /// The snapshot's epoch.
    pub epoch: u64,
    /// Inner VLAN tags stay.
    pub keep_inner_vlan: bool,
    /// What rules never see.
    pub exempt: Exempt,
    /// Who claims what a port receives, by [`PortIndex`].
    pub ports: Vec<PortSources>,
    /// By [`SessionIndex`].
    pub sessions: Vec<SessionView>,
    /// Which copies they want of those that their rules do.
    pub policing: Policing,
    sources: Vec<SourceView<T>>,
    /// By [`crate::units::TargetIndex`].
    targets: Vec<Arc<TargetView>>,
    rules: usize,
    /// Some session's flows are to be [steered](crate::steer).
    pub steers: bool,
    /// So many flows each worker is to remember ([`crate::flow_table`]); 0: none.
    pub sticky_flows: u32,
}

/// All sessions of one source.
#[derive(Debug)]
struct SourceView<T> {
    /// Its id, by which it is known in the next view.
    interface: String,
    ingress: T,
    egress: T,
    amazon_dns: Option<SessionIndex>,
}

pub use crate::path::{PathView, Steering};

/// What the copy stage needs of a session.
#[derive(Debug)]
pub struct SessionView {
    /// The tool port.
    pub port: PortIndex,
    /// Copies over the MTU are cut; they are skipped otherwise.
    pub truncates_to_mtu: bool,
    /// The most bytes that a copy keeps, from the inner Ethernet header on.
    pub snap_len: usize,
    /// The ways to its target's tools; empty where no tool takes flows.
    pub paths: Vec<PathView>,
    /// How flows find theirs; `None` where there is one path at most, and nothing to remember.
    pub steering: Option<Arc<Steering>>,
}

impl<T: RuleTable> View<T> {
    /// Compiles a snapshot. Errors: all its faults, a sentence each. Thread: publisher.
    pub fn compile(snapshot: &Snapshot, neighbors: &Neighbors) -> Result<Self, Vec<String>> {
        Self::new(snapshot, neighbors, &HashMap::new(), &[], &Policing::default())
    }

    /// Compiles a snapshot that differs little from this view's: rule tables share what did not
    /// change, and rate limits go on. Errors and thread: as of [`View::compile`].
    pub fn update(&self, snapshot: &Snapshot, neighbors: &Neighbors) -> Result<Self, Vec<String>> {
        let before = self.sources.iter().map(|source| (source.interface.as_str(), source));
        Self::new(snapshot, neighbors, &before.collect(), &self.targets, &self.policing)
    }

    fn new(
        snapshot: &Snapshot,
        neighbors: &Neighbors,
        before: &HashMap<&str, &SourceView<T>>,
        targets_before: &[Arc<TargetView>],
        policing_before: &Policing,
    ) -> Result<Self, Vec<String>> {
        let mut faults = snapshot.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let ports = attribute_ports(snapshot, &mut faults);
        let sources = compile_sources(snapshot, before, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let targets = targets(snapshot, neighbors, targets_before);
        let underlay = snapshot.ports.iter().flat_map(|port| &port.addresses).map(IpNet::addr);
        let underlay = underlay.chain(neighbors.addresses.iter().copied());
        let sessions = compile_sessions(snapshot, &targets);
        Ok(Self {
            epoch: snapshot.epoch,
            keep_inner_vlan: snapshot.vxlan.keep_inner_vlan,
            exempt: Exempt::new(&snapshot.exempt, snapshot.vxlan.port, underlay),
            ports,
            steers: sessions.iter().any(|session| session.steering.is_some()),
            sessions,
            sticky_flows: targets.iter().map(|it| it.sticky_flows()).max().unwrap_or(0),
            policing: Policing::new(&snapshot.sessions, policing_before),
            targets,
            sources,
            rules: snapshot.rules.len(),
        })
    }

    /// The table of a source and direction.
    #[inline]
    pub fn table(&self, interface: InterfaceIndex, direction: Direction) -> &T {
        let source = &self.sources[interface.at()];
        match direction {
            Direction::Ingress => &source.ingress,
            Direction::Egress => &source.egress,
        }
    }

    /// The first session of a source that has the network service `amazon-dns`.
    #[inline]
    pub fn amazon_dns(&self, interface: InterfaceIndex) -> Option<SessionIndex> {
        self.sources[interface.at()].amazon_dns
    }

    /// How many tools its targets have, all together.
    pub fn tools(&self) -> usize {
        self.targets.iter().map(|target| target.tools()).sum()
    }

    /// How many rules its snapshot has.
    pub fn rules(&self) -> usize {
        self.rules
    }
}

/// Gives each interface its claims on what its port (and on a link the other port) receives.
fn attribute_ports(snapshot: &Snapshot, faults: &mut Vec<String>) -> Vec<PortSources> {
    let mut ports = vec![PortSources::default(); snapshot.ports.len()];
    for (at, interface) in snapshot.interfaces.iter().enumerate() {
        let index = InterfaceIndex(at as u16);
        // On a span both directions arrive on the same port.
        let from_port = interface.port;
        let to_port = snapshot.peer(from_port).map_or(from_port, |(peer, _)| peer);
        let any = [None];
        let some: Vec<_> = interface.macs.iter().copied().map(Some).collect();
        for &mac in if some.is_empty() { any.as_slice() } else { &some } {
            let egress = ports[from_port.at()].egress.add(mac, interface.vlan, index);
            let ingress = ports[to_port.at()].ingress.add(mac, interface.vlan, index);
            for owner in [egress.err(), ingress.err()].into_iter().flatten() {
                faults.push(format!(
                    "interfaces {} and {} claim the same frames; tell them apart by mac or vlan",
                    snapshot.interfaces[owner.at()].id,
                    interface.id
                ));
            }
        }
    }
    faults.dedup();
    ports.iter_mut().for_each(PortSources::compile);
    ports
}

/// The rules of sessions in the order in which they are asked.
fn table_rules<'a>(
    order: &Order<'a>,
    sessions: &[(SessionIndex, &SessionSpec)],
    direction: Direction,
) -> Vec<TableRule<'a>> {
    let of_session = |&(session, spec): &(SessionIndex, &SessionSpec)| {
        let rules = order.rules(spec.filter, direction).iter();
        rules.map(move |&(index, rule)| TableRule { session, index, rule })
    };
    sessions.iter().flat_map(of_session).collect()
}

/// The tables of all sources. Each shares what it can with that of the view before; where that has
/// few of the rules, with the first of a source whose sessions have the same filters.
fn compile_sources<T: RuleTable>(
    snapshot: &Snapshot,
    before: &HashMap<&str, &SourceView<T>>,
    faults: &mut Vec<String>,
) -> Vec<SourceView<T>> {
    let order = Order::of(snapshot);
    let mut sources: Vec<SourceView<T>> = Vec::new();
    let mut same: HashMap<Vec<FilterIndex>, usize> = HashMap::new();
    for (at, interface) in snapshot.interfaces.iter().enumerate() {
        let sessions = order.sessions(InterfaceIndex(at as u16));
        let filters = sessions.iter().map(|(_, session)| session.filter).collect();
        let first = *same.entry(filters).or_insert(sources.len());
        let (own, other) = (before.get(interface.id.as_str()).copied(), sources.get(first));
        let mut table = |direction, name, of: fn(&SourceView<T>) -> &T| {
            let rules = table_rules(&order, sessions, direction);
            if rules.len() > TABLE_RULES_MAX {
                faults.push(format!(
                    "interface {}: all its sessions together have {} {name} rules, more than \
                     {TABLE_RULES_MAX}; drop rules, or sessions",
                    interface.id,
                    rules.len()
                ));
                return T::compile(&[]);
            }
            // A table that has few of these rules shares little: a source that had no session before.
            let shares = |table: &&T| table.verdicts().len() > rules.len() / 2;
            let own = own.map(of);
            let like = own.filter(shares).or(other.map(of)).or(own);
            like.map_or_else(|| T::compile(&rules), |like| like.update(&rules))
        };
        let source = SourceView {
            ingress: table(Direction::Ingress, "ingress", |source| &source.ingress),
            egress: table(Direction::Egress, "egress", |source| &source.egress),
            amazon_dns: sessions
                .iter()
                .find(|(_, session)| snapshot.filters[session.filter.at()].amazon_dns)
                .map(|&(index, _)| index),
            interface: interface.id.clone(),
        };
        sources.push(source);
    }
    sources
}

fn compile_sessions(snapshot: &Snapshot, targets: &[Arc<TargetView>]) -> Vec<SessionView> {
    let compile = |session: &SessionSpec| {
        let target = &snapshot.targets[session.target.at()];
        let default = match target.kind {
            TargetKind::Interface => u32::MAX,
            TargetKind::LoadBalancer => LOAD_BALANCER_PACKET_LENGTH,
        };
        let snap_len = session.packet_length.unwrap_or(default) as usize;
        let view = &targets[session.target.at()];
        SessionView {
            port: target.port,
            truncates_to_mtu: target.kind == TargetKind::Interface,
            snap_len,
            paths: view.paths(&snapshot.vxlan, session.vni, snap_len),
            steering: view.steering.clone(),
        }
    };
    snapshot.sessions.iter().map(compile).collect()
}
