"""What is read out of a report of `linetap bench --self`."""

import unittest

from harness import itself


def goal(name, lower):
    return {"goal": {"name": name}, "lower": lower}


SERIES = {
    "stack": "one-session",
    "frames": "64",
    "goals": [goal("NDR", 2e6), goal("PDR", 2.5e6), goal("copies NDR", None)],
    "limits": ["cpu", None, "tool_port"],
    "trials": [{"copies": {"received": 10, "corrupted": 1}}, {"copies": None}, {"copies": {"received": 5, "corrupted": 0}}],
    "notes": [],
}


class Rows(unittest.TestCase):
    def test_rates_limits_and_counts_are_those_of_the_series(self):
        row = itself.row(SERIES)
        self.assertEqual((row["NDR"], row["copies NDR"], row["copies PDR"]), (2e6, None, None))
        self.assertEqual(row["limits"], ["cpu", "tool_port"])
        self.assertEqual((row["verified"], row["wrong"]), (15, 1))

    def test_a_table_shows_them(self):
        heading, line = itself.table([itself.row(SERIES)])
        self.assertEqual(len(heading), len(line))
        self.assertEqual(line[2:8], ["2.000", "2.500", "the data plane's core", "–", "–", "the tool port"])


if __name__ == "__main__":
    unittest.main()
