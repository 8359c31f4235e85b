"""A case that does not do what it should is refused."""

import json
import tempfile
import unittest

from harness import kernel, ovs, rules, template
from harness.appliance import Failed, config, rates_between
from harness.measure import check, check_len
from harness.rules import Expected, Rule, Session
from harness.testpmd import periods

QUARTER = Expected([0.25], 100.0)


class Checks(unittest.TestCase):
    def test_what_is_right_passes(self):
        check(1000, 1000, [250], QUARTER)
        check(1000, None, [330, 670], Expected([0.33, 0.67], 100.0))
        check(1000, 1000, [], Expected([], 0.0))
        check_len(100.5, 100.0)

    def test_frames_that_are_lost_are_noticed(self):
        for forwarded in (900, 1100, 0):
            with self.assertRaisesRegex(Failed, "forwarded"):
                check(1000, forwarded, [250], QUARTER)
        with self.assertRaisesRegex(Failed, "no packet"):
            check(0, 0, [0], QUARTER)

    def test_copies_too_few_or_too_many_are_noticed(self):
        for copied in (240, 260, 0):
            with self.assertRaisesRegex(Failed, "session 1 copied"):
                check(1000, 1000, [copied], QUARTER)
        with self.assertRaisesRegex(Failed, "session 2"):
            check(1000, 1000, [500, 400], Expected([0.5, 0.5], 100.0))
        with self.assertRaisesRegex(Failed, "session 1"):
            check(1000, 1000, [5], Expected([0.0], 0.0))
        with self.assertRaisesRegex(Failed, "sessions run"):
            check(1000, 1000, [250, 0], QUARTER)

    def test_copies_that_are_not_cut_are_noticed(self):
        with self.assertRaisesRegex(Failed, "bytes"):
            check_len(349.0, 94.0)


class Figures(unittest.TestCase):
    def test_rates_of_two_reports(self):
        def report(packets, copies):
            port = {"rx_packets": packets, "forwarded": packets - 1}
            return {"ports": {"lan": port}, "sessions": [{"mirrored_packets": n, "mirrored_bytes": 60 * n} for n in copies]}

        rates = rates_between(report(100, [0, 10]), report(300, [100, 60]), 2)
        self.assertEqual((rates.received, rates.forwarded, rates.copied, rates.mean_len), (100, 100, [50, 25], 60))

    def test_periods_of_testpmd(self):
        port = "######## NIC statistics for port {} ########\n RX-packets: 5\n\n Throughput (since last show)\n" \
            " Rx-pps:  {}   Rx-bps: 9\n Tx-pps:  {}   Tx-bps: 8\n"
        text = port.format(0, 10, 0) + port.format(1, 0, 11) + port.format(0, 12, 0) + port.format(1, 0, 13)
        with tempfile.NamedTemporaryFile("w") as log:
            log.write(text)
            log.flush()
            self.assertEqual(periods(log.name), [(10, 11), (12, 13)])


class Settings(unittest.TestCase):
    def test_a_way_to_copy_is_written_only_when_asked_for(self):
        self.assertNotIn("copies", config("/d", "rx", False, 1))
        dataplane = config("/d", "rx", False, 1, "share").split("[[port]]")[0]
        self.assertIn('[dataplane]\nworkers = [1]\ncopies = "share"\n', dataplane)

    def test_a_template_has_what_the_sessions_say(self):
        sessions = [Session([Rule("172.16.0.0/12", protocol=6, ports=(80, 90))], 128), Session([Rule("::/0", accept=False)])]
        resources = json.loads(template.template(sessions))["Resources"]
        self.assertEqual(resources["Session1"]["Properties"]["PacketLength"], 128)
        self.assertNotIn("PacketLength", resources["Session2"]["Properties"])
        self.assertEqual(resources["Session2"]["Properties"]["TrafficMirrorFilterId"], {"Ref": "Filter2"})
        self.assertEqual([resources[f"Session{n}"]["Properties"]["SessionNumber"] for n in (1, 2)], [1, 2])
        first, second = resources["Rule1x1"]["Properties"], resources["Rule2x1"]["Properties"]
        self.assertEqual(first["DestinationPortRange"], {"FromPort": 80, "ToPort": 90})
        self.assertEqual((second["SourceCidrBlock"], second["RuleAction"]), ("::/0", "reject"))
        self.assertNotIn("Protocol", second)

    def test_openflow(self):
        text = ovs.flows([Rule("10.0.0.0/8", accept=False), Rule("::/0", protocol=17, ports=(0, 1023))], is_span=False)
        self.assertEqual(text.splitlines(), [
            "priority=1,in_port=1,actions=output:2",
            "priority=60000,in_port=1,ip,nw_dst=10.0.0.0/8,actions=output:2",
            "priority=59999,in_port=1,udp6,tp_dst=0x0/0xfc00,actions=output:2,output:3",
        ])
        self.assertNotIn("output:2", ovs.flows(rules.QUARTER, is_span=True))
        self.assertIn("priority=1,in_port=1,actions=drop", ovs.flows(rules.QUARTER, is_span=True))

    def test_tc(self):
        lines = kernel.filters([Rule("10.0.0.0/8", accept=False), Rule("2001:db8::/32", protocol=6, ports=(443, 443))]).splitlines()
        self.assertIn("protocol ip prio 10 u32 match ip dst 10.0.0.0/8 action mirred egress redirect dev wan0", lines[0])
        self.assertIn("match ip6 dst 2001:db8::/32 match ip6 protocol 6 0xff match u16 0x01bb 0xffff at 42", lines[1])
        self.assertIn("mirror dev vxlan0 pipe action mirred egress redirect dev wan0", lines[1])
        self.assertTrue(lines[-1].endswith("protocol all prio 30 u32 match u32 0 0 action mirred egress redirect dev wan0"))


if __name__ == "__main__":
    unittest.main()
