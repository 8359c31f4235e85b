//! The snapshot with which the data plane starts: the last one that was accepted.

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
        let bytes = match fs::read(&self.path) {
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

    /// Keeps a snapshot in place of the one before, which stays whole until this one is on disk.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        let body = postcard::to_stdvec(snapshot).map_err(io::Error::other)?;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let mut file = File::create(&name)?;
        file.write_all(&PROTOCOL_VERSION.to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&name, &self.path)?;
        // The new name is on disk when the directory is.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
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
