//! What is said between `linetap` and `linetap-traffic`: one JSON document per line, both ways, over a socket
//! that is the process's standard input.
//!
//! The first request is [`Request::Open`], answered by [`Event::Opened`] or [`Event::Refused`]. Then one job
//! at a time: [`Event::ReplayProgress`] and the like come while it runs, its report ends it. [`Request::Stop`], a signal
//! or the end of the stream end a job early, with its report; the end of the stream ends the process.

use std::io::{self, BufRead, Read as _, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::capture::{CapturePlan, CaptureReport};
use crate::replay::{ReplayPlan, ReplayProgress, ReplayReport};
use crate::setup::{OpenPort, Setup};
use crate::trial::{TrialPlan, TrialResult};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Open ports; once.
    Open(Setup),
    /// Send captures.
    Replay(Box<ReplayPlan>),
    /// Record frames.
    Capture(CapturePlan),
    /// Offer a load and measure.
    Trial(Box<TrialPlan>),
    /// End the job that runs.
    Stop,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The ports are open.
    Opened {
        /// As they were given.
        ports: Vec<OpenPort>,
        /// DPDK's version, e.g. `DPDK 22.11.3`.
        dpdk: String,
    },
    /// What was asked for can't be done; nothing was sent. Sentences.
    Refused(Vec<String>),
    /// A replay goes on.
    ReplayProgress(ReplayProgress),
    /// A replay has ended.
    Replayed(ReplayReport),
    /// A capture goes on.
    CaptureProgress(CaptureReport),
    /// A capture has ended.
    Captured(CaptureReport),
    /// A trial has ended.
    Measured(Box<TrialResult>),
}

/// Writes one document. Errors: those of the stream.
pub fn write<T: Serialize>(mut to: impl Write, what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one document; `None` at the end of the stream. Errors: those of the stream; a line that is too long or says
/// something else.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line was cut, or is too long"));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_end_is_an_end() {
        let requests = [Request::Stop, Request::Open(setup())];
        let mut bytes = Vec::new();
        for request in &requests {
            write(&mut bytes, request).unwrap();
        }
        let mut stream = bytes.as_slice();
        for request in &requests {
            assert_eq!(read::<Request>(&mut stream).unwrap().as_ref(), Some(request));
        }
        assert_eq!(read::<Request>(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_cut_or_foreign_line_is_an_error() {
        for text in ["\"Stop\"", "{}\n", "\n"] {
            assert!(read::<Request>(&mut text.as_bytes()).is_err(), "{text}");
        }
    }

    fn setup() -> Setup {
        Setup {
            ports: vec![],
            cores: vec![1],
            memory: engine::snapshot::MemorySpec::Auto,
            frames: 7,
            timed: true,
        }
    }
}
