"""A capture file filtered into another one: `linetap mirror` beside `tcpdump -r -w`.

Both read the same file, keep TCP over either family and write what they keep; linetap's copies bear
a VXLAN header of 50 bytes besides.
"""

import json
import pathlib
import subprocess
import time

from harness import appliance
from harness.rules import V4, V6, Rule, Session
from harness.template import template
from harness.traffic import TCP

FILTER = "tcp"
SESSION = Session([Rule(V4, protocol=TCP), Rule(V6, protocol=TCP)])


def seconds_of(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def tcpdump(capture, directory):
    """Seconds, and packets kept."""
    out = pathlib.Path(directory, "tcpdump.pcap")
    seconds = seconds_of(["tcpdump", "-r", capture, "-w", out, FILTER])
    counted = subprocess.run(["tcpdump", "--count", "-r", out], capture_output=True, text=True, check=True)
    out.unlink()
    return seconds, int(counted.stdout.split()[0])


def linetap(binary, capture, directory):
    """Seconds, and packets kept."""
    folder = pathlib.Path(directory)
    settings, sessions = folder / "offline.toml", folder / "offline.json"
    settings.write_text(appliance.config(directory, "net_null0", is_span=False, core=1))
    sessions.write_text(template([SESSION]))
    out, report = folder / "linetap.pcap", folder / "offline-report.json"
    files = ["--config", settings, "--template", sessions, "--json", report]
    seconds = seconds_of([binary, "mirror", *files, "--read", f"lan={capture}", "--write", f"tool={out}"])
    out.unlink()
    return seconds, json.loads(report.read_text())["sessions"][0]["mirrored_packets"]
