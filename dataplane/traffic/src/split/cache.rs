//! The file that `tcpprep` writes: for each frame, whether it is sent, and by which port.
//!
//! A header of 24 bytes, a comment, then two bits per frame, the first frame's lowest: 2 for "sent", 1 for
//! "by the first port". Numbers are big-endian (version 04).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

const MAGIC: [u8; 8] = *b"tcpprep\0";
const VERSION: [u8; 2] = *b"04";
const HEADER_LEN: usize = 24;
const FRAMES_PER_BYTE: u16 = 4;
/// The largest file that is read: four billion frames.
const BYTES_MAX: u64 = 1 << 30;

/// Which way each frame goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cache {
    frames: u64,
    bits: Vec<u8>,
}

impl Cache {
    /// Reads a file. Errors: it can't be read, or is something else; a sentence.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let told = |why: String| format!("{}: {why}", file.display());
        let mut bytes = Vec::new();
        let opened = File::open(file).map_err(|error| told(error.to_string()))?;
        let read = opened.take(BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| told(format!("it can't be read: {error}")))?;
        Self::parse(&bytes).map_err(told)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err("it is too short to be a cache file of tcpprep".to_owned());
        };
        if !header.starts_with(&MAGIC) {
            return Err("it is not a cache file of tcpprep".to_owned());
        }
        if header[8..10] != VERSION {
            let version = String::from_utf8_lossy(&header[8..10]);
            return Err(format!(
                "version {version:?} of tcpprep's format is not known: write it anew with tcpprep 4"
            ));
        }
        let [f0, f1, f2, f3, f4, f5, f6, f7, p0, p1, c0, c1] =
            *header.last_chunk().unwrap_or(&[0; 12]);
        let frames = u64::from_be_bytes([f0, f1, f2, f3, f4, f5, f6, f7]);
        let frames_per_byte = u16::from_be_bytes([p0, p1]);
        if frames_per_byte != FRAMES_PER_BYTE {
            return Err(format!("it has {frames_per_byte} frames per byte, and not 4"));
        }
        let comment = usize::from(u16::from_be_bytes([c0, c1]));
        let bits = rest.get(comment..).unwrap_or_default();
        if (bits.len() as u64) < frames.div_ceil(FRAMES_PER_BYTE.into()) {
            return Err(format!("it is cut: it tells of {frames} frames, and has fewer"));
        }
        Ok(Self { frames, bits: bits.to_vec() })
    }

    /// Frames that it tells of.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// The side of a frame, counted from 0; `None`: it is not sent.
    #[inline]
    pub(super) fn side(&self, number: u64) -> Option<usize> {
        let byte = usize::try_from(number / 4).ok().filter(|_| number < self.frames)?;
        let bits = self.bits.get(byte)? >> (2 * (number % 4));
        (bits & 2 != 0).then_some(usize::from(bits & 1 == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: u64, comment: &[u8], bits: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), b"04\0\0", &frames.to_be_bytes(), &[0, 4]].concat();
        bytes.extend((comment.len() as u16).to_be_bytes());
        bytes.extend([comment, bits].concat());
        bytes
    }

    #[test]
    fn two_bits_tell_of_a_frame() {
        // First port, second port, not sent, first port; second port.
        let cache = Cache::parse(&file(5, b"tcpprep -a client", &[0b11_00_10_11, 0b10])).unwrap();
        let sides: Vec<_> = (0..6).map(|number| cache.side(number)).collect();
        assert_eq!(sides, [Some(0), Some(1), None, Some(0), Some(1), None]);
        assert_eq!(cache.side(u64::MAX), None);
    }

    #[test]
    fn other_files_are_refused() {
        let good = file(5, b"ab", &[1, 2]);
        for len in 0..good.len() {
            assert!(Cache::parse(&good[..len]).is_err(), "{len}");
        }
        assert!(Cache::parse(&good).is_ok());
        for at in [0, 7, 8, 9, 21] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Cache::parse(&bad).is_err(), "{at}");
        }
        assert!(Cache::parse(&file(u64::MAX, b"", &[0; 9])).is_err());
    }
}
