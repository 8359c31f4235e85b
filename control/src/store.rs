//! Where the objects that the API made outlive the process, and what it was told of tools: records,
//! and changes of them that happen whole or not at all.
//!
//! A store knows nothing of mirroring. It has one number, the revision, which grows by one with
//! each change; a change names the revision that it was made for, and is refused when another came
//! first (compare and set). [`Memory`] keeps nothing; [`Sqlite`] is the embedded one; one that is
//! replicated needs no more than this trait.

mod memory;
mod sqlite;
mod watchers;

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::{Object, ToolEdits};

pub use memory::Memory;
pub use sqlite::Sqlite;

/// An object, and what the API has to remember of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The account that made it, 12 digits.
    pub owner: String,
    /// Its place in the order of all objects, [`place`]; never given twice.
    pub created: u64,
    /// The request that made it, if it may be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The object itself.
    pub object: Object,
}

impl Record {
    /// The object's id, by which records are told apart.
    pub fn id(&self) -> &str {
        self.object.id()
    }
}

/// A client's `ClientToken`, and a digest of what else stood in its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// As the client gave it.
    pub token: String,
    /// The same only for the same parameters.
    pub request: String,
}

/// Objects that one change can make, at most.
pub const PLACES_PER_REVISION: u64 = 1 << 24;

/// The place in the order of all objects of the one that is made as number `at` by the change that
/// leads to `revision`.
pub fn place(revision: u64, at: usize) -> u64 {
    revision.saturating_mul(PLACES_PER_REVISION).saturating_add(at as u64)
}

/// What one change does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// These records are there afterwards, in place of those with the same ids.
    pub put: Vec<Record>,
    /// Those with these ids are not.
    pub remove: Vec<String>,
    /// These are the edits of their tools afterwards; where none is left, nothing is kept.
    pub tools: Vec<ToolEdits>,
}

impl Change {
    /// True when nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty() && self.tools.is_empty()
    }
}

/// All records, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many changes there were.
    pub revision: u64,
    /// In the order in which they were made.
    pub records: Vec<Record>,
    /// What was said of tools, in the order of their ids.
    pub tools: Vec<ToolEdits>,
}

/// Why a store can't do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else changed it in between. Nothing was changed.
    #[error("the store is at revision {found}, not {expected}: another process writes to it")]
    Conflict {
        /// The revision that the change was made for.
        expected: u64,
        /// The one that the store has.
        found: u64,
    },
    /// The file is not for this version.
    #[error(
        "the store {path} has schema {found}, and this linetapd knows those up to {known}: install \
         the version that wrote it, or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The file is something else.
    #[error("{path} is no store of linetap; name another place, or move the file away")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A record can't be read.
    #[error("the record {id} of the store can't be read: {cause}; restore the file from a copy")]
    Garbled {
        /// The object's id.
        id: String,
        /// Why.
        cause: serde_json::Error,
    },
    /// The database failed. Nothing was changed.
    #[error("the store {path} failed: {cause}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database says.
        cause: rusqlite::Error,
    },
    /// A thread died in the middle of a change.
    #[error("the store is left by a thread that failed; restart linetapd")]
    Poisoned,
}

/// Keeps records. All methods may be called by any thread.
pub trait Store: Send + Sync {
    /// All records, and the revision that they are at. Errors: the store fails, or is damaged.
    fn read(&self) -> Result<Contents, StoreError>;

    /// Makes a change of revision `expected`, and returns when it is durable, with the new revision.
    /// Errors: the store has another revision, or fails; nothing is changed then.
    fn commit(&self, expected: u64, change: &Change) -> Result<u64, StoreError>;

    /// Each revision from now on, as it is reached.
    fn watch(&self) -> Receiver<u64>;
}
