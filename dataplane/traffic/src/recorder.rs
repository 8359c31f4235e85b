//! What receives frames and makes blocks of them: one on each worker. It never waits, and never locks but when it
//! sees a network for the first time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::burst::Burst;
use engine::port::{Clock, Mbuf, RxQueue};

use crate::capture::CapturePlan;
use crate::decap::inner;
use crate::pcapng;
use crate::recording::{Chunk, Counted, FRAME_BYTES_MAX, Recording, VNIS_MAX};
use crate::wall_clock::WallClock;

/// A chunk that is not full is written after so many milliseconds: somebody may look on.
const CHUNK_MS: u64 = 50;
/// Empty rounds between two looks at the clock.
const ROUNDS_PER_LOOK: u32 = 64;

/// A receive queue, and the place of its port in the plan.
#[derive(Debug)]
pub struct Lane<'a, R> {
    /// Place in [`CapturePlan::ports`].
    pub port: usize,
    /// The queue.
    pub rx: &'a mut R,
}

/// Where frames belong: an interface of the file. Counted here as long as frames of the same one follow each other.
struct Place {
    which: u32,
    interface: u32,
    counted: Arc<Counted>,
    received: u64,
    lost: u64,
}

impl Place {
    fn new(which: u32, recording: &Recording) -> Self {
        let (interface, counted) = recording.interface(which);
        Self { which, interface, counted, received: 0, lost: 0 }
    }

    /// Tells what was counted.
    fn flush(&mut self) {
        let Self { counted, received, lost, .. } = self;
        for (count, counter) in [(received, &counted.received), (lost, &counted.lost)] {
            if *count > 0 {
                counter.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
    }
}

/// One worker's part of a capture.
struct Recorder<'a> {
    plan: &'a CapturePlan,
    recording: &'a Recording,
    chunk: Option<Chunk>,
    /// When the chunk was begun, in ticks.
    begun: u64,
    clock: WallClock,
    places: Vec<Place>,
    /// Where a port's or a network's place is in `places`.
    index: HashMap<u32, usize>,
    /// The place of the latest frame.
    current: usize,
    is_full: bool,
}

/// What is counted during one burst.
#[derive(Default)]
struct Tally {
    others: u64,
    cut: u64,
}

/// Records what `lanes` receive until `stop` is set, the plan's duration or limit is reached, or nothing can be written
/// any more. `real_ns` is the system's clock: nanoseconds since 1970.
pub fn record<R: RxQueue, C: Clock>(
    lanes: &mut [Lane<'_, R>],
    plan: &CapturePlan,
    recording: &Recording,
    real_ns: impl Fn() -> u64,
    stop: &AtomicBool,
) {
    let start = C::now();
    let mut recorder = Recorder {
        plan,
        recording,
        chunk: None,
        begun: start,
        clock: WallClock::new(C::hz(), start, real_ns()),
        places: Vec::new(),
        index: HashMap::new(),
        current: 0,
        is_full: false,
    };
    let end = plan.duration_ns.map(|ns| start.saturating_add(ticks(ns, C::hz())));
    let chunk_ticks = C::hz() * CHUNK_MS / 1000;
    let mut burst = Burst::new();
    let mut silent = 0;
    while !stop.load(Ordering::Relaxed) && !recorder.is_full && !recording.has_failed() {
        let mut received = 0;
        for Lane { port, rx } in &mut *lanes {
            let count = rx.recv(&mut burst);
            if count > 0 {
                let time_ns = recorder.clock.at(C::now());
                recorder.take(*port, &burst, time_ns);
                R::Mbuf::free_bulk(&mut burst);
                received += count;
            }
        }
        silent = if received == 0 { silent + 1 } else { ROUNDS_PER_LOOK };
        if silent < ROUNDS_PER_LOOK {
            C::pause();
            continue;
        }
        silent = 0;
        let now = C::now();
        if recorder.clock.is_due(now) {
            recorder.clock.look(now, real_ns());
        }
        recorder.hand_over(now, chunk_ticks);
        if end.is_some_and(|end| now >= end) {
            break;
        }
    }
    if let Some(chunk) = recorder.chunk.take() {
        recording.give(chunk);
    }
}

fn ticks(ns: u64, hz: u64) -> u64 {
    u64::try_from(u128::from(ns) * u128::from(hz) / 1_000_000_000).unwrap_or(u64::MAX)
}

impl Recorder<'_> {
    /// Makes blocks of a burst's frames, as far as there is room.
    fn take<M: Mbuf>(&mut self, port: usize, burst: &Burst<M>, time_ns: u64) {
        let mut tally = Tally::default();
        for frame in burst.frames() {
            if self.is_full {
                break;
            }
            self.take_frame(port, frame, time_ns, &mut tally);
        }
        if let Some(place) = self.places.get_mut(self.current) {
            place.flush();
        }
        for (counter, count) in
            [(&self.recording.others, tally.others), (&self.recording.cut, tally.cut)]
        {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn take_frame<M: Mbuf>(&mut self, port: usize, frame: &M, time_ns: u64, tally: &mut Tally) {
        let (which, at, len) = match &self.plan.decap {
            None => (port as u32, 0, frame.len()),
            Some(decap) => match inner(frame.head(), decap.udp_port) {
                Some(it) if decap.vnis.is_empty() || decap.vnis.contains(&it.vni) => {
                    (it.vni, it.at, it.len)
                }
                _ => {
                    tally.others += 1;
                    return;
                }
            },
        };
        let kept = self.plan.snap_len.map_or(FRAME_BYTES_MAX, |len| len as usize);
        let captured = len.min(frame.len() - at).min(kept).min(FRAME_BYTES_MAX);
        let recording = self.recording;
        if self.places.get(self.current).is_none_or(|place| place.which != which) {
            self.turn_to(which);
        }
        let Some(place) = self.places.get_mut(self.current) else { return };
        let Some(chunk) = room(&mut self.chunk, recording, captured) else {
            place.received += 1;
            place.lost += 1;
            return;
        };
        if let Some(limit) = self.plan.limit {
            let before = recording.kept.fetch_add(1, Ordering::Relaxed);
            self.is_full = before + 1 >= limit;
            if before >= limit {
                return;
            }
        }
        place.received += 1;
        tally.cut += u64::from(captured < len);
        let mut skip = at;
        let segments = frame.segments().map(|segment| {
            let skipped = skip.min(segment.len());
            skip -= skipped;
            segment.get(skipped..).unwrap_or_default()
        });
        let time_ns = frame.time_ns().unwrap_or(time_ns);
        let (len, captured) = (len as u32, captured as u32);
        pcapng::packet(&mut chunk.bytes, place.interface, time_ns, len, captured, segments);
        chunk.frames += 1;
    }

    /// Makes the place of a port or a network the current one.
    fn turn_to(&mut self, which: u32) {
        if let Some(place) = self.places.get_mut(self.current) {
            place.flush();
        }
        self.current = match self.index.get(&which) {
            Some(place) => *place,
            // The last one's interface is that of further networks: so many others came before.
            None if self.places.len() > VNIS_MAX => VNIS_MAX,
            None => {
                self.places.push(Place::new(which, self.recording));
                let place = self.places.len() - 1;
                self.index.insert(which, place);
                place
            }
        };
    }

    /// Gives the chunk to the writer when it is old.
    fn hand_over(&mut self, now: u64, chunk_ticks: u64) {
        let has_frames = self.chunk.as_ref().is_some_and(|chunk| chunk.frames > 0);
        if !has_frames {
            self.begun = now;
        } else if now.saturating_sub(self.begun) >= chunk_ticks
            && let Some(chunk) = self.chunk.take()
        {
            self.recording.give(chunk);
            self.begun = now;
        }
    }
}

/// The chunk, or another one, with room for a frame of which so many bytes are kept.
#[inline]
fn room<'c>(
    chunk: &'c mut Option<Chunk>,
    recording: &Recording,
    captured: usize,
) -> Option<&'c mut Chunk> {
    if let Some(full) = chunk.take_if(|chunk| !chunk.has_room(captured)) {
        recording.give(full);
    }
    if chunk.is_none() {
        *chunk = recording.empty();
    }
    chunk.as_mut()
}
