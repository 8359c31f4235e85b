//! The embedded store: one file of `SQLite`.
//!
//! Write-ahead log and `synchronous = FULL`: a change is on disk before [`Store::commit`] returns,
//! with one flush (<https://sqlite.org/wal.html>, <https://sqlite.org/pragma.html#pragma_synchronous>).
//! What was under way when the process or the machine died is not there afterwards, not in part.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::watchers::Watchers;
use super::{Change, Contents, Record, Store, StoreError};
use crate::model::ToolEdits;

/// `application_id` of our files: "ltap".
const APPLICATION_ID: i32 = 0x6c74_6170;
/// What leads from each schema to the next; the number of steps taken is `user_version`. A step
/// that was once released is never changed.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
    INSERT INTO state (one, revision) VALUES (1, 0);
    CREATE TABLE record (id TEXT PRIMARY KEY, created INTEGER NOT NULL, body TEXT NOT NULL)
        WITHOUT ROWID;
",
    "CREATE TABLE tool (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;",
];
/// Another process that reads the file, a copy being made, is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A store in a file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Mutex<Connection>,
    watchers: Watchers,
}

impl Sqlite {
    /// Opens the file, makes it (for its owner only) when it is not there, and brings an older one
    /// up to this version. Errors: it can't be opened, is no store, or a newer version's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Database { path: path.to_owned(), cause };
        // SQLite would make it readable for others.
        let made =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        made.map_err(|error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            failed(rusqlite::Error::SqliteFailure(code, Some(error.to_string())))
        })?;
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_WAIT).map_err(failed)?;
        check_origin(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        migrate(&mut connection, path)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            watchers: Watchers::default(),
        })
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        self.connection.lock().map_err(|_| StoreError::Poisoned)
    }

    fn failed(&self, cause: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), cause }
    }
}

/// Makes sure that the file is ours, or nobody's yet.
fn check_origin(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let found = number("application_id").and_then(|id| Ok((id, number("schema_version")?)));
    match found {
        Ok((APPLICATION_ID, _) | (0, 0)) => Ok(()),
        Ok(_) => Err(StoreError::Foreign { path: path.to_owned() }),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(StoreError::Foreign { path: path.to_owned() })
        }
        Err(cause) => Err(StoreError::Database { path: path.to_owned(), cause }),
    }
}

/// Takes the steps from the file's schema to ours, all or none.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |cause| StoreError::Database { path: path.to_owned(), cause };
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let step = step.map_err(failed)?;
    let found: u32 =
        step.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let Some(ahead) = MIGRATIONS.get(found as usize..) else {
        let known = MIGRATIONS.len() as u32;
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    };
    for sql in ahead {
        step.execute_batch(sql).map_err(failed)?;
    }
    step.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    step.pragma_update(None, "user_version", MIGRATIONS.len() as u32).map_err(failed)?;
    step.commit().map_err(failed)
}

impl Store for Sqlite {
    fn read(&self) -> Result<Contents, StoreError> {
        let mut connection = self.connection()?;
        let failed = |cause| self.failed(cause);
        // One transaction: records and revision are of the same moment.
        let view = connection.transaction().map_err(failed)?;
        let revision = revision(&view).map_err(failed)?;
        let sql = "SELECT id, body FROM record ORDER BY created";
        let mut rows = view.prepare(sql).map_err(failed)?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
        let mut records = Vec::new();
        for row in rows.map_err(failed)? {
            let (id, body): (String, String) = row.map_err(failed)?;
            let record: Record = serde_json::from_str(&body)
                .map_err(|cause| StoreError::Garbled { id: id.clone(), cause })?;
            records.push(record);
        }
        Ok(Contents { revision, records, tools: tools(&view, &failed)? })
    }

    fn commit(&self, expected: u64, change: &Change) -> Result<u64, StoreError> {
        let mut connection = self.connection()?;
        let failed = |cause| self.failed(cause);
        // Dropped without a commit, a transaction is undone.
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let step = step.map_err(failed)?;
        let found = revision(&step).map_err(failed)?;
        if found != expected {
            return Err(StoreError::Conflict { expected, found });
        }
        let next = found + 1;
        step.execute("UPDATE state SET revision = ?1", [next.cast_signed()]).map_err(failed)?;
        for id in &change.remove {
            step.execute("DELETE FROM record WHERE id = ?1", [id]).map_err(failed)?;
        }
        let sql = "INSERT OR REPLACE INTO record (id, created, body) VALUES (?1, ?2, ?3)";
        for record in &change.put {
            let body = serde_json::to_string(record)
                .map_err(|cause| StoreError::Garbled { id: record.id().to_owned(), cause })?;
            let mut put = step.prepare_cached(sql).map_err(failed)?;
            put.execute((record.id(), record.created.cast_signed(), body)).map_err(failed)?;
        }
        for edits in &change.tools {
            put_tool(&step, edits, &failed)?;
        }
        step.commit().map_err(failed)?;
        drop(connection);
        self.watchers.tell(next);
        Ok(next)
    }

    fn watch(&self) -> Receiver<u64> {
        self.watchers.add()
    }
}

fn tools(
    view: &Connection,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<Vec<ToolEdits>, StoreError> {
    let mut rows = view.prepare("SELECT id, body FROM tool ORDER BY id").map_err(failed)?;
    let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
    rows.map_err(failed)?
        .map(|row| {
            let (id, body): (String, String) = row.map_err(failed)?;
            serde_json::from_str(&body).map_err(|cause| StoreError::Garbled { id, cause })
        })
        .collect()
}

fn put_tool(
    step: &Connection,
    edits: &ToolEdits,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<(), StoreError> {
    let ToolEdits { tool, members } = edits;
    if members.is_empty() {
        step.execute("DELETE FROM tool WHERE id = ?1", [tool]).map_err(failed)?;
        return Ok(());
    }
    let body = serde_json::to_string(edits)
        .map_err(|cause| StoreError::Garbled { id: tool.clone(), cause })?;
    let sql = "INSERT OR REPLACE INTO tool (id, body) VALUES (?1, ?2)";
    step.execute(sql, [tool, &body]).map_err(failed)?;
    Ok(())
}

fn revision(connection: &Connection) -> rusqlite::Result<u64> {
    let found = connection.query_row("SELECT revision FROM state", [], |row| row.get::<_, i64>(0));
    Ok(found.optional()?.unwrap_or(0).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use engine::units::Mac;

    use super::*;
    use crate::model::{Filter, MemberEdit, Object, Setting};

    fn record(at: usize) -> Record {
        let filter = Filter { id: format!("tmf-{at}"), ..Filter::default() };
        Record {
            owner: "123456789012".into(),
            created: super::super::place(1, at),
            token: None,
            object: Object::Filter(filter),
        }
    }

    fn put(records: &[usize]) -> Change {
        Change { put: records.iter().map(|&at| record(at)).collect(), ..Change::default() }
    }

    /// Edits of so many members.
    fn edits(tool: &str, members: u8) -> ToolEdits {
        let setting = Setting { weight: Some(2), mac: Some(Mac([2; 6])), is_draining: true };
        let member = |at| (IpAddr::from([192, 0, 2, at]), MemberEdit::Added(setting.clone()));
        ToolEdits { tool: tool.into(), members: (0..members).map(member).collect() }
    }

    #[test]
    fn a_store_of_the_first_version_is_brought_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let store = Sqlite::open(&path).unwrap();
        let change = Change { tools: vec![edits("a", 1)], ..put(&[1]) };
        assert_eq!(store.commit(0, &change).unwrap(), 1);
        assert_eq!(store.read().unwrap().tools, [edits("a", 1)]);
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let store = Sqlite::open(&path).unwrap();
        let watch = store.watch();
        assert_eq!(store.read().unwrap(), Contents::default());
        assert_eq!(store.commit(0, &put(&[10, 2])).unwrap(), 1);
        let change = Change {
            put: vec![record(3)],
            remove: vec!["tmf-10".into()],
            tools: vec![edits("a", 1), edits("b", 2)],
        };
        assert_eq!(store.commit(1, &change).unwrap(), 2);
        assert_eq!(watch.try_iter().collect::<Vec<_>>(), [1, 2]);
        drop(store);
        let store = Sqlite::open(&path).unwrap();
        let records = vec![record(2), record(3)];
        let tools = vec![edits("a", 1), edits("b", 2)];
        assert_eq!(store.read().unwrap(), Contents { revision: 2, records, tools });
        let change = Change { tools: vec![edits("a", 0), edits("b", 3)], ..Change::default() };
        store.commit(2, &change).unwrap();
        assert_eq!(store.read().unwrap().tools, [edits("b", 3)]);
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_change_for_another_revision_is_refused_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let (one, other) = (Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap());
        one.commit(0, &put(&[1])).unwrap();
        let refused = other.commit(0, &put(&[2])).unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { expected: 0, found: 1 }), "{refused}");
        assert_eq!(other.read().unwrap().records, [record(1)]);
    }

    #[test]
    fn a_change_is_flushed_before_it_is_confirmed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("db")).unwrap();
        let connection = store.connection().unwrap();
        let pragma =
            |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        assert_eq!(pragma("journal_mode").unwrap(), "wal");
        let full: i32 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(full, 2);
    }

    #[test]
    fn files_of_others_and_of_later_versions_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "no database, but a long letter to a friend ".repeat(40)).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Sqlite::open(&path).unwrap_err(), StoreError::Foreign { .. }));
        assert_eq!(std::fs::read(&path).unwrap(), before);

        let path = dir.path().join("other");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(Sqlite::open(&path).unwrap_err(), StoreError::Foreign { .. }));

        let path = dir.path().join("newer");
        drop(Sqlite::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let refused = Sqlite::open(&path).unwrap_err().to_string();
        assert!(refused.contains("has schema 99"), "{refused}");
    }
}
