"""OVS-DPDK at linetap's job: one PMD core forwards every frame and copies into a VXLAN tunnel what its
OpenFlow rules select (tap), or, fed by a SPAN port, sends the selected frames into the tunnel alone.

The switch has a network namespace and a directory of its own; one that the machine may run is not
touched. `lan` is the capture, `wan` and, behind the tunnel, `tool` are null devices.
"""

import os
import pathlib
import re
import subprocess
import time
from typing import NamedTuple

from harness.appliance import Failed, end_of

NAMESPACE = "linetap-bench-ovs"
DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
MEMORY_MIB = 512
START_SECONDS_MAX = 20
LAN, WAN, TUNNEL = 1, 2, 3
LOCAL_IP, TOOL_IP, TOOL_MAC = "192.0.2.1", "192.0.2.10", "02:00:00:00:0b:01"
# Of an interface with copies of 1514 bytes and their outer headers.
MTU = 2000


class Rates(NamedTuple):
    """Packets per second."""

    received: float
    forwarded: float
    copied: float


def flows(rules, is_span):
    """OpenFlow of first-match rules; `is_span`: nothing is forwarded."""
    forward = [] if is_span else [f"output:{WAN}"]
    taken, left = ",".join([*forward, f"output:{TUNNEL}"]), ",".join(forward) or "drop"
    lines = [f"priority=1,in_port={LAN},actions={left}"]
    for n, rule in enumerate(rules):
        for match in matches(rule):
            lines.append(f"priority={60_000 - n},in_port={LAN},{match},actions={taken if rule.accept else left}")
    return "\n".join(lines) + "\n"


def matches(rule):
    """A rule as OpenFlow matches: several where it names ports of no protocol."""
    networks = ("ipv6_dst", "ipv6_src") if rule.v6 else ("nw_dst", "nw_src")
    fields = [f"{name}={network}" for name, network in zip(networks, (rule.dst, rule.src)) if network and not network.endswith("/0")]
    if rule.ports:
        fields.append("tp_dst=0x%x/0x%x" % rule.port_mask)
    protocols = {6: ["tcp"], 17: ["udp"], None: ["tcp", "udp"] if rule.ports else ["ip"]}[rule.protocol]
    names = {"ip": "ipv6", "tcp": "tcp6", "udp": "udp6"} if rule.v6 else {}
    return [",".join([names.get(protocol, protocol), *fields]) for protocol in protocols]


class Switch:
    """A switch of its own, from nothing to forwarding; `stop` leaves nothing of it."""

    def __init__(self, directory, core, main_core):
        self.directory, self.core, self.main_core = pathlib.Path(directory), core, main_core
        self.directory.mkdir(parents=True)
        self.env = os.environ | {f"OVS_{name}DIR": str(directory) for name in ("RUN", "DB", "LOG", "SYSCONF")}
        self.socket, self.control = f"unix:{directory}/db.sock", self.directory / "vswitchd.ctl"
        self.processes = []

    def command(self, *arguments):
        done = subprocess.run(arguments, env=self.env, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}\n{self.log()}")
        return done.stdout

    def log(self):
        log = self.directory / "vswitchd.log"
        return end_of(log) if log.exists() else ""

    def vsctl(self, *arguments):
        return self.command("ovs-vsctl", f"--db={self.socket}", "--timeout=20", *arguments)

    def appctl(self, *arguments):
        return self.command("ovs-appctl", "--timeout=10", "-t", self.control, *arguments)

    def inside(self, *arguments):
        return self.command("ip", "netns", "exec", NAMESPACE, *arguments)

    def spawn(self, *arguments):
        with open(self.directory / "output", "a") as log:
            self.processes.append(subprocess.Popen(arguments, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def wait_for(self, path):
        end = time.monotonic() + START_SECONDS_MAX
        while not path.exists():
            if time.monotonic() > end or self.processes[-1].poll() is not None:
                raise Failed(f"Open vSwitch does not start\n{self.log()}")
            time.sleep(0.05)

    def start(self):
        """Both daemons; no bridge yet."""
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True)
        self.command("ip", "netns", "add", NAMESPACE)
        self.command("ovsdb-tool", "create", self.directory / "conf.db", SCHEMA)
        self.spawn("ovsdb-server", f"--remote=p{self.socket}", f"--unixctl={self.directory}/ovsdb.ctl", self.directory / "conf.db")
        self.wait_for(self.directory / "db.sock")
        self.vsctl("--no-wait", "init")
        settings = {
            "dpdk-init": "true",
            "dpdk-lcore-mask": hex(1 << self.main_core),
            "pmd-cpu-mask": hex(1 << self.core),
            "dpdk-socket-mem": MEMORY_MIB,
            "per-port-memory": "true",
            "dpdk-extra": '"--no-pci --iova-mode=va --in-memory --no-telemetry"',
        }
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f"other_config:{key}={value}" for key, value in settings.items()))
        self.spawn(
            "ip", "netns", "exec", NAMESPACE, DAEMON, self.socket, f"--unixctl={self.control}",
            f"--log-file={self.directory}/vswitchd.log", "-vconsole:off",
        )
        self.wait_for(self.control)

    def add_port(self, bridge, name, number, device):
        self.vsctl(
            "add-port", bridge, name, "--", "set", "interface", name, "type=dpdk", f"ofport_request={number}",
            f'options:dpdk-devargs="{device}"', *(f"mtu_request={mtu}" for mtu in [MTU] if name != "lan"),
        )

    def wire(self, rx, rules, is_span):
        """The tunnel and the rules first, the traffic last: it never meets another configuration."""
        bridge = ("datapath_type=netdev", "fail-mode=secure", "protocols=OpenFlow13")
        self.vsctl("add-br", "under", "--", "set", "bridge", "under", *bridge, "other_config:hwaddr=02:00:00:00:00:01")
        self.add_port("under", "tool", 1, "net_null8,no-rx=1")
        self.inside("ip", "address", "add", f"{LOCAL_IP}/24", "dev", "under")
        self.inside("ip", "link", "set", "under", "mtu", str(MTU), "up")
        self.openflow("under", "priority=1,in_port=LOCAL,actions=output:1\n")
        self.vsctl("add-br", "wire", "--", "set", "bridge", "wire", *bridge)
        self.add_port("wire", "wan", WAN, "net_null9,no-rx=1")
        self.vsctl(
            "add-port", "wire", "tunnel", "--", "set", "interface", "tunnel", "type=vxlan", f"ofport_request={TUNNEL}",
            f"options:remote_ip={TOOL_IP}", f"options:local_ip={LOCAL_IP}", "options:key=1",
        )
        end = time.monotonic() + START_SECONDS_MAX
        while f"{LOCAL_IP.rpartition('.')[0]}." not in self.appctl("ovs/route/show"):
            if time.monotonic() > end:
                raise Failed("Open vSwitch does not learn the route to the tool")
            time.sleep(0.1)
        self.appctl("tnl/neigh/set", "under", TOOL_IP, TOOL_MAC)
        self.openflow("wire", flows(rules, is_span))
        self.add_port("wire", "lan", LAN, rx)

    def openflow(self, bridge, text):
        file = self.directory / f"{bridge}.flows"
        file.write_text(text)
        self.command("ovs-ofctl", "-O", "OpenFlow13", "--bundle", "replace-flows", f"unix:{self.directory}/{bridge}.mgmt", file)

    def counters(self):
        """Packets received from lan, sent to wan and to tool so far: the datapath's own, for the
        database's are seconds old."""
        said = self.appctl("dpctl/show", "-s", "netdev@ovs-netdev")
        pick = lambda port, way: int(re.search(rf"port \d+: {port} \(.*?{way} packets:(\d+)", said, re.S).group(1))
        return pick("lan", "RX"), pick("wan", "TX"), pick("tool", "TX")

    def rates(self, seconds):
        before, start = self.counters(), time.monotonic()
        time.sleep(seconds)
        after, end = self.counters(), time.monotonic()
        return Rates(*((new - old) / (end - start) for new, old in zip(after, before)))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True)
