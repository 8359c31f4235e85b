//! `[[tool]]`: who receives copies, and the way there.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use engine::snapshot::{BalanceSpec, MemberSpec, NeighborSpec};
use engine::units::Mac;
use ipnet::IpNet;

use super::ports::{ADDRESS_FORM, MAC_FORM, Port, Ports, family, is_host, station};
use super::table::{Placed, Table};
use super::wires::Role;
use super::{HealthCheck, Mode, OFFLINE_NEIGHBOR_MAC, Tool, health};
use crate::fault::quoted;

/// Reads all `[[tool]]`; also tells whether each one's id could be read.
pub(super) fn read(
    root: &Table<'_>,
    ports: &Ports,
    mode: Mode,
    vxlan_port: u16,
) -> (Vec<Tool>, bool) {
    let mut tools = Vec::new();
    let mut first_lines: HashMap<String, u32> = HashMap::new();
    let tables = root.tables("tool", "tool");
    let mut is_complete = tables.is_some() || !root.has("tool");
    for mut table in tables.unwrap_or_default() {
        let id = table.required_text("id").map(|id| id.value.to_owned());
        if let Some(id) = &id {
            table.subject = format!("tool {}", quoted(id));
            if let Some(first) = first_lines.insert(id.clone(), table.line) {
                table.fault(
                    table.line,
                    format!("the tool on line {first} has this id already; give each its own"),
                );
            }
        }
        is_complete &= id.is_some();
        let index = ports.of(&table);
        let port = index.and_then(|index| ports.at(index));
        if let Some(port) = port {
            check_role(&table, port);
        }
        let members = members(&table, port, mode);
        let health_check = health_check(&table, vxlan_port);
        table.finish();
        let balance = BalanceSpec::default();
        let (id, port) = (id.unwrap_or_default(), index.unwrap_or_default());
        tools.push(Tool { id, port, members, balance, health_check });
    }
    (tools, is_complete)
}

fn check_role(table: &Table<'_>, port: &Port) {
    let place = match &port.role {
        None => return,
        Some(Role::Link(link)) => format!("in link {}", quoted(link)),
        Some(Role::Span) => "a span".to_owned(),
    };
    let name = quoted(&port.spec.name);
    table.fault(
        table.line_of("port"),
        format!("port {name} is {place}, so it bears no tool; name a port of its own"),
    );
}

fn health_check(table: &Table<'_>, vxlan_port: u16) -> Option<HealthCheck> {
    const KEY: &str = "health_check";
    if !table.has(KEY) {
        return None;
    }
    let mut inner = table.table(KEY);
    inner.subject = format!("{} {KEY}", table.subject);
    health::read(inner, vxlan_port)
}

fn members(table: &Table<'_>, port: Option<&Port>, mode: Mode) -> Vec<MemberSpec> {
    match (table.has("address"), table.tables("members", "member")) {
        (true, None) => member(table, port, mode).into_iter().collect(),
        (is_both, Some(tables)) => {
            if is_both {
                let line = table.line_of("members");
                table.fault(line, "it has an address and members; keep one of the two");
                table.ignore(&["address", "mac"]);
            } else if tables.is_empty() {
                let line = table.line_of("members");
                table.fault(line, "members is empty; add one like { address = \"192.0.2.10\" }");
            }
            several(table, tables, port, mode)
        }
        (false, None) => {
            table.ignore(&["address", "mac"]);
            if !table.has("members") {
                table.fault(
                    table.line,
                    "address is missing; add one like address = \"192.0.2.10\", or members",
                );
            }
            Vec::new()
        }
    }
}

fn several(
    table: &Table<'_>,
    tables: Vec<Table<'_>>,
    port: Option<&Port>,
    mode: Mode,
) -> Vec<MemberSpec> {
    let mut members: Vec<MemberSpec> = Vec::new();
    let mut seen = HashSet::new();
    for mut inner in tables {
        inner.subject = format!("{} {}", table.subject, inner.subject);
        if !inner.has("address") {
            inner.fault(inner.line, "address is missing; add address = \"…\"");
        }
        if let Some(member) = member(&inner, port, mode) {
            if !seen.insert(member.address) {
                let message = format!("address {} is a member already; remove one", member.address);
                inner.fault(inner.line, message);
            }
            members.push(member);
        }
        inner.finish();
    }
    members
}

fn member(table: &Table<'_>, port: Option<&Port>, mode: Mode) -> Option<MemberSpec> {
    let mac = table.parsed::<Mac>("mac", MAC_FORM).and_then(|mac| station(table, mac));
    let Placed { line, value: address } = table.parsed::<IpAddr>("address", ADDRESS_FORM)?;
    if !is_host(address) {
        table.fault(line, format!("address {address} is no host's; write the tool's own address"));
        return None;
    }
    let port = port.filter(|port| port.addresses_are_complete)?;
    let source = source(table, line, address, port)?;
    let is_near = port.spec.addresses.iter().any(|net| net.contains(&address));
    let gateway = port.gateways.iter().find(|other| other.is_ipv4() == address.is_ipv4()).copied();
    let neighbor = match (mac, mode) {
        (Some(mac), _) => NeighborSpec::Fixed(mac),
        (None, Mode::Offline) => NeighborSpec::Fixed(OFFLINE_NEIGHBOR_MAC),
        (None, Mode::Online) if is_near => NeighborSpec::Resolve(address),
        (None, Mode::Online) => {
            if gateway.is_none() {
                let name = quoted(&port.spec.name);
                let family = family(address);
                table.fault(
                    line,
                    format!(
                        "address {address} is in no subnet of port {name}, which has no {family} \
                         gateway; add gateway to the port, or mac to the tool"
                    ),
                );
            }
            NeighborSpec::Resolve(gateway.unwrap_or(address))
        }
    };
    Some(MemberSpec::new(address, source, neighbor))
}

/// The outer source: the address whose subnet holds the target, else the first of the family.
fn source(table: &Table<'_>, line: u32, address: IpAddr, port: &Port) -> Option<IpAddr> {
    let of_family = |net: &&IpNet| net.addr().is_ipv4() == address.is_ipv4();
    let nets = &port.spec.addresses;
    let own =
        nets.iter().find(|net| net.contains(&address)).or_else(|| nets.iter().find(of_family));
    let name = quoted(&port.spec.name);
    match own {
        None => {
            let family = family(address);
            let message =
                format!("port {name} has no {family} address to send to {address} from; add one");
            table.fault(line, message);
            None
        }
        Some(_) if nets.iter().any(|net| net.addr() == address) => {
            let message =
                format!("address {address} is port {name}'s own; write the tool's address");
            table.fault(line, message);
            None
        }
        Some(net) => Some(net.addr()),
    }
}
