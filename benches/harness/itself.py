"""What the appliance says of itself: `linetap bench --self --mirror`, each of its configurations in turn."""

import json
import subprocess

from harness.appliance import Failed

SIZES = "64,imix"
# Short trials: many of them decide, and one that another process has disturbed does not.
TRIALS = ["--method", "mlr", "--duration", "200ms", "--trials", "5", "--precision", "3%", "--flows", "500"]
LIMITS = {
    "cpu": "the data plane's core",
    "tool_port": "the tool port",
    "wire_port": "the wire's port",
    "sender": "the sender",
    None: "",
}
NOTE = (
    "One process polls for the traffic on one core: it sends, receives, and compares every byte that comes back with what it sent. "
    "Where a port is what is short, that process has not taken what was there: the appliance alone would carry more."
)


def measure(linetap, folder, cores, sizes=SIZES):
    """A row for each configuration and size. `cores`: of the data plane, and of the traffic."""
    file = folder / "self.json"
    command = [linetap, "bench", "--self", "--mirror", "--dut-cores", str(cores[0]), "--cores", str(cores[1])]
    done = subprocess.run(
        [*command, *TRIALS, "--sizes", sizes, "--quiet", "--json", file], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Failed(f"linetap bench --self: {done.stderr.strip()}")
    report = json.loads(file.read_text())
    return [row(series) for series in report["series"]]


def row(series):
    """What is known of a series of trials; rates in frames a second, None where no load met the goal."""
    goals = {result["goal"]["name"]: result for result in series["goals"]}
    limits = dict(zip(goals, series["limits"]))
    copies = [trial["copies"] for trial in series["trials"] if trial["copies"]]
    return {
        "configuration": series["stack"],
        "frames": series["frames"],
        **{name: goals[name]["lower"] if name in goals else None for name in ("NDR", "PDR", "copies NDR", "copies PDR")},
        "limits": [limits.get(name) for name in ("NDR", "copies NDR")],
        "verified": sum(counts["received"] for counts in copies),
        "wrong": sum(counts["corrupted"] for counts in copies),
        "notes": series["notes"],
    }


def table(rows):
    """Lines of a table, the heading first."""
    rate = lambda value: f"{value / 1e6:.3f}" if value else "–"  # noqa: E731
    lines = [["configuration", "frames", "NDR", "PDR", "beyond it", "copies NDR", "copies PDR", "beyond it", "copies compared", "wrong"]]
    for one in rows:
        wire, copies = (LIMITS.get(limit, limit) for limit in one["limits"])
        rates = [rate(one[name]) for name in ("NDR", "PDR", "copies NDR", "copies PDR")]
        counts = [f"{one['verified']:,}", str(one["wrong"])]
        lines.append([one["configuration"], one["frames"], *rates[:2], wire, *rates[2:], copies, *counts])
    return lines
