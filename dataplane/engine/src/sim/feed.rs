//! Captures merged by time and dealt out to receive queues, one per port.
//!
//! There is one stream, in the order in which its frames were seen: by timestamp, then by the order
//! in which the captures were given; within a capture its own order holds even where its timestamps
//! go backwards. A port receives while the stream's head is its own, so that polling port by port
//! handles every frame at its turn.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;
use std::io::Read;
use std::rc::Rc;

use crate::burst::Burst;
use crate::port::RxQueue;
use crate::units::PortIndex;

use super::capture_error::CaptureError;
use super::mbuf::{SimMbuf, SimPool};
use super::reader::CaptureReader;

/// Why one of the captures ended early.
#[derive(Debug)]
pub struct FeedFault {
    /// Its position among the captures given, from 0.
    pub capture: usize,
    /// The damage.
    pub error: CaptureError,
}

/// The merged stream. Clones are handles of the same stream.
#[derive(Clone)]
pub struct SimFeed {
    merge: Rc<RefCell<Merge>>,
}

/// One capture and the port it stands for.
struct Source {
    port: PortIndex,
    reader: CaptureReader<Box<dyn Read>>,
}

struct Merge {
    sources: Vec<Source>,
    /// Time of each capture's present frame, and the capture's position.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    faults: Vec<FeedFault>,
    pool: SimPool,
    segment_len: usize,
}

impl Default for SimFeed {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFeed {
    /// A stream of no captures.
    pub fn new() -> Self {
        Self::in_segments(usize::MAX)
    }

    /// A stream whose frames arrive in segments of `segment_len` bytes, as from a device whose
    /// buffers are shorter than its frames.
    pub fn in_segments(segment_len: usize) -> Self {
        let merge = Merge {
            sources: Vec::new(),
            order: BinaryHeap::new(),
            faults: Vec::new(),
            pool: SimPool::new(0, 0),
            segment_len,
        };
        Self { merge: Rc::new(RefCell::new(merge)) }
    }

    /// Adds a capture, whose frames arrive on `port`. Several may stand for one port. Begins to read.
    pub fn add(&self, port: PortIndex, capture: impl Read + 'static) {
        let mut merge = self.merge.borrow_mut();
        let index = merge.sources.len();
        merge.sources.push(Source { port, reader: CaptureReader::new(Box::new(capture)) });
        if let Some(head) = merge.advance(index) {
            merge.order.push(head);
        }
    }

    /// The receive queue of a port; silent when no capture stands for it.
    pub fn rx(&self, port: PortIndex) -> SimRx {
        SimRx { merge: Rc::clone(&self.merge), port }
    }

    /// True when every frame of every capture has been received.
    pub fn is_done(&self) -> bool {
        self.merge.borrow().order.is_empty()
    }

    /// Takes the faults found so far, in the order of the captures.
    pub fn take_faults(&self) -> Vec<FeedFault> {
        let mut faults = std::mem::take(&mut self.merge.borrow_mut().faults);
        faults.sort_by_key(|fault| fault.capture);
        faults
    }

    /// Buffers of received frames that somebody holds now.
    pub fn in_use(&self) -> usize {
        self.merge.borrow().pool.in_use()
    }
}

impl Merge {
    /// Moves a capture on; its place in the order, unless it has ended.
    #[inline]
    fn advance(&mut self, index: usize) -> Option<Reverse<(u64, usize)>> {
        let reader = &mut self.sources.get_mut(index)?.reader;
        match reader.advance() {
            Ok(true) => Some(Reverse((reader.timestamp_ns(), index))),
            Ok(false) => None,
            Err(error) => {
                self.faults.push(FeedFault { capture: index, error });
                None
            }
        }
    }

    /// The capture whose frame is next, if that frame arrives on `port`.
    #[inline]
    fn next_of(&self, port: PortIndex) -> Option<usize> {
        let Reverse((_, index)) = *self.order.peek()?;
        (self.sources.get(index)?.port == port).then_some(index)
    }

    /// The present frame of a capture, in a buffer.
    #[inline]
    fn frame(&self, index: usize) -> Option<SimMbuf> {
        let reader = &self.sources.get(index)?.reader;
        let (bytes, time_ns) = (reader.frame(), reader.timestamp_ns());
        Some(if bytes.len() <= self.segment_len {
            self.pool.frame(bytes, time_ns)
        } else {
            self.pool.frame_in_segments(bytes, self.segment_len, time_ns)
        })
    }
}

/// A receive queue fed with captures.
#[derive(Clone)]
pub struct SimRx {
    merge: Rc<RefCell<Merge>>,
    port: PortIndex,
}

impl RxQueue for SimRx {
    type Mbuf = SimMbuf;

    fn recv(&mut self, burst: &mut Burst<SimMbuf>) -> usize {
        let merge = &mut *self.merge.borrow_mut();
        let before = burst.len();
        while !burst.is_full() {
            let Some(index) = merge.next_of(self.port) else { break };
            let Some(frame) = merge.frame(index) else { break };
            burst.storage_mut().push(frame);
            let moved = merge.advance(index);
            if let Some(mut head) = merge.order.peek_mut() {
                match moved {
                    Some(place) => *head = place,
                    None => drop(PeekMut::pop(head)),
                }
            }
        }
        burst.len() - before
    }
}

impl fmt::Debug for SimFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let merge = self.merge.borrow();
        f.debug_struct("SimFeed")
            .field("captures", &merge.sources.len())
            .field("unfinished", &merge.order.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimRx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRx").field("port", &self.port).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::writer::capture_of;
    use super::*;
    use crate::burst::BURST_MAX;
    use crate::port::Mbuf;

    fn capture(frames: &[(u64, Vec<u8>)]) -> Cursor<Vec<u8>> {
        Cursor::new(capture_of(frames.iter().cloned()))
    }

    /// Polls port by port until the stream is done: (port, time, bytes) in the order of handling.
    fn drain(feed: &SimFeed, ports: u16) -> Vec<(u16, u64, Vec<u8>)> {
        let mut queues: Vec<_> = (0..ports).map(|port| feed.rx(PortIndex(port))).collect();
        let mut seen = Vec::new();
        while !feed.is_done() {
            for (port, rx) in (0..).zip(&mut queues) {
                let mut burst = Burst::new();
                assert_eq!(rx.recv(&mut burst), burst.len());
                let frames = burst.take_front(BURST_MAX);
                seen.extend(frames.map(|frame| (port, frame.timestamp_ns(), frame.to_vec())));
            }
        }
        assert_eq!(feed.in_use(), 0);
        seen
    }

    #[test]
    fn equal_times_go_by_the_order_of_the_captures_then_of_the_file() {
        let feed = SimFeed::new();
        feed.add(PortIndex(1), capture(&[(5, b"a".into()), (5, b"b".into()), (6, b"c".into())]));
        feed.add(PortIndex(0), capture(&[(5, b"d".into()), (6, b"e".into())]));
        feed.add(PortIndex(1), capture(&[(4, b"f".into()), (5, b"g".into())]));
        let order: Vec<_> = drain(&feed, 2).into_iter().map(|(_, _, bytes)| bytes[0]).collect();
        assert_eq!(order, b"fabdgce");
    }

    #[test]
    fn a_capture_whose_clock_goes_back_keeps_its_order() {
        let feed = SimFeed::new();
        feed.add(PortIndex(0), capture(&[(9, b"a".into()), (1, b"b".into()), (2, b"c".into())]));
        feed.add(PortIndex(1), capture(&[(3, b"d".into()), (8, b"e".into()), (10, b"f".into())]));
        let order: Vec<_> = drain(&feed, 2).into_iter().map(|(_, _, bytes)| bytes[0]).collect();
        assert_eq!(order, b"deabcf");
    }

    #[test]
    fn a_full_burst_leaves_the_rest_for_the_next_call() {
        let feed = SimFeed::new();
        let frames: Vec<_> = (0..100).map(|n| (n, vec![])).collect();
        feed.add(PortIndex(0), capture(&frames));
        let (mut rx, mut burst) = (feed.rx(PortIndex(0)), Burst::new());
        assert_eq!(rx.recv(&mut burst), BURST_MAX);
        assert_eq!(rx.recv(&mut burst), 0);
        burst.clear();
        assert_eq!(rx.recv(&mut burst), 100 - BURST_MAX);
        assert!(feed.is_done());
        assert_eq!(rx.recv(&mut burst), 0);
    }

    #[test]
    fn damage_in_one_capture_is_kept_and_the_others_run_on() {
        let mut cut = capture_of([(1, b"a"), (2, b"b")]);
        cut.pop();
        let feed = SimFeed::new();
        feed.add(PortIndex(0), Cursor::new(b"nonsense".to_vec()));
        feed.add(PortIndex(0), capture(&[(1, b"c".into()), (3, b"d".into())]));
        feed.add(PortIndex(0), Cursor::new(cut));
        let order: Vec<_> = drain(&feed, 1).into_iter().map(|(_, _, bytes)| bytes[0]).collect();
        assert_eq!(order, b"cad");
        let faults = feed.take_faults();
        let places: Vec<_> = faults.iter().map(|f| (f.capture, f.error.offset)).collect();
        assert_eq!(places, [(0, 0), (2, 24 + 17)]);
        assert!(feed.take_faults().is_empty());
    }

    #[test]
    fn frames_fall_into_segments_when_asked_to() {
        let feed = SimFeed::in_segments(4);
        feed.add(PortIndex(0), capture(&[(0, b"abcdefghi".into()), (0, b"abcd".into())]));
        let mut burst = Burst::new();
        feed.rx(PortIndex(0)).recv(&mut burst);
        let shapes: Vec<_> = burst.frames().iter().map(|f| f.segments().count()).collect();
        assert_eq!(shapes, [3, 1]);
        assert_eq!(burst.frames()[0].to_vec(), b"abcdefghi");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn polling_port_by_port_gives_the_merged_order(
            captures in vec((0..3u16, vec(0..50u64, 0..150)), 0..5),
        ) {
            let feed = SimFeed::new();
            let mut lanes = Vec::new();
            for (index, (port, times)) in captures.iter().enumerate() {
                let frames = times.iter().enumerate().map(|(n, time)| (*time, vec![index as u8, n as u8]));
                let frames: Vec<_> = frames.collect();
                feed.add(PortIndex(*port), capture(&frames));
                lanes.push((*port, frames.into_iter().peekable()));
            }
            // The definition: of all heads, the one with the least time, the first capture's at a tie.
            let mut wanted = Vec::new();
            while let Some(next) = (0..lanes.len())
                .filter_map(|n| Some((lanes[n].1.peek()?.0, n)))
                .min()
            {
                let (port, lane) = &mut lanes[next.1];
                let (time, bytes) = lane.next().unwrap();
                wanted.push((*port, time, bytes));
            }
            prop_assert_eq!(drain(&feed, 3), wanted);
        }
    }
}
