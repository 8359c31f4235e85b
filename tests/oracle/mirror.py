"""What must come of every frame: forwarded frames, copies, and the whole report."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from . import frames
from .captures import Frame
from .config import Interface, Member, Model, Rule, Session

METADATA = {ip_address("169.254.169.254"), ip_address("fd00:ec2::254")}
TIME = {ip_address("169.254.169.123"), ip_address("fd00:ec2::123")}
ACTIVATION = {ip_address("169.254.169.250"), ip_address("169.254.169.251")}
OUTER_IP_LENGTHS = {4: 20 + 8 + 8, 6: 40 + 8 + 8}  # IP, UDP and VXLAN header


@dataclass
class Copy:
    """A copy that must be sent. Its source port is any that obeys the law of the hash."""

    frame: int  # position of the causing frame in the merged stream, from 0
    time_ns: int
    session: Session
    inner: bytes
    flow: object

    def outer(self, member: Member, port_mac: bytes, source_port: int, model: Model) -> bytes:
        vxlan = struct.pack(">II", 0x08000000, self.session.vni << 8)
        udp_length = 8 + len(vxlan) + len(self.inner)
        udp = struct.pack(">HHHH", source_port, model.vxlan_port, udp_length, 0)
        source, destination = member.source.packed, member.address.packed
        if member.address.version == 4:
            kind, total = 0x0800, 20 + udp_length
            ip = struct.pack(">BBHHHBBH", 0x45, 0, total, 0, 0, 255, 17, 0) + source + destination
            ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        else:
            kind = 0x86DD
            first = 6 << 28 | label_of(source_port)
            ip = struct.pack(">IHBB", first, udp_length, 17, 255) + source + destination
            if not model.udp6_zero:
                pseudo = source + destination + struct.pack(">II", udp_length, 17)
                value = checksum(pseudo + udp + vxlan + self.inner) or 0xFFFF
                udp = udp[:6] + struct.pack(">H", value)
        tag = vlan_tag(model.ports[self.session.port].vlan)
        return member.mac + port_mac + tag + struct.pack(">H", kind) + ip + udp + vxlan + self.inner


def vlan_tag(vlan: int | None) -> bytes:
    """IEEE 802.1Q, priority 0."""
    return b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)


def label_of(source_port: int) -> int:
    """The flow label (RFC 6437): the 14 bits of the hash, which the source port shows, then the first six of
    them again, of which the last is turned."""
    bits = f"{source_port - 49152:014b}"
    turned = "1" if bits[5] == "0" else "0"
    return int(bits + bits[:5] + turned, 2)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Run:
    """One run of `linetap mirror`: feed it frames in merged order, then look at what it holds."""

    def __init__(self, model: Model):
        self.model = model
        self.copies: dict[str, list[Copy]] = {name: [] for name in model.ports}
        self.forwarded: dict[str, list[Frame]] = {name: [] for name in model.ports}
        self.ports = {
            name: dict.fromkeys(
                ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "forwarded"), 0
            )
            | {"ended": {}}
            for name in model.ports
        }
        self.sessions = {
            session.id: {
                "mirrored_packets": 0,
                "mirrored_bytes": 0,
                "truncated_packets": 0,
                "skipped": {},
            }
            for session in model.sessions
        }
        self.hits = {rule.id: 0 for rule in model.rules}
        reasons = ("no_source", "not_ip", "never_mirrored", "no_match", "rejected", "malformed")
        self.unmirrored = dict.fromkeys(reasons, 0)
        causes = ("dhcp", "metadata", "ntp", "activation", "loop_guard")
        self.never_mirrored_by = dict.fromkeys(causes, 0)
        self.flows: list[object | None] = []  # of every frame

    def report(self) -> dict:
        sessions = [
            {
                "logical_id": session.id,
                "network_interface_id": session.interface,
                "session_number": session.number,
                "vni": session.vni,
            }
            | self.sessions[session.id]
            for session in self.model.sessions
        ]
        rules = [{"logical_id": id, "hits": hits} for id, hits in self.hits.items()]
        return {
            "ports": self.ports,
            "sessions": sessions,
            "rules": rules,
            "unmirrored": self.unmirrored,
            "never_mirrored_by": self.never_mirrored_by,
        }

    def receive(self, port: str, frame: Frame) -> None:
        counters = self.ports[port]
        counters["rx_packets"] += 1
        counters["rx_bytes"] += len(frame.data)
        peer, forward = self.model.peers.get(port, (None, False))
        if forward:
            counters["forwarded"] += 1
            self.transmit(peer, len(frame.data))
            self.forwarded[peer].append(frame)
        else:
            tapped = peer is not None or port in self.model.spans
            count(counters["ended"], "tap" if tapped else "not_tapped")
        self.flows.append(None)
        evaluations = list(self.evaluations(port, frame.data))
        if not evaluations:
            self.unmirrored["no_source"] += 1
        for interface, direction in evaluations:
            self.evaluate(interface, direction, frame)

    def transmit(self, port: str, length: int) -> None:
        self.ports[port]["tx_packets"] += 1
        self.ports[port]["tx_bytes"] += length

    def evaluations(self, port: str, data: bytes):
        """The interfaces whose frame it is, each with the direction it sees; egress first."""
        peer, _ = self.model.peers.get(port, (None, False))
        destination, source = data[0:6], data[6:12]

        def of(interface: Interface, mac: bytes) -> bool:
            if interface.macs and mac not in interface.macs:
                return False
            return interface.vlan is None or interface.vlan == frames.outermost_vlan(data)

        egress = [i for i in self.model.interfaces if i.port == port and of(i, source)]
        ingress_port = port if port in self.model.spans else peer
        ingress = [
            i for i in self.model.interfaces if i.port == ingress_port and of(i, destination)
        ]
        yield from ((interface, "egress") for interface in egress)
        yield from ((interface, "ingress") for interface in ingress if interface not in egress)

    def evaluate(self, interface: Interface, direction: str, frame: Frame) -> None:
        try:
            packet = frames.parse(frame.data)
        except frames.Malformed:
            self.unmirrored["malformed"] += 1
            return
        except frames.NotIp:
            self.unmirrored["not_ip"] += 1
            return
        self.flows[-1] = packet.flow()
        if cause := self.never_mirrored(packet):
            self.unmirrored["never_mirrored"] += 1
            self.never_mirrored_by[cause] += 1
            return
        is_dns = {packet.source, packet.destination} & self.model.resolvers
        sessions = [s for s in self.model.sessions if s.interface == interface.id]
        for session in sorted(sessions, key=lambda session: session.number):
            if is_dns:
                if session.filter in self.model.dns_filters:
                    return self.mirror(session, packet, frame)
                continue
            rule = self.first_match(session.filter, direction, packet)
            if rule is not None:
                self.hits[rule.id] += 1
                if rule.accepts:
                    return self.mirror(session, packet, frame)
                self.unmirrored["rejected"] += 1
                return None
        self.unmirrored["no_match"] += 1
        return None

    def never_mirrored(self, packet: frames.Packet) -> str | None:
        """AWS's list, and the loop guard, which is always on: the first name that holds."""
        ends = {packet.source, packet.destination}
        ports = packet.ports or (None, None)
        is_udp, is_tcp = packet.protocol == frames.UDP, packet.protocol == frames.TCP
        if is_udp and ports[1] == self.model.vxlan_port and packet.source in self.model.underlay():
            return "loop_guard"
        if not self.model.exempts:
            return None
        dhcp = (67, 68) if isinstance(packet.source, IPv4Address) else (546, 547)
        if is_udp and (ports[0] in dhcp or ports[1] in dhcp):
            return "dhcp"
        if ends & METADATA:
            return "metadata"
        if ends & TIME:
            return "ntp"
        activation = [(packet.source, ports[0]), (packet.destination, ports[1])]
        if is_tcp and any(end in ACTIVATION and port == 1688 for end, port in activation):
            return "activation"
        return None

    def first_match(self, filter: str, direction: str, packet: frames.Packet) -> Rule | None:
        rules = [r for r in self.model.rules if r.filter == filter and r.direction == direction]
        for rule in sorted(rules, key=lambda rule: rule.number):
            if rule.protocol is not None and rule.protocol != packet.protocol:
                continue
            if packet.source not in rule.source or packet.destination not in rule.destination:
                continue
            wanted = rule.source_ports, rule.destination_ports
            if any(ports is not None for ports in wanted) and packet.ports is None:
                continue
            if all(w is None or p in w for w, p in zip(wanted, packet.ports or (0, 0))):
                return rule
        return None

    def mirror(self, session: Session, packet: frames.Packet, frame: Frame) -> None:
        data = frame.data
        if not self.model.keeps_tags:
            data = data[:12] + data[12 + 4 * frames.tag_count(data) :]
        inner = data[: session.packet_length]
        overhead = OUTER_IP_LENGTHS[session.members[0].address.version]
        port = self.model.ports[session.port]
        room = port.mtu - overhead
        counters = self.sessions[session.id]
        if len(inner) > room and session.is_load_balancer:
            count(counters["skipped"], "over_mtu")
            return
        inner = inner[:room]
        counters["mirrored_packets"] += 1
        counters["mirrored_bytes"] += len(inner)
        counters["truncated_packets"] += len(inner) < len(data)
        self.transmit(session.port, 14 + len(vlan_tag(port.vlan)) + overhead + len(inner))
        copy = Copy(len(self.flows) - 1, frame.time_ns, session, inner, packet.flow())
        self.copies[session.port].append(copy)


def count(counters: dict[str, int], reason: str) -> None:
    counters[reason] = counters.get(reason, 0) + 1
