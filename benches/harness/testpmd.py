"""The yardstick: DPDK's testpmd, forwarding from one device to another on one core."""

import re
import statistics
import subprocess
import tempfile
import time

STATISTICS = re.compile(r"NIC statistics for port 0 .*?Rx-pps:\s+(\d+)", re.S)

# Periods that do not count: the first is no period, the second may have begun before the start.
SKIPPED = 2
START_SECONDS_MAX = 30


def periods(log):
    """Packets per second of each period that has been printed."""
    with open(log, errors="replace") as text:
        return [int(value) for value in STATISTICS.findall(text.read())]


def rate(rx, mode, core, main_core, seconds):
    """Packets per second, with testpmd's own burst of 32, received (and forwarded to a null device) by one forwarding core."""
    command = [
        "dpdk-testpmd", "--lcores", f"0@{main_core},1@{core}", "--no-pci", "--in-memory",
        "--iova-mode=va", "--no-telemetry", f"--vdev={rx}", "--vdev=net_null9,no-rx=1",
        "--", "--auto-start", "--stats-period", "1", f"--forward-mode={mode}",
        "--port-topology=paired", "--total-num-mbufs=65536",
    ]
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and process.poll() is None and len(periods(log.name)) < SKIPPED:
            time.sleep(0.1)
        time.sleep(seconds + 1)
        process.terminate()
        process.wait(20)
        rates = periods(log.name)[SKIPPED:]
    if not rates:
        raise SystemExit("testpmd gave no statistics: " + " ".join(command))
    return statistics.median(rates)
