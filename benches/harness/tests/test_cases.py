"""The cases of a run, and the floors they are held to."""

import unittest

from harness import cases
from harness.cases import IO, SIZES, Case, chosen, claims


class Cases(unittest.TestCase):
    def setUp(self):
        self.default = cases.cases()
        self.all = cases.cases(("ovs", "kernel"))

    def floor(self, case, base):
        found = [claim.floor for claim in claims(self.all) if (claim.case, claim.base) == (case, base)]
        self.assertEqual(len(found), 1, (case, base))
        return found[0]

    def test_no_case_is_there_twice(self):
        self.assertEqual(len({case.key for case in self.all}), len(self.all))

    def test_peers_run_only_when_asked_for(self):
        self.assertEqual({case.system for case in self.default}, {"testpmd", "linetap", "tcpdump"})
        self.assertEqual({case.system for case in cases.cases(("ovs",))}, {"testpmd", "linetap", "tcpdump", "ovs"})

    def test_every_size_has_every_way(self):
        for frames in SIZES:
            for job in ("forward", "inline none", "inline quarter", "inline all", "span all"):
                self.assertIn(Case("linetap", job, frames), self.default)

    def test_floors_of_testpmd_io(self):
        floors = {job: [self.floor(Case("linetap", job, frames), IO[frames]) for frames in SIZES] for job in cases.COPIES}
        self.assertEqual(floors["inline all"], [0.55, 0.50, 0.50])
        self.assertEqual(floors["inline quarter"], [0.65] * 3)
        self.assertEqual(floors["span all"], [0.75] * 3)
        self.assertEqual(floors["inline none"], [0.80] * 3)
        self.assertEqual(floors["forward"], [None] * 3)

    def test_floors_of_linetap_itself(self):
        one = Case("linetap", "inline all", "imix")
        self.assertEqual(self.floor(one._replace(sessions=3), one), 0.90)
        self.assertEqual(self.floor(one._replace(frames=cases.FLOWS), one), 0.90)
        self.assertEqual(self.floor(one._replace(rules=10_000), one), 0.80)
        self.assertIsNone(self.floor(one._replace(rules=1_000), one))

    def test_floors_of_peers(self):
        for frames in SIZES:
            inline, span = Case("linetap", "inline all", frames), Case("linetap", "span all", frames)
            found = [
                self.floor(inline, Case("ovs", "tap all", frames)),
                self.floor(span, Case("ovs", "span all", frames)),
                self.floor(inline, Case("kernel", "tap all", frames)),
            ]
            self.assertEqual(found, [None] * 3 if frames == "1514" else [4.0, 2.5, 15.0])
        self.assertEqual(self.floor(cases.OFFLINE, cases.TCPDUMP), 1.00)

    def test_only_takes_what_it_is_held_against(self):
        found = chosen(self.default, "10,000 rules 60")
        self.assertEqual([case.key for case in found], ["testpmd io/60", "linetap inline all/60", "linetap inline all, 10,000 rules/60"])
        self.assertEqual(chosen(self.default, "no such case"), [])

    def test_a_forced_way_to_copy_is_named_and_promises_nothing(self):
        forced = cases.cases(("ovs", "kernel"), copies="share")
        self.assertIn("linetap inline all, copies by share/60", [case.key for case in forced])
        self.assertIn("linetap forward/60", [case.key for case in forced])
        with_floor = {claim.case.job for claim in claims(forced) if claim.floor}
        self.assertEqual(with_floor, {"inline none", "mirror"})
        held = {(claim.case.name, claim.base.name) for claim in claims(forced)}
        self.assertIn(("linetap inline all, 3 sessions, copies by share", "linetap inline all, copies by share"), held)


if __name__ == "__main__":
    unittest.main()
