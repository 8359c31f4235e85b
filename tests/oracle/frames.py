"""What a frame is: its tags, addresses, protocol and ports, or that it is malformed."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

TAGS = (0x8100, 0x88A8, 0x9100)
TAGS_MAX = 4
TCP, UDP = 6, 17
WITH_PORTS = (TCP, UDP, 33, 132, 136)  # DCCP, SCTP, UDP-Lite
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
EXTENSIONS_MAX = 8


class Malformed(Exception):
    pass


class NotIp(Exception):
    pass


@dataclass
class Packet:
    """What rules, exemptions and the hash see of an IP packet."""

    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: int | None  # None: beyond the headers that are walked
    ports: tuple[int, int] | None = None
    is_later_fragment: bool = False
    fragment_protocol: int | None = None  # of a fragment: the protocol that all of them name

    def flow(self):
        """What must hash alike, in both directions."""
        if self.fragment_protocol is not None:
            return frozenset([self.source, self.destination]), self.fragment_protocol, "fragments"
        if self.ports is None or self.protocol not in WITH_PORTS:
            return frozenset([self.source, self.destination]), self.protocol
        ends = [(self.source, self.ports[0]), (self.destination, self.ports[1])]
        return frozenset(ends), self.protocol


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def outermost_vlan(frame: bytes) -> int | None:
    """The identifier of the outermost tag; None when untagged, and of a priority tag."""
    if number(frame[12:14]) in TAGS and len(frame) >= 16:
        return number(frame[14:16]) & 0xFFF or None
    return None


def tag_count(frame: bytes) -> int:
    """How many tags stand before the EtherType. Raises Malformed."""
    if len(frame) < 14:
        raise Malformed("shorter than an Ethernet header")
    count = 0
    while number(frame[12 + 4 * count : 14 + 4 * count]) in TAGS:
        count += 1
        if count > TAGS_MAX:
            raise Malformed("too many tags")
        if len(frame) < 14 + 4 * count:
            raise Malformed("a tag without its EtherType")
    return count


def parse(frame: bytes) -> Packet:
    """The packet in a frame. Raises Malformed or NotIp."""
    start = 14 + 4 * tag_count(frame)
    kind = number(frame[start - 2 : start])
    if kind == 0x0800:
        return parse_ipv4(frame[start:])
    if kind == 0x86DD:
        return parse_ipv6(frame[start:])
    raise NotIp(hex(kind))


def parse_ipv4(data: bytes) -> Packet:
    if len(data) < 20 or data[0] >> 4 != 4:
        raise Malformed("no IPv4 header")
    header_length, total_length = (data[0] & 15) * 4, number(data[2:4])
    if header_length < 20 or header_length > len(data):
        raise Malformed("IHL")
    if total_length != 0 and total_length < header_length:
        raise Malformed("total length below the header")
    if total_length != 0:
        data = data[:total_length]
    packet = Packet(ip_address(data[12:16]), ip_address(data[16:20]), data[9])
    more, offset = number(data[6:8]) & 0x2000, number(data[6:8]) & 0x1FFF
    packet.is_later_fragment = offset != 0
    if more or offset:
        packet.fragment_protocol = packet.protocol
    read_ports(packet, data[header_length:])
    return packet


def parse_ipv6(data: bytes) -> Packet:
    if len(data) < 40 or data[0] >> 4 != 6:
        raise Malformed("no IPv6 header")
    payload_length = number(data[4:6])
    if payload_length != 0:
        data = data[: 40 + payload_length]
    packet = Packet(ip_address(data[8:24]), ip_address(data[24:40]), data[6])
    rest, walked = data[40:], 0
    while packet.protocol in (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION):
        if walked == EXTENSIONS_MAX:
            packet.protocol = None
            return packet
        walked += 1
        if len(rest) < 8:
            raise Malformed("an extension header is cut")
        kind, packet.protocol = packet.protocol, rest[0]
        if kind == FRAGMENT:
            length, offset, more = 8, number(rest[2:4]) >> 3, rest[3] & 1
            if (more or offset) and packet.fragment_protocol is None:
                # The outermost: the one that all fragments of the datagram have.
                packet.fragment_protocol = packet.protocol
            if offset:
                packet.is_later_fragment = True
                return packet
        else:
            length = (rest[1] + 2) * 4 if kind == AUTHENTICATION else (rest[1] + 1) * 8
        if len(rest) < length:
            raise Malformed("an extension header is cut")
        rest = rest[length:]
    read_ports(packet, rest)
    return packet


def read_ports(packet: Packet, layer4: bytes) -> None:
    if packet.protocol in WITH_PORTS and not packet.is_later_fragment and len(layer4) >= 4:
        packet.ports = number(layer4[:2]), number(layer4[2:4])
