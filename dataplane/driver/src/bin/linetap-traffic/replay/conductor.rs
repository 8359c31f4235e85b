//! Begins a replay, tells how far it is, and ends it.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use driver::{Dpdk, TscClock};
use engine::port::Clock as _;
use hdrhistogram::Histogram;
use traffic::histogram;
use traffic::link::Event;
use traffic::replay::ReplayProgress;
use traffic::sender::{Sender, SenderAccount};
use traffic::stage::Stage;

use super::cast::{Cast, Feeding};
use crate::crew;
use crate::desk::Desk;
use crate::requests::Requests;

/// What is read ahead before the start takes no longer, or comes too slowly to be waited for.
const AHEAD_WAIT: Duration = Duration::from_millis(500);
/// A worker that is not ready by then has failed.
const READY_WAIT: Duration = Duration::from_secs(10);
/// Between two words about the progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at what goes on.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The start is so long after all are ready.
const LEAD_NS: u64 = 1_000_000;

/// The main thread's part.
pub(super) struct Conductor<'a> {
    pub(super) stage: &'a Stage,
    pub(super) cast: &'a Cast<'a>,
    pub(super) feeding: &'a Feeding,
}

/// What came of it.
pub(super) struct Conducted {
    /// By worker.
    pub(super) accounts: Vec<SenderAccount>,
    /// The timing error of all frames.
    pub(super) error: Histogram<u64>,
    /// It was ended early.
    pub(super) was_stopped: bool,
}

impl Conductor<'_> {
    /// Runs all workers to their end. Errors: workers that failed.
    pub(super) fn run(
        &self,
        desk: &mut Desk,
        parts: Vec<Sender<Dpdk>>,
    ) -> Result<Conducted, Vec<String>> {
        let Desk { lab, requests, .. } = desk;
        let sides = [self.cast.ports.first().copied(), self.cast.ports.get(1).copied()];
        let mut error = histogram::empty();
        let run = crew::run(
            &mut lab.workers,
            parts,
            |worker, sender: Sender<Dpdk>| {
                let tx = queues(&mut worker.tx, sides);
                sender.run(tx, self.stage)
            },
            || self.conduct(requests, &mut error),
        );
        self.stage.stop();
        let (ends, was_stopped) = run?;
        let mut accounts = Vec::new();
        for (account, rest) in ends {
            accounts.push(account);
            histogram::add(&mut error, &rest);
        }
        self.stage.gather(&mut error);
        Ok(Conducted { accounts, error, was_stopped })
    }

    /// Starts the workers, and waits for their end. Returns whether it was ended early.
    fn conduct(&self, requests: &Requests, error: &mut Histogram<u64>) -> bool {
        let is_stopped = || requests.stop().load(Ordering::Relaxed);
        let wait = |patience: Duration, is_so: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !is_so() && !is_stopped() && began.elapsed() < patience {
                thread::sleep(LOOK_EVERY);
            }
        };
        wait(READY_WAIT, &|| self.stage.are_all_ready());
        wait(AHEAD_WAIT, &|| self.feeding.is_ahead());
        if !self.stage.are_all_ready() || is_stopped() {
            self.stage.stop();
            return is_stopped();
        }
        self.stage.start_at(TscClock::now() + Cast::scale().ticks(LEAD_NS));
        let (began, mut told) = (Instant::now(), Instant::now());
        while !self.stage.have_all_ended() {
            if is_stopped() {
                self.stage.stop();
                return true;
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let progress = self.progress(began.elapsed(), error);
                requests.answer(&Event::ReplayProgress(progress));
                self.stage.ask();
            }
            thread::sleep(LOOK_EVERY);
        }
        false
    }

    fn progress(&self, elapsed: Duration, error: &mut Histogram<u64>) -> ReplayProgress {
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let now = self.stage.progress();
        let loop_frames = self.cast.totals.map(|totals| totals.frames);
        ReplayProgress {
            elapsed_ns,
            packets: now.packets,
            bytes: now.bytes,
            loops: loop_frames.map_or(0, |frames| now.packets / frames.max(1)),
            part: self.part(now.packets, elapsed_ns),
            error_median_ns: self.stage.gather(error),
        }
    }

    /// Of all that shall be sent, so much is, 0 to 1, by whichever limit comes first.
    #[expect(clippy::cast_precision_loss, reason = "a part needs no more than 52 bits")]
    fn part(&self, packets: u64, elapsed_ns: u64) -> Option<f64> {
        let plan = self.cast.plan;
        let ratio = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let all = self
            .cast
            .totals
            .zip(plan.loops)
            .map(|(totals, loops)| totals.frames.saturating_mul(loops));
        let parts = [
            all.map(|all| ratio(packets, all)),
            plan.limit.map(|limit| ratio(packets, limit)),
            plan.duration_ns.map(|duration| ratio(elapsed_ns, duration)),
        ];
        parts.into_iter().flatten().reduce(f64::max).map(|part| part.min(1.0))
    }
}

/// The transmit queues of both sides.
fn queues(
    tx: &mut [Option<driver::TxQueue>],
    sides: [Option<usize>; 2],
) -> [Option<&mut driver::TxQueue>; 2] {
    let mut found = [None, None];
    for (port, queue) in tx.iter_mut().enumerate() {
        if let Some(side) = sides.iter().position(|&side| side == Some(port))
            && let Some(place) = found.get_mut(side)
        {
            *place = queue.as_mut();
        }
    }
    found
}
