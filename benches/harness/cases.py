"""What is measured, and what is held against what."""

import re
from typing import NamedTuple, Optional

SIZES = ("60", "imix", "1514")
FLOWS, FILE = "imix 10k flows", "file"
FEW, CUT = 10, 128
# What linetap copies, by job: none of the frames, since no session asks or none matches; a part; all.
COPIES = {"forward": "nothing", "inline none": "none", "inline quarter": "quarter", "inline all": "all", "span all": "all"}
# Likewise of a peer that taps: `tap` forwards too, `span` does not.
TAPS = {"tap all": "all", "tap quarter": "quarter", "span all": "all"}


class Case(NamedTuple):
    """One system at one job with one kind of frames."""

    system: str
    job: str
    frames: str
    rules: int = FEW
    sessions: int = 1
    length: Optional[int] = None
    copies: Optional[str] = None
    burst: int = 32

    @property
    def name(self):
        extras = [
            f"{self.rules:,} rules" if self.rules != FEW else "",
            f"{self.sessions} sessions" if self.sessions != 1 else "",
            f"cut to {self.length}" if self.length else "",
            f"copies by {self.copies}" if self.copies else "",
            f"burst {self.burst}" if self.burst != 32 else "",
        ]
        return ", ".join([f"{self.system} {self.job}", *filter(None, extras)])

    @property
    def key(self):
        return f"{self.name}/{self.frames}"

    @property
    def is_plain(self):
        """Nothing but system, job and frames sets it apart."""
        return self == Case(self.system, self.job, self.frames)


IO = {frames: Case("testpmd", "io", frames) for frames in (*SIZES, FLOWS)}
TCPDUMP, OFFLINE = Case("tcpdump", "-r -w", FILE), Case("linetap", "mirror", FILE)


def testpmd_cases():
    for frames in SIZES:
        yield from (Case("testpmd", job, frames) for job in ("io", "macswap", "csum"))
        yield Case("testpmd", "io", frames, burst=64)
    yield IO[FLOWS]


def linetap_cases():
    for frames in SIZES:
        yield from (Case("linetap", job, frames) for job in COPIES)
        yield Case("linetap", "inline all", frames, sessions=3)
        yield from (Case("linetap", "inline all", frames, rules=rules) for rules in (1_000, 10_000))
        if frames != "60":
            yield from (Case("linetap", job, frames, length=CUT) for job in ("inline all", "span all"))
            # Null devices carry frames of several segments and don't say so.
            yield Case("linetap", "inline all", frames, copies="share")
    yield from (Case("linetap", job, FLOWS) for job in ("forward", "inline quarter", "inline all"))


def peer_cases(system, jobs):
    return [Case(system, job, frames) for frames in SIZES for job in jobs]


def cases(peers=(), copies=None):
    """All of a run, in the order of a round. `copies`: a way to copy that linetap is held to."""
    linetap = list(linetap_cases())
    if copies:
        plain = [case for case in linetap if not case.copies]
        linetap = [case._replace(copies=copies) if COPIES[case.job] in ("quarter", "all") else case for case in plain]
    wanted = [*testpmd_cases(), *linetap]
    if "ovs" in peers:
        wanted += peer_cases("ovs", TAPS)
    if "kernel" in peers:
        wanted += peer_cases("kernel", ["tap all", "tap quarter"])
    return sorted(wanted, key=lambda case: (*SIZES, FLOWS).index(case.frames)) + [TCPDUMP, OFFLINE]


class Claim(NamedTuple):
    """Of `case`, in each round, `base`'s rate is a part: their ratio, whose median must not be below
    the floor."""

    case: Case
    base: Case
    floor: Optional[float] = None

    @property
    def is_of_io(self):
        return self.base == IO.get(self.case.frames)


IO_FLOORS = {
    ("inline all", "60"): 0.55,
    ("inline all", "imix"): 0.50,
    ("inline all", "1514"): 0.50,
    **{("inline quarter", frames): 0.65 for frames in SIZES},
    **{("span all", frames): 0.75 for frames in SIZES},
    **{("inline none", frames): 0.80 for frames in SIZES},
}
THREE_SESSIONS, MANY_FLOWS, MANY_RULES = 0.90, 0.90, 0.80
# What a peer is to be left behind by, where headers count: with 1514 bytes all of them copy memory, and
# testpmd io itself is less than four times as fast as Open vSwitch.
PEER_JOBS = {"inline all": "tap all", "inline quarter": "tap quarter", "span all": "span all"}
PEER_FLOORS = {("ovs", "tap all"): 4.0, ("ovs", "span all"): 2.5, ("kernel", "tap all"): 15.0}
PEER_FLOOR_FRAMES = ("60", "imix")


def claims(cases):
    """What is held against what in a run of these cases, and the floors."""
    found = []
    for case in cases:
        found += claims_of(case)
    return [claim for claim in found if claim.base in cases]


def claims_of(case):
    if case.frames == FILE:
        return [Claim(OFFLINE, TCPDUMP, 1.00)] if case == OFFLINE else []
    # A way to copy that is forced is a trial, which promises nothing.
    has_floor = case.system == "linetap" and case.is_plain
    found = []
    if case != IO[case.frames]:
        found.append(Claim(case, IO[case.frames], IO_FLOORS.get((case.job, case.frames)) if has_floor else None))
    if case.system != "linetap":
        return found
    one = case._replace(sessions=1, rules=FEW)
    if case.sessions == 3:
        found.append(Claim(case, one, None if case.copies else THREE_SESSIONS))
    if case.rules > FEW:
        found.append(Claim(case, one, MANY_RULES if case.rules == 10_000 and not case.copies else None))
    if case.copies == "share":
        found.append(Claim(case, case._replace(copies=None)))
    if case.length:
        found.append(Claim(case, case._replace(length=None)))
    if case.frames == FLOWS:
        has_floor = case.job == "inline all" and not case.copies
        found.append(Claim(case, case._replace(frames="imix"), MANY_FLOWS if has_floor else None))
    if case._replace(copies=None).is_plain and case.job in PEER_JOBS:
        for system in ("ovs", "kernel"):
            peer = Case(system, PEER_JOBS[case.job], case.frames)
            has_floor = case.frames in PEER_FLOOR_FRAMES and not case.copies
            found.append(Claim(case, peer, PEER_FLOORS.get((system, peer.job)) if has_floor else None))
    return found


def chosen(cases, only):
    """Those whose name and frames match, and what they are held against."""
    wanted = [case for case in cases if re.search(only, f"{case.name} {case.frames}")]
    bases = {claim.base for claim in claims(cases) if claim.case in wanted}
    return [case for case in cases if case in wanted or case in bases]
