//! `[[interface]]`: the mirror sources.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::snapshot::InterfaceSpec;
use engine::units::{Mac, PortIndex, VlanId};

use super::ports::{MAC_FORM, Ports};
use super::table::{Placed, Table};
use super::wires::Role;
use crate::fault::quoted;

/// More can't be told apart by the data plane's index.
const INTERFACES_MAX: usize = 65_536;

/// Reads all `[[interface]]`; also tells whether each one's id could be read.
pub(super) fn read(root: &Table<'_>, ports: &Ports) -> (Vec<InterfaceSpec>, bool) {
    let mut interfaces: Vec<InterfaceSpec> = Vec::new();
    let mut first_lines: HashMap<String, u32> = HashMap::new();
    let mut claims = Claims::default();
    let tables = root.tables("interface", "interface");
    let mut is_complete = tables.is_some() || !root.has("interface");
    for mut table in tables.unwrap_or_default() {
        if interfaces.len() == INTERFACES_MAX {
            table.fault(
                table.line,
                format!("there are more than {INTERFACES_MAX} interfaces; remove some"),
            );
            break;
        }
        let id = table.required_text("id").map(|id| id.value.to_owned());
        if let Some(id) = &id {
            table.subject = format!("interface {}", quoted(id));
            if let Some(first) = first_lines.insert(id.clone(), table.line) {
                table.fault(
                    table.line,
                    format!("the interface on line {first} has this id already; give each its own"),
                );
            }
        }
        is_complete &= id.is_some();
        let (interface, is_sound) = interface(&table, id.unwrap_or_default(), ports);
        if is_sound && let Some(other) = claims.add(&interface, interfaces.len()) {
            let other = interfaces.get(other).map_or("", |other| other.id.as_str());
            table.fault(
                table.line,
                format!(
                    "interface {} claims the same frames; give them different macs, \
                     or different vlans",
                    quoted(other)
                ),
            );
        }
        interfaces.push(interface);
        table.finish();
    }
    (interfaces, is_complete)
}

/// One interface, and whether all that makes frames its own could be read.
fn interface(table: &Table<'_>, id: String, ports: &Ports) -> (InterfaceSpec, bool) {
    let port = ports.of(table);
    let macs = macs(table);
    let vlan = vlan(table);
    let is_sound = port.is_some() && macs.is_some() && vlan.is_ok();
    let macs = macs.unwrap_or_default();
    if let Some(port) = port.and_then(|port| ports.at(port)) {
        let name = quoted(&port.spec.name);
        let line = table.line_of("port");
        match port.role {
            None if ports.wires_are_complete => table.fault(
                line,
                format!("port {name} is in no [[link]] and no [[span]]; put it in one"),
            ),
            Some(Role::Span) if macs.is_empty() && is_sound => table.fault(
                table.line,
                format!(
                    "port {name} is a span, where only addresses tell interfaces apart; \
                     add mac = [\"…\"]"
                ),
            ),
            _ => {}
        }
    }
    let vlan = vlan.unwrap_or(None);
    let port = port.unwrap_or_default();
    (InterfaceSpec { id, port, macs, vlan }, is_sound)
}

/// `mac`, empty when absent; `None` when an address in it is wrong.
fn macs(table: &Table<'_>) -> Option<Vec<Mac>> {
    let Some(listed) = table.parsed_list::<Mac>("mac", MAC_FORM) else {
        return (!table.has("mac")).then(Vec::new);
    };
    let mut macs: Vec<Mac> = Vec::new();
    let mut seen = HashSet::new();
    for Placed { line, value } in listed {
        if value.is_group() {
            table.fault(line, format!("mac {value} is a group address; write one station's"));
        } else if value.is_zero() {
            table.fault(line, format!("mac {value} is no station's; write a real address"));
        } else if !seen.insert(value) {
            table.fault(line, format!("mac {value} is here twice; remove one"));
        } else {
            macs.push(value);
        }
    }
    let count = table.count("mac");
    if count == 0 {
        let line = table.line_of("mac");
        table.fault(line, "mac is empty; name an address, or remove the key on a link");
    }
    (macs.len() == count && count > 0).then_some(macs)
}

/// `vlan`; an error when it is there and wrong.
fn vlan(table: &Table<'_>) -> Result<Option<VlanId>, ()> {
    let vlan = table.integer("vlan", &(1..=4094u16));
    match vlan.map(|vlan| VlanId::try_from(vlan.value)) {
        Some(Ok(vlan)) => Ok(Some(vlan)),
        None if !table.has("vlan") => Ok(None),
        _ => Err(()),
    }
}

/// Which frames of a port belong to whom: what finds two interfaces that claim the same frame in
/// the same direction.
#[derive(Default)]
struct Claims(HashMap<(PortIndex, Whose), BTreeMap<Option<VlanId>, usize>>);

/// The interfaces of a port among which a newcomer has to look for a rival.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Whose {
    /// All of them.
    All,
    /// Those to which every frame belongs.
    AnyMac,
    /// Those with an address.
    Mac(Mac),
}

impl Claims {
    /// Adds an interface, unless an earlier one claims one of its frames: then its number.
    fn add(&mut self, interface: &InterfaceSpec, number: usize) -> Option<usize> {
        let own: Vec<Whose> = if interface.macs.is_empty() {
            vec![Whose::AnyMac]
        } else {
            interface.macs.iter().copied().map(Whose::Mac).collect()
        };
        let mut rivals = own.clone();
        rivals.push(if interface.macs.is_empty() { Whose::All } else { Whose::AnyMac });
        let rival = rivals.into_iter().find_map(|whose| self.rival(interface, whose));
        if rival.is_none() {
            for whose in own.into_iter().chain([Whose::All]) {
                let claims = self.0.entry((interface.port, whose)).or_default();
                claims.entry(interface.vlan).or_insert(number);
            }
        }
        rival
    }

    fn rival(&self, interface: &InterfaceSpec, whose: Whose) -> Option<usize> {
        let claims = self.0.get(&(interface.port, whose))?;
        match interface.vlan {
            None => claims.values().next().copied(),
            vlan => claims.get(&None).or_else(|| claims.get(&vlan)).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(macs: &[u8], vlan: Option<u16>) -> InterfaceSpec {
        InterfaceSpec {
            id: String::new(),
            port: PortIndex(0),
            macs: macs.iter().map(|&last| Mac([2, 0, 0, 0, 0, last])).collect(),
            vlan: vlan.map(|vlan| VlanId::try_from(vlan).unwrap()),
        }
    }

    /// The rule itself, pair by pair.
    fn clash(a: &InterfaceSpec, b: &InterfaceSpec) -> bool {
        let macs =
            a.macs.is_empty() || b.macs.is_empty() || a.macs.iter().any(|mac| b.macs.contains(mac));
        macs && (a.vlan.is_none() || b.vlan.is_none() || a.vlan == b.vlan)
    }

    #[test]
    fn two_interfaces_clash_exactly_when_the_rule_says_so() {
        let kinds: Vec<InterfaceSpec> = [&[][..], &[1], &[2], &[1, 2], &[3]]
            .into_iter()
            .flat_map(|macs| [None, Some(1), Some(2)].map(|vlan| interface(macs, vlan)))
            .collect();
        for a in &kinds {
            for b in &kinds {
                let mut claims = Claims::default();
                assert_eq!(claims.add(a, 0), None);
                assert_eq!(claims.add(b, 1).is_some(), clash(a, b), "{a:?} {b:?}");
            }
        }
    }
}
