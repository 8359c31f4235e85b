//! What an adaptive worker does while nothing comes: it polls on for a while, then with pauses, then
//! sleeps between rounds, each time longer, up to [`SLEEP_MAX`]. The first frame makes it poll again.

use core::time::Duration;

use crate::port::Clock;

/// Empty rounds until a worker pauses between rounds: a burst's successor has usually come by then.
pub const SPIN_ROUNDS: u32 = 1024;
/// Empty rounds, spinning included, until it sleeps between rounds.
pub const AWAKE_ROUNDS: u32 = 2 * SPIN_ROUNDS;
/// The first sleep.
pub const SLEEP_MIN: Duration = Duration::from_micros(10);
/// The longest sleep that is asked for: a receive ring of 1,024 frames takes so many in it at ten
/// million frames per second. What the kernel adds until the core is given back is beside that.
pub const SLEEP_MAX: Duration = Duration::from_micros(100);

/// How far an idle worker has come to rest.
#[derive(Debug)]
pub struct Idling {
    empty_rounds: u32,
    next_sleep: Duration,
    sleeps: u64,
    asleep_ticks: u64,
}

impl Default for Idling {
    fn default() -> Self {
        Self { empty_rounds: 0, next_sleep: SLEEP_MIN, sleeps: 0, asleep_ticks: 0 }
    }
}

impl Idling {
    /// Something has come.
    #[inline]
    pub fn wake(&mut self) {
        self.empty_rounds = 0;
    }

    /// A round has found nothing: rests, or not yet.
    #[inline]
    pub fn rest<C: Clock>(&mut self) {
        self.empty_rounds = self.empty_rounds.saturating_add(1);
        if self.empty_rounds > AWAKE_ROUNDS {
            self.sleep::<C>();
        } else if self.empty_rounds > SPIN_ROUNDS {
            self.next_sleep = SLEEP_MIN;
            C::pause();
        }
    }

    #[cold]
    fn sleep<C: Clock>(&mut self) {
        let start = C::now();
        C::sleep(self.next_sleep);
        self.asleep_ticks += C::now().saturating_sub(start);
        self.sleeps += 1;
        self.next_sleep = SLEEP_MAX.min(2 * self.next_sleep);
    }

    /// How many sleeps so far.
    pub fn sleeps(&self) -> u64 {
        self.sleeps
    }

    /// How long all of them took, in ticks.
    pub fn asleep_ticks(&self) -> u64 {
        self.asleep_ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimClock;

    fn rounds(idling: &mut Idling, count: u32) -> u64 {
        let start = SimClock::now();
        for _ in 0..count {
            idling.rest::<SimClock>();
        }
        SimClock::now() - start
    }

    #[test]
    fn it_sleeps_after_so_many_empty_rounds_and_longer_each_time_up_to_the_bound() {
        let mut idling = Idling::default();
        assert_eq!(rounds(&mut idling, AWAKE_ROUNDS), 0);
        assert_eq!(idling.sleeps(), 0);
        let naps: Vec<u64> = (0..6).map(|_| rounds(&mut idling, 1)).collect();
        assert_eq!(naps, [10_000, 20_000, 40_000, 80_000, 100_000, 100_000]);
        assert_eq!((idling.sleeps(), idling.asleep_ticks()), (6, 350_000));
    }

    #[test]
    fn the_first_frame_makes_it_poll_again() {
        let mut idling = Idling::default();
        rounds(&mut idling, AWAKE_ROUNDS + 9);
        idling.wake();
        assert_eq!(rounds(&mut idling, AWAKE_ROUNDS), 0);
        assert_eq!(rounds(&mut idling, 1), 10_000);
    }
}
