"""The yardstick: DPDK's testpmd, forwarding from one device to another on one core."""

import re
import statistics
import subprocess
import tempfile
import time

from harness.appliance import Failed, end_of

STATISTICS = re.compile(r"NIC statistics for port (\d+) .*?Rx-pps:\s+(\d+).*?Tx-pps:\s+(\d+)", re.S)

# Periods that do not count: the first is no period, the second may have begun before the start.
SKIPPED = 2
START_SECONDS_MAX = 30
BURST = 32


def periods(log):
    """Packets per second of each period that has been printed: received, and sent by the other port."""
    with open(log, errors="replace") as text:
        figures = STATISTICS.findall(text.read())
    received = [int(rx) for port, rx, _ in figures if port == "0"]
    sent = [int(tx) for port, _, tx in figures if port == "1"]
    return list(zip(received, sent))


def rate(rx, mode, burst, core, main_core, seconds):
    """Packets per second received, and forwarded to a null device, by one forwarding core, in periods of
    about a second each."""
    command = [
        "dpdk-testpmd", "--lcores", f"0@{main_core},1@{core}", "--no-pci", "--in-memory",
        "--iova-mode=va", "--no-telemetry", f"--vdev={rx}", "--vdev=net_null9,no-rx=1",
        "--", "--auto-start", "--stats-period", "1", f"--forward-mode={mode}", f"--burst={burst}",
        "--port-topology=paired", "--total-num-mbufs=65536",
    ]
    wanted = SKIPPED + max(1, round(seconds))
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + START_SECONDS_MAX + 2 * seconds
        while time.monotonic() < end and process.poll() is None and len(periods(log.name)) < wanted:
            time.sleep(0.1)
        process.terminate()
        process.wait(20)
        rates = periods(log.name)[SKIPPED:]
        if not rates:
            raise Failed(f"testpmd gave no statistics: {' '.join(command)}\n{end_of(log.name)}")
    received, sent = (statistics.median(column) for column in zip(*rates))
    if sent < 0.95 * received:
        raise Failed(f"testpmd {mode} received {received / 1e6:.2f} Mpps and forwarded {sent / 1e6:.2f}")
    return received
