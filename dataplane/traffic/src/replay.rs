//! What a replay shall be, and what became of it.

use std::path::PathBuf;

use engine::units::Mac;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Captures to be put on one wire, or on two by direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayPlan {
    /// The captures: pcap or pcapng, also gzip or zstd.
    pub files: Vec<PathBuf>,
    /// How several become one.
    pub joining: Joining,
    /// When frames are sent.
    pub timing: Timing,
    /// How often all of it is sent; `None`: until one of the other limits.
    pub loops: Option<u64>,
    /// Stop after so many nanoseconds.
    pub duration_ns: Option<u64>,
    /// Stop after so many frames.
    pub limit: Option<u64>,
    /// The longest silence between two frames of a capture, in its own nanoseconds: longer ones are
    /// cut to it.
    pub gap_max_ns: Option<u64>,
    /// The port of frames of a client, and of all where `split` is absent.
    pub port: usize,
    /// Whose frames leave by another port.
    pub split: Option<Split>,
    /// What is changed in each frame.
    pub rewrites: Rewrites,
    /// What is done about captures that can't be sent as they are.
    #[serde(default)]
    pub reading: Reading,
}

/// What is done about captures that can't be sent as they are. Without any of it, nothing is sent when
/// something is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Of a damaged capture, send what comes before the damage.
    pub until_damage: bool,
    /// Leave out, and count, frames that no port can send: shorter than an Ethernet header, or longer
    /// than `frame_len_max`.
    pub leave_out: bool,
    /// The longest frame that the ports carry, in bytes without the checksum; an outermost 802.1Q tag comes on top,
    /// as kernels and devices have it. `None`: not known.
    pub frame_len_max: Option<u32>,
    /// Begin at once, without reading regular files to their end first: totals are not known, and what
    /// is wrong is found on the way.
    pub skip_scan: bool,
}

/// How several captures become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joining {
    /// By timestamp.
    Merged,
    /// One after the other, as if each began where the one before ended.
    Concatenated,
}

/// When frames are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Timing {
    /// At their own times, so many times faster.
    Original {
        /// 1.0 is as captured; above 0.
        speed: f64,
    },
    /// So many frames a second, evenly.
    Packets {
        /// Above 0.
        per_second: f64,
    },
    /// So many bits a second, each frame after the time that the one before takes.
    Bits {
        /// Above 0.
        per_second: f64,
        /// What counts as bits.
        layer: Layer,
    },
    /// As fast as the port takes them.
    Top,
}

/// What of a frame takes time on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// Preamble, frame, checksum, gap: 24 bytes beside the frame, which has at least 60.
    L1,
    /// The bytes of the frame alone.
    L2,
}

impl Layer {
    /// Bytes that a frame of `frame_len` bytes (without its checksum) counts for.
    pub const fn bytes_of(self, frame_len: usize) -> u64 {
        /// Without its checksum, so that with it there are 64 (IEEE 802.3 §4A.4.2).
        const FRAME_LEN_MIN: u64 = 60;
        /// Preamble and start of frame, checksum, gap.
        const AROUND: u64 = 8 + 4 + 12;
        let len = frame_len as u64;
        match self {
            Self::L1 => AROUND + if len < FRAME_LEN_MIN { FRAME_LEN_MIN } else { len },
            Self::L2 => len,
        }
    }
}

/// A second port for one of the two directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The port of the other direction, a server's.
    pub port: usize,
    /// Who is a server.
    pub by: SplitBy,
}

/// How it is known which direction a frame has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SplitBy {
    /// Frames from these addresses are a client's.
    ClientAddresses(Vec<IpNet>),
    /// Frames from these Ethernet addresses are a client's.
    ClientMacs(Vec<Mac>),
    /// Of TCP and UDP, the lower port is the server's; others are a client's.
    Ports,
    /// Whoever speaks first in a flow is the client (a TCP SYN without ACK says so for sure).
    FirstSpeaker,
    /// As `tcpprep` wrote into this file, frame by frame.
    Cache(PathBuf),
}

/// What is changed in each frame; checksums are made to fit by difference, so that wrong ones stay wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rewrites {
    /// The source address of Ethernet, of each port's frames (client's, server's).
    pub source_mac: [Option<Mac>; 2],
    /// The destination address of Ethernet, likewise.
    pub destination_mac: [Option<Mac>; 2],
    /// Addresses within the first network are moved into the second, which is as long a prefix; the first that fits
    /// counts.
    pub addresses: Vec<(IpNet, IpNet)>,
    /// Ports of TCP and UDP: from, to.
    pub ports: Vec<(u16, u16)>,
    /// What becomes of VLAN tags.
    pub vlan: Option<VlanRewrite>,
    /// In each loop, addresses within these networks are one higher than in the loop before, within the network.
    pub increments: Vec<IpNet>,
}

/// What becomes of VLAN tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanRewrite {
    /// Put an outermost tag on.
    Push {
        /// 1..4094.
        vlan: u16,
        /// 0x8100 or 0x88a8.
        ether_type: u16,
    },
    /// Take the outermost tag off, where there is one.
    Pop,
    /// Change the outermost tag's VLAN, where there is one.
    Set {
        /// 1..4094.
        vlan: u16,
    },
}

/// How far a replay is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// Nanoseconds since the first frame was due.
    pub elapsed_ns: u64,
    /// Frames sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Loops ended.
    pub loops: u64,
    /// Of all that shall be sent, so much is, 0 to 1; `None` where nobody knows.
    pub part: Option<f64>,
    /// The median of the timing error since the last one of these, in nanoseconds.
    pub error_median_ns: u64,
}

/// What became of a replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Frames that left: those that a device took and could not send are not among them.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their bytes on the wire ([`Layer::L1`]).
    pub wire_bytes: u64,
    /// Frames that were not sent, by reason.
    pub failed: Vec<(String, u64)>,
    /// Frames of each loop that no port can send, and that were left out as was asked for; 0 where captures were not read
    /// through before.
    #[serde(default)]
    pub left_out: u64,
    /// Loops ended.
    pub loops: u64,
    /// From the first frame to the last, in nanoseconds.
    pub elapsed_ns: u64,
    /// How much later than due frames were sent, in nanoseconds: an HDR histogram, V2, base64. Absent with
    /// [`Timing::Top`].
    pub timing_error: Option<String>,
    /// How often a worker waited for frames that were due and had not been read yet.
    #[serde(default)]
    pub starved: u64,
    /// The faults of captures, a sentence each; what came before them was sent.
    pub faults: Vec<String>,
    /// It was stopped before its end.
    pub was_stopped: bool,
}
