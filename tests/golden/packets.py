"""Frames, written down header by header."""

import struct
from ipaddress import ip_address

CLIENT, SERVER, OTHER = "02:00:00:00:aa:01", "02:00:00:00:bb:01", "02:00:00:00:cc:01"
BROADCAST, MULTICAST = "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb"
A4, B4, C4 = "10.0.0.1", "10.0.1.2", "203.0.113.9"
A6, B6, C6 = "fd00::a", "fd00:1::b", "2001:db8:9::c"
ICMP, TCP, UDP, GRE, ESP, AH, ICMP6, SCTP = 1, 6, 17, 47, 50, 51, 58, 132
HOP, ROUTING, FRAGMENT, NONE, DESTINATION, MOBILITY = 0, 43, 44, 59, 60, 135


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def fill(length: int) -> bytes:
    """A payload in which every cut and shift shows."""
    return bytes((7 * n + (n >> 8)) & 0xFF for n in range(length))


def ether(kind: int, payload: bytes, src=CLIENT, dst=SERVER, tags=()) -> bytes:
    """A frame; tags are (TPID, TCI), the outermost first."""
    header = mac(dst) + mac(src)
    for tpid, tci in tags:
        header += struct.pack(">HH", tpid, tci)
    return header + struct.pack(">H", kind) + payload


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(protocol, payload, src=A4, dst=B4, length=None, options=b"", id=1, fragment=0, first=None):
    """An IPv4 packet; `first` replaces version and IHL, `length` the total length."""
    header_length = 20 + len(options)
    first = 0x40 | header_length // 4 if first is None else first
    length = header_length + len(payload) if length is None else length
    ends = ip_address(src).packed + ip_address(dst).packed
    header = (
        struct.pack(">BBHHHBBH", first, 0, length, id, fragment, 64, protocol, 0) + ends + options
    )
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return header + payload


def ipv6(next_header, payload, src=A6, dst=B6, length=None, version=6) -> bytes:
    length = len(payload) if length is None else length
    header = struct.pack(">IHBB", version << 28, length, next_header, 64)
    return header + ip_address(src).packed + ip_address(dst).packed + payload


def udp(src_port: int, dst_port: int, payload: bytes = b"hello") -> bytes:
    return struct.pack(">HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def tcp(src_port: int, dst_port: int, payload: bytes = b"", flags: int = 0x10) -> bytes:
    return struct.pack(">HHIIBBHHH", src_port, dst_port, 1, 2, 0x50, flags, 512, 0, 0) + payload


def icmp(payload: bytes = b"ping") -> bytes:
    return struct.pack(">BBHHH", 8, 0, 0, 7, 1) + payload


def frame4(layer4: bytes, protocol=UDP, src=CLIENT, dst=SERVER, tags=(), **ip) -> bytes:
    return ether(0x0800, ipv4(protocol, layer4, **ip), src, dst, tags)


def frame6(layer4: bytes, protocol=UDP, src=CLIENT, dst=SERVER, tags=(), **ip) -> bytes:
    return ether(0x86DD, ipv6(protocol, layer4, **ip), src, dst, tags)


def extension(next_header: int, units: int = 0) -> bytes:
    """Hop-by-hop, routing or destination options of 8 × (1 + units) bytes, padded."""
    return struct.pack(">BBBB", next_header, units, 1, 4 + 8 * units) + bytes(4 + 8 * units)


def authentication(next_header: int) -> bytes:
    """An authentication header of 24 bytes."""
    return struct.pack(">BBHII", next_header, 4, 0, 1, 1) + fill(12)


def fragment6(next_header: int, offset: int, more: bool, id: int = 1) -> bytes:
    """`offset` in units of 8 bytes."""
    return struct.pack(">BBHI", next_header, 0, offset << 3 | more, id)


ARP = ether(0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20), dst=BROADCAST)


def between(src: str, dst: str, protocol: int, layer4: bytes, fragment: int = 0) -> bytes:
    """A frame of the addresses' family; of a last fragment, at `fragment` × 8 bytes, if any."""
    if ":" not in src:
        return ether(0x0800, ipv4(protocol, layer4, src, dst, fragment=fragment))
    if fragment:
        protocol, layer4 = FRAGMENT, fragment6(protocol, fragment, False) + layer4
    return ether(0x86DD, ipv6(protocol, layer4, src, dst))
