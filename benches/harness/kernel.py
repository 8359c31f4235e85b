"""The kernel at linetap's job: tc redirects every frame of a veth to another and mirrors what its u32
filters select into a VXLAN device.

    generate: testpmd, lan0 ══ lan1 :tap: wan0 ══ wan1 :sink
                                      tool0 ══ tool1        with vxlan0 over tool0

testpmd repeats the capture into lan0 by AF_XDP from one core; a thread of the kernel polls lan1 on the
other and does all that follows. It is the limit: frames wait for it in testpmd's own ring, and a
measurement during which it was idle is refused.
"""

import contextlib
import os
import pathlib
import subprocess
import time

from harness.appliance import Failed, end_of
from harness.ovs import LOCAL_IP, MTU, TOOL_IP, TOOL_MAC, Rates

GENERATE, TAP, SINK = (f"linetap-bench-{name}" for name in ("generate", "tap", "sink"))
START_SECONDS_MAX = 20
# Of the thread that filters: what it may idle while it is the limit.
IDLE_MAX = 0.10
FORWARD, COPY = "action mirred egress redirect dev wan0", "action mirred egress mirror dev vxlan0 pipe"


def filters(rules):
    """First-match rules as a batch of tc: those of a family are asked in order, then the rest is
    forwarded."""
    lines = []
    for rule in rules:
        family, priority = ("ipv6", 20) if rule.v6 else ("ip", 10)
        actions = f"{COPY} {FORWARD}" if rule.accept else FORWARD
        lines.append(f"filter add dev lan1 ingress protocol {family} prio {priority} u32 {matches(rule)} {actions}")
    lines.append(f"filter add dev lan1 ingress protocol all prio 30 u32 match u32 0 0 {FORWARD}")
    return "\n".join(lines) + "\n"


def matches(rule):
    ip = "ip6" if rule.v6 else "ip"
    # Of the packet, without options: the destination port.
    port_at = 42 if rule.v6 else 22
    sides = (("dst", rule.dst), ("src", rule.source))
    terms = [f"match {ip} {side} {network}" for side, network in sides if not network.endswith("/0")]
    if rule.protocol is not None:
        terms.append(f"match {ip} protocol {rule.protocol} 0xff")
    if rule.ports:
        terms.append("match u16 0x%04x 0x%04x at %d" % (*rule.port_mask, port_at))
    return " ".join(terms) or "match u32 0 0"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def ip(namespace, text):
    run("ip", "-n", namespace, *text.split())


def inside(namespace, *command):
    return run("ip", "netns", "exec", namespace, *command)


class Tap:
    """Three namespaces and a generator, from nothing to forwarding; `stop` leaves nothing of them."""

    def __init__(self, directory, core, main_core):
        self.directory, self.core, self.main_core = pathlib.Path(directory), core, main_core
        self.directory.mkdir(parents=True)
        self.generator = self.poller = None

    def start(self, rx, rules):
        remove_namespaces()
        for namespace in (GENERATE, TAP, SINK):
            run("ip", "netns", "add", namespace)
            inside(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        self.wire()
        batch = self.directory / "filters"
        batch.write_text("qdisc add dev lan1 clsact\n" + filters(rules))
        run("tc", "-n", TAP, "-batch", batch)
        self.generate(rx)

    def wire(self):
        for name, left, right in (("lan", GENERATE, TAP), ("wan", TAP, SINK), ("tool", TAP, SINK)):
            run("ip", "link", "add", f"{name}0", "netns", left, "type", "veth", "peer", "name", f"{name}1", "netns", right)
            ip(left, f"link set {name}0 mtu {MTU} up")
            ip(right, f"link set {name}1 mtu {MTU} up")
            # Frames as they were sent, one by one.
            inside(right, "ethtool", "-K", f"{name}1", "gro", "off")
        ip(TAP, "link set lan1 promisc on")
        ip(TAP, f"address add {LOCAL_IP}/24 dev tool0")
        ip(TAP, f"neighbor add {TOOL_IP} lladdr {TOOL_MAC} dev tool0 nud permanent")
        ip(TAP, f"link add vxlan0 type vxlan id 1 local {LOCAL_IP} remote {TOOL_IP} dstport 4789 dev tool0 nolearning")
        ip(TAP, f"link set vxlan0 mtu {MTU - 100} up")
        self.receive_on_core()

    def receive_on_core(self):
        """lan1 is polled by a thread of the kernel, on the core that is measured and before all others
        there. A veth is polled only where it may merge packets (GRO), these it can't merge, and where the
        other end does not send larger ones (TSO)."""
        inside(GENERATE, "ethtool", "-K", "lan0", "tso", "off")
        inside(TAP, "ethtool", "-K", "lan1", "gro", "on")
        before = pollers()
        inside(TAP, "sh", "-c", "echo 1 > /sys/class/net/lan1/threaded")
        end = time.monotonic() + START_SECONDS_MAX
        while not (made := pollers() - before):
            if time.monotonic() > end:
                raise Failed("the kernel makes no polling thread for a veth")
            time.sleep(0.05)
        (self.poller,) = made
        os.sched_setaffinity(self.poller, {self.core})
        os.setpriority(os.PRIO_PROCESS, self.poller, -20)

    def generate(self, rx):
        command = [
            "ip", "netns", "exec", GENERATE, "dpdk-testpmd", "--lcores", f"0@{self.main_core},1@{self.main_core}",
            "--no-pci", "--in-memory", "--iova-mode=va", "--no-telemetry", f"--vdev={rx}", "--vdev=net_af_xdp0,iface=lan0",
            "--", "--auto-start", "--stats-period", "1", "--forward-mode=io", "--port-topology=paired", "--total-num-mbufs=65536",
        ]
        with open(self.directory / "generator", "w") as log:
            self.generator = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS_MAX
        while self.counters()[0] == 0:
            if time.monotonic() > end or self.generator.poll() is not None:
                raise Failed(f"the generator does not start\n{end_of(self.directory / 'generator')}")
            time.sleep(0.1)

    def counters(self):
        """Packets sent so far to wan, and to tool. What the other end then refuses has been sent."""
        names = [f"/sys/class/net/{device}/statistics/{name}" for device in ("wan0", "tool0") for name in ("tx_packets", "tx_dropped")]
        wan, wan_refused, tool, tool_refused = map(int, inside(TAP, "cat", *names).split())
        return wan + wan_refused, tool + tool_refused

    def rates(self, seconds):
        wanted_before, before, start = seconds_wanted(self.poller), self.counters(), time.monotonic()
        time.sleep(seconds)
        wanted_after, after, end = seconds_wanted(self.poller), self.counters(), time.monotonic()
        idle = 1 - (wanted_after - wanted_before) / (end - start)
        if idle > IDLE_MAX:
            raise Failed(f"the kernel's thread was idle for {idle:.0%} of the time: the generator was the limit, not tc")
        forwarded, copied = ((new - old) / (end - start) for new, old in zip(after, before))
        # What is not forwarded waits, or was never received.
        return Rates(forwarded, forwarded, copied)

    def stop(self):
        if self.generator:
            self.generator.terminate()
            try:
                self.generator.wait(15)
            except subprocess.TimeoutExpired:
                self.generator.kill()
                self.generator.wait()
        remove_namespaces()


def pollers():
    """Threads of the kernel that poll devices of this name, anybody's."""
    found = set()
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        # Processes end while one looks.
        with contextlib.suppress(OSError):
            if comm.read_text().startswith("napi/lan1-"):
                found.add(int(comm.parent.name))
    return found


def remove_namespaces():
    for namespace in (GENERATE, TAP, SINK):
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def seconds_wanted(thread):
    """How long a thread has had something to do so far: it ran, or waited for the core."""
    ran_ns, waited_ns, _ = map(int, pathlib.Path(f"/proc/{thread}/schedstat").read_text().split())
    return (ran_ns + waited_ns) / 1e9
