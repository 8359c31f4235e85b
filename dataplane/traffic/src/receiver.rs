//! What comes by one port: told apart by stamps, compared with what was sent, counted.

use std::sync::Arc;

use engine::port::{Clock, Mbuf};
use engine::ticks::Scale;

use crate::decap::open;
use crate::frames::{FrameSet, Likeness, Looks, Place};
use crate::sequence::Sequence;
use crate::stamp::{Stamp, Stamps};
use crate::trial::CopyPlan;

/// The longest frame that is put together from several segments.
const FRAME_LEN_MAX: usize = 1 << 16;

/// What came of one stream by one way.
#[derive(Debug)]
pub struct Tally {
    /// Which frames.
    pub sequence: Sequence,
    /// Of them, with other bytes.
    pub corrupted: u64,
    /// Of them, with other headers.
    pub rewritten: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What receives by one port, on one worker.
#[derive(Debug)]
pub struct Receiver {
    stamps: Stamps,
    scale: Scale,
    /// Of every stream.
    frames: Box<[Arc<FrameSet>]>,
    /// Where their stamps may be.
    places: Box<[Place]>,
    /// By stream; absent of those that come by another port.
    tallies: Box<[Option<Tally>]>,
    copies: Option<Copies>,
    /// Frames of no stream that should come here.
    foreign: u64,
    /// Frames of other trials.
    stale: u64,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Copies {
    plan: CopyPlan,
    /// By network, then by stream.
    tallies: Box<[Box<[Tally]>]>,
}

/// What a receiver has counted.
#[derive(Debug)]
pub struct Came {
    /// By stream; absent of those that come by another port.
    pub streams: Box<[Option<Tally>]>,
    /// By network of the plan, then by stream; none where no copies come.
    pub copies: Box<[Box<[Tally]>]>,
    /// Frames of no stream that should come here.
    pub foreign: u64,
}

impl Tally {
    fn new(flows: u32) -> Self {
        Self { sequence: Sequence::new(flows), corrupted: 0, rewritten: 0, bytes: 0 }
    }

    /// Adds what another worker has counted of the same.
    pub fn add(&mut self, other: &Self) {
        self.sequence.add(&other.sequence);
        self.corrupted += other.corrupted;
        self.rewritten += other.rewritten;
        self.bytes += other.bytes;
    }

    /// Records a frame whose stamp was found at `at`. True when it is a new one.
    #[inline]
    fn record(
        &mut self,
        set: &FrameSet,
        (at, stamp): (usize, &Stamp),
        frame: &[u8],
        likeness: Likeness,
        latency_ns: u64,
    ) -> bool {
        let (flow, looks) = set.examine(stamp, at, frame, likeness);
        if !self.sequence.record(stamp.number, flow, latency_ns) {
            return false;
        }
        self.bytes += frame.len() as u64;
        match looks {
            Looks::Right => {}
            Looks::Rewritten => self.rewritten += 1,
            Looks::Corrupted => self.corrupted += 1,
        }
        true
    }
}

impl Receiver {
    /// A receiver by a port. `frames`: of all streams; `here`: whether each comes by this port; `copies`: if they
    /// do. Cost: memory for each that comes, see [`Sequence::new`].
    pub fn new<C: Clock>(
        frames: &[Arc<FrameSet>],
        here: &[bool],
        copies: Option<&CopyPlan>,
        stamps: Stamps,
    ) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for set in frames {
            if !places.contains(&set.place()) {
                places.push(set.place());
            }
        }
        let tallies =
            frames.iter().zip(here).map(|(set, is_here)| is_here.then(|| Tally::new(set.flows())));
        let copies = copies.map(|plan| {
            let of_network = |_| frames.iter().map(|set| Tally::new(set.flows())).collect();
            Copies { plan: plan.clone(), tallies: plan.vnis.iter().map(of_network).collect() }
        });
        Self {
            stamps,
            scale: Scale::new(C::hz()),
            frames: frames.into(),
            places: places.into(),
            tallies: tallies.collect(),
            copies,
            foreign: 0,
            stale: 0,
            scratch: Vec::with_capacity(FRAME_LEN_MAX),
        }
    }

    /// Takes note of frames that were received at `now`; returns how many are new.
    #[inline]
    pub fn take<M: Mbuf>(&mut self, frames: &[M], now: u64) -> u64 {
        let mut new = 0;
        for frame in frames {
            let is_new = if frame.is_contiguous() {
                self.take_one(frame.head(), now)
            } else {
                self.take_chain(frame, now)
            };
            new += u64::from(is_new);
        }
        new
    }

    /// What it has counted.
    pub fn finish(self) -> Came {
        let copies = self.copies.map(|copies| copies.tallies).unwrap_or_default();
        Came { streams: self.tallies, copies, foreign: self.foreign }
    }

    /// Frames of trials before this one that came.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    fn take_chain<M: Mbuf>(&mut self, frame: &M, now: u64) -> bool {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        if frame.len() <= FRAME_LEN_MAX {
            frame.segments().for_each(|segment| bytes.extend_from_slice(segment));
        }
        let is_new = self.take_one(&bytes, now);
        self.scratch = bytes;
        is_new
    }

    #[inline]
    fn take_one(&mut self, frame: &[u8], now: u64) -> bool {
        if let Some(copies) = &self.copies
            && let Some((vni, inner)) = open(frame, copies.plan.udp_port)
            && let Some(network) = copies.plan.vnis.iter().position(|known| *known == vni)
        {
            return self.take_copy(network, inner, now);
        }
        let Some(found) = self.find(frame) else { return false };
        let (_, stamp) = &found;
        let stream = usize::from(stamp.stream);
        let latency_ns = self.scale.ns(stamp.age(now));
        let tally = self.tallies.get_mut(stream).and_then(Option::as_mut);
        let (Some(tally), Some(set)) = (tally, self.frames.get(stream)) else {
            self.foreign += 1;
            return false;
        };
        tally.record(set, (found.0, stamp), frame, Likeness::Forwarded, latency_ns)
    }

    #[inline]
    fn take_copy(&mut self, network: usize, inner: &[u8], now: u64) -> bool {
        let Some((at, stamp)) = self.find(inner) else { return false };
        let stream = usize::from(stamp.stream);
        let latency_ns = self.scale.ns(stamp.age(now));
        let Some(copies) = &mut self.copies else { return false };
        let likeness =
            Likeness::Copied { len_max: copies.plan.len_max.map_or(usize::MAX, usize::from) };
        let tally = copies.tallies.get_mut(network).and_then(|streams| streams.get_mut(stream));
        let (Some(tally), Some(set)) = (tally, self.frames.get(stream)) else {
            self.foreign += 1;
            return false;
        };
        if !copies.plan.wants(network, || set.source_port(stamp.number)) {
            self.foreign += 1;
            return false;
        }
        tally.record(set, (at, &stamp), inner, likeness, latency_ns)
    }

    /// The stamp of a frame of this trial. Others are counted.
    #[inline]
    fn find(&mut self, frame: &[u8]) -> Option<(usize, Stamp)> {
        let found = self.places.iter().find_map(|place| place.find(frame, self.stamps));
        match &found {
            Some((_, stamp)) if stamp.trial == self.stamps.trial => return found,
            Some(_) => self.stale += 1,
            None => self.foreign += 1,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use engine::sim::{SimClock, SimMbuf, SimPool};

    use super::*;
    use crate::frames::samples::{made, path};
    use crate::trial::{Frames, Made, Spread};

    const STAMPS: Stamps = Stamps { secret: 5, trial: 2 };

    fn sets(size: u16, flows: u32) -> [Arc<FrameSet>; 2] {
        [None, Some(7)].map(|vlan| {
            let made = Made { flows, spread: Spread::Uniform, vlan, ..made(&[size]) };
            Arc::new(FrameSet::new(&Frames::Made(made), &path()).unwrap())
        })
    }

    fn bytes(set: &FrameSet, stamps: Stamps, stream: u8, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; set.len_of(number)];
        set.write(number, &mut bytes).seal(stamps, stream, 1000, &mut bytes);
        bytes
    }

    #[test]
    fn frames_are_told_apart_by_stream_trial_and_port() {
        let sets = sets(100, 3);
        let mut receiver = Receiver::new::<SimClock>(&sets, &[true, false], None, STAMPS);
        let pool = SimPool::new(0, 0);
        let mut take = |bytes: &[u8], segment| {
            let frame = pool.frame_in_segments(bytes, segment, 0);
            receiver.take(&[frame], 1500)
        };
        let good = bytes(&sets[0], STAMPS, 0, 8);
        assert_eq!(take(&good, 2000), 1);
        assert_eq!(take(&good, 2000), 0, "again");
        assert_eq!(take(&bytes(&sets[0], STAMPS, 0, 9), 40), 1, "in segments");
        assert_eq!(take(&bytes(&sets[1], STAMPS, 1, 3), 2000), 0, "of the other port");
        assert_eq!(take(&bytes(&sets[0], STAMPS, 9, 3), 2000), 0, "of no stream");
        assert_eq!(take(&bytes(&sets[0], Stamps { trial: 1, ..STAMPS }, 0, 3), 2000), 0);
        assert_eq!(take(&bytes(&sets[0], Stamps { secret: 6, ..STAMPS }, 0, 3), 2000), 0);
        assert_eq!(take(&[0; 30], 2000), 0);
        let mut bad = bytes(&sets[0], STAMPS, 0, 10);
        *bad.last_mut().unwrap() ^= 1;
        assert_eq!(take(&bad, 2000), 1);
        assert_eq!(receiver.stale(), 1);
        let came = receiver.finish();
        let tally = came.streams[0].as_ref().unwrap();
        assert!(came.streams[1].is_none());
        assert_eq!((tally.sequence.received, tally.sequence.duplicated), (3, 1));
        assert_eq!((tally.corrupted, tally.rewritten, tally.bytes), (1, 0, 3 * 96));
        assert_eq!(tally.sequence.latency.count_at(500), 3);
        assert_eq!(came.foreign, 4);
    }

    /// Not a test: `cargo test --release -p traffic --lib what_a_frame_costs -- --ignored --nocapture`.
    #[test]
    #[ignore = "prints what a frame costs on this machine, devices not counted"]
    fn what_a_frame_costs() {
        for (size, flows) in [(64, 1), (64, 1000), (64, 1 << 20), (1518, 1000)] {
            let sets = sets(size, flows);
            let mut receiver = Receiver::new::<SimClock>(&sets, &[true, false], None, STAMPS);
            let pool = SimPool::new(0, 0);
            let mut frames: Vec<SimMbuf> =
                (0..64).map(|_| pool.frame(&bytes(&sets[0], STAMPS, 0, 0), 0)).collect();
            let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
            let bursts = 100_000;
            for burst in 0..bursts {
                let began = Instant::now();
                for (number, frame) in (burst * 64..).zip(&mut frames) {
                    let unsealed = sets[0].write(number, frame.head_mut());
                    unsealed.seal(STAMPS, 0, number, frame.head_mut());
                }
                sending += began.elapsed();
                let began = Instant::now();
                receiver.take(&frames, burst * 64 + 100);
                receiving += began.elapsed();
            }
            let ns = |time: Duration| time.as_nanos() / u128::from(bursts * 64);
            eprintln!(
                "{size} bytes, {flows} flows: {} ns to make and stamp, {} ns to check and count",
                ns(sending),
                ns(receiving)
            );
        }
    }
}
