//! One receive queue for many workers: the worker that polls it gives each frame to the worker of its
//! flow, where no device does so (receive-side scaling).
//!
//! The worker is a part of the range of [`crate::flow_key::FlowKey::hash`]: both directions of a flow,
//! whichever queue they come by, and all fragments of a datagram have one worker, which sends them in
//! the order in which they came. As with receive-side scaling, fragments may have another worker than
//! the whole packets of their flow: only the first one shows ports. What is not IP stays with the worker
//! that received it: no session can want it, so it is sent on for less than a handover costs, and all of
//! it keeps its order.
//!
//! Frames gather in a burst for each worker. It is given when it is full, or as soon as that worker has
//! nothing else waiting: one that has time gets few frames at once, one that has none gets many. Where a
//! worker does not keep up, what finds no room ends; nobody waits.

use core::mem;

use crate::burst::{BURST_MAX, Burst};
use crate::flow_hash::HASH_BITS;
use crate::flow_key::NOT_IP;
use crate::handover::{Giver, Taker, handover};
use crate::keys::Keys;
use crate::port::Mbuf;
use crate::snapshot::Role;
use crate::units::PortIndex;

/// Frames for one worker.
struct Place<M> {
    burst: Box<Burst<M>>,
    /// When the first of them had been received, where that is measured.
    arrived: Option<u64>,
    /// The way to the worker; `None` for the one that spreads.
    giver: Option<Giver<M>>,
}

impl<M> Place<M> {
    /// Gives what has gathered; false when there is no room for it.
    #[inline]
    fn give(&mut self) -> bool {
        let Some(giver) = &mut self.giver else { return false };
        let is_given = giver.give(&mut self.burst, self.arrived);
        if is_given {
            self.arrived = None;
        }
        is_given
    }
}

/// What gives the frames of one receive queue to all workers. Thread: the worker that polls the queue.
pub struct Spreader<M> {
    /// By worker.
    places: Vec<Place<M>>,
    own: usize,
    /// Frames that found no room.
    refused: Box<Burst<M>>,
    /// Some frames may not be given yet.
    holds: bool,
}

/// What one worker gets of a queue that another one spreads.
#[derive(Debug)]
pub struct Share<M> {
    /// The port of the queue.
    pub port: PortIndex,
    /// What becomes of the frames.
    pub role: Role,
    /// Where they come from.
    pub taker: Taker<M>,
}

impl<M> core::fmt::Debug for Spreader<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Spreader")
            .field("workers", &self.places.len())
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl<M: Mbuf> Spreader<M> {
    /// For a queue that worker `own` of so many (at most 65,536) polls. For each other worker up to
    /// `bursts` bursts may wait; the other ends are returned by worker, none for `own`.
    pub fn new(workers: usize, own: usize, bursts: usize) -> (Self, Vec<Option<Taker<M>>>) {
        let ways = (0..workers.max(own + 1)).map(|at| (at != own).then(|| handover(bursts)));
        let (mut places, mut takers) = (Vec::new(), Vec::new());
        for way in ways {
            let (giver, taker) = way.unzip();
            places.push(Place { burst: Box::default(), arrived: None, giver });
            takers.push(taker);
        }
        (Self { places, own, refused: Box::default(), holds: false }, takers)
    }

    /// Takes the frames that belong to other workers out of `frames`, whose `keys` are by place;
    /// returns how many of them ended because their worker has too much already. `arrived`: when the frames had
    /// been received, where that is measured. Cost: no allocation, no lock, no clock.
    pub(crate) fn spread(
        &mut self,
        frames: &mut Box<Burst<M>>,
        keys: &Keys,
        arrived: Option<u64>,
    ) -> usize {
        let workers = self.workers(keys);
        for (frame, worker) in frames.storage_mut().drain(..).zip(workers) {
            let place = &mut self.places[usize::from(worker)];
            let Err(frame) = place.burst.push(frame) else { continue };
            let again = if place.give() { place.burst.push(frame) } else { Err(frame) };
            if let Err(frame) = again {
                // No more come at once than a burst holds: there is room.
                drop(self.refused.push(frame));
            }
        }
        mem::swap(frames, &mut self.places[self.own].burst);
        self.holds = true;
        if arrived.is_some() {
            for place in &mut self.places {
                place.arrived = place.arrived.or(arrived);
            }
        }
        let refused = self.refused.len();
        M::free_bulk(&mut self.refused);
        refused
    }

    /// The worker of each frame, by place.
    #[inline]
    fn workers(&self, keys: &Keys) -> [u16; BURST_MAX] {
        let (count, own) = (self.places.len() as u32, self.own as u16);
        let mut workers = [0; BURST_MAX];
        for (worker, class) in workers.iter_mut().zip(keys.class) {
            let of_flow = (((class >> 16) * count) >> HASH_BITS) as u16;
            *worker = if class & NOT_IP == 0 { of_flow } else { own };
        }
        workers
    }

    /// Gives what is due: full bursts, and all that has gathered for a worker that waits. To be called in every round,
    /// also when nothing has come. Cost while nothing has gathered: a load.
    #[inline]
    pub(crate) fn give_due(&mut self) {
        if !self.holds {
            return;
        }
        self.holds = false;
        for place in &mut self.places {
            if place.burst.is_empty() {
                place.arrived = None;
                continue;
            }
            let is_idle = place.giver.as_ref().is_some_and(Giver::is_idle);
            let is_given = (place.burst.is_full() || is_idle) && place.give();
            self.holds |= !is_given;
        }
    }

    /// The last call: gives all that has gathered; returns how many frames ended because their worker
    /// has too much already.
    pub(crate) fn close(&mut self) -> usize {
        let mut refused = 0;
        for place in &mut self.places {
            if !place.burst.is_empty() && !place.give() {
                refused += place.burst.len();
                M::free_bulk(&mut place.burst);
            }
        }
        self.holds = false;
        refused
    }
}
