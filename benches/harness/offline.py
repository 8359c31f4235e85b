"""A capture file filtered into another one: `linetap mirror` beside `tcpdump -r -w`.

Both read the same file, keep TCP over either family and write what they keep; linetap's copies bear
a VXLAN header of 50 bytes besides.
"""

import json
import pathlib
import subprocess
import time

from harness import appliance

FILTER = "tcp"


def prepare(directory):
    """Writes the appliance file and a template that means FILTER; returns their paths."""
    config, template = pathlib.Path(directory, "offline.toml"), pathlib.Path(directory, "offline.json")
    config.write_text(appliance.config(directory, "net_null0", "inline", 1))
    resources = json.loads(appliance.template("inline", 2))["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::EC2::TrafficMirrorFilterRule":
            resource["Properties"]["Protocol"] = 6
    template.write_text(json.dumps({"Resources": resources}))
    return config, template


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
    config, template = prepare(directory)
    out, report = pathlib.Path(directory, "linetap.pcap"), pathlib.Path(directory, "offline-report.json")
    files = ["--config", config, "--template", template, "--json", report]
    seconds = seconds_of([binary, "mirror", *files, "--read", f"lan={capture}", "--write", f"tool={out}"])
    out.unlink()
    return seconds, json.loads(report.read_text())["sessions"][0]["mirrored_packets"]
