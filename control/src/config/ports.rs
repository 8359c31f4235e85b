//! `[[port]]`: the network cards.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use engine::snapshot::{INTERFACE_NAME_MAX, KernelSpec, PortSpec};
use engine::units::{Mac, PortIndex, VlanId};
use ipnet::IpNet;

use super::members::fault_of;
use super::table::{Placed, Table};
use super::wires::Role;
use super::{Mode, OFFLINE_PORT_MAC};
use crate::fault::{FaultSink, did_you_mean, quoted};

/// Smallest and largest IP MTU: IPv4's least (RFC 791) to what its length field can say.
const MTU: std::ops::RangeInclusive<u16> = 576..=u16::MAX;
const MTU_DEFAULT: u16 = 1500;
/// VLAN identifiers (IEEE 802.1Q; 0 and 4095 mean no VLAN).
const VLAN: std::ops::RangeInclusive<u16> = 1..=4094;
/// What is said of the network behind a tool port alone.
const TOOL_KEYS: [&str; 2] = [KERNEL_INTERFACE, "vlan"];
const KERNEL_INTERFACE: &str = "kernel_interface";
/// IPv6 asks this much of every link (RFC 8200 §5).
const MTU_IPV6_MIN: u16 = 1280;
/// How a MAC address is written.
pub(super) const MAC_FORM: &str = "a MAC address; write one like 02:00:00:00:00:01";
/// How an IP address is written.
pub(super) const ADDRESS_FORM: &str = "an IP address; write one like 192.0.2.10 or 2001:db8::10";

/// One port, with what only this file needs of it.
pub(super) struct Port {
    pub(super) spec: PortSpec,
    /// False when an address could not be read: a tool may be near that one.
    pub(super) addresses_are_complete: bool,
    pub(super) role: Option<Role>,
    /// The keys that it has and that only a tool port may have, each with its line.
    tool_keys: Vec<(&'static str, u32)>,
}

/// All ports, by index and by name.
pub(super) struct Ports {
    list: Vec<Port>,
    names: HashMap<String, PortIndex>,
    /// False when a name could not be read: what seems unknown may be that port.
    pub(super) names_are_complete: bool,
    /// False when a link or span could not be read: a port that seems idle may be in that one.
    pub(super) wires_are_complete: bool,
}

/// Reads all `[[port]]`.
pub(super) fn read(root: &Table<'_>, mode: Mode) -> Ports {
    let mut ports = Ports {
        list: Vec::new(),
        names: HashMap::new(),
        names_are_complete: true,
        wires_are_complete: true,
    };
    let mut devices: HashMap<String, String> = HashMap::new();
    let tables = root.tables("port", "port");
    ports.names_are_complete = tables.is_some() || !root.has("port");
    for mut table in tables.unwrap_or_default() {
        let Ok(index) = u16::try_from(ports.list.len()).map(PortIndex) else {
            table.fault(table.line, "there are more than 65536 ports; remove some");
            return ports;
        };
        let name = name(&mut table, "port");
        ports.register(&table, name.as_deref(), index);
        let port = port(&table, name.unwrap_or_default(), mode);
        if let Some(device) = &port.spec.device
            && let Some(other) = devices.insert(device.clone(), port.spec.name.clone())
        {
            let line = table.line_of("device");
            table.fault(
                line,
                format!(
                    "device {} is port {}'s already; give each port its own",
                    quoted(device),
                    quoted(&other)
                ),
            );
        }
        ports.list.push(port);
        table.finish();
    }
    ports
}

/// The `name` of a port or a link: what the command line and reports call it.
pub(super) fn name(table: &mut Table<'_>, what: &str) -> Option<String> {
    let Placed { line, value } = table.required_text("name")?;
    table.subject = format!("{what} {}", quoted(value));
    let is_odd = |letter: char| letter == '=' || letter.is_whitespace() || letter.is_control();
    if value.contains(is_odd) {
        table.fault(
            line,
            "name has a space, a control character or \"=\"; use letters, digits, \"-\" and \"_\"",
        );
    }
    Some(value.to_owned())
}

fn port(table: &Table<'_>, name: String, mode: Mode) -> Port {
    let device = table.text("device").map(|device| device.value.to_owned());
    if device.is_none() && mode == Mode::Online && !table.has("device") {
        table.fault(
            table.line,
            "device is missing; add a PCI address or DPDK device arguments, \
             like device = \"0000:3b:00.0\"",
        );
    }
    let addresses = addresses(table);
    let addresses_are_complete = addresses.len() == table.count("address");
    let mtu = mtu(table, &addresses);
    let gateways = gateways(table, &addresses, addresses_are_complete);
    let mac = table.parsed::<Mac>("mac", MAC_FORM).and_then(|mac| station(table, mac));
    let mac = mac.or((mode == Mode::Offline).then_some(OFFLINE_PORT_MAC));
    let vlan = table.integer("vlan", &VLAN).and_then(|vlan| VlanId::try_from(vlan.value).ok());
    let spec = PortSpec {
        mac,
        addresses,
        gateways,
        vlan,
        kernel: kernel(table),
        ..PortSpec::new(name, device, mtu)
    };
    let tool_keys = TOOL_KEYS.into_iter().filter(|key| table.has(key));
    let tool_keys = tool_keys.map(|key| (key, table.line_of(key))).collect();
    Port { spec, addresses_are_complete, role: None, tool_keys }
}

/// `kernel_interface`: the name of an interface, `"none"` or `"auto"`.
fn kernel(table: &Table<'_>) -> KernelSpec {
    let Some(Placed { line, value: name }) = table.text(KERNEL_INTERFACE) else {
        return KernelSpec::Auto;
    };
    // What the kernel takes (dev_valid_name in net/core/dev.c), but for `%`, which it fills in.
    let is_odd = |it: char| !it.is_ascii_graphic() || "/:%".contains(it);
    if name.len() > INTERFACE_NAME_MAX {
        let message = format!(
            "{KERNEL_INTERFACE} {} has more than {INTERFACE_NAME_MAX} characters; write a shorter name",
            quoted(name)
        );
        table.fault(line, message);
    } else if name.contains(is_odd) || matches!(name, "." | "..") {
        let message = format!(
            "{KERNEL_INTERFACE} {} is no name of an interface; use letters, digits, \"-\" and \"_\"",
            quoted(name)
        );
        table.fault(line, message);
    }
    match name {
        "auto" => KernelSpec::Auto,
        "none" => KernelSpec::None,
        name => KernelSpec::Named(name.to_owned()),
    }
}

/// An address that one station can have.
pub(super) fn station(table: &Table<'_>, mac: Placed<Mac>) -> Option<Mac> {
    let Placed { line, value } = mac;
    let Some(why) = fault_of(value) else { return Some(value) };
    table.fault(line, format!("mac {value} {why}"));
    None
}

fn addresses(table: &Table<'_>) -> Vec<IpNet> {
    const FORM: &str =
        "an address with its prefix length; write one like 192.0.2.1/24 or 2001:db8::1/64";
    let mut addresses: Vec<IpNet> = Vec::new();
    let mut seen = HashSet::new();
    for Placed { line, value } in table.parsed_list::<IpNet>("address", FORM).unwrap_or_default() {
        let address = value.addr();
        if !seen.insert(address) {
            table.fault(line, format!("address {address} is here twice; remove one"));
        } else if !is_host(address) {
            table.fault(
                line,
                format!("address {address} is no host's; write the port's own address"),
            );
        } else {
            addresses.push(value);
        }
    }
    addresses
}

/// True for what a single host can be called.
pub(super) fn is_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

fn mtu(table: &Table<'_>, addresses: &[IpNet]) -> u16 {
    let Some(Placed { line, value }) = table.integer("mtu", &MTU) else {
        return MTU_DEFAULT;
    };
    if value < MTU_IPV6_MIN && addresses.iter().any(|net| net.addr().is_ipv6()) {
        let end = MTU.end();
        table.fault(
            line,
            format!(
                "mtu {value} is below {MTU_IPV6_MIN}, which the port's IPv6 address needs; \
                 write a value from {MTU_IPV6_MIN} to {end}"
            ),
        );
    }
    value
}

fn gateways(table: &Table<'_>, addresses: &[IpNet], are_complete: bool) -> Vec<IpAddr> {
    let mut gateways: Vec<IpAddr> = Vec::new();
    for Placed { line, value } in
        table.parsed_list::<IpAddr>("gateway", ADDRESS_FORM).unwrap_or_default()
    {
        let is_link_local = matches!(value, IpAddr::V6(address) if address.is_unicast_link_local())
            && addresses.iter().any(|net| net.addr().is_ipv6());
        let is_near =
            !are_complete || is_link_local || addresses.iter().any(|net| net.contains(&value));
        if gateways.iter().any(|other| other.is_ipv4() == value.is_ipv4()) {
            let family = family(value);
            table.fault(line, format!("gateway {value} is the second for {family}; keep one"));
        } else if !is_near {
            table.fault(
                line,
                format!(
                    "gateway {value} is in no subnet of the port's address list; add an address \
                     with its subnet, or correct the gateway"
                ),
            );
        } else {
            gateways.push(value);
        }
    }
    gateways
}

/// The family of an address, by name.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

impl Ports {
    fn register(&mut self, table: &Table<'_>, name: Option<&str>, index: PortIndex) {
        let Some(name) = name else {
            self.names_are_complete = false;
            return;
        };
        if self.names.contains_key(name) {
            let line = table.line_of("name");
            table.fault(line, "another port has this name already; give each its own");
        } else {
            self.names.insert(name.to_owned(), index);
        }
    }

    /// The port at an index that this list gave out, to be given a role.
    pub(super) fn at_mut(&mut self, index: PortIndex) -> Option<&mut Port> {
        self.list.get_mut(index.at())
    }

    /// The port at an index that this list gave out.
    pub(super) fn at(&self, index: PortIndex) -> Option<&Port> {
        self.list.get(index.at())
    }

    /// The port with a name. Notes a fault when there is none.
    pub(super) fn named(&self, table: &Table<'_>, name: Placed<&str>) -> Option<PortIndex> {
        let found = self.names.get(name.value).copied();
        if found.is_none() && self.names_are_complete {
            let known = self.list.iter().map(|port| port.spec.name.as_str());
            let hint = did_you_mean(name.value, known);
            table.fault(
                name.line,
                format!(
                    "no [[port]] is named {}; add it or correct the name{hint}",
                    quoted(name.value)
                ),
            );
        }
        found
    }

    /// Notes what only a tool port may have, of ports in links and spans, and names of interfaces that two
    /// ports would have. To be called when all wires are known.
    pub(super) fn check_tool_keys(&self, sink: &FaultSink) {
        let mut named: HashMap<&str, &str> = HashMap::new();
        for Port { spec, role, tool_keys, .. } in &self.list {
            let subject = format!("port {}", quoted(&spec.name));
            let place = match role {
                None => None,
                Some(Role::Link(link)) => Some(format!("in link {}", quoted(link))),
                Some(Role::Span) => Some("a span".to_owned()),
            };
            for &(key, line) in tool_keys {
                if let Some(place) = &place {
                    let why =
                        format!("{key} is for tool ports, and this one is {place}; remove it");
                    sink.add(line, format!("{subject}: {why}"));
                } else if key == KERNEL_INTERFACE
                    && let KernelSpec::Named(name) = &spec.kernel
                    && let Some(other) = named.insert(name, &spec.name)
                {
                    let (name, other) = (quoted(name), quoted(other));
                    let why = format!("{key} {name} is port {other}'s already; give each its own");
                    sink.add(line, format!("{subject}: {why}"));
                }
            }
        }
    }

    /// The port that a table's `port` names.
    pub(super) fn of(&self, table: &Table<'_>) -> Option<PortIndex> {
        let name = table.required_text("port")?;
        self.named(table, name)
    }

    /// The ports as the data plane wants them.
    pub(super) fn into_specs(self) -> Vec<PortSpec> {
        self.list.into_iter().map(|port| port.spec).collect()
    }
}
