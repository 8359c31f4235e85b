//! The language of the Unix socket between control and the data plane, and its framing.
//!
//! A frame is a 32-bit little-endian length and that many bytes of postcard. Any number of clients
//! may ask for reports; snapshots are taken one at a time. The data plane speaks first
//! ([`FromDataplane::Hello`]), then answers each request in order.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::report::Report;
use crate::snapshot::Snapshot;

/// Grows whenever a message or [`Snapshot`] changes its shape: both sides must agree.
pub const PROTOCOL_VERSION: u32 = 6;
/// The largest frame that is read: a snapshot of 100,000 rules takes about 10 MB.
pub const FRAME_BYTES_MAX: u32 = 256 << 20;

/// A request of control.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToDataplane {
    /// Take this in place of what is in force. Answered by `Applied` or `Refused`.
    Snapshot(Box<Snapshot>),
    /// The same, of a snapshot with the rules of the one in force: they are left out.
    SameRules {
        /// The epoch of the one that is meant; refused if another one is in force.
        of: u64,
        /// Without rules.
        snapshot: Box<Snapshot>,
    },
    /// Tell the counters. Answered by `Report`.
    Report,
}

/// A message of the data plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromDataplane {
    /// The first message of a connection.
    Hello {
        /// [`PROTOCOL_VERSION`] of the data plane.
        protocol: u32,
        /// Its process id.
        pid: u32,
        /// The snapshot in force; `None` before the first.
        epoch: Option<u64>,
    },
    /// Every worker polls with this snapshot, and it is on disk.
    Applied {
        /// The snapshot's epoch.
        epoch: u64,
    },
    /// The snapshot was refused whole; what was in force still is.
    Refused {
        /// The snapshot's epoch.
        epoch: u64,
        /// All reasons, a sentence each.
        faults: Vec<String>,
    },
    /// The counters.
    Report(Box<Report>),
}

/// Why a frame could not be exchanged.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The socket failed or was closed.
    #[error("the connection between control and the data plane failed: {0}")]
    Io(#[from] io::Error),
    /// A frame announces more than [`FRAME_BYTES_MAX`].
    #[error("a message of {0} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    TooLong(u32),
    /// The bytes are no message of this version.
    #[error("a message can't be read: {0}; are control and data plane of the same version?")]
    Garbled(#[from] postcard::Error),
}

/// Writes one message. Errors: the socket's, or a message beyond [`FRAME_BYTES_MAX`].
pub fn write_message(out: &mut impl Write, message: &impl Serialize) -> Result<(), LinkError> {
    let body = postcard::to_stdvec(message)?;
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if len > FRAME_BYTES_MAX {
        return Err(LinkError::TooLong(len));
    }
    out.write_all(&len.to_le_bytes())?;
    out.write_all(&body)?;
    Ok(out.flush()?)
}

/// Reads one message; `None` when the other side closed the connection between two messages.
pub fn read_message<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, LinkError> {
    let mut len = [0u8; 4];
    let first = loop {
        match from.read(&mut len) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(len.get_mut(first..).unwrap_or_default())?;
    let len = u32::from_le_bytes(len);
    if len > FRAME_BYTES_MAX {
        return Err(LinkError::TooLong(len));
    }
    // Grown as bytes arrive: a false length must not reserve memory.
    let mut body = Vec::new();
    let read = from.take(len.into()).read_to_end(&mut body)?;
    if read < len as usize {
        return Err(LinkError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(postcard::from_bytes(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        let mut wire = Vec::new();
        assert!(write_message(&mut wire, &FromDataplane::Applied { epoch: 7 }).is_ok());
        let mut from = wire.as_slice();
        let got: Option<FromDataplane> = read_message(&mut from).unwrap_or(None);
        assert!(matches!(got, Some(FromDataplane::Applied { epoch: 7 })));
        assert!(matches!(read_message::<FromDataplane>(&mut from), Ok(None)));
    }

    #[test]
    fn a_cut_message_is_an_error() {
        let mut wire = Vec::new();
        assert!(write_message(&mut wire, &FromDataplane::Applied { epoch: 7 }).is_ok());
        for cut in 1..wire.len() {
            assert!(read_message::<FromDataplane>(&mut &wire[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_false_length_is_refused_without_reserving_it() {
        let wire = u32::MAX.to_le_bytes();
        assert!(matches!(
            read_message::<FromDataplane>(&mut wire.as_slice()),
            Err(LinkError::TooLong(u32::MAX))
        ));
    }
}
