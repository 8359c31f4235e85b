"""An interface that throws away all that it receives before the kernel makes packets of it, on a core of its own: what
sends to its other end is measured, not who receives. Needs no compiler: the program has two instructions.

    python3 sink.py INTERFACE CORE          until standard input ends
"""

import contextlib
import ctypes
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time

# The system call and its commands, as linux/bpf.h has them.
NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_LOAD, LINK_CREATE = 5, 28
TYPE_XDP, ATTACH_XDP, XDP_DROP = 6, 37, 1
# r0 = XDP_DROP; exit: opcode, registers, offset, immediate.
PROGRAM = struct.pack("<BBhi", 0xB7, 0, 0, XDP_DROP) + struct.pack("<BBhi", 0x95, 0, 0, 0)


@contextlib.contextmanager
def sink(namespace, interface, core):
    """Makes one of an interface in a namespace, for as long as it lasts."""
    command = ["ip", "netns", "exec", namespace, sys.executable, __file__, interface, str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{interface} can't be made a sink")
        yield
        process.stdin.close()


def bpf(command, attributes):
    attributes = ctypes.create_string_buffer(attributes, 128)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(NR_BPF, command, attributes, len(attributes))
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf({command}): {os.strerror(error)}")
    return fd


def drop_all(interface):
    """Ends with the process, which holds the link."""
    program = ctypes.create_string_buffer(PROGRAM, len(PROGRAM))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    addresses = ctypes.addressof(program), ctypes.addressof(licence)
    loaded = bpf(PROG_LOAD, struct.pack("<IIQQ", TYPE_XDP, len(PROGRAM) // 8, *addresses))
    bpf(LINK_CREATE, struct.pack("<III", loaded, socket.if_nametoindex(interface), ATTACH_XDP))


def receive_on(interface, core):
    """The kernel's thread that polls the interface gets a core, before others there."""
    pathlib.Path(f"/sys/class/net/{interface}/threaded").write_text("1")
    time.sleep(0.2)
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().startswith(f"napi/{interface}-"):
                thread = int(comm.parent.name)
                os.sched_setaffinity(thread, {core})
                os.setpriority(os.PRIO_PROCESS, thread, -20)


def main():
    interface, core = sys.argv[1:]
    drop_all(interface)
    receive_on(interface, int(core))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
