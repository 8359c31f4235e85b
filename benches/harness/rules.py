"""Filters of the bench cases, and what they take of the traffic, computed from its flows."""

import ipaddress
from typing import NamedTuple

from harness.traffic import SERVER_PORTS, TCP, UDP

V4, V6 = "0.0.0.0/0", "::/0"


class Rule(NamedTuple):
    """As a rule of a mirror filter; `ports` are of the destination, both included, or all."""

    dst: str
    src: str = None
    protocol: int = None
    ports: tuple = None
    accept: bool = True

    @property
    def v6(self):
        return ":" in self.dst

    @property
    def source(self):
        return self.src or (V6 if self.v6 else V4)

    @property
    def port_mask(self):
        """The ports as (value, mask): the harness has only ranges that one mask can tell."""
        low, high = self.ports
        return low, 0xFFFF ^ (high - low)

    def matches(self, flow):
        low, high = self.ports or (0, 65535)
        return (
            self.v6 == flow.v6
            and self.protocol in (None, flow.protocol)
            and low <= flow.dst_port <= high
            and ipaddress.ip_address(flow.dst) in ipaddress.ip_network(self.dst)
            and ipaddress.ip_address(flow.src) in ipaddress.ip_network(self.source)
        )


class Session(NamedTuple):
    """A mirror session: its filter's rules and its PacketLength."""

    rules: list
    length: int = None


EVERYTHING = [Rule(V4), Rule(V6)]
# About a quarter, by rules of every kind: networks of servers alone, with a protocol, a port, a range
# of ports, a network of clients. Ranges are such as a mask can tell, for peers that know masks only.
QUARTER = [
    Rule("172.16.0.0/21"),
    Rule("172.16.16.0/20", protocol=TCP),
    Rule("172.16.32.0/19", protocol=TCP, ports=(443, 443)),
    Rule("172.16.64.0/20", protocol=UDP, ports=(0, 1023)),
    Rule("172.16.80.0/20", src="10.0.0.0/9"),
    Rule("172.16.96.0/20"),
    Rule("172.16.112.0/20", protocol=UDP),
    Rule("172.16.128.0/19", protocol=TCP, ports=(0, 1023)),
    Rule("2001:db8::/67", protocol=TCP),
    Rule("2001:db8:0:0:2000::/68"),
]
# Of three sessions, what the first and the second take by themselves: about one and two thirds.
THIRDS = [
    ["172.16.0.0/18", "172.16.64.0/20", "172.16.80.0/22", "2001:db8::/66", "2001:db8:0:0:4000::/68"],
    ["172.16.0.0/17", "172.16.128.0/19", "172.16.160.0/21", "2001:db8::/65", "2001:db8:0:0:8000::/67"],
]


def fillers(count, accept=False):
    """So many rules in the networks and ports of the traffic, none of which matches any of it: nobody
    sends to 192.168/16."""
    return [
        Rule(
            dst=f"192.168.{n // 250}.{n % 250}/32",
            src=str(ipaddress.ip_network(f"10.{n * 7 % 256}.{n * 13 % 256}.0/{20 + n % 8}", strict=False)),
            protocol=TCP,
            ports=around(SERVER_PORTS[n % len(SERVER_PORTS)], n % 14),
            accept=accept,
        )
        for n in range(count)
    ]


def around(port, bits):
    """The range of ports that are equal but for so many of their last bits."""
    low = port >> bits << bits
    return low, low + (1 << bits) - 1


def filled(rules, count):
    """`rules` behind as many fillers as make `count` of them."""
    return fillers(count - len(rules)) + rules


def sessions_of(what, rules=10, sessions=1, length=None):
    """The sessions of a case: `what` is to be copied (nothing, none, quarter, all) by so many rules in
    each of so many sessions. Nothing: there is no session; none: there is one that matches nothing."""
    if what == "nothing":
        return []
    if what == "none":
        filters = [fillers(rules, accept=True)]
    elif what == "quarter":
        filters = [filled(QUARTER, rules)]
    elif sessions == 1:
        filters = [filled(EVERYTHING, rules)]
    else:
        parts = [[Rule(network) for network in part] for part in THIRDS] + [EVERYTHING]
        filters = [filled(part, rules) for part in parts]
    return [Session(each, length) for each in filters]


def settles(sessions, flow):
    """Index of the session that copies a flow's packets, or None: the first match settles it."""
    for at, session in enumerate(sessions):
        for rule in session.rules:
            if rule.matches(flow):
                return at if rule.accept else None
    return None


class Expected(NamedTuple):
    """What must become of the packets: the share that each session copies, and a copy's mean length
    without its outer headers."""

    shares: list
    mean_len: float

    @property
    def share(self):
        return sum(self.shares)


def expected(sessions, contents):
    """Exact, by a look at every flow of the capture. Fillers match nothing and are passed over."""
    deciding = [session._replace(rules=[rule for rule in session.rules if not is_filler(rule)]) for session in sessions]
    verdicts = {flow: settles(deciding, flow) for flow in {flow for flow, _ in contents.packets}}
    counts, bytes_copied = [0] * len(sessions), 0
    for (flow, length), packets in contents.packets.items():
        at = verdicts[flow]
        if at is not None:
            counts[at] += packets
            bytes_copied += packets * min(length, sessions[at].length or length)
    copies = sum(counts)
    return Expected([count / contents.total for count in counts], bytes_copied / copies if copies else 0.0)


def is_filler(rule):
    return rule.dst.startswith("192.168.")
