//! Why a frame does not belong to an interface: what it would have to be.

use engine::rule::Direction;
use engine::snapshot::{InterfaceSpec, Snapshot};
use engine::units::{InterfaceIndex, Mac, PortIndex, VlanId};

use super::frame::Frame;

/// What a frame lacks to belong to an interface in a direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The interface.
    pub interface: InterfaceIndex,
    /// The direction in which frames of the port could be its own.
    pub direction: Direction,
    /// One of these would have to be its source (egress) or destination (ingress); empty when that is
    /// not what is lacking.
    pub macs: Vec<Mac>,
    /// Its outermost tag would have to carry this VLAN; `None` when that is not what is lacking.
    pub vlan: Option<VlanId>,
}

/// The port on which the frames of an interface arrive that it sends (egress) or gets (ingress).
pub(super) fn port_of(
    snapshot: &Snapshot,
    interface: &InterfaceSpec,
    direction: Direction,
) -> PortIndex {
    match (direction, snapshot.peer(interface.port)) {
        (Direction::Ingress, Some((peer, _))) => peer,
        // On a span both arrive on the same port.
        _ => interface.port,
    }
}

/// Every interface and direction to which frames of a port could belong, and what this one lacks.
pub(super) fn strangers(snapshot: &Snapshot, port: PortIndex, frame: &Frame) -> Vec<Stranger> {
    let mut strangers = Vec::new();
    for (interface, at) in snapshot.interfaces.iter().zip(0..) {
        for direction in [Direction::Egress, Direction::Ingress] {
            if port_of(snapshot, interface, direction) != port {
                continue;
            }
            let end = match direction {
                Direction::Egress => frame.src,
                Direction::Ingress => frame.dst,
            };
            let has_mac = end.is_some_and(|mac| interface.macs.contains(&mac));
            let has_vlan = interface.vlan.is_none_or(|vlan| vlan.value() == frame.parsed.vid);
            strangers.push(Stranger {
                interface: InterfaceIndex(at),
                direction,
                macs: if has_mac { Vec::new() } else { interface.macs.clone() },
                vlan: interface.vlan.filter(|_| !has_vlan),
            });
        }
    }
    strangers
}
