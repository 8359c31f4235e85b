"""The yardstick: DPDK's testpmd, forwarding from one device to another on one core."""

import re
import statistics
import subprocess
import tempfile
import time

STATISTICS = re.compile(r"NIC statistics for port 0 .*?Rx-pps:\s+(\d+)", re.S)


def rate(rx, mode, core, main_core, seconds):
    """Packets per second, with testpmd's own burst of 32, received (and forwarded to a null device) by one forwarding core."""
    command = [
        "dpdk-testpmd", "--lcores", f"0@{main_core},1@{core}", "--no-pci", "--in-memory",
        "--iova-mode=va", "--no-telemetry", f"--vdev={rx}", "--vdev=net_null9,no-rx=1",
        "--", "--auto-start", "--stats-period", "1", f"--forward-mode={mode}",
        "--port-topology=paired", "--total-num-mbufs=65536",
    ]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        time.sleep(seconds + 4)  # start, and two periods that do not count
        process.terminate()
        process.wait(20)
        log.seek(0)
        rates = [int(value) for value in STATISTICS.findall(log.read())]
    if len(rates) < 4:
        raise SystemExit("testpmd gave no statistics: " + " ".join(command))
    return statistics.median(rates[2:-1])
