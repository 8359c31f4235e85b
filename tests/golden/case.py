"""What a golden case consists of, and how it becomes files."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oracle.captures import Frame, write
from oracle.templates import everything, filter, interface_target, session

START_NS = 1_700_000_000 * 10**9
TOOL = '[[port]]\nname = "tool"\naddress = ["192.0.2.1/24"]\n'
TOOL_AT_10 = (
    '[[tool]]\nid = "eni-tool"\nport = "tool"\naddress = "192.0.2.10"\nmac = "02:00:00:00:0b:01"\n'
)
LINK = (
    '[[port]]\nname = "lan"\n[[port]]\nname = "wan"\n'
    '[[link]]\nname = "uplink"\nports = ["lan", "wan"]\n'
)
SPAN = '[[port]]\nname = "span"\n[[span]]\nport = "span"\n'
ENI_A = '[[interface]]\nid = "eni-a"\nport = "lan"\n'
ENI_SPAN = '[[interface]]\nid = "eni-a"\nport = "span"\nmac = ["02:00:00:00:aa:01"]\n'


@dataclass
class Case:
    name: str
    about: str
    appliance: str
    resources: dict
    inputs: dict[str, list]  # "1-lan.pcap": frames, as bytes or as (nanoseconds, bytes)
    raw: dict[str, bytes] = field(default_factory=dict)  # inputs given byte by byte
    writes: tuple[str, ...] = ("tool",)
    parameters: dict = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Everything of the case but what is expected of it."""
        reads = sorted([*self.inputs, *self.raw])
        case = {
            "about": self.about,
            # The name of an input is its place among the arguments, and its port.
            "read": [f"{name.split('-')[1].split('.')[0]}={name}" for name in reads],
            "write": list(self.writes),
        }
        template = {"Parameters": self.parameters} if self.parameters else {}
        template["Resources"] = self.resources
        files = {
            "case.json": (json.dumps(case, indent=2) + "\n").encode(),
            "template.json": one_per_line(template).encode(),
            "appliance.toml": self.appliance.encode(),
        }
        for name, frames in self.inputs.items():
            files[f"in/{name}"] = capture(frames)
        return files | {f"in/{name}": data for name, data in self.raw.items()}


def one_per_line(template: dict) -> str:
    """JSON with a line for every resource."""
    sections = []
    for section, items in template.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(item)}" for name, item in items.items()]
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def capture(frames: list) -> bytes:
    """A nanosecond capture; frames without a time come a millisecond after each other."""
    timed = [
        Frame(*frame) if isinstance(frame, tuple) else Frame(START_NS + n * 1_000_000, frame)
        for n, frame in enumerate(frames)
    ]
    scratch = Path(__file__).parent / ".capture.tmp"
    write(scratch, timed)
    data = scratch.read_bytes()
    scratch.unlink()
    return data


def all_of(source: str = "eni-a", target: dict | None = None, **session_properties) -> dict:
    """A session that mirrors everything."""
    return {
        "F": filter(),
        **everything("F"),
        "T": target or interface_target("eni-tool"),
        "S": session(source, "F", 1, **session_properties),
    }
