//! Ticks of a [`crate::port::Clock`] as nanoseconds.

const NS_PER_SECOND: u128 = 1_000_000_000;
const FRACTION_BITS: u32 = 32;

/// How long a tick is. Cost of a conversion: one multiplication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Nanoseconds per tick, with 32 bits behind the point.
    factor: u128,
}

impl Scale {
    /// The scale of a clock with so many ticks per second.
    pub fn new(hz: u64) -> Self {
        let hz = u128::from(hz.max(1));
        Self { factor: ((NS_PER_SECOND << FRACTION_BITS) + hz / 2) / hz }
    }

    /// So many nanoseconds in ticks, rounded up. Cost: a division.
    #[inline]
    pub fn ticks(self, ns: u64) -> u64 {
        (u128::from(ns) << FRACTION_BITS).div_ceil(self.factor.max(1)) as u64
    }

    /// So many ticks in nanoseconds. Exact to a second in three years from 100 MHz on.
    #[inline]
    pub fn ns(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * self.factor) >> FRACTION_BITS) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_second_at_any_frequency() {
        for hz in [1_000_000_000, 2_595_124_000, 100_000_000, 3_999_999_937, 54_000_000] {
            let ns = Scale::new(hz).ns(hz);
            assert!(ns.abs_diff(1_000_000_000) <= 1, "{hz}: {ns}");
        }
        assert_eq!(Scale::new(1_000_000_000).ns(u64::MAX), u64::MAX);
        assert_eq!(Scale::new(2_000_000_000).ns(7), 3);
    }
}
