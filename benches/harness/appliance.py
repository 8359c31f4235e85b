"""An appliance file and a template for one bench case, and the running appliance behind them."""

import json
import pathlib
import signal
import subprocess
import time

CONFIG = """[appliance]
id = "bench"
state_dir = "{dir}/state"
run_dir = "{dir}/run"

[dataplane]
workers = [{core}]

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
id = "eni-0a000000000000001"
port = "lan"
{mac}

[[tool]]
id = "eni-0b000000000000001"
port = "tool"
address = "192.0.2.10"
mac = "02:00:00:00:0b:01"

[quotas]
rules_per_filter = 100000
"""


def config(directory, rx, mode, core):
    """The appliance file: `mode` is forward, inline (both a link) or span."""
    is_link = mode != "span"
    return CONFIG.format(
        dir=directory,
        core=core,
        rx=rx,
        wan='[[port]]\nname = "wan"\ndevice = "net_null9,no-rx=1"\n' if is_link else "",
        wire='[[link]]\nname = "wire"\nports = ["lan", "wan"]\n' if is_link else '[[span]]\nport = "lan"\n',
        mac="" if is_link else 'mac = ["02:00:00:00:aa:01"]',
    )


def template(mode, rules):
    """A session whose last two of `rules` rules take everything, behind others in the networks of the
    traffic; none for forwarding alone."""
    resources = {}
    if mode == "forward":
        # A template without sessions still needs something in it.
        resources["Filter"] = {"Type": "AWS::EC2::TrafficMirrorFilter"}
        return json.dumps({"Resources": resources})
    resources["Filter"] = {"Type": "AWS::EC2::TrafficMirrorFilter"}
    resources["Target"] = {
        "Type": "AWS::EC2::TrafficMirrorTarget",
        "Properties": {"NetworkInterfaceId": "eni-0b000000000000001"},
    }
    resources["Session"] = {
        "Type": "AWS::EC2::TrafficMirrorSession",
        "Properties": {
            "NetworkInterfaceId": "eni-0a000000000000001",
            "TrafficMirrorTargetId": {"Ref": "Target"},
            "TrafficMirrorFilterId": {"Ref": "Filter"},
            "SessionNumber": 1,
        },
    }
    for n in range(rules):
        last = rules - n  # 2 and 1 are the catch-alls of the two families
        everything = {2: "0.0.0.0/0", 1: "::/0"}.get(last)
        properties = {
            "TrafficMirrorFilterId": {"Ref": "Filter"},
            "TrafficDirection": "egress",
            "RuleNumber": n + 1,
            "RuleAction": "accept" if last <= 2 else "reject",
            "SourceCidrBlock": everything or f"10.{n * 7 % 256}.{n * 13 % 256}.0/{20 + n % 8}",
            "DestinationCidrBlock": everything or f"192.168.{n // 250}.{n % 250}/32",
        }
        if last > 2:
            properties |= {"Protocol": 6, "DestinationPortRange": {"FromPort": 440 + n % 50, "ToPort": 8443}}
        resources[f"Rule{n}"] = {"Type": "AWS::EC2::TrafficMirrorFilterRule", "Properties": properties}
    return json.dumps({"Resources": resources})


class Appliance:
    """`linetap up`, from ready to stopped."""

    def __init__(self, binary, directory, rx, mode, rules, core):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "appliance.toml"
        self.config.write_text(config(self.directory, rx, mode, core))
        template_file = self.directory / "mirror.json"
        template_file.write_text(template(mode, rules))
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(
            [binary, "up", "--config", self.config, "--template", template_file],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )

    def report(self):
        out = subprocess.run(
            [self.binary, "status", "--json", "--config", self.config], capture_output=True, text=True
        )
        return json.loads(out.stdout) if out.returncode == 0 else None

    def wait(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            report = self.report()
            if report and report["ports"]["lan"]["rx_packets"] > 0:
                return
            time.sleep(0.2)
        raise SystemExit(f"the appliance does not start; see {self.directory}/log")

    def rates(self, seconds):
        """Received, forwarded and mirrored packets per second."""
        before, start = self.report(), time.monotonic()
        time.sleep(seconds)
        after, end = self.report(), time.monotonic()
        per_second = lambda pick: (pick(after) - pick(before)) / (end - start)
        return (
            per_second(lambda r: r["ports"]["lan"]["rx_packets"]),
            per_second(lambda r: r["ports"]["lan"]["forwarded"]),
            per_second(lambda r: sum(s["mirrored_packets"] for s in r["sessions"])),
        )

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
