//! The ways from a target to its tools: a path for each tool and next hop, and the table by which
//! flows find theirs.

mod steering;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::balance::{SLOTS, Taker, maglev};
use crate::encap::{Encap, Outer, inner_len_max};
use crate::neighbors::{Hop, Neighbors, Way};
use crate::snapshot::{
    AllDown, MEMBERS_MAX, MemberHealth, MemberSpec, Snapshot, TargetSpec, VxlanSpec,
};
use crate::units::{Mac, PortIndex, ToolIndex, VlanId, Vni};

pub use steering::Steering;
use steering::{Sticky, hop_tables};

/// Routes of equal cost to one tool that are taken, of those that the kernel has.
const HOPS_MAX: usize = 63;
// A path's number has 16 bits.
const _: () = assert!(HOPS_MAX * MEMBERS_MAX < u16::MAX as usize);

/// One way to one tool, as one session sends by it.
#[derive(Debug)]
pub struct PathView {
    /// The tool, among those of all targets.
    pub tool: ToolIndex,
    /// The most inner bytes that the MTU of port and path leaves.
    pub inner_len_max: usize,
    /// Frames that are not longer stay whole: they exceed neither the MTU nor the session's
    /// `snap_len`.
    pub whole_len_max: usize,
    /// The outer header; `None` while the neighbour is not known.
    pub encap: Option<Encap>,
}

/// The same for all sessions to one target.
#[derive(Debug)]
pub(crate) struct TargetView {
    /// What it was made of: as long as that stays, so does the table.
    made_of: Ingredients,
    /// Which tool and which of its next hops each path leads by.
    paths: Vec<Path>,
    /// How flows find their path; `None` where there is one path at most, and nothing to remember.
    pub(crate) steering: Option<Arc<Steering>>,
}

/// What the paths of a target depend on.
#[derive(Debug, PartialEq, Eq)]
struct Ingredients {
    spec: TargetSpec,
    ways: Vec<Way>,
    /// The place of its first tool among all.
    first: ToolIndex,
    mtu: u16,
    mac: Mac,
    vlan: Option<VlanId>,
    /// Of VXLAN.
    udp_port: u16,
}

#[derive(Debug)]
struct Path {
    /// Place of the tool among the target's members.
    member: usize,
    /// Place of the next hop among those of the tool's way, which may have none.
    hop: usize,
}

/// The paths of all targets; those that are as in `before` are taken from there.
pub(crate) fn targets(
    snapshot: &Snapshot,
    neighbors: &Neighbors,
    before: &[Arc<TargetView>],
) -> Vec<Arc<TargetView>> {
    let mut first = 0;
    let compile = |(at, spec): (usize, &TargetSpec)| {
        let port = &snapshot.ports[spec.port.at()];
        let made_of = Ingredients {
            spec: spec.bare(),
            ways: spec.members.iter().map(|it| way(neighbors, spec.port, it)).collect(),
            first: ToolIndex(first),
            mtu: port.mtu,
            mac: neighbors.port_mac(spec.port),
            vlan: port.vlan,
            udp_port: snapshot.vxlan.port,
        };
        first += spec.members.len() as u32;
        match before.get(at).filter(|before| before.made_of == made_of) {
            Some(same) => Arc::clone(same),
            None => Arc::new(TargetView::new(made_of)),
        }
    };
    snapshot.targets.iter().enumerate().map(compile).collect()
}

/// The way to a tool, with so many next hops at most that paths can be numbered.
fn way(neighbors: &Neighbors, port: PortIndex, member: &MemberSpec) -> Way {
    let mut way = neighbors.way(port, member);
    way.hops.truncate(HOPS_MAX);
    way
}

impl TargetView {
    fn new(made_of: Ingredients) -> Self {
        let takers = takers(&made_of.spec);
        let slots = if takers.len() == 1 { None } else { maglev(&takers) };
        let is_needed =
            |at: usize| slots.is_some() || takers.get(at).is_some_and(|it| it.weight > 0);
        let mut paths = Vec::new();
        // Of each tool, the place of its first path.
        let mut firsts = Vec::with_capacity(takers.len());
        for (member, way) in made_of.ways.iter().enumerate().filter(|(at, _)| is_needed(*at)) {
            firsts.push(paths.len());
            paths.extend((0..way.hops.len().max(1)).map(|hop| Path { member, hop }));
        }
        let hops = hop_tables(&made_of.ways);
        let table = (paths.len() > 1).then(|| {
            let path = |slot: usize| {
                let member = slots.as_ref().map_or(0, |slots| usize::from(slots[slot]));
                let hop = hops[member].as_ref().map_or(0, |hops| usize::from(hops[slot]));
                u16::try_from(firsts[member] + hop).unwrap_or(0)
            };
            (0..SLOTS).map(path).collect()
        });
        let Ingredients { spec, ways, .. } = &made_of;
        let is_sticky = spec.balance.sticky && !paths.is_empty();
        let sticky = is_sticky.then(|| Sticky::new(spec, ways, &takers, &firsts, &hops));
        let is_steered = sticky.is_some() || table.is_some();
        let steering =
            is_steered.then(|| Arc::new(Steering::new(spec, made_of.udp_port, sticky, table)));
        Self { made_of, paths, steering }
    }

    /// So many flows it wants remembered; 0: none.
    pub(crate) fn sticky_flows(&self) -> u32 {
        let balance = &self.made_of.spec.balance;
        if balance.sticky { balance.sticky_flows } else { 0 }
    }

    /// How many tools it has.
    pub(crate) fn tools(&self) -> usize {
        self.made_of.spec.members.len()
    }

    /// The paths of one session.
    pub(crate) fn paths(&self, vxlan: &VxlanSpec, vni: Vni, snap_len: usize) -> Vec<PathView> {
        self.paths.iter().map(|path| self.path(path, vxlan, vni, snap_len)).collect()
    }

    fn path(&self, path: &Path, vxlan: &VxlanSpec, vni: Vni, snap_len: usize) -> PathView {
        let Ingredients { spec, ways, first, mtu, mac, vlan, .. } = &self.made_of;
        let MemberSpec { address, source, .. } = spec.members[path.member];
        let way = &ways[path.member];
        let mtu = way.mtu.map_or(*mtu, |of_path| of_path.min(*mtu));
        let inner_len_max = inner_len_max(mtu, address);
        // A VLAN within the port's own takes two tags, which copies don't have: there is no way by it.
        let is_usable = |hop: &&Hop| hop.vlan.is_none() || vlan.is_none();
        let encap = way.hops.get(path.hop).filter(is_usable).and_then(|hop| {
            let outer = Outer {
                src_mac: hop.source_mac.unwrap_or(*mac),
                dst_mac: hop.mac?,
                vlan: hop.vlan.or(*vlan),
                dst_port: vxlan.port,
                udp6_zero_checksum: vxlan.udp6_zero_checksum,
            };
            Encap::new(&outer, way.source.unwrap_or(source), address, vni)
        });
        PathView {
            tool: ToolIndex(first.0 + path.member as u32),
            inner_len_max,
            whole_len_max: inner_len_max.min(snap_len),
            encap,
        }
    }
}

/// Who takes the flows of a target now: the active members; none of them left, those that drain; none
/// of those either, all or nobody.
fn takers(spec: &TargetSpec) -> Vec<Taker> {
    let with = |takes: &dyn Fn(&MemberSpec) -> bool| -> Vec<Taker> {
        let weight = |member: &MemberSpec| if takes(member) { member.weight } else { 0 };
        let taker = |member: &MemberSpec| Taker { address: member.address, weight: weight(member) };
        spec.members.iter().map(taker).collect()
    };
    let is_some = |takers: &Vec<Taker>| takers.iter().any(|taker| taker.weight > 0);
    let active = with(&|member| member.health == MemberHealth::Active);
    if is_some(&active) {
        return active;
    }
    let draining = with(&|member| member.health == MemberHealth::Draining);
    if is_some(&draining) || spec.balance.all_down == AllDown::Skip {
        return draining;
    }
    with(&|_| true)
}

/// The next hops that have an address; all of them while none has.
fn usable_hops(way: &Way) -> Vec<Taker> {
    let is_any = way.hops.iter().any(|hop| hop.mac.is_some());
    let weight = |hop: &Hop| if hop.mac.is_some() || !is_any { hop.weight.max(1) } else { 0 };
    way.hops.iter().map(|hop| Taker { address: drawn_by(hop), weight: weight(hop) }).collect()
}

/// What a next hop draws its slots by. One address may be a gateway in several VLANs, as `fe80::1` often
/// is: those are to get different slots, or the heaviest would get all.
fn drawn_by(hop: &Hop) -> IpAddr {
    let Some(vlan) = hop.vlan else { return hop.via };
    let bits = match hop.via {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    Ipv6Addr::from_bits(bits ^ u128::from(vlan.value()) << 64).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{BalanceSpec, NeighborSpec, TargetKind};
    use crate::units::PortIndex;

    const TOOL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10));

    fn hop(via: &str, vlan: Option<u16>, is_known: bool) -> Hop {
        let vlan = vlan.map(|vlan| VlanId::try_from(vlan).unwrap());
        let mac = is_known.then_some(Mac([2, 0, 0, 0, 0, 9]));
        Hop { vlan, ..Hop::only(via.parse().unwrap(), mac) }
    }

    /// What a target with one tool is made of; the tool's way has these hops.
    fn ingredients(hops: Vec<Hop>) -> Ingredients {
        let member = MemberSpec::new(TOOL, TOOL, NeighborSpec::Resolve(TOOL));
        Ingredients {
            spec: TargetSpec {
                id: "T".to_owned(),
                port: PortIndex(0),
                kind: TargetKind::Interface,
                members: vec![member],
                balance: BalanceSpec::default(),
            },
            ways: vec![Way { hops, ..Way::default() }],
            first: ToolIndex(0),
            mtu: 1500,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            vlan: None,
            udp_port: 4789,
        }
    }

    /// How many slots each of these next hops has.
    fn slots(hops: Vec<Hop>) -> Vec<usize> {
        let view = TargetView::new(ingredients(hops));
        let mut counts = vec![0; view.paths.len()];
        for slot in 0..SLOTS as u32 {
            counts[usize::from(view.steering.as_ref().unwrap().path(slot))] += 1;
        }
        counts
    }

    #[test]
    fn flows_spread_over_next_hops_and_leave_those_that_fail() {
        let is_half = |count: usize| count.abs_diff(SLOTS / 2) < SLOTS / 50;
        let known = |known| vec![hop("192.0.2.8", None, true), hop("192.0.2.9", None, known)];
        assert!(slots(known(true)).into_iter().all(is_half));
        assert_eq!(slots(known(false)), [SLOTS, 0]);
    }

    #[test]
    fn on_a_port_in_a_vlan_no_copy_goes_by_a_vlan_within() {
        let encap = |port_vlan: Option<u16>, hop_vlan| {
            let mut made_of = ingredients(vec![hop("192.0.2.8", hop_vlan, true)]);
            made_of.vlan = port_vlan.map(|vlan| VlanId::try_from(vlan).unwrap());
            let vxlan = VxlanSpec { port: 4789, keep_inner_vlan: false, udp6_zero_checksum: false };
            let paths = TargetView::new(made_of).paths(&vxlan, Vni::try_from(1).unwrap(), 1500);
            paths[0].encap.as_ref().map(Encap::header_len)
        };
        assert_eq!(encap(None, None), Some(50));
        assert_eq!(encap(Some(10), None), Some(54));
        assert_eq!(encap(None, Some(100)), Some(54));
        assert_eq!(encap(Some(10), Some(100)), None);
    }

    #[test]
    fn one_address_in_two_vlans_is_two_next_hops() {
        for via in ["fe80::1", "192.0.2.8"] {
            let slots = slots(vec![hop(via, Some(100), true), hop(via, Some(101), true)]);
            assert!(slots.iter().all(|count| count.abs_diff(SLOTS / 2) < SLOTS / 50), "{slots:?}");
        }
    }
}
