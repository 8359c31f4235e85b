"""Deterministic traffic for the benches: capture files of TCP and UDP over IPv4 and IPv6.

The same seed gives the same bytes. Four flows in five are IPv4, seven in ten TCP; every packet
picks a flow at random, so there is no locality beyond the number of flows.
"""

import ipaddress
import random
import struct

SEED = 4789
FLOWS = 500
# (bytes without FCS, weight): the simple Internet mix, and frames of one size.
SIZES = {"60": [(60, 1)], "imix": [(60, 7), (566, 4), (1514, 1)], "1514": [(1514, 1)]}
CLIENT_MAC, SERVER_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("02000000bb01")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def flow(rng):
    """Addresses and ports of a client in 10/8 or fd00::/8 and a server."""
    v6 = rng.random() < 0.2
    protocol = 6 if rng.random() < 0.7 else 17
    ports = struct.pack("!HH", rng.randrange(1024, 65536), rng.choice((443, 80, 53, 8080, 22, 5432)))
    if v6:
        src = ipaddress.ip_address("fd00::").packed[:8] + rng.randbytes(8)
        dst = ipaddress.ip_address("2001:db8::").packed[:8] + rng.randbytes(8)
    else:
        src, dst = b"\x0a" + rng.randbytes(3), b"\xac\x10" + rng.randbytes(2)
    return v6, protocol, src, dst, ports


def frame(rng, of_flow, size):
    v6, protocol, src, dst, ports = of_flow
    header_len = (40 if v6 else 20) + (20 if protocol == 6 else 8)
    payload = rng.randbytes(max(0, size - 14 - header_len))
    if protocol == 6:
        upper = ports + struct.pack("!IIHHHH", 1, 1, 0x5010, 0xFFFF, 0, 0) + payload
    else:
        upper = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
    pseudo = src + dst + struct.pack("!IHBB", len(upper), 0, 0, protocol)
    at = 16 if protocol == 6 else 6
    upper = upper[:at] + struct.pack("!H", checksum(pseudo + upper) or 0xFFFF) + upper[at + 2 :]
    if v6:
        ip = struct.pack("!IHBB", 0x60000000, len(upper), protocol, 64) + src + dst
        ethertype = b"\x86\xdd"
    else:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(upper), 0, 0x4000, 64, protocol, 0) + src + dst
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        ethertype = b"\x08\x00"
    return SERVER_MAC + CLIENT_MAC + ethertype + ip + upper


def write(path, sizes, packets, flows=FLOWS, seed=SEED):
    """Writes a capture of so many packets; returns its mean frame length."""
    rng = random.Random(seed)
    all_flows = [flow(rng) for _ in range(flows)]
    lens, weights = zip(*sizes)
    total = 0
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for n in range(packets):
            data = frame(rng, rng.choice(all_flows), rng.choices(lens, weights)[0])
            total += len(data)
            out.write(struct.pack("<IIII", n // 1000000, n % 1000000, len(data), len(data)) + data)
    return total / packets
