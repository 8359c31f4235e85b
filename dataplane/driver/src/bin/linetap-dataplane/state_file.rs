//! The snapshot with which the data plane starts: the last one that was in force. Beside it, one that
//! waits for a restart: it is tried once, so that the wire comes back if it can't be started.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use engine::link::PROTOCOL_VERSION;
use engine::snapshot::Snapshot;

/// The protocol's version, a check sum over what is behind it, and a serial number.
const HEADER_LEN: usize = 4 + 4 + 8;
/// What the check sum is over begins here.
const CHECKED_FROM: usize = 8;

/// Two files of one snapshot each, of which the whole one with the higher serial number counts. They are
/// written in turn and in place: one flush then keeps a snapshot, and the one before stays whole
/// until that is done.
#[derive(Debug)]
pub(crate) struct StateFile {
    slots: [PathBuf; 2],
    /// Which of them counts, and its serial number; unknown until the first look.
    current: Cell<Option<(usize, u64)>>,
}

impl StateFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { slots: [path.to_owned(), beside(path, ".2")], current: Cell::new(None) }
    }

    /// The snapshot kept, or `None` when there is no file. Errors: none can be read, or they are of
    /// another version.
    pub(crate) fn load(&self) -> io::Result<Option<Snapshot>> {
        let mut newest: Option<(usize, Kept)> = None;
        let mut fault = None;
        for (slot, path) in self.slots.iter().enumerate() {
            match read(path) {
                Ok(Some(kept)) if newest.as_ref().is_none_or(|(_, it)| it.serial < kept.serial) => {
                    newest = Some((slot, kept));
                }
                Ok(_) => {}
                // It was being written when the machine stopped, perhaps.
                Err(error) => fault = Some(error),
            }
        }
        self.current.set(newest.as_ref().map(|(slot, kept)| (*slot, kept.serial)));
        match (newest, fault) {
            (Some((_, kept)), fault) => {
                if let Some(error) = fault {
                    log::warn!("the last configuration can't be used: {error}; the one before is");
                }
                Ok(Some(kept.snapshot))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Keeps a snapshot that is in force, in place of the one before, which stays whole until this
    /// one is on disk. None waits for a restart any more.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        if self.current.get().is_none() {
            // What can't be read may be written over.
            let _ = self.load();
        }
        let (slot, serial) = self.current.get().unwrap_or((1, 0));
        let (slot, serial) = (1 - slot, serial + 1);
        write(&self.slots[slot], serial, snapshot)?;
        self.current.set(Some((slot, serial)));
        match fs::remove_file(self.waiting()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps a snapshot that only another process can start with.
    pub(crate) fn save_for_restart(&self, snapshot: &Snapshot) -> io::Result<()> {
        write(&self.waiting(), 0, snapshot)
    }

    /// The snapshot that waits for this start. It waits no longer: whatever becomes of this process,
    /// the next one starts with the last that was in force.
    pub(crate) fn take_for_restart(&self) -> io::Result<Option<Snapshot>> {
        let waiting = self.waiting();
        let kept = read(&waiting);
        if !matches!(kept, Ok(None)) {
            fs::remove_file(&waiting)?;
        }
        Ok(kept?.map(|kept| kept.snapshot))
    }

    fn waiting(&self) -> PathBuf {
        beside(self.path(), ".restart")
    }

    /// Where it is, or the first of the two.
    pub(crate) fn path(&self) -> &Path {
        &self.slots[0]
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

/// What a file holds.
struct Kept {
    serial: u64,
    snapshot: Snapshot,
}

fn read(path: &Path) -> io::Result<Option<Kept>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let cut = || invalid("it is cut short".to_owned());
    let (version, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    let version = u32::from_le_bytes(*version);
    if version != PROTOCOL_VERSION {
        return Err(invalid(format!("it is of version {version}, not {PROTOCOL_VERSION}")));
    }
    let (sum, checked) = rest.split_first_chunk().ok_or_else(cut)?;
    if u32::from_le_bytes(*sum) != crc32fast::hash(checked) {
        return Err(invalid("it is damaged or cut short".to_owned()));
    }
    let (serial, body) = checked.split_first_chunk().ok_or_else(cut)?;
    let snapshot = postcard::from_bytes(body).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(Kept { serial: u64::from_le_bytes(*serial), snapshot }))
}

fn write(path: &Path, serial: u64, snapshot: &Snapshot) -> io::Result<()> {
    let mut bytes = Vec::from(PROTOCOL_VERSION.to_le_bytes());
    bytes.extend([0; HEADER_LEN - 4]);
    bytes[CHECKED_FROM..HEADER_LEN].copy_from_slice(&serial.to_le_bytes());
    let mut bytes = postcard::to_extend(snapshot, bytes).map_err(io::Error::other)?;
    let sum = crc32fast::hash(&bytes[CHECKED_FROM..]);
    bytes[4..CHECKED_FROM].copy_from_slice(&sum.to_le_bytes());
    let is_new = !path.exists();
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()?;
    if is_new {
        // Its name is on disk when the directory is.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
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
        for epoch in [1, 2, 3] {
            let snapshot = Snapshot { epoch, ..snapshot() };
            file.save(&snapshot).unwrap();
            assert_eq!(file.load().unwrap(), Some(snapshot.clone()));
            assert_eq!(StateFile::new(file.path()).load().unwrap(), Some(snapshot));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_one_before_counts_when_the_last_one_was_not_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(&dir.path().join("state"));
        let [first, second] = [1, 2].map(|epoch| Snapshot { epoch, ..snapshot() });
        file.save(&first).unwrap();
        file.save(&second).unwrap();
        let last = &file.slots[file.current.get().unwrap().0];
        let whole = fs::read(last).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(last, &damaged).unwrap();
            assert_eq!(file.load().unwrap(), Some(first.clone()), "byte {at}");
            fs::write(last, &whole[..at]).unwrap();
            assert_eq!(file.load().unwrap(), Some(first.clone()), "{at} bytes");
        }
        // The damaged one is the one that is written next, by another process, too.
        StateFile::new(file.path()).save(&second).unwrap();
        assert_eq!(file.load().unwrap(), Some(second));
        assert_eq!(read(last).unwrap().unwrap().serial, 2);
    }

    #[test]
    fn a_shorter_one_leaves_nothing_of_a_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(&dir.path().join("state"));
        let long = Snapshot { appliance_id: "long".repeat(100), ..snapshot() };
        for each in [&long, &long, &snapshot(), &snapshot()] {
            file.save(each).unwrap();
            assert_eq!(file.load().unwrap().as_ref(), Some(each));
        }
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
