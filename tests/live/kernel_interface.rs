//! The kernel as the control plane of a tool port that it does not see otherwise: by an interface that
//! linetap makes. Its device is an end of a veth here, on which the kernel's own stack is silent and
//! deaf, as it is on a card that DPDK owns; once a real one, memif, with testpmd at its other end.

use std::process::Command;

use crate::appliance::Appliance;
use crate::capture::Capture;
use crate::lab::{Lab, SERVER, TOOL};
use crate::process::{Background, output, run, wait_for};
use crate::report::Report;
use crate::template::{TOOL_V4, TOOL_V6, mirror_all};
use crate::traffic::{UdpRun, UdpStream, random_file};

const APPLIANCE: &str = "192.0.2.1";
const APPLIANCE_V6: &str = "2001:db8:2::1";
const TOOL_IP_V6: &str = "2001:db8:2::10";
const TOOL_MAC: &str = "02:00:00:00:b0:10";
/// A service in the appliance's namespace.
const SERVICE_PORT: u16 = 8081;
/// The VLAN of the tool port, where it is on a trunk.
const VLAN: u16 = 100;

/// A lab whose tool port is a card that the kernel does not see, with these lines in its `[[port]]`.
fn raise(lines: &str) -> Option<Lab> {
    let lab = Lab::raise(&[])?;
    lab.sh("appliance", "ip addr flush dev tool0");
    lab.sh("appliance", "sysctl -qw net.ipv6.conf.tool0.disable_ipv6=1");
    lab.sh("appliance", "ip link set tool0 arp off");
    // Packet sockets hear what comes before this does away with it: to where nobody is.
    lab.sh("appliance", "ip link add nowhere type veth peer name nobody");
    lab.sh("appliance", "tc qdisc add dev tool0 clsact");
    let filter = "tc filter add dev tool0 ingress protocol all u32 match u32 0 0";
    lab.sh("appliance", &format!("{filter} action mirred egress redirect dev nowhere"));
    let device = "device  = \"net_af_packet2,iface=tool0\"";
    lab.edit_appliance(device, &format!("{device}\n{lines}"));
    Some(lab)
}

/// What the kernel's interface of the tool port has counted.
fn kernel(report: &Report, counter: &str) -> u64 {
    report.number(&format!("/live/ports/tool/kernel/{counter}"))
}

/// A web server in the appliance's namespace, with a file; fetches it from the tool by each address.
fn fetch_from_the_appliance(lab: &Lab, hosts: &[&str]) {
    let dir = lab.file("service");
    std::fs::create_dir(&dir).unwrap();
    let sum = random_file(&dir.join("file"), 300_000);
    let mut server = lab.exec("appliance", "python3");
    let port = SERVICE_PORT.to_string();
    server.args(["-m", "http.server", &port, "--bind", "::", "--directory"]).arg(&dir);
    let _server = Background::start(&mut server, &lab.file("service.log"));
    let listens = || lab.sh("appliance", "ss -Hltn").contains(&format!(":{SERVICE_PORT} "));
    wait_for("the service", listens);
    for host in hosts {
        let url = format!("http://{host}:{SERVICE_PORT}/file");
        let got = lab.file("got");
        let mut curl = lab.exec("tool", "curl");
        curl.args(["--silent", "--show-error", "--fail", "--globoff", "--max-time", "20"]);
        run(curl.arg("--output").arg(&got).arg(&url));
        assert!(run(Command::new("sha256sum").arg(&got)).starts_with(&sum), "{url}");
    }
}

/// Pings from the tool to the port's addresses, and back.
fn ping_both_ways(lab: &Lab) {
    for (side, address) in [
        ("tool", APPLIANCE),
        ("tool", APPLIANCE_V6),
        ("appliance", TOOL),
        ("appliance", TOOL_IP_V6),
    ] {
        let told = lab.sh(side, &format!("ping -q -c 5 -i 0.05 -W 5 {address}"));
        eprintln!("{side} to {address}: {}", told.trim_end().lines().last().unwrap_or_default());
    }
}

/// Pings across the wire: each packet's copy reaches the tool. Returns the report after it.
fn pings_are_mirrored(lab: &Lab, appliance: &Appliance<'_>) -> Report {
    let before = appliance.settled();
    let copies = Capture::copies(lab);
    lab.sh("client", &format!("ping -i 0.05 -c 20 {SERVER}"));
    let report = appliance.settled();
    report.assert_conservation();
    let mirrored = report.mirrored("All") - before.mirrored("All");
    assert!(mirrored >= 40);
    copies.finish(mirrored);
    report
}

#[test]
fn the_kernel_resolves_pings_and_serves_by_the_interface_of_a_tool_port() {
    let Some(lab) = raise("kernel_interface = \"lt-tool\"") else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    assert_eq!(appliance.neighbor_macs(), [Some(TOOL_MAC.to_owned())]);
    ping_both_ways(&lab);
    fetch_from_the_appliance(&lab, &[APPLIANCE, "[2001:db8:2::1]"]);

    let report = pings_are_mirrored(&lab, &appliance);
    assert_eq!(report.0["live"]["ports"]["tool"]["kernel"]["interface"], "lt-tool");
    assert_eq!(kernel(&report, "refused"), 0);
    let ended = |reason: &str| report.number(&format!("/ports/tool/ended/{reason}"));
    assert_eq!(ended("to_kernel"), report.number("/ports/tool/rx_packets"));
    assert_eq!(kernel(&report, "received"), ended("to_kernel"), "all of it has arrived");
    assert!(appliance.status_with(&[]).contains("KERNEL'S INTERFACE"));

    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{log}");
    let gone = output(lab.exec("appliance", "ip").args(["link", "show", "lt-tool"]));
    assert!(!gone.status.success(), "the interface is gone");
}

/// A cable from a trunk to a plain interface: frames of a VLAN lose their tag, others stay outside; what
/// goes back gets it. A packet socket is handed the tag beside the frame.
const CABLE: &str = "
import select, socket, struct, sys
vlan, (trunk, plain) = int(sys.argv[1]), sys.argv[2:]
def raw(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 0))
    s.setsockopt(263, 8, 1)
    return s
trunk, plain = raw(trunk), raw(plain)
print('ready', flush=True)
while True:
    for s in select.select([trunk, plain], [], [])[0]:
        frame, aux, _, address = s.recvmsg(65536, 256)
        if address[2] == socket.PACKET_OUTGOING: continue
        tag = None
        for level, kind, data in aux:
            status, _, _, _, _, tci, _ = struct.unpack('IIIHHHH', data[:20])
            if status & 16: tag = tci & 4095
        if s is trunk and tag == vlan: plain.send(frame)
        if s is plain: trunk.send(frame[:12] + struct.pack('>HH', 0x8100, vlan) + frame[12:])
";

/// Puts the tool behind such a cable.
fn lay_cable(lab: &Lab) -> Background {
    for line in [
        "ip addr flush dev mirror0",
        "ip link set mirror0 arp off promisc on",
        "sysctl -qw net.ipv6.conf.mirror0.disable_ipv6=1",
        "ip link add cable0 type veth peer name plain0",
        "ip link set cable0 arp off promisc on up",
        "ip link set plain0 address 02:00:00:00:b0:20 up",
        "ethtool -K plain0 tx off",
        "ethtool -K cable0 tx off",
        "sysctl -qw net.ipv6.conf.plain0.disable_ipv6=0",
        "ip addr add 192.0.2.10/24 dev plain0",
        "ip addr add 2001:db8:2::10/64 dev plain0 nodad",
        "ip addr add fe80::20/64 dev plain0 nodad",
    ] {
        lab.sh("tool", line);
    }
    let vlan = VLAN.to_string();
    let mut cable = lab.exec("tool", "python3");
    cable.args(["-c", CABLE, &vlan, "mirror0", "cable0"]);
    let mut cable = Background::start(&mut cable, &lab.file("cable.log"));
    cable.wait_for_log("ready");
    cable
}

/// How many packets of a capture a display filter takes.
fn count(capture: &std::path::Path, filter: &str) -> usize {
    let mut tshark = Command::new("tshark");
    run(tshark.arg("-r").arg(capture).args(["-Y", filter])).lines().count()
}

#[test]
fn a_tool_port_on_a_trunk_speaks_and_hears_its_vlan_and_no_other() {
    let Some(lab) = raise(&format!("kernel_interface = \"lt-tool\"\nvlan = {VLAN}")) else {
        return;
    };
    let _cable = lay_cable(&lab);
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    assert_eq!(appliance.neighbor_macs(), [Some("02:00:00:00:b0:20".to_owned())]);
    let capture = lab.file("trunk.pcap");
    let mut tcpdump = lab.exec("tool", "tcpdump");
    tcpdump.args(["-Z", "root", "-i", "mirror0", "-Q", "in", "-U", "-w"]).arg(&capture);
    let mut tcpdump = Background::start(&mut tcpdump, &lab.file("tcpdump.log"));
    tcpdump.wait_for_log("listening on");
    ping_both_ways(&lab);
    lab.sh("client", &format!("ping -i 0.05 -c 20 {SERVER}"));
    // Of another VLAN, and of none: a broadcast each.
    let strange = "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); \
                   s.bind(('mirror0', 0)); head = bytes([255] * 6 + [2, 0, 0, 0, 0, 9]); \
                   [s.send(head + tag + bytes([0x88, 0xb5]) + bytes(50)) \
                    for tag in (bytes([0x81, 0, 0, 101]), b'')]";
    run(lab.exec("tool", "python3").args(["-c", strange]));
    let report = appliance.settled();
    report.assert_conservation();
    tcpdump.end("INT");
    let copies = count(&capture, &format!("vlan.id == {VLAN} && vxlan"));
    assert!(copies >= 40 && copies as u64 <= report.mirrored("All"), "{copies}");
    assert!(count(&capture, &format!("vlan.id == {VLAN} && icmp && !vxlan")) >= 6);
    assert_eq!(
        count(&capture, &format!("!(vlan.id == {VLAN})")),
        0,
        "nothing leaves without the tag"
    );
    assert_eq!(kernel(&report, "other_vlan"), 2);
}

/// Frames that nobody asked for, as fast as one core makes them.
const FLOOD: &str = "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('mirror0', 0))
frame = bytes([2, 0, 0, 0, 0xaa, 3, 2, 0, 0, 0, 0, 9, 0x88, 0xb5]) + bytes(46)
print('ready', flush=True)
while True:
    try: s.send(frame)
    except OSError: pass
";

#[test]
fn a_flood_at_the_tool_port_costs_the_wire_nothing() {
    const DATAGRAMS: u32 = 10_000;
    let Some(lab) = raise("kernel_interface = \"lt-tool\"") else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    let mut flood = lab.exec("tool", "nice");
    let mut flood = Background::start(flood.args(["python3", "-c", FLOOD]), &lab.file("flood.log"));
    flood.wait_for_log("ready");
    let before = appliance.status();
    let result = UdpStream::start(&lab, 20, DATAGRAMS).result();
    let during = appliance.status();
    flood.end("KILL");
    assert_eq!(result, UdpRun { sent: DATAGRAMS.into(), lost: 0, out_of_order: 0 });
    let frames = |report: &Report| report.number("/ports/tool/rx_packets");
    let flooded = frames(&during) - frames(&before);
    eprintln!("{flooded} strange frames meanwhile");
    assert!(flooded > u64::from(DATAGRAMS), "{flooded}");
    let report = appliance.settled();
    report.assert_conservation();
    assert_eq!(report.skipped_in_all("All"), 0, "{:#}", report.0);
    // And the kernel still hears what is meant for it.
    lab.sh("tool", &format!("ping -c 3 -i 0.05 -W 5 {APPLIANCE}"));
}

#[test]
fn a_port_that_dpdk_owns_has_the_kernel_for_its_network() {
    let Some(lab) = raise("") else { return };
    let socket = lab.file("memif");
    let memif = |role: &str| {
        format!("net_memif0,role={role},socket={},socket-abstract=no", socket.display())
    };
    lab.edit_appliance("net_af_packet2,iface=tool0", &memif("server"));
    // No more is said to fit net_memif.
    lab.edit_appliance("mtu     = 1600", "mtu     = 1500");
    let appliance = Appliance::start_unresolved(&lab, &mirror_all(TOOL_V6));
    let mut cable = lab.exec("appliance", "dpdk-testpmd");
    cable.args(["--lcores", "0@0,1@0", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry"]);
    cable.args(["--iova-mode=va", "--no-shconf", "--vdev", &memif("client")]);
    cable.args(["--vdev", "net_af_packet0,iface=tool0", "--", "--auto-start"]);
    cable.args(["--forward-mode=io", "--total-num-mbufs=8192", "--stats-period", "1"]);
    let mut cable = Background::start(&mut cable, &lab.file("testpmd.log"));
    cable.wait_for_log("Port statistics");
    wait_for("the neighbor", || appliance.neighbor_macs() == [Some(TOOL_MAC.to_owned())]);
    ping_both_ways(&lab);
    fetch_from_the_appliance(&lab, &["[2001:db8:2::1]"]);
    let report = pings_are_mirrored(&lab, &appliance);
    assert_eq!(report.0["live"]["ports"]["tool"]["driver"], "net_memif");
    assert_eq!(report.0["live"]["ports"]["tool"]["kernel"]["interface"], "lt-tool");
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{log}");
}
