"""Frames that nobody would send: the golden cases' frames, changed at random but always the same."""

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import captures, check, corpus, wireshark
from .golden import order_of

MUTANTS = 20_000
HEADERS = 120  # changes beyond say nothing new
LUCKY = (0x00, 0x01, 0x06, 0x08, 0x11, 0x2B, 0x2C, 0x3A, 0x3C, 0x33, 0x45, 0x60, 0x81, 0x88, 0xFF)


def mutant(frames: list[bytes], random: random.Random) -> bytes:
    frame = bytearray(random.choice(frames))
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randrange(min(len(frame), HEADERS) + 1)
        kind = random.randrange(8)
        if kind < 4 and at < len(frame):
            frame[at] = random.choice(LUCKY) if kind < 2 else random.randrange(256)
        elif kind == 4:
            del frame[at:]
        elif kind == 5:
            frame[at:at] = random.randbytes(random.choice((1, 2, 4, 8)))
        elif kind == 6:
            del frame[at : at + random.choice((1, 2, 4, 8))]
        else:  # another frame's end
            frame[at:] = random.choice(frames)[at:]
    return bytes(frame)


def every_checksum() -> list[bytes]:
    """Copies of a flow that differ in 16 bits: over IPv6 one of them sums up to zero."""
    ethernet = "020000000b01 020000000a01 0800"
    ipv4 = "45000020 00000000 40110000 0a000001 0a000102"
    frame = bytes.fromhex(ethernet + ipv4 + "00010002 000c0000")
    return [frame + b"ab" + n.to_bytes(2, "big") for n in range(2**16)]


def faults(linetap: Path, cases: list[Path]) -> Iterator[str]:
    frames = [
        frame.data
        for case in cases
        for _, path in order_of(case).reads
        for frame in captures.read(path).frames
        if len(frame.data) < 2000
    ]
    chance = random.Random(20190625)
    mutants = [mutant(frames, chance) for _ in range(MUTANTS)]
    law, copies = check.Law(), []
    (_, link, whole, both), (_, taps, fall_through, _), _ = corpus.RUNS
    taps = taps.replace("\nmac = {macs}", "")  # every frame is everybody's
    runs = [
        ("mutants on a link", link, whole, both, mutants),
        ("mutants on taps", taps, fall_through, both, mutants),
        ("every checksum", taps, fall_through, ["lan"], every_checksum()),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for name, config, resources, ports, sent in runs:
            appliance, template, capture = (
                Path(scratch) / f for f in ("a.toml", "t.json", "in.pcap")
            )
            appliance.write_text(config)
            template.write_text(json.dumps({"Resources": resources}))
            captures.write(capture, [captures.Frame(n, frame) for n, frame in enumerate(sent)])
            reads = [(port, capture) for port in ports]
            order = check.Order(appliance, template, reads, ["lan", "wan", "tool"])
            verdict = check.judge(linetap, order, law)
            yield from (f"{name}: {fault}" for fault in verdict.faults[:20])
            copies += verdict.copies
    yield from wireshark.faults(copies)
    print(f"{len(copies)} copies of {MUTANTS} mutants and {2**16} checksums compared")
