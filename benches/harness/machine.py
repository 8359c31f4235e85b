"""The machine that is measured: its facts, its clock, its memory, and the hugepages of a run."""

import contextlib
import datetime
import multiprocessing
import os
import pathlib
import platform
import re
import subprocess
import time

HUGEPAGES = 700
# Far more than any cache: 64 MiB of source and as much of destination.
BLOCK_BYTES = 64 << 20
MEMORY_METHOD = "64 MiB blocks copied by the C library's memcpy, as Python's memoryview calls it; read and written bytes both count"


def facts(root, peers=()):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{cpu.group(1) if cpu else '?'}, {os.cpu_count()} cores",
        "simd": simd(),
        "l2, l3": caches(),
        "kernel": platform.release().split("-")[0],
        "dpdk": said_by("pkg-config", "--modversion", "libdpdk"),
        **({"ovs": said_by("ovs-vswitchd", "--version").split("\n")[0].split()[-1]} if "ovs" in peers else {}),
        "commit": commit(root),
    }


def said_by(*command):
    """A program's answer, or that there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "?"
    except FileNotFoundError:
        return "?"


def simd():
    flags = set(re.search(r"flags\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1).split())
    return next((name for flag, name in (("avx512bw", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE4.2 or less")


def caches():
    folders = sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index[23]"))
    return " and ".join((folder / "size").read_text().strip() for folder in folders) or "?"


def commit(root):
    """What is measured, with a + where files differ from it."""
    # Root may look at somebody else's repository, and leaves nothing of its own in it.
    git = ["git", "-c", f"safe.directory={root}", "--no-optional-locks"]
    try:
        head, changes = (
            subprocess.run([*git, *command], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changes else "")


def tsc_hz():
    """Ticks per second of the processor's clock, from what the kernel found; None where it does not say.
    The kernel prints twice the loops of its delay, which are ticks."""
    bogo = re.search(r"bogomips\s*: ([0-9.]+)", pathlib.Path("/proc/cpuinfo").read_text())
    return float(bogo.group(1)) * 1e6 / 2 if bogo and platform.machine() == "x86_64" else None


def copy_rate(core, seconds, results=None):
    """Bytes per second that a core moves in memory: what it reads and what it writes."""
    os.sched_setaffinity(0, {core})
    source, destination = memoryview(bytearray(b"\1") * BLOCK_BYTES), memoryview(bytearray(BLOCK_BYTES))
    destination[:] = source
    copies, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        destination[:] = source
        copies += 1
    rate = 2 * copies * BLOCK_BYTES / (time.monotonic() - start)
    if results is not None:
        results.put(rate)
    return rate


def memory_rates(cores, seconds):
    """Bytes per second of the first core alone, and of all at once."""
    return {"one": at_once(cores[:1], seconds), "all": at_once(cores, seconds)}


def at_once(cores, seconds):
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=copy_rate, args=(core, seconds, results)) for core in cores]
    for worker in workers:
        worker.start()
    total = sum(results.get(timeout=30 + seconds) for _ in workers)
    for worker in workers:
        worker.join()
    return total


@contextlib.contextmanager
def hugepages():
    """All sides get hugepages: where none are reserved, so many for the time of the run."""
    knob = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = knob.read_text()
    if int(before) < HUGEPAGES:
        knob.write_text(str(HUGEPAGES))
    try:
        yield
    finally:
        knob.write_text(before)


@contextlib.contextmanager
def precedence():
    """What is measured comes before everybody else on the machine. A nice value acts within a session
    alone where the kernel groups by sessions, so the session's own is set too, and put back."""
    group = pathlib.Path("/proc/self/autogroup")
    before = group.read_text().split()[-1] if group.exists() else None
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    if before is not None:
        group.write_text("-20")
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)
        if before is not None:
            group.write_text(before)
