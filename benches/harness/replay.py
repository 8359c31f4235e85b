"""`linetap replay`'s process against tcpreplay, on a veth pair of its own: rate at top speed, and timing error at the
receiving end. Both send in turn, round by round: only their ratio means something on a machine that others use.

    python3 -m harness.replay [--rounds 5] [--binary target/release/linetap-traffic] [--json FILE]
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time

from harness import machine
from harness.sink import sink

NAMESPACES = ("linetap-replay-a", "linetap-replay-b")
NEAR, FAR = "replay0", "replay1"
WORKER_CORE, OTHER_CORE = 1, 0
FRAMES, PER_SECOND = 10_000, 100_000
TOP_SECONDS = 1
# The kernel sends by the veth's queue of the core; offloads would merge what the receiver sees.
OFFLOADS = ("gro", "gso", "tso", "tx", "rx", "sg")
RECORD = struct.Struct("<IIII")
NUMBER, NUMBER_AT = struct.Struct(">I"), 42
NS_MAGIC = 0xA1B23C4D
# The kernel's queue of an interface is of no use to who sends at top speed and finds the interface itself full.
DEVICES = {"af_packet": f"net_af_packet0,iface={NEAR},qdisc_bypass=1", "af_xdp": f"net_af_xdp0,iface={NEAR}"}

SOCKET = pathlib.Path(tempfile.gettempdir()) / "linetap-replay-memif.sock"


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True)


def within(namespace, *words):
    return ["ip", "netns", "exec", namespace, *words]


@contextlib.contextmanager
def pair():
    """Both ends, in namespaces of their own."""
    remove_pair()
    try:
        raise_pair()
        yield
    finally:
        remove_pair()


def raise_pair():
    for namespace in NAMESPACES:
        sh("ip", "netns", "add", namespace)
        sh(*within(namespace, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"))
    near, far = NAMESPACES
    sh("ip", "link", "add", NEAR, "netns", near, "type", "veth", "peer", "name", FAR, "netns", far)
    for namespace, device in zip(NAMESPACES, (NEAR, FAR)):
        for offload in OFFLOADS:
            sh(*within(namespace, "ethtool", "-K", device, offload, "off"), check=False)
        sh("ip", "-n", namespace, "link", "set", device, "up")


def remove_pair():
    for namespace in NAMESPACES:
        sh("ip", "netns", "del", namespace, check=False)


def write_capture(path, frame_len):
    """Frames of one flow, evenly spaced, each with its number."""
    gap = 1_000_000_000 // PER_SECOND
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", NS_MAGIC, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            ns = number * gap
            file.write(RECORD.pack(1 + ns // 10**9, ns % 10**9, frame_len, frame_len))
            file.write(frame(number, frame_len))


def frame(number, frame_len):
    ip_len = frame_len - 14
    ethernet = bytes.fromhex("020000000002020000000001" "0800")
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, ip_len, 0, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    udp = struct.pack(">HHHH", 5000, 5001, ip_len - 20, 0)
    return (ethernet + ip + udp + struct.pack(">I", number)).ljust(frame_len, b"\0")


class Traffic:
    """A `linetap-traffic` with one port."""

    def __init__(self, binary, device, namespace=None):
        self.near, far = socket.socketpair()
        command = [binary] if namespace is None else within(namespace, binary)
        self.process = subprocess.Popen(command, stdin=far)
        far.close()
        self.lines = self.near.makefile("r")
        port = {"name": "p", "device": device, "mtu": 1500, "mac": None}
        self.ask({"Open": {"ports": [port], "cores": [WORKER_CORE], "memory": "Auto", "frames": 32768}}, "Opened")

    def ask(self, request, expected):
        self.near.sendall(json.dumps(request).encode() + b"\n")
        for line in self.lines:
            event = json.loads(line)
            if expected in event:
                return event[expected]
            if "ReplayProgress" not in event:
                break
        raise RuntimeError(f"{request}: {line}")

    def replay(self, file, timing, duration=None):
        nothing = {"source_mac": [None] * 2, "destination_mac": [None] * 2, "addresses": [], "ports": [],
                   "vlan": None, "increments": []}
        plan = {"files": [str(file)], "joining": "Merged", "timing": timing, "loops": None if duration else 1,
                "duration_ns": duration and int(duration * 1e9), "limit": None, "gap_max_ns": None, "port": 0,
                "split": None, "rewrites": nothing}
        return self.ask({"Replay": plan}, "Replayed")

    def close(self):
        self.near.close()
        self.lines.close()
        self.process.wait()


def counted():
    """Frames that arrived at the far end, and those that were sent at the near one: more, where the far end does not keep up."""
    def counter(namespace, device, name):
        return int(sh(*within(namespace, "cat", f"/sys/class/net/{device}/statistics/{name}")).stdout)

    near, far = NAMESPACES
    sent = counter(near, NEAR, "tx_packets") + counter(near, NEAR, "tx_dropped")
    return counter(far, FAR, "rx_packets"), sent


def tcpreplay(file, *options):
    command = within(NAMESPACES[0], "taskset", "-c", str(WORKER_CORE), "tcpreplay", "-q", "-i", NEAR, *options, str(file))
    return sh(*command).stdout


class Ear:
    """A packet socket of the kernel's at the far end, with the kernel's times of arrival."""

    def __init__(self, file):
        command = ["taskset", "-c", str(OTHER_CORE), "tcpdump", "-Z", "root", "-i", FAR, "-Q", "in", "-s", "64", "-B", "262144",
                   "--time-stamp-precision=nano", "-w", str(file)]
        self.file = file
        self.process = subprocess.Popen(within(NAMESPACES[1], *command), stderr=subprocess.PIPE, text=True)
        while "listening" not in self.process.stderr.readline():
            pass

    def times(self):
        """Numbers and times of arrival, in nanoseconds, of the frames in order."""
        # Its last block comes after a second.
        time.sleep(1.3)
        self.process.send_signal(2)
        self.process.wait()
        data, at, times = pathlib.Path(self.file).read_bytes(), 24, []
        while at < len(data):
            seconds, nanoseconds, kept, _ = RECORD.unpack_from(data, at)
            (number,) = NUMBER.unpack_from(data, at + RECORD.size + NUMBER_AT)
            times.append((number, seconds * 10**9 + nanoseconds))
            at += RECORD.size + kept
        return times


def errors(times):
    """How much later than evenly spaced frames arrived, in microseconds: median, 99 %, longest. The least delay of all
    is nobody's error, and neither is a clock that runs at another rate (told in parts per million)."""
    gap = 10**9 / PER_SECOND
    late = [time - times[0][1] - number * gap for number, time in times]
    # The rate: between the least delays of the first and of the last tenth.
    tenth = len(late) // 10
    drift = (min(late[-tenth:]) - min(late[:tenth])) / (FRAMES - FRAMES // 10)
    late = [error - number * drift for error, (number, _) in zip(late, times)]
    least = min(late)
    late = sorted((error - least) / 1000 for error in late)
    return {"p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100], "max": late[-1], "ppm": drift / gap * 1e6,
            "frames": len(times)}


def timing_round(binary, file, work):
    result = {}
    for sender in ("linetap", "tcpreplay", f"tcpreplay --pps={PER_SECOND}"):
        ear = Ear(work / "ear.pcap")
        if sender == "linetap":
            traffic = Traffic(binary, DEVICES["af_packet"], NAMESPACES[0])
            traffic.replay(file, {"Original": {"speed": 1.0}})
            traffic.close()
        else:
            tcpreplay(file, "--preload-pcap", *sender.split()[1:])
        result[sender] = errors(ear.times())
    return result


def top_round(binary, file):
    """Frames per second, of each: what arrives in the far end's kernel, which the sender's core carries it into; and
    what is sent to a far end that throws it away on the other core."""
    result = {}
    for far_end, which in (("stack", 0), ("sink", 1)):
        with sink(NAMESPACES[1], FAR, OTHER_CORE) if far_end == "sink" else contextlib.nullcontext():
            for name, run in top_senders(binary, file).items():
                before = counted()[which]
                seconds = run()
                result[f"{far_end} {name}"] = (counted()[which] - before) / seconds
    return result


def top_senders(binary, file):
    """Each sends all it can, and returns for how many seconds."""
    def linetap(device):
        traffic = Traffic(binary, device, NAMESPACES[0])
        report = traffic.replay(file, "Top", TOP_SECONDS)
        traffic.close()
        return report["elapsed_ns"] / 1e9

    def peer():
        said = tcpreplay(file, "--topspeed", "--preload-pcap", "--loop=1000000", f"--duration={TOP_SECONDS}")
        return float(re.search(r"packets \(.*?\) sent in ([0-9.]+) seconds", said).group(1))

    return {name: lambda device=device: linetap(device) for name, device in DEVICES.items()} | {"tcpreplay": peer}


def bare_round(binary, file):
    """Frames per second on one core, into a null device and into shared memory: kept frames, and testpmd's txonly and
    flowgen."""
    result = {}
    for name, (device, receiver) in BARE.items():
        with receiver():
            traffic = Traffic(binary, device)
            report = traffic.replay(file, "Top", TOP_SECONDS)
            traffic.close()
        result[f"{name} linetap"] = report["packets"] / (report["elapsed_ns"] / 1e9)
        for mode in ("txonly", "flowgen"):
            with receiver():
                result[f"{name} {mode}"] = testpmd(device, mode)
    return result


def testpmd_command(device, cores, mode, *options):
    return ["dpdk-testpmd", "--lcores", f"0@{OTHER_CORE},1@{cores}", "--no-pci", "--no-huge", "-m", "512", "--no-shconf",
            "--iova-mode=va", "--no-telemetry", f"--vdev={device}", "--", "--auto-start", "--stats-period", "1",
            f"--forward-mode={mode}", "--burst=64", "--total-num-mbufs=32768", *options]


def testpmd(device, mode):
    """Frames per second that it sends."""
    command = ["timeout", "-s", "INT", "8", *testpmd_command(device, WORKER_CORE, mode, "--txpkts=60")]
    said = sh(*command, check=False).stdout
    rates = [int(rate) for rate in re.findall(r"Tx-pps:\s+(\d+)", said)][2:]
    return statistics.median(rates) if rates else 0.0


@contextlib.contextmanager
def memif_receiver():
    """Who takes what comes into the shared memory, on the other core."""
    SOCKET.unlink(missing_ok=True)
    server = f"net_memif0,role=server,socket-abstract=no,socket={SOCKET}"
    command = testpmd_command(server, OTHER_CORE, "rxonly")
    with subprocess.Popen(["stdbuf", "-oL", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            # Who comes before its port runs is turned away.
            while b"Port statistics" not in (line := process.stdout.readline()):
                if not line:
                    raise RuntimeError(f"{command} has ended")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield
        finally:
            process.send_signal(2)
            process.wait()


BARE = {
    "net_null": ("net_null0", contextlib.nullcontext),
    "net_memif": (f"net_memif0,role=client,socket-abstract=no,socket={SOCKET}", memif_receiver),
}


def tell(rounds, peer, others):
    """The medians, and each in ratio to a peer's rate in the same round."""
    for name in (peer, *others) if rounds else ():
        ratios = sorted(one[name] / one[peer] for one in rounds if one[peer])
        said = f", of {peer} {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}" if name != peer else ""
        print(f"{name}: {statistics.median(one[name] for one in rounds) / 1e6:.3f} M/s{said}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", default="target/release/linetap-traffic")
    parser.add_argument("--frame-len", type=int, default=60)
    parser.add_argument("--only", choices=("timing", "top", "bare"))
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE, WORKER_CORE})
    record = {"timing": [], "top": [], "bare": []}
    with tempfile.TemporaryDirectory() as work, machine.precedence(), machine.hugepages(), pair():
        work = pathlib.Path(work)
        write_capture(work / "even.pcap", arguments.frame_len)
        # What fits into memory of any process: a part of it.
        small = work / "small.pcap"
        small.write_bytes((work / "even.pcap").read_bytes()[: 24 + 8192 * (RECORD.size + arguments.frame_len)])
        rounds = {"timing": lambda: timing_round(arguments.binary, work / "even.pcap", work),
                  "top": lambda: top_round(arguments.binary, small), "bare": lambda: bare_round(arguments.binary, small)}
        for number in range(arguments.rounds):
            for name, run in rounds.items():
                if arguments.only in (None, name):
                    record[name].append(run())
                    print(number, name, json.dumps(record[name][-1]), flush=True)
    for far_end in ("stack", "sink"):
        tell(record["top"], f"{far_end} tcpreplay", [f"{far_end} {name}" for name in DEVICES])
    for device in BARE:
        tell(record["bare"], f"{device} txonly", [f"{device} linetap", f"{device} flowgen"])
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
