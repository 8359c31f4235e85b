//! The thread that starts and stops the workers of a replay and tells how far they are.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use driver::TscClock;
use engine::port::Clock as _;
use engine::ticks::Scale;
use traffic::feeder::Fed;
use traffic::link::Event;
use traffic::pace::Pace;
use traffic::player::Totals;
use traffic::replay::{ReplayPlan, ReplayProgress, Timing};
use traffic::sender::Tally;
use traffic::timing::Seen;

use crate::requests::Requests;

/// Between two looks at what is asked.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Between two words of progress.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Workers that are not ready by then never are.
const READY_WAIT: Duration = Duration::from_secs(5);
/// A pipe that has given something is not awaited longer before the start.
const PRIME_WAIT: Duration = Duration::from_secs(1);

/// What all of a replay comes to, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    /// Frames of a loop.
    loop_frames: Option<u64>,
    /// Frames in all, and how long they take.
    frames: Option<u64>,
    duration_ns: Option<u64>,
}

/// Who watches.
pub(super) struct Watch<'a> {
    pub(super) requests: &'a Requests,
    pub(super) pace: &'a Pace,
    pub(super) fed: &'a Fed,
    pub(super) tallies: &'a [Tally],
    pub(super) course: Course,
}

impl Course {
    pub(super) fn new(plan: &ReplayPlan, totals: Option<&Totals>) -> Self {
        let in_all = |each: u64| plan.loops.map(|loops| each.saturating_mul(loops));
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let frames = totals.and_then(|totals| in_all(totals.frames));
        let is_timed = plan.timing != Timing::Top;
        let duration = totals.filter(|_| is_timed).and_then(|totals| in_all(totals.duration_ns));
        Self {
            loop_frames: totals.map(|totals| totals.frames),
            frames: least(frames, plan.limit),
            duration_ns: least(duration.filter(|_| plan.limit.is_none()), plan.duration_ns),
        }
    }

    /// Loops ended when so many frames are sent.
    pub(super) fn loops(&self, packets: u64, fed: &Fed) -> u64 {
        self.loop_frames.or(fed.loop_frames()).map_or(0, |frames| packets / frames.max(1))
    }

    /// How much of all is done, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a part needs no more than 52 bits")]
    fn part(&self, packets: u64, elapsed_ns: u64) -> Option<f64> {
        let part = |done: u64, all: Option<u64>| Some(done as f64 / all?.max(1) as f64);
        let (by_time, by_frames) = (part(elapsed_ns, self.duration_ns), part(packets, self.frames));
        // By time where frames have times: they come unevenly.
        by_time.or(by_frames).map(|part| part.clamp(0.0, 1.0))
    }
}

impl Watch<'_> {
    /// Starts the workers, when they and the frames are there, and waits for their end. Returns whether it came early.
    pub(super) fn conduct(&self) -> bool {
        let is_begun = self.await_readiness();
        if !is_begun || self.is_asked_to_stop() {
            self.pace.stop();
            return true;
        }
        let start = self.pace.start::<TscClock>();
        let (scale, mut seen) = (Scale::new(TscClock::hz()), Seen::default());
        let mut told = Instant::now();
        while self.pace.ended() < self.tallies.len() {
            if self.is_asked_to_stop() {
                self.pace.stop();
                return true;
            }
            thread::sleep(LOOK_EVERY);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let elapsed_ns = scale.ns(TscClock::now().saturating_sub(start));
                self.requests.answer(&Event::ReplayProgress(self.progress(elapsed_ns, &mut seen)));
            }
        }
        false
    }

    /// False when it can't start.
    fn await_readiness(&self) -> bool {
        let began = Instant::now();
        let mut first_at = None;
        loop {
            let are_ready = self.pace.ready() == self.tallies.len();
            if self.fed.frames() > 0 {
                first_at.get_or_insert_with(Instant::now);
            }
            let has_waited = first_at.is_some_and(|at: Instant| at.elapsed() > PRIME_WAIT);
            if are_ready && (self.fed.is_primed() || has_waited) {
                return true;
            }
            let are_lost = !are_ready && began.elapsed() > READY_WAIT;
            if self.is_asked_to_stop() || are_lost || self.pace.ended() > 0 {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn is_asked_to_stop(&self) -> bool {
        self.requests.stop().load(Ordering::Relaxed)
    }

    fn progress(&self, elapsed_ns: u64, seen: &mut Seen) -> ReplayProgress {
        let sums = self.tallies.iter().map(Tally::so_far);
        let (packets, bytes) = sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        ReplayProgress {
            elapsed_ns,
            packets,
            bytes,
            loops: self.course.loops(packets, self.fed),
            part: self.course.part(packets, elapsed_ns),
            error_median_ns: seen.median_since(self.tallies.iter().map(|tally| &tally.errors)),
        }
    }
}
