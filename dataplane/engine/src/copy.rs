//! One copy of one frame: how much of it, and the two ways to make it.
//!
//! *Prepend* puts the outer header in front of a frame that nobody else needs (a tap's frames, for
//! their last session): no byte of the frame moves but the addresses, over stripped tags. *Copy*
//! writes header and frame into an empty buffer, for frames that also cross a wire.

use crate::drop_reason::Skipped;
use crate::encap::Header;
use crate::port::Mbuf;
use crate::view::{PathView, SessionView};
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet::ADDRESSES_LEN;

/// What a copy will consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of VLAN tags left out behind the addresses.
    pub strip: u8,
    /// Bytes kept of what remains.
    pub inner_len: u16,
    /// Something was cut off.
    pub is_truncated: bool,
}

/// Decides how much of a frame of `len` bytes, `strip` of them tags, goes to a tool.
/// Errors: the copy is over the MTU of a target that does not truncate.
#[inline]
pub fn plan(
    session: &SessionView,
    path: &PathView,
    len: usize,
    strip: u8,
) -> Result<Plan, Skipped> {
    let whole = len - usize::from(strip);
    let mut keep = whole.min(session.snap_len);
    if keep > path.inner_len_max {
        if !session.truncates_to_mtu {
            return Err(Skipped::OverMtu);
        }
        keep = path.inner_len_max;
    }
    // An MTU has 16 bits, so what fits it fits the length fields of IP and UDP.
    Ok(Plan { strip, inner_len: keep as u16, is_truncated: keep < whole })
}

/// Writes header and inner bytes into the empty buffer `out`. False when it is too small for them.
/// Cost: one memory copy of the inner bytes.
pub fn copy<M: Mbuf, H: Header>(
    out: &mut M,
    frame: &M,
    header: &H,
    plan: Plan,
    flow_hash: u16,
) -> bool {
    let Some(inner) = out.append(plan.inner_len.into()) else { return false };
    if plan.strip == 0 {
        copy_range(frame, 0, inner);
    } else {
        let (addresses, rest) = inner.split_at_mut(ADDRESSES_LEN.min(inner.len()));
        copy_range(frame, 0, addresses);
        copy_range(frame, ADDRESSES_LEN + usize::from(plan.strip), rest);
    }
    out.inherit(frame);
    put_header(out, header, plan.inner_len, flow_hash)
}

/// Writes header and all bytes of a frame in one segment into the empty buffer `out`. False when it
/// is too small for them. Cost: one memory copy of the frame.
#[expect(clippy::inline_always, reason = "what is known of the session's header stays known")]
#[inline(always)]
pub fn copy_plain<M: Mbuf, H: Header>(out: &mut M, frame: &M, header: &H, flow_hash: u16) -> bool {
    let bytes = frame.head();
    let Some(inner) = out.append(bytes.len()) else { return false };
    copy_bytes(inner, bytes);
    out.inherit(frame);
    put_header(out, header, bytes.len() as u16, flow_hash)
}

/// Puts an outer header in front of the frame. False (and no change) when there is no room.
#[expect(clippy::inline_always, reason = "what is known of the session's header stays known")]
#[inline(always)]
pub fn put_header<M: Mbuf, H: Header>(
    frame: &mut M,
    header: &H,
    inner_len: u16,
    flow_hash: u16,
) -> bool {
    let sum = if header.needs_inner_sum() { sum_segments(frame) } else { 0 };
    let Some(place) = frame.prepend(H::LEN) else { return false };
    header.write(place, inner_len, flow_hash, sum);
    true
}

/// Makes the frame its own copy. False when its buffer does not allow it; the tags may then be gone
/// already, but no other byte: the caller copies what is left, with nothing more to strip.
/// Cost: no copy of the frame.
pub fn prepend<M: Mbuf, H: Header>(frame: &mut M, header: &H, plan: Plan, flow_hash: u16) -> bool {
    if plan.strip != 0 {
        let strip = usize::from(plan.strip);
        let Some(moved) = frame.head_mut().get_mut(..ADDRESSES_LEN + strip) else {
            return false;
        };
        moved.copy_within(..ADDRESSES_LEN, strip);
        frame.trim_front(strip);
    }
    if plan.is_truncated {
        frame.truncate(plan.inner_len.into());
    }
    put_header(frame, header, plan.inner_len, flow_hash)
}

/// True when [`prepend`] can strip `strip` bytes of the frame where it lies.
#[inline]
pub fn can_strip_in_place<M: Mbuf>(frame: &M, strip: u8) -> bool {
    strip == 0 || frame.head().len() >= ADDRESSES_LEN + usize::from(strip)
}

/// Copies the frame's bytes from `from` on into `out`; the caller knows that there are enough.
#[inline]
fn copy_range<M: Mbuf>(frame: &M, from: usize, out: &mut [u8]) {
    if let Some(bytes) = frame.head().get(from..from + out.len()) {
        copy_bytes(out, bytes);
    } else {
        gather(frame, from, out);
    }
}

/// Copies bytes between slices of one length. Short frames are half of all, and their bytes are
/// moved here before a call of `memcpy` had found out how many they are.
#[inline]
fn copy_bytes(out: &mut [u8], bytes: &[u8]) {
    if !(copy_ends::<32>(out, bytes) || copy_ends::<64>(out, bytes)) {
        out.copy_from_slice(bytes);
    }
}

/// Copies the first `N` and the last `N` bytes, when that is all of them.
#[inline]
fn copy_ends<const N: usize>(out: &mut [u8], bytes: &[u8]) -> bool {
    if bytes.len() > 2 * N || out.len() != bytes.len() {
        return false;
    }
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return false;
    };
    if let Some(place) = out.first_chunk_mut() {
        *place = *first;
    }
    if let Some(place) = out.last_chunk_mut() {
        *place = *last;
    }
    true
}

/// Copies bytes of all segments from `from` on into `out`; returns how many there were.
pub fn gather<M: Mbuf>(frame: &M, from: usize, out: &mut [u8]) -> usize {
    let (mut skip, mut filled) = (from, 0);
    for segment in frame.segments() {
        let bytes = segment.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(segment.len());
        let room = &mut out[filled..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        filled += count;
    }
    filled
}

/// The sum of a frame whose segments may have odd lengths.
fn sum_segments<M: Mbuf>(frame: &M) -> Sum {
    let (mut total, mut offset) = (0, 0);
    for segment in frame.segments() {
        let sum = checksum::sum(segment);
        // RFC 1071 §2(B): at an odd offset the bytes of every word change places.
        total +=
            if offset % 2 == 0 { sum } else { Sum::from((!checksum::finish(sum)).swap_bytes()) };
        offset += segment.len();
    }
    total
}
