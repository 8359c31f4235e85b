//! One worker's part in a trial, and what workers and the one who conducts them share.
//!
//! A worker sends its streams and receives by its queues in turn. It begins and ends with the others: the conductor
//! sets the time of the start, and the end, once all that was sent has come or nothing more is awaited.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;

use engine::burst::Burst;
use engine::port::{Clock, Devices, Mbuf as _, RxQueue as _};
use engine::ticks::Scale;

use crate::frames::FrameSet;
use crate::generator::{Generator, Sent};
use crate::learning::Lesson;
use crate::receiver::{Came, Receiver};

/// Between two looks of the conductor.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Workers that are not ready by then never are; they may have flows to teach.
const READY_NS: u64 = 10_000_000_000;
/// Between two bursts of learning frames: some 30,000 a second by each port.
const LESSON_NS: u64 = 2_000_000;
/// After the last one.
const LEARNED_NS: u64 = 50_000_000;
/// The start is so long after all are ready.
const LEAD_NS: u64 = 1_000_000;
/// When all has come, so long is waited for what comes twice.
const TWINS_NS: u64 = 5_000_000;
/// Bursts of old frames that are taken away before a worker is ready at most, per queue.
const OLD_BURSTS_MAX: usize = 1024;

/// What a worker works with.
#[derive(Debug)]
pub struct Hands<'a, D: Devices> {
    /// Its receive queues, by port.
    pub rx: &'a mut [Vec<D::Rx>],
    /// Its transmit queue, by port.
    pub tx: &'a mut [Option<D::Tx>],
    /// Empty frames.
    pub pool: &'a mut D::Pool,
}

/// One worker's part.
#[derive(Debug)]
pub struct Station<D: Devices> {
    /// What it sends before.
    pub lessons: Vec<Lesson>,
    /// The streams that it sends.
    pub generators: Vec<Generator<D>>,
    /// By port; absent where it has no receive queue.
    pub receivers: Vec<Option<Receiver>>,
}

/// What came of a worker's part.
#[derive(Debug)]
pub struct Account {
    /// Of each stream that it sent.
    pub sent: Vec<Sent>,
    /// Their frames.
    pub frames: Vec<Arc<FrameSet>>,
    /// By port.
    pub came: Vec<Option<Came>>,
}

/// What all workers and the conductor share.
#[derive(Debug, Default)]
pub struct Baton {
    ready: AtomicUsize,
    /// In ticks; 0 before it is set.
    start: AtomicU64,
    /// Workers that have sent all.
    sent_all: AtomicUsize,
    /// Frames sent by them.
    sent: AtomicU64,
    /// New frames that came, copies included.
    came: AtomicU64,
    stop: AtomicBool,
}

/// How a trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// To its end.
    Well,
    /// Somebody has stopped it.
    Stopped,
    /// Not all workers came.
    NeverBegan,
}

impl<D: Devices> Default for Station<D> {
    fn default() -> Self {
        Self { lessons: Vec::new(), generators: Vec::new(), receivers: Vec::new() }
    }
}

impl<D: Devices> Station<D> {
    /// Does its part. Thread: a worker's.
    pub fn run(mut self, mut hands: Hands<'_, D>, baton: &Baton) -> Account {
        teach(&mut self.lessons, &mut hands, baton);
        drop_old::<D>(hands.rx, OLD_BURSTS_MAX);
        baton.ready.fetch_add(1, Ordering::AcqRel);
        if let Some(start) = wait_for_start::<D>(hands.rx, baton) {
            self.work(&mut hands, baton, start);
        }
        self.generators.iter_mut().for_each(Generator::end);
        Account {
            sent: self.generators.iter().map(Generator::sent).collect(),
            frames: self.generators.iter().map(|it| Arc::clone(it.frames())).collect(),
            came: self.receivers.into_iter().map(|it| it.map(Receiver::finish)).collect(),
        }
    }

    fn work(&mut self, hands: &mut Hands<'_, D>, baton: &Baton, start: u64) {
        let mut burst = Burst::new();
        let (mut has_sent_all, mut untold) = (false, 0);
        while !baton.stop.load(Ordering::Relaxed) {
            if !has_sent_all {
                has_sent_all = self.send(hands, start);
                if has_sent_all {
                    let sent = self.generators.iter().map(|it| it.sent().sent).sum();
                    baton.sent.fetch_add(sent, Ordering::AcqRel);
                    baton.sent_all.fetch_add(1, Ordering::AcqRel);
                }
            }
            let new = self.receive(hands, &mut burst);
            untold += new;
            if new == 0 && untold > 0 {
                baton.came.fetch_add(untold, Ordering::AcqRel);
                untold = 0;
            }
        }
    }

    /// A turn of each generator; true when all are done.
    #[inline]
    fn send(&mut self, hands: &mut Hands<'_, D>, start: u64) -> bool {
        let mut is_done = true;
        for generator in &mut self.generators {
            let Some(tx) = hands.tx.get_mut(generator.tx()).and_then(Option::as_mut) else {
                generator.end();
                continue;
            };
            let now = D::Clock::now();
            if now >= start {
                generator.turn(now - start, tx, hands.pool);
            }
            is_done &= generator.is_done();
        }
        is_done
    }

    /// A burst from each queue; returns the number of new frames.
    #[inline]
    fn receive(&mut self, hands: &mut Hands<'_, D>, burst: &mut Burst<D::Mbuf>) -> u64 {
        let mut new = 0;
        for (queues, receiver) in hands.rx.iter_mut().zip(&mut self.receivers) {
            let Some(receiver) = receiver else { continue };
            for rx in queues {
                if rx.recv(burst) > 0 {
                    new += receiver.take(burst.frames(), D::Clock::now());
                    D::Mbuf::free_bulk(burst);
                }
            }
        }
        new
    }
}

/// Sends all lessons, not too fast for anybody, and leaves time to learn.
fn teach<D: Devices>(lessons: &mut Vec<Lesson>, hands: &mut Hands<'_, D>, baton: &Baton) {
    let scale = Scale::new(D::Clock::hz());
    while !lessons.is_empty() && !baton.stop.load(Ordering::Relaxed) {
        for lesson in &mut *lessons {
            if let Some(tx) = hands.tx.get_mut(lesson.tx).and_then(Option::as_mut) {
                lesson.turn::<D>(tx, hands.pool);
            }
        }
        lessons.retain(|lesson| !lesson.is_done());
        let pause = if lessons.is_empty() { LEARNED_NS } else { LESSON_NS };
        let until = D::Clock::now() + scale.ticks(pause);
        while D::Clock::now() < until {
            drop_old::<D>(hands.rx, 1);
            D::Clock::pause();
        }
    }
}

/// Takes away what has come before, so many bursts of each queue.
fn drop_old<D: Devices>(rx: &mut [Vec<D::Rx>], bursts: usize) {
    let mut burst = Burst::new();
    for queue in rx.iter_mut().flatten() {
        for _ in 0..bursts {
            if queue.recv(&mut burst) == 0 {
                break;
            }
            D::Mbuf::free_bulk(&mut burst);
        }
    }
}

/// The time of the start, a little before it; `None` when there is none.
fn wait_for_start<D: Devices>(rx: &mut [Vec<D::Rx>], baton: &Baton) -> Option<u64> {
    loop {
        let start = baton.start.load(Ordering::Acquire);
        if start != 0 {
            return Some(start);
        }
        if baton.stop.load(Ordering::Relaxed) {
            return None;
        }
        // One each, for the start is soon. Also lets devices answer that are served when they are polled.
        drop_old::<D>(rx, 1);
        D::Clock::pause();
    }
}

impl Baton {
    /// Begins and ends a trial of `workers` workers. Each frame that is sent should come `times` times, copies
    /// included; frames are awaited for `wait_ns`. `stop` ends it early. Thread: any but the workers'.
    pub fn conduct<C: Clock>(
        &self,
        workers: usize,
        times: u64,
        wait_ns: u64,
        stop: &AtomicBool,
    ) -> Ended {
        let scale = Scale::new(C::hz());
        let is_stopped = || stop.load(Ordering::Relaxed);
        let ready = || self.ready.load(Ordering::Acquire) >= workers;
        let is_ready = wait_until::<C>(scale.ticks(READY_NS), || ready() || is_stopped());
        let ended = if is_ready && !is_stopped() {
            self.start.store(C::now() + scale.ticks(LEAD_NS), Ordering::Release);
            self.conduct_from_start::<C>(workers, times, scale.ticks(wait_ns), &is_stopped)
        } else if is_ready {
            Ended::Stopped
        } else {
            Ended::NeverBegan
        };
        self.stop.store(true, Ordering::Relaxed);
        ended
    }

    fn conduct_from_start<C: Clock>(
        &self,
        workers: usize,
        times: u64,
        wait: u64,
        is_stopped: &impl Fn() -> bool,
    ) -> Ended {
        let scale = Scale::new(C::hz());
        let has_sent_all = || self.sent_all.load(Ordering::Acquire) >= workers;
        wait_until::<C>(u64::MAX, || has_sent_all() || is_stopped());
        let all = self.sent.load(Ordering::Acquire).saturating_mul(times);
        let has_come = || self.came.load(Ordering::Acquire) >= all;
        if wait_until::<C>(wait, || has_come() || is_stopped()) {
            wait_until::<C>(scale.ticks(TWINS_NS).min(wait), is_stopped);
        }
        if is_stopped() { Ended::Stopped } else { Ended::Well }
    }
}

/// Looks until something is so, for so many ticks at most; whether it is.
fn wait_until<C: Clock>(ticks: u64, is_so: impl Fn() -> bool) -> bool {
    let began = C::now();
    loop {
        if is_so() {
            return true;
        }
        if C::now().saturating_sub(began) >= ticks {
            return false;
        }
        C::sleep(LOOK_EVERY);
    }
}
