//! From which length on it is cheaper to hold a frame by reference than to copy its bytes.
//!
//! Measured with the buffers that the workers will use, before they do: what it depends on (caches,
//! memory, the vector width of `memcpy`) differs between machines by several times. What a device's
//! driver spends on a second segment is not in it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use engine::burst::Burst;
use engine::copy::{copy_plain, put_header};
use engine::encap::{Encap, Outer};
use engine::port::{Mbuf as _, Mempool as _};
use engine::units::{Mac, Vni};

use crate::mbuf::Mbuf;
use crate::mempool::Mempool;

/// The lengths of frames between which the costs are taken to be a straight line.
const SHORT: usize = 64;
const LONG: usize = 1514;
/// Bursts of different frames: more than the nearest caches hold, as of frames just received.
const BURSTS: usize = 16;
/// Times that each is measured; the shortest counts.
const ROUNDS: usize = 7;
/// The answer where the measurement fails: about where most machines are.
const USUAL: usize = 512;
/// Longer frames are held by reference whatever was measured.
const LONGEST: usize = 4096;

/// The least length, in bytes, of frames from the pool `frames` whose copies are cheaper by reference
/// than out of the pool `copies`. Cost: some milliseconds.
pub(crate) fn measure(copies: &mut Mempool, leads: &mut Mempool, frames: &mut Mempool) -> usize {
    let mut shortest = [None; 4];
    for _ in 0..ROUNDS {
        let timed = [
            with_frames(frames, SHORT, |burst| copy_all(copies, burst)),
            with_frames(frames, LONG, |burst| copy_all(copies, burst)),
            with_frames(frames, SHORT, |burst| share_all(leads, burst)),
            with_frames(frames, LONG, |burst| share_all(leads, burst)),
        ];
        for (least, time) in shortest.iter_mut().zip(timed) {
            *least = [*least, time].into_iter().flatten().min();
        }
    }
    let [Some(copy_short), Some(copy_long), Some(share_short), Some(share_long)] = shortest else {
        return USUAL;
    };
    break_even([copy_short, copy_long], [share_short, share_long])
}

/// Where the lines through the costs at [`SHORT`] and [`LONG`] cross.
fn break_even(copy: [Duration; 2], share: [Duration; 2]) -> usize {
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(0);
    let ([copy_short, copy_long], [share_short, share_long]) =
        (copy.map(nanoseconds), share.map(nanoseconds));
    let dearer_per_length = (copy_long - copy_short) - (share_long - share_short);
    if dearer_per_length <= 0 {
        return LONGEST;
    }
    let span = i64::try_from(LONG - SHORT).unwrap_or(0);
    let longer = (share_short - copy_short).saturating_mul(span) / dearer_per_length;
    usize::try_from(longer).map_or(SHORT, |longer| SHORT + longer).min(LONGEST)
}

/// The time that `run` takes for several bursts of frames of `len` bytes; `None` when there were too
/// few buffers.
fn with_frames(
    pool: &mut Mempool,
    len: usize,
    mut run: impl FnMut(&mut Burst<Mbuf>) -> Option<()>,
) -> Option<Duration> {
    let mut bursts: Vec<Burst<Mbuf>> = Vec::new();
    for _ in 0..BURSTS {
        let mut burst = Burst::new();
        if pool.alloc_bulk(&mut burst) == 0 {
            return None;
        }
        for frame in burst.frames_mut() {
            frame.append(len)?.fill(0x5a);
        }
        bursts.push(burst);
    }
    let started = Instant::now();
    for burst in &mut bursts {
        run(burst)?;
    }
    let time = started.elapsed();
    bursts.iter_mut().for_each(Mbuf::free_bulk);
    Some(time)
}

/// Makes copies of a burst and frees them, as a queue does.
fn copy_all(pool: &mut Mempool, frames: &Burst<Mbuf>) -> Option<()> {
    let Encap::V4(header) = header()? else { return None };
    let mut copies = Burst::new();
    if pool.alloc_bulk(&mut copies) == 0 {
        return None;
    }
    for (copy, frame) in copies.frames_mut().iter_mut().zip(frames.frames()) {
        copy_plain(copy, frame, &header, 0).then_some(())?;
    }
    Mbuf::free_bulk(&mut copies);
    Some(())
}

/// Holds a burst by reference and lets go of it.
fn share_all(pool: &mut Mempool, frames: &mut Burst<Mbuf>) -> Option<()> {
    let Encap::V4(header) = header()? else { return None };
    let mut leads = Burst::new();
    if pool.alloc_bulk(&mut leads) == 0 {
        return None;
    }
    for (lead, frame) in leads.frames_mut().iter_mut().zip(frames.frames_mut()) {
        let len = u16::try_from(frame.len()).ok()?;
        (lead.share(frame) && put_header(lead, &header, len, 0)).then_some(())?;
    }
    Mbuf::free_bulk(&mut leads);
    Some(())
}

fn header() -> Option<Encap> {
    let outer = Outer {
        src_mac: Mac::default(),
        dst_mac: Mac::default(),
        vlan: None,
        dst_port: 4789,
        udp6_zero_checksum: false,
    };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Encap::new(&outer, address, address, Vni::try_from(0).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cross_where_a_copy_gets_dearer_than_a_reference() {
        let of = |copy: [u64; 2], share: [u64; 2]| {
            break_even(copy.map(Duration::from_nanos), share.map(Duration::from_nanos))
        };
        // A copy: 10 at 64 bytes and 155 at 1514, 0.1 for each byte. A reference: 40.
        assert_eq!(of([10, 155], [40, 40]), 64 + 300);
        // Short frames are cheaper by reference already.
        assert_eq!(of([50, 155], [40, 40]), SHORT);
        // Copies cost the same whatever their length.
        assert_eq!(of([10, 10], [40, 40]), LONGEST);
        assert_eq!(of([10, 11], [40, 40]), LONGEST);
    }
}
