//! What shall be recorded, and what was.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Frames of ports, written into a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapturePlan {
    /// The ports.
    pub ports: Vec<usize>,
    /// The file, pcapng; with rotation the first of them.
    pub file: PathBuf,
    /// When the next file begins.
    pub rotation: Rotation,
    /// Bytes of a frame that are kept; `None`: all.
    pub snap_len: Option<u32>,
    /// Take VXLAN off: only what comes in VXLAN is written, without it.
    pub decap: Option<Decap>,
    /// Stop after so many nanoseconds.
    pub duration_ns: Option<u64>,
    /// Stop after so many frames.
    pub limit: Option<u64>,
    /// So many bytes of frames may wait for the file to be written; what comes then is lost, and counted.
    #[serde(default = "buffer_bytes_default")]
    pub buffer_bytes: u64,
}

/// What may wait if nobody says otherwise: half a second of 1 Gb/s.
pub const BUFFER_BYTES: u64 = 64 << 20;

fn buffer_bytes_default() -> u64 {
    BUFFER_BYTES
}

/// When the next file begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// After so many bytes.
    pub bytes: Option<u64>,
    /// After so many nanoseconds.
    pub duration_ns: Option<u64>,
    /// Only so many files are kept, the oldest goes.
    pub files: Option<u32>,
}

/// Which VXLAN is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decap {
    /// Its UDP port.
    pub udp_port: u16,
    /// Only these networks; empty: all.
    pub vnis: Vec<u32>,
}

/// How far a capture is, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptureReport {
    /// Nanoseconds since the start.
    pub elapsed_ns: u64,
    /// Frames received.
    pub received: u64,
    /// Frames written.
    pub written: u64,
    /// Their bytes in the file.
    pub written_bytes: u64,
    /// Frames written that were cut.
    pub cut: u64,
    /// With [`Decap`]: frames that were not meant.
    pub others: u64,
    /// Frames lost for want of time to write them.
    pub lost_by_writer: u64,
    /// Frames that the device says it has lost; `None` where it does not say.
    pub lost_by_device: Option<u64>,
    /// The files that there are, the oldest first.
    pub files: Vec<PathBuf>,
    /// What went wrong, a sentence each.
    pub faults: Vec<String>,
}
