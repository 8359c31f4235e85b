//! Bursts on their way from the worker that received them to the one that handles them.
//!
//! Two bounded lock-free queues for each pair of workers and receive queue: full bursts go one way,
//! empty ones come back. There are as many empty ones as there is room, so whoever has one may give a
//! full one; all are allocated at the start. One worker gives, one takes: neither handle can be copied.

use core::mem;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::burst::Burst;

/// A burst with the time when the first of its frames had been received, where that is measured.
struct Full<M> {
    burst: Box<Burst<M>>,
    arrived: Option<u64>,
}

struct Queues<M> {
    full: ArrayQueue<Full<M>>,
    empty: ArrayQueue<Box<Burst<M>>>,
}

/// The end of the worker that received.
pub(crate) struct Giver<M>(Arc<Queues<M>>);

/// The end of the worker that handles. Thread: that worker.
pub struct Taker<M>(Arc<Queues<M>>);

impl<M> core::fmt::Debug for Taker<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Taker").field("waiting", &self.0.full.len()).finish()
    }
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// When the first of the frames had been received, where that was measured.
    pub(crate) arrived: Option<u64>,
}

/// Both ends of a way on which so many bursts may wait, at least one.
pub(crate) fn handover<M>(bursts: usize) -> (Giver<M>, Taker<M>) {
    let bursts = bursts.max(1);
    let queues = Queues { full: ArrayQueue::new(bursts), empty: ArrayQueue::new(bursts) };
    for _ in 0..bursts {
        // There is room for exactly so many.
        let pushed = queues.empty.push(Box::default());
        debug_assert!(pushed.is_ok(), "the queue holds {bursts}");
    }
    let queues = Arc::new(queues);
    (Giver(Arc::clone(&queues)), Taker(queues))
}

impl<M> Giver<M> {
    /// True when the other worker has taken all that it was given. Cost: two loads.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.full.is_empty()
    }

    /// Gives the burst and leaves an empty one in its place; false (and no change) when there is no
    /// room. Never waits.
    #[inline]
    pub(crate) fn give(&mut self, burst: &mut Box<Burst<M>>, arrived: Option<u64>) -> bool {
        let Some(empty) = self.0.empty.pop() else { return false };
        let burst = mem::replace(burst, empty);
        // Who has an empty one has room for a full one.
        let pushed = self.0.full.push(Full { burst, arrived });
        debug_assert!(pushed.is_ok(), "there are no more bursts than room");
        true
    }
}

impl<M> Taker<M> {
    /// Bursts that wait. Cost: two loads.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.0.full.len()
    }

    /// Bursts that may wait.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.0.full.capacity()
    }

    /// Takes the oldest burst in exchange for `burst`, which is empty; `None` (and no change) when there
    /// is none. Cost without one: two loads.
    #[inline]
    pub(crate) fn take(&mut self, burst: &mut Box<Burst<M>>) -> Option<Taken> {
        if self.0.full.is_empty() {
            return None;
        }
        let Full { burst: full, arrived } = self.0.full.pop()?;
        let empty = mem::replace(burst, full);
        debug_assert!(empty.is_empty(), "what is given back holds nothing");
        // Its place is the one that the full burst came with.
        let pushed = self.0.empty.push(empty);
        debug_assert!(pushed.is_ok(), "there are no more bursts than room");
        Some(Taken { arrived })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(numbers: core::ops::Range<u64>) -> Box<Burst<u64>> {
        let mut burst = Box::<Burst<u64>>::default();
        burst.storage_mut().extend(numbers);
        burst
    }

    #[test]
    fn bursts_come_in_order_and_no_more_than_there_is_room_for() {
        let (mut giver, mut taker) = handover(2);
        assert!(giver.is_idle());
        assert!(giver.give(&mut burst(0..3), Some(7)));
        assert!(giver.give(&mut burst(3..4), None));
        let mut third = burst(4..6);
        assert!(!giver.give(&mut third, None));
        assert_eq!(third.frames(), [4, 5], "it is still the giver's");
        let mut hand = Box::default();
        assert_eq!(taker.take(&mut hand), Some(Taken { arrived: Some(7) }));
        assert_eq!(hand.frames(), [0, 1, 2]);
        hand.clear();
        assert!(giver.give(&mut third, None));
        assert!(third.is_empty() && !giver.is_idle());
        for expected in [&[3][..], &[4, 5]] {
            assert_eq!(taker.take(&mut hand), Some(Taken { arrived: None }));
            assert_eq!(hand.frames(), expected);
            hand.clear();
        }
        assert_eq!(taker.take(&mut hand), None);
        assert!(giver.is_idle());
    }

    #[test]
    fn two_threads_hand_over_everything_in_order() {
        const BURSTS: u64 = if cfg!(miri) { 50 } else { 20_000 };
        let (mut giver, mut taker) = handover(4);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for at in 0..BURSTS {
                    let mut burst = burst(3 * at..3 * at + 3);
                    while !giver.give(&mut burst, None) {
                        std::thread::yield_now();
                    }
                }
            });
            let (mut hand, mut next) = (Box::default(), 0);
            while next < 3 * BURSTS {
                if taker.take(&mut hand).is_none() {
                    std::thread::yield_now();
                    continue;
                }
                assert_eq!(hand.frames(), [next, next + 1, next + 2]);
                next += 3;
                hand.clear();
            }
        });
    }
}
