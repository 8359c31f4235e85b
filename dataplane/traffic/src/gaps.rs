//! The silences between frames, from the times that captures give them.

/// A clock that goes back further than this was set anew: what follows is counted from there. Less is
/// the disorder of frames from several interfaces or cores, and the next frame is compared with the
/// latest one.
const DISORDER_NS: u64 = 1_000_000_000;

/// Silences, made of times one after the other.
#[derive(Debug, Clone)]
pub struct Gaps {
    /// The longest silence that is let stand, in nanoseconds.
    gap_max_ns: u64,
    /// The latest time; none at the start of a stretch.
    latest: Option<u64>,
    /// The silence before the next stretch.
    before_stretch: u64,
    /// Frames and silences of this stretch.
    frames: u64,
    sum: u64,
    backwards: u64,
}

impl Gaps {
    /// Nothing seen yet; longer silences than `gap_max_ns` are cut to it.
    pub fn new(gap_max_ns: Option<u64>) -> Self {
        let gap_max_ns = gap_max_ns.unwrap_or(u64::MAX);
        Self { gap_max_ns, latest: None, before_stretch: 0, frames: 0, sum: 0, backwards: 0 }
    }

    /// The silence before a frame of this time, in nanoseconds; 0 where time goes backwards.
    #[inline]
    pub fn before(&mut self, timestamp_ns: u64) -> u64 {
        self.frames += 1;
        let Some(latest) = self.latest else {
            self.latest = Some(timestamp_ns);
            return self.before_stretch;
        };
        let gap = if let Some(gap) = timestamp_ns.checked_sub(latest) {
            self.latest = Some(timestamp_ns);
            gap.min(self.gap_max_ns)
        } else {
            self.backwards += 1;
            if latest - timestamp_ns > DISORDER_NS {
                self.latest = Some(timestamp_ns);
            }
            0
        };
        self.sum = self.sum.saturating_add(gap);
        gap
    }

    /// Ends a stretch, after which times count anew: the next file, or the next loop. Returns the silence
    /// before it: the mean of the silences of this one; 0 after a single frame.
    pub fn end_stretch(&mut self) -> u64 {
        let mean = self.sum.checked_div(self.frames.saturating_sub(1)).unwrap_or(0);
        if self.frames > 0 {
            self.before_stretch = mean;
        }
        (self.latest, self.frames, self.sum) = (None, 0, 0);
        self.before_stretch
    }

    /// Times that were earlier than one before.
    pub fn backwards(&self) -> u64 {
        self.backwards
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gaps(gap_max_ns: Option<u64>, times: &[u64]) -> (Vec<u64>, Gaps) {
        let mut gaps = Gaps::new(gap_max_ns);
        (times.iter().map(|&time| gaps.before(time)).collect(), gaps)
    }

    #[test]
    fn a_stretch_begins_after_the_mean_of_the_silences_before() {
        let (found, mut gaps) = gaps(None, &[1000, 1010, 1040]);
        assert_eq!(found, [0, 10, 30]);
        assert_eq!(gaps.end_stretch(), 20);
        assert_eq!((gaps.before(5), gaps.before(6)), (20, 1));
        assert_eq!(gaps.end_stretch(), 1);
        // A file without frames changes nothing; one of a single frame has no silence.
        assert_eq!(gaps.end_stretch(), 1);
        assert_eq!(gaps.before(77), 1);
        assert_eq!(gaps.end_stretch(), 0);
    }

    #[test]
    fn disorder_does_not_stretch_time_and_a_clock_set_back_does_not_stop_it() {
        let (found, disorder) = gaps(None, &[10, 5, 4, 12]);
        assert_eq!((found, disorder.backwards()), (vec![0, 0, 0, 2], 2));
        let second = DISORDER_NS;
        let (found, _) = gaps(None, &[second, 0, second + 7]);
        assert_eq!(found, [0, 0, 7]);
        let (found, set_back) = gaps(None, &[second + 1, 0, 7]);
        assert_eq!((found, set_back.backwards()), (vec![0, 0, 7], 1));
    }

    #[test]
    fn long_silences_are_cut() {
        let (found, mut gaps) = gaps(Some(100), &[0, 100, 201, u64::MAX]);
        assert_eq!(found, [0, 100, 100, 100]);
        assert_eq!(gaps.end_stretch(), 100);
    }

    proptest! {
        #[test]
        fn in_order_the_silences_add_up_to_the_time_between_first_and_last(mut times: Vec<u64>) {
            times.sort_unstable();
            let (found, gaps) = gaps(None, &times);
            let span = times.last().unwrap_or(&0) - times.first().unwrap_or(&0);
            prop_assert_eq!(found.iter().sum::<u64>(), span);
            prop_assert_eq!(gaps.backwards(), 0);
        }
    }
}
