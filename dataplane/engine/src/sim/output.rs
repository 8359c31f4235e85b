//! Transmit queues that write captures, remember, or discard, and that can be made to refuse.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::rc::Rc;

use crate::burst::Burst;
use crate::port::{Mbuf, TxQueue};

use super::clock::SimClock;
use super::mbuf::SimMbuf;
use super::writer::CaptureWriter;

/// A frame that was sent, as [`SimOutput::memory`] remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFrame {
    /// When it, or the frame that caused it, was captured; in nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// The whole frame.
    pub bytes: Vec<u8>,
}

/// How a transmit queue misbehaves. The default does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxFaults {
    /// Accepts at most this many frames per call.
    pub accepts_per_call: usize,
    /// Accepts none in every n-th call.
    pub refuses_every: Option<NonZeroU64>,
    /// Accepts nothing at all.
    pub is_down: bool,
    /// Does not take chains: sends the first segment of one only, as a device would that is given
    /// what it does not support.
    pub refuses_chains: bool,
    /// Keeps up to so many frames, as a ring does that nobody empties, and takes no more. They are
    /// sent when this ends.
    pub holds: Option<usize>,
    /// What each call takes, by [`SimClock`].
    pub takes_ns: u64,
}

impl Default for TxFaults {
    fn default() -> Self {
        let accepts_per_call = usize::MAX;
        Self {
            accepts_per_call,
            refuses_every: None,
            is_down: false,
            refuses_chains: false,
            holds: None,
            takes_ns: 0,
        }
    }
}

enum Sink {
    Capture(CaptureWriter<Box<dyn Write>>),
    Memory(Vec<SentFrame>),
    Discard,
}

struct State {
    sink: Sink,
    faults: TxFaults,
    calls: u64,
    held: Vec<SimMbuf>,
    error: Option<io::Error>,
}

/// Where the frames of a port go. Clones are handles of the same place: one stays outside while a
/// worker owns the queue.
#[derive(Clone)]
pub struct SimOutput {
    state: Rc<RefCell<State>>,
}

impl SimOutput {
    /// Into a capture, begun at once. Errors: those of the file.
    pub fn capture(file: impl Write + 'static) -> io::Result<Self> {
        let file: Box<dyn Write> = Box::new(file);
        Ok(Self::into(Sink::Capture(CaptureWriter::new(file)?)))
    }

    /// Into memory, to be fetched by [`SimOutput::take_sent`].
    pub fn memory() -> Self {
        Self::into(Sink::Memory(Vec::new()))
    }

    /// Nowhere.
    pub fn discard() -> Self {
        Self::into(Sink::Discard)
    }

    fn into(sink: Sink) -> Self {
        let state =
            State { sink, faults: TxFaults::default(), calls: 0, held: Vec::new(), error: None };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// From now on the queue misbehaves like this.
    pub fn set_faults(&self, faults: TxFaults) {
        let state = &mut *self.state.borrow_mut();
        state.faults = faults;
        if faults.holds.is_none() {
            for frame in std::mem::take(&mut state.held) {
                state.send(&frame);
            }
        }
    }

    /// The queue that a worker may own.
    pub fn tx(&self) -> SimTx {
        SimTx { state: Rc::clone(&self.state) }
    }

    /// Takes the frames remembered so far, in the order of sending.
    pub fn take_sent(&self) -> Vec<SentFrame> {
        match &mut self.state.borrow_mut().sink {
            Sink::Memory(sent) => std::mem::take(sent),
            Sink::Capture(_) | Sink::Discard => Vec::new(),
        }
    }

    /// Completes the capture; later frames are discarded. Errors: the first one of the file, also
    /// when it happened while sending.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let sink = std::mem::replace(&mut state.sink, Sink::Discard);
        let failed = state.error.take().map_or(Ok(()), Err);
        match sink {
            Sink::Capture(capture) => failed.and(capture.finish().map(drop)),
            Sink::Memory(_) | Sink::Discard => failed,
        }
    }
}

/// A transmit queue of no device.
///
/// A file that can't be written to takes frames all the same, which are lost: the run goes on, and
/// [`SimOutput::finish`] tells.
pub struct SimTx {
    state: Rc<RefCell<State>>,
}

impl TxQueue for SimTx {
    type Mbuf = SimMbuf;

    fn send<const N: usize>(&mut self, burst: &mut Burst<SimMbuf, N>) -> usize {
        let state = &mut *self.state.borrow_mut();
        state.calls += 1;
        SimClock::advance(state.faults.takes_ns);
        let refused = state.faults.refuses_every.is_some_and(|n| state.calls % n == 0);
        if refused || state.faults.is_down {
            return 0;
        }
        let mut sent = 0;
        let room = state.faults.holds.map_or(usize::MAX, |most| most - state.held.len().min(most));
        for frame in burst.take_front(state.faults.accepts_per_call.min(room)) {
            if state.faults.holds.is_some() {
                state.held.push(frame);
            } else {
                state.send(&frame);
            }
            sent += 1;
        }
        sent
    }

    fn takes_chains(&self) -> bool {
        !self.state.borrow().faults.refuses_chains
    }

    fn takes_shared(&self) -> bool {
        self.takes_chains()
    }
}

impl State {
    #[inline]
    fn send(&mut self, frame: &SimMbuf) {
        let (segments, len) = if self.faults.refuses_chains {
            (1, frame.head().len())
        } else {
            (usize::MAX, frame.len())
        };
        let (timestamp_ns, segments) = (frame.timestamp_ns(), frame.segments().take(segments));
        match &mut self.sink {
            Sink::Capture(_) if self.error.is_some() => {}
            Sink::Capture(capture) => {
                self.error = capture.write(timestamp_ns, len, segments).err();
            }
            Sink::Memory(sent) => {
                let bytes = segments.flatten().copied().collect();
                sent.push(SentFrame { timestamp_ns, bytes });
            }
            Sink::Discard => {}
        }
    }
}

impl fmt::Debug for SimOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        let kind = match state.sink {
            Sink::Capture(_) => "capture",
            Sink::Memory(_) => "memory",
            Sink::Discard => "discard",
        };
        f.debug_struct("SimOutput").field("kind", &kind).field("faults", &state.faults).finish()
    }
}

impl fmt::Debug for SimTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTx").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::mbuf::SimPool;
    use super::super::reader::CaptureReader;
    use super::*;

    fn burst_of(frames: &[&[u8]]) -> Burst<SimMbuf> {
        let pool = SimPool::new(0, 0);
        let mut burst = Burst::new();
        for frame in frames {
            burst.push(pool.frame_in_segments(frame, 2, 5)).unwrap();
        }
        burst
    }

    fn left(burst: &Burst<SimMbuf>) -> Vec<Vec<u8>> {
        burst.frames().iter().map(SimMbuf::to_vec).collect()
    }

    /// A file whose bytes stay in reach.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn chains_are_written_whole_with_their_time() {
        let file = Shared::default();
        let output = SimOutput::capture(file.clone()).unwrap();
        let mut burst = burst_of(&[b"abcde", b"", b"xy"]);
        assert_eq!(output.tx().send(&mut burst), 3);
        assert!(burst.is_empty());
        output.finish().unwrap();
        let bytes = file.0.take();
        let mut reader = CaptureReader::new(bytes.as_slice());
        for frame in [b"abcde".as_slice(), b"", b"xy"] {
            assert!(reader.advance().unwrap());
            assert_eq!((reader.timestamp_ns(), reader.frame()), (5, frame));
        }
        assert!(!reader.advance().unwrap());
    }

    #[test]
    fn a_queue_takes_the_prefix_that_its_faults_leave() {
        let output = SimOutput::memory();
        let mut tx = output.tx();
        let mut burst = burst_of(&[b"a", b"b", b"c", b"d"]);
        let faults = TxFaults {
            accepts_per_call: 2,
            refuses_every: NonZeroU64::new(2),
            ..TxFaults::default()
        };
        output.set_faults(faults);
        assert_eq!(tx.send(&mut burst), 2);
        assert_eq!(left(&burst), [b"c", b"d"]);
        assert_eq!(tx.send(&mut burst), 0, "the second call is refused");
        output.set_faults(TxFaults { is_down: true, ..TxFaults::default() });
        assert_eq!(tx.send(&mut burst), 0);
        output.set_faults(TxFaults::default());
        assert_eq!(tx.send(&mut burst), 2);
        assert!(burst.is_empty());
    }

    #[test]
    fn a_queue_without_chains_sends_the_first_segment() {
        let output = SimOutput::memory();
        assert!(output.tx().takes_chains());
        output.set_faults(TxFaults { refuses_chains: true, ..TxFaults::default() });
        assert!(!output.tx().takes_chains());
        output.tx().send(&mut burst_of(&[b"abc"]));
        assert_eq!(output.take_sent(), [SentFrame { timestamp_ns: 5, bytes: b"ab".into() }]);
        assert!(output.take_sent().is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "megabytes take minutes")]
    fn a_full_disk_stops_nobody_and_is_told_at_the_end() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let output = SimOutput::capture(Full(300_000)).unwrap();
        let pool = SimPool::new(0, 0);
        for _ in 0..20 {
            let mut burst = Burst::new();
            burst.push(pool.frame(&vec![7; 60_000], 0)).unwrap();
            assert_eq!(output.tx().send(&mut burst), 1);
        }
        assert_eq!(output.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            SimOutput::capture(Full(0)).unwrap().finish().unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    }
}
