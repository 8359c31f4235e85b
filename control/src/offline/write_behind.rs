//! Writing a file from a thread of its own, so that the engine never waits for the disk.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// Blocks that may wait for the disk. Each is as large as the writer's own buffer.
const BLOCKS_MAX: usize = 8;

/// The near end: takes bytes, and hands them over in blocks.
#[derive(Debug)]
pub(super) struct WriteBehind {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// The far end: knows how it went.
#[derive(Debug)]
pub(super) struct Writing(JoinHandle<io::Result<()>>);

/// Begins to write to `file`. Errors: no thread can be started.
pub(super) fn write_behind(
    file: impl Write + Send + 'static,
) -> io::Result<(WriteBehind, Writing)> {
    let (full, waiting) = sync_channel(BLOCKS_MAX);
    let (written, empty) = channel();
    let writer = move || write_all(file, &waiting, &written);
    let thread = thread::Builder::new().name("capture writer".into()).spawn(writer)?;
    Ok((WriteBehind { full, empty }, Writing(thread)))
}

fn write_all(
    mut file: impl Write,
    waiting: &Receiver<Vec<u8>>,
    written: &Sender<Vec<u8>>,
) -> io::Result<()> {
    for block in waiting {
        file.write_all(&block)?;
        // Nobody takes it back once the near end is gone.
        let _ = written.send(block);
    }
    file.flush()
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut block = self.empty.try_recv().unwrap_or_default();
        block.clear();
        block.extend_from_slice(bytes);
        // The far end is gone only after an error, which `Writing::finish` tells.
        self.full.send(block).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writing {
    /// Waits until everything is written; the near end must be gone. Errors: the file's.
    pub(super) fn finish(self) -> io::Result<()> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order() {
        let file = Shared::default();
        let (mut near, far) = write_behind(file.clone()).unwrap();
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for block in bytes.chunks(777) {
            near.write_all(block).unwrap();
        }
        drop(near);
        far.finish().unwrap();
        assert!(*file.0.lock().unwrap() == bytes);
    }

    #[test]
    fn a_full_disk_is_told_at_the_end_and_blocks_nobody() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut near, far) = write_behind(Full).unwrap();
        let refused = (0..1000).any(|_| near.write(&[0; 100]).is_err());
        assert!(refused);
        drop(near);
        assert_eq!(far.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
