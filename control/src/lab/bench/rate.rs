//! Loads as people write them, and what a wire carries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Preamble, start delimiter and the gap between frames, in bytes (IEEE 802.3).
const OVERHEAD_BYTES: f64 = 20.0;

/// Bits that a frame of so many bytes, with its checksum, takes on a wire.
pub fn wire_bits(frame_len: f64) -> f64 {
    (frame_len + OVERHEAD_BYTES) * 8.0
}

/// Frames per second that a wire of so many bits per second carries.
pub fn line_rate(bits_per_second: f64, frame_len: f64) -> f64 {
    bits_per_second / wire_bits(frame_len)
}

/// A load as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Load {
    /// Frames per second.
    Frames(f64),
    /// Bits per second on the wire, with preamble and gap.
    Bits(f64),
    /// A part of something, 0 to 1.
    Part(f64),
}

impl Load {
    /// Frames per second of frames of this length, with a part of `whole` frames per second.
    pub fn frames_per_second(self, frame_len: f64, whole: f64) -> f64 {
        match self {
            Self::Frames(frames) => frames,
            Self::Bits(bits) => line_rate(bits, frame_len),
            Self::Part(part) => whole * part,
        }
    }
}

/// A text that is no [`Load`].
#[derive(Debug, Error)]
#[error(
    "it is no load; write frames per second (1.5Mpps), bits per second on the wire (10Gbps) or a percentage (90%)"
)]
pub struct BadLoad;

impl FromStr for Load {
    type Err = BadLoad;

    fn from_str(text: &str) -> Result<Self, BadLoad> {
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| BadLoad)?;
            let is_part = percent > 0.0 && percent <= 100.0;
            return if is_part { Ok(Self::Part(percent / 100.0)) } else { Err(BadLoad) };
        }
        let lower = text.to_ascii_lowercase();
        let (of, number) = if let Some(number) = lower.strip_suffix("pps") {
            (Self::Frames as fn(f64) -> Self, number)
        } else if let Some(number) =
            lower.strip_suffix("bps").or_else(|| lower.strip_suffix("bit/s"))
        {
            (Self::Bits as fn(f64) -> Self, number)
        } else {
            return Err(BadLoad);
        };
        let number = number.trim();
        let (number, scale) = match number.as_bytes().last() {
            Some(b'k') => (&number[..number.len() - 1], 1e3),
            Some(b'm') => (&number[..number.len() - 1], 1e6),
            Some(b'g') => (&number[..number.len() - 1], 1e9),
            _ => (number, 1.0),
        };
        let value = number.trim().parse::<f64>().map_err(|_| BadLoad)? * scale;
        // More than any wire; less than one frame an hour.
        if value.is_finite() && (1e-3..=1e13).contains(&value) {
            Ok(of(value))
        } else {
            Err(BadLoad)
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(frames) => write!(f, "{}pps", scaled(*frames)),
            Self::Bits(bits) => write!(f, "{}bps", scaled(*bits)),
            Self::Part(part) => write!(f, "{}%", digits(part * 100.0)),
        }
    }
}

/// A number with k, M or G, of four digits at least.
pub fn scaled(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{}G", digits(value / 1e9)),
        value if value >= 1e6 => format!("{}M", digits(value / 1e6)),
        value if value >= 1e4 => format!("{}k", digits(value / 1e3)),
        value => digits(value),
    }
}

/// Four significant digits, without zeros at the end.
fn digits(value: f64) -> String {
    let places = match value {
        value if value >= 1000.0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, exactly")]
mod tests {
    use super::*;

    #[test]
    fn line_rates_are_the_well_known_ones() {
        // RFC 9004 §5: 10GE carries 14,880,952 frames of 64 bytes; 812,743 of 1518.
        assert_eq!(line_rate(10e9, 64.0).round(), 14_880_952.0);
        assert_eq!(line_rate(10e9, 1518.0).round(), 812_744.0);
        assert_eq!(line_rate(1e9, 64.0).round(), 1_488_095.0);
    }

    #[test]
    fn loads_are_read_and_shown() {
        for (text, load, shown) in [
            ("14.88Mpps", Load::Frames(14.88e6), "14.88Mpps"),
            ("100k pps", Load::Frames(1e5), "100kpps"),
            ("250pps", Load::Frames(250.0), "250pps"),
            ("10Gbps", Load::Bits(1e10), "10Gbps"),
            ("2.5Gbit/s", Load::Bits(2.5e9), "2.5Gbps"),
            ("100%", Load::Part(1.0), "100%"),
            ("12.5 %", Load::Part(0.125), "12.5%"),
        ] {
            let read: Load = text.parse().unwrap();
            match (read, load) {
                (Load::Frames(a), Load::Frames(b)) | (Load::Bits(a), Load::Bits(b)) => {
                    assert!((a / b - 1.0).abs() < 1e-9, "{text}");
                }
                (read, load) => assert_eq!(read, load, "{text}"),
            }
            assert_eq!(read.to_string(), shown);
        }
        for text in [
            "", "10", "%", "0%", "101%", "-1%", "pps", "0pps", "infpps", "nanbps", "1e99pps",
            "10Tbps", "-5pps",
        ] {
            assert!(text.parse::<Load>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_load_becomes_frames_per_second() {
        assert_eq!(Load::Part(0.5).frames_per_second(64.0, 1000.0), 500.0);
        assert_eq!(Load::Bits(672e3).frames_per_second(64.0, 1.0), 1000.0);
        assert_eq!(Load::Frames(7.0).frames_per_second(64.0, 1.0), 7.0);
    }
}
