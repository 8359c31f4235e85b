//! The frames of a loop in memory: what is small is read once, however often it is sent.

/// Frames and what is kept of them take no more than this.
const BYTES_MAX: usize = 64 << 20;

/// A cursor over frames in memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// The present one, from 1.
    at: usize,
    /// Where its bytes begin.
    start: usize,
    /// The silence behind the last one; before the first loop there is none.
    last_gap_ns: u64,
    is_again: bool,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    gap_ns: u64,
    number: u64,
    len: usize,
}

impl Kept {
    /// Keeps a frame, if there is room: the silence before it, and its number from 0 among those of the
    /// captures.
    pub(super) fn push(&mut self, bytes: &[u8], gap_ns: u64, number: u64) -> bool {
        let taken = self.bytes.len() + self.frames.len() * size_of::<Frame>();
        if taken + bytes.len() + size_of::<Frame>() > BYTES_MAX {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        self.frames.push(Frame { gap_ns, number, len: bytes.len() });
        true
    }

    /// Ends the loop, with the silence behind it.
    pub(super) fn finish(&mut self, last_gap_ns: u64) {
        self.last_gap_ns = last_gap_ns;
        self.bytes.shrink_to_fit();
        self.frames.shrink_to_fit();
    }

    /// Moves to the next frame; the silence before it and its number; `None` at the end of the loop.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<(u64, u64)> {
        let next = self.frames.get(self.at)?;
        self.start +=
            self.at.checked_sub(1).and_then(|at| self.frames.get(at)).map_or(0, |f| f.len);
        self.at += 1;
        let first = if self.at == 1 && self.is_again { self.last_gap_ns } else { 0 };
        Some((next.gap_ns.saturating_add(first), next.number))
    }

    /// Moves before the first frame, for another loop.
    pub(super) fn rewind(&mut self) {
        (self.at, self.start, self.is_again) = (0, 0, true);
    }

    /// The present frame.
    #[inline]
    pub(super) fn frame(&self) -> &[u8] {
        let len = self.at.checked_sub(1).and_then(|at| self.frames.get(at)).map_or(0, |f| f.len);
        self.bytes.get(self.start..self.start + len).unwrap_or_default()
    }
}
