//! The pcapng format: sections of blocks, each with its type in front and its length at both ends.
//! Source: draft-ietf-opsawg-pcapng. All sorts of packet blocks are read, all else is passed over.

use std::io::Read;

use super::capture_error::{CaptureError, CaptureFault, LinkType};
use super::reader::{FRAME_BYTES_MAX, Order, Record};
use super::window::Window;

/// Block type of a section header; reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Says the byte order of a section.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and length in front of a block's body.
const BLOCK_HEADER_LEN: usize = 8;
/// What a block has beside its body.
const BLOCK_FRAME_LEN: u32 = 12;
/// The longest block of a type that is read and not passed over: libpcap's limit, too.
const BLOCK_BYTES_MAX: u32 = 16 << 20;

const OPTION_TIMESTAMP_RESOLUTION: u16 = 9;
const OPTION_TIMESTAMP_OFFSET: u16 = 14;

/// What the present section has said so far.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Default for PcapNg {
    fn default() -> Self {
        Self { order: Order::Little, interfaces: Vec::new() }
    }
}

/// What an interface description says about its frames.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snap_len: u32,
    clock: Clock,
}

/// How a 64-bit timestamp is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// `if_tsresol`: a negative power of ten, or of two when the highest bit is set.
    resolution: u8,
    /// `if_tsoffset`: seconds to be added.
    offset_s: i64,
}

impl Clock {
    /// Nanoseconds since 1970, rounded down and kept within 64 bits.
    fn nanoseconds(self, high: u32, low: u32) -> u64 {
        let ticks = u128::from(high) << 32 | u128::from(low);
        let exponent = u32::from(self.resolution & 0x7f);
        let ns = if self.resolution & 0x80 != 0 {
            (ticks * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            ticks * 10u128.pow(9 - exponent)
        } else {
            10u128.checked_pow(exponent - 9).map_or(0, |divisor| ticks / divisor)
        };
        // ns < 2^94 and the offset < 2^93, so the sum can't overflow.
        let ns = ns.cast_signed() + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

/// What one block is to the reader of frames.
enum Block {
    /// A frame, whole in the window and not yet passed over.
    Frame(Record),
    /// Something else, passed over.
    Other,
    /// No block: the file ends here.
    End,
}

impl PcapNg {
    /// The next packet block, whole in the window; `None` at the end of the file.
    #[inline]
    pub(super) fn next_record<R: Read>(
        &mut self,
        window: &mut Window<R>,
    ) -> Result<Option<Record>, CaptureError> {
        loop {
            let offset = window.offset();
            match self.block(window).map_err(|fault| CaptureError { offset, fault })? {
                Block::Frame(record) => return Ok(Some(record)),
                Block::Other => {}
                Block::End => return Ok(None),
            }
        }
    }

    #[inline]
    fn block<R: Read>(&mut self, window: &mut Window<R>) -> Result<Block, CaptureFault> {
        if !window.ensure(BLOCK_HEADER_LEN)? {
            return if window.bytes().is_empty() { Ok(Block::End) } else { Err(cut(window)) };
        }
        let Some([kind, len]) = self.order.words(window.bytes()) else {
            return Err(cut(window));
        };
        let order = self.order;
        match kind {
            ENHANCED_PACKET | OBSOLETE_PACKET => {
                self.packet(kind, hold(order, window, kind, len)?).map(Block::Frame)
            }
            SIMPLE_PACKET => self.simple_packet(hold(order, window, kind, len)?).map(Block::Frame),
            SECTION_HEADER => self.begin_section(window),
            INTERFACE_DESCRIPTION => {
                self.interfaces.extend(Interface::parse(order, hold(order, window, kind, len)?));
                window.consume(len as usize);
                Ok(Block::Other)
            }
            _ => pass_over(order, window, kind, len),
        }
    }

    /// A section may be of another byte order, and describes its interfaces anew.
    fn begin_section<R: Read>(&mut self, window: &mut Window<R>) -> Result<Block, CaptureFault> {
        if !window.ensure(BLOCK_HEADER_LEN + 4)? {
            return Err(cut(window));
        }
        let Some([_, _, magic]) = Order::Big.words(window.bytes()) else {
            return Err(cut(window));
        };
        self.order = match magic {
            BYTE_ORDER_MAGIC => Order::Big,
            _ if magic.swap_bytes() == BYTE_ORDER_MAGIC => Order::Little,
            _ => return Err(CaptureFault::ByteOrder(magic)),
        };
        self.interfaces.clear();
        let Some([kind, len]) = self.order.words(window.bytes()) else {
            return Err(cut(window));
        };
        let body = hold(self.order, window, kind, len)?;
        let Some(&[_, _, _, _, a, b, c, d]) = body.first_chunk() else {
            return Err(CaptureFault::BlockLength { kind, len });
        };
        let (major, minor) = (self.order.u16([a, b]), self.order.u16([c, d]));
        if major != 1 {
            return Err(CaptureFault::Version { format: "pcapng", major, minor });
        }
        window.consume(len as usize);
        Ok(Block::Other)
    }

    /// An enhanced packet, or an obsolete one, whose interface shares a word with a drop count.
    #[inline]
    fn packet(&self, kind: u32, body: &[u8]) -> Result<Record, CaptureFault> {
        const FIELDS_LEN: usize = 20;
        let block_len = BLOCK_FRAME_LEN as usize + body.len();
        let impossible = || CaptureFault::BlockLength { kind, len: length(block_len) };
        let Some([mut interface, high, low, len]) = self.order.words(body) else {
            return Err(impossible());
        };
        if kind == OBSOLETE_PACKET {
            let index = body.first_chunk().copied().unwrap_or_default();
            interface = self.order.u16(index).into();
        }
        let interface = self.interface(interface)?;
        if len > FRAME_BYTES_MAX {
            return Err(CaptureFault::RecordLength(len));
        }
        if FIELDS_LEN + len as usize > body.len() {
            return Err(impossible());
        }
        Ok(Record {
            header_len: BLOCK_HEADER_LEN + FIELDS_LEN,
            frame_len: len as usize,
            total_len: block_len,
            timestamp_ns: Some(interface.clock.nanoseconds(high, low)),
        })
    }

    /// A simple packet tells neither time nor captured length: the latter is the original length as
    /// far as the block reaches, less the padding where the first interface's snap length tells it.
    fn simple_packet(&self, body: &[u8]) -> Result<Record, CaptureFault> {
        const FIELDS_LEN: usize = 4;
        let block_len = BLOCK_FRAME_LEN as usize + body.len();
        let Some([original_len]) = self.order.words(body) else {
            return Err(CaptureFault::BlockLength { kind: SIMPLE_PACKET, len: length(block_len) });
        };
        let snap_len = self.interface(0)?.snap_len;
        let room = length(body.len() - FIELDS_LEN);
        let mut len = original_len.min(room);
        if snap_len != 0 && snap_len < len && room - snap_len < 4 {
            len = snap_len;
        }
        if len > FRAME_BYTES_MAX {
            return Err(CaptureFault::RecordLength(len));
        }
        Ok(Record {
            header_len: BLOCK_HEADER_LEN + FIELDS_LEN,
            frame_len: len as usize,
            total_len: block_len,
            timestamp_ns: None,
        })
    }

    /// The interface that a frame came from; frames of foreign link types are refused.
    #[inline]
    fn interface(&self, index: u32) -> Result<&Interface, CaptureFault> {
        let interface =
            self.interfaces.get(index as usize).ok_or(CaptureFault::Interface(index))?;
        if interface.link_type == LinkType::ETHERNET {
            Ok(interface)
        } else {
            Err(CaptureFault::LinkType(interface.link_type))
        }
    }
}

impl Interface {
    /// Reads the body of an interface description; `None` when it is too short to be one, so that
    /// frames which refer to it are refused by name.
    fn parse(order: Order, body: &[u8]) -> Option<Self> {
        let &[a, b, _, _] = body.first_chunk()?;
        let [_, snap_len] = order.words(body)?;
        Some(Self {
            link_type: LinkType(order.u16([a, b]).into()),
            snap_len,
            clock: Clock::parse(order, body.get(8..).unwrap_or_default()),
        })
    }
}

impl Clock {
    /// Microseconds since 1970, unless the options of an interface description say otherwise.
    fn parse(order: Order, mut options: &[u8]) -> Self {
        let mut clock = Self { resolution: 6, offset_s: 0 };
        while let Some((&[a, b, c, d], rest)) = options.split_first_chunk() {
            let len = usize::from(order.u16([c, d]));
            let value = rest.get(..len).unwrap_or_default();
            match order.u16([a, b]) {
                OPTION_TIMESTAMP_RESOLUTION => {
                    clock.resolution = value.first().copied().unwrap_or(clock.resolution);
                }
                OPTION_TIMESTAMP_OFFSET => {
                    let seconds = value.first_chunk().map(|bytes| order.i64(*bytes));
                    clock.offset_s = seconds.unwrap_or(clock.offset_s);
                }
                _ => {}
            }
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        clock
    }
}

/// Holds a whole block and returns its body. Errors: a length that is impossible, differs at the
/// end, or exceeds the file.
#[inline]
fn hold<R: Read>(
    order: Order,
    window: &mut Window<R>,
    kind: u32,
    len: u32,
) -> Result<&[u8], CaptureFault> {
    if len < BLOCK_FRAME_LEN || !len.is_multiple_of(4) || len > BLOCK_BYTES_MAX {
        return Err(CaptureFault::BlockLength { kind, len });
    }
    if !window.ensure(len as usize)? {
        return Err(cut(window));
    }
    let block = window.bytes().get(..len as usize).unwrap_or_default();
    let (rest, last) = block.split_last_chunk().unwrap_or((&[], &[0; 4]));
    check_ends(len, order.u32(*last))?;
    Ok(rest.get(BLOCK_HEADER_LEN..).unwrap_or_default())
}

/// Passes over a block of whatever size. Errors: as of [`hold`].
fn pass_over<R: Read>(
    order: Order,
    window: &mut Window<R>,
    kind: u32,
    len: u32,
) -> Result<Block, CaptureFault> {
    if len < BLOCK_FRAME_LEN || !len.is_multiple_of(4) {
        return Err(CaptureFault::BlockLength { kind, len });
    }
    let whole = window.skip(len as usize - 4)? && window.ensure(4)?;
    let Some([last]) = order.words(window.bytes()).filter(|_| whole) else {
        return Err(CaptureFault::RecordCut);
    };
    check_ends(len, last)?;
    window.consume(4);
    Ok(Block::Other)
}

fn check_ends(first: u32, last: u32) -> Result<(), CaptureFault> {
    if first == last { Ok(()) } else { Err(CaptureFault::BlockEnds { first, last }) }
}

/// The fault of a file that ends within the block at the window's start.
fn cut<R: Read>(window: &Window<R>) -> CaptureFault {
    if window.offset() == 0 { CaptureFault::HeaderCut } else { CaptureFault::RecordCut }
}

/// A length that is known to be small, as the format writes it.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
