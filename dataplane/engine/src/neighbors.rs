//! What the kernel knows of the way to each tool, and what the ports send from.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::snapshot::{MemberSpec, NeighborSpec, Snapshot};
use crate::units::{Mac, PortIndex, VlanId};

/// Offline, every neighbour that is not configured has this address.
const OFFLINE_NEIGHBOR: Mac = Mac([0x02, 0, 0, 0, 0, 0xfe]);
/// Offline, every port that has none configured has this address.
const OFFLINE_PORT: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);

/// All that a view is compiled with beside its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbors {
    /// What each port sends from, by [`PortIndex`].
    pub port_macs: Vec<Mac>,
    /// The ways to tools whose neighbour is resolved; none for those that nobody knows a way to.
    pub known: HashMap<(PortIndex, IpAddr), Way>,
    /// What the kernel's interfaces of the tool ports have for addresses: with those of the snapshot, what
    /// our own copies come from (the loop guard).
    pub addresses: Vec<IpAddr>,
}

/// The way to one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The outer source, where it is not that of the snapshot.
    pub source: Option<IpAddr>,
    /// The IP MTU of the path, where it is known to be less than the port's.
    pub mtu: Option<u16>,
    /// The next hops: several for routes of equal cost.
    pub hops: Vec<Hop>,
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its address; the tool's own where it is on the subnet.
    pub via: IpAddr,
    /// Its link-layer address; `None` while it is not known.
    pub mac: Option<Mac>,
    /// The tag of the VLAN that it is in; `None`: that of the port, if it has one.
    pub vlan: Option<VlanId>,
    /// What frames for it are sent from, where not from the port's own address.
    pub source_mac: Option<Mac>,
    /// Its part of the flows, beside the others'.
    pub weight: u16,
}

impl Hop {
    /// The only next hop of a way, on the port's own network.
    pub const fn only(via: IpAddr, mac: Option<Mac>) -> Self {
        Self { via, mac, vlan: None, source_mac: None, weight: 1 }
    }
}

impl Neighbors {
    /// Those of offline mirroring, where nothing can be resolved.
    pub fn offline(snapshot: &Snapshot) -> Self {
        let tools = snapshot
            .targets
            .iter()
            .flat_map(|target| target.members.iter().map(|member| (target.port, member.address)));
        let way = |address| {
            let hops = vec![Hop::only(address, Some(OFFLINE_NEIGHBOR))];
            Way { hops, ..Way::default() }
        };
        Self {
            port_macs: snapshot.ports.iter().map(|port| port.mac.unwrap_or(OFFLINE_PORT)).collect(),
            known: tools.map(|tool| (tool, way(tool.1))).collect(),
            addresses: Vec::new(),
        }
    }

    /// The way to a tool: what is known of it, with the configured neighbour where there is one.
    pub fn way(&self, port: PortIndex, member: &MemberSpec) -> Way {
        let known = self.known.get(&(port, member.address)).cloned().unwrap_or_default();
        match member.neighbor {
            NeighborSpec::Fixed(mac) => {
                Way { hops: vec![Hop::only(member.address, Some(mac))], ..known }
            }
            NeighborSpec::Resolve(_) => known,
        }
    }

    /// What a port sends from.
    pub(crate) fn port_mac(&self, port: PortIndex) -> Mac {
        self.port_macs.get(port.at()).copied().unwrap_or(OFFLINE_PORT)
    }
}
