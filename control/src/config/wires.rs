//! The wires that ports are in: `[[link]]` and `[[span]]`.

use std::collections::HashSet;

use engine::snapshot::LinkSpec;
use engine::units::PortIndex;

use super::ports::{Ports, name};
use super::table::Table;
use crate::fault::quoted;

/// What a port is for, as far as the file has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// One end of a link, with its name.
    Link(String),
    /// Fed by a switch.
    Span,
}

/// Ports of one link that are looked at: two are right, more are a fault.
const ENDS_MAX: usize = 16;

impl Ports {
    /// Reads all `[[link]]` and `[[span]]`, and remembers which port is where.
    pub(super) fn wires(&mut self, root: &Table<'_>) -> (Vec<LinkSpec>, Vec<PortIndex>) {
        let mut links: Vec<LinkSpec> = Vec::new();
        let mut names: HashSet<String> = HashSet::new();
        let tables = root.tables("link", "link");
        self.wires_are_complete &= tables.is_some() || !root.has("link");
        for mut table in tables.unwrap_or_default() {
            let name = name(&mut table, "link").unwrap_or_default();
            if !name.is_empty() && !names.insert(name.clone()) {
                let line = table.line_of("name");
                table.fault(line, "another link has this name already; give each its own");
            }
            let ports = self.ends(&table, &name);
            let forward = table.flag("forward").unwrap_or(true);
            table.finish();
            self.wires_are_complete &= ports.is_some();
            if let Some(ports) = ports {
                links.push(LinkSpec { name, ports, forward });
            }
        }
        let mut spans = Vec::new();
        let tables = root.tables("span", "span");
        self.wires_are_complete &= tables.is_some() || !root.has("span");
        for mut table in tables.unwrap_or_default() {
            let line = table.line_of("port");
            let index = self.of(&table);
            self.wires_are_complete &= index.is_some();
            if let Some(port) = index.and_then(|index| self.at(index)) {
                table.subject = format!("span {}", quoted(&port.spec.name));
            }
            if let Some(index) = index.filter(|&index| self.take(&table, line, index, Role::Span)) {
                spans.push(index);
            }
            table.finish();
        }
        (links, spans)
    }

    fn ends(&mut self, table: &Table<'_>, link: &str) -> Option<[PortIndex; 2]> {
        if !table.has("ports") {
            table.fault(
                table.line,
                "ports is missing; add the two ends, like ports = [\"lan\", \"wan\"]",
            );
        }
        let names = table.texts("ports")?;
        if names.len() != 2 {
            let line = table.line_of("ports");
            table.fault(line, format!("ports names {} ports; a link has exactly two", names.len()));
        }
        let mut ends = Vec::new();
        // Enough for a slip of the pen; each port of thousands would be told again and again.
        for name in names.into_iter().take(ENDS_MAX) {
            let Some(index) = self.named(table, name) else {
                continue;
            };
            if ends.contains(&index) {
                table.fault(
                    name.line,
                    format!(
                        "port {} is twice in this link; name two different ports",
                        quoted(name.value)
                    ),
                );
            } else if self.take(table, name.line, index, Role::Link(link.to_owned())) {
                ends.push(index);
            }
        }
        ends.try_into().ok()
    }

    /// Gives a port its one role. False, and a fault, when it has one already.
    fn take(&mut self, table: &Table<'_>, line: u32, index: PortIndex, role: Role) -> bool {
        let Some(port) = self.at_mut(index) else {
            return false;
        };
        let place = match &port.role {
            None => {
                port.role = Some(role);
                return true;
            }
            Some(Role::Link(link)) => format!("in link {}", quoted(link)),
            Some(Role::Span) => "a span".to_owned(),
        };
        let name = quoted(&port.spec.name);
        table.fault(
            line,
            format!("port {name} is {place} already; a port is in one link or one span"),
        );
        false
    }
}
