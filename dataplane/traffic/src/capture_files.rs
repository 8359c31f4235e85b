//! The files of a capture: one, or one after the other.
//!
//! A file is written under a name that ends in `.partial`, and gets its own when it is complete: what bears the final name
//! is a whole file. Pipes and devices are written at once.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::capture::Rotation;

/// Digits of a file's number.
const NUMBER_DIGITS: usize = 5;
/// A pipe takes so much at once or nothing of it (pipe(7), `PIPE_BUF`).
const PIPE_BYTES: usize = 4096;

/// Where a capture is written.
#[derive(Debug)]
pub struct Files {
    name: PathBuf,
    rotation: Rotation,
    /// It is no file that is kept: a pipe, a terminal, a device.
    is_special: bool,
    number: u32,
    finished: VecDeque<PathBuf>,
    current: Option<Current>,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    file: File,
    /// What it is called until it is complete, and then; absent when it is special.
    names: Option<(PathBuf, PathBuf)>,
    len: u64,
    has_frames: bool,
    begun: Instant,
}

impl Files {
    /// Looks whether all can be written; makes nothing yet. Errors: sentences with place and remedy.
    pub fn new(name: &Path, rotation: &Rotation) -> Result<Self, String> {
        let shown = name.display();
        let is_special = fs::metadata(name).is_ok_and(|it| !it.is_file()) || is_descriptor(name);
        if is_special && name.is_dir() {
            return Err(format!("{shown}: it is a directory; name a file"));
        }
        let rotates = *rotation != Rotation::default();
        if is_special && rotates {
            return Err(format!(
                "{shown}: only files can be rotated; leave rotation out, or name a file"
            ));
        }
        let files = Self {
            name: name.to_owned(),
            rotation: rotation.clone(),
            is_special,
            number: 0,
            finished: VecDeque::new(),
            current: None,
        };
        if rotates && let Some(old) = files.earlier() {
            let old = old.display();
            return Err(format!(
                "{old}: it is there from an earlier capture; move it, or choose another name"
            ));
        }
        if !is_special {
            // What can be made can be written, until the disk is full.
            let probe = partial(name);
            let made = File::create_new(&probe).and_then(|_| fs::remove_file(&probe));
            made.map_err(|error| cannot(&probe, &error))?;
        }
        Ok(files)
    }

    /// True while a file is open.
    pub(crate) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// True when the open file has been so for as long as it may.
    pub(crate) fn is_due(&self) -> bool {
        let after = self.rotation.duration_ns.map(Duration::from_nanos);
        let open = self.current.as_ref().filter(|current| current.has_frames);
        open.zip(after).is_some_and(|(current, after)| current.begun.elapsed() >= after)
    }

    /// How many bytes the open file can take.
    pub(crate) fn room(&self) -> u64 {
        let len = self.current.as_ref().map_or(0, |current| current.len);
        self.rotation.bytes.map_or(u64::MAX, |most| most.saturating_sub(len))
    }

    /// True when the open file has no frames yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.current.as_ref().is_some_and(|current| !current.has_frames)
    }

    /// Opens the next file and writes what it begins with. Errors: a sentence.
    pub(crate) fn open(&mut self, head: &[u8]) -> Result<(), String> {
        self.number += 1;
        let (file, names) = if self.is_special {
            let file = OpenOptions::new().write(true).open(&self.name);
            (file.map_err(|error| cannot(&self.name, &error))?, None)
        } else {
            let name = self.nth(self.number);
            let draft = partial(&name);
            // Never what another capture is writing.
            let file = File::create_new(&draft).map_err(|error| cannot(&draft, &error))?;
            (file, Some((draft, name)))
        };
        self.current =
            Some(Current { file, names, len: 0, has_frames: false, begun: Instant::now() });
        self.write(head).map_err(|error| cannot(&self.name, &error))
    }

    /// Appends blocks; of an error, nothing of them stays in a file. Errors: those of the file.
    pub(crate) fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = current.file.write_all(blocks) {
            if current.names.is_some() {
                // Its end is a whole block again, and what may still be written goes there.
                let _ = current.file.set_len(current.len);
                let _ = current.file.seek(SeekFrom::Start(current.len));
            }
            return Err(error);
        }
        current.len += blocks.len() as u64;
        Ok(())
    }

    /// Appends blocks of frames.
    pub(crate) fn write_frames(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.write(blocks)?;
        if let Some(current) = &mut self.current {
            current.has_frames = true;
        }
        Ok(())
    }

    /// The most that should be written at once: a pipe takes so much, or nothing.
    pub(crate) fn piece_max(&self) -> usize {
        if self.is_special { PIPE_BYTES } else { usize::MAX }
    }

    /// Completes the open file with `tail`, and removes what is too old. Errors: a sentence.
    pub(crate) fn close(&mut self, tail: &[u8]) -> Result<(), String> {
        let tailed = self.write(tail).map_err(|error| cannot(&self.name, &error));
        let Some(current) = self.current.take() else { return Ok(()) };
        let Some((draft, name)) = current.names else { return tailed };
        fs::rename(&draft, &name).map_err(|error| cannot(&name, &error))?;
        self.finished.push_back(name);
        while self.rotation.files.is_some_and(|most| self.finished.len() > most as usize) {
            if let Some(oldest) = self.finished.pop_front() {
                fs::remove_file(&oldest).map_err(|error| {
                    format!("{}: it can't be removed: {error}", oldest.display())
                })?;
            }
        }
        tailed
    }

    /// The files that are complete, the oldest first.
    pub fn finished(&self) -> Vec<PathBuf> {
        if self.is_special && self.number > 0 {
            return vec![self.name.clone()];
        }
        self.finished.iter().cloned().collect()
    }

    /// The nth file: `out.00001.pcapng` of `out.pcapng`, or the name itself where nothing rotates.
    fn nth(&self, number: u32) -> PathBuf {
        if self.rotation == Rotation::default() {
            return self.name.clone();
        }
        let stem = self.name.file_stem().unwrap_or_default().to_string_lossy();
        let mut name = format!("{stem}.{number:0NUMBER_DIGITS$}");
        if let Some(extension) = self.name.extension() {
            name = format!("{name}.{}", extension.to_string_lossy());
        }
        self.name.with_file_name(name)
    }

    /// A file that has a name that one of ours could get.
    fn earlier(&self) -> Option<PathBuf> {
        let dir = self.name.parent().filter(|dir| !dir.as_os_str().is_empty());
        let entries = fs::read_dir(dir.unwrap_or(Path::new("."))).ok()?;
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        let first = self.nth(0);
        let first = first.file_name()?.to_string_lossy().into_owned();
        let (before, behind) = first.split_once(&"0".repeat(NUMBER_DIGITS))?;
        let is_ours = |name: &str| {
            let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            number.is_some_and(|it| {
                it.len() >= NUMBER_DIGITS && it.bytes().all(|b| b.is_ascii_digit())
            })
        };
        let found = paths.find(|name| is_ours(&name.to_string_lossy()))?;
        Some(self.name.with_file_name(found))
    }
}

/// What a file is called until it is complete.
fn partial(name: &Path) -> PathBuf {
    let mut draft = name.as_os_str().to_owned();
    draft.push(".partial");
    draft.into()
}

/// True for `/dev/fd/1` and the like: where it leads may be replaced, but not from here.
fn is_descriptor(name: &Path) -> bool {
    ["/dev", "/proc"].iter().any(|dir| name.starts_with(dir))
}

fn cannot(name: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull => "; make room, or rotate with --files",
        io::ErrorKind::BrokenPipe => ": its reader has gone",
        io::ErrorKind::AlreadyExists => {
            "; another capture writes it, or one was killed and left it: choose another name, or remove it"
        }
        _ => "",
    };
    format!("{}: it can't be written: {error}{remedy}", name.display())
}

/// The sentence about a write that failed.
pub(crate) fn failed(files: &Files, error: &io::Error) -> String {
    cannot(&files.name, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(&dir.path().join("out.pcapng"), &Rotation::default()).unwrap();
        assert!(names(dir.path()).is_empty());
        files.open(b"head").unwrap();
        files.write_frames(b"frames").unwrap();
        assert_eq!(names(dir.path()), ["out.pcapng.partial"]);
        files.close(b"tail").unwrap();
        assert_eq!(names(dir.path()), ["out.pcapng"]);
        assert_eq!(fs::read(dir.path().join("out.pcapng")).unwrap(), b"headframestail");
    }

    #[test]
    fn what_another_capture_writes_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("out.pcapng");
        let again = || Files::new(&name, &Rotation::default());
        let (mut first, mut late) = (again().unwrap(), again().unwrap());
        first.open(b"head").unwrap();
        for error in [again().unwrap_err(), late.open(b"HEAD").unwrap_err()] {
            assert!(error.contains("another capture writes it"), "{error}");
        }
        first.close(b"tail").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"headtail");
        assert!(again().is_ok());
    }

    #[test]
    fn rotated_files_are_numbered_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: Some(8), files: Some(2), ..Rotation::default() };
        let mut files = Files::new(&dir.path().join("a.b.pcapng"), &rotation).unwrap();
        for _ in 0..3 {
            files.open(b"head").unwrap();
            assert_eq!((files.is_fresh(), files.room()), (true, 4));
            files.write_frames(b"fra").unwrap();
            assert_eq!((files.is_fresh(), files.room()), (false, 1));
            files.close(b"").unwrap();
        }
        assert_eq!(names(dir.path()), ["a.b.00002.pcapng", "a.b.00003.pcapng"]);
        let again = Files::new(&dir.path().join("a.b.pcapng"), &rotation).unwrap_err();
        assert!(again.contains("earlier capture"), "{again}");
        assert!(Files::new(&dir.path().join("a.pcapng"), &rotation).is_ok());
    }

    #[test]
    fn what_can_not_be_written_is_told_before() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: Some(8), ..Rotation::default() };
        let told = |name: &Path, rotation: &Rotation| Files::new(name, rotation).unwrap_err();
        assert!(told(dir.path(), &Rotation::default()).contains("it is a directory"));
        assert!(told(Path::new("/dev/null"), &rotation).contains("only files can be rotated"));
        assert!(told(&dir.path().join("no/where"), &rotation).contains("can't be written"));
    }

    #[test]
    fn a_full_disk_leaves_whole_blocks() {
        let mut files = Files::new(Path::new("/dev/full"), &Rotation::default()).unwrap();
        let error = files.open(b"head").unwrap_err();
        assert!(error.contains("make room"), "{error}");
    }
}
