"""Captures hold what their names say."""

import pathlib
import struct
import tempfile
import unittest

from harness import traffic
from harness.traffic import FRAMES, Frames


def read(path):
    data = pathlib.Path(path).read_bytes()
    at, frames = len(traffic.FILE_HEADER), []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


class Captures(unittest.TestCase):
    def written(self, frames):
        with tempfile.NamedTemporaryFile() as file:
            return traffic.write(file.name, frames), read(file.name)

    def test_the_same_frames_every_time(self):
        frames = Frames(((60, 1),), packets=700)
        self.assertEqual(self.written(frames), self.written(frames))

    def test_every_flow_has_a_packet_where_there_are_enough(self):
        contents, _ = self.written(Frames(((60, 1),), flows=300, packets=400))
        self.assertEqual(len({flow for flow, _ in contents.packets}), 300)

    def test_contents_are_those_of_the_file(self):
        contents, frames = self.written(Frames(traffic.IMIX, packets=900))
        self.assertEqual(contents.total, 900)
        self.assertAlmostEqual(contents.mean(), sum(map(len, frames)) / 900)

    def test_a_long_capture_repeats_its_first_packets(self):
        packets = traffic.BLOCK_PACKETS_MAX + 3
        contents, frames = self.written(Frames(((60, 1),), packets=packets))
        self.assertEqual(contents.total, packets)
        self.assertEqual(frames[:3], frames[-3:])

    def test_checksums_are_right(self):
        _, frames = self.written(Frames(traffic.IMIX, packets=300))
        for frame in frames:
            is_v6 = frame[12:14] == b"\x86\xdd"
            ip_end = 54 if is_v6 else 34
            upper, addresses = frame[ip_end:], frame[22:54] if is_v6 else frame[26:34]
            protocol = frame[20] if is_v6 else frame[23]
            pseudo = addresses + struct.pack("!IHBB", len(upper), 0, 0, protocol)
            self.assertEqual(traffic.checksum(pseudo + upper), 0)
            if not is_v6:
                self.assertEqual(traffic.checksum(frame[14:34]), 0)

    def test_many_flows_take_as_much_cache_as_few(self):
        self.assertEqual(FRAMES["imix"].packets, FRAMES["imix 10k flows"].packets)


if __name__ == "__main__":
    unittest.main()
