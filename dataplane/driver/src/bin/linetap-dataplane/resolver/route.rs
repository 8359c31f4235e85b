//! A route of the kernel to a tool: where packets go next, and from which address.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};

use super::nexthops::Nexthops;

/// A route to a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// Its next hops: several of equal cost.
    pub(super) hops: Vec<RouteHop>,
    /// The address that packets by it come from.
    pub(super) source: Option<IpAddr>,
    /// Its own MTU.
    pub(super) mtu: Option<u32>,
    /// The nexthop object that has its next hops.
    pub(super) nexthop: Option<u32>,
}

/// A next hop of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteHop {
    /// The index of the interface that packets leave by.
    pub(super) interface: u32,
    /// The gateway; `None`: the destination itself is there.
    pub(super) via: Option<IpAddr>,
    /// Its part of the flows, beside the others'.
    pub(super) weight: u16,
    /// The kernel sends nothing there now: its interface is down, or has no carrier.
    pub(super) is_dead: bool,
}

/// The kernel's route to an address: its choice, metrics, rules and all; or that of those that leave
/// by the interface `output`. `None` where there is none, or none that packets can be sent by.
pub(super) async fn route_to(
    kernel: &Handle,
    nexthops: &Nexthops,
    address: IpAddr,
    output: Option<u32>,
) -> Result<Option<Route>, Error> {
    let len = if address.is_ipv4() { 32 } else { 128 };
    let Ok(request) = RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, len) else {
        return Ok(None);
    };
    let mut request = match output {
        Some(interface) => request.output_interface(interface).build(),
        None => request.build(),
    };
    // The route as it is in the table, with all next hops: not what one packet would make of it.
    request.header.flags |= RouteFlags::FibMatch;
    let mut answer = std::pin::pin!(kernel.route().get(request).execute());
    let message = match answer.try_next().await {
        Ok(message) => message,
        // No route, or an "unreachable" one.
        Err(Error::NetlinkError(_)) => None,
        Err(error) => return Err(error),
    };
    let Some(mut route) = message.as_ref().and_then(Route::of) else { return Ok(None) };
    if let Some(id) = route.nexthop.filter(|_| route.hops.is_empty()) {
        route.hops = nexthops.hops(id).await?;
    }
    Ok(Some(route))
}

impl Route {
    /// What a message says; `None` of routes that packets end at, and of those that want them in
    /// another envelope.
    fn of(message: &RouteMessage) -> Option<Self> {
        if message.header.kind != RouteType::Unicast {
            return None;
        }
        let mut route = Self::default();
        let mut output = None;
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::MultiPath(hops) => {
                    route.hops = hops.iter().filter_map(hop).collect();
                }
                RouteAttribute::Oif(interface) => output = Some(*interface),
                RouteAttribute::PrefSource(source) => route.source = address(source),
                RouteAttribute::NhId(id) => route.nexthop = Some(*id),
                RouteAttribute::Metrics(metrics) => route.mtu = metrics.iter().find_map(mtu),
                _ => {}
            }
        }
        if route.hops.is_empty()
            && let Some(interface) = output
        {
            let is_dead = message.header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
            let via = via(&message.attributes);
            let only = RouteHop { interface, via, weight: 1, is_dead };
            route.hops.extend(Some(only).filter(|_| is_plain(&message.attributes)));
        }
        Some(route)
    }
}

/// One of several next hops.
fn hop(next: &RouteNextHop) -> Option<RouteHop> {
    let hop = RouteHop {
        interface: next.interface_index,
        via: via(&next.attributes),
        // rtnetlink(7): "the number of hops" is the weight less one.
        weight: u16::from(next.hops) + 1,
        is_dead: next.flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown),
    };
    is_plain(&next.attributes).then_some(hop)
}

fn via(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(gateway) => address(gateway),
        // Of another family than the route (RFC 8950).
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}

/// False where packets are to be put into others (MPLS, segment routing, tunnels).
fn is_plain(attributes: &[RouteAttribute]) -> bool {
    !attributes.iter().any(|it| matches!(it, RouteAttribute::EncapType(_)))
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(bytes) => Some(*bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::Parseable as _;

    /// `rtmsg` of an IPv4 route (`kind` 1: unicast) without flags.
    const fn header(kind: u8) -> [u8; 12] {
        [2, 24, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0]
    }

    /// An attribute, padded.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [&len.to_le_bytes()[..], &kind.to_le_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// An `rtnexthop`.
    fn next_hop(flags: u8, hops: u8, interface: u32, attributes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + attributes.len()).unwrap();
        [&len.to_le_bytes()[..], &[flags, hops], &interface.to_le_bytes(), attributes].concat()
    }

    fn route(kind: u8, attributes: &[Vec<u8>]) -> Option<Route> {
        let bytes = [header(kind).to_vec(), attributes.concat()].concat();
        Route::of(&RouteMessage::parse(&bytes[..]).unwrap())
    }

    fn gateway(last: u8) -> Vec<u8> {
        attribute(5, &[192, 0, 2, last])
    }

    #[test]
    fn a_single_gateway_is_one_hop() {
        // RTA_OIF, RTA_PREFSRC, RTA_METRICS with RTAX_MTU.
        let mtu = attribute(8, &attribute(2, &1400u32.to_le_bytes()));
        let attributes =
            [attribute(4, &7u32.to_le_bytes()), gateway(1), attribute(7, &[192, 0, 2, 9]), mtu];
        let via = Some("192.0.2.1".parse().unwrap());
        let expected = Route {
            hops: vec![RouteHop { interface: 7, via, weight: 1, is_dead: false }],
            source: Some("192.0.2.9".parse().unwrap()),
            mtu: Some(1400),
            nexthop: None,
        };
        assert_eq!(route(1, &attributes), Some(expected));
    }

    #[test]
    fn several_next_hops_have_weights_states_and_gateways_of_either_family() {
        let via6 = attribute(18, &[&[10, 0][..], &[0xfe, 0x80], &[0; 13], &[1]].concat());
        let hops = [
            next_hop(0, 2, 7, &gateway(1)),
            next_hop(16, 0, 8, &via6),
            next_hop(1, 0, 9, &[]),
            // RTA_ENCAP_TYPE: MPLS.
            next_hop(0, 0, 9, &attribute(21, &[1, 0])),
        ];
        let route =
            route(1, &[attribute(9, &hops.concat()), attribute(30, &[5, 0, 0, 0])]).unwrap();
        assert_eq!(route.nexthop, Some(5));
        let hop = |interface, via: Option<&str>, weight, is_dead| RouteHop {
            interface,
            via: via.map(|via| via.parse().unwrap()),
            weight,
            is_dead,
        };
        let expected = [
            hop(7, Some("192.0.2.1"), 3, false),
            hop(8, Some("fe80::1"), 1, true),
            hop(9, None, 1, true),
        ];
        assert_eq!(route.hops, expected);
    }

    #[test]
    fn routes_that_packets_end_at_are_none() {
        for kind in [2, 6, 7, 8] {
            assert_eq!(route(kind, &[attribute(4, &1u32.to_le_bytes())]), None);
        }
        let only_an_object = route(1, &[attribute(30, &[5, 0, 0, 0])]).unwrap();
        assert_eq!((only_an_object.hops, only_an_object.nexthop), (vec![], Some(5)));
    }
}
