"""An appliance file and a template for one bench case, and the running appliance behind them."""

import json
import pathlib
import signal
import subprocess
import time
from typing import NamedTuple

from harness.template import SOURCE, TOOL

CONFIG = """[appliance]
id = "bench"
state_dir = "{dir}/state"
run_dir = "{dir}/run"

[dataplane]
workers = [{core}]
{copies}
[[port]]
name = "lan"
device = "{rx}"

{wan}
[[port]]
name = "tool"
device = "net_null8,no-rx=1"
address = ["192.0.2.1/24"]
mtu = 9000

{wire}
[[interface]]
id = "{source}"
port = "lan"
{mac}

[[tool]]
id = "{tool}"
port = "tool"
address = "192.0.2.10"
mac = "02:00:00:00:0b:01"

[quotas]
rules_per_filter = 100000
"""
LOG_LINES = 15


class Failed(Exception):
    """A peer did not start, or did not do what it is measured at."""


def config(directory, rx, is_span, core, copies=None):
    """The appliance file: a span port, or a link. `copies`: a way to copy that is forced."""
    return CONFIG.format(
        dir=directory,
        core=core,
        rx=rx,
        source=SOURCE,
        tool=TOOL,
        copies=f'copies = "{copies}"\n' if copies else "",
        wan="" if is_span else '[[port]]\nname = "wan"\ndevice = "net_null9,no-rx=1"\n',
        wire='[[span]]\nport = "lan"\n' if is_span else '[[link]]\nname = "wire"\nports = ["lan", "wan"]\n',
        mac='mac = ["02:00:00:00:aa:01"]' if is_span else "",
    )


def end_of(log):
    """The last lines of a log, for a message."""
    return "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-LOG_LINES:])


class Rates(NamedTuple):
    """Packets per second, copies by session; a copy's mean length without its outer headers."""

    received: float
    forwarded: float
    copied: list
    mean_len: float


class Appliance:
    """`linetap up`, from ready to stopped, with an appliance file and a template of these texts."""

    def __init__(self, binary, directory, config_text, template_text):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "appliance.toml"
        self.config.write_text(config_text)
        template_file = self.directory / "mirror.json"
        template_file.write_text(template_text)
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(
            [binary, "up", "--config", self.config, "--template", template_file],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )

    def report(self):
        """The report, or None and why there is none."""
        out = subprocess.run(
            [self.binary, "status", "--json", "--config", self.config], capture_output=True, text=True
        )
        return (json.loads(out.stdout), "") if out.returncode == 0 else (None, out.stderr.strip())

    def wait(self, seconds=30):
        """Until packets arrive."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            report, _ = self.report()
            # Without ports it waits for its first configuration.
            if report and report["ports"].get("lan", {}).get("rx_packets"):
                return
            time.sleep(0.1)
        raise Failed(f"the appliance does not start; the end of its log:\n{end_of(self.directory / 'log')}")

    def sound_report(self):
        report, why = self.report()
        if not report:
            raise Failed(f"linetap status: {why}; the end of the log:\n{end_of(self.directory / 'log')}")
        return report

    def rates(self, seconds):
        """What it does in so many seconds."""
        before, start = self.sound_report(), time.monotonic()
        time.sleep(seconds)
        after, end = self.sound_report(), time.monotonic()
        return rates_between(before, after, end - start)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def rates_between(before, after, seconds):
    """From two reports that are so far apart."""
    lan, was = after["ports"]["lan"], before["ports"]["lan"]
    sessions = list(zip(after["sessions"], before["sessions"]))
    packets = [new["mirrored_packets"] - old["mirrored_packets"] for new, old in sessions]
    inner_bytes = sum(new["mirrored_bytes"] - old["mirrored_bytes"] for new, old in sessions)
    return Rates(
        received=(lan["rx_packets"] - was["rx_packets"]) / seconds,
        forwarded=(lan["forwarded"] - was["forwarded"]) / seconds,
        copied=[count / seconds for count in packets],
        mean_len=inner_bytes / sum(packets) if sum(packets) else 0.0,
    )
