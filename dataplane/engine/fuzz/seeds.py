"""Writes the seeds of all targets from the golden captures' inputs: always the same files."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from oracle import captures

SEED_BYTES_MAX = 4096
PARSE_SEEDS_PER_CASE = 12
CASES = [
    "malformed",
    "vlan-strip",
    "fragments-v4",
    "fragments-v6",
    "ipv6-extensions",
    "ports",
    "loop-guard",
]


def main() -> None:
    for target, seeds in {
        "capture": capture(),
        "parse": parse(),
        "mirror_burst": mirror_burst(),
    }.items():
        folder = HERE / "seeds" / target
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, seed in seeds:
            (folder / name).write_bytes(seed)


def golden(*cases: str):
    return [path for case in cases for path in sorted((TESTS / "golden" / case / "in").iterdir())]


def capture():
    """Every format, whole and damaged."""
    for path in golden("formats", "damaged", "empty", "order"):
        if path.suffix != ".gz":
            yield f"{path.parent.parent.name}-{path.name}", path.read_bytes()


def frames(case: str) -> list[bytes]:
    return [frame.data for path in golden(case) for frame in captures.read(path).frames]


def parse():
    """Some short frames of each case, behind the length of their first segment."""
    for case in CASES:
        every = [frame for frame in frames(case) if len(frame) < 255]
        step = 1 + len(every) // PARSE_SEEDS_PER_CASE
        for n, frame in enumerate(every[::step]):
            yield f"{case}-{n}", bytes([255]) + frame


def mirror_burst():
    """A case's frames, dealt out to the ports in turn, through sound and unsound devices."""
    for case in CASES:
        seed = b""
        for n, frame in enumerate(frames(case)):
            if len(seed) + len(frame) < SEED_BYTES_MAX:
                seed += bytes([n % 4]) + len(frame).to_bytes(2, "big") + frame
        yield f"{case}-sound", bytes(4) + seed
        yield f"{case}-unsound", bytes([40, 0x07, 0x43, 0xA0]) + seed


main()
