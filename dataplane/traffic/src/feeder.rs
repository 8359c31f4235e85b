//! From captures to workers: frames are read, put into buffers, and given to the worker of their flow.

use engine::burst::Burst;
use engine::port::{Mbuf, Mempool};
use engine::ticks::Scale;

use crate::player::{Played, Player};
use crate::reel::Reel;
use crate::tray::{Cue, Giver, Tray};

/// Bits of [`Played::flow`].
const FLOW_BITS: u32 = 14;

/// What a step of a feeder came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A frame is on its way.
    Fed,
    /// A worker has no room for more, or no buffer is empty: later.
    Full,
    /// Everything has been given.
    Over,
}

/// Feeds workers while they send. Thread: one of its own.
#[derive(Debug)]
pub struct Feeder<P: Mempool> {
    player: Player,
    pool: P,
    spare: Burst<P::Mbuf>,
    scale: Scale,
    /// By worker.
    places: Vec<Place<P::Mbuf>>,
    /// The player's frame has not been put anywhere yet.
    has_frame: bool,
    /// Frames that fit no buffer.
    too_long: u64,
    loops: u64,
}

#[derive(Debug)]
struct Place<M> {
    giver: Giver<M>,
    tray: Box<Tray<M>>,
}

/// What a feeder leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// Frames that fit no buffer.
    pub too_long: u64,
    /// Loops that were given whole.
    pub loops: u64,
    /// The faults of captures, a sentence each.
    pub faults: Vec<String>,
}

impl<P: Mempool> Feeder<P> {
    /// A feeder of these workers, whose clock has that scale.
    pub fn new(player: Player, pool: P, givers: Vec<Giver<P::Mbuf>>, scale: Scale) -> Self {
        let place = |giver| Place { giver, tray: Box::default() };
        let places = givers.into_iter().map(place).collect();
        let spare = Burst::new();
        Self { player, pool, spare, scale, places, has_frame: false, too_long: 0, loops: 0 }
    }

    /// Puts one frame on its way.
    #[inline]
    pub fn step(&mut self) -> Step {
        if !self.has_frame && !self.player.advance() {
            return self.give_rest();
        }
        self.has_frame = true;
        let played = self.player.frame();
        let at = worker_of(played.flow, self.places.len());
        let Some(place) = self.places.get_mut(at) else { return Step::Over };
        if place.tray.frames.is_full() && !place.giver.give(&mut place.tray) {
            return Step::Full;
        }
        if self.spare.is_empty() && self.pool.alloc_bulk(&mut self.spare) == 0 {
            return Step::Full;
        }
        self.has_frame = false;
        self.loops = played.loop_number;
        let Some(frame) = self.spare.pop() else { return Step::Full };
        match filled(frame, &played) {
            Some(frame) => {
                let cue = cue(&played, self.scale);
                if place.tray.frames.push(frame).is_ok() {
                    place.tray.cues.push(cue);
                }
            }
            None => self.too_long += 1,
        }
        // One that has nothing else waiting gets little at once.
        if place.giver.is_idle() && !place.tray.cues.is_empty() {
            place.giver.give(&mut place.tray);
        }
        Step::Fed
    }

    /// Gives what is left.
    fn give_rest(&mut self) -> Step {
        for Place { giver, tray } in &mut self.places {
            if !tray.cues.is_empty() && !giver.give(tray) {
                return Step::Full;
            }
            giver.end();
        }
        Step::Over
    }

    /// True when every worker has as much as may wait.
    pub fn is_ahead(&self) -> bool {
        self.places.iter().any(|place| place.giver.is_full())
    }

    /// Ends it.
    pub fn finish(self) -> Fed {
        for place in &self.places {
            place.giver.end();
        }
        let faults = self.player.faults().to_vec();
        Fed { too_long: self.too_long, loops: self.loops, faults }
    }
}

/// Puts a whole loop into memory, each frame onto the reel of its worker. Returns frames that fit no buffer. Errors: no
/// buffer is left.
pub fn load<P: Mempool>(
    player: &mut Player,
    pool: &mut P,
    reels: &mut [Reel<P::Mbuf>],
    scale: Scale,
) -> Result<u64, NoBuffer> {
    let (mut spare, mut too_long) = (Burst::new(), 0);
    for number in 0.. {
        if !player.advance() {
            break;
        }
        if spare.is_empty() && pool.alloc_bulk(&mut spare) == 0 {
            return Err(NoBuffer);
        }
        let played = player.frame();
        let frame = spare.pop().and_then(|frame| filled(frame, &played));
        let Some(reel) = reels.get_mut(worker_of(played.flow, reels.len())) else { break };
        match frame {
            Some(frame) => reel.add(frame, cue(&played, scale), number),
            None => too_long += 1,
        }
    }
    Ok(too_long)
}

/// All buffers are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBuffer;

/// The worker of a flow.
fn worker_of(flow: u32, workers: usize) -> usize {
    (flow as usize * workers) >> FLOW_BITS
}

fn cue(played: &Played<'_>, scale: Scale) -> Cue {
    let len = u32::try_from(played.bytes.len()).unwrap_or(u32::MAX);
    Cue { due: scale.ticks(played.due_ns), len, side: played.side as u8 }
}

/// The frame in a buffer; `None` where it does not fit.
fn filled<M: Mbuf>(mut frame: M, played: &Played<'_>) -> Option<M> {
    frame.append(played.bytes.len())?.copy_from_slice(played.bytes);
    Some(frame)
}
