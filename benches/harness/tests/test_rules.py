"""What filters take of the traffic is what the cases say they take."""

import collections
import ipaddress
import random
import unittest

from harness import rules
from harness.rules import Rule, Session
from harness.traffic import FRAMES, TCP, UDP, Contents, Flow, flow

CLIENT, SERVER = bytes([10, 1, 2, 3]), bytes([172, 16, 0, 9])
WEB = Flow(False, TCP, CLIENT, SERVER, 50_000, 443)


def contents_of(flows, length=100):
    return Contents(collections.Counter((each, length) for each in flows), len(flows))


class Matching(unittest.TestCase):
    def test_each_field_decides(self):
        rule = Rule("172.16.0.0/24", src="10.0.0.0/8", protocol=TCP, ports=(440, 443))
        self.assertTrue(rule.matches(WEB))
        for other in (
            WEB._replace(dst=bytes([172, 16, 1, 0])),
            WEB._replace(src=bytes([11, 0, 0, 0])),
            WEB._replace(protocol=UDP),
            WEB._replace(dst_port=444),
            WEB._replace(dst_port=439),
            WEB._replace(v6=True, src=bytes(16), dst=bytes(16)),
        ):
            self.assertFalse(rule.matches(other), other)

    def test_the_first_match_settles_it(self):
        reject, accept = Rule("172.16.0.0/24", accept=False), Rule("0.0.0.0/0")
        self.assertIsNone(rules.settles([Session([reject, accept]), Session([accept])], WEB))
        self.assertEqual(rules.settles([Session([accept, reject])], WEB), 0)
        self.assertEqual(rules.settles([Session([Rule("192.168.0.0/16")]), Session([accept])], WEB), 1)

    def test_ports_as_a_mask_are_the_ports(self):
        for rule in rules.QUARTER + rules.fillers(100):
            if rule.ports:
                value, mask = rule.port_mask
                taken = [port for port in range(65536) if port & mask == value]
                self.assertEqual((taken[0], taken[-1], len(taken)), (*rule.ports, rule.ports[1] - rule.ports[0] + 1))


class Shares(unittest.TestCase):
    def setUp(self):
        rng = random.Random(1)
        self.flows = [flow(rng) for _ in range(4000)]

    def test_a_quarter_is_about_a_quarter_and_every_rule_takes_some(self):
        share = rules.expected(rules.sessions_of("quarter"), contents_of(self.flows)).share
        self.assertAlmostEqual(share, 0.25, delta=0.02)
        for at in range(len(rules.QUARTER)):
            self.assertTrue(any(rules.QUARTER[at].matches(each) for each in self.flows), rules.QUARTER[at])
        self.assertEqual(len(rules.QUARTER), 10)

    def test_three_sessions_share_all_about_equally(self):
        shares = rules.expected(rules.sessions_of("all", sessions=3), contents_of(self.flows)).shares
        self.assertAlmostEqual(sum(shares), 1)
        for share in shares:
            self.assertAlmostEqual(share, 1 / 3, delta=0.03)

    def test_all_and_nothing(self):
        contents = contents_of(self.flows)
        self.assertEqual(rules.expected(rules.sessions_of("all", rules=1000), contents).shares, [1.0])
        self.assertEqual(rules.expected(rules.sessions_of("none"), contents).shares, [0.0])
        self.assertEqual(rules.expected(rules.sessions_of("nothing"), contents).shares, [])

    def test_fillers_match_nothing(self):
        servers = ipaddress.ip_network("172.16.0.0/16")
        self.assertTrue(all(ipaddress.ip_address(each.dst) in servers for each in self.flows if not each.v6))
        for rule in rules.fillers(10_000):
            self.assertFalse(ipaddress.ip_network(rule.dst).overlaps(servers), rule)

    def test_filters_have_as_many_rules_as_asked(self):
        for what, sessions in (("none", 1), ("quarter", 1), ("all", 1), ("all", 3)):
            for session in rules.sessions_of(what, 50, sessions):
                self.assertEqual(len(session.rules), 50)

    def test_a_share_counts_packets_and_cut_copies_are_short(self):
        other = WEB._replace(dst=bytes([192, 0, 2, 1]))
        contents = Contents(collections.Counter({(WEB, 1000): 1, (WEB, 60): 2, (other, 500): 1}), 4)
        found = rules.expected([Session([Rule("172.16.0.0/12")], length=128)], contents)
        self.assertEqual(found.shares, [0.75])
        self.assertAlmostEqual(found.mean_len, (128 + 60 + 60) / 3)

    def test_the_captures_have_flows_enough(self):
        self.assertGreaterEqual(min(frames.flows for frames in FRAMES.values()), 500)


if __name__ == "__main__":
    unittest.main()
