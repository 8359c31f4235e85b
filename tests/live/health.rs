//! Four tools behind one name, which are checked: each conversation has one tool, a tool that dies is
//! noticed in time and only its conversations move, and they come back when it does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::appliance::Appliance;
use crate::capture::{Capture, Flows};
use crate::lab::{Lab, SERVER};
use crate::process::{Background, run, wait_for};
use crate::template::mirror_all;
use crate::traffic::in_the_wire;

const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/ids/50dc6c495c0c9188";
/// Last bytes of the tools' addresses, 192.0.2.x, and their weights.
const TOOLS: [(u8, u64); 4] = [(11, 1), (12, 1), (13, 1), (14, 2)];
/// The one that dies, and its share of the conversations in percent.
const MORTAL: u8 = 12;
const MORTAL_SHARE: u64 = 20;
/// Interval and timeout are 0.2 s, two failures make a member unhealthy.
const NOTICED_IN: Duration = Duration::from_millis(600);
/// What it takes to ask, on a busy machine.
const LEEWAY: Duration = Duration::from_secs(1);

const PORTS: u64 = 100;
/// One for each pair of a port of the client's and one of the server's.
const CONVERSATIONS: u64 = PORTS * PORTS;

/// A ping and its answer, before all that.
const PINGS: u64 = 2;

/// Returns each datagram.
const ECHO: &str = "
import selectors, socket
ready = selectors.DefaultSelector()
for port in range(30000, 30100):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', port))
    ready.register(s, selectors.EVENT_READ)
print('ready', flush=True)
while True:
    for key, _ in ready.select():
        key.fileobj.sendto(*key.fileobj.recvfrom(100))
";

/// Holds all conversations, 100 at a time: one datagram there, one back.
const TALK: &str = "
import socket
sockets = []
for port in range(20000, 20100):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', port))
    s.settimeout(5)
    sockets.append(s)
for port in range(30000, 30100):
    for s in sockets: s.sendto(b'hello', ('198.51.100.2', port))
    for s in sockets: s.recv(100)
";

/// Accepts connections at an address of the tool.
fn listener(lab: &Lab, tool: u8) -> Background {
    let script = format!(
        "import socket\n\
         s = socket.create_server(('192.0.2.{tool}', 9000))\n\
         while True: s.accept()[0].close()"
    );
    let mut command = lab.exec("tool", "python3");
    Background::start(command.args(["-c", &script]), &lab.file(&format!("listener-{tool}.log")))
}

/// Which tool has each conversation, by the ports of client and server; panics when one has several,
/// or not both directions of it.
fn tools_of(flows: &Flows) -> HashMap<(u16, u16), u8> {
    const CLIENT: [u8; 4] = [198, 51, 100, 1];
    let mut tools: HashMap<(u16, u16), Vec<u8>> = HashMap::new();
    for (key, frames) in flows {
        let (tool, flow) = key.split_at(4);
        // Addresses, protocol, ports.
        let port = |at: usize| u16::from_be_bytes([flow[at], flow[at + 1]]);
        assert_eq!((flow.len(), flow[8]), (13, 17), "UDP over IPv4");
        let is_from_client = flow[..4] == CLIENT;
        let ports = if is_from_client { (port(9), port(11)) } else { (port(11), port(9)) };
        assert_eq!(frames.len(), 1, "one datagram in each direction");
        tools.entry(ports).or_default().push(tool[3]);
    }
    let only = |(ports, tools): ((u16, u16), Vec<u8>)| {
        assert_eq!(tools.len(), 2, "both directions of {ports:?}");
        assert_eq!(tools[0], tools[1], "both directions of {ports:?} at one tool");
        (ports, tools[0])
    };
    tools.into_iter().map(only).collect()
}

/// What the checks of a tool have found, as `status` tells it.
fn state_of(appliance: &Appliance<'_>, tool: u8) -> String {
    let status = appliance.status();
    let members = status.0["live"]["neighbors"].as_array().unwrap();
    let address = format!("192.0.2.{tool}");
    let member = members.iter().find(|member| member["address"] == address.as_str()).unwrap();
    let word = |key: &str| member["checked"][key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", word("state"), word("reason")).trim().to_owned()
}

/// Waits until a tool is in a state, and prints how long that took.
fn becomes(appliance: &Appliance<'_>, tool: u8, state: &str) -> Duration {
    let start = Instant::now();
    wait_for(&format!("192.0.2.{tool}: {state}"), || state_of(appliance, tool) == state);
    let elapsed = start.elapsed();
    eprintln!("192.0.2.{tool} is {state} after {} ms", elapsed.as_millis());
    elapsed
}

fn edit(lab: &Lab) {
    let members: Vec<String> = TOOLS
        .iter()
        .map(|(tool, weight)| format!("{{ address = \"192.0.2.{tool}\", weight = {weight} }}"))
        .collect();
    let other = "[[tool]]\nid      = \"eni-0b000000000000006\"";
    let balancer = format!(
        "[[tool]]\nid = \"{BALANCER}\"\nport = \"tool\"\nmembers = [{}]\n\
         health_check = {{ protocol = \"tcp\", port = 9000, interval = 0.2, timeout = 0.2, \
         healthy_threshold = 2, unhealthy_threshold = 2 }}\n\n{other}",
        members.join(", ")
    );
    lab.edit_appliance(other, &balancer);
}

/// The lab with its tools, and the conversations that were held in it.
struct Fleet<'lab> {
    lab: &'lab Lab,
    at_tools: Capture,
    rounds: u64,
}

impl Fleet<'_> {
    /// Holds all conversations, and tells which tool has each.
    fn talk(&mut self) -> HashMap<(u16, u16), u8> {
        run(self.lab.exec("client", "python3").args(["-c", TALK]));
        self.rounds += 1;
        let tools = tools_of(&self.at_tools.take(2 * CONVERSATIONS * self.rounds));
        assert_eq!(tools.len() as u64, CONVERSATIONS);
        tools
    }
}

/// Panics unless a tool's conversations, and hardly any others, have moved.
fn assert_only_moved(from: &HashMap<(u16, u16), u8>, to: &HashMap<(u16, u16), u8>, dead: u8) {
    let moved = from.iter().filter(|(ports, tool)| to[*ports] != **tool).count() as u64;
    let its_own = from.values().filter(|tool| **tool == dead).count() as u64;
    eprintln!("{moved} conversations have moved, {its_own} of them from 192.0.2.{dead}");
    assert!(to.values().all(|tool| *tool != dead));
    assert!(moved >= its_own && moved <= (MORTAL_SHARE + 2) * CONVERSATIONS / 100);
}

#[test]
fn conversations_keep_to_one_of_four_tools_and_leave_only_the_dead() {
    let Some(lab) = Lab::raise(&[]) else { return };
    edit(&lab);
    for (tool, _) in TOOLS {
        lab.sh("tool", &format!("ip addr add 192.0.2.{tool}/24 dev mirror0"));
    }
    let mut listeners: HashMap<u8, Background> =
        TOOLS.iter().map(|(tool, _)| (*tool, listener(&lab, *tool))).collect();
    let mut echo = lab.exec("server", "python3");
    let mut echo = Background::start(echo.args(["-c", ECHO]), &lab.file("echo.log"));
    echo.wait_for_log("ready");
    let appliance = Appliance::start(&lab, &mirror_all(BALANCER));
    for (tool, _) in TOOLS {
        becomes(&appliance, tool, "healthy");
    }
    lab.sh("client", &format!("ping -c 1 {SERVER}"));
    let mirrored = |count: u64| {
        // The checks themselves move counters of the tool port: they never settle.
        wait_for(&format!("{count} copies"), || appliance.status().mirrored("All") == count);
    };
    mirrored(PINGS);
    let in_the_wire_before = in_the_wire(&lab);
    let mut fleet = Fleet { lab: &lab, at_tools: Capture::copies_by_tool(&lab), rounds: 0 };

    let all = fleet.talk();
    let weights: u64 = TOOLS.iter().map(|(_, weight)| weight).sum();
    for (tool, weight) in TOOLS {
        let has = all.values().filter(|it| **it == tool).count() as u64;
        let part = CONVERSATIONS * weight / weights;
        eprintln!("192.0.2.{tool} has {has} conversations, {part} by its weight");
        assert!(has.abs_diff(part) <= part / 20, "{has} of {part}");
    }

    // A process dies; asked in another way, its machine is well …
    listeners.remove(&MORTAL);
    let noticed = becomes(&appliance, MORTAL, "unhealthy connection refused");
    assert!(noticed <= NOTICED_IN + LEEWAY, "{noticed:?}");
    let without = fleet.talk();
    assert_only_moved(&all, &without, MORTAL);
    lab.edit_appliance("protocol = \"tcp\", port = 9000", "protocol = \"icmp\"");
    appliance.reload();
    becomes(&appliance, MORTAL, "healthy");
    assert!(fleet.talk() == all, "all are where they were");

    // … until that dies, too.
    lab.sh("tool", &format!("ip addr del 192.0.2.{MORTAL}/24 dev mirror0"));
    let noticed = becomes(&appliance, MORTAL, "unhealthy no answer in 0.2 s");
    assert!(noticed <= NOTICED_IN + LEEWAY, "{noticed:?}");
    assert!(fleet.talk() == without, "the same have moved to the same");
    lab.sh("tool", &format!("ip addr add 192.0.2.{MORTAL}/24 dev mirror0"));
    becomes(&appliance, MORTAL, "healthy");
    assert!(fleet.talk() == all, "all are where they were");

    mirrored(PINGS + 2 * CONVERSATIONS * fleet.rounds);
    appliance.status().assert_conservation();
    assert_eq!(in_the_wire(&lab), in_the_wire_before, "frames that the wire has lost");
    let Fleet { at_tools, rounds, .. } = fleet;
    at_tools.finish(2 * CONVERSATIONS * rounds);
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{log}");
    assert_eq!(log.matches(&format!("192.0.2.{MORTAL} is unhealthy")).count(), 2, "{log}");
}
