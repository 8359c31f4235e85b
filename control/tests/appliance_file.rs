//! The rules of the appliance file, one by one: each breach is one fault with its remedy.

mod common;

use common::{CONFIG, TEMPLATE, config_fault, load, load_in, with};
use control::config::{Mode, OFFLINE_NEIGHBOR_MAC, OFFLINE_PORT_MAC};
use engine::snapshot::{CopySpec, IdleSpec, KernelSpec, MemorySpec, NeighborSpec};

#[test]
fn what_is_left_out_has_its_default() {
    let loaded = load(CONFIG, TEMPLATE).unwrap();
    let appliance = &loaded.appliance;
    assert_eq!(appliance.id, "tap-1");
    assert_eq!(appliance.state_dir.to_str(), Some("/var/lib/linetap"));
    assert_eq!(appliance.run_dir.to_str(), Some("/run/linetap"));
    assert_eq!(appliance.dataplane.workers, [1]);
    assert_eq!(appliance.dataplane.memory, MemorySpec::Auto);
    assert!(!appliance.dataplane.latency);
    assert_eq!(appliance.dataplane.idle, IdleSpec::Poll);
    assert_eq!(appliance.dataplane.copies, CopySpec::Auto);
    assert_eq!(appliance.dataplane.tx_drain_us, 20);
    assert_eq!(appliance.ports[0].mtu, 1500);
    assert_eq!(appliance.ports[0].mac, None);
    assert!(appliance.links[0].forward);
    assert_eq!(appliance.vxlan.port, 4789);
    assert!(!appliance.vxlan.keep_inner_vlan && !appliance.vxlan.udp6_zero_checksum);
    assert!(appliance.exempt.aws_never_mirrored);
    let resolvers: Vec<String> =
        appliance.exempt.amazon_dns.iter().map(ToString::to_string).collect();
    assert_eq!(resolvers, ["169.254.169.253", "fd00:ec2::253"]);
    assert_eq!((appliance.quotas.sessions_per_source, appliance.quotas.rules_per_filter), (3, 10));
}

#[test]
fn offline_needs_no_device_and_no_way_to_a_target() {
    let config = CONFIG.replace("device = \"net_null", "mtu = 1500 # ");
    let config = with(&config, "address = \"192.0.2.10\"", "address = \"198.51.100.1\"");
    let config = with(&config, "gateway = [\"192.0.2.254\"]", "");
    let loaded = load_in(Mode::Offline, &config, TEMPLATE).unwrap();
    assert_eq!(loaded.snapshot.ports[0].mac, Some(OFFLINE_PORT_MAC));
    let member = &loaded.snapshot.targets[0].members[0];
    assert_eq!(member.neighbor, NeighborSpec::Fixed(OFFLINE_NEIGHBOR_MAC));
    let faults = load(&config, TEMPLATE).unwrap_err();
    assert_eq!(faults.iter().filter(|fault| fault.contains("device is missing")).count(), 3);
    assert_eq!(faults.iter().filter(|fault| fault.contains("no IPv4 gateway")).count(), 1);
    assert_eq!(faults.len(), 4);
}

#[test]
fn the_way_to_a_tool_is_its_mac_its_subnet_or_a_gateway() {
    let neighbor = |line: &str| {
        let config = with(CONFIG, "address = \"192.0.2.10\"", line);
        let loaded = load(&config, TEMPLATE).unwrap();
        loaded.snapshot.targets[0].members[0].neighbor.clone()
    };
    let resolve = |address: &str| NeighborSpec::Resolve(address.parse().unwrap());
    assert_eq!(neighbor("address = \"192.0.2.10\""), resolve("192.0.2.10"));
    assert_eq!(neighbor("address = \"198.51.100.1\""), resolve("192.0.2.254"));
    let fixed = NeighborSpec::Fixed("02:00:00:00:0b:01".parse().unwrap());
    assert_eq!(neighbor("address = \"198.51.100.1\"\nmac = \"02-00-00-00-0B-01\""), fixed);
}

#[test]
fn the_outer_source_is_the_address_whose_subnet_holds_the_target() {
    let config = with(CONFIG, "\"192.0.2.1/24\"", "\"203.0.113.1/24\", \"192.0.2.1/24\"");
    let source = |config: &str| {
        load(config, TEMPLATE).unwrap().snapshot.targets[0].members[0].source.to_string()
    };
    assert_eq!(source(&config), "192.0.2.1");
    let off_subnet = with(&config, "\"192.0.2.10\"", "\"198.51.100.1\"");
    assert_eq!(source(&off_subnet), "203.0.113.1");
}

#[test]
fn a_port_has_one_place() {
    let twice = config_fault("ports = [\"lan\", \"wan\"]", "ports = [\"lan\", \"lan\"]");
    assert_eq!(
        twice,
        "link \"wire\": port \"lan\" is twice in this link; name two different ports"
    );
    let second = "[[interface]]\nid = \"eni-a\"";
    let link = format!("[[link]]\nname = \"other\"\nports = [\"lan\", \"tool\"]\n{second}");
    let faults = load(&with(CONFIG, second, &link), TEMPLATE).unwrap_err();
    assert!(faults[0].contains("port \"lan\" is in link \"wire\" already"), "{faults:?}");
    assert!(faults[1].contains("port \"tool\" is in link \"other\", so it bears no tool"));
    let span = format!("[[span]]\nport = \"wan\"\n{second}");
    assert!(config_fault(second, &span).contains("port \"wan\" is in link \"wire\" already"));
}

#[test]
fn interfaces_that_claim_the_same_frames_are_told_apart_by_vlan_only() {
    let both = |first: &str, second: &str| {
        let (a, b) = ("id = \"eni-a\"\nport = \"lan\"", "id = \"eni-b\"\nport = \"wan\"");
        let config = with(CONFIG, a, &format!("{a}\n{first}"));
        load(&with(&config, b, &format!("id = \"eni-b\"\nport = \"lan\"\n{second}")), TEMPLATE)
    };
    let mac = "mac = \"02:00:00:00:00:01\"";
    assert!(both("", "").unwrap_err()[0].contains("claims the same frames"));
    assert!(both(mac, "").is_err());
    assert!(both(mac, mac).is_err());
    assert!(both("", "vlan = 5").is_err(), "the first has VLAN 5 too");
    assert!(both("vlan = 4", "vlan = 5").is_ok());
    assert!(both(mac, "mac = \"02:00:00:00:00:02\"").is_ok());
}

#[test]
fn the_kernels_part_in_a_tool_port_is_its_own_affair() {
    let port = |lines: &str| {
        let config = with(CONFIG, "name = \"tool\"", &format!("name = \"tool\"\n{lines}"));
        let port = load(&config, TEMPLATE).unwrap().snapshot.ports[2].clone();
        (port.kernel, port.vlan.map(engine::units::VlanId::value))
    };
    assert_eq!(port(""), (KernelSpec::Auto, None));
    assert_eq!(port("kernel_interface = \"auto\""), (KernelSpec::Auto, None));
    assert_eq!(port("kernel_interface = \"none\"\nvlan = 1"), (KernelSpec::None, Some(1)));
    let named = KernelSpec::Named("tools-of-ward-7".to_owned());
    assert_eq!(port("kernel_interface = \"tools-of-ward-7\"\nvlan = 4094"), (named, Some(4094)));
    let more = "kernel_interface = \"net7\"\n[[port]]\nname = \"more\"\ndevice = \"net_null3\"\n\
                kernel_interface = \"net7\"\n[[link]]";
    let config = with(CONFIG, "[[link]]", more);
    let faults = load(&config, TEMPLATE).unwrap_err();
    let told =
        "port \"more\": kernel_interface \"net7\" is port \"tool\"'s already; give each its own";
    assert!(faults.len() == 1 && faults[0].ends_with(told), "{faults:#?}");
}

/// A passage, what is written instead, and the one fault that it makes.
const BREACHES: &[(&str, &str, &str)] = &[
    (
        "gateway",
        "gatway",
        "port \"tool\": unknown key \"gatway\"; remove it; did you mean \"gateway\"?",
    ),
    (
        "name = \"wan\"",
        "name = \"wan\"\nmtu = 575",
        "port \"wan\": mtu 575 is below 576; write a value from 576 to 65535",
    ),
    (
        "name = \"wan\"",
        "name = \"wan\"\nmtu = 65536",
        "port \"wan\": mtu 65536 is above 65535; write a value from 576 to 65535",
    ),
    (
        "name = \"tool\"",
        "name = \"tool\"\nmtu = 1279",
        "port \"tool\": mtu 1279 is below 1280, which the port's IPv6 address needs; write a value from 1280 to 65535",
    ),
    (
        "name = \"tool\"",
        "name = \"tool\"\nvlan = 4095",
        "port \"tool\": vlan 4095 is above 4094; write a value from 1 to 4094",
    ),
    (
        "name = \"wan\"",
        "name = \"wan\"\nvlan = 7",
        "port \"wan\": vlan is for tool ports, and this one is in link \"wire\"; remove it",
    ),
    (
        "name = \"lan\"",
        "name = \"lan\"\nkernel_interface = \"none\"",
        "port \"lan\": kernel_interface is for tool ports, and this one is in link \"wire\"; remove it",
    ),
    (
        "name = \"tool\"",
        "name = \"tool\"\nkernel_interface = \"tools-of-ward-17\"",
        "port \"tool\": kernel_interface \"tools-of-ward-17\" has more than 15 characters; write a shorter name",
    ),
    (
        "name = \"tool\"",
        "name = \"tool\"\nkernel_interface = \"lt%d\"",
        "port \"tool\": kernel_interface \"lt%d\" is no name of an interface; use letters, digits, \"-\" and \"_\"",
    ),
    (
        "\"192.0.2.10\"",
        "\"192.0.2\"",
        "tool \"eni-tool\": address \"192.0.2\" is not an IP address; write one like 192.0.2.10 or 2001:db8::10",
    ),
    (
        "\"192.0.2.10\"",
        "\"192.0.2.1\"",
        "tool \"eni-tool\": address 192.0.2.1 is port \"tool\"'s own; write the tool's address",
    ),
    (
        "id = \"eni-a\"",
        "id = \"eni-a\"\nmac = \"01:00:5e:00:00:01\"",
        "interface \"eni-a\": mac 01:00:5e:00:00:01 is a group address; write one station's",
    ),
    (
        "id = \"eni-a\"",
        "id = \"eni-a\"\nmac = []",
        "interface \"eni-a\": mac is empty; name an address, or remove the key on a link",
    ),
    (
        "id = \"eni-a\"",
        "id = \"eni-a\"\nvlan = 0",
        "interface \"eni-a\": vlan 0 is below 1; write a value from 1 to 4094",
    ),
    (
        "id = \"eni-a\"\nport = \"lan\"",
        "id = \"eni-a\"\nport = \"tool\"",
        "interface \"eni-a\": port \"tool\" is in no [[link]] and no [[span]]; put it in one",
    ),
    (
        "id = \"eni-tool\"\n",
        "id = \"eni-tool\"\nmac = \"ff:ff:ff:ff:ff:ff\"\n",
        "tool \"eni-tool\": mac ff:ff:ff:ff:ff:ff is a group address; write one station's",
    ),
    (
        "[[link]]",
        "[vxlan]\nport = 65536\n[[link]]",
        "[vxlan]: port 65536 is above 65535; write a value from 1 to 65535",
    ),
    (
        "[[link]]",
        "[dataplane]\nworkers = []\n[[link]]",
        "[dataplane]: workers is empty; name at least one core, like [1]",
    ),
    (
        "[[link]]",
        "[dataplane]\nidle = \"adaptiv\"\n[[link]]",
        "[dataplane]: idle is \"adaptiv\"; write \"poll\" or \"adaptive\"; did you mean \"adaptive\"?",
    ),
    (
        "[[link]]",
        "[dataplane]\ncopies = \"shared\"\n[[link]]",
        "[dataplane]: copies is \"shared\"; write \"auto\", \"copy\" or \"share\"; did you mean \"share\"?",
    ),
    (
        "[[link]]",
        "[dataplane]\ntx_drain_us = 10001\n[[link]]",
        "[dataplane]: tx_drain_us 10001 is above 10000; write a value from 0 to 10000",
    ),
    (
        "[[link]]",
        "[dataplane]\nlatency = \"yes\"\n[[link]]",
        "[dataplane]: latency must be true or false without quotes, not the text \"yes\"",
    ),
    (
        "[[link]]",
        "[exempt]\nnever_mirrored = true\n[[link]]",
        "[exempt]: never_mirrored must be text in quotes, not true",
    ),
];

#[test]
fn each_breach_is_told_with_its_remedy() {
    for (passage, replacement, fault) in BREACHES {
        assert_eq!(config_fault(passage, replacement), *fault);
    }
}

#[test]
fn an_unknown_table_is_told() {
    let faults = load(&with(CONFIG, "[[link]]", "[[lnik]]"), TEMPLATE).unwrap_err();
    let told = "the file: unknown key \"lnik\"; remove it; did you mean \"link\"?";
    assert!(faults.iter().any(|fault| fault.ends_with(told)), "{faults:#?}");
}

#[test]
fn a_tool_needs_a_port_address_of_its_family() {
    let config = with(CONFIG, "\"192.0.2.1/24\", ", "");
    let faults = load(&with(&config, "gateway = [\"192.0.2.254\"]", ""), TEMPLATE).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults.iter().all(|fault| fault.contains("port \"tool\" has no IPv4 address")));
}

#[test]
fn the_addresses_of_a_broken_line_raise_no_more_faults() {
    let fault = config_fault("\"192.0.2.1/24\"", "\"192.0.2.1/33\"");
    assert!(fault.contains("\"192.0.2.1/33\" is not an address with its prefix length"), "{fault}");
}

#[test]
fn several_slips_of_syntax_are_all_told() {
    let config =
        "[dataplane]\nworkers = \nmemory = \"auto\" 5\nmemory = \"1G\"\n".to_owned() + CONFIG;
    let faults = load(&config, TEMPLATE).unwrap_err();
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').nth(1)).collect();
    for line in ["2", "3", "4"] {
        assert!(lines.contains(&line), "{faults:#?}");
    }
}
