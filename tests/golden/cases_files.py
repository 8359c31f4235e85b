"""Capture files: formats, order, damage; and how numbers are written in templates."""

import gzip
import struct

from case import ENI_A, LINK, START_NS, TOOL, TOOL_AT_10, Case, all_of, capture
from packets import *

from oracle.templates import V6, filter, interface_target, resource, rule, session


def cases():
    yield order()
    yield formats()
    yield damaged()
    yield empty()
    yield numbers()


def labelled(label: int) -> bytes:
    return frame4(udp(1, label))


def order() -> Case:
    def at(*moments) -> list:
        return [(START_NS + ns, labelled(label)) for ns, label in moments]

    return Case(
        "order",
        "Captures are merged by time, equal times by argument; no capture is reordered, clocks may go back.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {
            "1-lan.pcap": at((5, 10), (5, 11), (9, 12), (1, 13), (2, 14), (100, 15)),
            "2-wan.pcap": at((5, 20), (6, 21), (9, 22), (9, 23), (10, 24)),
            "3-lan.pcap": at((4, 30), (5, 31), (9, 32), (200, 33)),
            "4-tool.pcap": at((5, 40)),
        },
        writes=("lan", "wan", "tool"),
    )


def pcap(order: str, magic: int, link_type: int, records: list) -> bytes:
    data = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 96, link_type)
    for seconds, fraction, frame in records:
        data += struct.pack(order + "IIII", seconds, fraction, len(frame), len(frame) + 1) + frame
    return data


def block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, link_type: int, snap_length: int = 0, options=()) -> bytes:
    body = struct.pack(order + "HHI", link_type, 0, snap_length)
    for code, value in options:
        body += struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)
    return block(order, 1, body)


def enhanced(order: str, index: int, ticks: int, frame: bytes) -> bytes:
    head = struct.pack(
        order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)
    )
    return block(order, 6, head + frame)


def obsolete(order: str, index: int, ticks: int, frame: bytes) -> bytes:
    head = struct.pack(
        order + "HHIIII", index, 3, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)
    )
    return block(order, 2, head + frame)


def simple(order: str, frame: bytes) -> bytes:
    return block(order, 3, struct.pack(order + "I", len(frame)) + frame)


def formats() -> Case:
    seconds = START_NS // 10**9
    records = [(seconds, 1, labelled(1)), (seconds, 999_999, labelled(2))]
    resolutions = [
        (b"\x09", seconds * 10**9 + 5),
        (b"\x0a", (seconds * 10**9 + 7) * 10 + 9),
        (b"\x8a", seconds * 1024 + 3),
        (b"\x00", seconds),
        (b"\x03", seconds * 1000 + 4),
    ]
    pcapng = b""
    for n, byte_order in enumerate("<>"):
        pcapng += section(byte_order) + simple_before(byte_order)
        for index, (resolution, ticks) in enumerate(resolutions):
            pcapng += interface(byte_order, 1, 0, [(2, b"eth"), (9, resolution), (0, b"")])
            pcapng += enhanced(byte_order, 1 + index, ticks, labelled(10 * n + index))
            pcapng += block(byte_order, 5, bytes(12)) + block(byte_order, 0x0BAD0BAD, bytes(40))
        offset = [(14, struct.pack(byte_order + "q", 1_000_000)), (9, b"\x06")]
        pcapng += interface(byte_order, 1, 0, offset)
        pcapng += obsolete(byte_order, 6, (seconds - 1_000_000) * 10**6 + 8, labelled(99))
        pcapng += interface(byte_order, 101)  # described, and without frames
    raw = {
        "1-lan.pcap": pcap("<", 0xA1B2C3D4, 1, records),
        "2-lan.pcap": pcap(">", 0xA1B2C3D4, 1, records),
        "3-wan.pcap": pcap("<", 0xA1B23C4D, 1, records),
        "4-wan.pcap": pcap(">", 0xA1B23C4D, 1, records),
        "5-lan.pcapng": pcapng,
        "6-wan.pcap.gz": gzip.compress(pcap(">", 0xA1B23C4D, 1, records), mtime=0),
    }
    return Case(
        "formats",
        "pcap and pcapng in all byte orders, resolutions and packet blocks, and gzip.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {},
        raw,
        writes=("lan", "wan", "tool"),
    )


def simple_before(byte_order: str) -> bytes:
    """A packet without a time, before any that has one in its section."""
    return interface(byte_order, 1, 60) + simple(byte_order, labelled(7))


def damaged() -> Case:
    whole = capture([labelled(1), labelled(2), labelled(3)])
    absurd = whole[: 24 + 16 + 47] + struct.pack("<IIII", 0, 0, 262145, 262145) + bytes(300)
    foreign = (
        section("<")
        + interface("<", 113)
        + interface("<", 1)
        + enhanced("<", 1, START_NS // 1000, labelled(4))
        + enhanced("<", 0, 0, bytes(20))
        + enhanced("<", 1, START_NS // 1000, labelled(5))
    )
    raw = {
        "1-lan.pcap": whole[:-1],
        "2-lan.pcap": absurd,
        "3-lan.pcapng": foreign,
        "4-lan.pcap": pcap("<", 0xA1B2C3D4, 276, [(1, 1, bytes(30))]),
        "5-wan.pcap": b"",
        "6-wan.pcap": whole[:23],
        "7-wan.pcap": b"#!/bin/sh\necho this is no capture at all\n",
        "8-wan.pcapng": foreign[:-4] + b"\0\0\0\0",
    }
    return Case(
        "damaged",
        "What precedes damage is mirrored, the rest of that file is not, and the other files run on.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {"9-lan.pcap": [labelled(9), labelled(10)]},
        raw,
        writes=("lan", "wan", "tool"),
    )


def empty() -> Case:
    return Case(
        "empty",
        "Captures without frames, silent ports, and outputs that nothing is written to.",
        LINK + TOOL + ENI_A + TOOL_AT_10,
        all_of(),
        {"1-lan.pcap": []},
        writes=("lan", "wan", "tool"),
    )


def numbers() -> Case:
    resources = {
        "S1": session("eni-a", "F", "1"),
        "S2": session("eni-a", "G", 2, VirtualNetworkId="2", PacketLength="60"),
        "S3": session("eni-a", "H", {"Ref": "Third"}),
        "S4": session(
            "eni-b", "H", 1, VirtualNetworkId={"Ref": "Vni"}, PacketLength={"Ref": "Length"}
        ),
        "S5": session("eni-b", "F", 2, VirtualNetworkId=2),
        "S6": session("eni-b", "G", 3),
        "F": filter(),
        "G": filter(),
        "H": filter(),
        # Host bits are no part of a network; 0 is a protocol.
        "R1": rule("F", "egress", "1", "accept", "10.0.77.99/16", Protocol="17"),
        "R2": rule("F", "egress", 2, "accept", Protocol=0),
        "R3": rule("G", "egress", 1, "accept", V6),
        "R4": rule("H", "egress", 32766, "accept", "0.0.0.1/0", Protocol={"Ref": "Protocol"}),
        "T": interface_target({"Ref": "Tool"}),
        "T2": resource("Target", NetworkInterfaceId="eni-tool", Description="the same tool"),
    }
    resources["S1"]["Properties"]["TrafficMirrorTargetId"] = {"Ref": "T2"}
    resources["S2"]["Properties"]["TrafficMirrorFilterId"] = {"Fn::GetAtt": ["G", "Id"]}
    resources["S3"]["Properties"]["TrafficMirrorTargetId"] = {"Fn::GetAtt": "T.Id"}
    frames = [frame4(udp(1, 2)), frame6(udp(1, 2)), frame4(tcp(1, 2), TCP), frame4(icmp(), ICMP)]
    frames += [ether(0x0800, ipv4(UDP, udp(1, 2), C4, B4)), ether(0x0800, ipv4(0, fill(8)))]
    return Case(
        "numbers",
        "Numbers as text and by parameter, networks with host bits, and the lowest free VNIs.",
        LINK + TOOL + ENI_A + '[[interface]]\nid = "eni-b"\nport = "wan"\n' + TOOL_AT_10,
        resources,
        {"1-lan.pcap": frames, "2-wan.pcap": frames},
        parameters={
            "Third": {"Type": "Number", "Default": 3},
            "Vni": {"Type": "Number", "Default": "16777215"},
            "Length": {"Type": "Number", "Default": "50"},
            "Protocol": {"Type": "String", "Default": "6"},
            "Tool": {"Type": "String", "Default": "eni-tool"},
        },
    )
