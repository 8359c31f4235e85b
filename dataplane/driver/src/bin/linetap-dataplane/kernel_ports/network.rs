//! What an interface of the kernel gets of its port: address, MTU, networks, default routes.
//!
//! The wire goes on without any of it, so what the kernel refuses is told and not fatal.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use std::{fs, io};

use driver::kernel::Interface;
use engine::snapshot::PortSpec;
use engine::units::Mac;
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::route::RouteMessage;
use rtnetlink::{RouteMessageBuilder, new_connection};
use tokio::time::timeout;

/// A default route by a tool port is the last choice: whatever other one the machine has goes before it, and
/// tools are looked up by this interface alone.
const DEFAULT_METRIC: u32 = 4_000_000_000;
/// The kernel answers at once.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Gives the interface everything that the port has, and switches it on.
pub(super) fn set_up(interface: &Interface, spec: &PortSpec, mac: Mac) {
    let told = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            log::warn!("port {}: {} gets no {what}: {error}", spec.name, interface.name());
        }
    };
    told("MAC address", interface.set_mac(mac));
    told("MTU", interface.set_mtu(spec.mtu.into()));
    set_manners(interface, spec);
    told("link", interface.set_up());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    told("addresses", runtime.map(|runtime| runtime.block_on(add_networks(interface, spec))));
}

/// The kernel's settings of the interface (Documentation/networking/ip-sysctl.rst).
fn set_manners(interface: &Interface, spec: &PortSpec) {
    let set = |family: &str, setting: &str, value: &str| {
        let path = format!("/proc/sys/net/{family}/conf/{}/{setting}", interface.name());
        if let Err(error) = fs::write(&path, value) {
            log::warn!("port {}: {path} can't be set to {value}: {error}", spec.name);
        }
    };
    // Other addresses of this machine are nothing to the tools' network.
    set("ipv4", "arp_ignore", "1");
    set("ipv4", "arp_announce", "2");
    if spec.addresses.iter().any(|net| net.addr().is_ipv6()) {
        set("ipv6", "disable_ipv6", "0");
        // The file says what routes there are; an advertised one could go before the machine's own.
        set("ipv6", "accept_ra", "0");
        // No duplicate address detection, which would keep each address from use for a second (RFC 4862
        // §5.4): no neighbour would be asked for, and no copy sent, although the file says that this port has
        // these addresses, and copies leave from them whatever it would find.
        set("ipv6", "accept_dad", "0");
    }
}

async fn add_networks(interface: &Interface, spec: &PortSpec) {
    let told = |what: String, result: Result<(), String>| {
        if let Err(error) = result {
            log::warn!("port {}: {} gets no {what}: {error}", spec.name, interface.name());
        }
    };
    let (connection, kernel, _) = match new_connection() {
        Ok(connected) => connected,
        Err(error) => return told("addresses".to_owned(), Err(error.to_string())),
    };
    let connection = tokio::spawn(connection);
    for net in &spec.addresses {
        let mut request =
            kernel.address().add(interface.index(), net.addr(), net.prefix_len()).replace();
        if net.addr().is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        told(format!("address {net}"), answered(request.execute()).await);
    }
    for gateway in &spec.gateways {
        let Some(route) = default_route(interface.index(), *gateway) else { continue };
        let answer = answered(kernel.route().add(route).execute()).await;
        told(format!("default route by {gateway}"), answer);
    }
    connection.abort();
}

/// The route to everywhere by a gateway; `None` for what is none.
fn default_route(interface: u32, gateway: IpAddr) -> Option<RouteMessage> {
    let all: IpAddr = match gateway {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(all, 0).ok()?;
    let route = route.gateway(gateway).ok()?;
    Some(route.output_interface(interface).priority(DEFAULT_METRIC).build())
}

/// What the kernel answers in time, its refusal in words.
async fn answered(
    request: impl Future<Output = Result<(), rtnetlink::Error>>,
) -> Result<(), String> {
    match timeout(ANSWER_WAIT, request).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("the kernel does not answer".to_owned()),
    }
}
