//! The way to a tool, put together of what the kernel knows: its route, interfaces, neighbours.

use std::net::IpAddr;

use engine::neighbors::{Hop, Way};
use rtnetlink::{Error, Handle};

use super::Wanted;
use super::interfaces::{Interfaces, reaches};
use super::neighbours::Neighbours;
use super::nexthops::Nexthops;
use super::path_mtu::mtu_min;
use super::route::{Route, RouteHop, route_to};

/// The route to a tool of which a next hop leaves by the port: the kernel's choice, or, where that
/// leaves by another interface, what it would be with this port's interfaces alone.
pub(super) async fn route_by_port(
    kernel: &Handle,
    nexthops: &Nexthops,
    tool: IpAddr,
    interfaces: &[u32],
) -> Result<Option<Route>, Error> {
    for output in [None].into_iter().chain(interfaces.iter().copied().map(Some)) {
        let Some(mut route) = route_to(kernel, nexthops, tool, output).await? else { continue };
        route.hops.retain(|hop| interfaces.contains(&hop.interface));
        if !route.hops.is_empty() {
            return Ok(Some(route));
        }
    }
    Ok(None)
}

/// The way to a tool whose next hop is `via` where there is no route by its port; and the neighbours
/// that the kernel shall resolve for it, each with the index of its interface.
pub(super) fn way(
    tool: &Wanted,
    via: IpAddr,
    route: Option<Route>,
    interfaces: &Interfaces,
    neighbours: &Neighbours,
) -> (Way, Vec<(u32, IpAddr)>) {
    let no_route = || {
        let only =
            RouteHop { interface: tool.interface, via: Some(via), weight: 1, is_dead: false };
        Route { hops: vec![only], ..Route::default() }
    };
    let has_route = route.is_some();
    let route = route.unwrap_or_else(no_route);
    let own_mac = interfaces.at(tool.interface).and_then(|own| own.mac);
    let mut way = Way {
        source: has_route.then(|| source(tool, &route, interfaces)).flatten(),
        mtu: mtu(tool, &route, interfaces),
        hops: Vec::with_capacity(route.hops.len()),
    };
    let mut unresolved = Vec::new();
    for next in &route.hops {
        let via = next.via.unwrap_or(tool.address);
        let device = interfaces.at(next.interface);
        if !next.is_dead && neighbours.is_to_be_resolved(next.interface, via) {
            unresolved.push((next.interface, via));
        }
        let hop = Hop {
            via,
            mac: neighbours.mac(next.interface, via).filter(|_| !next.is_dead),
            vlan: device.and_then(|it| it.tag).map(|(_, vlan)| vlan),
            source_mac: device.and_then(|it| it.mac).filter(|&mac| own_mac != Some(mac)),
            weight: next.weight,
        };
        // The same twice is the same with both weights.
        match way.hops.iter_mut().find(|it| (it.via, it.vlan) == (hop.via, hop.vlan)) {
            Some(same) => same.weight = same.weight.saturating_add(hop.weight),
            None => way.hops.push(hop),
        }
    }
    // The kernel lists those of IPv6 in any order.
    way.hops.sort_by_key(|hop| (hop.via, hop.vlan.map(u16::from)));
    (way, unresolved)
}

/// What the kernel would send from: what the route says; else the address whose subnet the next hop
/// is in; else, where that is in none (a link-local gateway), the first that the tool can answer to.
/// Only addresses of the port: others may be nobody's there.
fn source(tool: &Wanted, route: &Route, interfaces: &Interfaces) -> Option<IpAddr> {
    let of_port = interfaces.of_port(tool.interface);
    let is_here = |address| interfaces.addresses(&of_port).any(|net| net.addr() == address);
    if let Some(address) = route.source.filter(|&address| is_here(address)) {
        return Some(address);
    }
    let via_of = |hop: &RouteHop| hop.via.unwrap_or(tool.address);
    // In any order that the kernel lists them in, the same one.
    let next = route.hops.iter().min_by_key(|hop| (via_of(hop), hop.interface))?;
    let via = via_of(next);
    let candidates = || {
        let usable = interfaces.addresses(&of_port);
        usable.filter(|net| reaches(net.addr(), tool.address))
    };
    let holds = candidates().find(|net| net.contains(&via));
    let on_device = || {
        let is_in_none = !reaches(via, tool.address);
        let device = interfaces.addresses(std::slice::from_ref(&next.interface));
        let mut usable = device.filter(|net| reaches(net.addr(), tool.address));
        usable.next().filter(|_| is_in_none)
    };
    holds.copied().or_else(|| on_device().copied()).map(|net| net.addr())
}

/// The IP MTU of a way, where it is less than the port's: that of the route, and of VLAN devices.
fn mtu(tool: &Wanted, route: &Route, interfaces: &Interfaces) -> Option<u16> {
    let devices = route.hops.iter().filter_map(|hop| interfaces.at(hop.interface));
    let of_devices = devices.filter(|it| it.tag.is_some()).map(|it| it.mtu);
    let least = of_devices.chain(route.mtu).min()?;
    let least = u16::try_from(least).unwrap_or(u16::MAX).max(mtu_min(tool.address));
    Some(least).filter(|&least| least < tool.mtu)
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::Interface;
    use super::*;
    use engine::units::{Mac, PortIndex, VlanId};

    const PORT: u32 = 7;
    const VLAN: u32 = 34;
    const PORT_MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
    const VLAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 34]);
    const ROUTER: Mac = Mac([2, 0, 0, 0, 1, 1]);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wanted(address: &str) -> Wanted {
        let (port, mtu, via) = (PortIndex(0), 1500, Some(ip("192.0.2.254")));
        Wanted { port, interface: PORT, address: ip(address), via, mtu, source: ip("192.0.2.1") }
    }

    /// The port with two subnets, and a VLAN device with tag 100 on top of it.
    fn interfaces() -> Interfaces {
        let of = |mac, mtu, tag, addresses: &[&str]| Interface {
            mac: Some(mac),
            mtu,
            tag,
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let own =
            ["192.0.2.1/24", "192.0.2.2/24", "203.0.113.1/24", "fe80::7/64", "2001:db8::7/64"];
        let tag = Some((PORT, VlanId::try_from(100).unwrap()));
        Interfaces::of([
            (PORT, of(PORT_MAC, 1500, None, &own)),
            (VLAN, of(VLAN_MAC, 1400, tag, &["198.51.100.1/24"])),
            (9, of(PORT_MAC, 1500, None, &["10.0.0.1/8"])),
        ])
    }

    fn to(interface: u32, via: Option<&str>) -> RouteHop {
        RouteHop { interface, via: via.map(ip), weight: 1, is_dead: false }
    }

    fn by(hops: Vec<RouteHop>) -> Route {
        Route { hops, ..Route::default() }
    }

    fn way_by(
        address: &str,
        route: Option<Route>,
        neighbours: &Neighbours,
    ) -> (Way, Vec<(u32, IpAddr)>) {
        way(&wanted(address), ip("192.0.2.254"), route, &interfaces(), neighbours)
    }

    #[test]
    fn without_a_route_the_next_hop_of_the_file_is_taken() {
        let neighbours = Neighbours::of(&[(PORT, "192.0.2.254", Some(ROUTER))]);
        let (way, unresolved) = way_by("10.9.0.1", None, &neighbours);
        let hops = vec![Hop::only(ip("192.0.2.254"), Some(ROUTER))];
        assert_eq!(way, Way { hops, ..Way::default() });
        assert_eq!(unresolved, []);
    }

    #[test]
    fn on_the_subnet_the_tool_is_its_own_next_hop() {
        let (way, unresolved) =
            way_by("192.0.2.10", Some(by(vec![to(PORT, None)])), &Neighbours::default());
        assert_eq!(way.hops, [Hop::only(ip("192.0.2.10"), None)]);
        assert_eq!(way.source, Some(ip("192.0.2.1")));
        assert_eq!(unresolved, [(PORT, ip("192.0.2.10"))]);
    }

    #[test]
    fn of_several_next_hops_those_without_neighbour_have_no_address() {
        let failed = (PORT, "192.0.2.9", None);
        let neighbours = Neighbours::of(&[(PORT, "192.0.2.8", Some(ROUTER)), failed]);
        let hops = vec![to(PORT, Some("192.0.2.9")), to(PORT, Some("192.0.2.8"))];
        let (way, unresolved) = way_by("10.9.0.1", Some(by(hops)), &neighbours);
        let expected = [Hop::only(ip("192.0.2.8"), Some(ROUTER)), Hop::only(ip("192.0.2.9"), None)];
        assert_eq!(way.hops, expected);
        assert_eq!(unresolved, [(PORT, ip("192.0.2.9"))]);
    }

    #[test]
    fn the_order_in_which_next_hops_are_listed_does_not_matter() {
        let hops = vec![to(PORT, Some("203.0.113.9")), to(PORT, Some("192.0.2.9"))];
        let turned = hops.iter().rev().cloned().collect();
        let [one, other] =
            [hops, turned].map(|hops| way_by("10.9.0.1", Some(by(hops)), &Neighbours::default()).0);
        assert_eq!(one, other);
        assert_eq!(one.source, Some(ip("192.0.2.1")));
    }

    #[test]
    fn a_dead_next_hop_has_no_address_and_nobody_asks_for_it() {
        let neighbours = Neighbours::of(&[(PORT, "192.0.2.8", Some(ROUTER))]);
        let dead = |via| RouteHop { is_dead: true, ..to(PORT, Some(via)) };
        let route = by(vec![dead("192.0.2.8"), dead("192.0.2.9")]);
        let (way, unresolved) = way_by("10.9.0.1", Some(route), &neighbours);
        assert_eq!(way.hops.iter().map(|hop| hop.mac).collect::<Vec<_>>(), [None, None]);
        assert_eq!(unresolved, []);
    }

    #[test]
    fn a_vlan_device_gives_tag_source_and_mtu() {
        let neighbours = Neighbours::of(&[(VLAN, "198.51.100.9", Some(ROUTER))]);
        let route = by(vec![to(VLAN, Some("198.51.100.9"))]);
        let (way, _) = way_by("10.9.0.1", Some(route), &neighbours);
        let hop = Hop {
            via: ip("198.51.100.9"),
            mac: Some(ROUTER),
            vlan: Some(VlanId::try_from(100).unwrap()),
            source_mac: Some(VLAN_MAC),
            weight: 1,
        };
        let source = Some(ip("198.51.100.1"));
        assert_eq!(way, Way { source, mtu: Some(1400), hops: vec![hop] });
    }

    #[test]
    fn one_gateway_in_two_vlans_is_two_and_twice_in_one_is_one() {
        let hops =
            vec![to(VLAN, Some("fe80::1")), to(PORT, Some("fe80::1")), to(PORT, Some("fe80::1"))];
        let (way, _) = way_by("2001:db8:9::1", Some(by(hops)), &Neighbours::default());
        let parts: Vec<_> = way.hops.iter().map(|hop| (hop.vlan.is_some(), hop.weight)).collect();
        assert_eq!(parts, [(false, 2), (true, 1)]);
    }

    #[test]
    fn the_source_is_the_routes_or_that_of_the_next_hops_subnet() {
        let source = |address, via, preferred: Option<&str>| {
            let route = Route { source: preferred.map(ip), ..by(vec![to(PORT, via)]) };
            way_by(address, Some(route), &Neighbours::default()).0.source.map(|it| it.to_string())
        };
        let is = |it: &str| Some(it.to_owned());
        assert_eq!(source("10.9.0.1", Some("192.0.2.254"), Some("192.0.2.2")), is("192.0.2.2"));
        assert_eq!(source("10.9.0.1", Some("203.0.113.9"), None), is("203.0.113.1"));
        // Of another interface (a loopback's, say): nobody would be asked for it here.
        assert_eq!(source("10.9.0.1", Some("192.0.2.254"), Some("10.0.0.1")), is("192.0.2.1"));
        assert_eq!(source("10.9.0.1", Some("10.1.1.1"), None), None);
        // Link-local gateways are in no subnet that tools can answer to.
        assert_eq!(source("2001:db8:9::1", Some("fe80::1"), None), is("2001:db8::7"));
        assert_eq!(source("10.9.0.1", Some("fe80::1"), None), is("192.0.2.1"));
        assert_eq!(source("fe80::9", None, None), is("fe80::7"));
    }

    #[test]
    fn the_mtu_is_told_where_it_is_less_than_the_ports() {
        let mtu = |mtu| {
            let route = Route { mtu, ..by(vec![to(PORT, None)]) };
            way_by("192.0.2.10", Some(route), &Neighbours::default()).0.mtu
        };
        assert_eq!([None, Some(1500), Some(9000)].map(mtu), [None; 3]);
        assert_eq!([Some(1499), Some(100)].map(mtu), [Some(1499), Some(576)]);
    }
}
