//! Receive and transmit queues: what a worker polls.

#![expect(unsafe_code, reason = "bursts go through DPDK's function tables")]

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;
use std::sync::Arc;

use engine::burst::Burst;

use crate::handle::Handle;
use crate::mbuf::Mbuf;

/// One receive queue of a running port; there is one handle per queue.
///
/// It keeps its port running: the port stops when all its queues and its control are gone.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    descriptors: u16,
    _running: Arc<Handle>,
    _one_thread: PhantomData<Cell<()>>,
}

/// One transmit queue of a running port; there is one handle per queue.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    takes_chains: bool,
    takes_shared: bool,
    is_timed: bool,
    _running: Arc<Handle>,
    _one_thread: PhantomData<Cell<()>>,
}

impl RxQueue {
    pub(crate) fn new(running: &Arc<Handle>, queue: u16, descriptors: u16) -> Self {
        let (port, running) = (running.port, Arc::clone(running));
        Self { port, queue, descriptors, _running: running, _one_thread: PhantomData }
    }
}

impl TxQueue {
    pub(crate) fn new(
        running: &Arc<Handle>,
        queue: u16,
        takes_chains: bool,
        takes_shared: bool,
        is_timed: bool,
    ) -> Self {
        let (port, running) = (running.port, Arc::clone(running));
        Self {
            port,
            queue,
            takes_chains,
            takes_shared,
            is_timed,
            _running: running,
            _one_thread: PhantomData,
        }
    }
}

impl TxQueue {
    /// Gives back the buffers of frames that have left; `None` where the device can't be asked to. Cost: may ask the
    /// device.
    pub fn clean(&mut self) -> Option<u32> {
        // SAFETY: the queue was set up, its port runs, and nobody else sends on it (see `send`).
        let freed = unsafe { dpdk_sys::rte_eth_tx_done_cleanup(self.port, self.queue, 0) };
        u32::try_from(freed).ok()
    }
}

impl engine::port::RxQueue for RxQueue {
    type Mbuf = Mbuf;

    /// Some drivers receive in groups of four or eight: a burst with less room may stay as it is.
    #[inline]
    fn recv(&mut self, burst: &mut Burst<Mbuf>) -> usize {
        let frames = burst.storage_mut();
        let (held, room) = (frames.len(), frames.remaining_capacity());
        let count = u16::try_from(room).unwrap_or(u16::MAX);
        // SAFETY: `held` is within the array.
        let spare = unsafe { frames.as_mut_ptr().add(held) }.cast();
        // SAFETY: the queue was set up, its port runs (`_running`), and nobody else polls it: one
        // handle per queue, not `Sync`. `spare` has room for `count` pointers.
        let received = unsafe { dpdk_sys::lt_rx_burst(self.port, self.queue, spare, count) };
        // SAFETY: DPDK wrote that many owned chains, at most `count`, and `Mbuf` is
        // `repr(transparent)` over the pointer to one.
        unsafe { frames.set_len(held + usize::from(received)) };
        received.into()
    }

    fn number(&self) -> u16 {
        self.queue
    }

    /// Few virtual devices can tell.
    fn waiting(&self) -> Option<u32> {
        // SAFETY: the queue was set up and its port runs. The call belongs to the data path, which
        // one thread at a time may use: the one that polls, since this handle is not `Sync`.
        let count = unsafe { dpdk_sys::lt_rx_queue_count(self.port, self.queue) };
        u32::try_from(count).ok()
    }

    fn room(&self) -> u32 {
        self.descriptors.into()
    }

    /// By `rte_eth_rx_descriptor_status`, which looks at one descriptor; where there is none, by
    /// [`RxQueue::waiting`].
    #[inline]
    fn holds(&self, count: u32) -> Option<bool> {
        let offset = u16::try_from(count).ok()?.checked_sub(1)?;
        // SAFETY: as in `waiting`; an offset beyond the ring is an error.
        let status = unsafe { dpdk_sys::lt_rx_descriptor_status(self.port, self.queue, offset) };
        match u32::try_from(status) {
            Ok(status) => Some(status == dpdk_sys::LT_RX_DESC_DONE),
            Err(_) => self.waiting().map(|waiting| waiting >= count),
        }
    }
}

impl engine::port::TxQueue for TxQueue {
    type Mbuf = Mbuf;

    #[inline]
    fn send<const N: usize>(&mut self, burst: &mut Burst<Mbuf, N>) -> usize {
        let frames = burst.storage_mut();
        let held = frames.len();
        let count = u16::try_from(held).unwrap_or(u16::MAX);
        let first = frames.as_mut_ptr();
        // SAFETY: the queue was set up, its port runs, nobody else sends on it (see `recv`); `first`
        // points to `count` chains that the burst owns.
        let taken = unsafe { dpdk_sys::lt_tx_burst(self.port, self.queue, first.cast(), count) };
        let (taken, left) = (usize::from(taken), held.saturating_sub(taken.into()));
        // SAFETY: no longer than before; the handles in front are written over or out of reach
        // after this, never dropped: DPDK owns those chains now.
        unsafe { frames.set_len(left) };
        if left > 0 {
            // SAFETY: `taken <= held`, within the array.
            let rest = unsafe { first.add(taken) };
            // SAFETY: `left` handles from `taken` on are initialised and inside the array.
            unsafe { ptr::copy(rest, first, left) };
        }
        taken
    }

    #[inline]
    fn takes_chains(&self) -> bool {
        self.takes_chains
    }

    #[inline]
    fn takes_shared(&self) -> bool {
        self.takes_shared
    }

    fn device_time(&self) -> Option<u64> {
        if !self.is_timed {
            return None;
        }
        let mut time = 0;
        // SAFETY: the port is open; the time is written when the call succeeds.
        let status = unsafe { dpdk_sys::rte_eth_read_clock(self.port, &raw mut time) };
        (status == 0).then_some(time)
    }

    fn number(&self) -> u16 {
        self.queue
    }
}
