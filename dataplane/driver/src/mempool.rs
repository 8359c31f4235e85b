//! Pools of packet buffers.

#![expect(unsafe_code, reason = "pools are DPDK's")]

use core::ptr::NonNull;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::burst::Burst;

use crate::eal::Eal;
use crate::error::{DriverError, words};
use crate::mbuf::Mbuf;

/// Bytes in front of a received frame: room for an outer header.
pub const HEADROOM: u16 = dpdk_sys::LT_PKTMBUF_HEADROOM;
/// Buffers that each thread keeps for itself, so that it seldom meets the others.
pub const CACHE: u32 =
    if dpdk_sys::LT_MEMPOOL_CACHE_MAX < 256 { dpdk_sys::LT_MEMPOOL_CACHE_MAX } else { 256 };
/// What a buffer takes beside its data room: the mbuf, the pool's header, padding.
const OVERHEAD_BYTES: u64 = 128 + 64 + 192;

/// What a pool shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlan {
    /// Its name in reports.
    pub name: String,
    /// Number of buffers.
    pub buffers: u32,
    /// Bytes of each, headroom included.
    pub data_room: u16,
    /// NUMA node, or −1 for any.
    pub socket: i32,
    /// A driver receives into it that keeps some buffers for good, also when its port is closed.
    pub is_lossy: bool,
}

impl PoolPlan {
    /// The memory it takes, in bytes, rounded up.
    pub fn bytes(&self) -> u64 {
        let data_room = u64::from(self.data_room).next_multiple_of(64);
        u64::from(self.buffers) * (data_room + OVERHEAD_BYTES)
    }
}

/// A handle to a pool. Every worker that takes from a pool has its own.
///
/// Dropping it frees nothing: buffers carry no count of their pool, so that no type proves a pool
/// unused. The pools of what could not be started are given back by [`free_pools`]; all others live
/// until the process ends.
#[derive(Debug)]
pub struct Mempool {
    pool: NonNull<dpdk_sys::rte_mempool>,
    plan: Arc<PoolPlan>,
}

// SAFETY: rte_mempool is made for use by several threads at once ("Mempool Library" in DPDK's
// programmer's guide: per-lcore caches over a multi-producer, multi-consumer ring).
unsafe impl Send for Mempool {}

impl Mempool {
    /// Makes a pool. Errors: no memory.
    pub fn create(_eal: &Eal, plan: PoolPlan) -> Result<Self, DriverError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // DPDK limits names to 25 bytes and wants them unique; ours is for people.
        let name = format!("linetap_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).unwrap_or_default();
        // A cache of more than two thirds of the pool would be refused.
        let cache = CACHE.min(plan.buffers / 2);
        // SAFETY: the EAL runs (`_eal`), the name is a C string that DPDK copies.
        let pool = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                name.as_ptr(),
                plan.buffers,
                cache,
                0,
                plan.data_room,
                plan.socket,
            )
        };
        match NonNull::new(pool) {
            Some(pool) => Ok(Self { pool, plan: Arc::new(plan) }),
            None => Err(DriverError::Pool {
                // SAFETY: reads a number of the calling thread.
                cause: words(unsafe { dpdk_sys::lt_errno() }),
                buffers: plan.buffers,
                mib: plan.bytes() >> 20,
                pool: plan.name,
            }),
        }
    }

    /// Another handle to the same pool, for another thread.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self { pool: self.pool, plan: Arc::clone(&self.plan) }
    }

    /// What it was made as.
    pub fn plan(&self) -> &PoolPlan {
        &self.plan
    }

    /// Buffers not in the pool now. Exact while nobody takes or gives any. Cost: one step per
    /// thread that DPDK can have (128).
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is not freed while there is a handle to it.
        let available = unsafe { dpdk_sys::rte_mempool_avail_count(self.pool.as_ptr()) };
        self.plan.buffers.saturating_sub(available)
    }

    /// For a port that fills its receive rings from here.
    pub(crate) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.pool.as_ptr()
    }
}

/// Gives pools back to DPDK's memory, each that has all its buffers and no other handle; what can't
/// be given back is counted by `eal`.
///
/// # Safety
/// - No other thread has a handle to one of the pools or a buffer of one, or drops one meanwhile.
/// - The ports that receive into them are closed.
pub unsafe fn free_pools(eal: &Eal, pools: Vec<Mempool>) {
    for mut pool in pools {
        let (missing, is_last) = (pool.in_use(), Arc::get_mut(&mut pool.plan).is_some());
        if missing > 0 || !is_last {
            log::warn!("packet pool {}: {missing} buffers did not come back", pool.plan.name);
            eal.lose_pool();
            continue;
        }
        // SAFETY: made by `create`, and this is its last handle; all its buffers are in it, its
        // ports are closed, and no thread is about to touch it (the caller says so).
        unsafe { dpdk_sys::rte_mempool_free(pool.pool.as_ptr()) };
    }
}

impl engine::port::Mempool for Mempool {
    type Mbuf = Mbuf;

    #[inline]
    fn alloc_bulk(&mut self, burst: &mut Burst<Mbuf>) -> usize {
        let frames = burst.storage_mut();
        let (held, room) = (frames.len(), frames.remaining_capacity());
        let count = u32::try_from(room).unwrap_or(0);
        // SAFETY: `held` is within the array.
        let spare = unsafe { frames.as_mut_ptr().add(held) }.cast();
        // SAFETY: the pool is not freed while there is a handle to it; `spare` has room for `count`
        // pointers, and `Mbuf` is `repr(transparent)` over one.
        if unsafe { dpdk_sys::lt_alloc_bulk(self.pool.as_ptr(), spare, count) } != 0 {
            return 0;
        }
        // SAFETY: all `room` elements behind `held` were just written, each an owned buffer.
        unsafe { frames.set_len(held + room) };
        room
    }

    #[inline]
    fn available(&self) -> usize {
        // SAFETY: the pool is not freed while there is a handle to it.
        let available = unsafe { dpdk_sys::lt_available(self.pool.as_ptr()) };
        usize::try_from(available).unwrap_or(0)
    }

    fn data_room(&self) -> usize {
        self.plan.data_room.saturating_sub(HEADROOM).into()
    }
}
