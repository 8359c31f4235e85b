//! How many frames are due by a time.
//!
//! The times are ideal: each is computed from the start, so that neither late frames nor rounding let the rate
//! drift, and the duration is never stretched (RFC 9971 §3.3).

/// A sender that was kept from its core may send what was due before the end so much later: a part of a second.
const LATE_PARTS: u64 = 10;

/// The bits behind the point of a number of frames per tick, and of ticks per frame.
const FRACTION_BITS: u32 = 64;

/// What one stream shall send, in ticks of a clock since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    kind: Kind,
    /// Frames that shall be sent in all; `None` for as many as there are.
    count: Option<u64>,
    /// None is due later.
    duration: u64,
    /// So much later a frame may still be sent that was due.
    late: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As fast as the port takes them.
    Top,
    /// Evenly.
    Even {
        /// Frames per tick, and ticks per frame.
        rate: u128,
        gap: u128,
    },
}

impl Load {
    /// `per_second` frames (above 0) for `duration` ticks of a clock with `hz`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and their products with durations are positive and have 52 bits that count"
    )]
    pub fn even(per_second: f64, duration: u64, hz: u64) -> Self {
        let one = 2f64.powi(FRACTION_BITS.cast_signed());
        let per_tick = per_second / hz as f64;
        Self {
            kind: Kind::Even { rate: (per_tick * one) as u128, gap: (one / per_tick) as u128 },
            count: Some(((per_tick * duration as f64).round() as u64).max(1)),
            duration,
            late: hz / LATE_PARTS,
        }
    }

    /// As many frames as the port takes, for `duration` ticks.
    pub fn top(duration: u64) -> Self {
        Self { kind: Kind::Top, count: None, duration, late: 0 }
    }

    /// So many frames as fast as the port takes them; what it has not taken after `duration` ticks is not sent.
    pub fn burst(count: u64, duration: u64) -> Self {
        Self { kind: Kind::Top, count: Some(count), duration, late: 0 }
    }

    /// Frames that shall be sent; `None` for as many as the port takes.
    pub fn intended(&self) -> Option<u64> {
        self.count
    }

    /// Nothing is due any more.
    #[inline]
    pub fn is_over(&self, elapsed: u64) -> bool {
        elapsed >= self.duration
    }

    /// Nothing that was due may be sent any more.
    #[inline]
    pub fn is_closed(&self, elapsed: u64) -> bool {
        elapsed >= self.duration.saturating_add(self.late)
    }

    /// Frames that should have been sent by now, that of this very moment included.
    #[inline]
    pub fn due(&self, elapsed: u64) -> u64 {
        let by_now = match self.kind {
            Kind::Top => u64::MAX,
            Kind::Even { rate, .. } => {
                let frames = u128::from(elapsed).saturating_mul(rate) >> FRACTION_BITS;
                u64::try_from(frames).unwrap_or(u64::MAX).saturating_add(1)
            }
        };
        by_now.min(self.count.unwrap_or(u64::MAX))
    }

    /// When a frame is due, in ticks after the start; `None` where each is at once.
    #[inline]
    pub fn time_of(&self, number: u64) -> Option<u64> {
        match self.kind {
            Kind::Top => None,
            Kind::Even { gap, .. } => {
                let ticks = gap.saturating_mul(number.into()) >> FRACTION_BITS;
                Some(u64::try_from(ticks).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HZ: u64 = 2_595_124_000;

    #[test]
    fn a_second_has_the_frames_of_a_second() {
        let rates =
            [(1.0, 1), (3.0, 3), (333.25, 333), (1e6, 1_000_000), (14_880_952.38, 14_880_952)];
        for (rate, frames) in rates {
            let load = Load::even(rate, HZ, HZ);
            assert_eq!(load.intended(), Some(frames));
            assert_eq!(load.due(0), 1);
            assert_eq!(load.due(HZ - 1), frames, "{rate}");
            assert_eq!(load.due(u64::MAX), frames, "no more than that");
        }
        assert_eq!(Load::even(0.1, HZ, HZ).intended(), Some(1));
    }

    #[test]
    fn an_hour_does_not_drift() {
        let load = Load::even(1_000_000.0, 3600 * HZ, HZ);
        for second in [1, 60, 3599] {
            assert!(load.due(second * HZ).abs_diff(second * 1_000_000) <= 1);
            let time = load.time_of(second * 1_000_000).unwrap();
            assert!(time.abs_diff(second * HZ) <= 1, "{time}");
        }
    }

    #[test]
    fn without_a_rate_all_is_due_at_once() {
        assert_eq!(Load::top(HZ).due(0), u64::MAX);
        assert_eq!((Load::burst(7, HZ).due(0), Load::burst(7, HZ).intended()), (7, Some(7)));
        assert_eq!(Load::top(HZ).time_of(3), None);
        assert!(!Load::top(HZ).is_closed(HZ - 1) && Load::top(HZ).is_closed(HZ));
        let even = Load::even(1.0, HZ, HZ);
        assert!(even.is_over(HZ) && !even.is_closed(HZ) && even.is_closed(HZ + HZ / 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_frame_is_due_at_its_time(rate in 0.5f64..2e7, number in 0u64..1 << 32) {
            let load = Load::even(rate, u64::MAX, HZ);
            let time = load.time_of(number).unwrap();
            // A rate has 30 bits that count, and more the higher it is.
            let off = 1 + (time >> 30);
            prop_assert!(load.due(time + off) > number);
            prop_assert!(load.due(time.saturating_sub(off)) <= number + 1);
        }
    }
}
