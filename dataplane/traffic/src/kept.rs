//! Frames that stay in memory and are sent again and again: nothing is read, and nothing copied where the port takes
//! frames that somebody else holds too.

use core::fmt;

use engine::port::{Mbuf, Mempool};
use engine::ticks::Scale;

use crate::buffers::Buffers;
use crate::supply::{Next, Slot, Supply};

/// How often they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Loops at most.
    pub loops: u64,
    /// Frames of a loop, of all workers.
    pub frames: u64,
    /// Frames at most in all, of all workers.
    pub limit: u64,
    /// Nothing is sent that is due then, or later; in nanoseconds since the start.
    pub duration_ns: u64,
    /// From one loop to the next, in nanoseconds.
    pub loop_ns: u64,
}

/// A worker's part of the frames of a loop.
pub struct Kept<P: Mempool> {
    frames: Vec<P::Mbuf>,
    places: Vec<Place>,
    rounds: Rounds,
    scale: Scale,
    /// The next frame, and the loop that it is of.
    at: usize,
    loop_number: u64,
    /// The start of the loop, and the end of all, in ticks.
    base: u64,
    end: u64,
    /// Frames of this loop from this number on are beyond the limit.
    number_end: u64,
    /// Where frames are copied into that may not be sent themselves.
    buffers: Option<Buffers<P>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    slot: Slot,
    /// Among the frames of a loop.
    number: u64,
}

impl<P: Mempool> Kept<P> {
    /// Without frames. With a `pool`, copies are sent. Times are of a clock of that `scale`.
    pub fn new(rounds: Rounds, scale: Scale, pool: Option<P>) -> Self {
        let end =
            if rounds.duration_ns == u64::MAX { u64::MAX } else { scale.ticks(rounds.duration_ns) };
        let mut kept = Self {
            frames: Vec::new(),
            places: Vec::new(),
            rounds,
            scale,
            at: 0,
            loop_number: 0,
            base: 0,
            end,
            number_end: 0,
            buffers: pool.map(Buffers::new),
        };
        kept.begin_loop();
        kept
    }

    /// Adds a frame, the `number`th of a loop.
    pub fn push(&mut self, frame: P::Mbuf, slot: Slot, number: u64) {
        self.frames.push(frame);
        self.places.push(Place { slot, number });
    }

    fn begin_loop(&mut self) {
        let Rounds { loops, frames, limit, loop_ns, .. } = self.rounds;
        self.base = self.scale.ticks(loop_ns.saturating_mul(self.loop_number));
        let before = frames.saturating_mul(self.loop_number);
        self.number_end = if self.loop_number < loops { limit.saturating_sub(before) } else { 0 };
    }
}

impl<P: Mempool> Supply for Kept<P> {
    type Mbuf = P::Mbuf;

    #[inline]
    fn peek(&mut self) -> Next {
        let Some(place) = self.places.get(self.at) else { return Next::End };
        let due = self.base.saturating_add(place.slot.due);
        if place.number >= self.number_end || due >= self.end {
            return Next::End;
        }
        Next::At(Slot { due, side: place.slot.side })
    }

    #[inline]
    fn take(&mut self) -> Option<P::Mbuf> {
        let kept = self.frames.get_mut(self.at)?;
        let frame = match &mut self.buffers {
            None => kept.again(),
            Some(buffers) => buffers.filled(kept.segments()).ok()?,
        };
        self.at += 1;
        if self.at == self.frames.len() {
            self.at = 0;
            self.loop_number += 1;
            self.begin_loop();
        }
        Some(frame)
    }
}

impl<P: Mempool> fmt::Debug for Kept<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("frames", &self.frames.len())
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use engine::burst::Burst;
    use engine::sim::SimPool;

    use super::*;

    const ROUNDS: Rounds =
        Rounds { loops: 3, frames: 10, limit: u64::MAX, duration_ns: u64::MAX, loop_ns: 1000 };

    /// What is sent of frames 3 and 7 of ten, due at 30 and 70.
    fn sent(rounds: Rounds, pool: Option<SimPool>) -> Vec<(u64, u8)> {
        let source = SimPool::new(64, 100);
        let mut kept = Kept::new(rounds, Scale::new(1_000_000_000), pool);
        for number in [3u8, 7] {
            let slot = Slot { due: u64::from(number) * 10, side: 0 };
            kept.push(source.frame(&[number], 0), slot, number.into());
        }
        let mut sent = Vec::new();
        while let Next::At(slot) = kept.peek() {
            sent.push((slot.due, kept.take().unwrap().head()[0]));
        }
        drop(kept);
        assert_eq!(source.in_use(), 0);
        sent
    }

    #[test]
    fn loops_follow_each_other_until_the_first_limit() {
        let all = [(30, 3), (70, 7), (1030, 3), (1070, 7), (2030, 3), (2070, 7)];
        assert_eq!(sent(ROUNDS, None), all);
        assert_eq!(sent(ROUNDS, Some(SimPool::new(64, 64))), all);
        for (limit, frames) in [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2), (13, 2), (14, 3), (99, 6)] {
            assert_eq!(sent(Rounds { limit, ..ROUNDS }, None), all[..frames], "limit {limit}");
        }
        for (duration_ns, frames) in [(30, 0), (31, 1), (1070, 3), (1071, 4), (5000, 6)] {
            let rounds = Rounds { duration_ns, ..ROUNDS };
            assert_eq!(sent(rounds, None), all[..frames], "{duration_ns} ns");
        }
    }

    #[test]
    fn without_a_buffer_for_a_copy_the_frame_stays_next() {
        let pool = SimPool::new(64, 64);
        let mut kept = Kept::new(ROUNDS, Scale::new(1_000_000_000), Some(pool.clone()));
        kept.push(SimPool::new(64, 1).frame(b"x", 0), Slot { due: 0, side: 1 }, 0);
        let mut held = Burst::new();
        pool.clone().alloc_bulk(&mut held);
        assert!(kept.take().is_none());
        assert_eq!(kept.peek(), Next::At(Slot { due: 0, side: 1 }));
        held.clear();
        assert_eq!(kept.take().unwrap().head(), b"x");
    }
}
