"""Deterministic traffic for the benches: capture files of TCP and UDP over IPv4 and IPv6.

The same seed gives the same bytes. Four flows in five are IPv4, seven in ten TCP. Every flow has a
packet where there are packets enough; all others pick their flow at random, so there is no locality
beyond the number of flows.
"""

import collections
import ipaddress
import random
import struct
from typing import NamedTuple

SEED = 4789
CLIENT_MAC, SERVER_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("02000000bb01")
SERVER_PORTS = (443, 80, 53, 8080, 22, 5432)
TCP, UDP = 6, 17
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
# A longer capture repeats its first packets.
BLOCK_PACKETS_MAX = 16_384


class Flow(NamedTuple):
    """Addresses in network byte order: of a client in 10/8 or fd00::/8, and of a server."""

    v6: bool
    protocol: int
    src: bytes
    dst: bytes
    src_port: int
    dst_port: int


class Frames(NamedTuple):
    """What a capture holds. `lengths`: (bytes without FCS, weight)."""

    lengths: tuple
    flows: int = 500
    packets: int = 8192


IMIX = ((60, 7), (566, 4), (1514, 1))
# Captures that are held against each other have as many packets, to take as much cache.
FRAMES = {
    "60": Frames(((60, 1),)),
    "imix": Frames(IMIX, packets=16_384),
    "1514": Frames(((1514, 1),)),
    "imix 10k flows": Frames(IMIX, flows=10_000, packets=16_384),
    "file": Frames(IMIX, packets=1_500_000),
}


class Contents(NamedTuple):
    """What was written: how many packets there are of each flow and length."""

    packets: collections.Counter
    total: int

    def mean(self, length_of=lambda length: length):
        """Mean of a figure of a packet's length, by default of the length itself."""
        return sum(length_of(length) * n for (_, length), n in self.packets.items()) / self.total


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def flow(rng):
    v6 = rng.random() < 0.2
    protocol = TCP if rng.random() < 0.7 else UDP
    ports = rng.randrange(1024, 65536), rng.choice(SERVER_PORTS)
    if v6:
        src = ipaddress.ip_address("fd00::").packed[:8] + rng.randbytes(8)
        dst = ipaddress.ip_address("2001:db8::").packed[:8] + rng.randbytes(8)
    else:
        src, dst = b"\x0a" + rng.randbytes(3), b"\xac\x10" + rng.randbytes(2)
    return Flow(v6, protocol, src, dst, *ports)


def frame(rng, of, size):
    """A frame of `size` bytes, or as many as its headers take."""
    header_len = (40 if of.v6 else 20) + (20 if of.protocol == TCP else 8)
    payload = rng.randbytes(max(0, size - 14 - header_len))
    ports = struct.pack("!HH", of.src_port, of.dst_port)
    if of.protocol == TCP:
        upper = ports + struct.pack("!IIHHHH", 1, 1, 0x5010, 0xFFFF, 0, 0) + payload
    else:
        upper = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
    pseudo = of.src + of.dst + struct.pack("!IHBB", len(upper), 0, 0, of.protocol)
    at = 16 if of.protocol == TCP else 6
    upper = upper[:at] + struct.pack("!H", checksum(pseudo + upper) or 0xFFFF) + upper[at + 2 :]
    if of.v6:
        ip = struct.pack("!IHBB", 0x60000000, len(upper), of.protocol, 64) + of.src + of.dst
        ethertype = b"\x86\xdd"
    else:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(upper), 0, 0x4000, 64, of.protocol, 0) + of.src + of.dst
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        ethertype = b"\x08\x00"
    return SERVER_MAC + CLIENT_MAC + ethertype + ip + upper


def packets_of(frames, packets, seed=SEED):
    """(flow, frame) for so many packets."""
    rng = random.Random(seed)
    flows = [flow(rng) for _ in range(frames.flows)]
    order = flows[:packets] + rng.choices(flows, k=max(0, packets - len(flows)))
    rng.shuffle(order)
    lengths, weights = zip(*frames.lengths)
    sizes = rng.choices(lengths, weights, k=packets)
    return [(of, frame(rng, of, size)) for of, size in zip(order, sizes)]


def write(path, frames):
    """Writes a capture; a long one repeats its first packets, at later times."""
    block = packets_of(frames, min(frames.packets, BLOCK_PACKETS_MAX))
    contents = collections.Counter()
    with open(path, "wb") as out:
        out.write(FILE_HEADER)
        for n in range(frames.packets):
            of, data = block[n % len(block)]
            contents[of, len(data)] += 1
            out.write(struct.pack("<IIII", n // 1_000_000, n % 1_000_000, len(data), len(data)) + data)
    return Contents(contents, frames.packets)
