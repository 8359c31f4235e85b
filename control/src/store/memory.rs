//! A store that ends with its process.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard};

use super::watchers::Watchers;
use super::{Change, Contents, Record, Store, StoreError};
use crate::model::ToolEdits;

/// Keeps records in memory: for trials and tests.
#[derive(Debug, Default)]
pub struct Memory {
    held: Mutex<Held>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
struct Held {
    revision: u64,
    records: BTreeMap<String, Record>,
    tools: BTreeMap<String, ToolEdits>,
}

impl Memory {
    /// A store that has these records from the start.
    pub fn with(records: impl IntoIterator<Item = Record>) -> Self {
        let records = records.into_iter().map(|record| (record.id().to_owned(), record)).collect();
        Self {
            held: Mutex::new(Held { revision: 1, records, ..Held::default() }),
            watchers: Watchers::default(),
        }
    }

    fn held(&self) -> Result<MutexGuard<'_, Held>, StoreError> {
        self.held.lock().map_err(|_| StoreError::Poisoned)
    }
}

impl Store for Memory {
    fn read(&self) -> Result<Contents, StoreError> {
        let held = self.held()?;
        let mut records: Vec<Record> = held.records.values().cloned().collect();
        records.sort_by_key(|record| record.created);
        let tools = held.tools.values().cloned().collect();
        Ok(Contents { revision: held.revision, records, tools })
    }

    fn commit(&self, expected: u64, change: &Change) -> Result<u64, StoreError> {
        let mut held = self.held()?;
        if held.revision != expected {
            return Err(StoreError::Conflict { expected, found: held.revision });
        }
        for id in &change.remove {
            held.records.remove(id);
        }
        for record in &change.put {
            held.records.insert(record.id().to_owned(), record.clone());
        }
        for edits in &change.tools {
            if edits.members.is_empty() {
                held.tools.remove(&edits.tool);
            } else {
                held.tools.insert(edits.tool.clone(), edits.clone());
            }
        }
        held.revision += 1;
        let revision = held.revision;
        drop(held);
        self.watchers.tell(revision);
        Ok(revision)
    }

    fn watch(&self) -> Receiver<u64> {
        self.watchers.add()
    }
}
