"""Other people's captures, every one under several appliances and templates."""

import collections
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import captures, check, wireshark
from .templates import (
    V6,
    balancer_target,
    everything,
    filter,
    interface_target,
    ports,
    rule,
    session,
)

NOBODY = "02:00:00:00:aa:01"

LINK = """
[[port]]
name = "lan"
[[port]]
name = "wan"
[[port]]
name = "tool"
address = ["192.0.2.1/24"]
[[link]]
name = "uplink"
ports = ["lan", "wan"]
[[interface]]
id = "eni-a"
port = "lan"
[[tool]]
id = "eni-tool"
port = "tool"
address = "192.0.2.10"
"""

TAPS_OVER_IPV6 = """
[[port]]
name = "lan"
[[port]]
name = "wan"
[[port]]
name = "tool"
mac = "02-00-00-00-00-0A"
mtu = 9000
address = ["192.0.2.1/24", "2001:db8::1/64"]
[[link]]
name = "uplink"
ports = ["lan", "wan"]
forward = false
[[interface]]
id = "eni-a"
port = "lan"
mac = {macs}
[[interface]]
id = "eni-b"
port = "wan"
mac = {macs}
vlan = 100
[[tool]]
id = "eni-tool"
port = "tool"
address = "2001:db8::10"
mac = "02:00:00:00:0b:01"
[vxlan]
inner_vlan = "keep"
"""

SPAN = """
[[port]]
name = "span"
[[port]]
name = "tool"
mtu = 1400
address = ["192.0.2.1/24"]
[[span]]
port = "span"
[[interface]]
id = "eni-a"
port = "span"
mac = {macs}
[[tool]]
id = "arn:tools"
port = "tool"
members = [{{ address = "192.0.2.10" }}, {{ address = "192.0.2.11", mac = "02:00:00:00:0b:02" }}]
[vxlan]
port = 8472
[exempt]
never_mirrored = "none"
"""


def whole(target: dict) -> dict:
    """Everything, in full."""
    return {"F": filter(), **everything("F"), "S": session("eni-a", "F", 1), "T": target}


def fall_through(target: dict) -> dict:
    """Three sessions: some web traffic with a reject in front, DNS and datagrams, headers of all."""
    ssh, web = ports(20, 25), ports(80, 443)
    return {
        "Web": filter(),
        "NoBulk": rule("Web", "egress", 5, "reject", Protocol=6, DestinationPortRange=ssh),
        "Out": rule("Web", "egress", 10, "accept", Protocol=6, DestinationPortRange=web),
        "In": rule("Web", "ingress", 10, "accept", Protocol=6, SourcePortRange=web),
        "In6": rule("Web", "ingress", 20, "reject", V6, Protocol=58),
        "Dns": filter("amazon-dns"),
        "Udp": rule("Dns", "egress", 1, "accept", Protocol=17, SourcePortRange=ports(0, 65535)),
        "Udp6": rule("Dns", "egress", 2, "accept", V6, Protocol=17),
        "All": filter(),
        **everything("All"),
        "First": session("eni-a", "Web", 10, VirtualNetworkId=2),
        "Last": session("eni-a", "All", 300, PacketLength=96),
        "Middle": session("eni-a", "Dns", 20),
        "Other": session("eni-b", "All", 1, VirtualNetworkId=16777215),
        "T": target,
    }


RUNS = [
    ("link", LINK, whole(interface_target("eni-tool")), ["lan", "wan"]),
    ("taps", TAPS_OVER_IPV6, fall_through(interface_target("eni-tool")), ["lan", "wan"]),
    ("span", SPAN, whole(balancer_target("arn:tools")), ["span"]),
]


def macs_of(capture: captures.Capture) -> list[str]:
    """The station that sends most and the one that receives most: a source worth watching."""
    senders = collections.Counter(frame.data[6:12] for frame in capture.frames)
    receivers = collections.Counter(frame.data[0:6] for frame in capture.frames)
    busiest = [mac for counter in (senders, receivers) for mac, _ in counter.most_common()]
    stations = [mac for mac in busiest if len(mac) == 6 and not mac[0] & 1 and any(mac)]
    return sorted({mac.hex(":") for mac in stations[:1] + stations[-1:]}) or [NOBODY]


def faults(linetap: Path, directories: list[Path]) -> Iterator[str]:
    files = sorted(path for directory in directories for path in directory.rglob("*.pcap*"))
    if not files:
        yield f"no captures in {directories}"
    law, copies = check.Law(), []
    with tempfile.TemporaryDirectory() as scratch:
        for name, config, resources, ports_read in RUNS:
            template = Path(scratch) / f"{name}.json"
            template.write_text(json.dumps({"Resources": resources}))
            for path in files:
                appliance = Path(scratch) / f"{name}.toml"
                macs = macs_of(captures.read(path))
                # Not every appliance has a place for the stations.
                appliance.write_text(config.format(macs=macs) if "{macs}" in config else config)
                reads = [(port, path) for port in ports_read]
                order = check.Order(appliance, template, reads, [*ports_read, "tool"])
                verdict = check.judge(linetap, order, law)
                place = f"{name}, {path.name}"
                yield from (f"{place}: {fault}" for fault in verdict.faults[:5])
                copies += verdict.copies
    if not law.is_spread():
        yield f"{len(law.of_flow)} flows share {len(set(law.of_flow.values()))} source ports"
    yield from wireshark.faults(copies)
    print(f"{len(files)} captures, {len(copies)} copies, {len(law.of_flow)} flows compared")
