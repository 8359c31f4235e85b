//! Several captures as one: their frames by time, or one capture after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::sim::{CaptureError, CaptureFault, CaptureReader};

use crate::compressed;
use crate::gaps::Gaps;
use crate::replay::Joining;

/// A cursor over the frames of several captures.
///
/// Thread: any one. Cost: some buffers per open file, which are all files or, one after the other, one;
/// nothing per frame.
pub struct Captures {
    files: Vec<PathBuf>,
    joining: Joining,
    /// By place in `files`; those that are open.
    open: Vec<Option<Capture>>,
    /// The next one to be opened.
    next: usize,
    /// The time of the next frame of each open file.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// The file that has the present frame.
    present: Option<usize>,
    gaps: Gaps,
}

/// So many files are open at once before their frames come: of more, only the time of the first is known until
/// then.
const OPEN_MAX: usize = 64;

/// An open file.
struct Capture {
    reader: CaptureReader<Box<dyn Read + Send>>,
    /// The number of its present frame, from 1: as Wireshark counts.
    frame: u64,
}

/// A file that can't be opened or read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Frames that came before.
    pub frames: u64,
    /// What is wrong and what can be done, a sentence with the file's name.
    pub sentence: String,
}

impl Captures {
    /// A cursor before the first frame. Opens nothing yet.
    pub fn new(files: Vec<PathBuf>, joining: Joining, gap_max_ns: Option<u64>) -> Self {
        let open = files.iter().map(|_| None).collect();
        let gaps = Gaps::new(gap_max_ns);
        Self { files, joining, open, next: 0, heads: BinaryHeap::new(), present: None, gaps }
    }

    /// Moves to the next frame and returns the silence before it in nanoseconds; `None` at the end of
    /// all. Errors: a file can't be opened or read on; the next call goes on with the others.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<u64>, Damage> {
        loop {
            if let Some(at) = self.present.take() {
                self.pull(at)?;
            }
            if let Some(Reverse((timestamp_ns, at))) = self.heads.pop() {
                if self.open.get(at).is_none_or(Option::is_none) {
                    self.open_again(at)?;
                }
                self.present = Some(at);
                return Ok(Some(self.gaps.before(timestamp_ns)));
            }
            if self.next == self.files.len() {
                return Ok(None);
            }
            self.open_next()?;
        }
    }

    /// Moves before the first frame, which will come a mean silence after the last one; returns this
    /// silence.
    pub fn rewind(&mut self) -> u64 {
        self.open.fill_with(|| None);
        self.heads.clear();
        (self.next, self.present) = (0, None);
        self.gaps.end_stretch()
    }

    /// The present frame; empty where there is none.
    #[inline]
    pub fn frame(&self) -> &[u8] {
        let present = self.present.and_then(|at| self.open.get(at));
        present.and_then(Option::as_ref).map_or(&[], |capture| capture.reader.frame())
    }

    /// The present frame's name: `FILE: frame 7`.
    pub fn place(&self) -> String {
        let at = self.present.unwrap_or(0);
        let number = self.open.get(at).and_then(Option::as_ref).map_or(0, |capture| capture.frame);
        format!("{}: frame {number}", self.name(at))
    }

    /// Frames whose time was earlier than that of one before.
    pub fn backwards(&self) -> u64 {
        self.gaps.backwards()
    }

    fn name(&self, at: usize) -> std::path::Display<'_> {
        self.files.get(at).map_or_else(|| Path::new("").display(), |file| file.display())
    }

    /// Opens the next file; all of them, when they are to be merged.
    fn open_next(&mut self) -> Result<(), Damage> {
        if self.joining == Joining::Concatenated {
            self.gaps.end_stretch();
        }
        while self.next < self.files.len() {
            let at = self.next;
            self.next += 1;
            self.open(at)?;
            self.pull(at)?;
            if self.joining == Joining::Concatenated {
                break;
            }
            if self.open.iter().flatten().count() > OPEN_MAX && self.is_regular(at) {
                self.close(at);
            }
        }
        Ok(())
    }

    fn open(&mut self, at: usize) -> Result<(), Damage> {
        let path = self.files.get(at).map_or(Path::new(""), PathBuf::as_path);
        let reader = compressed::open(path).map_err(|error| Damage {
            frames: 0,
            sentence: format!("{}: it can't be opened: {error}", path.display()),
        })?;
        if let Some(slot) = self.open.get_mut(at) {
            *slot = Some(Capture { reader: CaptureReader::new(reader), frame: 0 });
        }
        Ok(())
    }

    /// Opens a file whose first frame is the next one, and moves to that.
    fn open_again(&mut self, at: usize) -> Result<(), Damage> {
        self.open(at)?;
        self.pull(at)?;
        // It is not to come once more.
        self.heads.retain(|Reverse((_, other))| *other != at);
        if self.open.get(at).is_some_and(Option::is_some) {
            return Ok(());
        }
        let sentence = format!("{}: it was changed while it was read", self.name(at));
        Err(Damage { frames: 0, sentence })
    }

    fn is_regular(&self, at: usize) -> bool {
        self.files.get(at).is_some_and(|file| is_regular(file).unwrap_or(false))
    }

    /// Moves a file to its next frame, or closes it.
    #[inline]
    fn pull(&mut self, at: usize) -> Result<(), Damage> {
        let Some(Some(capture)) = self.open.get_mut(at) else {
            return Ok(());
        };
        match capture.reader.advance() {
            Ok(true) => {
                capture.frame += 1;
                self.heads.push(Reverse((capture.reader.timestamp_ns(), at)));
                Ok(())
            }
            Ok(false) => {
                self.close(at);
                Ok(())
            }
            Err(error) => {
                let frames = capture.frame;
                self.close(at);
                let sentence = format!("{}: {}", self.name(at), sentence(&error, frames));
                Err(Damage { frames, sentence })
            }
        }
    }

    fn close(&mut self, at: usize) {
        if let Some(slot) = self.open.get_mut(at) {
            *slot = None;
        }
    }
}

impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captures").field("files", &self.files).finish_non_exhaustive()
    }
}

/// True for a file that can be read more than once; a pipe can't. Errors: it is not there, or is no file
/// at all; a sentence.
pub fn is_regular(file: &Path) -> Result<bool, String> {
    let kind = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if kind.is_dir() {
        return Err(format!("{}: it is a directory, not a capture", file.display()));
    }
    Ok(kind.is_file())
}

/// Damage behind so many frames, and what can be done about it.
fn sentence(error: &CaptureError, frames: u64) -> String {
    let CaptureError { offset, fault } = error;
    if frames == 0 {
        return match fault {
            CaptureFault::LinkType(_) => format!(
                "{fault}, and nothing else can be sent: `tcprewrite --dlt=enet` puts Ethernet headers in front"
            ),
            CaptureFault::Io(error) => format!("it can't be read: {error}"),
            _ => format!("at byte {offset}: {fault}"),
        };
    }
    format!(
        "at byte {offset}, behind frame {frames}: {fault}; --until-damage sends what comes before it"
    )
}

#[cfg(test)]
mod tests;
