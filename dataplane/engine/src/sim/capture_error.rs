//! Why a capture file can't be read on, in sentences that name the place.

use std::fmt;
use std::io;

use thiserror::Error;

use super::reader::FRAME_BYTES_MAX;

/// Damage in a capture file. What came before it was delivered.
#[derive(Debug, Error)]
#[error("at byte {offset}: {fault}")]
pub struct CaptureError {
    /// Where the bad record or block begins, in bytes of the (decompressed) file.
    pub offset: u64,
    /// What is wrong with it.
    #[source]
    pub fault: CaptureFault,
}

/// What is wrong with a capture file.
#[derive(Debug, Error)]
pub enum CaptureFault {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// It ends within the first header.
    #[error("the file is cut in its header")]
    HeaderCut,
    /// It begins like no capture.
    #[error("the file is not a capture: it begins with 0x{0:08x}, neither pcap nor pcapng")]
    NotACapture(u32),
    /// Kuznetzov's patched pcap, whose records have headers of other lengths.
    #[error("this is the \"modified\" pcap format, which is not read: convert it with editcap")]
    Modified,
    /// A version of the format that does not exist (yet).
    #[error("version {major}.{minor} of the {format} format is not known")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Major version; 2 in pcap, 1 in pcapng.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// Frames that don't begin with an Ethernet header.
    #[error("link type {0} is not Ethernet")]
    LinkType(LinkType),
    /// The file ends within a record or block.
    #[error("the file is cut in this record")]
    RecordCut,
    /// A record announces more than any frame has.
    #[error("a record of {0} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    RecordLength(u32),
    /// A block's length is impossible.
    #[error("a block of type 0x{kind:08x} can't be {len} bytes long")]
    BlockLength {
        /// Block type.
        kind: u32,
        /// Block total length.
        len: u32,
    },
    /// The two lengths of a block differ.
    #[error("the lengths at the two ends of a block differ: {first} and {last}")]
    BlockEnds {
        /// In front.
        first: u32,
        /// Behind.
        last: u32,
    },
    /// A section that tells no byte order.
    #[error("a section begins with the byte-order magic 0x{0:08x}")]
    ByteOrder(u32),
    /// A frame from an interface that the section has not described.
    #[error("a frame belongs to interface {0}, which its section does not describe")]
    Interface(u32),
    /// The file could not be read.
    #[error("the file can't be read on: {0}")]
    Io(#[from] io::Error),
}

/// A link-layer type of the capture formats, shown with its usual name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkType(pub u32);

impl LinkType {
    /// Ethernet: the only one that has an inner frame to mirror.
    pub const ETHERNET: Self = Self(1);

    /// The name in the registry of link types (<https://www.tcpdump.org/linktypes.html>).
    const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "NULL",
            1 => "ETHERNET",
            6 => "IEEE802_5",
            8 => "SLIP",
            9 => "PPP",
            10 => "FDDI",
            12 | 14 | 101 => "RAW",
            50 => "PPP_HDLC",
            51 => "PPP_ETHER",
            104 => "C_HDLC",
            105 => "IEEE802_11",
            107 => "FRELAY",
            108 => "LOOP",
            113 => "LINUX_SLL",
            117 => "PFLOG",
            119 => "IEEE802_11_PRISM",
            127 => "IEEE802_11_RADIOTAP",
            143 => "DOCSIS",
            147..=162 => "USER",
            187 => "BLUETOOTH_HCI_H4",
            189 | 220 => "USB_LINUX",
            195 | 230 => "IEEE802_15_4",
            228 => "IPV4",
            229 => "IPV6",
            239 => "NFLOG",
            249 => "USBPCAP",
            251 => "BLUETOOTH_LE_LL",
            253 => "NETLINK",
            276 => "LINUX_SLL2",
            _ => return None,
        })
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
