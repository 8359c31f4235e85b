//! One stream's frames, sent when they are due.
//!
//! What the port does not take is offered again, with a new stamp, as long as the stream lasts. What it has not
//! taken by then is not sent: the duration is never stretched (RFC 9971 §3.3). Only a sender that was kept from
//! its core, while its port takes all, may send what was due a little later.

use std::sync::Arc;

use arrayvec::ArrayVec;
use engine::burst::{BURST_MAX, Burst};
use engine::port::{Clock as _, Devices, Mbuf as _, Mempool as _, TxQueue as _};

use crate::frames::{FrameSet, Unsealed};
use crate::load::Load;
use crate::stamp::Stamps;

/// What sends a stream, on one worker.
#[derive(Debug)]
pub struct Generator<D: Devices> {
    stream: u8,
    tx: usize,
    frames: Arc<FrameSet>,
    stamps: Stamps,
    load: Load,
    /// Frames that are made and not sent, and what is to be written into each.
    out: Burst<D::Mbuf>,
    unsealed: ArrayVec<Unsealed, BURST_MAX>,
    /// Empty buffers.
    spare: Burst<D::Mbuf>,
    made: u64,
    sent: u64,
    late_ticks_max: u64,
    /// From the start, when the last frame was sent.
    last_ticks: u64,
    is_done: bool,
}

/// What a generator has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The stream.
    pub stream: u8,
    /// Frames that should have been sent.
    pub intended: u64,
    /// Frames that the port took.
    pub sent: u64,
    /// How late a frame was at most, in ticks; 0 where none had a time.
    pub late_ticks_max: u64,
    /// When the last frame was sent, in ticks from the start.
    pub last_ticks: u64,
}

impl<D: Devices> Generator<D> {
    /// A generator of stream `stream` that sends by port `tx`.
    pub fn new(stream: u8, tx: usize, frames: Arc<FrameSet>, load: Load, stamps: Stamps) -> Self {
        Self {
            stream,
            tx,
            frames,
            stamps,
            load,
            out: Burst::new(),
            unsealed: ArrayVec::new(),
            spare: Burst::new(),
            made: 0,
            sent: 0,
            late_ticks_max: 0,
            last_ticks: 0,
            is_done: false,
        }
    }

    /// The port that it sends by.
    pub fn tx(&self) -> usize {
        self.tx
    }

    /// What it sends: numbers from 0 on.
    pub fn frames(&self) -> &Arc<FrameSet> {
        &self.frames
    }

    /// All is sent, or the time is over.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Sends what is due `elapsed` ticks after the start, at most a burst; returns how many frames the port took.
    /// Cost: per frame a copy of its bytes and about 150 instructions; one reading of the clock.
    #[inline]
    pub fn turn(&mut self, elapsed: u64, tx: &mut D::Tx, pool: &mut D::Pool) -> usize {
        if self.is_done {
            return 0;
        }
        let due = if self.load.is_closed(elapsed) { 0 } else { self.load.due(elapsed) };
        self.make(due, pool);
        let offered = self.out.len();
        let taken = self.send(elapsed, tx);
        let has_sent_all = self.load.intended().is_some_and(|intended| self.sent >= intended);
        // After the end only what this side is late with: a port that is behind has had its time.
        let is_behind = taken < offered || self.load.is_closed(elapsed);
        if has_sent_all || self.load.is_over(elapsed) && is_behind {
            self.end();
        }
        taken
    }

    /// Sends no more, and gives all buffers back.
    pub fn end(&mut self) {
        self.is_done = true;
        self.unsealed.clear();
        D::Mbuf::free_bulk(&mut self.out);
        D::Mbuf::free_bulk(&mut self.spare);
    }

    /// What it has done.
    pub fn sent(&self) -> Sent {
        Sent {
            stream: self.stream,
            intended: self.load.intended().unwrap_or(self.sent),
            sent: self.sent,
            late_ticks_max: self.late_ticks_max,
            last_ticks: self.last_ticks,
        }
    }

    /// Writes the frames up to number `due`, as many as the burst holds.
    #[inline]
    fn make(&mut self, due: u64, pool: &mut D::Pool) {
        while self.made < due && !self.out.is_full() {
            if self.spare.is_empty() && pool.alloc_bulk(&mut self.spare) == 0 {
                return;
            }
            let Some(mut frame) = self.spare.pop() else { return };
            let Some(bytes) = frame.append(self.frames.len_of(self.made)) else { return };
            let unsealed = self.frames.write(self.made, bytes);
            if self.out.push(frame).is_err() || self.unsealed.try_push(unsealed).is_err() {
                return;
            }
            self.made += 1;
        }
    }

    /// Stamps all frames that are made, and offers them to the port.
    #[inline]
    fn send(&mut self, elapsed: u64, tx: &mut D::Tx) -> usize {
        let Some(first) = self.unsealed.first() else { return 0 };
        if let Some(due) = self.load.time_of(first.number()) {
            self.late_ticks_max = self.late_ticks_max.max(elapsed.saturating_sub(due));
        }
        let ticks = D::Clock::now();
        for (frame, unsealed) in self.out.frames_mut().iter_mut().zip(&self.unsealed) {
            unsealed.seal(self.stamps, self.stream, ticks, frame.head_mut());
        }
        let taken = tx.send(&mut self.out);
        if taken > 0 {
            self.unsealed.drain(..taken.min(self.unsealed.len()));
            self.sent += taken as u64;
            self.last_ticks = elapsed;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use engine::sim::{Sim, SimOutput, SimPool, TxFaults};

    use super::*;
    use crate::frames::samples::{made, path};
    use crate::trial::{Frames, Made, Spread};

    const STAMPS: Stamps = Stamps { secret: 1, trial: 1 };
    const MS: u64 = 1_000_000;

    struct Rig {
        generator: Generator<Sim>,
        output: SimOutput,
        pool: SimPool,
        set: Arc<FrameSet>,
    }

    impl Rig {
        fn new(load: Load) -> Self {
            let made = Made { flows: 10, spread: Spread::Uniform, ..made(&[64, 128]) };
            let set = Arc::new(FrameSet::new(&Frames::Made(made), &path()).unwrap());
            let generator = Generator::new(0, 0, Arc::clone(&set), load, STAMPS);
            Self { generator, output: SimOutput::memory(), pool: SimPool::new(2048, 1000), set }
        }

        fn turn(&mut self, elapsed: u64) -> usize {
            self.generator.turn(elapsed, &mut self.output.tx(), &mut self.pool)
        }

        /// The numbers of what was sent.
        fn numbers(&self) -> Vec<u64> {
            let frames = self.output.take_sent().into_iter();
            let numbers = frames.map(|frame| {
                let (_, stamp) = self.set.place().find(&frame.bytes, STAMPS).unwrap();
                assert_eq!(frame.bytes.len(), self.set.len_of(stamp.number));
                stamp.number
            });
            numbers.collect()
        }
    }

    #[test]
    fn frames_leave_when_they_are_due_and_not_before() {
        let mut rig = Rig::new(Load::even(1e6, MS, 1_000_000_000));
        assert_eq!([0, 500, 999, 1000, 1001, 10_000].map(|at| rig.turn(at)), [1, 0, 0, 1, 0, 9]);
        assert_eq!(rig.numbers(), (0..11).collect::<Vec<_>>());
        // Late, a burst at a time.
        assert_eq!([200_000, 200_001, 200_002].map(|at| rig.turn(at)), [64, 64, 62]);
        for at in (201_000..MS).step_by(1000) {
            rig.turn(at);
        }
        assert!(!rig.generator.is_done() || rig.generator.sent().sent == 1000);
        rig.turn(MS);
        let sent = rig.generator.sent();
        assert_eq!((sent.intended, sent.sent, sent.late_ticks_max), (1000, 1000, 189_000));
        assert!(rig.generator.is_done());
        assert_eq!(rig.pool.in_use(), 0);
    }

    #[test]
    fn what_the_port_does_not_take_in_time_is_not_sent() {
        let mut rig = Rig::new(Load::even(1e6, MS, 1_000_000_000));
        rig.output.set_faults(TxFaults { accepts_per_call: 1, ..TxFaults::default() });
        // A turn every two microseconds: half of what is due.
        for at in (0..=MS + 10_000).step_by(2000) {
            rig.turn(at);
        }
        let sent = rig.generator.sent();
        assert_eq!((sent.intended, sent.sent), (1000, 501));
        assert_eq!(rig.numbers(), (0..501).collect::<Vec<_>>());
        assert_eq!(rig.pool.in_use(), 0);
    }

    #[test]
    fn who_was_kept_from_the_core_at_the_end_may_catch_up_for_a_little_while() {
        for (late, sent) in [(MS, 1000), (101 * MS, 0)] {
            let mut rig = Rig::new(Load::even(1e6, MS, 1_000_000_000));
            for turn in 0..20 {
                rig.turn(MS + late + turn);
            }
            assert_eq!((rig.generator.sent().sent, rig.generator.is_done()), (sent, true));
        }
    }

    #[test]
    fn what_is_offered_again_has_a_new_stamp() {
        let mut rig = Rig::new(Load::burst(2, MS));
        rig.output.set_faults(TxFaults { is_down: true, ..TxFaults::default() });
        assert_eq!(rig.turn(0), 0);
        engine::sim::SimClock::advance(777);
        rig.output.set_faults(TxFaults::default());
        assert_eq!(rig.turn(1), 2);
        let frames = rig.output.take_sent();
        let (_, stamp) = rig.set.place().find(&frames[1].bytes, STAMPS).unwrap();
        assert_eq!((stamp.number, stamp.ticks), (1, 777));
        assert!(rig.generator.is_done());
    }

    #[test]
    fn without_a_rate_the_port_is_kept_busy_until_the_end() {
        let mut rig = Rig::new(Load::top(MS));
        assert_eq!([0, 1, MS - 1, MS, MS + 1].map(|at| rig.turn(at)), [64, 64, 64, 0, 0]);
        let sent = rig.generator.sent();
        assert_eq!((sent.intended, sent.sent, sent.last_ticks), (192, 192, MS - 1));
    }

    #[test]
    fn a_burst_ends_with_its_last_frame_and_a_dry_pool_ends_nothing() {
        let mut rig = Rig::new(Load::burst(100, MS));
        let mut held = Burst::new();
        rig.pool = SimPool::new(2048, 100);
        assert_eq!(rig.pool.alloc_bulk(&mut held), 64);
        assert_eq!(rig.turn(0), 0);
        held.clear();
        assert_eq!([1, 2, 3].map(|at| rig.turn(at)), [64, 36, 0]);
        assert_eq!(rig.generator.sent().sent, 100);
    }
}
