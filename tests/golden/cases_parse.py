"""What a frame is: tags, addresses, protocols, ports, and what is malformed."""

from case import ENI_A, ENI_SPAN, LINK, SPAN, TOOL, TOOL_AT_10, Case, all_of
from packets import *

from oracle.templates import V6, everything, filter, interface_target, ports, rule, session

C, S, AD = 0x8100, 0x9100, 0x88A8


def cases():
    yield malformed()
    yield from vlan_tags()
    yield vlan_interfaces()
    yield fragments_v4()
    yield fragments_v6()
    yield ipv6_extensions()
    yield ports_that_are_there()


def malformed() -> Case:
    whole4, whole6 = frame4(udp(1, 2)), frame6(udp(1, 2))
    tags = [(C, 5)] * 5
    header4 = ipv4(UDP, udp(1, 2))
    frames = [
        # shorter than an Ethernet header, and not
        b"",
        whole4[:1],
        whole4[:11],
        whole4[:13],
        ether(0x0806, b""),
        ether(0x0800, b""),
        # tags without their EtherType
        mac(SERVER) + mac(CLIENT) + b"\x81\x00",
        ether(C, b"\x00\x05"),
        ether(C, b"\x00\x05\x08"),
        ether(C, b"\x00\x05\x08\x06"),
        # four tags and five
        frame4(udp(1, 2), tags=tags[:4]),
        frame4(udp(1, 2), tags=tags),
        ether(0x0806, b"", tags=tags),
        # IPv4: 19 bytes and 20, version, IHL, total length
        ether(0x0800, header4[:19]),
        ether(0x0800, header4[:20]),
        ether(0x0800, ipv4(UDP, udp(1, 2), first=0x65)),
        ether(0x0800, ipv4(UDP, udp(1, 2), first=0x44)),
        ether(0x0800, ipv4(UDP, udp(1, 2), first=0x48)),  # 32 bytes of header in 33
        ether(0x0800, ipv4(UDP, udp(1, 2), first=0x49)),  # 36 of 33
        ether(0x0800, ipv4(UDP, udp(1, 2), length=19)),
        ether(0x0800, ipv4(UDP, udp(1, 2), length=20)),
        ether(0x0800, ipv4(UDP, udp(1, 2), length=0)),
        ether(0x0800, ipv4(UDP, udp(1, 2), length=1000)),
        ether(0x0800, ipv4(UDP, udp(1, 2), options=bytes(40))),
        # IPv6: 39 bytes and 40, version, chains that run out
        whole6[: 14 + 39],
        whole6[: 14 + 40],
        ether(0x86DD, ipv6(UDP, udp(1, 2), version=4)),
        frame6(b"", HOP),
        frame6(extension(UDP)[:7], HOP),
        frame6(extension(UDP), HOP),
        frame6(extension(UDP, 1)[:15], DESTINATION),
        frame6(extension(UDP, 1), DESTINATION),
        frame6(extension(UDP) + udp(1, 2), HOP, length=7),  # the packet ends before the frame
        frame6(extension(UDP) + udp(1, 2), HOP, length=8),
        frame6(extension(UDP) + udp(1, 2), HOP, length=0),
        frame6(fragment6(UDP, 0, True)[:7], FRAGMENT),
        frame6(fragment6(UDP, 0, True), FRAGMENT),
        frame6(authentication(UDP)[:23], AH),
        frame6(authentication(UDP), AH),
        frame6(extension(ROUTING) + extension(UDP)[:3], HOP),
        # not IP at all, which is no fault
        ARP,
        ether(0x0026, b"\xaa\xaa\x03\x00\x00\x00\x08\x00" + header4),
        ether(0x8847, bytes(40)),
    ]
    return Case(
        "malformed",
        "Frames on both sides of every line between malformed and odd.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {"1-lan.pcap": frames},
        writes=("wan", "tool"),
    )


def tagged_frames() -> list[bytes]:
    stacks = [
        [],
        [(C, 100)],
        [(AD, 100), (C, 200)],
        [(S, 100), (AD, 200), (C, 300)],
        [(C, 1), (C, 2), (C, 3), (C, 4)],
        [(C, 0)],
        [(C, 0xE000)],
        [(C, 0), (C, 100)],
        [(C, 0x1FFF)],
        [(AD, 0xB064)],
    ]
    return [
        frame(tags=tags)
        for tags in stacks
        for frame in (
            lambda tags: frame4(tcp(1000, 80, fill(40)), TCP, tags=tags),
            lambda tags: frame6(udp(1000, 53, fill(30)), tags=tags),
            lambda tags: frame4(icmp(fill(20)), ICMP, tags=tags) + bytes(10),  # padding
        )
    ]


def vlan_tags():
    for name, about, more, length in [
        ("vlan-strip", "All tags are stripped before anything is counted.", "", 60),
        ("vlan-keep", "Inner tags stay and count.", '[vxlan]\ninner_vlan = "keep"\n', 60),
    ]:
        yield Case(
            name,
            about,
            LINK + TOOL + ENI_A + TOOL_AT_10 + more,
            all_of(PacketLength=length),
            {"1-lan.pcap": tagged_frames(), "2-wan.pcap": tagged_frames()},
            writes=("lan", "wan", "tool"),
        )


def vlan_interfaces() -> Case:
    interfaces = "".join(
        f'[[interface]]\nid = "eni-{vlan}"\nport = "lan"\nvlan = {vlan}\n'
        for vlan in (1, 100, 4094)
    )
    stacks = [
        [],
        [(C, 1)],
        [(C, 100)],
        [(C, 0xF064)],
        [(AD, 100), (C, 1)],
        [(AD, 1), (C, 100)],
        [(C, 0), (C, 100)],
        [(C, 4094)],
        [(C, 4095)],
        [(C, 101)],
    ]
    frames = [frame4(udp(1, n), tags=tags) for n, tags in enumerate(stacks)]
    frames += [ether(C, b"\x00\x64"), ARP]
    resources = {"F": filter(), **everything("F"), "T": interface_target("eni-tool")}
    for number, vlan in enumerate((1, 100, 4094)):
        resources[f"S{vlan}"] = session(f"eni-{vlan}", "F", 1 + number)
    return Case(
        "vlan-interfaces",
        "Interfaces on one port, told apart by the outermost tag; VLAN 0 is untagged.",
        LINK + TOOL + interfaces + TOOL_AT_10,
        resources,
        {"1-lan.pcap": frames, "2-wan.pcap": frames},
    )


def fragments_v4() -> Case:
    more, dont = 0x2000, 0x4000
    whole = udp(1000, 2000, fill(100))
    frames = []
    for src, dst in ((A4, B4), (B4, A4)):
        for protocol, layer4 in (
            (UDP, whole),
            (TCP, tcp(1000, 2000, fill(100))),
            (ICMP, icmp(fill(100))),
        ):
            frames += [
                ether(0x0800, ipv4(protocol, layer4, src=src, dst=dst, id=7)),
                ether(0x0800, ipv4(protocol, layer4, src=src, dst=dst, id=7, fragment=dont)),
                ether(0x0800, ipv4(protocol, layer4[:64], src=src, dst=dst, id=8, fragment=more)),
                ether(
                    0x0800, ipv4(protocol, layer4[64:96], src=src, dst=dst, id=8, fragment=more | 8)
                ),
                ether(0x0800, ipv4(protocol, layer4[96:], src=src, dst=dst, id=8, fragment=12)),
                ether(0x0800, ipv4(protocol, layer4[:3], src=src, dst=dst, id=9, fragment=more)),
                ether(0x0800, ipv4(protocol, whole, src=src, dst=dst, id=9, fragment=0x1FFF)),
            ]
    return Case(
        "fragments-v4",
        "Later fragments match no rule with ports, be it 0-65535; all fragments share a source port.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        fragment_rules("0.0.0.0/0"),
        {"1-lan.pcap": frames},
    )


def fragment_rules(cidr: str) -> dict:
    """One session for packets with ports, one for UDP without, one for the rest."""
    to_2000 = ports(2000, 2000)
    return {
        "Ports": filter(),
        "To": rule("Ports", "egress", 1, "accept", cidr, Protocol=17, DestinationPortRange=to_2000),
        "No": rule(
            "Ports", "egress", 2, "reject", cidr, Protocol=6, SourcePortRange=ports(0, 65535)
        ),
        "Any": rule(
            "Ports", "egress", 3, "accept", cidr, Protocol=17, SourcePortRange=ports(0, 65535)
        ),
        "Udp": filter(),
        "UdpRule": rule("Udp", "egress", 1, "accept", cidr, Protocol=17),
        "Rest": filter(),
        **everything("Rest"),
        "T": interface_target("eni-tool"),
        "S1": session("eni-a", "Ports", 1),
        "S2": session("eni-a", "Udp", 2),
        "S3": session("eni-a", "Rest", 3),
    }


def fragments_v6() -> Case:
    whole = udp(1000, 2000, fill(100))
    frames = []
    for src, dst in ((A6, B6), (B6, A6)):
        for protocol, layer4 in (
            (UDP, whole),
            (TCP, tcp(1000, 2000, fill(100))),
            (ICMP6, icmp(fill(100))),
        ):
            parts = [
                (layer4, 0, False),
                (layer4[:64], 0, True),
                (layer4[64:96], 8, True),
                (layer4[96:], 12, False),
                (layer4[:3], 0, True),
                (whole, 0x1FFF, True),
            ]
            for part, offset, more in parts:
                payload = fragment6(protocol, offset, more) + part
                frames.append(ether(0x86DD, ipv6(FRAGMENT, payload, src=src, dst=dst)))
            behind = (
                extension(FRAGMENT) + fragment6(DESTINATION, 0, True) + extension(protocol) + layer4
            )
            frames.append(ether(0x86DD, ipv6(HOP, behind, src=src, dst=dst)))
            later = extension(FRAGMENT) + fragment6(DESTINATION, 5, False) + layer4
            frames.append(ether(0x86DD, ipv6(HOP, later, src=src, dst=dst)))
    return Case(
        "fragments-v6",
        "As in IPv4; an atomic fragment is a whole packet, a later one has the protocol it names.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        fragment_rules(V6),
        {"1-lan.pcap": frames},
    )


def ipv6_extensions() -> Case:
    def chain(kinds: list[int], last: int, layer4: bytes) -> bytes:
        payload = layer4
        following = last
        for kind in reversed(kinds):
            payload = (authentication if kind == AH else extension)(following) + payload
            following = kind
        return ether(0x86DD, ipv6(following, payload))

    chains = [
        [],
        [HOP],
        [ROUTING],
        [DESTINATION],
        [AH],
        [HOP, ROUTING, DESTINATION, AH, DESTINATION],
        [DESTINATION, HOP, AH, ROUTING],
        [DESTINATION] * 8,
    ]
    frames = [
        chain(kinds, protocol, layer4)
        for kinds in chains
        for protocol, layer4 in (
            (UDP, udp(1000, 2000)),
            (TCP, tcp(1000, 443)),
            (ICMP6, icmp()),
            (ESP, fill(30)),
            (NONE, b""),
            (MOBILITY, fill(16)),
            (139, fill(8)),
            (140, fill(8)),
            (TCP, b""),
            (GRE, fill(9)),
        )
    ]
    later = {f"P{protocol}": protocol for protocol in (0, 43, 44, 60, 51, 59, 135, 139, 140, 50)}
    resources = {
        "Walked": filter(),
        **{
            name: rule("Walked", "egress", 100 + n, "accept", V6, Protocol=protocol)
            for n, (name, protocol) in enumerate(list(later.items())[:5])
        },
        "AsTheyStand": filter(),
        **{
            name: rule("AsTheyStand", "egress", 100 + n, "accept", V6, Protocol=protocol)
            for n, (name, protocol) in enumerate(list(later.items())[5:])
        },
        "Upper": filter(),
        "Tcp": rule(
            "Upper", "egress", 1, "accept", V6, Protocol=6, DestinationPortRange=ports(443, 443)
        ),
        "Icmp": rule("Upper", "egress", 2, "reject", V6, Protocol=58),
        "All": rule("Upper", "egress", 3, "accept", V6),
        "T": interface_target("eni-tool"),
        "S1": session("eni-a", "Walked", 1),
        "S2": session("eni-a", "AsTheyStand", 2),
        "S3": session("eni-a", "Upper", 3),
    }
    return Case(
        "ipv6-extensions",
        "Layer 4 behind up to eight headers in any order; walked headers are nobody's protocol.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        resources,
        {"1-lan.pcap": frames},
    )


def ports_that_are_there() -> Case:
    frames = []
    for layer4, protocol in ((udp(1000, 2000), UDP), (tcp(1000, 2000), TCP)):
        frames += [frame4(layer4[:n], protocol) for n in (0, 3, 4, 5, 8)]
        frames += [frame6(layer4[:n], protocol) for n in (0, 3, 4, 5, 8)]
        # Ports in the padding are none; lengths beyond the frame hide nothing.
        frames += [frame4(layer4, protocol, length=20 + n) for n in (3, 4, 500)]
        frames += [frame6(layer4, protocol, length=n) for n in (3, 4, 500)]
    frames.append(frame4(tcp(1000, 2000)[:12] + b"\x00\xff" + bytes(6), TCP))  # data offset 0
    frames.append(frame4(udp(1000, 2000)[:4] + b"\x00\x00\x00\x00", UDP))  # UDP length 0
    frames.append(frame4(fill(40), SCTP))
    resources = {
        "F": filter(),
        "U4": rule("F", "egress", 1, "accept", Protocol=17, DestinationPortRange=ports(2000, 2000)),
        "T4": rule("F", "egress", 2, "accept", Protocol=6, SourcePortRange=ports(1000, 1000)),
        "U6": rule("F", "egress", 3, "accept", V6, Protocol=17, SourcePortRange=ports(0, 65535)),
        "T6": rule(
            "F",
            "egress",
            4,
            "accept",
            V6,
            Protocol=6,
            SourcePortRange=ports(999, 1001),
            DestinationPortRange=ports(0, 2000),
        ),
        "G": filter(),
        "Rest": rule("G", "egress", 1, "accept"),
        "Rest6": rule("G", "egress", 2, "accept", V6),
        "T": interface_target("eni-tool"),
        "WithPorts": session("eni-a", "F", 1),
        "Without": session("eni-a", "G", 2),
    }
    return Case(
        "ports",
        "Ports count when they can be read inside the IP length, whatever follows them.",
        SPAN + TOOL + ENI_SPAN + TOOL_AT_10,
        resources,
        {"1-span.pcap": frames},
    )
