//! `[[tool]]`: who receives copies, and the way there.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use engine::flow_table::{FLOWS_MAX, FLOWS_MIN, IDLE_S_MAX};
use engine::snapshot::{Affinity, AllDown, BalanceSpec, MemberSpec, STICKY_FLOWS, STICKY_IDLE_S};
use engine::units::Mac;

use super::members::{MEMBERS_MAX, WEIGHTS, member_at};
use super::ports::{ADDRESS_FORM, MAC_FORM, Port, Ports, station};
use super::table::{Placed, Table};
use super::wires::Role;
use super::{Mode, Tool, health};
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
        let balance = balance(&table);
        let health_check = table.part("health_check");
        let health_check = health_check.and_then(|check| health::read(check, vxlan_port));
        table.finish();
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
    let line = table.line_of("members");
    if tables.len() > MEMBERS_MAX {
        let message = format!("it has more than {MEMBERS_MAX} members; make several tools of it");
        table.fault(line, message);
    }
    let mut members: Vec<MemberSpec> = Vec::new();
    let mut seen = HashSet::new();
    let mut is_idle = !tables.is_empty();
    for mut inner in tables.into_iter().take(MEMBERS_MAX) {
        inner.subject = format!("{} {}", table.subject, inner.subject);
        if !inner.has("address") {
            inner.fault(inner.line, "address is missing; add address = \"…\"");
        }
        let weight = inner.integer("weight", &WEIGHTS).map(|weight| weight.value);
        // A weight that can't be read may be any.
        is_idle &= weight == Some(0);
        if let Some(member) = member(&inner, port, mode) {
            if !seen.insert(member.address) {
                let message = format!("address {} is a member already; remove one", member.address);
                inner.fault(inner.line, message);
            }
            members.push(MemberSpec { weight: weight.unwrap_or(member.weight), ..member });
        }
        inner.finish();
    }
    if is_idle {
        let message =
            "every member has weight 0, so none gets copies; give one a weight of 1 to 256";
        table.fault(line, message);
    }
    members
}

fn member(table: &Table<'_>, port: Option<&Port>, mode: Mode) -> Option<MemberSpec> {
    let mac = table.parsed::<Mac>("mac", MAC_FORM).and_then(|mac| station(table, mac));
    let Placed { line, value: address } = table.parsed::<IpAddr>("address", ADDRESS_FORM)?;
    let port = port.filter(|port| port.addresses_are_complete)?;
    let member = member_at(&port.spec, address, mac, mode);
    member.map_err(|why| table.fault(line, why)).ok()
}

/// How flows find their member. Errors go to the table: a tool of one address has no choice to make.
fn balance(table: &Table<'_>) -> BalanceSpec {
    const KEYS: [&str; 7] =
        ["affinity", "inner", "sticky", "sticky_flows", "sticky_idle", "all_down", "weight"];
    if !table.has("members") {
        for key in KEYS.into_iter().filter(|key| table.has(key)) {
            let message = format!("{key} is for tools with members; remove it, or write members");
            table.fault(table.line_of(key), message);
        }
        table.ignore(&KEYS);
        return BalanceSpec::default();
    }
    let affinities = [("flow", Affinity::Flow), ("hosts", Affinity::Hosts)];
    let policies = [("fail_open", AllDown::FailOpen), ("skip", AllDown::Skip)];
    BalanceSpec {
        affinity: table.choice("affinity", &affinities).unwrap_or_default(),
        inner: table.flag("inner").unwrap_or_default(),
        sticky: table.flag("sticky").unwrap_or_default(),
        sticky_flows: table
            .integer("sticky_flows", &(FLOWS_MIN..=FLOWS_MAX))
            .map_or(STICKY_FLOWS, |flows| flows.value),
        sticky_idle_s: table
            .integer("sticky_idle", &(1..=IDLE_S_MAX))
            .map_or(STICKY_IDLE_S, |seconds| seconds.value),
        all_down: table.choice("all_down", &policies).unwrap_or_default(),
    }
}
