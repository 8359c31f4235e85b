//! Configurations in which the appliance is measured: what of it costs how much.
//!
//! Each is an appliance file and a template as a person would write them, read and judged by the same code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use traffic::flows::PORT_RANGE;

use crate::config::Mode;
use crate::fault::Faults;
use crate::load::{self, Loaded, Sources};

/// Where frames come in that are not forwarded, and to whom they are: the span's interface has this address.
pub const STATION: engine::units::Mac = engine::units::Mac([0x02, 0, 0, 0, 0xaa, 1]);
/// The ports, by their places in the setup of the traffic.
pub const PORTS: [&str; 4] = ["lan", "wan", "tool", "span"];
/// UDP port of copies.
pub const VXLAN_PORT: u16 = 4789;
/// Network of the first session's copies; those of the others follow.
pub const VNI: u32 = 4101;
/// The tag of frames whose copies shall have none.
pub const VLAN: u16 = 100;
/// The largest IP packet that `net_memif` is said to carry.
pub const MTU: u16 = 1500;
/// IP, UDP and VXLAN around a copy.
const OUTER_V4: u16 = 20 + 8 + 8;
const OUTER_V6: u16 = 40 + 8 + 8;
/// The ids of sources, tools and the load balancer.
const WIRE_SOURCE: &str = "eni-0a000000000000001";
const SPAN_SOURCE: &str = "eni-0a000000000000002";
const TOOL_V4: &str = "eni-0b000000000000001";
const TOOL_V6: &str = "eni-0b000000000000002";
const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/bench/0000000000000001";

/// Which frames are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    All,
    /// Those of a quarter of the UDP source ports.
    Quarter,
}

/// A configuration.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a configuration has or not"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What it is, for a reader.
    pub about: &'static str,
    /// Sessions of the one source; each has its part of the frames.
    pub sessions: u16,
    /// Rules of each session's filter.
    pub rules: usize,
    /// What the sessions copy together.
    pub share: Share,
    /// `PacketLength`.
    pub packet_length: Option<u16>,
    /// Frames come in by the span port.
    pub is_span: bool,
    /// Frames have an 802.1Q tag, copies have not.
    pub is_tagged: bool,
    /// Sessions have a rate limit, which no load reaches.
    pub is_limited: bool,
    /// Copies go over IPv6.
    pub is_v6: bool,
    /// The target is a load balancer of four, with sticky flows.
    pub is_balanced: bool,
}

/// One session that copies everything.
const ONE: Stack = Stack {
    name: "one-session",
    about: "one session copies every frame whole",
    sessions: 1,
    rules: 1,
    share: Share::All,
    packet_length: None,
    is_span: false,
    is_tagged: false,
    is_limited: false,
    is_v6: false,
    is_balanced: false,
};

/// All of them. Each but the first differs in one thing from the second.
pub const STACKS: [Stack; 11] = [
    Stack { name: "wire", about: "no session: frames are forwarded alone", sessions: 0, ..ONE },
    ONE,
    Stack {
        name: "quarter",
        about: "ten rules, which copy a quarter of the flows",
        rules: 10,
        share: Share::Quarter,
        ..ONE
    },
    Stack {
        name: "three-sessions",
        about: "three sessions, each of which copies a third of the flows",
        sessions: 3,
        ..ONE
    },
    Stack {
        name: "thousand-rules",
        about: "a thousand rules, of which the last copies everything",
        rules: 1000,
        ..ONE
    },
    Stack {
        name: "truncated",
        about: "copies are cut to 128 bytes",
        packet_length: Some(128),
        ..ONE
    },
    Stack {
        name: "span",
        about: "frames of a span port are copied, none is forwarded",
        is_span: true,
        ..ONE
    },
    Stack {
        name: "vlan-strip",
        about: "tagged frames, whose copies have no tag",
        is_tagged: true,
        ..ONE
    },
    Stack { name: "rate-limit", about: "a rate limit, never reached", is_limited: true, ..ONE },
    Stack { name: "v6-underlay", about: "copies go over IPv6", is_v6: true, ..ONE },
    Stack {
        name: "balancer",
        about: "a load balancer of four tools with sticky flows",
        packet_length: Some(MTU - OUTER_V4),
        is_balanced: true,
        ..ONE
    },
];

/// The stack of a name.
pub fn named(name: &str) -> Option<&'static Stack> {
    STACKS.iter().find(|stack| stack.name == name)
}

/// Where the appliance runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Folder of its sockets and of its state.
    pub dir: PathBuf,
    /// Its workers' cores.
    pub cores: Vec<u16>,
    /// It has a tool and a span port beside the wire.
    pub is_mirroring: bool,
}

impl Place {
    /// The device of a port, at the appliance's end or at the other.
    pub fn device(&self, port: usize, is_server: bool) -> String {
        let role = if is_server { "server" } else { "client" };
        let socket = self.dir.join("memif");
        format!(
            "net_memif{port},role={role},id={port},socket={},socket-abstract=no",
            socket.display()
        )
    }

    /// The ports that there are.
    pub fn ports(&self) -> &'static [&'static str] {
        if self.is_mirroring { &PORTS } else { &PORTS[..2] }
    }

    /// The appliance file; the same for all stacks, because ports can't change while it runs.
    pub fn appliance_file(&self) -> String {
        let dir = self.dir.display();
        let cores: Vec<String> = self.cores.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "[appliance]\nid = \"bench\"\nrun_dir = \"{dir}\"\nstate_dir = \"{dir}\"\n\
             [dataplane]\nworkers = [{}]\n[quotas]\nrules_per_filter = 100000\n",
            cores.join(", ")
        );
        for (at, name) in self.ports().iter().enumerate() {
            let device = self.device(at, true);
            // Written to memory, which never fails.
            let _ =
                write!(text, "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nmtu = {MTU}\n");
            if *name == "tool" {
                // Nobody resolves: every tool's MAC address is in the file.
                text += "address = [\"192.0.2.1/24\", \"2001:db8::1/64\"]\nkernel_interface = \"none\"\n";
            }
        }
        text += "[[link]]\nname = \"wire\"\nports = [\"lan\", \"wan\"]\n";
        let _ = write!(text, "[[interface]]\nid = \"{WIRE_SOURCE}\"\nport = \"lan\"\n");
        if self.is_mirroring {
            let _ = write!(
                text,
                "[[span]]\nport = \"span\"\n\
                 [[interface]]\nid = \"{SPAN_SOURCE}\"\nport = \"span\"\nmac = [\"{STATION}\"]\n\
                 [[tool]]\nid = \"{TOOL_V4}\"\nport = \"tool\"\naddress = \"192.0.2.10\"\nmac = \"{}\"\n\
                 [[tool]]\nid = \"{TOOL_V6}\"\nport = \"tool\"\naddress = \"2001:db8::10\"\nmac = \"{}\"\n\
                 [[tool]]\nid = \"{BALANCER}\"\nport = \"tool\"\nsticky = true\nmembers = [\n",
                tool_mac(10),
                tool_mac(10)
            );
            for member in 11..=14 {
                let _ = writeln!(
                    text,
                    "  {{ address = \"192.0.2.{member}\", mac = \"{}\" }},",
                    tool_mac(member)
                );
            }
            text += "]\n";
        }
        text
    }

    /// Both texts of a stack, read and judged. `version`: the same sessions, with other rules that match nothing.
    /// Errors: what is wrong with them, which is a fault of this program.
    pub fn load(&self, stack: &Stack, version: u32, epoch: u64) -> Result<Loaded, Faults> {
        let sources = Sources {
            config: Path::new("appliance file of linetap bench --self").to_owned(),
            template: Path::new("template of linetap bench --self").to_owned(),
            parameters: Vec::new(),
            mode: Mode::Online,
        };
        load::from_texts(&self.appliance_file(), &stack.template(version), &sources, epoch)
    }
}

fn tool_mac(host: u8) -> engine::units::Mac {
    engine::units::Mac([0x02, 0, 0, 0, 0x0b, host])
}

impl Stack {
    /// The networks of its copies and the UDP source ports of the frames that each one gets.
    pub fn networks(&self) -> Vec<(u32, [u16; 2])> {
        let [first, last] = PORT_RANGE.map(u32::from);
        let whole = match self.share {
            Share::All => last + 1 - first,
            Share::Quarter => (last + 1 - first) / 4,
        };
        let count = u32::from(self.sessions);
        let bound = |at: u32| u16::try_from(first + whole * at / count.max(1)).unwrap_or(u16::MAX);
        (0..count).map(|at| (VNI + at, [bound(at), bound(at + 1) - 1])).collect()
    }

    /// True when every frame is copied.
    pub fn copies_all(&self) -> bool {
        self.share == Share::All && self.sessions > 0
    }

    /// The longest copy, from the inner Ethernet header on.
    pub fn copy_len_max(&self) -> u16 {
        let outer = if self.is_v6 { OUTER_V6 } else { OUTER_V4 };
        self.packet_length.unwrap_or(u16::MAX).min(MTU - outer)
    }

    /// Its mirror objects, as CloudFormation has them.
    pub fn template(&self, version: u32) -> String {
        let mut resources = Map::new();
        let target = match (self.is_balanced, self.is_v6) {
            (true, _) => json!({"NetworkLoadBalancerArn": BALANCER}),
            (false, true) => json!({"NetworkInterfaceId": TOOL_V6}),
            (false, false) => json!({"NetworkInterfaceId": TOOL_V4}),
        };
        if self.sessions > 0 {
            resources.insert("Target".to_owned(), resource("Target", &target));
        }
        for (at, (vni, ports)) in self.networks().into_iter().enumerate() {
            let filter = format!("Filter{at}");
            resources.insert(filter.clone(), resource("Filter", &json!({})));
            let mut session = json!({
                "NetworkInterfaceId": if self.is_span { SPAN_SOURCE } else { WIRE_SOURCE },
                "TrafficMirrorTargetId": {"Ref": "Target"},
                "TrafficMirrorFilterId": {"Ref": filter},
                "SessionNumber": at + 1,
                "VirtualNetworkId": vni,
            });
            if let Some(length) = self.packet_length {
                session["PacketLength"] = length.into();
            }
            if self.is_limited {
                session["Tags"] = json!([{"Key": "linetap:rate-limit", "Value": "1000GB/s,1Gpps"}]);
            }
            resources.insert(format!("Session{at}"), resource("Session", &session));
            self.add_rules(&filter, at, ports, version, &mut resources);
        }
        json!({ "Resources": resources }).to_string()
    }

    /// Rules that match nothing, and behind them the one that counts, for each family.
    fn add_rules(
        &self,
        filter: &str,
        session: usize,
        ports: [u16; 2],
        version: u32,
        to: &mut Map<String, Value>,
    ) {
        let direction = if self.is_span { "ingress" } else { "egress" };
        let fillers = self.rules.saturating_sub(1);
        for number in 0..fillers {
            // Nobody sends to 192.168/16.
            let host = format!("192.168.{}.{}/32", number / 250, number % 250);
            let from = 1024 + (u32::try_from(number).unwrap_or(0) * 7 + version) % 60_000;
            let rule = json!({
                "TrafficMirrorFilterId": {"Ref": filter},
                "TrafficDirection": direction,
                "RuleNumber": number + 1,
                "RuleAction": "accept",
                "Protocol": 17,
                "SourceCidrBlock": "0.0.0.0/0",
                "DestinationCidrBlock": host,
                "DestinationPortRange": {"FromPort": from, "ToPort": from + 100},
            });
            to.insert(format!("Filler{session}x{number}"), resource("FilterRule", &rule));
        }
        let is_part = self.share != Share::All || self.sessions > 1;
        for (family, network) in [("V4", "0.0.0.0/0"), ("V6", "::/0")] {
            let mut rule = json!({
                "TrafficMirrorFilterId": {"Ref": filter},
                "TrafficDirection": direction,
                "RuleNumber": fillers + if family == "V4" { 1 } else { 2 },
                "RuleAction": "accept",
                "SourceCidrBlock": network,
                "DestinationCidrBlock": network,
            });
            if is_part {
                rule["Protocol"] = 17.into();
                rule["SourcePortRange"] = json!({"FromPort": ports[0], "ToPort": ports[1]});
            }
            to.insert(format!("Rule{session}{family}"), resource("FilterRule", &rule));
        }
    }
}

fn resource(kind: &str, properties: &Value) -> Value {
    json!({"Type": format!("AWS::EC2::TrafficMirror{kind}"), "Properties": properties})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warning::warnings;

    fn place() -> Place {
        Place { dir: "/run/bench".into(), cores: vec![1], is_mirroring: true }
    }

    #[test]
    fn every_stack_is_one_that_check_accepts_without_a_warning() {
        for stack in &STACKS {
            for version in [0, 1, 70_000] {
                let loaded = place().load(stack, version, 1).unwrap_or_else(|it| panic!("{it}"));
                loaded.prove().unwrap();
                let found = warnings(&loaded, "template");
                assert!(found.is_empty(), "{}: {found:?}", stack.name);
            }
        }
        let wire = Place { is_mirroring: false, ..place() };
        let loaded = wire.load(&STACKS[0], 0, 1).unwrap();
        loaded.prove().unwrap();
        assert_eq!(loaded.snapshot.ports.len(), 2);
    }

    #[test]
    fn one_data_plane_can_have_all_of_them() {
        let wire = place().load(&STACKS[0], 0, 1).unwrap().snapshot;
        for stack in &STACKS {
            let snapshot = place().load(stack, 5, 2).unwrap().snapshot;
            assert!(snapshot.has_same_hardware(&wire), "{}", stack.name);
            assert_eq!(snapshot.sessions.len(), usize::from(stack.sessions));
            let vnis: Vec<u32> = snapshot.sessions.iter().map(|it| it.vni.value()).collect();
            let expected: Vec<u32> = stack.networks().into_iter().map(|(vni, _)| vni).collect();
            assert_eq!(vnis, expected, "{}", stack.name);
        }
    }

    #[test]
    fn other_versions_have_other_rules_and_the_same_sessions() {
        let stack = named("thousand-rules").unwrap();
        let [one, other] = [1, 2].map(|version| place().load(stack, version, 1).unwrap().snapshot);
        assert_eq!(one.rules.len(), 1001);
        assert_ne!(one.rules, other.rules);
        assert_eq!(one.sessions, other.sessions);
    }

    #[test]
    fn sessions_share_all_source_ports_without_overlap() {
        let whole = |name: &str| named(name).unwrap().networks();
        assert_eq!(whole("one-session"), [(VNI, PORT_RANGE)]);
        assert_eq!(whole("quarter"), [(VNI, [10_000, 18_191])]);
        let thirds = whole("three-sessions");
        assert_eq!((thirds[0].1[0], thirds[2].1[1]), (10_000, 42_767));
        assert!(thirds.windows(2).all(|pair| pair[0].1[1] + 1 == pair[1].1[0]));
        assert!(whole("wire").is_empty());
    }

    #[test]
    fn copies_are_no_longer_than_packet_length_and_mtu_let_them_be() {
        let len = |name: &str| named(name).unwrap().copy_len_max();
        assert_eq!([len("one-session"), len("v6-underlay"), len("truncated")], [1464, 1444, 128]);
        assert_eq!(len("balancer"), 1464);
    }
}
