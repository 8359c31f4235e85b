//! A member of a tool: whether its port can send to it, and how. Judged alike for the appliance file
//! and for members that come at run time.

use std::net::IpAddr;
use std::ops::RangeInclusive;

pub use engine::snapshot::MEMBERS_MAX;
use engine::snapshot::{MemberSpec, NeighborSpec, PortSpec};
use engine::units::Mac;

use super::ports::{family, is_host};
use super::{Mode, OFFLINE_NEIGHBOR_MAC};
use crate::fault::quoted;

/// What a member's weight may be; 0: it gets no flows.
pub const WEIGHTS: RangeInclusive<u16> = 0..=256;

/// The member at an address, as `port` sends to it, of weight 1. Errors: why it can't be one, with
/// the remedy; begins with a word of the file.
pub fn member_at(
    port: &PortSpec,
    address: IpAddr,
    mac: Option<Mac>,
    mode: Mode,
) -> Result<MemberSpec, String> {
    if !is_host(address) {
        return Err(format!("address {address} is no host's; write the tool's own address"));
    }
    let source = source(port, address)?;
    let is_near = port.addresses.iter().any(|net| net.contains(&address));
    let gateway = port.gateways.iter().find(|other| other.is_ipv4() == address.is_ipv4()).copied();
    let neighbor = match (mac, mode) {
        (Some(mac), _) => NeighborSpec::Fixed(mac),
        (None, Mode::Offline) => NeighborSpec::Fixed(OFFLINE_NEIGHBOR_MAC),
        (None, Mode::Online) if is_near => NeighborSpec::Resolve(address),
        (None, Mode::Online) => NeighborSpec::Resolve(gateway.ok_or_else(|| {
            let (name, family) = (quoted(&port.name), family(address));
            format!(
                "address {address} is in no subnet of port {name}, which has no {family} gateway; \
                 add gateway to the port, or mac to the tool"
            )
        })?),
    };
    Ok(MemberSpec::new(address, source, neighbor))
}

/// The outer source: the address whose subnet holds the target, else the first of the family.
fn source(port: &PortSpec, address: IpAddr) -> Result<IpAddr, String> {
    let nets = &port.addresses;
    let name = quoted(&port.name);
    if nets.iter().any(|net| net.addr() == address) {
        return Err(format!("address {address} is port {name}'s own; write the tool's address"));
    }
    let is_of_family = |&&own: &&ipnet::IpNet| own.addr().is_ipv4() == address.is_ipv4();
    let near = nets.iter().find(|net| net.contains(&address));
    let own = near.or_else(|| nets.iter().find(is_of_family));
    own.map(ipnet::IpNet::addr).ok_or_else(|| {
        let family = family(address);
        format!("port {name} has no {family} address to send to {address} from; add one")
    })
}

/// Why an address can't be that of one station, if it can't.
pub fn fault_of(mac: Mac) -> Option<&'static str> {
    if mac.is_group() {
        Some("is a group address; write one station's")
    } else if mac.is_zero() {
        Some("is no station's; write a real address")
    } else {
        None
    }
}
