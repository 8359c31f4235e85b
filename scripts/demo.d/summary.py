#!/usr/bin/env python3
"""Tells what the demo's counters mean: `summary.py REPORT.json`, from `linetap status --json`."""

import json
import sys

REASONS = {
    "no_source": "belong to no watched interface, such as those that the tool port received",
    "not_ip": "are not IP, such as ARP",
    "never_mirrored": "are of a kind that is never mirrored, such as DHCP",
    "no_match": "matched no rule of any session",
    "rejected": "were rejected by a rule",
    "malformed": "are malformed",
}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    ports = report["ports"]
    received = sum(ports[name]["rx_packets"] for name in ("lan", "wan"))
    forwarded = sum(ports[name]["forwarded"] for name in ("lan", "wan"))
    print(f"{received:9} packets came in on the wire,")
    print(f"{forwarded:9} of them left it at the other end.")
    print()
    for session in report["sessions"]:
        skipped = sum(session["skipped"].values())
        truncated = session["truncated_packets"]
        print(
            f"{session['mirrored_packets']:9} were copied to the tool by session"
            f" {session['logical_id']} (VNI {session['vni']});"
            f" {truncated} copies cut short, {skipped} wanted but not sent"
        )
    for reason, count in report["unmirrored"].items():
        if count:
            print(f"{count:9} {REASONS.get(reason, reason)}")
    print()
    print("Packets by the rule that settled them:")
    for rule in report["rules"]:
        print(f"{rule['hits']:9} {rule['logical_id']}")


main()
