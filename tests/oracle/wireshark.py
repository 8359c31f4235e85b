"""What tshark makes of the copies: a second opinion on every header that linetap puts in front."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import captures
from .mirror import Copy

FIELDS = [
    "frame.protocols",
    "frame.time_epoch",
    "eth.dst",
    "eth.src",
    "ip.checksum.status",
    "ip.ttl",
    "ip.flags.df",
    "ipv6.hlim",
    "udp.dstport",
    "udp.checksum.status",
    "udp.length",
    "vxlan.flags",
    "vxlan.vni",
]
GOOD, ABSENT = "1", "3"  # tshark's checksum states


@dataclass
class Claim:
    """A frame that was sent, and what it is said to be."""

    frame: bytes
    copy: Copy
    vxlan_port: int
    has_zero_checksum: bool  # over IPv6


def faults(claims: list[Claim]) -> Iterator[str]:
    """Asks tshark about all frames, in one run per VXLAN port."""
    by_port = lambda claim: claim.vxlan_port
    for port, group in itertools.groupby(sorted(claims, key=by_port), by_port):
        group = list(group)
        for n, (claim, fields) in enumerate(zip(group, decode(group, port), strict=True)):
            for fault in claim_faults(claim, fields):
                yield f"tshark, copy {n} (of frame {claim.copy.frame}): {fault}"


def decode(claims: list[Claim], port: int) -> list[dict[str, list[str]]]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "copies.pcap"
        captures.write(path, [captures.Frame(c.copy.time_ns, c.frame) for c in claims])
        command = ["tshark", "-n", "-r", path, "-d", f"udp.port=={port},vxlan", "-T", "fields"]
        command += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
        # Only the outside matters, and reassembly would hide it.
        command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
        for name in FIELDS:
            command += ["-e", name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line.split("\t") for line in output.splitlines())
    return [dict(zip(FIELDS, (value.split(",") for value in line))) for line in lines]


def claim_faults(claim: Claim, fields: dict[str, list[str]]) -> Iterator[str]:
    def expect(name: str, wanted: str, position: int = 0) -> Iterator[str]:
        got = fields[name][position] if position < len(fields[name]) else "absent"
        if got != wanted:
            yield f"{name} is {got}, not {wanted}"

    session, inner = claim.copy.session, claim.copy.inner
    v4 = session.members[0].address.version == 4
    tag = "vlan:ethertype:" if claim.frame[12:14] == b"\x81\x00" else ""
    outer = "eth:ethertype:" + tag + ("ip" if v4 else "ipv6") + ":udp:vxlan"
    if not fields["frame.protocols"][0].startswith(outer):
        yield f"{fields['frame.protocols'][0]} does not begin with {outer}"
        return
    seconds, fraction = divmod(claim.copy.time_ns, 10**9)
    if seconds < 2**31:  # tshark takes later ones for times before 1970
        yield from expect("frame.time_epoch", f"{seconds}.{fraction:09}")
    if v4:
        yield from expect("ip.checksum.status", GOOD)
        yield from expect("ip.ttl", "255")
        yield from expect("ip.flags.df", "0")
    else:
        yield from expect("ipv6.hlim", "255")
    if v4 or not claim.has_zero_checksum:
        yield from expect("udp.checksum.status", ABSENT if v4 else GOOD)
    yield from expect("udp.dstport", str(claim.vxlan_port))
    yield from expect("udp.length", str(16 + len(inner)))
    yield from expect("vxlan.flags", "0x0800")
    yield from expect("vxlan.vni", str(session.vni))
    if len(inner) >= 14:
        yield from expect("eth.dst", inner[0:6].hex(":"), 1)
        yield from expect("eth.src", inner[6:12].hex(":"), 1)
