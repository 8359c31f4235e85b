//! A device's own clock, followed by the worker's: for devices that send frames at times which they are given.
//!
//! The two run at speeds of their own, and neither at the one that is written on it. So both are read together, twice
//! before the start and now and then afterwards, and what lies between is on the line through the first and the latest
//! reading.

use core::time::Duration;

use engine::port::{Clock, TxQueue};
use engine::ticks::Scale;

/// Between the first two readings: an error of 100 ns in each is then one of 10 parts per million, until the next one.
const BASELINE: Duration = Duration::from_millis(20);
/// Between two further readings, each of which takes about a microsecond.
const EVERY_NS: u64 = 100_000_000;

/// Both clocks at a moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ticks: u64,
    device: u64,
}

/// A device's clock as far as it is known. Thread: the worker that sends.
#[derive(Debug, Clone)]
pub struct DeviceClock {
    first: Reading,
    latest: Reading,
    /// In ticks.
    every: u64,
}

impl DeviceClock {
    /// Measures the clock of a queue's device; `None` where it does not send at given times. Takes 20 ms.
    pub fn measure<C: Clock>(tx: &impl TxQueue) -> Option<Self> {
        let first = read::<C>(tx)?;
        C::sleep(BASELINE);
        let latest = read::<C>(tx)?;
        (latest.ticks > first.ticks).then(|| Self {
            first,
            latest,
            every: Scale::new(C::hz()).ticks(EVERY_NS),
        })
    }

    /// Reads both clocks again, where that was long ago. Cost: a comparison, seldom more.
    #[inline]
    pub fn follow<C: Clock>(&mut self, now: u64, tx: &impl TxQueue) {
        if now.saturating_sub(self.latest.ticks) >= self.every
            && let Some(latest) = read::<C>(tx)
        {
            self.latest = latest;
        }
    }

    /// What the device's clock says at that time of the worker's.
    #[inline]
    pub fn at(&self, ticks: u64) -> u64 {
        let Reading { ticks: from, device } = self.latest;
        let rise = i128::from(device.saturating_sub(self.first.device));
        let run = i128::from(from.saturating_sub(self.first.ticks).max(1));
        let ahead = (i128::from(ticks) - i128::from(from)) * rise / run;
        u64::try_from(i128::from(device) + ahead).unwrap_or(0)
    }
}

/// Reads the device's clock between two readings of the worker's.
fn read<C: Clock>(tx: &impl TxQueue) -> Option<Reading> {
    let before = C::now();
    let device = tx.device_time()?;
    let after = C::now();
    Some(Reading { ticks: before + (after.saturating_sub(before)) / 2, device })
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::burst::Burst;
    use engine::sim::{SimClock, SimMbuf, SimOutput, SimTx};

    use super::*;

    /// A port that sends at given times. Its clock goes 3.0001 times as fast as that of the simulation, from a million on.
    #[derive(Debug)]
    pub(crate) struct TimedTx(pub(crate) SimTx);

    /// What its clock says at that time of the simulation's.
    pub(crate) fn device_time(ns: u64) -> u64 {
        1_000_000 + 3 * ns + ns / 10_000
    }

    impl TxQueue for TimedTx {
        type Mbuf = SimMbuf;

        fn send<const N: usize>(&mut self, burst: &mut Burst<SimMbuf, N>) -> usize {
            self.0.send(burst)
        }

        fn takes_chains(&self) -> bool {
            false
        }

        fn takes_shared(&self) -> bool {
            true
        }

        fn device_time(&self) -> Option<u64> {
            Some(device_time(SimClock::now()))
        }
    }

    #[test]
    fn a_clock_of_another_speed_is_followed() {
        let tx = TimedTx(SimOutput::discard().tx());
        let mut clock = DeviceClock::measure::<SimClock>(&tx).unwrap();
        for ahead in [0, 1, 200_000, 50_000_000] {
            let at = SimClock::now() + ahead;
            assert!(clock.at(at).abs_diff(device_time(at)) <= 1 + ahead / 1_000_000, "{ahead}");
        }
        SimClock::advance(3_600_000_000_000);
        let now = SimClock::now();
        clock.follow::<SimClock>(now, &tx);
        let at = now + 100_000_000;
        assert!(clock.at(at).abs_diff(device_time(at)) <= 1);
        assert!(clock.at(now - 1000).abs_diff(device_time(now - 1000)) <= 1, "the past as well");
    }

    #[test]
    fn others_have_none() {
        assert!(DeviceClock::measure::<SimClock>(&SimOutput::discard().tx()).is_none());
    }
}
