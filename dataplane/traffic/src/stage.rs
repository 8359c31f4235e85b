//! What those who replay share: when it begins, how far it is, and that it shall end.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;

use crate::histogram;

/// The common stage. Thread: any.
#[derive(Debug)]
pub struct Stage {
    ready: AtomicUsize,
    ended: AtomicUsize,
    /// In ticks; 0 before it is set.
    start: AtomicU64,
    stop: AtomicBool,
    /// By worker.
    places: Vec<Place>,
}

/// What one worker tells, and the others read now and then.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    packets: AtomicU64,
    bytes: AtomicU64,
    loops: AtomicU64,
    is_asked: AtomicBool,
    told: Mutex<Option<Box<Histogram<u64>>>>,
}

/// How far all workers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Loops that all workers have ended.
    pub loops: u64,
}

impl Stage {
    /// A stage for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            ready: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            start: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            places: (0..workers).map(|_| Place::default()).collect(),
        }
    }

    /// A worker is ready to begin.
    pub fn is_ready(&self) {
        self.ready.fetch_add(1, Ordering::AcqRel);
    }

    /// All are.
    pub fn are_all_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) >= self.places.len()
    }

    /// A worker has sent its last frame.
    pub(crate) fn has_ended(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    /// All have.
    pub fn have_all_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) >= self.places.len()
    }

    /// Begins at that time of the workers' clock.
    pub fn start_at(&self, ticks: u64) {
        self.start.store(ticks.max(1), Ordering::Release);
    }

    /// When it begins; `None` as long as that is not known.
    #[inline]
    pub fn start(&self) -> Option<u64> {
        Some(self.start.load(Ordering::Acquire)).filter(|&start| start != 0)
    }

    /// Ends it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// It shall end. Cost: a load.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A worker tells how far it is. Cost: three stores.
    #[inline]
    pub(crate) fn tell(&self, worker: usize, progress: Progress) {
        let Some(place) = self.places.get(worker) else { return };
        place.packets.store(progress.packets, Ordering::Relaxed);
        place.bytes.store(progress.bytes, Ordering::Relaxed);
        place.loops.store(progress.loops, Ordering::Relaxed);
    }

    /// How far all are.
    pub fn progress(&self) -> Progress {
        let sum = |of: fn(&Place) -> &AtomicU64| {
            self.places.iter().map(|place| of(place).load(Ordering::Relaxed)).sum()
        };
        let loops = self.places.iter().map(|place| place.loops.load(Ordering::Relaxed));
        Progress {
            packets: sum(|place| &place.packets),
            bytes: sum(|place| &place.bytes),
            loops: loops.min().unwrap_or(0),
        }
    }

    /// Asks all workers for what they have measured since they were asked last.
    pub fn ask(&self) {
        for place in &self.places {
            place.is_asked.store(true, Ordering::Relaxed);
        }
    }

    /// Where a worker is asked, it gives its histogram away for an empty one. Cost, where it is not: a load.
    #[inline]
    pub(crate) fn answer(&self, worker: usize, measured: &mut Box<Histogram<u64>>) {
        let Some(place) = self.places.get(worker) else { return };
        if place.is_asked.load(Ordering::Relaxed) {
            place.is_asked.store(false, Ordering::Relaxed);
            place.take_over(measured);
        }
    }

    /// What the workers have told since this was called last, added to `all`; returns its median.
    pub fn gather(&self, all: &mut Histogram<u64>) -> u64 {
        let mut since = histogram::empty();
        for place in &self.places {
            let mut told = place.told.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(told) = told.as_mut() {
                histogram::add(&mut since, told);
                told.reset();
            }
        }
        histogram::add(all, &since);
        if since.is_empty() { 0 } else { since.value_at_quantile(0.5) }
    }
}

impl Place {
    /// The place's histogram is empty, or is asked for at this very moment: then it is the next time's.
    #[cold]
    fn take_over(&self, measured: &mut Box<Histogram<u64>>) {
        let Ok(mut told) = self.told.try_lock() else { return };
        match told.as_mut() {
            Some(told) if told.is_empty() => core::mem::swap(told, measured),
            Some(_) => {}
            None => *told = Some(core::mem::replace(measured, Box::new(histogram::empty()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_told_once_and_nothing_is_lost() {
        let stage = Stage::new(2);
        let mut measured = Box::new(histogram::empty());
        let mut all = histogram::empty();
        for round in 0..3 {
            histogram::record(&mut measured, 100 << round, 3);
            stage.answer(1, &mut measured);
            assert_eq!(measured.is_empty(), round == 1, "it is given where it is asked for");
            stage.ask();
        }
        assert!(stage.gather(&mut all).abs_diff(100) < 5);
        assert_eq!(stage.gather(&mut all), 0);
        histogram::add(&mut all, &measured);
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn progress_is_the_sum_and_loops_those_of_the_last() {
        let stage = Stage::new(2);
        stage.tell(0, Progress { packets: 3, bytes: 30, loops: 2 });
        stage.tell(1, Progress { packets: 4, bytes: 40, loops: 1 });
        assert_eq!(stage.progress(), Progress { packets: 7, bytes: 70, loops: 1 });
        assert!(!stage.are_all_ready() && stage.start().is_none());
    }
}
