//! A sliding window over a stream: any run of bytes that fits is contiguous, without a copy.

use std::fmt;
use std::io::{self, Read};

/// Bytes held: two of the largest frames, and small enough for the second-level cache.
const WINDOW_BYTES: usize = 512 << 10;
/// Bytes held at first: most captures are small, and many may be open.
const FIRST_WINDOW_BYTES: usize = 16 << 10;

/// The unread part of a stream, from `offset` on.
pub(super) struct Window<R> {
    from: R,
    buffer: Vec<u8>,
    /// The bytes held are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Position of `start` in the stream.
    offset: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: vec![0; FIRST_WINDOW_BYTES], start: 0, end: 0, offset: 0 }
    }

    /// Position of the first unread byte in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The unread bytes held now: at least what the last [`Window::ensure`] asked for.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Holds at least `len` bytes; false when the stream ends before. Errors: the stream's.
    #[inline]
    pub(super) fn ensure(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.start >= len { Ok(true) } else { self.fill(len) }
    }

    #[cold]
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        let was_full = self.end == self.buffer.len();
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = if was_full { len.max(WINDOW_BYTES) } else { len };
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < len {
            match self.from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                // A reader that claims more than it was given must not break the bounds.
                Ok(read) => self.end = (self.end + read).min(self.buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Passes over `len` bytes that [`Window::ensure`] has shown to be there.
    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Passes over `len` bytes, held or not; false when the stream ends before.
    pub(super) fn skip(&mut self, mut len: usize) -> io::Result<bool> {
        while len > 0 {
            if !self.ensure(1)? {
                return Ok(false);
            }
            let step = len.min(self.end - self.start);
            self.consume(step);
            len -= step;
        }
        Ok(true)
    }
}

impl<R> fmt::Debug for Window<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("offset", &self.offset)
            .field("held", &(self.end - self.start))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and every other call is interrupted.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                self.0.read(&mut into[..1])
            }
        }
    }

    #[test]
    fn a_dripping_stream_becomes_contiguous() {
        let mut window = Window::new(Drip(b"abcdef", false));
        assert!(window.ensure(4).unwrap());
        assert_eq!(window.bytes(), b"abcd");
        window.consume(3);
        assert!(window.ensure(3).unwrap());
        assert_eq!((window.bytes(), window.offset()), (b"def".as_slice(), 3));
        assert!(!window.ensure(4).unwrap());
        assert_eq!(window.bytes(), b"def");
    }

    #[test]
    #[cfg_attr(miri, ignore = "megabytes take minutes")]
    fn more_than_the_window_is_held_when_asked_for_and_skipped_without() {
        let stream = vec![7u8; 3 * WINDOW_BYTES];
        let mut window = Window::new(stream.as_slice());
        assert!(window.ensure(2 * WINDOW_BYTES).unwrap());
        assert!(window.bytes().len() >= 2 * WINDOW_BYTES);

        let mut window = Window::new(stream.as_slice());
        assert!(window.skip(3 * WINDOW_BYTES).unwrap());
        assert_eq!(window.offset(), 3 * WINDOW_BYTES as u64);
        assert!(!window.skip(1).unwrap());
    }
}
