//! Captures of all formats, whole, cut at every byte and damaged, against what was put into them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::sim::capture_of;

/// (nanoseconds since 1970, bytes)
type Frame = (u64, Vec<u8>);

/// A capture under construction, where each of its records or blocks begins, and where those with
/// a frame end.
struct Builder {
    order: Order,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    frame_ends: Vec<usize>,
}

const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

impl Builder {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new(), starts: Vec::new(), frame_ends: Vec::new() }
    }

    fn put16(&mut self, value: u16) {
        match self.order {
            Order::Little => self.bytes.extend(value.to_le_bytes()),
            Order::Big => self.bytes.extend(value.to_be_bytes()),
        }
    }

    fn put32(&mut self, value: u32) {
        match self.order {
            Order::Little => self.bytes.extend(value.to_le_bytes()),
            Order::Big => self.bytes.extend(value.to_be_bytes()),
        }
    }

    fn pcap(order: Order, magic: u32, link_type: u32) -> Self {
        let mut file = Self::new(order);
        file.starts.push(0);
        file.put32(magic);
        file.put16(2);
        file.put16(4);
        for word in [0, 0, 96, link_type] {
            file.put32(word);
        }
        file
    }

    fn record(&mut self, seconds: u32, fraction: u32, frame: &[u8]) {
        self.starts.push(self.bytes.len());
        for word in [seconds, fraction, len32(frame), len32(frame) + 7] {
            self.put32(word);
        }
        self.bytes.extend(frame);
        self.frame_ends.push(self.bytes.len());
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.starts.push(start);
        self.put32(kind);
        self.put32(0);
        body(self);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0xee);
        let len = u32::try_from(self.bytes.len() - start + 4).unwrap();
        self.put32(len);
        let len = match self.order {
            Order::Little => len.to_le_bytes(),
            Order::Big => len.to_be_bytes(),
        };
        self.bytes[start + 4..start + 8].copy_from_slice(&len);
    }

    fn section(&mut self, order: Order) {
        self.order = order;
        self.block(0x0a0d_0d0a, |b| {
            b.put32(0x1a2b_3c4d);
            b.put16(1);
            b.put16(0);
            b.bytes.extend([0xff; 8]);
        });
    }

    fn interface(&mut self, link_type: u16, snap_len: u32, options: &[(u16, &[u8])]) {
        self.block(1, |b| {
            b.put16(link_type);
            b.put16(0);
            b.put32(snap_len);
            b.options(options);
        });
    }

    fn options(&mut self, options: &[(u16, &[u8])]) {
        for (code, value) in options {
            self.put16(*code);
            self.put16(u16::try_from(value.len()).unwrap());
            self.bytes.extend(*value);
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
    }

    fn packet_fields(&mut self, ticks: u64, frame: &[u8]) {
        self.put32(u32::try_from(ticks >> 32).unwrap());
        self.put32(u32::try_from(ticks & 0xffff_ffff).unwrap());
        self.put32(len32(frame));
        self.put32(len32(frame) + 7);
        self.bytes.extend(frame);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0xdd);
    }

    fn enhanced(&mut self, interface: u32, ticks: u64, frame: &[u8]) {
        self.block(6, |b| {
            b.put32(interface);
            b.packet_fields(ticks, frame);
            b.options(&[(1, b"a comment"), (0, b"")]);
        });
        self.frame_ends.push(self.bytes.len());
    }

    fn obsolete(&mut self, interface: u16, ticks: u64, frame: &[u8]) {
        self.block(2, |b| {
            b.put16(interface);
            b.put16(0xffff);
            b.packet_fields(ticks, frame);
        });
        self.frame_ends.push(self.bytes.len());
    }

    fn simple(&mut self, original_len: u32, frame: &[u8]) {
        self.block(3, |b| {
            b.put32(original_len);
            b.bytes.extend(frame);
        });
        self.frame_ends.push(self.bytes.len());
    }

    /// Where the record or block begins in which a file cut to `len` bytes ends; `None` when the
    /// cut falls between two.
    fn cut_record(&self, len: usize) -> Option<usize> {
        let whole = len == self.bytes.len() || self.starts.contains(&len);
        let start = self.starts.iter().copied().rfind(|start| *start <= len);
        start.filter(|_| !whole || len == 0)
    }
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// All frames, and the error that ended them.
fn read(bytes: &[u8]) -> (Vec<Frame>, Option<CaptureError>) {
    let mut reader = CaptureReader::new(bytes);
    let mut frames = Vec::new();
    let error = loop {
        match reader.advance() {
            Ok(true) => frames.push((reader.timestamp_ns(), reader.frame().to_vec())),
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(reader.advance(), Ok(false)), "an ended capture stays ended");
    assert!(reader.frame().is_empty());
    (frames, error)
}

/// The sentence and offset of the error of a capture without frames.
fn refusal(bytes: &[u8]) -> String {
    let (frames, error) = read(bytes);
    assert!(frames.is_empty());
    error.unwrap().to_string()
}

/// One of every block and both byte orders: two sections, packets of all three kinds.
fn pcapng_of_all_sorts() -> (Builder, Vec<Frame>) {
    let mut file = Builder::new(Order::Big);
    file.section(Order::Big);
    file.interface(ETHERNET, 0, &[(2, b"lan"), (9, &[9]), (0, b"")]);
    file.enhanced(0, 5_000_000_001, b"first");
    file.block(4, |b| b.bytes.extend(b"name resolution!"));
    file.simple(6, b"second");
    file.section(Order::Little);
    file.interface(RAW, 0, &[]);
    file.interface(ETHERNET, 64, &[]);
    file.block(5, |b| b.bytes.extend([0; 12]));
    file.obsolete(1, 7_000_002, b"third");
    file.enhanced(1, 6_000_003, b"");
    file.block(0x0bad_cafe, |b| b.bytes.extend([1; 100]));
    let frames = vec![
        (5_000_000_001, b"first".to_vec()),
        (5_000_000_001, b"second".to_vec()),
        (7_000_002_000, b"third".to_vec()),
        (6_000_003_000, Vec::new()),
    ];
    (file, frames)
}

fn pcap_of_three(order: Order, magic: u32) -> (Builder, Vec<Frame>) {
    let unit = if magic == MICROSECONDS { 1000 } else { 1 };
    let mut file = Builder::pcap(order, magic, 1);
    file.record(3, 999, b"first frame");
    file.record(u32::MAX, 1, b"");
    file.record(2, 2_000_000_000, b"third");
    let frames = vec![
        (3_000_000_000 + 999 * unit, b"first frame".to_vec()),
        (4_294_967_295_000_000_000 + unit, Vec::new()),
        (2_000_000_000 + 2_000_000_000 * unit, b"third".to_vec()),
    ];
    (file, frames)
}

fn all_files() -> Vec<(Builder, Vec<Frame>)> {
    let mut files = vec![pcapng_of_all_sorts()];
    for order in [Order::Little, Order::Big] {
        files.extend([MICROSECONDS, NANOSECONDS].map(|magic| pcap_of_three(order, magic)));
    }
    files
}

#[test]
fn every_format_and_byte_order_reads_back() {
    for (file, frames) in all_files() {
        let (got, error) = read(&file.bytes);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(got, frames);
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_came_before_and_the_offset_of_the_cut_record() {
    for (file, frames) in all_files() {
        for len in 0..=file.bytes.len() {
            let (got, error) = read(&file.bytes[..len]);
            let whole = file.frame_ends.iter().filter(|end| **end <= len).count();
            assert_eq!(got, frames[..whole], "cut at {len}");
            let offset = error.map(|error| error.offset);
            assert_eq!(offset, file.cut_record(len).map(|start| start as u64), "cut at {len}");
        }
    }
}

#[test]
fn a_capture_without_frames_is_none_and_no_error() {
    assert!(matches!(read(&capture_of::<Vec<u8>>([])), (frames, None) if frames.is_empty()));
    let mut file = Builder::new(Order::Big);
    file.section(Order::Big);
    assert!(matches!(read(&file.bytes), (frames, None) if frames.is_empty()));
}

#[test]
fn files_that_are_no_captures_of_ethernet_are_refused_by_name() {
    let mut newer = Builder::pcap(Order::Little, NANOSECONDS, 1);
    newer.bytes[4] = 3;
    let mut garbled = Builder::new(Order::Big);
    garbled.section(Order::Big);
    garbled.bytes[8] = 0;
    let mut later = Builder::new(Order::Little);
    later.section(Order::Little);
    later.bytes[12] = 2;
    for (bytes, sentence) in [
        (Vec::new(), "at byte 0: the file is empty"),
        (b"abc".to_vec(), "at byte 0: the file is cut in its header"),
        (
            b"<html>".to_vec(),
            "at byte 0: the file is not a capture: it begins with 0x3c68746d, neither pcap nor pcapng",
        ),
        (
            Builder::pcap(Order::Big, 0xa1b2_cd34, 1).bytes,
            "at byte 0: this is the \"modified\" pcap format, which is not read: \
             convert it with editcap",
        ),
        (newer.bytes, "at byte 0: version 3.4 of the pcap format is not known"),
        (later.bytes, "at byte 0: version 2.0 of the pcapng format is not known"),
        (garbled.bytes, "at byte 0: a section begins with the byte-order magic 0x002b3c4d"),
        (
            Builder::pcap(Order::Big, MICROSECONDS, 113).bytes,
            "at byte 0: link type 113 (LINUX_SLL) is not Ethernet",
        ),
        (
            Builder::pcap(Order::Big, MICROSECONDS, 4000).bytes,
            "at byte 0: link type 4000 is not Ethernet",
        ),
    ] {
        assert_eq!(refusal(&bytes), sentence);
    }
}

#[test]
fn the_bits_above_a_link_type_are_not_part_of_it() {
    let mut file = Builder::pcap(Order::Little, NANOSECONDS, 0x2400_0001);
    file.record(0, 1, b"x");
    assert_eq!(read(&file.bytes).0.len(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "megabytes take minutes")]
fn a_record_is_believed_up_to_256_kib_whatever_the_snap_length() {
    let longest = vec![7; FRAME_BYTES_MAX as usize];
    let too_long = vec![7; FRAME_BYTES_MAX as usize + 1];
    let cause = ": a record of 262145 bytes exceeds the limit of 262144";

    let mut file = Builder::pcap(Order::Little, NANOSECONDS, 1);
    file.record(0, 1, &longest);
    file.record(0, 2, &too_long);
    let (frames, error) = read(&file.bytes);
    assert_eq!(frames, [(1, longest.clone())]);
    assert_eq!(error.unwrap().to_string(), format!("at byte {}{cause}", file.starts[2]));

    for write in [
        (|b, frame| b.enhanced(0, 3, frame)) as fn(&mut Builder, &[u8]),
        |b, frame| b.obsolete(0, 3, frame),
        |b, frame| b.simple(1 << 20, frame),
    ] {
        let mut file = Builder::new(Order::Big);
        file.section(Order::Big);
        file.interface(ETHERNET, 96, &[]);
        write(&mut file, &longest);
        write(&mut file, &too_long);
        let (frames, error) = read(&file.bytes);
        assert!(matches!(frames.as_slice(), [(_, frame)] if *frame == longest));
        let error = error.unwrap();
        assert_eq!(error.offset, file.starts[3] as u64);
        assert!(matches!(error.fault, CaptureFault::RecordLength(262_145..=262_148)));
    }
}

#[test]
fn a_foreign_interface_ends_the_file_at_its_first_frame_only() {
    let mut file = Builder::new(Order::Little);
    file.section(Order::Little);
    file.interface(RAW, 0, &[]);
    file.interface(ETHERNET, 0, &[]);
    file.enhanced(1, 0, b"kept");
    file.enhanced(0, 0, b"foreign");
    file.enhanced(1, 0, b"lost");
    let (frames, error) = read(&file.bytes);
    assert_eq!(frames.len(), 1);
    let sentence = format!("at byte {}: link type 101 (RAW) is not Ethernet", file.starts[4]);
    assert_eq!(error.unwrap().to_string(), sentence);
}

#[test]
fn an_interface_is_of_its_section_only() {
    let mut file = Builder::new(Order::Little);
    file.section(Order::Little);
    file.interface(ETHERNET, 0, &[]);
    file.section(Order::Big);
    file.simple(4, b"none");
    let error = read(&file.bytes).1.unwrap();
    assert!(matches!(error.fault, CaptureFault::Interface(0)));
    assert_eq!(error.offset, file.starts[3] as u64);
}

#[test]
fn a_simple_packet_is_as_long_as_its_block_and_snap_length_say() {
    for (snap_len, original_len, in_block, len) in
        [(0, 5, 5, 5), (0, 3, 8, 3), (97, 1000, 97, 97), (96, 1000, 96, 96), (16, 1000, 97, 100)]
    {
        let mut file = Builder::new(Order::Little);
        file.section(Order::Little);
        file.interface(ETHERNET, snap_len, &[]);
        file.simple(original_len, &vec![1; in_block]);
        let (frames, error) = read(&file.bytes);
        assert!(error.is_none());
        assert_eq!(frames[0].1.len(), len, "snap length {snap_len}");
        assert_eq!(frames[0].0, 0, "no frame before: time 0");
    }
}

#[test]
fn impossible_blocks_are_refused_where_they_begin() {
    let mut file = Builder::new(Order::Little);
    file.section(Order::Little);
    file.interface(ETHERNET, 0, &[]);
    file.enhanced(0, 0, b"frame");
    let start = file.starts[2];
    let end = file.bytes.len();
    let last_len = u32::try_from(end - start).unwrap();
    for (at, value, fault) in [
        (start + 4, 8, "a block of type 0x00000006 can't be 8 bytes long"),
        (start + 4, 33, "a block of type 0x00000006 can't be 33 bytes long"),
        (start + 4, 1 << 25, "a block of type 0x00000006 can't be 33554432 bytes long"),
        (start + 4, 16 << 20, "the file is cut in this record"),
        (end - 4, 99, &format!("the lengths at the two ends of a block differ: {last_len} and 99")),
        (start + 20, 300, &format!("a block of type 0x00000006 can't be {last_len} bytes long")),
        (start + 8, 9, "a frame belongs to interface 9, which its section does not describe"),
        (start, 77, ""),
    ] {
        if cfg!(miri) && value == 16 << 20 {
            continue; // as much memory takes minutes
        }
        let mut bytes = file.bytes.clone();
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        let (frames, error) = read(&bytes);
        assert!(frames.is_empty());
        let wanted = (!fault.is_empty()).then(|| format!("at byte {start}: {fault}"));
        assert_eq!(error.map(|error| error.to_string()), wanted);
    }
}

#[test]
#[cfg_attr(miri, ignore = "megabytes take minutes")]
fn a_skipped_block_may_have_any_size_but_must_end_well() {
    let mut file = Builder::new(Order::Little);
    file.section(Order::Little);
    file.interface(ETHERNET, 0, &[]);
    file.block(4, |b| b.bytes.resize(b.bytes.len() + (3 << 20), 9));
    file.enhanced(0, 0, b"behind");
    assert_eq!(read(&file.bytes).0.len(), 1);
    let end = file.starts[3];
    file.bytes[end - 1] ^= 1;
    assert_eq!(read(&file.bytes).1.unwrap().offset, file.starts[2] as u64);
}

#[test]
fn timestamps_of_every_resolution_become_nanoseconds_rounded_down() {
    let big = i64::to_le_bytes;
    for (resolution, offset_s, ticks, ns) in [
        (0, 0, 3, 3_000_000_000),
        (3, 0, 1_234, 1_234_000_000),
        (6, 0, 1, 1000),
        (9, 0, 1, 1),
        (12, 0, 1_999, 1),
        (20, 0, u64::MAX, 184_467_440),
        (127, 0, u64::MAX, 0),
        (0x80, 0, 2, 2_000_000_000),
        (0x8a, 0, 1, 976_562),
        (0xa0, 0, u64::MAX, 4_294_967_295_999_999_999),
        (0xff, 0, u64::MAX, 0),
        (6, 100, 1, 100_000_001_000),
        (6, -100, 200_000_000, 100_000_000_000),
        (6, -100, 1, 0),
        (0, i64::MAX, u64::MAX, u64::MAX),
        (0, i64::MIN, 1, 0),
    ] {
        let mut file = Builder::new(Order::Little);
        file.section(Order::Little);
        file.interface(ETHERNET, 0, &[(9, &[resolution]), (14, &big(offset_s))]);
        file.enhanced(0, ticks, b"");
        assert_eq!(read(&file.bytes).0, [(ns, Vec::new())], "resolution {resolution:#x}");
    }
}

#[test]
fn a_failing_file_is_damage_at_the_record_that_needs_more() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let read = self.0.read(into)?;
            if read == 0 { Err(std::io::Error::other("bad sector")) } else { Ok(read) }
        }
    }
    let (file, _) = pcap_of_three(Order::Little, NANOSECONDS);
    let mut reader = CaptureReader::new(Failing(&file.bytes[..file.bytes.len() - 1]));
    assert!(reader.advance().unwrap() && reader.advance().unwrap());
    let sentence = format!("at byte {}: the file can't be read on: bad sector", file.starts[3]);
    assert_eq!(reader.advance().unwrap_err().to_string(), sentence);
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let seconds = 0..=u64::from(u32::MAX);
    let time = (seconds, 0..1_000_000_000u64).prop_map(|(s, ns)| s * 1_000_000_000 + ns);
    vec((time, vec(any::<u8>(), 0..200)), 0..20)
}

/// Few cases under Miri, which is a thousand times slower; no files written beside the sources.
fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(frames in frames()) {
        let (got, error) = read(&capture_of(frames.clone()));
        prop_assert!(error.is_none());
        prop_assert_eq!(got, frames);
    }

    #[test]
    fn any_bytes_end_in_frames_and_an_error(
        head in prop::sample::select(std::vec![
            std::vec![],
            Builder::pcap(Order::Big, NANOSECONDS, 1).bytes,
            pcapng_of_all_sorts().0.bytes,
        ]),
        noise in vec(any::<u8>(), 0..400),
    ) {
        read(&[head, noise].concat());
    }

    #[test]
    #[cfg_attr(miri, ignore = "a changed length makes it read megabytes; see the test before")]
    fn a_changed_byte_spoils_nothing_before_its_record(
        which in 0..5usize, at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let (mut file, frames) = all_files().swap_remove(which);
        let at = at.index(file.bytes.len());
        file.bytes[at] ^= flip;
        let (got, error) = read(&file.bytes);
        let record = file.starts.iter().rposition(|start| *start <= at).unwrap();
        if let Some(error) = error {
            prop_assert!(error.offset >= file.starts[record] as u64);
        }
        let before = read(&file.bytes[..file.starts[record]]).0;
        prop_assert!(got.starts_with(&before) && frames.starts_with(&before));
    }
}
