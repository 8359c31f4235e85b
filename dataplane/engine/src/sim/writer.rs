//! Writing a capture: pcap with nanoseconds, Ethernet, little-endian.

use std::fmt;
use std::io::{self, BufWriter, Write};

use super::capture_error::LinkType;
use super::pcap::{FILE_HEADER_LEN, MAGIC_NANOSECONDS};
use super::reader::FRAME_BYTES_MAX;

/// Bytes gathered before the file is written to.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes frames into a capture file. A file without frames is an empty, valid capture.
pub struct CaptureWriter<W: Write> {
    out: BufWriter<W>,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a capture with its header. `out` needs no buffer of its own. Errors: those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(FILE_HEADER_LEN);
        header.extend(MAGIC_NANOSECONDS.to_le_bytes());
        header.extend([2, 0, 4, 0]); // version 2.4
        header.extend([0; 8]); // time zone and accuracy, which nobody uses
        header.extend(FRAME_BYTES_MAX.to_le_bytes());
        header.extend(LinkType::ETHERNET.0.to_le_bytes());
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        out.write_all(&header)?;
        Ok(Self { out })
    }

    /// Adds a frame of `len` bytes, given as its segments; the original length is the captured one.
    /// The format ends in the year 2106: later times are written as its last second.
    /// Errors: those of the file.
    #[inline]
    pub fn write<'a>(
        &mut self,
        timestamp_ns: u64,
        len: usize,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let (seconds, fraction) = (timestamp_ns / 1_000_000_000, timestamp_ns % 1_000_000_000);
        let len = len as u64;
        let header = [word(seconds), word(fraction), word(len), word(len)];
        self.out.write_all(header.as_flattened())?;
        for segment in segments {
            self.out.write_all(segment)?;
        }
        Ok(())
    }

    /// Writes out what is gathered and gives the file back. Errors: those of the file.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> fmt::Debug for CaptureWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter").finish_non_exhaustive()
    }
}

/// The bytes of a capture of `frames`, given as (nanoseconds since 1970, bytes): a file in memory.
pub fn capture_of<B: AsRef<[u8]>>(frames: impl IntoIterator<Item = (u64, B)>) -> Vec<u8> {
    let write = || {
        let mut capture = CaptureWriter::new(Vec::new())?;
        for (timestamp_ns, frame) in frames {
            let frame = frame.as_ref();
            capture.write(timestamp_ns, frame.len(), std::iter::once(frame))?;
        }
        capture.finish()
    };
    write().unwrap_or_default() // memory does not fail as files do
}
