//! Histograms of times as they travel between processes and stand in reports: HDR, V2, in base64, which all
//! implementations of HdrHistogram read.
//!
//! Times are nanoseconds, up to [`engine::latency::NS_MAX`], with [`engine::latency::DIGITS`] decimal digits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use engine::latency::{empty, record};

/// Why a text is no histogram.
#[derive(Debug, Error)]
pub enum HistogramError {
    /// It is not base64.
    #[error("a histogram is not written in base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are something else.
    #[error("a histogram is not in HdrHistogram's format V2: {0}")]
    Format(#[from] DeserializeError),
}

/// What people ask of a histogram, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Times recorded.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// So many were not longer than this: 50 %.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

/// Writes a histogram; nothing is lost on the way. Nothing is written for one without values.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    if histogram.is_empty() || V2Serializer::new().serialize(histogram, &mut bytes).is_err() {
        // The second is not known to happen: the counts would have to be beyond 2^63.
        return String::new();
    }
    STANDARD.encode(bytes)
}

/// Reads one; no text is one without values. Errors: the text is something else.
pub fn decode(text: &str) -> Result<Histogram<u64>, HistogramError> {
    if text.is_empty() {
        return Ok(empty());
    }
    let bytes = STANDARD.decode(text)?;
    Ok(Deserializer::new().deserialize(&mut bytes.as_slice())?)
}

/// The figures of a histogram; zeros of one without values.
pub fn summary(histogram: &Histogram<u64>) -> Summary {
    if histogram.is_empty() {
        return Summary::default();
    }
    let at = |quantile| histogram.value_at_quantile(quantile);
    Summary {
        count: histogram.len(),
        min: histogram.min(),
        mean: histogram.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::latency::NS_MAX;

    #[test]
    fn what_is_written_is_read() {
        let mut histogram = empty();
        for (ns, count) in [(0, 1), (1, 64), (999, 3), (123_456, 9), (NS_MAX, 2)] {
            record(&mut histogram, ns, count);
        }
        let text = encode(&histogram);
        assert!(text.len() < 300, "{} bytes", text.len());
        assert_eq!(decode(&text).unwrap(), histogram);
        assert_eq!(encode(&empty()), "");
        assert_eq!(decode("").unwrap(), empty());
    }

    #[test]
    fn what_is_no_histogram_is_an_error() {
        assert!(matches!(decode("%"), Err(HistogramError::Base64(_))));
        assert!(matches!(decode("AAAA"), Err(HistogramError::Format(_))));
    }

    #[test]
    fn figures_are_those_of_the_values() {
        let mut histogram = empty();
        for ns in 1..=1000 {
            record(&mut histogram, ns, 1);
        }
        let Summary { count, min, mean, p50, p90, p99, p999, max } = summary(&histogram);
        assert_eq!((count, min, p50, p90, p99, p999, max), (1000, 1, 500, 900, 990, 999, 1000));
        assert!((mean - 500.5).abs() < 0.5, "{mean}");
        assert_eq!(summary(&empty()), Summary::default());
    }
}
