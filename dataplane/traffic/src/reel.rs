//! Frames that stay in memory and are sent again and again: one worker's part of a loop.

use engine::burst::Burst;
use engine::port::{Devices, Mbuf, Mempool as _};

use crate::tray::{Cue, Tray};

/// A loop shorter than a millisecond is right within a tick after years.
const FRACTION_BITS: u32 = 32;
/// A tick, in fractions.
const ONE: f64 = 4_294_967_296.0;

/// A frame of the loop.
#[derive(Debug)]
struct Shot<M> {
    frame: M,
    cue: Cue,
    /// Its place in the loop, over all workers, from 0.
    number: u64,
}

/// When the last frame has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReelEnd {
    /// Loops.
    pub loops: u64,
    /// Frames, over all workers.
    pub frames: u64,
    /// Only frames that are due before, in ticks.
    pub due: u64,
}

/// One worker's part of a loop.
#[derive(Debug)]
pub struct Reel<M> {
    shots: Vec<Shot<M>>,
    /// From a frame to the same one in the next loop, in ticks, with [`FRACTION_BITS`] bits behind the point.
    loop_ticks: u128,
    /// Frames of a loop, over all workers.
    loop_frames: u64,
    end: ReelEnd,
    at: usize,
    loops: u64,
}

impl<M> Reel<M> {
    /// A reel of no frames, of a loop that has so many and takes so long.
    #[expect(clippy::cast_sign_loss, reason = "a time is not negative")]
    pub fn new(loop_ticks: f64, loop_frames: u64, end: ReelEnd) -> Self {
        let loop_ticks = (loop_ticks.max(0.0) * ONE) as u128;
        Self { shots: Vec::new(), loop_ticks, loop_frames, end, at: 0, loops: 0 }
    }

    /// Adds the next frame; `number` is its place in the loop.
    pub fn add(&mut self, frame: M, cue: Cue, number: u64) {
        self.shots.push(Shot { frame, cue, number });
    }

    /// Loops ended so far.
    pub fn loops(&self) -> u64 {
        self.loops
    }

    /// True when nothing more is to be sent.
    #[inline]
    pub fn is_over(&self) -> bool {
        let Some(shot) = self.shots.get(self.at) else { return true };
        self.loops >= self.end.loops
            || self.loops.saturating_mul(self.loop_frames).saturating_add(shot.number)
                >= self.end.frames
            || self.due(&shot.cue) >= self.end.due
    }

    /// By which port the next frame leaves.
    #[inline]
    pub fn side(&self) -> u8 {
        self.shots.get(self.at).map_or(0, |shot| shot.cue.side)
    }

    #[inline]
    fn due(&self, cue: &Cue) -> u64 {
        let loops = u128::from(self.loops).wrapping_mul(self.loop_ticks) >> FRACTION_BITS;
        (loops as u64).wrapping_add(cue.due)
    }

    /// Puts frames that are due by `now` on a tray, as many as it has room for and leave by the same port: by
    /// reference, or as copies where the port does not take what is held twice.
    #[inline]
    pub fn take<D: Devices<Mbuf = M>>(
        &mut self,
        now: u64,
        tray: &mut Tray<M>,
        mut copier: Option<&mut Copier<D>>,
    ) where
        M: Mbuf,
    {
        let Some(first) = self.shots.get(self.at) else { return };
        let side = tray.cues.first().map_or(first.cue.side, |cue| cue.side);
        while !tray.frames.is_full() && !self.is_over() {
            let Some(shot) = self.shots.get(self.at) else { return };
            let due = self.due(&shot.cue);
            if due > now || shot.cue.side != side {
                return;
            }
            let cue = Cue { due, ..shot.cue };
            let Some(shot) = self.shots.get_mut(self.at) else { return };
            let frame = match &mut copier {
                None => Some(shot.frame.again()),
                Some(copier) => copier.copy(&shot.frame),
            };
            let Some(frame) = frame else { return };
            if tray.frames.push(frame).is_err() {
                return;
            }
            tray.cues.push(cue);
            self.at += 1;
            if self.at == self.shots.len() {
                self.at = 0;
                self.loops += 1;
            }
        }
    }
}

/// Makes copies of frames.
pub struct Copier<D: Devices> {
    pool: D::Pool,
    spare: Burst<D::Mbuf>,
}

impl<D: Devices> core::fmt::Debug for Copier<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Copier").field("spare", &self.spare.len()).finish_non_exhaustive()
    }
}

impl<D: Devices> Copier<D> {
    /// Copies come from `pool`.
    pub fn new(pool: D::Pool) -> Self {
        Self { pool, spare: Burst::new() }
    }

    /// A copy in one segment; `None` when there is no buffer now.
    #[inline]
    fn copy(&mut self, frame: &D::Mbuf) -> Option<D::Mbuf> {
        if self.spare.is_empty() {
            self.pool.alloc_bulk(&mut self.spare);
        }
        let mut copy = self.spare.pop()?;
        copy.append(frame.len())?.copy_from_slice(frame.head());
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use engine::burst::BURST_MAX;
    use engine::sim::{Sim, SimMbuf, SimPool};

    use super::*;

    /// Frames of `[due, side]`, in a loop of 10 ticks.
    fn reel(pool: &SimPool, shots: &[(u64, u8)], end: ReelEnd) -> Reel<SimMbuf> {
        let mut reel = Reel::new(10.0, shots.len() as u64, end);
        for (number, &(due, side)) in (0..).zip(shots) {
            reel.add(pool.frame(&[number as u8; 20], 0), Cue { due, side, len: 20 }, number);
        }
        reel
    }

    const EVER: ReelEnd = ReelEnd { loops: u64::MAX, frames: u64::MAX, due: u64::MAX };

    fn sent(reel: &mut Reel<SimMbuf>, now: u64) -> Vec<(u64, u8)> {
        let mut tray = Tray::default();
        reel.take::<Sim>(now, &mut tray, None);
        let frames = tray.frames.frames().iter().map(|frame| frame.to_vec()[0]);
        tray.cues.iter().map(|cue| cue.due).zip(frames).collect()
    }

    #[test]
    fn a_loop_follows_the_other_and_ports_take_turns() {
        let pool = SimPool::new(2048, 100);
        let mut reel = reel(&pool, &[(0, 0), (4, 0), (4, 1)], EVER);
        assert_eq!(sent(&mut reel, 0), [(0, 0)]);
        assert_eq!(sent(&mut reel, 3), []);
        assert_eq!(sent(&mut reel, 14), [(4, 1)]);
        assert_eq!(sent(&mut reel, 14), [(4, 2)]);
        assert_eq!(sent(&mut reel, 14), [(10, 0), (14, 1)]);
        assert_eq!(reel.loops(), 1);
        assert_eq!(pool.in_use(), 3, "what was sent is given back");
    }

    #[test]
    fn each_end_ends_it() {
        let pool = SimPool::new(2048, 100);
        let all = |end| {
            let mut reel = reel(&pool, &[(0, 0), (4, 0), (5, 0)], end);
            let count = sent(&mut reel, 1_000).len();
            assert!(reel.is_over() || count == BURST_MAX);
            count
        };
        assert_eq!(all(ReelEnd { loops: 2, ..EVER }), 6);
        assert_eq!(all(ReelEnd { frames: 4, ..EVER }), 4);
        assert_eq!(all(ReelEnd { due: 14, ..EVER }), 4);
        assert_eq!(all(EVER), BURST_MAX);
    }

    #[test]
    fn copies_are_the_frames_of_another_pool() {
        let pool = SimPool::new(2048, 100);
        let copies = SimPool::new(2048, 64);
        let mut reel = reel(&pool, &[(0, 0), (0, 0)], ReelEnd { loops: 1, ..EVER });
        let (mut tray, mut copier) = (Tray::default(), Copier::<Sim>::new(copies.clone()));
        reel.take::<Sim>(0, &mut tray, Some(&mut copier));
        assert_eq!(tray.frames.frames()[1].to_vec(), [1; 20]);
        assert_eq!((tray.frames.len(), pool.in_use(), copies.in_use()), (2, 2, 64));
    }
}
