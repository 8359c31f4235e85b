//! An owned packet buffer of DPDK. The only file that reads the fields of `struct rte_mbuf`.

#![expect(unsafe_code, reason = "the fields and the bytes of a packet buffer are DPDK's memory")]

use core::fmt;
use core::hint;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicU16, Ordering};

use dpdk_sys::rte_mbuf;
use engine::burst::Burst;

use crate::timestamps;

/// One frame in one or more segments, owned: dropping it gives every segment back to its pool.
///
/// Invariant, on which each `unsafe` block here rests: the pointer is to the first segment of a
/// chain of valid mbufs that DPDK handed over (by a receive burst or an allocation) and that nobody
/// else writes; nobody else reads one either whose `refcnt` is 1, and one that is held more often
/// ([`Mbuf::share`]) is only read, but for the count itself, which is atomic then;
/// `buf_addr + data_off .. + data_len` lies inside each segment's memory; `nb_segs` and `pkt_len` of
/// the first segment are those of the chain. A pool is freed only with all its buffers in it
/// ([`crate::free_pools`]), so the memory outlasts the handle.
#[must_use = "dropping a frame frees it"]
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: an mbuf belongs to no thread: DPDK passes them between lcores, and `Mbuf` is the only
// handle to its chain.
unsafe impl Send for Mbuf {}

impl Mbuf {
    #[inline]
    fn raw(&self) -> &rte_mbuf {
        // SAFETY: valid and not written by others while `self` lives (the type's invariant).
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut rte_mbuf {
        // SAFETY: valid, and `self` is the only handle (the type's invariant).
        unsafe { self.0.as_mut() }
    }

    /// The last segment of the frame. Cost: one step per segment.
    #[inline]
    fn last_mut(&mut self) -> &mut rte_mbuf {
        // Known from the first cache line; the pointer to the next segment is in the second.
        if self.raw().nb_segs == 1 {
            return self.raw_mut();
        }
        let mut segment = self.0;
        loop {
            // SAFETY: `segment` is in the chain that `self` owns.
            let next = unsafe { segment.as_ref() }.next;
            match NonNull::new(next) {
                Some(next) => segment = next,
                // SAFETY: as above; the borrow of `self` keeps every other handle away.
                None => return unsafe { segment.as_mut() },
            }
        }
    }

    /// The first segment, to be changed; `None` while somebody else holds it too.
    #[inline]
    fn own_mut(&mut self) -> Option<&mut rte_mbuf> {
        let raw = self.raw_mut();
        (raw.refcnt == 1).then_some(raw)
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.raw().nb_segs.into()
    }

    /// Hangs `tail` behind this frame, and gives it back when the chain would have too many
    /// segments or bytes. Cost: one step per segment of `self`.
    pub fn chain(&mut self, tail: Self) -> Result<(), Self> {
        let first = tail.0;
        if self.hang(first) {
            // Now the segments are this frame's.
            let _ = ManuallyDrop::new(tail);
            Ok(())
        } else {
            Err(tail)
        }
    }

    /// Hangs a chain that the caller holds behind this one; false (and no change) when there would be
    /// too many segments or bytes, or somebody else holds an end that would have to be changed.
    fn hang(&mut self, tail: NonNull<rte_mbuf>) -> bool {
        // SAFETY: a valid chain, by the callers: that of another handle which they have.
        let added = unsafe { tail.as_ref() };
        let segments = self.raw().nb_segs.checked_add(added.nb_segs);
        let len = self.raw().pkt_len.checked_add(added.pkt_len);
        let (Some(segments), Some(len)) = (segments, len) else { return false };
        if self.own_mut().is_none() || self.last_mut().refcnt != 1 {
            return false;
        }
        self.last_mut().next = tail.as_ptr();
        let first = self.raw_mut();
        first.nb_segs = segments;
        first.pkt_len = len;
        true
    }

    /// Counts one more holder of each segment.
    #[inline]
    fn hold_again(&mut self) {
        // As in `last_mut`: the second cache line is not touched without need.
        let is_contiguous = self.raw().nb_segs == 1;
        let mut segment = Some(self.0);
        while let Some(mut held) = segment {
            // SAFETY: `held` is in the chain that `self` holds.
            let raw = unsafe { held.as_mut() };
            if raw.refcnt == 1 {
                // Nobody else looks at it (as in rte_mbuf_refcnt_update).
                raw.refcnt = 2;
            } else {
                // SAFETY: aligned and valid; while there are several holders all use atomics.
                let count = unsafe { AtomicU16::from_ptr(&raw mut raw.refcnt) };
                count.fetch_add(1, Ordering::AcqRel);
            }
            segment = if is_contiguous { None } else { NonNull::new(raw.next) };
        }
    }

    /// `append` where the last segment is not the first.
    #[cold]
    fn append_to_chain(&mut self, len: u16) -> Option<&mut [u8]> {
        let total = self.own_mut()?.pkt_len.checked_add(len.into())?;
        let last = self.last_mut();
        if last.refcnt != 1 {
            return None;
        }
        let place = grow(last, len)?;
        self.raw_mut().pkt_len = total;
        Some(bytes_mut(self.last_mut(), place, len))
    }

    /// Frees the segments behind `kept`, the last of `count` that stay.
    fn cut_after(&mut self, mut kept: NonNull<rte_mbuf>, count: u16) {
        // SAFETY: `kept` is in the chain that `self` owns (the caller walked there).
        let rest = core::mem::replace(&mut unsafe { kept.as_mut() }.next, core::ptr::null_mut());
        self.raw_mut().nb_segs = count;
        free_chains(&mut [rest]);
    }
}

/// The bytes of one segment.
#[inline]
fn bytes(segment: &rte_mbuf) -> &[u8] {
    let start = segment.buf_addr.cast::<u8>().wrapping_add(segment.data_off.into());
    // SAFETY: inside the segment's memory by the invariant of `Mbuf`; mapped zeroed by the EAL, so
    // never uninitialised; borrowed from the segment, so nobody writes meanwhile.
    unsafe { slice::from_raw_parts(start, segment.data_len.into()) }
}

/// `len` bytes of a segment's memory from `offset` on.
#[inline]
fn bytes_mut(segment: &mut rte_mbuf, offset: u16, len: u16) -> &mut [u8] {
    let start = segment.buf_addr.cast::<u8>().wrapping_add(offset.into());
    debug_assert!(u32::from(offset) + u32::from(len) <= u32::from(segment.buf_len));
    // SAFETY: inside the segment's memory. Said, because the compiler asks otherwise.
    unsafe { hint::assert_unchecked(!start.is_null()) };
    // SAFETY: the callers pass ranges inside `buf_len`; borrowed mutably from the only handle.
    unsafe { slice::from_raw_parts_mut(start, len.into()) }
}

/// Lengthens a segment and tells where its new bytes begin; `None` (and no change) where its memory
/// ends before.
#[inline]
fn grow(segment: &mut rte_mbuf, len: u16) -> Option<u16> {
    let end = u32::from(segment.data_off) + u32::from(segment.data_len);
    if end + u32::from(len) > u32::from(segment.buf_len) {
        return None;
    }
    segment.data_len += len;
    Some(end as u16)
}

/// Frees whole chains; null pointers are skipped by DPDK.
fn free_chains(chains: &mut [*mut rte_mbuf]) {
    let count = u32::try_from(chains.len()).unwrap_or(u32::MAX);
    // SAFETY: the callers own the chains and forget them; `count` is the length of the slice.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(chains.as_mut_ptr(), count) };
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        free_chains(&mut [self.0.as_ptr()]);
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.raw();
        f.debug_struct("Mbuf").field("len", &raw.pkt_len).field("segments", &raw.nb_segs).finish()
    }
}

/// The segments of a frame, in order.
#[derive(Debug)]
struct Segments<'a> {
    next: Option<&'a rte_mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        // SAFETY: null or the next segment of the chain, which is borrowed for 'a.
        self.next = unsafe { segment.next.as_ref() };
        Some(bytes(segment))
    }
}

impl engine::port::Mbuf for Mbuf {
    #[inline]
    fn len(&self) -> usize {
        self.raw().pkt_len as usize
    }

    #[inline]
    fn head(&self) -> &[u8] {
        bytes(self.raw())
    }

    #[inline]
    fn head_mut(&mut self) -> &mut [u8] {
        let Some(raw) = self.own_mut() else { return &mut [] };
        let (offset, len) = (raw.data_off, raw.data_len);
        bytes_mut(raw, offset, len)
    }

    #[inline]
    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        Segments { next: Some(self.raw()) }
    }

    #[inline]
    fn send_at(&mut self, device_time: u64) -> bool {
        let Some((offset, flag)) = timestamps::send_place() else { return false };
        let Some(raw) = self.own_mut() else { return false };
        raw.ol_flags |= flag;
        // SAFETY: DPDK has put eight bytes of its own at this place within the header.
        let field = unsafe { ptr::from_mut(raw).cast::<u8>().add(offset) };
        // SAFETY: as above; `self` is the only handle.
        unsafe { field.cast::<u64>().write_unaligned(device_time) };
        true
    }

    #[inline]
    fn time_ns(&self) -> Option<u64> {
        let raw = self.raw();
        let offset = timestamps::offset(raw.ol_flags)?;
        // SAFETY: DPDK has put eight bytes of its own at this place within the header.
        let field = unsafe { ptr::from_ref(raw).cast::<u8>().add(offset) };
        // SAFETY: as above; the flag says that the driver wrote them.
        Some(unsafe { field.cast::<u64>().read_unaligned() })
    }

    #[inline]
    fn is_contiguous(&self) -> bool {
        self.raw().nb_segs == 1
    }

    #[inline]
    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        let raw = self.own_mut()?;
        let len = u16::try_from(len).ok()?;
        let offset = raw.data_off.checked_sub(len)?;
        raw.data_off = offset;
        // Up to the end of the segment it is less than 2^16.
        raw.data_len += len;
        raw.pkt_len += u32::from(len);
        Some(bytes_mut(raw, offset, len))
    }

    #[inline]
    fn append(&mut self, len: usize) -> Option<&mut [u8]> {
        let len = u16::try_from(len).ok()?;
        if self.raw().nb_segs != 1 {
            return self.append_to_chain(len);
        }
        let raw = self.own_mut()?;
        let place = grow(raw, len)?;
        raw.pkt_len += u32::from(len);
        Some(bytes_mut(raw, place, len))
    }

    #[inline]
    fn trim_front(&mut self, len: usize) -> bool {
        let Some(raw) = self.own_mut() else { return false };
        match u16::try_from(len) {
            Ok(len) if len <= raw.data_len => {
                raw.data_off += len;
                raw.data_len -= len;
                raw.pkt_len -= u32::from(len);
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        if len >= self.len() || self.own_mut().is_none() {
            return;
        }
        let (mut segment, mut left, mut count) = (self.0, len, 1);
        loop {
            // SAFETY: `segment` is in the chain that `self` owns, and `self` is the only handle.
            let raw = unsafe { segment.as_mut() };
            let here = usize::from(raw.data_len);
            match NonNull::new(raw.next) {
                Some(next) if left > here => {
                    (segment, left, count) = (next, left - here, count + 1);
                }
                _ if raw.refcnt != 1 => return,
                _ => {
                    // `left` is at most `here`, a u16, because `len` is below the frame's length.
                    raw.data_len = u16::try_from(left).unwrap_or(raw.data_len).min(raw.data_len);
                    break;
                }
            }
        }
        self.raw_mut().pkt_len = u32::try_from(len).unwrap_or(u32::MAX);
        if count < self.raw().nb_segs {
            self.cut_after(segment, count);
        }
    }

    #[inline]
    fn share(&mut self, frame: &mut Self) -> bool {
        let is_hung = self.hang(frame.0);
        if is_hung {
            frame.hold_again();
        }
        is_hung
    }

    #[inline]
    fn again(&mut self) -> Self {
        self.hold_again();
        Self(self.0)
    }

    #[inline]
    fn free_bulk<const N: usize>(burst: &mut Burst<Self, N>) {
        let frames = burst.storage_mut();
        let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        let chains = frames.as_mut_ptr().cast::<*mut rte_mbuf>();
        // SAFETY: no handle is left once the length is 0; 0 is within the capacity.
        unsafe { frames.set_len(0) };
        // SAFETY: `Mbuf` is `repr(transparent)` over a pointer, so these are `count` pointers to
        // chains that the burst owned and has just forgotten.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(chains, count) };
    }
}
