//! From arguments to what is changed in each frame.

use clap::Args;
use engine::units::Mac;
use ipnet::IpNet;
use traffic::replay::{Rewrites, VlanRewrite};

use super::plan::network;
use crate::cli::arguments::Arguments;

/// The `EtherType` of a tag, if nobody says otherwise (IEEE 802.1Q).
const VLAN_TYPE: u16 = 0x8100;

/// What is changed in each frame.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rewriting")]
pub(super) struct RewriteArguments {
    /// Source address of Ethernet; a second one, behind a comma, for the frames of --port2.
    #[arg(long, value_name = "MAC[,MAC]")]
    source_mac: Option<String>,
    /// Destination address of Ethernet, likewise.
    #[arg(long, value_name = "MAC[,MAC]")]
    destination_mac: Option<String>,
    /// Move IP addresses of one network into another, as long a prefix: 10.0.0.0/8=192.0.0.0/8. The first that fits
    /// counts.
    #[arg(long = "map", value_name = "FROM=TO")]
    maps: Vec<String>,
    /// Change a port of TCP and UDP: 80=8080.
    #[arg(long = "map-port", value_name = "FROM=TO")]
    port_maps: Vec<String>,
    /// push=ID puts a VLAN tag on, pop takes the outermost off, set=ID changes it.
    #[arg(long, value_name = "CHANGE")]
    vlan: Option<String>,
    /// The `EtherType` of a pushed tag [default: 0x8100].
    #[arg(long, value_name = "TYPE")]
    vlan_type: Option<String>,
    /// In each loop, IP addresses of this network are one higher than before: loops are new flows.
    #[arg(long = "increment", value_name = "NETWORK")]
    increments: Vec<String>,
}

impl RewriteArguments {
    /// What is asked for. What is wrong is noted.
    pub(super) fn read(&self, has_two_ports: bool, arguments: &mut Arguments) -> Rewrites {
        let form = "an address like 02:00:00:00:00:01, or two with a comma between";
        let mut macs = |option: &str, text: &Option<String>| {
            let macs = arguments.read(option, text.as_ref(), macs, form).unwrap_or_default();
            if macs[1].is_some() && !has_two_ports {
                arguments.fault(format!("{option}: the second address is for --port2; add that"));
            }
            // One is for both.
            let is_one = text.as_ref().is_some_and(|text| !text.contains(','));
            if is_one { [macs[0]; 2] } else { macs }
        };
        let source_mac = macs("--source-mac", &self.source_mac);
        let destination_mac = macs("--destination-mac", &self.destination_mac);
        let form = "two networks of one family and prefix length, like 10.0.0.0/8=192.0.0.0/8";
        let addresses = arguments.read_all("--map", &self.maps, address_map, form);
        let form = "two ports, like 80=8080";
        let ports = arguments.read_all("--map-port", &self.port_maps, port_map, form);
        let form = "a network like 10.0.0.0/8";
        let increments = arguments.read_all("--increment", &self.increments, network, form);
        let vlan = self.vlan(arguments);
        Rewrites { source_mac, destination_mac, addresses, ports, vlan, increments }
    }

    fn vlan(&self, arguments: &mut Arguments) -> Option<VlanRewrite> {
        let form = "a number like 0x8100 or 0x88a8";
        let kind = arguments.read("--vlan-type", self.vlan_type.as_ref(), ether_type, form);
        let form = "push=100, pop or set=100, with a VLAN from 1 to 4094";
        let vlan = arguments.read("--vlan", self.vlan.as_ref(), vlan, form);
        let is_push = matches!(vlan, Some(VlanRewrite::Push { .. }));
        if self.vlan_type.is_some() && (self.vlan.is_none() || vlan.is_some() && !is_push) {
            arguments.fault("--vlan-type: only a tag that is put on gets a type; add --vlan push=…, or leave it out");
        }
        match (vlan, kind) {
            (Some(VlanRewrite::Push { vlan, .. }), Some(ether_type)) => {
                Some(VlanRewrite::Push { vlan, ether_type })
            }
            (other, _) => other,
        }
    }
}

/// One address, or two; either may be left empty.
fn macs(text: &str) -> Option<[Option<Mac>; 2]> {
    let one = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let (first, second) = text.split_once(',').unwrap_or((text, ""));
    let both = [one(first)?, one(second)?];
    both.iter().any(Option::is_some).then_some(both)
}

fn address_map(text: &str) -> Option<(IpNet, IpNet)> {
    let (from, to) = text.split_once('=')?;
    let (from, to) = (network(from)?, network(to)?);
    let fits = from.prefix_len() == to.prefix_len() && from.addr().is_ipv4() == to.addr().is_ipv4();
    fits.then_some((from, to))
}

fn port_map(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('=')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

fn vlan(text: &str) -> Option<VlanRewrite> {
    let id = |text: &str| text.parse().ok().filter(|id| (1..=4094).contains(id));
    match text.split_once('=') {
        None if text == "pop" => Some(VlanRewrite::Pop),
        Some(("push", text)) => Some(VlanRewrite::Push { vlan: id(text)?, ether_type: VLAN_TYPE }),
        Some(("set", text)) => Some(VlanRewrite::Set { vlan: id(text)? }),
        _ => None,
    }
}

/// `0x88a8`, above all lengths (IEEE 802.3 §3.2.6).
fn ether_type(text: &str) -> Option<u16> {
    const LEAST: u16 = 0x600;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let value = digits.map_or_else(|| text.parse().ok(), |it| u16::from_str_radix(it, 16).ok());
    value.filter(|value| *value >= LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_for_both_ports_and_either_of_two_may_be_left() {
        let a = Some(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(macs("02:00:00:00:00:01"), Some([a, None]));
        assert_eq!(macs(",02:00:00:00:00:01"), Some([None, a]));
        for odd in ["", ",", "x", "02:00:00:00:00:01,02:00:00:00:00:01,"] {
            assert_eq!(macs(odd), None, "{odd}");
        }
    }

    #[test]
    fn maps_are_between_networks_of_one_size() {
        assert!(address_map("10.0.0.0/8=192.0.0.0/8").is_some());
        assert!(address_map("10.0.0.1=fd00::1").is_none());
        assert!(address_map("10.0.0.0/8=192.168.0.0/16").is_none());
        assert_eq!(port_map("80=8080"), Some((80, 8080)));
        assert_eq!(port_map("80=80800"), None);
    }

    #[test]
    fn tags_are_pushed_popped_and_set() {
        assert_eq!(vlan("push=4094"), Some(VlanRewrite::Push { vlan: 4094, ether_type: 0x8100 }));
        assert_eq!(vlan("pop"), Some(VlanRewrite::Pop));
        assert_eq!(vlan("set=1"), Some(VlanRewrite::Set { vlan: 1 }));
        for odd in ["push", "push=0", "push=4095", "set=", "pop=1", ""] {
            assert_eq!(vlan(odd), None, "{odd}");
        }
        assert_eq!(
            (ether_type("0x88a8"), ether_type("34984"), ether_type("0x5ff")),
            (Some(0x88a8), Some(0x88a8), None)
        );
    }
}
