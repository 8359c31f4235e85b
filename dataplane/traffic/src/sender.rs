//! A worker of a replay: sends each frame when it is due, late rather than never.
//!
//! One round of the loop: look at what is next; wait on the clock until it is due; take everything that is due then
//! and leaves by the same port, up to a burst; offer it to the port until all is taken; note the time. Frames of a
//! worker leave in their order, over both ports.

use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use engine::burst::Burst;
use engine::port::{Clock as _, Devices, Mbuf as _, TxQueue as _};
use engine::ticks::Scale;
use hdrhistogram::Histogram;

use crate::device_clock::DeviceClock;
use crate::histogram::{empty, record};
use crate::pace::Runner;
use crate::replay::Layer;
use crate::supply::{Next, Supply};
use crate::timing::Coarse;

/// Frames that are offered to a port at once at most.
const OUT_MAX: usize = 64;
/// A device that sends at given times gets frames so much earlier.
const AHEAD_NS: u64 = 200_000;
/// Frames that are due within the time that was given may be sent so much later.
const GRACE_NS: u64 = 1_000_000_000;

/// What a worker tells while it sends. Written by it alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
    /// Timing errors, in nanoseconds.
    pub errors: Coarse,
}

/// What a worker has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames that ports took, and their bytes, by [`Layer::L2`] and [`Layer::L1`].
    pub packets: u64,
    /// See `packets`.
    pub bytes: u64,
    /// See `packets`.
    pub wire_bytes: u64,
    /// When the first and the last of them were taken, in ticks since the start.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// How often frames that were due had not come yet.
    pub starved: u64,
    /// Frames that were due were not sent within the time that was given.
    pub is_cut: bool,
}

/// How a worker sends.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Frames have times; otherwise each is sent as soon as it can be.
    pub is_timed: bool,
    /// The end, in nanoseconds since the start.
    pub duration_ns: u64,
}

/// A worker.
#[derive(Debug)]
pub struct Sender<'a, D: Devices> {
    /// Its transmit queues: the client's side, the server's.
    tx: [Option<&'a mut D::Tx>; 2],
    /// Of devices that send at given times.
    clocks: [Option<DeviceClock>; 2],
    /// In ticks.
    ahead: u64,
    tally: &'a Tally,
    is_timed: bool,
    scale: Scale,
    /// In ticks.
    end: u64,
    out: Burst<D::Mbuf, OUT_MAX>,
    /// When the frames in `out` are due, in order.
    due: ArrayVec<u64, OUT_MAX>,
    sent: Sent,
    /// How much later than due frames were taken, in nanoseconds.
    errors: Histogram<u64>,
}

impl Tally {
    /// Frames and bytes sent so far.
    pub fn so_far(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl<'a, D: Devices> Sender<'a, D> {
    /// A worker that sends by these queues. Allocates 200 KB.
    pub fn new(tx: [Option<&'a mut D::Tx>; 2], tally: &'a Tally, manner: Manner) -> Self {
        let scale = Scale::new(D::Clock::hz());
        let Manner { is_timed, duration_ns } = manner;
        let grace = if is_timed { GRACE_NS } else { 0 };
        let end = match duration_ns.checked_add(grace) {
            Some(end) => scale.ticks(end),
            None => u64::MAX,
        };
        Self {
            tx,
            clocks: [None, None],
            ahead: scale.ticks(AHEAD_NS),
            tally,
            is_timed,
            scale,
            end,
            out: Burst::default(),
            due: ArrayVec::new(),
            sent: Sent::default(),
            errors: empty(),
        }
    }

    /// Sends all that comes. Returns how much later than due the frames were taken, too, in nanoseconds; nothing at top
    /// speed. Thread: a worker's. Allocates nothing.
    pub fn run(
        mut self,
        mut supply: impl Supply<Mbuf = D::Mbuf>,
        runner: &Runner<'_>,
    ) -> (Sent, Histogram<u64>) {
        if self.is_timed {
            for (clock, tx) in self.clocks.iter_mut().zip(&self.tx) {
                *clock = tx.as_deref().and_then(DeviceClock::measure::<D::Clock>);
            }
        }
        if let Some(start) = runner.await_start::<D::Clock>() {
            self.send_all(&mut supply, runner, start);
        }
        self.finish()
    }

    fn send_all(
        &mut self,
        supply: &mut impl Supply<Mbuf = D::Mbuf>,
        runner: &Runner<'_>,
        start: u64,
    ) {
        let mut was_dry = false;
        loop {
            let slot = match supply.peek() {
                Next::At(slot) => slot,
                Next::End => return,
                Next::NotYet => {
                    was_dry = true;
                    if runner.is_stopped() || self.is_over(start) {
                        return;
                    }
                    D::Clock::pause();
                    continue;
                }
            };
            let due = start.saturating_add(slot.due).saturating_sub(self.ahead_of(slot.side));
            let Some(now) = runner.await_due::<D::Clock>(due, self.scale) else { return };
            self.sent.starved += u64::from(was_dry && now > due);
            was_dry = false;
            self.collect(supply, slot.side, start, now);
            if !self.send(slot.side, runner, start) {
                return;
            }
        }
    }

    /// How much earlier than due frames are given to a port, in ticks.
    #[inline]
    fn ahead_of(&self, side: u8) -> u64 {
        let is_timed = self.clocks.get(usize::from(side)).is_some_and(Option::is_some);
        if is_timed { self.ahead } else { 0 }
    }

    /// Takes what is due and leaves by the same port.
    #[inline]
    fn collect(
        &mut self,
        supply: &mut impl Supply<Mbuf = D::Mbuf>,
        side: u8,
        start: u64,
        now: u64,
    ) {
        let elapsed = (now + self.ahead_of(side)).saturating_sub(start);
        let place = usize::from(side);
        let clock = self.clocks.get_mut(place).and_then(Option::as_mut);
        let tx = self.tx.get(place).and_then(Option::as_deref);
        let mut clock = clock.zip(tx).map(|(clock, tx)| {
            clock.follow::<D::Clock>(now, tx);
            clock
        });
        while !self.out.is_full() {
            let Next::At(slot) = supply.peek() else { return };
            if slot.side != side || slot.due > elapsed {
                return;
            }
            let Some(mut frame) = supply.take() else { return };
            if let Some(clock) = &mut clock {
                // A frame that somebody else holds is sent when it is given: the caller has seen to that.
                frame.send_at(clock.at(start.saturating_add(slot.due)));
            }
            let len = frame.len();
            self.sent.bytes += len as u64;
            self.sent.wire_bytes += Layer::L1.bytes_of(len);
            if self.out.push(frame).is_err() || self.due.try_push(slot.due).is_err() {
                return;
            }
        }
    }

    /// Offers frames until all are taken; false when it is over before.
    #[inline]
    fn send(&mut self, side: u8, runner: &Runner<'_>, start: u64) -> bool {
        while !self.out.is_empty() {
            let Some(tx) = self.tx.get_mut(usize::from(side)).and_then(Option::as_mut) else {
                return false;
            };
            let taken = tx.send(&mut self.out);
            let elapsed = D::Clock::now().saturating_sub(start);
            if taken > 0 {
                self.note(taken, elapsed);
            } else {
                if runner.is_stopped() {
                    return false;
                }
                D::Clock::pause();
            }
            if elapsed >= self.end {
                self.sent.is_cut |= self.is_timed;
                return false;
            }
        }
        !runner.is_stopped()
    }

    /// Notes that a port has taken the first `taken` frames.
    #[inline]
    fn note(&mut self, taken: usize, elapsed: u64) {
        let sent = &mut self.sent;
        if sent.packets == 0 {
            sent.first = elapsed;
        }
        sent.last = elapsed;
        sent.packets += taken as u64;
        self.tally.packets.store(sent.packets, Ordering::Relaxed);
        self.tally.bytes.store(sent.bytes, Ordering::Relaxed);
        let taken = taken.min(self.due.len());
        if self.is_timed {
            let mut last = 0;
            for due in self.due.iter().take(taken) {
                last = self.scale.ns(elapsed.saturating_sub(*due));
                record(&mut self.errors, last, 1);
            }
            self.tally.errors.record(last);
        }
        self.due.drain(..taken);
    }

    /// Out of time.
    fn is_over(&self, start: u64) -> bool {
        D::Clock::now().saturating_sub(start) >= self.end
    }

    fn finish(mut self) -> (Sent, Histogram<u64>) {
        for frame in self.out.frames() {
            self.sent.bytes -= frame.len() as u64;
            self.sent.wire_bytes -= Layer::L1.bytes_of(frame.len());
        }
        D::Mbuf::free_bulk(&mut self.out);
        (self.sent, self.errors)
    }
}

#[cfg(test)]
mod tests;
