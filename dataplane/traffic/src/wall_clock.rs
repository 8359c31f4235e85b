//! The time of day, from a counter of ticks: as exact as the system's clock over seconds, as fine as the counter
//! within one, and it never goes back.

/// Between two looks at the system's clock.
const LOOK_EVERY_NS: f64 = 1e9;
/// A system's clock that is further ahead was set: it is followed at once.
const JUMP_NS: i64 = 500_000_000;
/// The most by which time runs faster or slower to meet the system's clock.
const SLEW_MAX: f64 = 0.5;

/// Nanoseconds since 1970, by ticks. One worker's own.
#[derive(Debug, Clone)]
pub struct WallClock {
    /// Where `ns` was at `ticks`.
    ticks: u64,
    ns: u64,
    /// How fast it runs now.
    ns_per_tick: f64,
    /// How long a tick is, measured since the origin.
    tick_ns: f64,
    /// The first look, or the one after a jump.
    origin: (u64, u64),
    /// The latest time told.
    told: u64,
}

impl WallClock {
    /// A clock of `hz` ticks a second that showed `ticks` when it was `real_ns`.
    #[expect(clippy::cast_precision_loss, reason = "a frequency")]
    pub fn new(hz: u64, ticks: u64, real_ns: u64) -> Self {
        let tick_ns = 1e9 / hz.max(1) as f64;
        Self {
            ticks,
            ns: real_ns,
            ns_per_tick: tick_ns,
            tick_ns,
            origin: (ticks, real_ns),
            told: real_ns,
        }
    }

    /// The time at `ticks`; at least what was told last. Cost: a multiplication.
    #[inline]
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a second or so, in ns")]
    pub fn at(&mut self, ticks: u64) -> u64 {
        let since = ticks.saturating_sub(self.ticks) as f64 * self.ns_per_tick;
        self.told = self.told.max(self.ns.saturating_add(since as u64));
        self.told
    }

    /// True when the system's clock should be looked at: see [`WallClock::look`].
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a second or so")]
    pub fn is_due(&self, ticks: u64) -> bool {
        ticks.saturating_sub(self.ticks) as f64 * self.tick_ns >= LOOK_EVERY_NS
    }

    /// The system's clock showed `real_ns` at `ticks`: runs so that both meet within a second.
    #[expect(clippy::cast_precision_loss, reason = "differences of times, as fine as they need be")]
    pub fn look(&mut self, ticks: u64, real_ns: u64) {
        let shown = self.at(ticks);
        let ahead = i64::try_from(i128::from(real_ns) - i128::from(shown)).unwrap_or(i64::MAX);
        self.ticks = ticks;
        if ahead > JUMP_NS {
            (self.ns, self.origin, self.ns_per_tick) = (real_ns, (ticks, real_ns), self.tick_ns);
            return;
        }
        if ahead < -JUMP_NS {
            // It was set back: what it says of the length of a tick is not so.
            self.origin = (ticks, real_ns);
        }
        let (ticks, ns) =
            (ticks.saturating_sub(self.origin.0), real_ns.saturating_sub(self.origin.1));
        if ticks > 0 && ns > 0 {
            self.tick_ns = ns as f64 / ticks as f64;
        }
        let slew = (ahead as f64 / LOOK_EVERY_NS).clamp(-SLEW_MAX, SLEW_MAX);
        (self.ns, self.ns_per_tick) = (shown, self.tick_ns * (1.0 + slew));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_counter_that_is_measured_wrong_is_followed_to_the_microsecond() {
        // 3 GHz in truth, 100 ppm off.
        let (hz, truth) = (3_000_300_000, |tenths: u64| tenths * 300_000_000);
        let mut clock = WallClock::new(hz, 0, START);
        for second in 1..10 {
            let ticks = truth(10 * second);
            assert!(clock.is_due(ticks + 1_000_000));
            clock.look(ticks, START + 1_000_000_000 * second);
        }
        for tenth in 90..=100 {
            let told = clock.at(truth(tenth));
            let real = START + 100_000_000 * tenth;
            assert!(told.abs_diff(real) < 1000, "{}", told.abs_diff(real));
        }
    }

    #[test]
    fn a_clock_that_is_set_forward_is_followed_and_one_that_is_set_back_is_awaited() {
        let second = 1_000_000_000;
        let mut clock = WallClock::new(second, 0, START);
        clock.look(second, START + 3600 * second);
        assert_eq!(clock.at(second), START + 3600 * second);
        let mut clock = WallClock::new(second, 0, START);
        clock.look(second, START);
        assert_eq!(clock.at(second), START + second);
        let later = clock.at(2 * second);
        assert!(later > START + second && later <= START + second + second / 2 + 1, "{later}");
        for at in 2..10 {
            clock.look(at * second, START + (at - 1) * second);
        }
        assert!(clock.at(9 * second).abs_diff(START + 8 * second) < 1000);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn time_never_goes_back(steps in proptest::collection::vec((0..3_000_000_000_u64, any::<u32>(), any::<bool>()), 0..50)) {
            let (mut clock, mut ticks, mut last) = (WallClock::new(1_000_000_000, 0, START), 0, START);
            for (step, real, looks) in steps {
                ticks += step;
                if looks {
                    clock.look(ticks, START + u64::from(real));
                }
                let now = clock.at(ticks);
                prop_assert!(now >= last);
                last = now;
            }
        }
    }
}
