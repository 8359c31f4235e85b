//! The snapshot with which the data plane starts: the last one that was in force. Beside it, one that
//! waits for a restart: it is tried once, so that the wire comes back if it can't be started.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use engine::link::PROTOCOL_VERSION;
use engine::snapshot::Snapshot;

/// A file that holds one snapshot: the protocol's version in four bytes, then postcard.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The snapshot kept, or `None` when there is no file. Errors: it can't be read, or is of
    /// another version.
    pub(crate) fn load(&self) -> io::Result<Option<Snapshot>> {
        load(&self.path)
    }

    /// Keeps a snapshot that is in force, in place of the one before, which stays whole until this
    /// one is on disk. None waits for a restart any more.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        save(&self.path, snapshot)?;
        match fs::remove_file(self.waiting()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps a snapshot that only another process can start with.
    pub(crate) fn save_for_restart(&self, snapshot: &Snapshot) -> io::Result<()> {
        save(&self.waiting(), snapshot)
    }

    /// The snapshot that waits for this start. It waits no longer: whatever becomes of this process,
    /// the next one starts with the last that was in force.
    pub(crate) fn take_for_restart(&self) -> io::Result<Option<Snapshot>> {
        let waiting = self.waiting();
        let snapshot = load(&waiting);
        if !matches!(snapshot, Ok(None)) {
            fs::remove_file(&waiting)?;
        }
        snapshot
    }

    fn waiting(&self) -> PathBuf {
        beside(&self.path, ".restart")
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

fn load(path: &Path) -> io::Result<Option<Snapshot>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let (version, body) =
        bytes.split_first_chunk().ok_or_else(|| invalid("it is cut short".to_owned()))?;
    let version = u32::from_le_bytes(*version);
    if version != PROTOCOL_VERSION {
        return Err(invalid(format!("it is of version {version}, not {PROTOCOL_VERSION}")));
    }
    postcard::from_bytes(body).map(Some).map_err(|error| invalid(error.to_string()))
}

fn save(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let body = postcard::to_stdvec(snapshot).map_err(io::Error::other)?;
    let name = beside(path, ".new");
    let mut file = File::create(&name)?;
    file.write_all(&PROTOCOL_VERSION.to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&name, path)?;
    // The new name is on disk when the directory is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::tests::snapshot;

    #[test]
    fn a_snapshot_is_kept_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(&dir.path().join("state"));
        assert_eq!(file.load().unwrap(), None);
        for epoch in [1, 2] {
            let snapshot = Snapshot { epoch, ..snapshot() };
            file.save(&snapshot).unwrap();
            assert_eq!(file.load().unwrap(), Some(snapshot));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_waits_for_a_restart_is_tried_once_and_given_up_for_what_is_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(&dir.path().join("state"));
        let other = Snapshot { epoch: 2, ..snapshot() };
        file.save(&snapshot()).unwrap();
        file.save_for_restart(&other).unwrap();
        assert_eq!(file.load().unwrap(), Some(snapshot()));
        assert_eq!(file.take_for_restart().unwrap(), Some(other.clone()));
        assert_eq!(file.take_for_restart().unwrap(), None);
        file.save_for_restart(&other).unwrap();
        file.save(&snapshot()).unwrap();
        assert_eq!(file.take_for_restart().unwrap(), None);
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(&dir.path().join("state"));
        file.save(&snapshot()).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for len in 0..whole.len() {
            fs::write(file.path(), &whole[..len]).unwrap();
            assert!(file.load().is_err(), "{len} bytes");
        }
        fs::write(file.path(), [&7_u32.to_le_bytes()[..], &whole[4..]].concat()).unwrap();
        assert!(file.load().unwrap_err().to_string().contains("version 7"));
    }
}
