"""One measurement of one case, and the proof that the case did what it is measured at."""

import os
import pathlib
import time

from harness import kernel, offline, ovs, rules, testpmd
from harness.appliance import Appliance, Failed, config
from harness.cases import COPIES, FILE, TAPS
from harness.template import template
from harness.traffic import FRAMES, write

WORKER_CORE, OTHER_CORE = 1, 0
# Counters of one measurement are read one after the other, so that shares are off by a little.
TOLERANCE = 0.02
# Until a switch has met all flows.
SETTLE_SECONDS = 1


class Bench:
    """The captures of a run, and how its cases are measured on them."""

    def __init__(self, binary, scratch, seconds):
        self.binary, self.scratch, self.seconds = binary, pathlib.Path(scratch), seconds
        self.contents = {}
        self.ran = 0

    def prepare(self, frames):
        """Writes the capture of such frames."""
        self.contents[frames] = write(self.capture(frames), FRAMES[frames])

    def capture(self, frames):
        return self.scratch / f"{frames.replace(' ', '-')}.pcap"

    def expected(self, case):
        """What a case must copy; None of one that copies nothing by its nature."""
        what = {"linetap": COPIES, "ovs": TAPS, "kernel": TAPS}.get(case.system, {}).get(case.job)
        if what is None:
            return None
        sessions = rules.sessions_of(what, case.rules, case.sessions, case.length)
        return rules.expected(sessions, self.contents[case.frames])

    def measure(self, case):
        """Packets per second."""
        self.ran += 1
        directory = self.scratch / f"run-{self.ran}"
        try:
            return self.method(case)(case, directory)
        except Failed as failure:
            raise Failed(f"{case.name}, {case.frames}: {failure}") from None

    def method(self, case):
        return self.file if case.frames == FILE else getattr(self, case.system)

    def rx(self, case, number=0):
        """The device that repeats the case's capture for ever."""
        return f"net_pcap{number},rx_pcap={self.capture(case.frames)},infinite_rx=1"

    def testpmd(self, case, _):
        return testpmd.rate(self.rx(case), case.job, case.burst, WORKER_CORE, OTHER_CORE, self.seconds)

    def linetap(self, case, directory):
        sessions = rules.sessions_of(COPIES[case.job], case.rules, case.sessions, case.length)
        is_span = case.job == "span all"
        text = config(directory, self.rx(case), is_span, WORKER_CORE, case.copies)
        appliance = Appliance(self.binary, directory, text, template(sessions))
        try:
            appliance.wait()
            rates = appliance.rates(self.seconds)
        finally:
            appliance.stop()
        check(rates.received, None if is_span else rates.forwarded, rates.copied, self.expected(case))
        if rates.copied and case.job != "inline none":
            check_len(rates.mean_len, self.expected(case).mean_len)
        return rates.received

    def ovs(self, case, directory):
        switch = ovs.Switch(directory, WORKER_CORE, OTHER_CORE)
        is_span = case.job == "span all"
        (session,) = rules.sessions_of(TAPS[case.job], case.rules)
        try:
            switch.start()
            switch.wire(self.rx(case), session.rules, is_span)
            time.sleep(SETTLE_SECONDS)
            rates = switch.rates(self.seconds)
        finally:
            switch.stop()
        check(rates.received, None if is_span else rates.forwarded, [rates.copied], self.expected(case))
        return rates.received

    def kernel(self, case, directory):
        tap = kernel.Tap(directory, WORKER_CORE, OTHER_CORE)
        (session,) = rules.sessions_of(TAPS[case.job], case.rules)
        try:
            tap.start(self.rx(case), session.rules)
            time.sleep(SETTLE_SECONDS)
            rates = tap.rates(self.seconds)
        finally:
            tap.stop()
        check(rates.received, rates.forwarded, [rates.copied], self.expected(case))
        return rates.received

    def file(self, case, directory):
        """linetap must keep as many as tcpdump does."""
        os.makedirs(directory)
        if case.system == "tcpdump":
            seconds, self.kept = offline.tcpdump(self.capture(FILE), directory)
        else:
            seconds, mirrored = offline.linetap(self.binary, self.capture(FILE), directory)
            if mirrored != self.kept:
                raise Failed(f"mirrored {mirrored} packets where tcpdump kept {self.kept}")
        return FRAMES[FILE].packets / seconds


def check(received, forwarded, copied, expected):
    """All in packets per second, `copied` by session; `forwarded` is None where nothing need be."""
    if not received:
        raise Failed("no packet was received")
    if forwarded is not None and abs(forwarded / received - 1) > TOLERANCE:
        raise Failed(f"{forwarded / received:.1%} of the frames were forwarded, not all")
    if len(copied) != len(expected.shares):
        raise Failed(f"{len(copied)} sessions run, not {len(expected.shares)}")
    for number, (copies, share) in enumerate(zip(copied, expected.shares), 1):
        if abs(copies / received - share) > TOLERANCE * max(share, 0.05):
            raise Failed(f"session {number} copied {copies / received:.2%} of the frames, not {share:.2%}")


def check_len(mean_len, expected):
    if abs(mean_len / expected - 1) > TOLERANCE:
        raise Failed(f"a copy has {mean_len:.1f} bytes of its frame on average, not {expected:.1f}")
