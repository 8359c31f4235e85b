"""Whose frame it is, which rule settles it, and what is never mirrored."""

from case import ENI_A, ENI_SPAN, LINK, SPAN, TOOL, TOOL_AT_10, Case, all_of
from packets import *

from oracle.templates import everything, filter, interface_target, ports, rule, session


def cases():
    yield directions()
    yield sessions()
    yield two_sources()
    yield span()
    yield receive_only()
    yield from exemptions()
    yield from amazon_dns()
    yield loop_guard()


def conversation() -> tuple[list[bytes], list[bytes]]:
    """What a client sends and what comes back."""
    out, back = [], []
    for port in (22, 80, 443, 444, 8080):
        out.append(frame4(tcp(40000 + port, port, fill(port)), TCP))
        answer = ipv4(TCP, tcp(port, 40000 + port, fill(50)), B4, A4)
        back.append(ether(0x0800, answer, SERVER, CLIENT))
    out.append(frame6(tcp(40000, 443, fill(9)), TCP))
    back.append(ether(0x86DD, ipv6(TCP, tcp(443, 40000, fill(9)), B6, A6), SERVER, CLIENT))
    out += [frame4(icmp(), ICMP), frame4(udp(5000, 53)), ARP]
    back += [
        ether(0x0800, ipv4(ICMP, icmp(), B4, A4), SERVER, CLIENT),
        ether(0x0800, ipv4(UDP, udp(53, 5000), B4, A4), SERVER, BROADCAST),
        ether(0x0800, ipv4(UDP, udp(9, 9), C4, A4), SERVER, CLIENT),
        ARP,
    ]
    return out, back


def directions() -> Case:
    out, back = conversation()
    # Numbers against the template's order: the number decides.
    resources = {
        "F": filter(),
        "LateAccept": rule("F", "egress", 300, "accept", Protocol=6),
        "NoWeb": rule(
            "F", "egress", 200, "reject", Protocol=6, DestinationPortRange=ports(80, 443)
        ),
        "Web": rule("F", "egress", 100, "accept", Protocol=6, DestinationPortRange=ports(443, 443)),
        "Never": rule("F", "egress", 400, "accept", Protocol=6, DestinationPortRange=ports(80, 80)),
        "In": rule("F", "ingress", 1, "accept", "10.0.0.0/15"),
        "In6": rule("F", "ingress", 2, "reject", "fd00::/15", Protocol=6),
        "Ping": rule("F", "egress", 1, "reject", Protocol=1, DestinationCidrBlock="10.0.1.2/32"),
        "T": interface_target("eni-tool"),
        "S": session("eni-a", "F", 1),
    }
    return Case(
        "link-directions",
        "Egress and ingress have their own rules; the lowest number that matches settles.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        resources,
        {"1-lan.pcap": out, "2-wan.pcap": back},
        writes=("lan", "wan", "tool"),
    )


def sessions() -> Case:
    out, back = conversation()
    resources = {
        "Last": session("eni-a", "Rest", 32766, PacketLength=60),
        "Web": filter(),
        "WebAccept": rule(
            "Web", "egress", 1, "accept", Protocol=6, DestinationPortRange=ports(443, 443)
        ),
        "WebReject": rule(
            "Web", "egress", 2, "reject", Protocol=6, DestinationPortRange=ports(80, 80)
        ),
        "Empty": filter(),
        "Rest": filter(),
        "Tcp": rule("Rest", "egress", 7, "accept", Protocol=6),
        "TcpIn": rule("Rest", "ingress", 7, "accept", Protocol=6),
        "T": interface_target("eni-tool"),
        "T2": interface_target("eni-other"),
        "First": session("eni-a", "Web", 1, "T2", VirtualNetworkId=7),
        "Middle": session("eni-a", "Empty", 2),
        "Unwatched": session("eni-b", "Web", 5),
    }
    appliance = (
        LINK
        + TOOL
        + '[[port]]\nname = "tool2"\naddress = ["198.51.100.1/24"]\n'
        + ENI_A
        + '[[interface]]\nid = "eni-b"\nport = "wan"\nmac = ["02:00:00:00:cc:01"]\n'
        + '[[interface]]\nid = "eni-c"\nport = "wan"\nmac = ["02:00:00:00:bb:01"]\n'
        + TOOL_AT_10
        + '[[tool]]\nid = "eni-other"\nport = "tool2"\naddress = "198.51.100.7"\n'
    )
    return Case(
        "sessions-fall-through",
        "Accept and reject both settle; only no match falls through, to the next number.",
        appliance,
        resources,
        {"1-lan.pcap": out, "2-wan.pcap": back},
        writes=("tool", "tool2"),
    )


def two_sources() -> Case:
    appliance = (
        LINK
        + TOOL
        + '[[interface]]\nid = "eni-a"\nport = "lan"\nmac = ["02:00:00:00:AA:01", "02-00-00-00-aa-02"]\n'
        + '[[interface]]\nid = "eni-b"\nport = "wan"\nmac = ["02:00:00:00:bb:01"]\n'
        + TOOL_AT_10
    )
    frames = [
        frame4(udp(1, n), src=src, dst=dst)
        for n, (src, dst) in enumerate(
            (src, dst)
            for src in (CLIENT, SERVER, OTHER, "02:00:00:00:aa:02")
            for dst in (CLIENT, SERVER, OTHER, BROADCAST, MULTICAST)
        )
    ]
    resources = {
        "F": filter(),
        "Out": rule("F", "egress", 1, "accept"),
        "G": filter(),
        "In": rule("G", "ingress", 1, "accept"),
        "T": interface_target("eni-tool"),
        "B": session("eni-b", "G", 1),
        "A": session("eni-a", "F", 1),
    }
    return Case(
        "two-sources",
        "A frame from one source to another is evaluated for both, egress first; groups are nobody's.",
        appliance,
        resources,
        {"1-lan.pcap": frames, "2-wan.pcap": frames},
    )


def span() -> Case:
    appliance = (
        SPAN
        + TOOL
        + '[[interface]]\nid = "eni-a"\nport = "span"\nmac = ["02:00:00:00:aa:01", "02:00:00:00:bb:01"]\n'
        + '[[interface]]\nid = "eni-b"\nport = "span"\nmac = ["02:00:00:00:cc:01"]\n'
        + TOOL_AT_10
    )
    frames = [
        frame4(udp(1, n, fill(n * 50)), src=src, dst=dst)
        for n, (src, dst) in enumerate(
            (src, dst)
            for src in (CLIENT, SERVER, OTHER, "02:00:00:00:dd:01")
            for dst in (CLIENT, SERVER, OTHER, BROADCAST)
        )
    ]
    resources = {
        "F": filter(),
        "Out": rule("F", "egress", 1, "accept"),
        "In": rule("F", "ingress", 1, "accept", Protocol=17),
        "T": interface_target("eni-tool"),
        "A": session("eni-a", "F", 1),
        "B": session("eni-b", "F", 1),
    }
    return Case(
        "span",
        "On a span the addresses decide; both in one interface's list are one evaluation, egress.",
        appliance,
        resources,
        {"1-span.pcap": frames},
        writes=("span", "tool"),
    )


def receive_only() -> Case:
    out, back = conversation()
    return Case(
        "forward-false",
        "A link that does not forward is two taps; a frame on a tool port is nobody's.",
        LINK + "forward = false\n" + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {"1-lan.pcap": out, "2-wan.pcap": back, "3-tool.pcap": out},
        writes=("lan", "wan", "tool"),
    )


# DHCP, DHCPv6, activation and time, as source and as destination, and their neighbours.
EXEMPT_ENDS = [
    *[(67, 9), (9, 67), (68, 9), (9, 68), (66, 69)],
    *[(546, 9), (9, 547), (545, 548)],
    *[(1688, 9), (9, 1688), (123, 123), (80, 80)],
]


def exempt_frames() -> list[bytes]:
    pairs = [
        ("169.254.169.254", C4),
        ("169.254.169.123", C4),
        ("169.254.169.250", C4),
        ("169.254.169.251", C4),
        ("169.254.169.253", C4),
        ("169.254.169.249", C4),
        ("169.254.169.252", C4),
        ("fd00:ec2::254", C6),
        ("fd00:ec2::123", C6),
        ("fd00:ec2::253", C6),
        ("fd00:ec2::250", C6),
        (A4, B4),
        (A6, B6),
    ]
    frames = [ARP]
    for one, other in pairs:
        for src, dst in ((one, other), (other, one)):
            for ends in EXEMPT_ENDS:
                frames.append(between(src, dst, UDP, udp(*ends)))
                frames.append(between(src, dst, TCP, tcp(*ends)))
            frames.append(between(src, dst, ICMP, icmp()))
            frames.append(between(src, dst, UDP, udp(67, 68), fragment=5))
            frames.append(between(src, dst, TCP, tcp(9, 1688), fragment=5))
            frames.append(between(src, dst, TCP, tcp(9, 1688)[:3]))
    return frames


def exemptions():
    for name, value in (("exempt-aws", "aws"), ("exempt-none", "none")):
        yield Case(
            name,
            f'The traffic around AWS\'s list, with never_mirrored = "{value}".',
            SPAN + TOOL + ENI_SPAN + TOOL_AT_10 + f'[exempt]\nnever_mirrored = "{value}"\n',
            all_of(PacketLength=40),
            {"1-span.pcap": exempt_frames()},
        )


def amazon_dns():
    for name, about, more in [
        ("amazon-dns", "The default resolvers.", ""),
        (
            "amazon-dns-own",
            "Resolvers of one's own.",
            '[exempt]\namazon_dns = ["10.0.1.2", "2001:db8:9::c"]\n',
        ),
    ]:
        frames = []
        for one, other in (
            ("169.254.169.253", A4),
            (B4, A4),
            ("fd00:ec2::253", A6),
            (C6, A6),
            (B6, A6),
        ):
            for src, dst in ((one, other), (other, one)):
                for protocol, layer4 in (
                    (UDP, udp(5000, 53)),
                    (TCP, tcp(53, 5000)),
                    (ICMP, icmp()),
                    (UDP, udp(68, 67)),
                ):
                    frames.append(between(src, dst, protocol, layer4))
        resources = {
            "Without": filter(),
            "Reject": rule("Without", "egress", 1, "reject", Protocol=17),
            **everything("Without"),
            "With": filter("amazon-dns"),
            "RejectAll": rule("With", "egress", 1, "reject"),
            "T": interface_target("eni-tool"),
            "S1": session("eni-a", "Without", 1),
            "S2": session("eni-a", "With", 2),
            "Unwanted": session("eni-b", "Without", 1),
        }
        yield Case(
            name,
            about
            + " Without the service even reject falls through; with it they go before the rules.",
            LINK + TOOL + ENI_A + '[[interface]]\nid = "eni-b"\nport = "wan"\n' + TOOL_AT_10 + more,
            resources,
            {"1-lan.pcap": frames, "2-wan.pcap": frames},
        )


def loop_guard() -> Case:
    ports_ = (
        SPAN
        + '[[port]]\nname = "tool"\naddress = ["192.0.2.1/24", "2001:db8::1/64"]\n'
        + '[[port]]\nname = "tool2"\naddress = ["198.51.100.1/24"]\n'
    )
    vxlan = b"\x08\x00\x00\x00\x00\x00\x01\x00" + frame4(udp(1, 2))
    frames = []
    for src in ("192.0.2.1", "198.51.100.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"):
        dst = C6 if ":" in src else C4
        for layer4, protocol in (
            (udp(50000, 4790, vxlan), UDP),
            (udp(4790, 50000, vxlan), UDP),
            (udp(50000, 4789, vxlan), UDP),
            (tcp(50000, 4790), TCP),
            (udp(50000, 4790)[:3], UDP),
        ):
            frames.append(between(src, dst, protocol, layer4))
            frames.append(between(dst, src, protocol, layer4))
    return Case(
        "loop-guard",
        "Our own VXLAN output is never mirrored, whoever it is for, even when nothing is exempt.",
        ports_
        + ENI_SPAN
        + TOOL_AT_10
        + '[vxlan]\nport = 4790\n[exempt]\nnever_mirrored = "none"\n',
        all_of(),
        {"1-span.pcap": frames},
    )
