//! Frames on their way from the one who reads captures to the worker that sends them.
//!
//! Two bounded lock-free queues for each worker: full trays go one way, empty ones come back. All are allocated at
//! the start. One thread gives, one takes: neither handle can be copied.

use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;
use engine::burst::{BURST_MAX, Burst};

/// What is known of a frame beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cue {
    /// When it is to be sent, in ticks from the start.
    pub due: u64,
    /// Its length in bytes.
    pub len: u32,
    /// By which port: 0, the client's; 1, the server's.
    pub side: u8,
}

/// Frames in the order in which they are to be sent, each with its cue.
#[derive(Debug)]
pub struct Tray<M> {
    /// The frames.
    pub frames: Burst<M>,
    /// Their cues.
    pub cues: ArrayVec<Cue, BURST_MAX>,
}

impl<M> Default for Tray<M> {
    fn default() -> Self {
        Self { frames: Burst::default(), cues: ArrayVec::new() }
    }
}

impl<M> Tray<M> {
    /// How many frames of the front leave by the same port and are due by `now`, `most` at most.
    #[inline]
    pub fn due(&self, now: u64, most: usize) -> usize {
        let Some(first) = self.cues.first() else { return 0 };
        let due = self.cues.iter().take(most);
        due.take_while(|cue| cue.due <= now && cue.side == first.side).count()
    }

    /// Moves `count` frames of the front behind those of `to`, which has room for them.
    #[inline]
    pub fn move_front(&mut self, count: usize, to: &mut Self) {
        to.frames.storage_mut().extend(self.frames.take_front(count));
        to.cues.extend(self.cues.drain(..count));
    }
}

struct Queues<M> {
    full: ArrayQueue<Box<Tray<M>>>,
    empty: ArrayQueue<Box<Tray<M>>>,
    is_over: AtomicBool,
}

/// The end of the one who reads.
pub struct Giver<M>(Arc<Queues<M>>);

/// The worker's end.
pub struct Taker<M>(Arc<Queues<M>>);

impl<M> core::fmt::Debug for Giver<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Giver").field("waiting", &self.0.full.len()).finish()
    }
}

impl<M> core::fmt::Debug for Taker<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Taker").field("waiting", &self.0.full.len()).finish()
    }
}

/// Both ends of a way on which so many trays may wait, at least one.
pub fn way<M>(trays: usize) -> (Giver<M>, Taker<M>) {
    let trays = trays.max(1);
    let (full, empty) = (ArrayQueue::new(trays), ArrayQueue::new(trays));
    for _ in 0..trays {
        // There is room for exactly so many.
        let pushed = empty.push(Box::default());
        debug_assert!(pushed.is_ok(), "the queue holds {trays}");
    }
    let queues = Arc::new(Queues { full, empty, is_over: AtomicBool::new(false) });
    (Giver(Arc::clone(&queues)), Taker(queues))
}

impl<M> Giver<M> {
    /// Gives the tray and leaves an empty one in its place; false (and no change) when there is no room.
    pub fn give(&mut self, tray: &mut Box<Tray<M>>) -> bool {
        let Some(empty) = self.0.empty.pop() else { return false };
        // Who has an empty one has room for a full one.
        let pushed = self.0.full.push(mem::replace(tray, empty));
        debug_assert!(pushed.is_ok(), "there are no more trays than room");
        true
    }

    /// True when the worker has taken all that it was given. Cost: two loads.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.0.full.is_empty()
    }

    /// True when there is no room.
    pub fn is_full(&self) -> bool {
        self.0.empty.is_empty()
    }

    /// Nothing more is given.
    pub fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

impl<M> Taker<M> {
    /// Takes the oldest tray in exchange for `tray`, which is empty; false (and no change) when there is none.
    #[inline]
    pub fn take(&mut self, tray: &mut Box<Tray<M>>) -> bool {
        let Some(full) = self.0.full.pop() else { return false };
        // Its place is the one that the full tray came with.
        let pushed = self.0.empty.push(mem::replace(tray, full));
        debug_assert!(pushed.is_ok(), "there are no more trays than room");
        true
    }

    /// True when everything that was given has been taken, and nothing more is given.
    #[inline]
    pub fn is_over(&self) -> bool {
        // In this order: what was given before the end is seen then.
        self.0.is_over.load(Ordering::Acquire) && self.0.full.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tray(cues: &[(u64, u8)]) -> Tray<u64> {
        let mut tray = Tray::default();
        for &(due, side) in cues {
            tray.frames.push(due).unwrap();
            tray.cues.push(Cue { due, side, len: 60 });
        }
        tray
    }

    #[test]
    fn what_is_due_by_one_port_leaves_together() {
        let mut tray = tray(&[(1, 0), (2, 0), (2, 1), (9, 1)]);
        assert_eq!((tray.due(0, 9), tray.due(1, 9), tray.due(2, 9), tray.due(9, 1)), (0, 1, 2, 1));
        let mut out = Tray::default();
        tray.move_front(2, &mut out);
        assert_eq!(out.frames.frames(), [1, 2]);
        assert_eq!((tray.due(2, 9), tray.due(9, 9)), (1, 2));
        assert_eq!(out.cues.len(), 2);
    }

    #[test]
    fn trays_come_in_order_and_the_end_behind_them() {
        let (mut giver, mut taker) = way(2);
        let (mut hand, mut got) = (Box::default(), Box::default());
        for number in 0..2 {
            *hand = tray(&[(number, 0)]);
            assert!(giver.give(&mut hand));
        }
        *hand = tray(&[(2, 0)]);
        assert!(giver.is_full() && !giver.give(&mut hand));
        giver.end();
        for number in 0..2 {
            assert!(!taker.is_over());
            assert!(taker.take(&mut got));
            assert_eq!(got.frames.frames(), [number]);
            *got = Tray::default();
        }
        assert!(taker.is_over() && !taker.take(&mut got));
    }
}
