"""The tables, the ratios, the floors and the model say what was measured."""

import collections
import json
import re
import unittest

from harness import model, page, report
from harness.cases import IO, OFFLINE, TCPDUMP, Case
from harness.rules import Expected
from harness.traffic import Contents
from harness.tests.test_rules import WEB

INLINE = Case("linetap", "inline all", "60")
OVS = Case("ovs", "tap all", "60")


def document(results):
    contents = {"60": Contents(collections.Counter({(WEB, 60): 10}), 10)}
    expectations = {case: Expected([1.0], 60.0) for case in results if case.system in ("linetap", "ovs")}
    memory = {"method": "by hand", "cores": 2, "one": [5e9], "all": [8e9]}
    return report.document({"command": "bench", "machine": {"cpu": "x"}, "tsc_hz": 2e9}, results, contents, expectations, memory)


class Ratios(unittest.TestCase):
    def test_a_ratio_is_of_one_round(self):
        # Of the medians it would be 0.5; the machine was twice as fast in the second round.
        doc = document({IO["60"]: [10e6, 20e6, 40e6], INLINE: [8e6, 16e6, 10e6]})
        (claim,) = doc["claims"]
        self.assertEqual(claim["ratios"], [0.8, 0.8, 0.25])
        self.assertFalse(claim["missed"])

    def test_a_missed_floor_is_named(self):
        doc = document({IO["60"]: [10e6] * 3, INLINE: [6e6, 5.4e6, 5.4e6], OVS: [1e6] * 3})
        self.assertEqual(report.missed(doc), ["linetap inline all, 60: 0.540 of testpmd io's rate, floor 0.55"])
        self.assertIn("0.54 | 0.55 missed", report.markdown(doc))
        self.assertIn("- linetap inline all, 60: 0.540", report.markdown(doc))

    def test_a_floor_that_is_just_reached_is_reached(self):
        doc = document({IO["60"]: [100.0], INLINE: [55.0], OVS: [13.75]})
        self.assertEqual(report.missed(doc), [])
        self.assertIn("No floor was missed.", report.markdown(doc))

    def test_peers_are_held_against_in_their_own_table(self):
        text = report.markdown(document({IO["60"]: [10e6], INLINE: [8e6], OVS: [1e6]}))
        self.assertIn("| 60 | linetap inline all | ovs tap all | 8.00 | 8.00 | 8.00 | 4.00 |", text)
        self.assertNotIn("| testpmd io |", text.split("Held against one another")[1])
        self.assertIn("| 60 | ovs tap all | 1.000 | 1.000 | 1.000 | 0.10 |  |", text)

    def test_the_file_case_is_held_against_tcpdump(self):
        doc = document({TCPDUMP: [2e6], OFFLINE: [1e6]})
        self.assertEqual(report.missed(doc), ["linetap mirror, file: 0.500 of tcpdump -r -w's rate, floor 1.00"])

    def test_every_round_is_in_the_json(self):
        doc = json.loads(json.dumps(document({IO["60"]: [10e6, 11e6], INLINE: [8e6, 9e6]})))
        self.assertEqual(doc["pps"]["linetap inline all/60"], [8e6, 9e6])

    def test_a_part_of_the_cases_is_a_report_too(self):
        text = report.markdown(document({IO["60"]: [10e6]}))
        self.assertIn("| 60 | testpmd io | 10.00 |", text)
        self.assertNotIn("What more workers", text)


class Scaling(unittest.TestCase):
    forward = model.Work(frame_len=60, share=0, copy_len=0, is_forwarded=True)
    inline = model.Work(frame_len=60, share=1, copy_len=60, is_forwarded=True)
    span = model.Work(frame_len=60, share=1, copy_len=60, is_forwarded=False)

    def test_line_rate_is_that_of_the_standard(self):
        # 64 bytes with FCS at 100 Gbit/s: 148.8 million frames per second.
        self.assertAlmostEqual(self.forward.line_pps / 1e6, 148.8, delta=0.05)

    def test_copies_fill_the_tools_wire_first(self):
        self.assertTrue(self.inline.fills_tool_first)
        self.assertAlmostEqual(self.inline.line_pps, 12.5e9 / (60 + 50 + 24))
        self.assertFalse(model.Work(60, 0.25, 60, True).fills_tool_first)

    def test_buffers_and_bytes(self):
        self.assertEqual([work.buffers for work in (self.forward, self.inline, self.span)], [1, 2, 1])
        self.assertEqual(self.forward.memory_bytes, 60 + 160 + 60 + 32)
        self.assertEqual(self.inline.memory_bytes, self.forward.memory_bytes + 60 + 3 * 110 + 160)
        self.assertEqual(self.span.memory_bytes, 60 + 160 + 50 + 110 + 32)

    def test_what_is_full_first_limits(self):
        self.assertEqual(model.scaled(2, 10e6, self.inline, 1e12), (20e6, "workers"))
        rate, limit = model.scaled(16, 10e6, self.inline, 1e12)
        self.assertEqual((rate, limit), (self.inline.line_pps, "tool"))
        self.assertEqual(model.scaled(16, 10e6, self.forward, 1e12)[1], "wire")
        self.assertEqual(model.scaled(16, 10e6, self.inline, 862 * 1e6), (1e6, "memory"))

    def test_workers_for_a_full_wire(self):
        self.assertEqual(model.workers_for_line(self.forward.line_pps / 4, self.forward), 4)
        self.assertEqual(model.workers_for_line(self.forward.line_pps / 3.5, self.forward), 4)

    def test_the_model_is_in_the_report(self):
        text = report.markdown(document({IO["60"]: [20e6], INLINE: [10e6]}))
        self.assertIn("| 60 | linetap inline all | 10.00 | 200 | 2.00 | 862 | 9.3 m |", text)
        self.assertIn("8.0 GB/s by all 2 at once", text)


@unittest.skipUnless(page.can_plot(), "matplotlib is not here")
class Page(unittest.TestCase):
    def setUp(self):
        self.html = page.html(document({IO["60"]: [10e6, 12e6], INLINE: [5e6, 6e6], OVS: [1e6, 1e6]}))

    def test_it_needs_nothing_from_elsewhere(self):
        self.assertEqual(re.findall(r'(?:src|href)="[^#"][^"]*"|url\([^#)]+\)|@import', self.html), [])
        self.assertNotIn("<script", self.html)

    def test_its_colours_are_those_of_the_page(self):
        self.assertEqual(set(re.findall(r"#0[0-9]0[0-9]0[0-9]", self.html)), set())
        self.assertIn("fill: var(--missed)", self.html)
        self.assertIn("prefers-color-scheme: dark", self.html)

    def test_identifiers_are_there_once(self):
        ids = re.findall(r'\bid="([^"]+)"', self.html)
        self.assertEqual(len(ids), len(set(ids)))

    def test_it_tells_what_was_missed_and_how_to_repeat_it(self):
        self.assertIn("1 of 2 floors were missed", self.html)
        self.assertIn("<pre>scripts/setup --bench\nbench</pre>", self.html)


if __name__ == "__main__":
    unittest.main()
