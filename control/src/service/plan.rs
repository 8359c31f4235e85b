//! What a request comes to.

use crate::store::{Change, Record};

/// What is to be done for a request, and what it then comes to.
#[derive(Debug)]
pub(super) enum Plan<T> {
    /// Nothing: it was done before.
    Done(T),
    /// This change.
    Do(Change, T),
}

impl Plan<Record> {
    /// One record is there afterwards.
    pub(super) fn put(record: Record) -> Self {
        Self::Do(Change { put: vec![record.clone()], ..Change::default() }, record)
    }
}
