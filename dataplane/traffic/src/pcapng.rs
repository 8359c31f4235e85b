//! Blocks of a pcapng file, as they are written (draft-ietf-opsawg-pcapng-03): little-endian, Ethernet, nanoseconds.
//!
//! ```text
//!  block     = type, total length, body, padding to 4 bytes, total length again
//!  file      = section header, interface descriptions, enhanced packets, interface statistics
//! ```
//! Functions append to a buffer; nothing allocates when it has room.

/// What a packet takes beside its bytes and their padding.
pub const PACKET_AROUND: usize = 32;

/// Block types (§4.1 to §4.6).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
/// By which a reader knows the order of bytes (§4.1).
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// The section's length is not said: it ends with the file.
const SECTION_LEN_UNKNOWN: u64 = u64::MAX;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;
/// Times are counted in 10^-9 s (§4.2, `if_tsresol`).
const NANOSECONDS: u8 = 9;
/// Where the length stands in a block.
const LEN_AT: usize = 4;

/// Options by block (§4.1, §4.2, §4.6).
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const SHB_HARDWARE: u16 = 2;
    pub(super) const SHB_OS: u16 = 3;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const ISB_STARTTIME: u16 = 2;
    pub(super) const ISB_ENDTIME: u16 = 3;
    pub(super) const ISB_IFRECV: u16 = 4;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// Who has written a file, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The processor.
    pub hardware: String,
    /// The operating system.
    pub os: String,
    /// The program.
    pub application: String,
}

/// What is counted of an interface, since the capture began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the capture began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When this was counted.
    pub end_ns: u64,
    /// Frames received.
    pub received: u64,
    /// Frames that the device lost; `None` where that is not known.
    pub lost_by_device: Option<u64>,
    /// Frames that were received, and then lost for want of time to write them.
    pub lost_by_writer: u64,
}

/// Appends a section header: the start of a file.
pub fn section_header(to: &mut Vec<u8>, origin: &Origin) {
    block(to, SECTION_HEADER, |to| {
        to.extend(BYTE_ORDER.to_le_bytes());
        to.extend([1, 0, 0, 0]); // version 1.0
        to.extend(SECTION_LEN_UNKNOWN.to_le_bytes());
        option(to, option::SHB_HARDWARE, origin.hardware.as_bytes());
        option(to, option::SHB_OS, origin.os.as_bytes());
        option(to, option::SHB_USERAPPL, origin.application.as_bytes());
        option(to, option::END, &[]);
    });
}

/// Appends an interface: the first one of a file is number 0. `snap_len` 0: frames are whole.
pub fn interface(to: &mut Vec<u8>, name: &str, snap_len: u32) {
    block(to, INTERFACE_DESCRIPTION, |to| {
        to.extend(ETHERNET.to_le_bytes());
        to.extend([0, 0]);
        to.extend(snap_len.to_le_bytes());
        option(to, option::IF_NAME, name.as_bytes());
        option(to, option::IF_TSRESOL, &[NANOSECONDS]);
        option(to, option::END, &[]);
    });
}

/// Appends a frame: of `len` bytes those of `segments`, at most `captured` of them.
#[inline]
pub fn packet<'a>(
    to: &mut Vec<u8>,
    interface: u32,
    time_ns: u64,
    len: u32,
    captured: u32,
    segments: impl Iterator<Item = &'a [u8]>,
) {
    let start = to.len();
    let time = time_ns.to_le_bytes();
    let (low, high) = time.split_at(4);
    to.extend_from_slice(&ENHANCED_PACKET.to_le_bytes());
    to.extend_from_slice(&[0; 4]);
    to.extend_from_slice(&interface.to_le_bytes());
    to.extend_from_slice(high);
    to.extend_from_slice(low);
    to.extend_from_slice(&captured.to_le_bytes());
    to.extend_from_slice(&len.to_le_bytes());
    let mut left = captured as usize;
    for segment in segments {
        let taken = segment.get(..left).unwrap_or(segment);
        to.extend_from_slice(taken);
        left -= taken.len();
    }
    // Who promised more than there is gets zeros: the block stays a block.
    to.resize(to.len() + left, 0);
    finish(to, start);
}

/// Appends what is counted of an interface.
pub fn statistics(to: &mut Vec<u8>, interface: u32, counted: &Statistics) {
    block(to, INTERFACE_STATISTICS, |to| {
        to.extend(interface.to_le_bytes());
        to.extend(time(counted.end_ns));
        option(to, option::ISB_STARTTIME, &time(counted.start_ns));
        option(to, option::ISB_ENDTIME, &time(counted.end_ns));
        option(to, option::ISB_IFRECV, &counted.received.to_le_bytes());
        if let Some(lost) = counted.lost_by_device {
            option(to, option::ISB_IFDROP, &lost.to_le_bytes());
        }
        option(to, option::ISB_OSDROP, &counted.lost_by_writer.to_le_bytes());
        option(to, option::END, &[]);
    });
}

/// The length of the block that `bytes` begin with, and whether it is a packet; `None` of what is no whole block.
pub fn first_block(bytes: &[u8]) -> Option<(usize, bool)> {
    let (kind, rest) = bytes.split_first_chunk::<4>()?;
    let (len, _) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let is_whole = len >= 12 && len <= bytes.len();
    is_whole.then_some((len, u32::from_le_bytes(*kind) == ENHANCED_PACKET))
}

/// A time as two words, the upper one first (§4.3).
fn time(ns: u64) -> [u8; 8] {
    ns.rotate_left(32).to_le_bytes()
}

fn block(to: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend(kind.to_le_bytes());
    to.extend([0; 4]);
    body(to);
    finish(to, start);
}

/// Pads the block that begins at `start`, and writes its length at both its ends.
#[inline]
fn finish(to: &mut Vec<u8>, start: usize) {
    to.resize(to.len().next_multiple_of(4), 0);
    let len = ((to.len() - start + 4) as u32).to_le_bytes();
    to.extend_from_slice(&len);
    if let Some(place) = to.get_mut(start + LEN_AT..start + LEN_AT + 4) {
        place.copy_from_slice(&len);
    }
}

fn option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    to.extend(code.to_le_bytes());
    to.extend((value.len() as u16).to_le_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use engine::sim::CaptureReader;
    use proptest::prelude::*;

    use super::*;

    fn file(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        let origin = Origin { hardware: "a".into(), os: "bc".into(), application: "def".into() };
        section_header(&mut file, &origin);
        interface(&mut file, "lan0", 0);
        for (time_ns, bytes) in frames {
            let len = bytes.len() as u32;
            let (first, second) = bytes.split_at(bytes.len() / 2);
            packet(&mut file, 0, *time_ns, len, len, [first, second].into_iter());
        }
        statistics(&mut file, 0, &Statistics { lost_by_device: Some(1), ..Statistics::default() });
        file
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            frames in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 1..100)), 0..20)
        ) {
            let mut reader = CaptureReader::new(Cursor::new(file(&frames)));
            for (time_ns, bytes) in &frames {
                prop_assert!(reader.advance().unwrap());
                prop_assert_eq!((reader.timestamp_ns(), reader.frame()), (*time_ns, bytes.as_slice()));
            }
            prop_assert!(!reader.advance().unwrap());
        }
    }

    #[test]
    fn blocks_are_those_of_the_draft() {
        let mut bytes = Vec::new();
        packet(&mut bytes, 7, 0x0102_0304_0506_0708, 100, 5, [b"abcdefg".as_slice()].into_iter());
        let want = [
            &[6, 0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0][..],
            &[4, 3, 2, 1, 8, 7, 6, 5, 5, 0, 0, 0, 100, 0, 0, 0],
            b"abcde\0\0\0",
            &[40, 0, 0, 0],
        ];
        assert_eq!(bytes, want.concat());
        assert_eq!(bytes.len(), PACKET_AROUND + 8);
        assert_eq!(first_block(&bytes), Some((40, true)));
        assert_eq!(first_block(&bytes[..39]), None);
        assert_eq!(first_block(&file(&[])).map(|(_, is_packet)| is_packet), Some(false));
    }

    #[test]
    fn a_packet_of_fewer_bytes_than_promised_stays_a_block() {
        let mut bytes = Vec::new();
        packet(&mut bytes, 0, 0, 9, 9, [b"abc".as_slice()].into_iter());
        assert_eq!(first_block(&bytes), Some((bytes.len(), true)));
    }
}
