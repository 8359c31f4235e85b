//! Reading a capture: a cursor over the frames of a pcap or pcapng stream.
//!
//! Written here because no library gives what the contract asks for: damage by its exact offset,
//! records of 256 KiB whatever the snap length, skipped blocks of any size, and no allocation.

use std::io::Read;

use super::capture_error::{CaptureError, CaptureFault};
use super::pcap::{self, Pcap};
use super::pcapng::{self, PcapNg};
use super::window::Window;

/// The longest frame that is read: a record that announces more is damage.
pub const FRAME_BYTES_MAX: u32 = 256 << 10;

/// Byte order of a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) const fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }

    /// The first `N` 32-bit words of `bytes`; `None` when there are fewer.
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        Some(bytes.as_chunks::<4>().0.first_chunk::<N>()?.map(|word| self.u32(word)))
    }
}

/// Where a frame lies in the window, and what its record says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Bytes of the record before the frame.
    pub(super) header_len: usize,
    /// Bytes of the frame.
    pub(super) frame_len: usize,
    /// Bytes of the whole record.
    pub(super) total_len: usize,
    /// Nanoseconds since 1970; `None` where the record has no time.
    pub(super) timestamp_ns: Option<u64>,
}

/// What the stream turned out to be.
#[derive(Debug)]
enum Format {
    /// Nothing is read yet.
    Unknown,
    Pcap(Pcap),
    PcapNg(PcapNg),
    /// The stream has ended, well or badly.
    Ended,
}

/// A cursor over the frames of one capture, in the order of the file.
///
/// Thread: any one. Cost: one buffer of 16 to 512 KiB; nothing is allocated or copied per frame.
#[derive(Debug)]
pub struct CaptureReader<R> {
    window: Window<R>,
    format: Format,
    current: Option<Record>,
    timestamp_ns: u64,
}

impl<R: Read> CaptureReader<R> {
    /// A cursor before the first frame. Reads nothing yet; `from` needs no buffer of its own.
    pub fn new(from: R) -> Self {
        Self { window: Window::new(from), format: Format::Unknown, current: None, timestamp_ns: 0 }
    }

    /// Moves to the next frame; false at the end of the stream, and for ever after an error.
    /// Errors: damage, with the offset where the bad record begins.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        if let Some(record) = self.current.take() {
            self.window.consume(record.total_len);
        }
        self.current = self.next_record().inspect_err(|_| self.format = Format::Ended)?;
        let Some(record) = self.current else {
            self.format = Format::Ended;
            return Ok(false);
        };
        self.timestamp_ns = record.timestamp_ns.unwrap_or(self.timestamp_ns);
        Ok(true)
    }

    /// The current frame's captured bytes; empty before the first and after the last.
    #[inline]
    pub fn frame(&self) -> &[u8] {
        self.current.map_or(&[], |record| {
            let end = record.header_len + record.frame_len;
            self.window.bytes().get(record.header_len..end).unwrap_or_default()
        })
    }

    /// The current frame's time in nanosecond since 1970, rounded down; that of the frame before
    /// where it has none, and 0 where there is none before.
    #[inline]
    pub fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns
    }

    fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        if matches!(self.format, Format::Unknown) {
            self.format = open(&mut self.window)
                .map_err(|fault| CaptureError { offset: self.window.offset(), fault })?;
        }
        match &mut self.format {
            Format::Pcap(pcap) => pcap
                .next_record(&mut self.window)
                .map_err(|fault| CaptureError { offset: self.window.offset(), fault }),
            Format::PcapNg(pcapng) => pcapng.next_record(&mut self.window),
            Format::Unknown | Format::Ended => Ok(None),
        }
    }
}

/// Tells the format by its first word and reads a pcap header; a pcapng one is a block like others.
fn open<R: Read>(window: &mut Window<R>) -> Result<Format, CaptureFault> {
    if !window.ensure(4)? {
        let nothing = window.bytes().is_empty();
        return Err(if nothing { CaptureFault::Empty } else { CaptureFault::HeaderCut });
    }
    let magic = window.bytes().first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
    if magic == pcapng::SECTION_HEADER {
        return Ok(Format::PcapNg(PcapNg::default()));
    }
    pcap::open(magic, window).map(Format::Pcap)
}

#[cfg(test)]
mod tests;
