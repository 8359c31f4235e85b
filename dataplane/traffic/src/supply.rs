//! Frames on their way to the worker that sends them: read ahead by a feeder, or all at hand.
//!
//! A ring is two bounded lock-free queues: full chunks go one way, empty ones come back, and all are allocated at
//! the start. So what is read ahead is bounded, and who reads waits when the worker is behind.

use core::fmt;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;
use engine::burst::{BURST_MAX, Burst};

/// When and by which port a frame is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// In ticks since the start.
    pub due: u64,
    /// 0, the client's port; 1, the server's.
    pub side: u8,
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    At(Slot),
    /// Nothing yet.
    NotYet,
    /// Nothing more.
    End,
}

/// Where a worker's frames come from, in their order.
pub trait Supply {
    /// The buffers.
    type Mbuf;

    /// What is next. Never waits.
    fn peek(&mut self) -> Next;

    /// Takes the frame of [`Next::At`]; `None` (and no change) when there is no buffer for it now.
    fn take(&mut self) -> Option<Self::Mbuf>;
}

/// Frames with their slots: the last is the first to be sent.
struct Chunk<M> {
    frames: Burst<M>,
    slots: ArrayVec<Slot, BURST_MAX>,
}

struct Ring<M> {
    full: ArrayQueue<Box<Chunk<M>>>,
    empty: ArrayQueue<Box<Chunk<M>>>,
    is_ended: AtomicBool,
}

/// The feeder's end. Thread: the feeder.
pub struct Giver<M> {
    ring: Arc<Ring<M>>,
    chunk: Option<Box<Chunk<M>>>,
}

/// The worker's end. Thread: the worker.
pub struct Taker<M> {
    ring: Arc<Ring<M>>,
    chunk: Box<Chunk<M>>,
}

/// Both ends of a ring of so many chunks, at least two.
pub fn ring<M>(chunks: usize) -> (Giver<M>, Taker<M>) {
    let chunks = chunks.max(2);
    let ring = Ring {
        full: ArrayQueue::new(chunks),
        empty: ArrayQueue::new(chunks),
        is_ended: AtomicBool::new(false),
    };
    for _ in 0..chunks {
        // There is room for exactly so many.
        let pushed = ring.empty.push(Box::default());
        debug_assert!(pushed.is_ok(), "the queue holds {chunks}");
    }
    let ring = Arc::new(ring);
    let taker = Taker { ring: Arc::clone(&ring), chunk: Box::default() };
    (Giver { ring, chunk: None }, taker)
}

impl<M> Default for Chunk<M> {
    fn default() -> Self {
        Self { frames: Burst::default(), slots: ArrayVec::new() }
    }
}

impl<M> Giver<M> {
    /// True when a frame can be pushed. Never waits. Cost: one or two loads.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        if self.chunk.is_none() {
            self.chunk = self.ring.empty.pop();
        }
        self.chunk.is_some()
    }

    /// Adds a frame; true when the worker was given the chunk, which was full. Without [`Giver::has_room`] the frame
    /// is dropped.
    #[inline]
    pub fn push(&mut self, frame: M, slot: Slot) -> bool {
        let Some(chunk) = &mut self.chunk else { return false };
        if chunk.frames.push(frame).is_ok() {
            chunk.slots.push(slot);
        }
        let is_full = chunk.frames.is_full();
        if is_full {
            self.flush();
        }
        is_full
    }

    /// True when the worker has nothing else waiting. Cost: two loads.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.ring.full.is_empty()
    }

    /// Gives the worker what there is.
    pub fn flush(&mut self) {
        if let Some(mut chunk) = self.chunk.take_if(|chunk| !chunk.frames.is_empty()) {
            chunk.frames.frames_mut().reverse();
            chunk.slots.reverse();
            // Who had an empty one has room for a full one.
            let pushed = self.ring.full.push(chunk);
            debug_assert!(pushed.is_ok(), "there are no more chunks than room");
        }
    }
}

impl<M> Drop for Giver<M> {
    fn drop(&mut self) {
        self.flush();
        self.ring.is_ended.store(true, Ordering::Release);
    }
}

impl<M> Taker<M> {
    /// Takes the next chunk; what is next without one.
    #[cold]
    fn refill(&mut self) -> Result<(), Next> {
        let is_ended = self.ring.is_ended.load(Ordering::Acquire);
        let Some(full) = self.ring.full.pop() else {
            return Err(if is_ended { Next::End } else { Next::NotYet });
        };
        let empty = mem::replace(&mut self.chunk, full);
        // Its place is the one that the full chunk had before.
        let pushed = self.ring.empty.push(empty);
        debug_assert!(pushed.is_ok(), "there are no more chunks than room");
        Ok(())
    }
}

impl<M> Supply for Taker<M> {
    type Mbuf = M;

    #[inline]
    fn peek(&mut self) -> Next {
        if self.chunk.slots.is_empty()
            && let Err(next) = self.refill()
        {
            return next;
        }
        self.chunk.slots.last().map_or(Next::NotYet, |slot| Next::At(*slot))
    }

    #[inline]
    fn take(&mut self) -> Option<M> {
        let frame = self.chunk.frames.pop()?;
        self.chunk.slots.pop();
        Some(frame)
    }
}

impl<M> fmt::Debug for Giver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Giver").field("waiting", &self.ring.full.len()).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Taker<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("waiting", &self.ring.full.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(due: u64) -> Slot {
        Slot { due, side: 0 }
    }

    fn drain(taker: &mut Taker<u64>) -> Vec<u64> {
        let mut got = Vec::new();
        while let Next::At(Slot { due, .. }) = taker.peek() {
            let frame = taker.take().unwrap();
            assert_eq!(due, 2 * frame);
            got.push(frame);
        }
        got
    }

    #[test]
    fn frames_come_in_order_with_their_slots_and_no_more_than_there_is_room_for() {
        let (mut giver, mut taker) = ring(2);
        let room = 2 * BURST_MAX as u64;
        let mut pushed = 0;
        while giver.has_room() {
            giver.push(pushed, slot(2 * pushed));
            pushed += 1;
        }
        assert_eq!(pushed, room);
        assert_eq!(drain(&mut taker), (0..room).collect::<Vec<_>>());
        assert_eq!(taker.peek(), Next::NotYet);
        assert!(giver.has_room());
        assert!(!giver.push(room, slot(2 * room)));
        assert_eq!(taker.peek(), Next::NotYet, "it was not given yet");
        giver.flush();
        assert_eq!(drain(&mut taker), [room]);
        assert!(giver.has_room());
        giver.push(room + 1, slot(2 * (room + 1)));
        drop(giver);
        assert_eq!(drain(&mut taker), [room + 1]);
        assert_eq!(taker.peek(), Next::End);
    }

    #[test]
    fn two_threads_hand_over_everything_in_order() {
        const FRAMES: u64 = 200_000;
        let (mut giver, mut taker) = ring(3);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for frame in 0..FRAMES {
                    while !giver.has_room() {
                        std::thread::yield_now();
                    }
                    giver.push(frame, slot(2 * frame));
                    if frame % 1001 == 0 {
                        giver.flush();
                    }
                }
            });
            let mut next = 0;
            while taker.peek() != Next::End {
                for frame in drain(&mut taker) {
                    assert_eq!(frame, next);
                    next += 1;
                }
                std::thread::yield_now();
            }
            assert_eq!(next, FRAMES);
        });
    }
}
