//! One worker of a replay: sends each frame when it is due.
//!
//! It polls its clock; frames that are due together leave in one burst, with one reading of the clock for all of them.
//! What the device does not take is offered again until it does: a replay may be late, and says how much, but loses
//! nothing.

use engine::burst::BURST_MAX;
use engine::port::{Clock, Devices, TxQueue};
use engine::ticks::Scale;
use hdrhistogram::Histogram;

use crate::histogram;
use crate::reel::{Copier, Reel};
use crate::replay::Layer;
use crate::stage::{Progress, Stage};
use crate::tray::{Taker, Tray};

/// Where a worker's frames come from.
#[derive(Debug)]
pub enum Source<D: Devices> {
    /// From one who reads captures meanwhile.
    Stream(Taker<D::Mbuf>),
    /// From memory.
    Reel {
        /// The frames.
        reel: Reel<D::Mbuf>,
        /// By side: what makes copies, where the port does not take frames that are held twice.
        copiers: [Option<Copier<D>>; 2],
    },
}

/// One worker.
#[derive(Debug)]
pub struct Sender<D: Devices> {
    /// Its place on the stage.
    worker: usize,
    source: Source<D>,
    /// What comes next, of a stream.
    next: Box<Tray<D::Mbuf>>,
    /// What is due, for one port.
    out: Box<Tray<D::Mbuf>>,
    /// Frames have times.
    is_timed: bool,
    /// It ends then, in ticks from the start.
    end: u64,
    scale: Scale,
    /// Nothing was there when it was looked for last.
    was_empty: bool,
    error: Box<Histogram<u64>>,
    account: SenderAccount,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderAccount {
    /// Frames that ports took.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their bytes on the wire ([`Layer::L1`]).
    pub wire_bytes: u64,
    /// Frames that were taken from the source and not sent.
    pub unsent: u64,
    /// When a port took the first one, in ticks from the start.
    pub first: Option<u64>,
    /// The last one.
    pub last: u64,
    /// How often a frame came only when it was due already: who reads did not keep up.
    pub starved: u64,
}

impl<D: Devices> Sender<D> {
    /// A worker at that place of the stage. `is_timed`: frames have times, and how well they are kept is measured.
    /// `end`: when it ends, in ticks from the start, whatever there is.
    pub fn new(worker: usize, source: Source<D>, is_timed: bool, end: u64) -> Self {
        Self {
            worker,
            source,
            next: Box::default(),
            out: Box::default(),
            is_timed,
            end,
            scale: Scale::new(D::Clock::hz()),
            was_empty: false,
            error: Box::new(histogram::empty()),
            account: SenderAccount::default(),
        }
    }

    /// Sends everything, from the stage's start on. `tx`: the queues of the client's and the server's port. Returns
    /// what was done, and the timing error that nobody has asked for. Thread: worker, pinned.
    pub fn run(
        mut self,
        tx: [Option<&mut D::Tx>; 2],
        stage: &Stage,
    ) -> (SenderAccount, Histogram<u64>) {
        let mut tx = tx;
        stage.is_ready();
        let start = loop {
            if let Some(start) = stage.start() {
                break start;
            }
            if stage.is_stopped() {
                return self.finish(stage);
            }
            D::Clock::pause();
        };
        while !stage.is_stopped() {
            let now = D::Clock::now();
            let Some(now) = now.checked_sub(start) else {
                D::Clock::pause();
                continue;
            };
            if now >= self.end || !self.turn(now, &mut tx, stage) {
                break;
            }
        }
        self.finish(stage)
    }

    /// Sends what is due; false when nothing is left. `now`: ticks from the start.
    #[inline]
    pub fn turn(&mut self, now: u64, tx: &mut [Option<&mut D::Tx>; 2], stage: &Stage) -> bool {
        self.fill(now);
        let Some(cue) = self.out.cues.first() else {
            stage.answer(self.worker, &mut self.error);
            D::Clock::pause();
            return !self.is_over();
        };
        let Some(Some(tx)) = tx.get_mut(usize::from(cue.side)) else {
            // The plan names no such port.
            self.drop_out();
            return true;
        };
        let accepted = tx.send(&mut self.out.frames);
        if accepted > 0 {
            self.count(now, accepted);
            let SenderAccount { packets, bytes, .. } = self.account;
            stage.tell(self.worker, Progress { packets, bytes, loops: self.loops() });
            stage.answer(self.worker, &mut self.error);
        }
        true
    }

    /// Puts what is due behind what the device did not take.
    #[inline]
    fn fill(&mut self, now: u64) {
        match &mut self.source {
            Source::Reel { reel, copiers: [None, None] } => {
                reel.take::<D>(now, &mut self.out, None);
            }
            Source::Reel { reel, copiers } => {
                let side = self.out.cues.first().map_or_else(|| reel.side(), |cue| cue.side);
                let copier = copiers.get_mut(usize::from(side)).and_then(Option::as_mut);
                reel.take::<D>(now, &mut self.out, copier);
            }
            Source::Stream(taker) => {
                if !self.out.cues.is_empty() {
                    return;
                }
                if self.next.cues.is_empty() {
                    let came = taker.take(&mut self.next);
                    let is_late = came && self.next.cues.first().is_some_and(|cue| cue.due <= now);
                    self.account.starved += u64::from(self.was_empty && is_late && self.is_timed);
                    self.was_empty = !came;
                }
                let (due, all) = (self.next.due(now, BURST_MAX), self.next.cues.len());
                if due == all {
                    core::mem::swap(&mut self.next, &mut self.out);
                } else {
                    self.next.move_front(due, &mut self.out);
                }
            }
        }
    }

    /// Counts the first `accepted` frames of what was due.
    #[inline]
    fn count(&mut self, now: u64, accepted: usize) {
        let account = &mut self.account;
        account.packets += accepted as u64;
        account.first.get_or_insert(now);
        account.last = now;
        for cue in self.out.cues.drain(..accepted) {
            let len = cue.len as usize;
            account.bytes += len as u64;
            account.wire_bytes += Layer::L1.bytes_of(len);
            if self.is_timed {
                histogram::record(&mut self.error, self.scale.ns(now.saturating_sub(cue.due)), 1);
            }
        }
    }

    fn is_over(&self) -> bool {
        match &self.source {
            Source::Stream(taker) => self.next.cues.is_empty() && taker.is_over(),
            Source::Reel { reel, .. } => reel.is_over(),
        }
    }

    fn loops(&self) -> u64 {
        match &self.source {
            Source::Stream(_) => 0,
            Source::Reel { reel, .. } => reel.loops(),
        }
    }

    #[cold]
    fn drop_out(&mut self) {
        self.account.unsent += self.out.cues.len() as u64;
        *self.out = Tray::default();
    }

    /// Gives everything back.
    fn finish(mut self, stage: &Stage) -> (SenderAccount, Histogram<u64>) {
        let SenderAccount { packets, bytes, .. } = self.account;
        stage.tell(self.worker, Progress { packets, bytes, loops: self.loops() });
        self.drop_out();
        stage.has_ended();
        let mut error = histogram::empty();
        histogram::add(&mut error, &self.error);
        (self.account, error)
    }
}

#[cfg(test)]
mod tests;
