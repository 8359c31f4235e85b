//! The rules of the appliance file, one by one: each breach is one fault with its remedy.

use std::time::Duration;

use crate::common::{CONFIG, TEMPLATE, config_fault, load, load_in, with};
use control::config::{HealthCheck, Mode, OFFLINE_NEIGHBOR_MAC, OFFLINE_PORT_MAC, Probe};
use engine::snapshot::{
    Affinity, AllDown, BalanceSpec, CopySpec, IdleSpec, KernelSpec, MemorySpec, NeighborSpec,
};

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

const MEMBERS: &str = "members = [{ address = \"192.0.2.11\" }, { address = \"2001:db8::11\" }]";

/// What is written in place of the members of the load balancer, and the one fault that it makes.
const BREACHES_OF_TOOLS: &[(&str, &str)] = &[
    ("members = []", "members is empty; add one like { address = \"192.0.2.10\" }"),
    (
        "members = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.11\" }]",
        "member[2]: address 192.0.2.11 is a member already; remove one",
    ),
    (
        "members = [{ address = \"192.0.2.11\", weight = 257 }]",
        "member[1]: weight 257 is above 256; write a value from 0 to 256",
    ),
    (
        "members = [{ address = \"192.0.2.11\", weight = 0 }, { address = \"192.0.2.12\", weight = 0 }]",
        "every member has weight 0, so none gets copies; give one a weight of 1 to 256",
    ),
    (
        "members = [{ address = \"192.0.2.11\", wieght = 2 }]",
        "member[1]: unknown key \"wieght\"; remove it; did you mean \"weight\"?",
    ),
    (
        "address = \"192.0.2.11\"\nsticky = true",
        "sticky is for tools with members; remove it, or write members",
    ),
    (
        "address = \"192.0.2.11\"\nweight = 2",
        "weight is for tools with members; remove it, or write members",
    ),
    (
        "MEMBERS\naffinity = \"host\"",
        "affinity is \"host\"; write \"flow\" or \"hosts\"; did you mean \"hosts\"?",
    ),
    ("MEMBERS\nall_down = \"open\"", "all_down is \"open\"; write \"fail_open\" or \"skip\""),
    (
        "MEMBERS\ninner = \"yes\"",
        "inner must be true or false without quotes, not the text \"yes\"",
    ),
    ("MEMBERS\nhealth_check = 5", "health_check: expected a table, found the number 5"),
    ("MEMBERS\nhealth_check = {}", "health_check: protocol is missing; add protocol = \"…\""),
    (
        "MEMBERS\nhealth_check = { protocol = \"udp\" }",
        "health_check: protocol is \"udp\"; write \"icmp\", \"tcp\", \"http\" or \"vxlan\"",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"tcp\" }",
        "health_check: port is missing; add the port that the member listens on",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", port = 7 }",
        "health_check: port means nothing for icmp; remove it",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"tcp\", port = 22, path = \"/\" }",
        "health_check: path means nothing for tcp; remove it",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"http\", port = 80, path = \"health\" }",
        "health_check: path \"health\" does not begin with \"/\"; write it like \"/health\"",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"http\", port = 80, path = \"/a\\r\\nb\" }",
        "health_check: path \"/a\\r\\nb\" has a space or what is no visible ASCII; encode it, like %20",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", interval = 0.05 }",
        "health_check: interval 0.05 is not from 0.1 to 300 seconds; write a value in this range",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", interval = nan }",
        "health_check: interval nan is not from 0.1 to 300 seconds; write a value in this range",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", interval = \"5\" }",
        "health_check: interval must be a number of seconds from 0.1 to 300, not the text \"5\"",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", interval = 1, timeout = 1.5 }",
        "health_check: timeout 1.5 is above the interval of 1 seconds; write at most that, or a longer interval",
    ),
    (
        "MEMBERS\nhealth_check = { protocol = \"icmp\", healthy_threshold = 1 }",
        "health_check: healthy_threshold 1 is below 2; write a value from 2 to 10",
    ),
];

#[test]
fn each_breach_of_a_tool_is_told_with_its_remedy() {
    let mut odd = Vec::new();
    for (replacement, fault) in BREACHES_OF_TOOLS {
        let told = config_fault(MEMBERS, &replacement.replace("MEMBERS", MEMBERS));
        let rest = told.strip_prefix("tool \"arn:nlb\"").and_then(|it| it.strip_suffix(fault));
        if !rest.is_some_and(|rest| matches!(rest, ": " | " ")) {
            odd.push((told, fault));
        }
    }
    assert_eq!(odd, []);
}

#[test]
fn a_tool_has_members_with_weights_and_a_health_check_with_the_defaults_of_target_groups() {
    let tool = |more: &str| {
        let loaded = load(&with(CONFIG, MEMBERS, &format!("{MEMBERS}\n{more}")), TEMPLATE).unwrap();
        loaded.appliance.tools[1].clone()
    };
    let plain = tool("");
    assert_eq!((plain.balance, plain.health_check), (BalanceSpec::default(), None));
    assert!(plain.members.iter().all(|member| member.weight == 1));
    let check = |text: &str| tool(&format!("health_check = {{ {text} }}")).health_check.unwrap();
    let seconds = Duration::from_secs;
    let usual = HealthCheck {
        probe: Probe::Icmp,
        interval: seconds(30),
        timeout: seconds(10),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
    };
    assert_eq!(check("protocol = \"icmp\""), usual);
    let http = check("protocol = \"http\", port = 8080");
    assert_eq!(http.probe, Probe::Http { port: 8080, path: "/".into() });
    assert_eq!(http.timeout, seconds(6));
    assert_eq!(check("protocol = \"vxlan\"").probe, Probe::Vxlan { port: 4789 });
    let short = check("protocol = \"tcp\", port = 22, interval = 0.2, unhealthy_threshold = 3");
    let interval = Duration::from_millis(200);
    assert_eq!((short.interval, short.timeout), (interval, interval), "no longer than that");
    assert_eq!((short.probe, short.unhealthy_threshold), (Probe::Tcp { port: 22 }, 3));
    let other = tool(
        "affinity = \"hosts\"\ninner = true\nsticky = true\nsticky_flows = 1024\n\
         sticky_idle = 60\nall_down = \"skip\"",
    );
    let balance = BalanceSpec {
        affinity: Affinity::Hosts,
        inner: true,
        sticky: true,
        sticky_flows: 1024,
        sticky_idle_s: 60,
        all_down: AllDown::Skip,
    };
    assert_eq!(other.balance, balance);
    let weighty = with(CONFIG, "\"192.0.2.11\" }", "\"192.0.2.11\", weight = 256 }");
    assert_eq!(load(&weighty, TEMPLATE).unwrap().appliance.tools[1].members[0].weight, 256);
    let vxlan = with(CONFIG, "[[link]]", "[vxlan]\nport = 8472\n[[link]]");
    let vxlan = with(&vxlan, MEMBERS, &format!("{MEMBERS}\nhealth_check.protocol = \"vxlan\""));
    let check = load(&vxlan, TEMPLATE).unwrap().appliance.tools[1].health_check.clone().unwrap();
    assert_eq!(check.probe, Probe::Vxlan { port: 8472 });
}

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
