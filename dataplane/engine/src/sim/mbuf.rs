//! Packet buffers in ordinary memory, given back to their pool when dropped.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::iter;
use std::mem;
use std::rc::Rc;

use crate::burst::{BURST_MAX, Burst};
use crate::port::{Mbuf, Mempool};

/// Free bytes in front of a new frame: DPDK's default.
pub const HEADROOM: usize = 128;
/// Room that buffers for received frames have at least, as DPDK's have.
const RECEIVE_ROOM_MIN: usize = 2048;

/// One run of a frame's bytes: `buffer[start..end]`, free room before and behind. Goes back to its
/// shelf when dropped.
struct Segment {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    shelf: Rc<Shelf>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.shelf.put(mem::take(&mut self.buffer));
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A frame in one or more segments, with the time of its capture.
///
/// Thread: the one of its pool.
pub struct SimMbuf {
    head: Segment,
    tail: Vec<Segment>,
    timestamp_ns: u64,
}

impl SimMbuf {
    /// When the frame was captured, in nanoseconds since 1970; of a copy, when its original was.
    pub fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns
    }

    /// The frame's bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments().flatten().copied().collect()
    }

    fn last_mut(&mut self) -> &mut Segment {
        self.tail.last_mut().unwrap_or(&mut self.head)
    }
}

impl Mbuf for SimMbuf {
    fn len(&self) -> usize {
        self.head.len() + self.tail.iter().map(Segment::len).sum::<usize>()
    }

    fn head(&self) -> &[u8] {
        self.head.bytes()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.head.bytes_mut()
    }

    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        iter::once(&self.head).chain(&self.tail).map(Segment::bytes)
    }

    fn is_contiguous(&self) -> bool {
        self.tail.iter().all(|segment| segment.len() == 0)
    }

    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        self.head.start = self.head.start.checked_sub(len)?;
        self.head.bytes_mut().get_mut(..len)
    }

    fn append(&mut self, len: usize) -> Option<&mut [u8]> {
        let last = self.last_mut();
        if len > last.buffer.len() - last.end {
            return None;
        }
        let at = last.len();
        last.end += len;
        last.bytes_mut().get_mut(at..)
    }

    fn trim_front(&mut self, len: usize) -> bool {
        let fits = len <= self.head.len();
        if fits {
            self.head.start += len;
        }
        fits
    }

    fn truncate(&mut self, len: usize) {
        let mut left = len;
        for segment in iter::once(&mut self.head).chain(&mut self.tail) {
            segment.end = segment.end.min(segment.start.saturating_add(left));
            left -= segment.len();
        }
        while self.tail.pop_if(|segment| segment.len() == 0).is_some() {}
    }

    /// Nobody sees whether a buffer is held twice or there are two: the second is taken from the
    /// frame's own pool, so that one who counts them sees how many are held.
    fn share(&mut self, frame: &mut Self) -> bool {
        for segment in iter::once(&frame.head).chain(&frame.tail) {
            let mut held = take(&segment.shelf, segment.len());
            held.end += segment.len();
            held.bytes_mut().copy_from_slice(segment.bytes());
            self.tail.push(held);
        }
        true
    }

    /// As in [`SimMbuf::share`], a second one.
    fn again(&mut self) -> Self {
        let copy = |segment: &Segment| {
            let mut held = take(&segment.shelf, segment.len());
            held.end += segment.len();
            held.bytes_mut().copy_from_slice(segment.bytes());
            held
        };
        let tail = self.tail.iter().map(copy).collect();
        Self { head: copy(&self.head), tail, timestamp_ns: self.timestamp_ns }
    }

    /// It becomes the time of the frame, with which it is recorded.
    fn send_at(&mut self, device_time: u64) -> bool {
        self.timestamp_ns = device_time;
        true
    }

    fn time_ns(&self) -> Option<u64> {
        Some(self.timestamp_ns)
    }

    fn inherit(&mut self, cause: &Self) {
        self.timestamp_ns = cause.timestamp_ns;
    }
}

impl fmt::Debug for SimMbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimMbuf")
            .field("len", &self.len())
            .field("segments", &(1 + self.tail.len()))
            .field("timestamp_ns", &self.timestamp_ns)
            .finish_non_exhaustive()
    }
}

/// Where the buffers of one pool lie while nobody holds them.
#[derive(Default)]
struct Shelf {
    free: RefCell<Vec<Vec<u8>>>,
    in_use: Cell<usize>,
}

impl Shelf {
    fn put(&self, buffer: Vec<u8>) {
        self.free.borrow_mut().push(buffer);
        self.in_use.set(self.in_use.get() - 1);
    }
}

/// A segment without bytes that has `room` behind the headroom.
fn take(shelf: &Rc<Shelf>, room: usize) -> Segment {
    let mut buffer = shelf.free.borrow_mut().pop().unwrap_or_default();
    if buffer.len() < HEADROOM + room {
        // A new, zeroed vector: the allocator gives large ones without touching them.
        buffer = vec![0; HEADROOM + room];
    }
    shelf.in_use.set(shelf.in_use.get() + 1);
    Segment { buffer, start: HEADROOM, end: HEADROOM, shelf: Rc::clone(shelf) }
}

/// A pool of buffers. Clones are handles of the same pool.
///
/// It allocates when a buffer is wanted for the first time and never again, unless frames get longer.
#[derive(Clone)]
pub struct SimPool {
    shelf: Rc<Shelf>,
    data_room: usize,
    capacity: usize,
}

impl SimPool {
    /// A pool whose buffers hold `data_room` bytes behind their headroom and of which at most
    /// `capacity` are in use at once: a small one lets allocations fail.
    pub fn new(data_room: usize, capacity: usize) -> Self {
        Self { shelf: Rc::default(), data_room, capacity }
    }

    /// Buffers that somebody holds now: 0 when nothing leaked.
    pub fn in_use(&self) -> usize {
        self.shelf.in_use.get()
    }

    /// A frame in one segment, of whatever size. Not bound by the capacity.
    pub fn frame(&self, bytes: &[u8], timestamp_ns: u64) -> SimMbuf {
        let room = bytes.len().next_multiple_of(RECEIVE_ROOM_MIN).max(RECEIVE_ROOM_MIN);
        let mut head = take(&self.shelf, room);
        head.end += bytes.len();
        head.bytes_mut().copy_from_slice(bytes);
        SimMbuf { head, tail: Vec::new(), timestamp_ns }
    }

    /// A frame in segments of `segment_len` bytes each (at least 1), the last one shorter.
    pub fn frame_in_segments(&self, bytes: &[u8], segment_len: usize, time_ns: u64) -> SimMbuf {
        let mut pieces = bytes.chunks(segment_len.max(1));
        let mut whole = self.frame(pieces.next().unwrap_or_default(), time_ns);
        for piece in pieces {
            let mut segment = take(&self.shelf, piece.len());
            segment.end += piece.len();
            segment.bytes_mut().copy_from_slice(piece);
            whole.tail.push(segment);
        }
        whole
    }
}

impl Mempool for SimPool {
    type Mbuf = SimMbuf;

    fn alloc_bulk(&mut self, burst: &mut Burst<SimMbuf>) -> usize {
        let wanted = BURST_MAX - burst.len();
        if self.in_use() + wanted > self.capacity {
            return 0;
        }
        for _ in 0..wanted {
            let head = take(&self.shelf, self.data_room);
            burst.storage_mut().push(SimMbuf { head, tail: Vec::new(), timestamp_ns: 0 });
        }
        wanted
    }

    fn available(&self) -> usize {
        self.capacity.saturating_sub(self.in_use())
    }

    fn data_room(&self) -> usize {
        self.data_room
    }
}

impl fmt::Debug for SimPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPool")
            .field("data_room", &self.data_room)
            .field("capacity", &self.capacity)
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_grows_into_its_headroom_and_no_further() {
        let pool = SimPool::new(0, 0);
        let mut frame = pool.frame(b"frame", 7);
        assert!(frame.prepend(HEADROOM + 1).is_none());
        assert_eq!(frame.to_vec(), b"frame");
        frame.prepend(HEADROOM).unwrap().fill(b'.');
        assert_eq!(frame.len(), HEADROOM + 5);
        assert!(frame.prepend(1).is_none());
        assert!(frame.trim_front(HEADROOM));
        assert!(!frame.trim_front(6));
        assert!(frame.trim_front(5));
        assert!(frame.is_empty());
    }

    #[test]
    fn a_copy_grows_into_its_data_room_and_no_further() {
        let mut pool = SimPool::new(100, BURST_MAX);
        let mut burst = Burst::new();
        assert_eq!(pool.alloc_bulk(&mut burst), BURST_MAX);
        let mut copy = burst.pop().unwrap();
        assert_eq!((copy.len(), pool.data_room()), (0, 100));
        assert!(copy.append(101).is_none());
        copy.append(60).unwrap().fill(1);
        copy.append(40).unwrap().fill(2);
        assert!(copy.append(1).is_none());
        assert_eq!(copy.to_vec(), [[1; 60].as_slice(), &[2; 40]].concat());
    }

    #[test]
    fn an_allocation_is_all_or_nothing_and_dropping_gives_back() {
        let mut pool = SimPool::new(10, BURST_MAX + 3);
        let (mut first, mut second) = (Burst::new(), Burst::new());
        assert_eq!(pool.alloc_bulk(&mut first), BURST_MAX);
        assert_eq!(pool.alloc_bulk(&mut second), 0);
        assert!(second.is_empty());
        drop(first.take_front(BURST_MAX - 3));
        assert_eq!(pool.in_use(), 3);
        assert_eq!(pool.alloc_bulk(&mut second), BURST_MAX);
        SimMbuf::free_bulk(&mut first);
        SimMbuf::free_bulk(&mut second);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn a_chain_is_cut_and_extended_across_its_segments() {
        let pool = SimPool::new(0, 0);
        let whole = b"abcdefghij";
        for len in 0..=whole.len() + 1 {
            let mut chain = pool.frame_in_segments(whole, 3, 0);
            assert_eq!((chain.len(), chain.head()), (10, b"abc".as_slice()));
            assert_eq!(chain.segments().count(), 4);
            assert!(!chain.is_contiguous());
            chain.truncate(len);
            assert_eq!(chain.to_vec(), whole[..len.min(10)]);
            assert_eq!(chain.is_contiguous(), len <= 3);
            assert_eq!(chain.is_contiguous(), chain.head().len() == chain.len());
        }
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn a_used_buffer_comes_back_as_empty_as_a_new_one() {
        let mut pool = SimPool::new(8, usize::MAX);
        let mut frame = pool.frame(b"frame", 7);
        assert!(frame.trim_front(3) && frame.prepend(90).is_some());
        drop(frame);
        let mut burst = Burst::new();
        pool.alloc_bulk(&mut burst);
        for copy in burst.frames_mut() {
            assert!(copy.is_empty() && copy.timestamp_ns() == 0);
            assert!(copy.prepend(HEADROOM).is_some() && copy.append(8).is_some());
        }
    }

    #[test]
    fn a_copy_inherits_the_time_of_its_cause() {
        let pool = SimPool::new(8, 1);
        let mut copy = pool.frame(b"", 0);
        copy.inherit(&pool.frame(b"", 42));
        assert_eq!(copy.timestamp_ns(), 42);
    }
}
