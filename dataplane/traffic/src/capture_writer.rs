//! The writer of a capture: takes chunks of blocks and puts them into files. It may wait for the disk; recorders do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::capture_files::{Files, failed};
use crate::pcapng::{self, Origin, Statistics, first_block};
use crate::recording::{Chunk, Recording};

/// Between two looks for chunks.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// What the statistics of an interface take at the end of a file.
const STATISTICS_BYTES: u64 = 128;

/// What a capture writes, and where.
struct Writer<'a> {
    recording: &'a Recording,
    files: &'a mut Files,
    origin: Origin,
    snap_len: u32,
    start_ns: u64,
    /// Interfaces that the open file has.
    interfaces: usize,
    real_ns: fn() -> u64,
    faults: Vec<String>,
}

/// Writes until the recording is over and all of it is written, or nothing can be written any more. Returns what went
/// wrong, a sentence each. `real_ns` is the system's clock: nanoseconds since 1970.
pub fn write_all(
    recording: &Recording,
    files: &mut Files,
    origin: Origin,
    snap_len: Option<u32>,
    real_ns: fn() -> u64,
) -> Vec<String> {
    let mut writer = Writer {
        recording,
        files,
        origin,
        snap_len: snap_len.unwrap_or(0),
        start_ns: real_ns(),
        interfaces: 0,
        real_ns,
        faults: Vec::new(),
    };
    // Who looks on shall see at once that something is being written, and a capture of nothing is one too.
    writer.check(Writer::open);
    loop {
        // Asked first: what was given before is seen behind.
        let is_over = recording.is_over();
        match recording.take() {
            Some(chunk) => writer.take(chunk),
            None if is_over => break,
            None => {
                if writer.files.is_due() {
                    writer.check(Writer::close);
                }
                thread::sleep(LOOK_AGAIN);
            }
        }
    }
    if writer.files.is_open() {
        writer.check(Writer::close);
    }
    writer.faults
}

impl Writer<'_> {
    /// Does something; what goes wrong ends the recording.
    fn check(&mut self, what: impl FnOnce(&mut Self) -> Result<(), String>) -> bool {
        if let Err(fault) = what(self) {
            self.recording.fail();
            // What could not be written can't be completed either: that is no news.
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
            return false;
        }
        true
    }

    /// Writes a chunk's blocks, as far as it can, and gives the chunk back.
    fn take(&mut self, chunk: Chunk) {
        let mut rest = chunk.bytes.as_slice();
        let mut left = chunk.frames;
        while !rest.is_empty() && !self.recording.has_failed() {
            let is_written = self.check(|writer| {
                writer.make_ready()?;
                let (piece, frames, behind) = writer.piece(rest, left);
                if piece.is_empty() {
                    // It goes into the next file.
                    return writer.close();
                }
                writer.files.write_frames(piece).map_err(|error| failed(writer.files, &error))?;
                add(&writer.recording.written, frames);
                add(&writer.recording.written_bytes, piece.len() as u64);
                (rest, left) = (behind, left - frames);
                Ok(())
            });
            if !is_written {
                break;
            }
        }
        add(&self.recording.unwritten, left);
        self.recording.give_back(chunk);
    }

    /// Opens a file if need be, with all interfaces that are known.
    fn make_ready(&mut self) -> Result<(), String> {
        if self.files.is_due() {
            self.close()?;
        }
        if !self.files.is_open() {
            return self.open();
        }
        let mut blocks = Vec::new();
        self.describe_new(&mut blocks);
        self.files.write(&blocks).map_err(|error| failed(self.files, &error))
    }

    fn open(&mut self) -> Result<(), String> {
        let mut head = Vec::new();
        pcapng::section_header(&mut head, &self.origin);
        self.interfaces = 0;
        self.describe_new(&mut head);
        self.files.open(&head)
    }

    /// Describes the interfaces that the file does not have yet.
    fn describe_new(&mut self, to: &mut Vec<u8>) {
        for (name, _) in self.recording.interfaces(self.interfaces) {
            pcapng::interface(to, &name, self.snap_len);
            self.interfaces += 1;
        }
    }

    /// Completes the file with what was counted until now.
    fn close(&mut self) -> Result<(), String> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut tail = Vec::new();
        let interfaces = self.recording.interfaces(0);
        for ((_, counted), number) in interfaces.iter().take(self.interfaces).zip(0..) {
            let lost = read(&counted.lost_by_device);
            let statistics = Statistics {
                start_ns: self.start_ns,
                end_ns: (self.real_ns)(),
                received: read(&counted.received),
                lost_by_device: (lost != u64::MAX).then_some(lost),
                lost_by_writer: read(&counted.lost),
            };
            pcapng::statistics(&mut tail, number, &statistics);
        }
        self.files.close(&tail)
    }

    /// Of these blocks, holding `frames`, those that the file takes now: with their number, and what is behind them.
    /// A file without frames takes one, however long.
    fn piece<'b>(&self, blocks: &'b [u8], frames: u64) -> (&'b [u8], u64, &'b [u8]) {
        let tail = STATISTICS_BYTES * self.interfaces as u64;
        let room = self.files.room().saturating_sub(tail);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let most = self.files.piece_max().min(room);
        if blocks.len() <= most {
            return (blocks, frames, &[]);
        }
        let (mut len, mut count) = (0, 0);
        while let Some((block, _)) = blocks.get(len..).and_then(first_block) {
            let is_first = count == 0 && (self.files.is_fresh() || block <= room);
            if len + block > most && !is_first {
                break;
            }
            (len, count) = (len + block, count + 1);
        }
        let (piece, behind) = blocks.split_at(len);
        (piece, count, behind)
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::AtomicBool;

    use engine::port::RxQueue as _;
    use engine::sim::{CaptureReader, SimClock, SimFeed, SimRx, capture_of};
    use engine::units::PortIndex;

    use super::*;
    use crate::capture::{CapturePlan, CaptureReport, Decap, Rotation};
    use crate::recorder::{Lane, record};

    const NOW: u64 = 1_700_000_000_000_000_000;

    fn plan(file: PathBuf) -> CapturePlan {
        CapturePlan {
            ports: vec![0, 1],
            file,
            rotation: Rotation::default(),
            snap_len: None,
            decap: None,
            duration_ns: None,
            limit: None,
            buffer_bytes: 0,
        }
    }

    /// Frames of so many lengths, each byte that of its number.
    fn frames(count: usize, len: impl Fn(usize) -> usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| vec![n as u8; len(n)]).collect()
    }

    /// Records `frames` of port 0, then those of port 1, and writes them. Returns the counts and the files.
    fn capture(plan: &CapturePlan, by_port: &[Vec<Vec<u8>>]) -> (CaptureReport, Vec<PathBuf>) {
        let feed = SimFeed::in_segments(100);
        for (frames, port) in by_port.iter().zip(0..) {
            let frames = frames.iter().map(|frame| (NOW, frame));
            feed.add(PortIndex(port), std::io::Cursor::new(capture_of(frames)));
        }
        let recording = Recording::new(plan, &["lan".into(), "wan".into()]);
        let stop = AtomicBool::new(false);
        let mut files = Files::new(&plan.file, &plan.rotation).unwrap();
        let faults = thread::scope(|scope| {
            let write =
                || write_all(&recording, &mut files, Origin::default(), plan.snap_len, || NOW);
            let writer = scope.spawn(write);
            let mut queues: Vec<Until<'_>> = (0..by_port.len() as u16)
                .map(|port| Until { rx: feed.rx(PortIndex(port)), feed: &feed, stop: &stop })
                .collect();
            let lanes = queues.iter_mut().enumerate().map(|(port, rx)| Lane { port, rx });
            record::<_, SimClock>(&mut lanes.collect::<Vec<_>>(), plan, &recording, || NOW, &stop);
            recording.end();
            writer.join().unwrap()
        });
        assert_eq!(faults, Vec::<String>::new());
        (recording.report(), files.finished())
    }

    /// A receive queue that stops the capture when all is received.
    struct Until<'a> {
        rx: SimRx,
        feed: &'a SimFeed,
        stop: &'a AtomicBool,
    }

    impl engine::port::RxQueue for Until<'_> {
        type Mbuf = engine::sim::SimMbuf;

        fn recv(&mut self, burst: &mut engine::burst::Burst<Self::Mbuf>) -> usize {
            self.stop.store(self.feed.is_done(), Ordering::Relaxed);
            self.rx.recv(burst)
        }
    }

    fn read(file: &Path) -> Vec<Vec<u8>> {
        let mut reader = CaptureReader::new(fs::File::open(file).unwrap());
        let mut frames = Vec::new();
        while reader.advance().unwrap() {
            frames.push(reader.frame().to_vec());
        }
        frames
    }

    #[test]
    fn what_is_received_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let both = [frames(300, |n| 60 + 5 * n), frames(10, |n| n + 1)];
        let (report, files) = capture(&plan(dir.path().join("out.pcapng")), &both);
        assert_eq!((report.received, report.written, report.lost_by_writer), (310, 310, 0));
        assert_eq!(read(&files[0]), both.concat());
    }

    #[test]
    fn frames_are_cut_to_the_snap_length() {
        let dir = tempfile::tempdir().unwrap();
        let plan = CapturePlan { snap_len: Some(150), ..plan(dir.path().join("out.pcapng")) };
        let (report, files) = capture(&plan, &[frames(100, |n| 100 + n)]);
        assert_eq!((report.written, report.cut), (100, 49));
        let lens: Vec<usize> = read(&files[0]).iter().map(Vec::len).collect();
        assert_eq!(lens, (0..100).map(|n| 150.min(100 + n)).collect::<Vec<_>>());
    }

    #[test]
    fn files_are_no_longer_than_asked_for_and_lose_nothing_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: Some(20_000), ..Rotation::default() };
        let plan = CapturePlan { rotation, ..plan(dir.path().join("out.pcapng")) };
        let sent = frames(1000, |n| 60 + n);
        let (report, files) = capture(&plan, std::slice::from_ref(&sent));
        assert_eq!(report.written, 1000);
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 20_000));
        let got: Vec<_> = files.iter().flat_map(|file| read(file)).collect();
        assert_eq!(got, sent);
        assert!(files.len() > 30, "{}", files.len());
    }

    #[test]
    fn a_limit_is_kept_to_the_frame() {
        let dir = tempfile::tempdir().unwrap();
        let plan = CapturePlan { limit: Some(77), ..plan(dir.path().join("out.pcapng")) };
        let (report, files) = capture(&plan, &[frames(1000, |_| 60)]);
        assert_eq!((report.received, report.written, report.lost_by_writer), (77, 77, 0));
        assert_eq!(read(&files[0]).len(), 77);
    }

    #[test]
    fn with_decapsulation_each_network_is_an_interface_and_others_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let outer = |vni: u8, inner: &[u8]| {
            let len = 16 + inner.len() as u16;
            let mut frame = vec![2; 12];
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0, 0, 9, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 0x12, 0xb5]);
            frame.extend(len.to_be_bytes());
            frame.extend([0, 0, 8, 0, 0, 0, 0, 0, vni, 0]);
            frame.extend(inner);
            frame
        };
        let inner = frames(4, |_| 200);
        let sent =
            vec![outer(7, &inner[0]), inner[3].clone(), outer(9, &inner[1]), outer(8, &inner[2])];
        let decap = Some(Decap { udp_port: 4789, vnis: vec![9, 7] });
        let plan = CapturePlan { decap, ..plan(dir.path().join("out.pcapng")) };
        let (report, files) = capture(&plan, &[sent]);
        assert_eq!((report.received, report.written, report.others), (4, 2, 2));
        assert_eq!(read(&files[0]), inner[..2]);
        let bytes = fs::read(&files[0]).unwrap();
        let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        assert!(has(b"vni 7") && has(b"vni 9") && !has(b"vni 8"));
    }

    #[test]
    fn a_writer_that_can_not_write_ends_the_capture_and_counts_what_is_lost() {
        let plan = plan(PathBuf::from("/dev/full"));
        let feed = SimFeed::new();
        let sent = frames(500, |_| 60);
        feed.add(PortIndex(0), std::io::Cursor::new(capture_of(sent.iter().map(|it| (NOW, it)))));
        let recording = Recording::new(&plan, &["lan".into()]);
        let mut rx = feed.rx(PortIndex(0));
        let stop = AtomicBool::new(false);
        let mut files = Files::new(&plan.file, &plan.rotation).unwrap();
        // All of it is recorded before anything is written.
        let limited = CapturePlan { limit: Some(500), ..plan };
        record::<_, SimClock>(
            &mut [Lane { port: 0, rx: &mut rx }],
            &limited,
            &recording,
            || NOW,
            &stop,
        );
        recording.end();
        let faults = write_all(&recording, &mut files, Origin::default(), None, || NOW);
        assert!(faults[0].contains("/dev/full"), "{faults:?}");
        let report = recording.report();
        assert_eq!((report.received, report.written, report.lost_by_writer), (500, 0, 500));
        let mut burst = engine::burst::Burst::new();
        assert_eq!(rx.recv(&mut burst), 0);
    }

    #[test]
    fn while_nothing_is_written_frames_beyond_the_buffer_are_lost_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path().join("out.pcapng"));
        let feed = SimFeed::new();
        let sent = frames(2000, |_| 1000);
        feed.add(PortIndex(0), std::io::Cursor::new(capture_of(sent.iter().map(|it| (NOW, it)))));
        let recording = Recording::new(&plan, &["lan".into()]);
        let stop = AtomicBool::new(false);
        let mut rx = Until { rx: feed.rx(PortIndex(0)), feed: &feed, stop: &stop };
        record::<_, SimClock>(
            &mut [Lane { port: 0, rx: &mut rx }],
            &plan,
            &recording,
            || NOW,
            &stop,
        );
        recording.end();
        let mut files = Files::new(&plan.file, &plan.rotation).unwrap();
        assert!(write_all(&recording, &mut files, Origin::default(), None, || NOW).is_empty());
        let report = recording.report();
        // Three chunks of 256 KiB, 254 frames in each.
        assert_eq!((report.received, report.written, report.lost_by_writer), (2000, 762, 1238));
        assert_eq!(read(&files.finished()[0]), sent[..762]);
    }
}
