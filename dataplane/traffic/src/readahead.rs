//! Reading ahead of who reads: the next bytes are there when they are asked for.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Bytes of a block that the thread fills.
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks that are full before they are asked for.
const BLOCKS_MAX: usize = 4;
/// So many bytes of a file are asked of the disk at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// So far before its bytes are read, at most.
const ADVANCE_BYTES: u64 = 32 << 20;

/// What a thread of its own reads (and decompresses) in advance, four blocks of 1 MiB. Errors: no thread
/// can be started. The thread ends with the content, or soon after the returned reader is gone.
pub fn read_ahead(from: impl Read + Send + 'static) -> io::Result<impl Read + Send + 'static> {
    let (full, blocks) = sync_channel(BLOCKS_MAX);
    let (used, empty) = channel();
    let fill = move || fill(from, &full, &empty);
    thread::Builder::new().name("capture reader".into()).spawn(fill)?;
    Ok(ReadAhead { blocks, used, block: Vec::new(), at: 0 })
}

/// Fills block after block, up to the end or an error, which goes last.
fn fill(mut from: impl Read, full: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut block = empty.try_recv().unwrap_or_default();
        block.clear();
        let read = from.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block);
        let is_end = read.is_err() || block.is_empty();
        // Nobody takes it once the reader is gone.
        let is_gone = !block.is_empty() && full.send(Ok(block)).is_err();
        if let Err(error) = read {
            let _ = full.send(Err(error));
        }
        if is_end || is_gone {
            return;
        }
    }
}

/// The near end of the thread.
struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    /// What of `block` is read.
    at: usize,
}

impl Read for ReadAhead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let Ok(next) = self.blocks.recv() else {
                return Ok(0);
            };
            // The thread may have ended meanwhile.
            let _ = self.used.send(std::mem::replace(&mut self.block, next?));
            self.at = 0;
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let read = rest.read(into)?;
        self.at += read;
        Ok(read)
    }
}

/// A file whose next bytes the kernel is told to fetch, without a copy and without a thread: they are in
/// memory before they are read, as far as the disk keeps up. As many again as were read are asked for, up to 32 MiB:
/// of a thousand open files, only those that are read take memory.
#[derive(Debug)]
pub struct Fetched {
    file: File,
    read: u64,
    asked: u64,
}

impl Fetched {
    /// Tells the kernel of the first bytes. What is no regular file takes no advice, and needs none.
    pub fn new(file: File) -> Self {
        let mut fetched = Self { file, read: 0, asked: 0 };
        fetched.ask();
        fetched
    }

    /// Asks for a piece, if there is one to be asked for.
    fn ask(&mut self) {
        let wanted = self.read.saturating_add(self.read.clamp(PIECE_BYTES, ADVANCE_BYTES));
        while self.asked < wanted {
            let (at, len) = (self.asked.cast_signed(), PIECE_BYTES.cast_signed());
            let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
            // Advice that is refused changes nothing but the speed.
            let is_taken = posix_fadvise(&self.file, at, len, advice).is_ok();
            self.asked = if is_taken { self.asked + PIECE_BYTES } else { u64::MAX };
        }
    }
}

impl Read for Fetched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.read += read as u64;
        self.ask();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    /// Says how its content ends.
    struct Broken(Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::other("torn")),
                read => Ok(read),
            }
        }
    }

    fn numbered(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn what_is_read_ahead_is_the_content() {
        for len in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 7 * BLOCK_BYTES + 5] {
            let mut bytes = Vec::new();
            let mut reader = read_ahead(Cursor::new(numbered(len))).unwrap();
            reader.read_to_end(&mut bytes).unwrap();
            assert!(bytes == numbered(len), "{len}");
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn what_comes_before_an_error_is_read() {
        let len = BLOCK_BYTES + 17;
        let mut bytes = Vec::new();
        let mut reader = read_ahead(Broken(Cursor::new(numbered(len)))).unwrap();
        assert_eq!(reader.read_to_end(&mut bytes).unwrap_err().to_string(), "torn");
        assert!(bytes == numbered(len));
    }

    #[test]
    fn the_thread_ends_when_nobody_reads_on() {
        struct Endless(#[expect(dead_code, reason = "dropped with the thread")] Sender<()>);
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                into.fill(1);
                Ok(into.len())
            }
        }
        let (kept, gone) = channel();
        drop(read_ahead(Endless(kept)).unwrap());
        // The sender is dropped with the thread.
        assert!(gone.recv().is_err());
    }

    #[test]
    fn a_fetched_file_is_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        let content = numbered(3 << 20);
        file.write_all(&content).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut bytes = Vec::new();
        Fetched::new(file).read_to_end(&mut bytes).unwrap();
        assert!(bytes == content);
    }
}
