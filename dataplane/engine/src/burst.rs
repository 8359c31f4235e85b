//! A burst: owned packet buffers in an inline array, 64 of them if not said otherwise.

use arrayvec::ArrayVec;

/// The most frames that a receive call returns and that a burst holds.
pub const BURST_MAX: usize = 64;

/// Owned buffers in arrival order. Holding a burst is the only way to hold several buffers;
/// dropping it frees them all, one by one (the driver has a faster, bulk way).
#[derive(Debug)]
pub struct Burst<M, const N: usize = BURST_MAX> {
    frames: ArrayVec<M, N>,
}

impl<M, const N: usize> Default for Burst<M, N> {
    fn default() -> Self {
        Self { frames: ArrayVec::new() }
    }
}

impl<M> Burst<M> {
    /// An empty burst. Cost: none.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<M, const N: usize> Burst<M, N> {
    /// Number of buffers held, 0..=N.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when no buffer is held.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// True when no further buffer fits.
    pub fn is_full(&self) -> bool {
        self.frames.is_full()
    }

    /// Adds a buffer at the end. Errors: gives the buffer back when the burst is full.
    pub fn push(&mut self, frame: M) -> Result<(), M> {
        self.frames.try_push(frame).map_err(arrayvec::CapacityError::element)
    }

    /// Takes the last buffer off.
    pub fn pop(&mut self) -> Option<M> {
        self.frames.pop()
    }

    /// Takes the first `count` buffers off, in order; fewer when fewer are held.
    pub fn take_front(&mut self, count: usize) -> impl Iterator<Item = M> + '_ {
        let count = count.min(self.frames.len());
        self.frames.drain(..count)
    }

    /// Frees all buffers, one by one.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// The buffers, in order.
    pub fn frames(&self) -> &[M] {
        &self.frames
    }

    /// The buffers, in order, to be changed in place.
    pub fn frames_mut(&mut self) -> &mut [M] {
        &mut self.frames
    }

    /// The array itself, for a driver that fills it from a queue or gives a prefix away.
    pub fn storage_mut(&mut self) -> &mut ArrayVec<M, N> {
        &mut self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_burst_gives_the_buffer_back() {
        let mut burst = Burst::new();
        for n in 0..BURST_MAX {
            assert_eq!(burst.push(n), Ok(()));
        }
        assert!(burst.is_full());
        assert_eq!(burst.push(99), Err(99));
    }

    #[test]
    fn the_front_is_taken_in_order_and_the_rest_stays() {
        let mut burst = Burst::new();
        for n in 0..5 {
            assert_eq!(burst.push(n), Ok(()));
        }
        assert_eq!(burst.take_front(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(burst.frames(), [3, 4]);
        assert_eq!(burst.take_front(9).count(), 2);
    }
}
