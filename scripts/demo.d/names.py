#!/usr/bin/env python3
"""The least of a name service, for traffic that looks like DNS: `names.py serve` answers every query
with 192.0.2.53, `names.py ask SERVER COUNT` asks."""

import socket
import struct
import sys

PORT = 53


def question(number):
    """A query for the address of host<number>.example."""
    name = b"".join(bytes([len(part)]) + part for part in (b"host%d" % number, b"example")) + b"\0"
    header = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0)
    return header + name + struct.pack("!2H", 1, 1)


def answer(query):
    """The answer to a query: its question again, and one address."""
    (number,) = struct.unpack_from("!H", query)
    header = struct.pack("!6H", number, 0x8180, 1, 1, 0, 0)
    record = struct.pack("!3HIH4B", 0xC00C, 1, 1, 60, 4, 192, 0, 2, 53)
    return header + query[12:] + record


def serve():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", PORT))
        while True:
            query, asker = server.recvfrom(512)
            server.sendto(answer(query), asker)


def ask(server, count):
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    answered = 0
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((server, PORT))
        for number in range(1, count + 1):
            client.send(question(number))
            try:
                answered += client.recv(512)[:2] == struct.pack("!H", number)
            except TimeoutError:
                pass
    print(f"{answered} of {count} queries answered by {server}")


if sys.argv[1] == "serve":
    serve()
else:
    ask(sys.argv[2], int(sys.argv[3]))
