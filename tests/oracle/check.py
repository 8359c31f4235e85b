"""Compares what `linetap mirror` did with what it must do. Every difference is a sentence."""

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import captures, wireshark
from .config import Member, Model, load
from .mirror import Copy, Run, vlan_tag

SOURCE_PORTS = range(49152, 65536)
TIMEOUT_S = 600


@dataclass
class Order:
    """One command: `linetap mirror` with these files."""

    config: Path
    template: Path
    reads: list[tuple[str, Path]]
    writes: list[str]  # ports; each is written to a file of its name

    def arguments(self, out: Path) -> list[str]:
        arguments = ["mirror", "--config", str(self.config), "--template", str(self.template)]
        for port, path in self.reads:
            arguments += ["--read", f"{port}={path}"]
        for port in self.writes:
            arguments += ["--write", f"{port}={out / port}.pcap"]
        return arguments + ["--json", str(out / "report.json")]


@dataclass
class Law:
    """The law of the hash: a flow has one source port and one member, both ways, in every run."""

    of_flow: dict[object, int] = field(default_factory=dict)
    members: dict[tuple, Member] = field(default_factory=dict)

    def broken_by(self, copy: Copy, source_port: int) -> Iterator[str]:
        if source_port not in SOURCE_PORTS:
            yield f"source port {source_port} is not in 49152..65535"
        first = self.of_flow.setdefault(copy.flow, source_port)
        if first != source_port:
            yield f"source port {source_port}, but {first} before for the same flow {copy.flow}"

    def is_spread(self) -> bool:
        """As many ports in use as balls fall into different bins, or nearly."""
        flows, bins = len(self.of_flow), len(SOURCE_PORTS)
        return len(set(self.of_flow.values())) > 0.9 * bins * (1 - math.exp(-flows / bins))


@dataclass
class Verdict:
    """What is wrong with a run, and what tshark is still to be asked about."""

    faults: list[str]
    copies: list[wireshark.Claim]


def judge(linetap: Path, order: Order, law: Law) -> Verdict:
    """Runs the command and compares everything that it leaves behind."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        done = subprocess.run(
            [linetap, *order.arguments(out)],
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return compare(order, out, done.returncode, done.stderr, law)


def compare(order: Order, out: Path, status: int, stderr: str, law: Law) -> Verdict:
    model = load(order.config, order.template)
    inputs = [(port, path, captures.read(path)) for port, path in order.reads]
    run = Run(model)
    for port, frame in captures.merged([(port, capture.frames) for port, _, capture in inputs]):
        run.receive(port, frame)

    faults, claims = [], []
    damages = [(path, capture.damage) for _, path, capture in inputs if capture.damage is not None]
    faults += status_faults(status, stderr, damages)
    for port in order.writes:
        path = out / f"{port}.pcap"
        if not path.is_file():
            faults.append(f"{path.name} was not written")
            continue
        port_faults, port_claims = compare_output(run, port, path, law)
        faults += [f"{path.name}: {fault}" for fault in port_faults]
        claims += port_claims
    report = out / "report.json"
    if report.is_file():
        faults += differences(run.report(), json.loads(report.read_text()), "report")
    else:
        faults.append("no report was written")
    return Verdict(faults, claims)


def status_faults(status: int, stderr: str, damages: list[tuple[Path, int]]) -> Iterator[str]:
    if status != (1 if damages else 0):
        yield f"exit status {status}; stderr: {stderr.strip()}"
    lines = stderr.splitlines()
    for path, offset in damages:
        # The place is a number of its own in the file's sentence.
        naming = [line for line in lines if path.name in line]
        words = [word.strip(":,.;()") for line in naming for word in line.split()]
        if str(offset) not in words:
            yield f"stderr does not say that {path.name} is damaged at {offset}: {stderr.strip()}"


def compare_output(run: Run, port: str, path: Path, law: Law) -> tuple[list[str], list]:
    """Forwarded frames are known to the last bit, copies but for their source port and member."""
    capture = captures.read(path)
    wanted, faults, claims = list(run.forwarded[port]), [], []
    copies = run.copies[port]
    if len(capture.frames) != len(wanted) + len(copies):
        faults.append(f"{len(capture.frames)} frames, not {len(wanted) + len(copies)}")
    for copy, frame in zip(copies, capture.frames):
        right, of_copy = settle(run.model, port, copy, frame.data, law)
        faults += [f"copy of frame {copy.frame}: {fault}" for fault in of_copy]
        wanted.append(captures.Frame(copy.time_ns, right))
        claims.append(wireshark.Claim(right, copy, run.model.vxlan_port, run.model.udp6_zero))
    if not faults:
        again = path.with_suffix(".wanted")
        captures.write(again, wanted)
        if again.read_bytes() != path.read_bytes():
            faults.append("times, lengths or the file header differ")
    return faults, claims


def settle(model: Model, port: str, copy: Copy, sent: bytes, law: Law) -> tuple[bytes, list[str]]:
    """The one right copy that has the source port and member of what was sent."""
    members = copy.session.members
    tag = vlan_tag(model.ports[port].vlan)
    at = 14 + len(tag) + (20 if members[0].address.version == 4 else 40)
    source_port = int.from_bytes(sent[at : at + 2], "big")
    choices = {
        copy.outer(member, model.ports[port].mac, source_port, model): member for member in members
    }
    faults = list(law.broken_by(copy, source_port))
    if sent in choices:
        key = (copy.flow, tuple(member.address for member in members))
        if law.members.setdefault(key, choices[sent]) != choices[sent]:
            faults.append("the flow changed to another member")
        return sent, faults
    right = next(iter(choices))
    faults.append(f"{sent.hex()} was sent, not {right.hex()}")
    return right, faults


def differences(wanted, got, place: str) -> Iterator[str]:
    """Where two reports differ; a reason that is not listed stands at 0."""
    if place.endswith((".ended", ".skipped")) and isinstance(got, dict):
        reasons = wanted.keys() | got.keys()
        wanted = {reason: wanted.get(reason, 0) for reason in sorted(reasons)}
        got = {reason: got.get(reason, 0) for reason in sorted(reasons)}
    if isinstance(wanted, dict) and isinstance(got, dict):
        if list(wanted) != list(got):
            yield f"{place} has {list(got)}, not {list(wanted)}"
        for key in wanted.keys() & got.keys():
            yield from differences(wanted[key], got[key], f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            yield f"{place} has {len(got)} entries, not {len(wanted)}"
        for n, (one, other) in enumerate(zip(wanted, got)):
            yield from differences(one, other, f"{place}[{n}]")
    elif wanted != got or type(wanted) is not type(got):
        yield f"{place} is {got}, not {wanted}"
