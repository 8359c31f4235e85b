//! The exception path of a tool port that DPDK owns: what comes in there is the kernel's, and what the
//! kernel says leaves there, so that addresses, neighbours, routes and whatever else speaks on that
//! network are the kernel's own affair.
//!
//! A worker has one end, a thread that reads and writes the kernel's interface has the other. Between
//! them are two bounded ways, one in each direction, of frames outside of packet memory:
//! - no packet buffer leaves the worker: all of them are back at the end, whatever the kernel does,
//!   and a frame that waits for the kernel holds none of the wire's;
//! - the thread may lose its core at any moment, and a worker must not wait for it. DPDK's rings, and so
//!   its pools, let others wait for a thread that was stopped in the middle of a call ("Known issues" of
//!   rings in DPDK's programmer's guide); here nobody waits: a place is either free or not.
//!
//! The price is one copy of each frame. There are few: the copies of a mirror do not come this way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::utils::CachePadded;

use crate::burst::Burst;
use crate::port::Mbuf;
use crate::units::PortIndex;

/// Frames that may wait for the kernel, which takes some hundred thousand a second.
pub const TO_KERNEL_MAX: usize = 512;
/// Frames of the kernel that may wait for the worker. More wait in the kernel's own queue.
pub const FROM_KERNEL_MAX: usize = 256;
/// Of the kernel's frames, so many are sent at once.
const SENT_AT_ONCE: usize = 32;

/// A place for a frame.
struct Place {
    bytes: Box<[u8]>,
    len: usize,
}

/// Frames on their way in one direction: a ring of places. Those from `taken` up to `given` are the taker's,
/// all others the giver's; the locks only say so to the compiler, none is ever waited for.
struct Way {
    places: Box<[Mutex<Place>]>,
    given: CachePadded<AtomicUsize>,
    taken: CachePadded<AtomicUsize>,
}

/// The end at which frames are given. There is one, which can't be copied.
struct Giver(Arc<Way>);

/// The end at which frames are taken. There is one, which can't be copied.
struct Taker(Arc<Way>);

/// Both ends of a way for so many frames of at most `len_max` bytes.
fn way(frames: usize, len_max: usize) -> (Giver, Taker) {
    // Written to, so that the memory is there before a worker needs it.
    let place = || Mutex::new(Place { bytes: vec![0xff; len_max].into(), len: 0 });
    let way = Arc::new(Way {
        places: (0..frames.max(1)).map(|_| place()).collect(),
        given: CachePadded::default(),
        taken: CachePadded::default(),
    });
    (Giver(Arc::clone(&way)), Taker(way))
}

impl Way {
    /// Frames that wait. Cost: two loads.
    #[inline]
    fn waiting(&self) -> usize {
        self.given.load(Ordering::Acquire).wrapping_sub(self.taken.load(Ordering::Acquire))
    }

    /// Looks into the place of a number, which is the caller's.
    #[inline]
    fn place<R>(&self, number: usize, look: impl FnOnce(&mut Place) -> R) -> Option<R> {
        // Never held by another: see `Way`.
        let mut place = self.places[number % self.places.len()].try_lock().ok()?;
        Some(look(&mut place))
    }
}

impl Giver {
    /// Places that are free.
    #[inline]
    fn room(&self) -> usize {
        self.0.places.len() - self.0.waiting()
    }

    /// Gives a frame: `fill` writes it and tells its length, or `None` for none. False (and no change)
    /// for none, and where there is no room.
    #[inline]
    fn give(&mut self, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if self.room() == 0 {
            return false;
        }
        let given = self.0.given.load(Ordering::Relaxed);
        let len = self.0.place(given, |place| {
            place.len = fill(&mut place.bytes)?.min(place.bytes.len());
            Some(())
        });
        let is_given = len.flatten().is_some();
        if is_given {
            self.0.given.store(given.wrapping_add(1), Ordering::Release);
        }
        is_given
    }
}

impl Taker {
    /// Takes the oldest frame; `None` (and no change) when there is none.
    #[inline]
    fn take<R>(&mut self, look: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if self.0.waiting() == 0 {
            return None;
        }
        let taken = self.0.taken.load(Ordering::Relaxed);
        let looked = self.0.place(taken, |place| look(&mut place.bytes[..place.len]));
        self.0.taken.store(taken.wrapping_add(1), Ordering::Release);
        looked
    }
}

/// The end of the worker that polls the tool port. Thread: that worker.
pub struct WorkerSide {
    port: PortIndex,
    to_kernel: Giver,
    from_kernel: Taker,
}

/// The end of the thread that serves the kernel's interface. Thread: that one.
pub struct KernelSide {
    to_kernel: Taker,
    from_kernel: Giver,
}

/// What became of the frames of a burst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HandedOver {
    /// They are on their way to the kernel.
    pub(crate) to_kernel: usize,
    /// They found no room.
    pub(crate) congested: usize,
    /// They are longer than the kernel's interface takes.
    pub(crate) too_long: usize,
}

/// Both ends of a tool port's exception path, for frames of at most `len_max` bytes.
pub fn exception(port: PortIndex, len_max: usize) -> (WorkerSide, KernelSide) {
    let (to_giver, to_taker) = way(TO_KERNEL_MAX, len_max);
    let (from_giver, from_taker) = way(FROM_KERNEL_MAX, len_max);
    (
        WorkerSide { port, to_kernel: to_giver, from_kernel: from_taker },
        KernelSide { to_kernel: to_taker, from_kernel: from_giver },
    )
}

impl core::fmt::Debug for WorkerSide {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WorkerSide").field("port", &self.port).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for KernelSide {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KernelSide").finish_non_exhaustive()
    }
}

impl WorkerSide {
    /// The tool port.
    pub fn port(&self) -> PortIndex {
        self.port
    }

    /// Hands a copy of each frame over to the kernel, in order. Cost: a copy of each frame that finds
    /// room, two loads for all others. No system call, no allocation, no waiting.
    pub(crate) fn hand_over<M: Mbuf>(&mut self, frames: &[M]) -> HandedOver {
        let mut handed = HandedOver::default();
        let mut room = self.to_kernel.room();
        for (at, frame) in frames.iter().enumerate() {
            if room == 0 {
                handed.congested = frames.len() - at;
                break;
            }
            if self.to_kernel.give(|place| copy_out(frame, place)) {
                handed.to_kernel += 1;
                room -= 1;
            } else {
                handed.too_long += 1;
            }
        }
        handed
    }

    /// True when the kernel has said nothing. Cost: two loads.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.from_kernel.0.waiting() == 0
    }

    /// Puts some frames of the kernel into buffers and adds them to `burst`, as far as it has room; returns
    /// how many found no buffer, or one that is too small.
    pub(crate) fn collect<M: Mbuf>(
        &mut self,
        burst: &mut Burst<M>,
        mut empty: impl FnMut() -> Option<M>,
    ) -> usize {
        let mut refused = 0;
        for _ in 0..SENT_AT_ONCE {
            if burst.is_full() {
                break;
            }
            let Some(frame) = self.from_kernel.take(|bytes| copy_in(bytes, &mut empty)) else {
                break;
            };
            match frame {
                // There is room: see above.
                Some(frame) => drop(burst.push(frame)),
                None => refused += 1,
            }
        }
        refused
    }
}

impl KernelSide {
    /// Takes the oldest frame that is meant for the kernel; `None` when there is none. `look` may
    /// change it.
    pub fn take<R>(&mut self, look: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.to_kernel.take(look)
    }

    /// Gives a frame of the kernel to the worker: `fill` writes it and tells its length, or `None` when
    /// there is none. False where none was given.
    pub fn give(&mut self, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        self.from_kernel.give(fill)
    }

    /// True when the worker has room for a frame.
    pub fn has_room(&self) -> bool {
        self.from_kernel.room() > 0
    }
}

fn copy_out<M: Mbuf>(frame: &M, place: &mut [u8]) -> Option<usize> {
    let place = place.get_mut(..frame.len())?;
    let mut at = 0;
    for segment in frame.segments() {
        place.get_mut(at..at + segment.len())?.copy_from_slice(segment);
        at += segment.len();
    }
    Some(at)
}

fn copy_in<M: Mbuf>(bytes: &[u8], empty: &mut impl FnMut() -> Option<M>) -> Option<M> {
    let mut frame = empty()?;
    frame.append(bytes.len())?.copy_from_slice(bytes);
    Some(frame)
}

#[cfg(test)]
mod tests;
