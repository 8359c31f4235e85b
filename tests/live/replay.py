"""Sends the frames of a capture (pcap, microseconds, as this machine writes them) on an interface.

    replay.py FILE INTERFACE FRAMES_PER_SECOND
"""

import socket
import struct
import sys
import time

RECORD = struct.Struct("=IIII")
AT_ONCE = 16


def frames(path):
    with open(path, "rb") as file:
        file.read(24)
        while header := file.read(RECORD.size):
            yield file.read(RECORD.unpack(header)[2])


def main(path, interface, per_second):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        begun = time.monotonic()
        for sent, frame in enumerate(frames(path)):
            if sent % AT_ONCE == 0:
                time.sleep(max(0, begun + sent / int(per_second) - time.monotonic()))
            sender.send(frame)


main(*sys.argv[1:])
