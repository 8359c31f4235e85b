"""The announcement's own example, by boto3 on a live wire: a target, a filter for inbound ports 22, 80
and 443, a session with a chosen VNI and whole packets. The tool has to see those packets and no others;
and when a call that takes a rule away or adds one returns, the very next packet obeys it.

    api_walk.py LAB ENDPOINT TIMES     in the namespace of the appliance
"""

import select
import subprocess
import sys
import time

import boto3

CLIENT, VNI = "198.51.100.1", 4711
INTERFACE, TOOL = "eni-0a000000000000001", "eni-0b000000000000004"
PORTS, OTHER = (22, 80, 443), 8080

# For each line "PORT NUMBER" a TCP segment to the client, whose sequence number is that number.
SENDER = f"""
import socket, struct, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
for line in sys.stdin:
    port, number = map(int, line.split())
    raw.sendto(struct.pack("!HHIIBBHHH", 40000, port, number, 0, 5 << 4, 2, 1024, 0, 0), ("{CLIENT}", 0))
    print("sent", flush=True)
"""
# A line "VNI PORT NUMBER" for each copy that arrives.
RECEIVER = """
import socket, struct
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
packets.bind(("mirror0", 0))
print("ready", flush=True)
while True:
    frame, address = packets.recvfrom(2048)
    # Ethernet, IPv4, UDP and VXLAN; Ethernet, IPv4 and TCP.
    if address[2] == socket.PACKET_OUTGOING or len(frame) < 50 + 14 + 20 + 20 or frame[23] != 17 or frame[36:38] != b"\\x12\\xb5":
        continue
    inner = frame[50:]
    if inner[12:14] != b"\\x08\\x00" or inner[23] != 6:
        continue
    port, number = struct.unpack("!HI", inner[36:42])
    print(int.from_bytes(frame[46:49], "big"), port, number, flush=True)
"""


class Wire:
    """The server's end, from which packets are sent, and the tool, which tells what has come."""

    def __init__(self, lab):
        def python(side, code, **pipes):
            command = ["ip", "netns", "exec", f"{lab}-{side}", sys.executable, "-c", code]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **pipes)

        self.sender = python("server", SENDER, stdin=subprocess.PIPE)
        self.receiver = python("tool", RECEIVER)
        assert self.receiver.stdout.readline() == "ready\n"
        self.numbers, self.came = 0, []

    def send(self, port):
        """Sends one packet; returns its number."""
        self.numbers += 1
        self.sender.stdin.write(f"{port} {self.numbers}\n")
        self.sender.stdin.flush()
        assert self.sender.stdout.readline() == "sent\n"
        return self.numbers

    def wait_for(self, number):
        """Takes note of what comes, until the packet of that number has."""
        while not self.came or self.came[-1][2] != number:
            line = self.receiver.stdout.readline()
            assert line, "the receiver ended"
            self.came.append(tuple(map(int, line.split())))

    def close(self):
        for process in (self.sender, self.receiver):
            process.kill()
            process.wait()


def walk(wire, ec2, times):
    target = ec2.create_traffic_mirror_target(NetworkInterfaceId=TOOL)["TrafficMirrorTarget"]["TrafficMirrorTargetId"]
    mirror_filter = ec2.create_traffic_mirror_filter()["TrafficMirrorFilter"]["TrafficMirrorFilterId"]

    def add_rule(number, port):
        rule = ec2.create_traffic_mirror_filter_rule(
            TrafficMirrorFilterId=mirror_filter, TrafficDirection="ingress", RuleNumber=number, RuleAction="accept", Protocol=6,
            DestinationPortRange={"FromPort": port, "ToPort": port}, SourceCidrBlock="0.0.0.0/0", DestinationCidrBlock="0.0.0.0/0",
        )
        return rule["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"]

    rules = {port: add_rule(number, port) for number, port in enumerate(PORTS, 1)}
    ec2.create_traffic_mirror_session(
        NetworkInterfaceId=INTERFACE, TrafficMirrorTargetId=target, TrafficMirrorFilterId=mirror_filter, SessionNumber=1, VirtualNetworkId=VNI,
    )
    # Until the tool's address is known, copies are skipped.
    for _ in range(50):
        last = wire.send(22)
        time.sleep(0.2)
        if select.select([wire.receiver.stdout], [], [], 0)[0]:
            break
    wire.wait_for(last)
    wire.came.clear()

    wanted = []
    for _ in range(50):
        wire.send(OTHER)
        wanted += [(VNI, port, wire.send(port)) for port in PORTS]
    wire.wait_for(wanted[-1][2])
    assert wire.came == wanted, f"of {len(wanted)} copies {len(wire.came)} came"

    wire.came.clear()
    wanted.clear()
    for _ in range(times):
        ec2.delete_traffic_mirror_filter_rule(TrafficMirrorFilterRuleId=rules[443])
        wire.send(443)
        rules[443] = add_rule(3, 443)
        wanted.append((VNI, 443, wire.send(443)))
    wire.wait_for(wanted[-1][2])
    assert wire.came == wanted, f"of {len(wanted)} copies {len(wire.came)} came"


def main():
    lab, endpoint, times = sys.argv[1:]
    ec2 = boto3.client("ec2", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret-of-the-example-key")
    wire = Wire(lab)
    started = time.monotonic()
    try:
        walk(wire, ec2, int(times))
    finally:
        wire.close()
    print(f"{times} times a rule was taken away and added, in {time.monotonic() - started:.1f} s: each next packet obeyed")


main()
