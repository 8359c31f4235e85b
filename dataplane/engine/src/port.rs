//! The seam between packet logic and hardware: what the engine needs of buffers and queues.
//!
//! `driver` implements these traits over DPDK, [`crate::sim`] over capture files and injected
//! faults. Queues and pools belong to one worker; nothing here is shared between threads.

use core::fmt::Debug;
use core::time::Duration;

use crate::burst::Burst;

/// An owned packet buffer: one frame from the Ethernet header on, in one or more segments.
/// Dropping it gives it back to its pool.
pub trait Mbuf: Sized + Debug {
    /// Length of the frame over all segments, in bytes.
    fn len(&self) -> usize;

    /// True when the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the first segment. A frame in one segment is all here.
    fn head(&self) -> &[u8];

    /// The bytes of the first segment, to be changed in place.
    fn head_mut(&mut self) -> &mut [u8];

    /// The segments in order, [`Mbuf::head`] first.
    fn segments(&self) -> impl Iterator<Item = &[u8]>;

    /// True when the whole frame is in [`Mbuf::head`].
    fn is_contiguous(&self) -> bool {
        self.head().len() == self.len()
    }

    /// Grows the frame by `len` bytes of unspecified content in front and returns them,
    /// or `None` (and no change) when the headroom is smaller.
    fn prepend(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Grows the frame by `len` bytes of unspecified content at the end of its last segment and
    /// returns them, or `None` (and no change) when the tailroom is smaller.
    fn append(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Removes `len` bytes from the front. The caller keeps `len` within [`Mbuf::head`]; false (and
    /// no change) when it is not.
    fn trim_front(&mut self, len: usize) -> bool;

    /// Keeps the first `len` bytes; no change when the frame is not longer.
    fn truncate(&mut self, len: usize);

    /// Hangs the bytes of `frame` behind this frame without copying them: both hold its buffers
    /// from then on, and the last one gives them back. False (and no change) when the chain would have
    /// too many segments or bytes. What is held twice can't be changed: [`Mbuf::head_mut`] is empty,
    /// and what would move an end of it fails.
    fn share(&mut self, frame: &mut Self) -> bool;

    /// The same frame once more, without copying it: both are it from then on, as with [`Mbuf::share`].
    #[must_use]
    fn again(&mut self) -> Self;

    /// Has a device that can ([`TxQueue::device_time`]) send the frame at that time of its clock. False (and no change)
    /// where buffers carry no such time, or somebody else holds the frame too.
    fn send_at(&mut self, _device_time: u64) -> bool {
        false
    }

    /// When the frame was captured, in nanoseconds, where it tells: frames of most devices do not, and came
    /// when they were received.
    #[inline]
    fn time_ns(&self) -> Option<u64> {
        None
    }

    /// Takes over what travels beside the bytes (the capture timestamp) from the frame that caused
    /// this one.
    fn inherit(&mut self, _cause: &Self) {}

    /// Frees all buffers of a burst at once.
    fn free_bulk<const N: usize>(burst: &mut Burst<Self, N>) {
        burst.clear();
    }
}

/// A receive queue, polled by the one worker that owns it.
pub trait RxQueue {
    /// The buffers it delivers.
    type Mbuf: Mbuf;

    /// Appends what has arrived to `burst`, up to its capacity; returns the number of new frames.
    /// Never waits.
    fn recv(&mut self, burst: &mut Burst<Self::Mbuf>) -> usize;

    /// Its number among the receive queues of its port.
    fn number(&self) -> u16 {
        0
    }

    /// Frames that wait to be received, where the device can tell. Not for every round: it may ask
    /// the device.
    fn waiting(&self) -> Option<u32> {
        None
    }

    /// Frames that it can hold; 0 where that is not known.
    fn room(&self) -> u32 {
        0
    }

    /// Whether at least `count` frames wait, where the device can tell. For full bursts: it looks at one
    /// descriptor.
    fn holds(&self, _count: u32) -> Option<bool> {
        None
    }
}

/// A transmit queue, used by the one worker that owns it.
pub trait TxQueue {
    /// The buffers it takes.
    type Mbuf: Mbuf;

    /// Gives frames to the device in order and removes exactly the accepted ones, a prefix, from
    /// `burst`; returns their number. What stays is still the caller's. Never waits.
    fn send<const N: usize>(&mut self, burst: &mut Burst<Self::Mbuf, N>) -> usize;

    /// True when frames of several segments may be sent on this queue.
    fn takes_chains(&self) -> bool;

    /// True when frames that somebody else holds too ([`Mbuf::share`]) may be sent on this queue.
    fn takes_shared(&self) -> bool;

    /// What the device's clock says, in its own units, where it sends frames at times that they are given
    /// ([`Mbuf::send_at`]). Not for every burst: it asks the device.
    fn device_time(&self) -> Option<u64> {
        None
    }

    /// Its number among the transmit queues of its port.
    fn number(&self) -> u16 {
        0
    }
}

/// A pool of empty buffers of one size.
pub trait Mempool {
    /// The buffers it holds.
    type Mbuf: Mbuf;

    /// Fills `burst` up to its capacity with empty buffers; all or none. Returns how many were added.
    fn alloc_bulk(&mut self, burst: &mut Burst<Self::Mbuf>) -> usize;

    /// How many buffers are surely in the pool; there may be more. Cost: a few loads.
    fn available(&self) -> usize;

    /// The most bytes that one buffer can hold behind its headroom.
    fn data_room(&self) -> usize;
}

/// The time by which a worker measures, and rests. Ticks are of one frequency and never go back on a
/// core.
pub trait Clock {
    /// Ticks since some time in the past. Cost: some tens of cycles.
    fn now() -> u64;

    /// Ticks per second; not 0.
    fn hz() -> u64;

    /// A moment in which a core takes less power and leaves more to its sibling.
    fn pause();

    /// Gives the core away for about so long.
    fn sleep(time: Duration);
}

/// One family of devices: what a [`crate::worker::Worker`] is generic over.
pub trait Devices {
    /// The buffers that all the family's queues carry.
    type Mbuf: Mbuf;
    /// The family's receive queue.
    type Rx: RxQueue<Mbuf = Self::Mbuf>;
    /// The family's transmit queue.
    type Tx: TxQueue<Mbuf = Self::Mbuf>;
    /// The family's pool of copies.
    type Pool: Mempool<Mbuf = Self::Mbuf>;
    /// The family's time.
    type Clock: Clock;
}
