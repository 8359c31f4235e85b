//! Buffers that are filled with frames, one by one, and taken from their pool in bulk.

use engine::burst::Burst;
use engine::port::{Mbuf, Mempool};

/// Where buffers come from. Thread: one.
#[derive(Debug)]
pub(crate) struct Buffers<P: Mempool> {
    pool: P,
    spare: Burst<P::Mbuf>,
}

/// Why a frame is in no buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// All are in use.
    Buffers,
    /// It is longer than a buffer.
    Room,
}

impl<P: Mempool> Buffers<P> {
    pub(crate) fn new(pool: P) -> Self {
        Self { pool, spare: Burst::new() }
    }

    /// A buffer with the bytes of these segments. Cost: one bulk allocation in [`engine::burst::BURST_MAX`] calls.
    #[inline]
    pub(crate) fn filled<'a>(
        &mut self,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> Result<P::Mbuf, Lack> {
        if self.spare.is_empty() && self.pool.alloc_bulk(&mut self.spare) == 0 {
            return Err(Lack::Buffers);
        }
        let mut frame = self.spare.pop().ok_or(Lack::Buffers)?;
        for segment in segments {
            let Some(place) = frame.append(segment.len()) else {
                frame.truncate(0);
                let _ = self.spare.push(frame);
                return Err(Lack::Room);
            };
            place.copy_from_slice(segment);
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use engine::burst::BURST_MAX;
    use engine::sim::SimPool;

    use super::*;

    #[test]
    fn a_frame_that_fits_nowhere_costs_no_buffer() {
        let pool = SimPool::new(8, BURST_MAX);
        let mut buffers = Buffers::new(pool.clone());
        let mut filled = |segments: &[&[u8]]| {
            buffers.filled(segments.iter().copied()).map(|frame| (frame.to_vec(), frame))
        };
        let mut held = Vec::new();
        for _ in 0..BURST_MAX {
            assert_eq!(filled(&[b"12345", b"6789"]).unwrap_err(), Lack::Room);
            let (bytes, frame) = filled(&[b"1234", b"5678"]).unwrap();
            assert_eq!(bytes, b"12345678");
            held.push(frame);
        }
        assert_eq!(filled(&[b"1"]).unwrap_err(), Lack::Buffers);
        held.pop();
        assert_eq!(filled(&[b"1"]).unwrap_err(), Lack::Buffers, "buffers come in bulk");
        drop(held);
        assert_eq!(filled(&[b"1"]).unwrap().0, b"1");
    }
}
