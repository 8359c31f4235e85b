"""What stands before a copy, how much of the frame is in it, and where it goes."""

from case import ENI_A, ENI_SPAN, LINK, SPAN, TOOL, TOOL_AT_10, Case, all_of
from packets import *

from oracle.templates import (
    balancer_target,
    everything,
    filter,
    interface_target,
    resource,
    rule,
    session,
)

TOOL6 = '[[port]]\nname = "tool"\naddress = ["2001:db8:ffff::1/64", "2001:db8::1/64"]\nmac = "02:00:00:00:00:77"\n'
TOOL_AT_6 = '[[tool]]\nid = "eni-tool"\nport = "tool"\naddress = "2001:db8::10"\n'
NLB = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/ids/50dc6c495c0c9188"


def cases():
    yield from mtu_boundaries()
    yield from packet_lengths()
    yield from underlay_v6()
    yield load_balancer()
    yield giants()
    yield outer_addresses()
    yield from tool_vlan()


def sized(length: int, tags=(), dst_port: int = 2000) -> bytes:
    """A frame of exactly `length` bytes without its tags."""
    return frame4(udp(1000, dst_port, fill(length - 42)), tags=tags)


def mtu_boundaries():
    tags = [(0x8100, 5), (0x8100, 6)]
    for name, appliance, room in [
        ("mtu-v4", LINK + TOOL + ENI_A + TOOL_AT_10, 1500 - 36),
        ("mtu-v6", LINK + TOOL6 + ENI_A + TOOL_AT_6, 1500 - 56),
    ]:
        frames = [
            sized(length, stack)
            for length in (room + step for step in (-8, -5, -4, -1, 0, 1, 4, 8))
            for stack in ([], tags[:1], tags)
        ]
        for keep in ("", '[vxlan]\ninner_vlan = "keep"\n'):
            yield Case(
                name + ("-keep" if keep else ""),
                "Copies are cut to the tool port's MTU; the wire's frames are not.",
                appliance + keep,
                all_of(),
                {"1-lan.pcap": frames},
                writes=("tool",) if keep else ("wan", "tool"),
            )


def packet_lengths():
    for name, appliance, room in [
        ("packet-length-v4", SPAN + TOOL + "mtu = 576\n" + ENI_SPAN + TOOL_AT_10, 576 - 36),
        ("packet-length-v6", SPAN + TOOL6 + "mtu = 1280\n" + ENI_SPAN + TOOL_AT_6, 1280 - 56),
    ]:
        limits = {1: 1, 2: 13, 3: 14, 4: 35, 5: 128, 6: room - 1, 7: room, 8: room + 1}
        frames = [
            sized(length, stack, port)
            for port, limit in limits.items()
            for length in sorted({max(limit + step, 42) for step in (-1, 0, 1)})
            for stack in ([], [(0x8100, 5)])
        ]
        # A session for each limit needs a source for each three; so each has its own.
        resources = {"T": interface_target("eni-tool")}
        appliance = appliance.replace(ENI_SPAN, "")
        framed = []
        for port, limit in limits.items():
            station = f"02:00:00:00:aa:{port:02x}"
            appliance += f'[[interface]]\nid = "eni-{port}"\nport = "span"\nmac = ["{station}"]\n'
            resources[f"F{port}"] = filter()
            resources[f"R{port}"] = rule(f"F{port}", "egress", 1, "accept")
            resources[f"S{port}"] = session(f"eni-{port}", f"F{port}", 1, PacketLength=limit)
        for frame in frames:
            tag = 4 if frame[12:14] == b"\x81\x00" else 0
            port = int.from_bytes(frame[36 + tag : 38 + tag], "big")
            framed.append(frame[:6] + mac(f"02:00:00:00:aa:{port:02x}") + frame[12:])
        yield Case(
            name,
            "PacketLength counts from the inner Ethernet header, without tags, beside the MTU.",
            appliance,
            resources,
            {"1-span.pcap": framed},
        )


def underlay_v6():
    frames = [frame4(udp(1000 + n, 2000, fill(n))) for n in range(40)]
    frames += [frame6(udp(1000 + n, 2000, fill(n))) for n in range(40)]
    # Copies of all ones and all zeros, as far as headers allow.
    frames += [frame4(udp(1, 2, b"\xff" * n)) for n in (1, 2, 1000)]
    for name, more in [
        ("underlay-v6", ""),
        ("underlay-v6-zero", '[vxlan]\nudp6_checksum = "zero"\n'),
    ]:
        yield Case(
            name,
            "An IPv6 underlay, with the UDP checksum computed or zero.",
            LINK + TOOL6 + "mtu = 9000\n" + ENI_A + TOOL_AT_6 + more,
            all_of(),
            {"1-lan.pcap": frames},
        )


def load_balancer() -> Case:
    members = ", ".join(f'{{ address = "192.0.2.{n}" }}' for n in (10, 11, 12))
    appliance = (
        LINK
        + TOOL
        + '[[port]]\nname = "big"\nmtu = 9000\naddress = ["198.51.100.1/24"]\n'
        + ENI_A
        + f'[[tool]]\nid = "{NLB}"\nport = "tool"\nmembers = [{members}]\n'
        + '[[tool]]\nid = "vpce-0"\nport = "big"\nmembers = [{ address = "198.51.100.7" }]\n'
    )
    frames = [frame4(udp(1000 + n, 53, fill(n))) for n in range(60)]
    frames += [ether(0x0800, ipv4(UDP, udp(53, 1000 + n), B4, A4)) for n in range(60)]
    frames += [
        sized(length, stack)
        for length in (1463, 1464, 1465, 8499, 8500, 8501, 9014)
        for stack in ([], [(0x8100, 1)])
    ]
    frames += [
        frame4(tcp(1, 2, fill(size)), TCP)
        for size in (1463 - 54, 1464 - 54, 1465 - 54, 8501 - 54, 9014 - 54)
    ]
    resources = {
        "Small": filter(),
        "Udp": rule("Small", "egress", 1, "accept", Protocol=17),
        "Big": filter(),
        "Rest": rule("Big", "egress", 1, "accept"),
        "T": balancer_target(NLB),
        "G": resource("Target", GatewayLoadBalancerEndpointId="vpce-0"),
        "S1": session("eni-a", "Small", 1),
        "S2": session("eni-a", "Big", 2, "G"),
    }
    return Case(
        "load-balancer",
        "A flow keeps its member; copies are cut to 8500 bytes and skipped when over the MTU.",
        appliance,
        resources,
        {"1-lan.pcap": frames},
        writes=("tool", "big"),
    )


def giants() -> Case:
    sizes = (65499, 65500, 65514, 65536, 262144)
    zeros = [ether(0x0800, ipv4(TCP, tcp(1, 2) + bytes(size - 54), length=0)) for size in sizes]
    return Case(
        "giants",
        "Receive-offload frames of total length 0, up to the largest record, are cut to fit.",
        SPAN + TOOL + "mtu = 65535\n" + ENI_SPAN + TOOL_AT_10,
        all_of(),
        {"1-span.pcap": zeros},
    )


def outer_addresses() -> Case:
    appliance = (
        LINK
        + '[[port]]\nname = "tool"\naddress = ["192.0.2.1/25", "192.0.2.129/25", "2001:db8::1/64"]\n'
        + 'gateway = ["192.0.2.126", "2001:db8::ffff"]\nmac = "02-00-00-00-00-0A"\n'
        + ENI_A
        + '[[interface]]\nid = "eni-b"\nport = "wan"\n'
        + '[[tool]]\nid = "near"\nport = "tool"\naddress = "192.0.2.200"\nmac = "02:00:00:00:0B:01"\n'
        + '[[tool]]\nid = "far"\nport = "tool"\naddress = "203.0.113.77"\n'
        + '[[tool]]\nid = "far6"\nport = "tool"\naddress = "2001:db8:1::77"\n'
    )
    resources = {
        "F": filter(),
        "Tcp": rule("F", "egress", 1, "accept", Protocol=6),
        "G": filter(),
        "Udp": rule("G", "egress", 1, "accept", Protocol=17),
        "H": filter(),
        **everything("H"),
        "Near": interface_target("near"),
        "Far": interface_target("far"),
        "Far6": interface_target("far6"),
        "A1": session("eni-a", "F", 1, "Near"),
        "A2": session("eni-a", "G", 2, "Far"),
        "A3": session("eni-a", "H", 3, "Far6"),
        "B1": session("eni-b", "H", 1, "Far"),
    }
    frames = [frame4(tcp(1, 2), TCP), frame4(udp(1, 2)), frame4(icmp(), ICMP), frame6(udp(1, 2))]
    return Case(
        "outer-addresses",
        "The outer source is the address whose subnet holds the target, else the first of its family.",
        appliance,
        resources,
        {"1-lan.pcap": frames},
    )


def tool_vlan():
    for name, tool, at, room in [
        ("tool-vlan-v4", TOOL, TOOL_AT_10, 1500 - 36),
        ("tool-vlan-v6", TOOL6, TOOL_AT_6, 1500 - 56),
    ]:
        frames = [
            sized(length, stack)
            for length in (60, room - 1, room, room + 1)
            for stack in ([], [(0x8100, 5)])
        ]
        yield Case(
            name,
            "A tool port's VLAN stands in front of its copies and takes nothing from them.",
            LINK + tool + "vlan = 100\n" + ENI_A + at + '[vxlan]\ninner_vlan = "keep"\n',
            all_of(),
            {"1-lan.pcap": frames},
        )
