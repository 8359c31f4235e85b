//! What recorders and the writer of a capture share: blocks on their way, and counters.
//!
//! Recorders fill chunks with blocks of the file and give them to the writer over a bounded lock-free queue; empty ones
//! come back over another. All are allocated at the start. While none is empty, frames are lost, and counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam::queue::ArrayQueue;

use crate::capture::{CapturePlan, CaptureReport, Decap};
use crate::pcapng::PACKET_AROUND;

/// Bytes of a chunk: some frames of the largest size.
const CHUNK_BYTES: usize = 256 << 10;
/// The fewest chunks: one for each end, and one between.
const CHUNKS_MIN: usize = 3;
/// The longest frame that a block is made of.
pub(crate) const FRAME_BYTES_MAX: usize = 128 << 10;
/// Networks that get an interface of their own.
pub(crate) const VNIS_MAX: usize = 65_536;

/// Blocks of a file.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: u64,
}

impl Chunk {
    /// True when a frame of which so many bytes are kept fits.
    pub(crate) fn has_room(&self, captured: usize) -> bool {
        let needed = PACKET_AROUND + captured.next_multiple_of(4);
        self.bytes.capacity() - self.bytes.len() >= needed
    }
}

/// Counters of one interface of the file. Each is added to by recorders, a burst at a time.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) received: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// What the device says; [`u64::MAX`] while it says nothing.
    pub(crate) lost_by_device: AtomicU64,
}

/// An interface of the file: its name and counters.
pub(crate) type Interface = (String, std::sync::Arc<Counted>);

/// One capture.
#[derive(Debug)]
pub struct Recording {
    full: ArrayQueue<Chunk>,
    empty: ArrayQueue<Chunk>,
    /// Interfaces in the order of their numbers: ports, or with decapsulation networks as they are seen.
    interfaces: Mutex<Interfaces>,
    decap: Option<Decap>,
    /// Frames that are not meant.
    pub(crate) others: AtomicU64,
    /// Frames put into chunks, where that is limited.
    pub(crate) kept: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    /// Frames in chunks that could not be written.
    pub(crate) unwritten: AtomicU64,
    is_over: AtomicBool,
    has_failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Interfaces {
    list: Vec<Interface>,
    numbers: BTreeMap<u32, u32>,
}

impl Recording {
    /// Of the ports of these names, in the order of the plan. At most `buffer_bytes` wait for the writer.
    pub fn new(plan: &CapturePlan, ports: &[String]) -> Self {
        let count = usize::try_from(plan.buffer_bytes).unwrap_or(usize::MAX) / CHUNK_BYTES;
        let count = count.max(CHUNKS_MIN);
        let (full, empty) = (ArrayQueue::new(count), ArrayQueue::new(count));
        for _ in 0..count {
            // Touched here, so that no worker waits for the kernel to find the memory.
            let mut bytes = vec![1; CHUNK_BYTES];
            bytes.clear();
            let pushed = empty.push(Chunk { bytes, frames: 0 });
            debug_assert!(pushed.is_ok(), "the queue holds {count}");
        }
        let names = ports.iter().filter(|_| plan.decap.is_none());
        let list = names.map(|name| (name.clone(), Counted::new())).collect();
        Self {
            full,
            empty,
            interfaces: Mutex::new(Interfaces { list, numbers: BTreeMap::new() }),
            decap: plan.decap.clone(),
            others: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            written: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        }
    }

    /// An empty chunk, if there is one. Cost: some loads.
    pub(crate) fn empty(&self) -> Option<Chunk> {
        self.empty.pop()
    }

    /// Gives a chunk to the writer.
    pub(crate) fn give(&self, chunk: Chunk) {
        // There is room for all that there are.
        let pushed = self.full.push(chunk);
        debug_assert!(pushed.is_ok(), "there are no more chunks than room");
    }

    /// The oldest chunk that waits to be written.
    pub(crate) fn take(&self) -> Option<Chunk> {
        self.full.pop()
    }

    /// Gives a chunk back.
    pub(crate) fn give_back(&self, mut chunk: Chunk) {
        chunk.bytes.clear();
        chunk.frames = 0;
        let pushed = self.empty.push(chunk);
        debug_assert!(pushed.is_ok(), "there are no more chunks than room");
    }

    /// The interface of a port, or of a network, made if need be. Locks: to be remembered by who asks.
    pub(crate) fn interface(&self, which: u32) -> (u32, std::sync::Arc<Counted>) {
        let mut interfaces = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        let Interfaces { list, numbers } = &mut *interfaces;
        let number = if self.decap.is_none() {
            which
        } else if let Some(number) = numbers.get(&which) {
            *number
        } else {
            let number = list.len().min(VNIS_MAX) as u32;
            if list.len() <= VNIS_MAX {
                let is_last = list.len() == VNIS_MAX;
                let name = if is_last { "further networks".into() } else { format!("vni {which}") };
                list.push((name, Counted::new()));
                // Of further ones nothing is kept.
                if !is_last {
                    numbers.insert(which, number);
                }
            }
            number
        };
        let counted = list.get(number as usize).map(|(_, counted)| counted.clone());
        (number, counted.unwrap_or_default())
    }

    /// The interfaces from number `from` on.
    pub(crate) fn interfaces(&self, from: usize) -> Vec<Interface> {
        let interfaces = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        interfaces.list.get(from..).unwrap_or_default().to_vec()
    }

    /// Notes what the device of a port has lost since the start.
    pub fn note_lost(&self, port: usize, frames: Option<u64>) {
        let interfaces = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        // A network is of no port in particular.
        if let (None, Some((_, counted))) = (&self.decap, interfaces.list.get(port)) {
            counted.lost_by_device.store(frames.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Nothing more will be recorded. To be said when all recorders have ended.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// True when nothing more will be recorded.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Nothing more can be written: recorders end.
    pub(crate) fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// True when nothing more can be written.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// What has been counted so far; times, devices and files are for others to say. While recorders run, what is
    /// in chunks is neither written nor lost yet.
    pub fn report(&self) -> CaptureReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let others = read(&self.others);
        let sum = |which: fn(&Counted) -> &AtomicU64| -> u64 {
            self.interfaces(0).iter().map(|(_, counted)| read(which(counted))).sum()
        };
        CaptureReport {
            received: sum(|counted| &counted.received) + others,
            written: read(&self.written),
            written_bytes: read(&self.written_bytes),
            cut: read(&self.cut),
            others,
            lost_by_writer: sum(|counted| &counted.lost) + read(&self.unwritten),
            ..CaptureReport::default()
        }
    }
}

impl Counted {
    fn new() -> std::sync::Arc<Self> {
        let lost_by_device = AtomicU64::new(u64::MAX);
        std::sync::Arc::new(Self { lost_by_device, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CapturePlan, Decap, Rotation};

    #[test]
    fn networks_beyond_what_a_file_describes_share_one_interface_and_no_memory() {
        let plan = CapturePlan {
            ports: vec![0],
            file: "x".into(),
            rotation: Rotation::default(),
            snap_len: None,
            decap: Some(Decap { udp_port: 4789, vnis: vec![] }),
            duration_ns: None,
            limit: None,
            buffer_bytes: 1 << 20,
        };
        let recording = Recording::new(&plan, &["p".to_owned()]);
        let many = VNIS_MAX as u32 + 100;
        let numbers: Vec<u32> = (0..many).map(|vni| recording.interface(vni).0).collect();
        assert!(numbers.iter().zip(0..).all(|(&number, vni)| number == vni.min(VNIS_MAX as u32)));
        let interfaces = recording.interfaces.lock().unwrap();
        assert_eq!((interfaces.list.len(), interfaces.numbers.len()), (VNIS_MAX + 1, VNIS_MAX));
        assert_eq!(interfaces.list[VNIS_MAX].0, "further networks");
    }
}
