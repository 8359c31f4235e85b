"""What more workers would do, reckoned from one worker's figure.

Measured is what one worker does on virtual devices. The rest is a model: workers share nothing but
memory and wires, so that N of them do N times as much until memory or a wire is full. Every byte is
reckoned to cross the memory's bus, as if no cache served a network card: what is found to be short
of memory so is the worst case.
"""

from typing import NamedTuple

OUTER_LEN = 50
# On a wire a frame takes its FCS, preamble and gap besides.
WIRE_OVERHEAD = 24
WIRE_BITS_PER_SEC = 100e9
# Of each buffer: two cache lines of its mbuf, and a descriptor of 16 bytes that card and worker both
# write.
MBUF_BYTES, DESCRIPTOR_BYTES = 128, 32
WORKERS = (1, 2, 4, 8, 16)


class Work(NamedTuple):
    """What a case does with a packet on average: bytes of its frame, the share that is copied, bytes of
    the frame that a copy holds; whether the frame is forwarded (else it becomes its own copy)."""

    frame_len: float
    share: float
    copy_len: float
    is_forwarded: bool

    @property
    def buffers(self):
        """Buffers touched."""
        return 1 + self.share if self.is_forwarded else 1.0

    @property
    def memory_bytes(self):
        """Bytes that cross the memory's bus."""
        per_buffer = MBUF_BYTES + DESCRIPTOR_BYTES
        sent = self.copy_len + OUTER_LEN
        received = self.frame_len + per_buffer
        if not self.is_forwarded:
            # The card writes the frame, the worker a header before it; the card reads what is sent.
            return received + OUTER_LEN + self.share * (sent + DESCRIPTOR_BYTES)
        forwarded = self.frame_len + DESCRIPTOR_BYTES
        # Read by the worker; written, for which its lines are read first; read by the card.
        copy = self.copy_len + 2 * sent + sent + per_buffer
        return received + forwarded + self.share * copy

    @property
    def line_pps(self):
        """Packets per second when the wire, or the tool's wire that is as fast, is full."""
        wire = self.frame_len + WIRE_OVERHEAD
        tool = self.share * (self.copy_len + OUTER_LEN + WIRE_OVERHEAD)
        return WIRE_BITS_PER_SEC / 8 / max(wire, tool)

    @property
    def fills_tool_first(self):
        return self.share * (self.copy_len + OUTER_LEN + WIRE_OVERHEAD) > self.frame_len + WIRE_OVERHEAD


def scaled(workers, pps, work, memory_rate):
    """Packets per second of so many workers, and what holds them: workers, memory, wire, tool."""
    limits = {
        "workers": workers * pps,
        "memory": memory_rate / work.memory_bytes,
        "tool" if work.fills_tool_first else "wire": work.line_pps,
    }
    limit = min(limits, key=limits.get)
    return limits[limit], limit


def workers_for_line(pps, work):
    """How many workers fill the wire, memory aside."""
    return -(-work.line_pps // pps)
