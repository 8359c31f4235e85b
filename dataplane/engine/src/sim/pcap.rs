//! The pcap format: a header of 24 bytes, then records of 16 bytes and a frame each.
//! Source: draft-ietf-opsawg-pcap.

use std::io::Read;

use super::capture_error::{CaptureFault, LinkType};
use super::reader::{FRAME_BYTES_MAX, Order, Record};
use super::window::Window;

/// Length of the file header in bytes.
pub(super) const FILE_HEADER_LEN: usize = 24;
/// Length of a record header in bytes.
pub(super) const RECORD_HEADER_LEN: usize = 16;
/// First word of a file with timestamps in microseconds.
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// First word of a file with timestamps in nanoseconds.
pub(super) const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// First word of a file in Kuznetzov's patched format.
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;
/// The link type proper: the bits above tell the length of a frame check sequence.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// What the header of a pcap file says about its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in a unit of the timestamps' fractions.
    fraction_ns: u64,
}

/// Reads the file header; `magic` is its first word as it stands, big-endian.
pub(super) fn open<R: Read>(magic: u32, window: &mut Window<R>) -> Result<Pcap, CaptureFault> {
    let (order, fraction_ns) = match (magic, magic.swap_bytes()) {
        (MAGIC_MICROSECONDS, _) => (Order::Big, 1000),
        (_, MAGIC_MICROSECONDS) => (Order::Little, 1000),
        (MAGIC_NANOSECONDS, _) => (Order::Big, 1),
        (_, MAGIC_NANOSECONDS) => (Order::Little, 1),
        (MAGIC_MODIFIED, _) | (_, MAGIC_MODIFIED) => return Err(CaptureFault::Modified),
        _ => return Err(CaptureFault::NotACapture(magic)),
    };
    if !window.ensure(FILE_HEADER_LEN)? {
        return Err(CaptureFault::HeaderCut);
    }
    let Some([_, _, _, _, _, link_type]) = order.words(window.bytes()) else {
        return Err(CaptureFault::HeaderCut);
    };
    let [_, _, _, _, a, b, c, d] = window.bytes().first_chunk().copied().unwrap_or_default();
    let (major, minor) = (order.u16([a, b]), order.u16([c, d]));
    if major != 2 {
        return Err(CaptureFault::Version { format: "pcap", major, minor });
    }
    let link_type = LinkType(link_type & LINK_TYPE_MASK);
    if link_type != LinkType::ETHERNET {
        return Err(CaptureFault::LinkType(link_type));
    }
    window.consume(FILE_HEADER_LEN);
    Ok(Pcap { order, fraction_ns })
}

impl Pcap {
    /// The record at the window's start, whole in the window; `None` at the end of the file.
    #[inline]
    pub(super) fn next_record<R: Read>(
        self,
        window: &mut Window<R>,
    ) -> Result<Option<Record>, CaptureFault> {
        if !window.ensure(RECORD_HEADER_LEN)? {
            let at_end = window.bytes().is_empty();
            return if at_end { Ok(None) } else { Err(CaptureFault::RecordCut) };
        }
        let Some([seconds, fraction, len]) = self.order.words(window.bytes()) else {
            return Err(CaptureFault::RecordCut);
        };
        if len > FRAME_BYTES_MAX {
            return Err(CaptureFault::RecordLength(len));
        }
        let frame_len = len as usize;
        let total_len = RECORD_HEADER_LEN + frame_len;
        if !window.ensure(total_len)? {
            return Err(CaptureFault::RecordCut);
        }
        // A fraction of more than a second is taken as it stands; both terms stay far below 2^64.
        let timestamp_ns =
            u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        Ok(Some(Record {
            header_len: RECORD_HEADER_LEN,
            frame_len,
            total_len,
            timestamp_ns: Some(timestamp_ns),
        }))
    }
}
