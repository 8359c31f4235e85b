//! When frames are due, in nanoseconds since the replay's start.
//!
//! Time is one sum of steps in fixed point: 64 bits of nanoseconds, 64 bits of their fractions. A step
//! is too short by less than 2^-64 ns per nanosecond, frame or bit that it stands for, so the sum stays
//! right within a nanosecond over 10^12 frames and over centuries, through any number of loops.

use crate::replay::{Layer, Timing};

/// A nanosecond.
const ONE: u128 = 1 << 64;
/// Where time begins: so little past 0 that nobody sees it, and so much that what steps are too short by
/// does not make a whole nanosecond the one before.
const START: u128 = 1 << 48;
/// A second, in nanoseconds.
const SECOND_NS: u64 = 1_000_000_000;

/// The due times of one frame after the other.
#[derive(Debug, Clone)]
pub struct Schedule {
    step: Step,
    /// Where time stands, in 2^-64 ns.
    at: u128,
}

/// How far time goes on, in 2^-64 ns.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// For each nanosecond of silence before a frame.
    PerGap(u128),
    /// After each frame.
    PerFrame(u128),
    /// After each bit of a frame.
    PerBit(u128, Layer),
    /// Not at all.
    Never,
}

impl Schedule {
    /// The schedule before the first frame. Errors: a rate that is none, or beyond what can be kept; a
    /// sentence.
    pub fn new(timing: Timing) -> Result<Self, String> {
        let step = match timing {
            Timing::Original { speed } => {
                check("a speed", speed, 1e-6, 1e6)?;
                Step::PerGap(ratio(1, speed))
            }
            Timing::Packets { per_second } => {
                check("a rate in frames per second", per_second, 1e-3, 1e10)?;
                Step::PerFrame(ratio(SECOND_NS, per_second))
            }
            Timing::Bits { per_second, layer } => {
                check("a rate in bits per second", per_second, 1.0, 1e13)?;
                Step::PerBit(ratio(SECOND_NS, per_second), layer)
            }
            Timing::Top => Step::Never,
        };
        Ok(Self { step, at: START })
    }

    /// All is due at once.
    pub fn at_once() -> Self {
        Self { step: Step::Never, at: START }
    }

    /// When a frame of `frame_len` bytes is due that comes `gap_ns` after the one before, in the capture's
    /// time.
    #[inline]
    pub fn due(&mut self, gap_ns: u64, frame_len: usize) -> u64 {
        match self.step {
            Step::PerGap(step) => {
                self.go(u128::from(gap_ns).saturating_mul(step));
                self.now()
            }
            Step::PerFrame(step) => {
                let due = self.now();
                self.go(step);
                due
            }
            Step::PerBit(step, layer) => {
                let due = self.now();
                self.go(u128::from(layer.bytes_of(frame_len) * 8).saturating_mul(step));
                due
            }
            Step::Never => 0,
        }
    }

    /// When a loop ends that has `gap_ns` behind its last frame: the length of it when it is the first.
    pub fn end(&self, gap_ns: u64) -> u64 {
        let mut end = self.clone();
        if let Step::PerGap(step) = end.step {
            end.go(u128::from(gap_ns).saturating_mul(step));
        }
        end.now()
    }

    /// The silence in the capture's time that takes `duration_ns` when it is sent; `None` where silences
    /// don't count.
    pub fn gap_of(&self, duration_ns: u64) -> Option<u64> {
        let Step::PerGap(step) = self.step else {
            return None;
        };
        Some(u64::try_from((u128::from(duration_ns) << 64) / step).unwrap_or(u64::MAX))
    }

    fn go(&mut self, by: u128) {
        self.at = self.at.saturating_add(by);
    }

    fn now(&self) -> u64 {
        (self.at >> 64) as u64
    }
}

fn check(what: &str, rate: f64, min: f64, max: f64) -> Result<(), String> {
    if (min..=max).contains(&rate) {
        return Ok(());
    }
    Err(format!("{what} of {rate} can't be kept: it must be from {min} to {max}"))
}

/// `numerator / rate` in 2^-64, rounded down; `rate` is one that was [checked](check), so at least 2^-20
/// and below 2^53.
fn ratio(numerator: u64, rate: f64) -> u128 {
    // rate = mantissa / 2^shift, exactly.
    let bits = rate.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let shift = 1023 + 52 - (bits >> 52 & 0x7ff) as u32;
    // Long division: what is shifted out of 128 bits at once stays in two steps.
    let (whole, rest) =
        (u128::from(numerator) * ONE / mantissa, u128::from(numerator) * ONE % mantissa);
    (whole << shift) + (rest << shift) / mantissa
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(per_second: f64) -> Schedule {
        Schedule::new(Timing::Packets { per_second }).unwrap()
    }

    #[test]
    fn at_its_own_speed_a_frame_is_due_at_its_own_time() {
        let mut schedule = Schedule::new(Timing::Original { speed: 1.0 }).unwrap();
        let gaps = [0, 1, 0, 1_000_000_007, 3];
        let due: Vec<u64> = gaps.iter().map(|&gap| schedule.due(gap, 60)).collect();
        assert_eq!(due, [0, 1, 1, 1_000_000_008, 1_000_000_011]);
        assert_eq!(schedule.end(9), 1_000_000_020);
        let mut faster = Schedule::new(Timing::Original { speed: 2.5 }).unwrap();
        assert_eq!(gaps.map(|gap| faster.due(gap, 60)), [0, 0, 0, 400_000_003, 400_000_004]);
        assert_eq!(faster.gap_of(400), Some(1000));
    }

    #[test]
    fn frames_are_due_as_arithmetic_says() {
        // 3 frames a second: 1/3 s has no end in binary, nor in decimal.
        let mut schedule = packets(3.0);
        for n in 0..1_000_000u64 {
            assert_eq!(schedule.due(7, 60), n * 1_000_000_000 / 3);
        }
        // What a billion steps come to, in one: off by less than a billionth of a nanosecond.
        let Step::PerFrame(step) = schedule.step else { panic!() };
        let sum = step * 3_000_000_000;
        assert!((ONE * 1_000_000_000_000_000_000).abs_diff(sum) < ONE / 1_000_000_000);
    }

    #[test]
    fn bits_of_the_frame_before_count() {
        // 64 bytes with checksum at 1 Gb/s: 1.488 Mpps.
        let bits = |layer| Schedule::new(Timing::Bits { per_second: 1e9, layer }).unwrap();
        let mut schedule = bits(Layer::L1);
        assert_eq!(
            [60, 1, 1514, 60].map(|len| schedule.due(5, len)),
            [0, 672, 1344, 1344 + 12_304]
        );
        assert_eq!(schedule.end(5), 1344 + 12_304 + 672);
        let mut schedule = bits(Layer::L2);
        assert_eq!([60, 1, 1514, 60].map(|len| schedule.due(5, len)), [0, 480, 488, 12_600]);
    }

    #[test]
    fn at_top_speed_all_is_due_at_once() {
        let mut schedule = Schedule::new(Timing::Top).unwrap();
        assert_eq!((schedule.due(0, 60), schedule.due(9, 60), schedule.end(9)), (0, 0, 0));
        assert_eq!(schedule.gap_of(1), None);
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert!(Schedule::new(Timing::Original { speed: rate }).is_err());
            assert!(Schedule::new(Timing::Packets { per_second: rate }).is_err());
            assert!(Schedule::new(Timing::Bits { per_second: rate, layer: Layer::L1 }).is_err());
        }
    }

    proptest! {
        /// n steps are n times one, and this is too short by less than 2^-64 ns.
        #[test]
        fn a_billion_steps_do_not_drift(rate in 1.0..1e10f64) {
            let Step::PerFrame(step) = packets(rate).step else { panic!() };
            let n = 1_000_000_000u128;
            // rate = mantissa / 2^shift: n / rate seconds = n × 10^9 × 2^shift / mantissa nanoseconds.
            let bits = rate.to_bits();
            let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
            let shift = 1075 - (bits >> 52) as u32;
            let exact = ((n * n) << shift) / mantissa;
            prop_assert!(((START + step * n) >> 64).abs_diff(exact) <= 1);
        }

        #[test]
        fn due_times_never_go_back(gaps: Vec<(u64, u16)>, speed in 1e-6..1e6f64) {
            let mut schedule = Schedule::new(Timing::Original { speed }).unwrap();
            let due: Vec<u64> = gaps.iter().map(|&(gap, len)| schedule.due(gap, len.into())).collect();
            prop_assert!(due.is_sorted());
        }
    }
}
