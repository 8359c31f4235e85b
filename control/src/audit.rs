//! The audit log: who asked for what, when, and what came of it; a line of JSON each.
//!
//! A change has two records. The first is on disk before anything is changed, so that no change goes
//! without a trace, whatever happens on the way; when it can't be written, nothing is changed. The
//! second has the result. What only describes has one, with its result, and is answered although it
//! can't be written: a full disk must not blind the operator.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use thiserror::Error;

/// Who may read it: the daemon's user, who alone writes it, and its group.
const MODE: u32 = 0o640;
/// The longest word of a request that a record holds, in bytes; a longer one is cut.
const WORD_BYTES_MAX: usize = 256;
/// Objects that a record names; AWS takes as many in one request.
const OBJECTS_MAX: usize = 1000;

/// Whether a record is about what is asked for, or what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A change is about to be tried.
    Asked,
    /// The caller is being answered.
    Answered,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record<'r> {
    /// When it was written: RFC 3339, UTC.
    pub time: jiff::Timestamp,
    /// The request that it is about; the caller got it too.
    pub request_id: &'r str,
    /// Asked, or answered.
    pub phase: Phase,
    /// The access key's id, or who is at the other end of the Unix socket.
    pub key_id: &'r str,
    /// The caller's account.
    pub account: &'r str,
    /// Where the request came from: address and port, or the peer's process.
    pub source: &'r str,
    /// The EC2 action; empty when the request names none.
    pub action: &'r str,
    /// True when nothing was to be changed.
    pub dry_run: bool,
    /// The ids that the request names and, when answered, those that it made.
    pub objects: &'r [String],
    /// The HTTP status, when answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `OK`, or EC2's error code, when answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'r str>,
}

/// The log can't be written.
#[derive(Debug, Error)]
#[error("audit log {path}: {cause}; make room, or correct `[api] audit` in the appliance file")]
pub struct AuditError {
    path: PathBuf,
    cause: io::Error,
}

/// The open log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// True when the file ends within a line: the next record begins a new one.
    is_torn: bool,
    /// False for what is no file, such as a terminal: there is no disk to wait for then.
    is_on_disk: bool,
}

impl Audit {
    /// Opens the log at `path`, and makes it if it isn't there. Errors: the system's.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let log = Log::open(path).map_err(|cause| AuditError { path: path.to_owned(), cause })?;
        Ok(Self { path: path.to_owned(), log: Mutex::new(log) })
    }

    /// Opens the log anew: the file has been moved out of the way. Errors: the system's; the old
    /// file is written on then.
    pub fn reopen(&self) -> Result<(), AuditError> {
        let log = Log::open(&self.path).map_err(|cause| self.error(cause))?;
        *self.lock() = log;
        Ok(())
    }

    /// Appends a record. What is asked for is on disk when this returns; an answer is written, and
    /// gets there with the next one or by itself. Errors: the system's; a part may be written.
    ///
    /// Cost: one write, and for what is asked for one wait for the disk.
    pub fn append(&self, record: &Record<'_>) -> Result<(), AuditError> {
        let line = serde_json::to_vec(record).map_err(|cause| self.error(cause.into()))?;
        let mut log = self.lock();
        log.append(line).map_err(|cause| self.error(cause))?;
        if record.phase == Phase::Asked && log.is_on_disk {
            log.file.sync_data().map_err(|cause| self.error(cause))?;
        }
        Ok(())
    }

    fn error(&self, cause: io::Error) -> AuditError {
        AuditError { path: self.path.clone(), cause }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Whoever panicked meanwhile left a file and a flag, which are sound by themselves.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        // Reading is for the last byte only.
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let meta = file.metadata()?;
        if meta.is_file() && meta.permissions().mode() & 0o7777 & !MODE != 0 {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        let mut last = [b'\n'];
        if meta.is_file() && meta.len() > 0 {
            file.read_exact_at(&mut last, meta.len() - 1)?;
        }
        Ok(Self { file, is_torn: last != *b"\n", is_on_disk: meta.is_file() })
    }

    fn append(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        if self.is_torn {
            line.insert(0, b'\n');
        }
        line.push(b'\n');
        // In one write, unless the system takes only a part of it.
        self.is_torn = true;
        self.file.write_all(&line)?;
        self.is_torn = false;
        Ok(())
    }
}

/// The ids that a request names: what stands in parameters called `…Id`, `…Id.N` or `…Arn`.
pub fn objects_of<'p>(params: impl IntoIterator<Item = &'p (String, String)>) -> Vec<String> {
    let is_id = |name: &str| {
        let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        // The one number that is called so.
        (name.ends_with("Id") && name != "VirtualNetworkId") || name.ends_with("Arn")
    };
    let ids = params.into_iter().filter(|(name, _)| is_id(name));
    ids.take(OBJECTS_MAX).map(|(_, id)| cut(id).to_owned()).collect()
}

/// The ids of mirroring objects that a reply names and the request doesn't: of what it created.
pub fn add_made(objects: &mut Vec<String>, reply: &str) {
    for word in reply.split(['<', '>']).filter(|word| is_mirroring_id(word)) {
        if objects.len() < OBJECTS_MAX && !objects.iter().any(|known| known == word) {
            objects.push(word.to_owned());
        }
    }
}

fn is_mirroring_id(word: &str) -> bool {
    ["tmf-", "tmfr-", "tms-", "tmt-"].iter().any(|kind| {
        word.strip_prefix(kind).is_some_and(|digits| {
            digits.len() == 17 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
}

/// A word of a request, at a length fit for a record.
pub fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(WORD_BYTES_MAX)]
}
