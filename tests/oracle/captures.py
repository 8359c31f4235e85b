"""Capture files as lists of (nanoseconds, bytes), and the damage that ends them."""

import gzip
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

ETHERNET = 1
FRAME_BYTES_MAX = 256 * 1024
PCAP_MAGICS = {  # first four bytes: (struct's byte order, nanoseconds in a fraction's unit)
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"


class Frame(NamedTuple):
    time_ns: int
    data: bytes


class Capture(NamedTuple):
    frames: list[Frame]
    damage: int | None  # offset of the bad record; None when the file is whole


class Damage(Exception):
    """Raised with the offset of the record that can't be read."""


def read(path: Path) -> Capture:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        data = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    frames: list[Frame] = []
    try:
        if data[:4] in PCAP_MAGICS:
            read_pcap(data, frames)
        elif data[:4] == PCAPNG_MAGIC:
            read_pcapng(data, frames)
        else:
            raise Damage(0)
    except Damage as damage:
        return Capture(frames, damage.args[0])
    return Capture(frames, None)


def read_pcap(data: bytes, frames: list[Frame]) -> None:
    order, unit_ns = PCAP_MAGICS[data[:4]]
    if len(data) < 24:
        raise Damage(0)
    major, _, _, _, _, link_type = struct.unpack_from(order + "HHIIII", data, 4)
    if major != 2 or link_type & 0x03FFFFFF != ETHERNET:
        raise Damage(0)
    at = 24
    while at < len(data):
        if at + 16 > len(data):
            raise Damage(at)
        seconds, fraction, length, _ = struct.unpack_from(order + "IIII", data, at)
        if length > FRAME_BYTES_MAX or at + 16 + length > len(data):
            raise Damage(at)
        time_ns = seconds * 10**9 + fraction * unit_ns
        frames.append(Frame(time_ns, data[at + 16 : at + 16 + length]))
        at += 16 + length


class Interface(NamedTuple):
    link_type: int
    snap_length: int
    units_per_second: int
    offset_s: int

    def time_ns(self, high: int, low: int) -> int:
        ticks = high << 32 | low
        time_ns = ticks * 10**9 // self.units_per_second + self.offset_s * 10**9
        return min(max(time_ns, 0), 2**64 - 1)


def read_pcapng(data: bytes, frames: list[Frame]) -> None:
    at, order, interfaces = 0, "<", []
    while at < len(data):
        if at + 12 > len(data):
            raise Damage(at)
        if data[at : at + 4] == PCAPNG_MAGIC:
            order = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}.get(data[at + 8 : at + 12])
            if order is None:
                raise Damage(at)
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            raise Damage(at)
        if struct.unpack_from(order + "I", data, at + length - 4)[0] != length:
            raise Damage(at)
        body = data[at + 8 : at + length - 4]
        try:
            if kind == 0x0A0D0D0A and struct.unpack_from(order + "H", body, 4)[0] != 1:
                raise Damage(at)
            if kind == 1:
                interfaces.append(read_interface(order, body))
            elif kind in (2, 3, 6):
                last_ns = frames[-1].time_ns if frames else 0
                frames.append(read_packet(order, kind, body, interfaces, last_ns))
        except (struct.error, ValueError, IndexError) as error:
            raise Damage(at) from error
        at += length


def read_interface(order: str, body: bytes) -> Interface:
    link_type, _, snap_length = struct.unpack_from(order + "HHI", body)
    units, offset, at = 10**6, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 9 and value:
            units = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == 14 and len(value) >= 8:
            offset = struct.unpack(order + "q", value[:8])[0]
        at += 4 + (length + 3) // 4 * 4
    return Interface(link_type, snap_length, units, offset)


def read_packet(order, kind, body, interfaces, last_ns: int) -> Frame:
    if kind == 3:  # simple packet: no time, no captured length
        interface, start = interfaces[0], 4
        (original,) = struct.unpack_from(order + "I", body)
        length = min(original, len(body) - 4)
        if interface.snap_length and len(body) - 4 - interface.snap_length in range(4):
            length = min(length, interface.snap_length)
        time_ns = last_ns
    else:
        index_format = "I" if kind == 6 else "H"
        (index,) = struct.unpack_from(order + index_format, body)
        interface, start = interfaces[index], 20
        high, low, length = struct.unpack_from(order + "III", body, 4)
        time_ns = interface.time_ns(high, low)
    if interface.link_type != ETHERNET or length > FRAME_BYTES_MAX or start + length > len(body):
        raise ValueError("a foreign or impossible packet")
    return Frame(time_ns, body[start : start + length])


def merged(sources: list[tuple[str, list[Frame]]]) -> list[tuple[str, Frame]]:
    """All frames by time, then by the order of the sources; a source keeps its own order."""
    heads = [0] * len(sources)
    out = []
    while True:
        waiting = [
            (frames[heads[n]].time_ns, n)
            for n, (_, frames) in enumerate(sources)
            if heads[n] < len(frames)
        ]
        if not waiting:
            return out
        _, n = min(waiting)
        port, frames = sources[n]
        out.append((port, frames[heads[n]]))
        heads[n] += 1


def write(path: Path, frames: list[Frame]) -> None:
    """Writes what `--write` writes: nanosecond pcap, little-endian."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, FRAME_BYTES_MAX, ETHERNET))
        for time_ns, data in frames:
            seconds, fraction = divmod(time_ns, 10**9)
            seconds = min(seconds, 2**32 - 1)
            out.write(struct.pack("<IIII", seconds, fraction, len(data), len(data)) + data)
