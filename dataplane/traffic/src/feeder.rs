//! From a [`Player`] into buffers, ahead of the workers that send them.

use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use engine::port::{Clock, Mempool};
use engine::ticks::Scale;

use crate::buffers::{Buffers, Lack};
use crate::kept::Kept;
use crate::pace::Pace;
use crate::player::{Played, Player};
use crate::supply::{Giver, Slot};

/// How long is waited for a worker to go on, or for buffers to come back.
const NAP: Duration = Duration::from_micros(50);

/// How far a feeder is, for others.
#[derive(Debug, Default)]
pub struct Fed {
    /// The workers have all that there is room for, or all that there is.
    is_primed: AtomicBool,
    /// Frames read.
    frames: AtomicU64,
    /// Frames of the first loop, once it has ended.
    loop_frames: AtomicU64,
    /// Frames that no buffer holds.
    too_long: AtomicU64,
}

/// Reads ahead. Thread: one of its own, which DPDK knows.
#[derive(Debug)]
pub struct Feeder<P: Mempool> {
    player: Player,
    buffers: Buffers<P>,
    /// By worker.
    givers: Vec<Giver<P::Mbuf>>,
}

impl Fed {
    /// The workers may start.
    pub fn is_primed(&self) -> bool {
        self.is_primed.load(Ordering::Acquire)
    }

    /// Frames read.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Frames of a loop, where one has ended.
    pub fn loop_frames(&self) -> Option<u64> {
        Some(self.loop_frames.load(Ordering::Relaxed)).filter(|frames| *frames > 0)
    }

    /// Frames that no buffer holds, and that were not sent.
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Ordering::Relaxed)
    }

    fn count(&self, loop_number: u64) {
        if loop_number > 0 && self.loop_frames.load(Ordering::Relaxed) == 0 {
            self.loop_frames.store(self.frames(), Ordering::Relaxed);
        }
        self.frames.store(self.frames() + 1, Ordering::Relaxed);
    }
}

impl<P: Mempool> Feeder<P> {
    /// A feeder of these workers.
    pub fn new(player: Player, pool: P, givers: Vec<Giver<P::Mbuf>>) -> Self {
        Self { player, buffers: Buffers::new(pool), givers }
    }

    /// Reads all, no faster than it is sent, until the end. Returns what was wrong with captures, a sentence each.
    pub fn run<C: Clock>(mut self, pace: &Pace, fed: &Fed) -> Vec<String> {
        let scale = Scale::new(C::hz());
        while !pace.is_stopped() && self.player.advance() {
            let played = self.player.frame();
            fed.count(played.loop_number);
            let worker = played.flow as usize % self.givers.len().max(1);
            let mut waited = Waited { has_flushed: false, pace, fed };
            let has_room = self.givers.get_mut(worker).is_some_and(Giver::has_room);
            if !has_room {
                waited.wait_for_room::<C, _>(&mut self.givers, worker);
            }
            let frame = loop {
                match self.buffers.filled(iter::once(played.bytes)) {
                    Err(Lack::Buffers) if !pace.is_stopped() => {
                        waited.rest::<C, _>(&mut self.givers);
                    }
                    copied => break copied,
                }
            };
            match frame {
                Ok(frame) => {
                    let slot = slot(&played, scale);
                    let Some(giver) = self.givers.get_mut(worker) else { break };
                    if giver.push(frame, slot) {
                        // Nothing waits here for the others to have as much.
                        self.givers.iter_mut().for_each(Giver::flush);
                    } else if giver.is_idle() {
                        // Of a pipe nobody knows when the next one comes.
                        giver.flush();
                    }
                }
                Err(Lack::Room) => _ = fed.too_long.fetch_add(1, Ordering::Relaxed),
                Err(Lack::Buffers) => break,
            }
        }
        if fed.loop_frames().is_none() && !pace.is_stopped() {
            fed.loop_frames.store(fed.frames(), Ordering::Relaxed);
        }
        let faults = self.player.faults().to_vec();
        drop(self.givers);
        fed.is_primed.store(true, Ordering::Release);
        faults
    }
}

/// Waiting on the way.
struct Waited<'a> {
    has_flushed: bool,
    pace: &'a Pace,
    fed: &'a Fed,
}

impl Waited<'_> {
    #[cold]
    fn wait_for_room<C: Clock, M>(&mut self, givers: &mut [Giver<M>], worker: usize) {
        while !self.pace.is_stopped() {
            if givers.get_mut(worker).is_none_or(Giver::has_room) {
                return;
            }
            self.rest::<C, M>(givers);
        }
    }

    #[cold]
    fn rest<C: Clock, M>(&mut self, givers: &mut [Giver<M>]) {
        if !self.has_flushed {
            self.has_flushed = true;
            givers.iter_mut().for_each(Giver::flush);
            self.fed.is_primed.store(true, Ordering::Release);
        }
        C::sleep(NAP);
    }
}

/// Puts the frames of one loop into memory, each to its worker. Returns what was wrong, a sentence each. Errors: there
/// are not as many buffers.
pub fn keep<P: Mempool, C: Clock>(
    mut player: Player,
    pool: P,
    workers: &mut [Kept<P>],
    pace: &Pace,
    fed: &Fed,
) -> Result<Vec<String>, Vec<String>> {
    let (scale, mut buffers) = (Scale::new(C::hz()), Buffers::new(pool));
    let mut number = 0;
    while !pace.is_stopped() && player.advance() {
        let played = player.frame();
        if played.loop_number > 0 {
            break;
        }
        fed.count(0);
        let worker = played.flow as usize % workers.len().max(1);
        let slot = slot(&played, scale);
        match buffers.filled(iter::once(played.bytes)) {
            Ok(frame) => {
                let Some(worker) = workers.get_mut(worker) else { break };
                worker.push(frame, slot, number);
            }
            Err(Lack::Room) => _ = fed.too_long.fetch_add(1, Ordering::Relaxed),
            Err(Lack::Buffers) => {
                return Err(vec![format!(
                    "the capture does not fit into memory as it should: no buffer for frame {}",
                    number + 1
                )]);
            }
        }
        number += 1;
    }
    fed.loop_frames.store(fed.frames(), Ordering::Relaxed);
    fed.is_primed.store(true, Ordering::Release);
    Ok(player.faults().to_vec())
}

#[inline]
fn slot(played: &Played<'_>, scale: Scale) -> Slot {
    let due = if played.due_ns == 0 { 0 } else { scale.ticks(played.due_ns) };
    Slot { due, side: u8::from(played.side != 0) }
}
