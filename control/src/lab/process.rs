//! The process `linetap-traffic`: started, asked, listened to, ended.
//!
//! It is in a process group of its own, so that what is typed at the terminal reaches it through us, in order. The
//! end of its standard input, however it comes about, is its own end.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use traffic::link::{self, Event, Request};
use traffic::setup::{OpenPort, Setup};

use super::interrupt::Interrupt;
use crate::sibling::sibling;

/// The program.
const PROGRAM: &str = "linetap-traffic";
/// Words and events that may wait; more wait in the process.
const WAITING_MAX: usize = 256;
/// Between two looks for a signal.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// DPDK takes a second or two to start, more with many hugepages.
const OPEN_WAIT: Duration = Duration::from_mins(1);
/// From the wish that a job ends to its report.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// From the end of its input to its end.
const END_WAIT: Duration = Duration::from_secs(10);
/// Between two looks at a process that is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A line of its standard error is not longer.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum TrafficError {
    /// It can't be started.
    #[error("{PROGRAM} can't be started: {0:#}")]
    Start(anyhow::Error),
    /// It has ended by itself.
    #[error("{PROGRAM} has ended ({0}); what it said about it is above")]
    Died(ExitStatus),
    /// It can't be spoken to.
    #[error("{PROGRAM} can't be spoken to: {0}; are both programs of the same version?")]
    Stream(io::Error),
    /// It said something out of turn.
    #[error("{PROGRAM} gave an answer to another question; install it anew beside linetap")]
    OutOfTurn,
    /// It does not answer.
    #[error("{PROGRAM} did not {what} within {} s; it was ended", patience.as_secs())]
    Late {
        /// What was awaited.
        what: &'static str,
        /// For so long.
        patience: Duration,
    },
    /// It refused what was asked, and did nothing of it: sentences.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// A signal came before a job began.
    #[error("stopped before anything was done")]
    Interrupted,
}

/// What came from the process.
#[derive(Debug)]
enum Incoming {
    Event(Event),
    /// A line of its standard error.
    Words(String),
    /// Nonsense, or no more.
    End(Option<io::Error>),
}

/// Where lines of the process's standard error go.
type Tell = Box<dyn FnMut(&str) + Send>;

/// The process. Dropping it ends it. Thread: any, one at a time.
pub struct TrafficProcess {
    child: Child,
    stream: UnixStream,
    incoming: Receiver<Incoming>,
    interrupt: Interrupt,
    tell: Tell,
}

impl TrafficProcess {
    /// Starts it; it opens nothing yet. From the first signal that `interrupt` sees on, jobs are ended.
    /// Errors: [`TrafficError::Start`].
    pub fn start(interrupt: &Interrupt) -> Result<Self, TrafficError> {
        let program = sibling(PROGRAM).map_err(TrafficError::Start)?;
        Self::spawn(Command::new(program), interrupt)
            .map_err(|error| TrafficError::Start(error.into()))
    }

    fn spawn(mut command: Command, interrupt: &Interrupt) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let events = BufReader::new(stream.try_clone()?);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        // It holds the other end of the stream as well.
        drop(command);
        let words = child.stderr.take().map(BufReader::new);
        let (tell, incoming) = sync_channel(WAITING_MAX);
        let hear = tell.clone();
        let process = Self {
            child,
            stream,
            incoming,
            interrupt: interrupt.clone(),
            tell: Box::new(|line| drop(writeln!(io::stderr().lock(), "{line}"))),
        };
        thread::Builder::new().name("events".into()).spawn(move || pass_events(events, &tell))?;
        if let Some(words) = words {
            thread::Builder::new().name("words".into()).spawn(move || pass_words(words, &hear))?;
        }
        Ok(process)
    }

    /// Has lines of the process's standard error told another way than on our own, such as above a progress bar.
    #[must_use]
    pub fn telling(mut self, tell: impl FnMut(&str) + Send + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Opens ports; once. Returns them, and DPDK's version. Errors: all of [`TrafficError`].
    pub fn open(&mut self, setup: Setup) -> Result<(Vec<OpenPort>, String), TrafficError> {
        self.request(&Request::Open(setup))?;
        let deadline = Instant::now() + OPEN_WAIT;
        loop {
            match self.next(LOOK_EVERY)? {
                Some(Event::Opened { ports, dpdk }) => return Ok((ports, dpdk)),
                Some(Event::Refused(why)) => return Err(TrafficError::Refused(why)),
                Some(_) => return Err(TrafficError::OutOfTurn),
                None if self.interrupt.is_set() => return Err(TrafficError::Interrupted),
                None if Instant::now() > deadline => {
                    return Err(self.late("open its ports", OPEN_WAIT));
                }
                None => {}
            }
        }
    }

    /// Has a job done: gives its events to `heed` until that makes one of them the result. The first signal that
    /// [`Interrupt`] sees, and `heed` returning [`Heed::Stop`], end the job early; its report comes all the same.
    /// Errors: all of [`TrafficError`].
    pub fn run<T>(
        &mut self,
        job: &Request,
        mut heed: impl FnMut(Event) -> Heed<T>,
    ) -> Result<T, TrafficError> {
        if self.interrupt.is_set() {
            return Err(TrafficError::Interrupted);
        }
        self.request(job)?;
        let mut deadline: Option<Instant> = None;
        loop {
            let mut stop = self.interrupt.is_set();
            match self.next(LOOK_EVERY)? {
                Some(Event::Refused(why)) => return Err(TrafficError::Refused(why)),
                Some(event) => match heed(event) {
                    Heed::Done(result) => return Ok(result),
                    Heed::GoOn => {}
                    Heed::Stop => stop = true,
                    Heed::Strange => return Err(TrafficError::OutOfTurn),
                },
                None => {}
            }
            match deadline {
                None if stop => {
                    self.request(&Request::Stop)?;
                    deadline = Some(Instant::now() + STOP_WAIT);
                }
                Some(deadline) if Instant::now() > deadline => {
                    return Err(self.late("end its job", STOP_WAIT));
                }
                _ => {}
            }
        }
    }

    /// Asks. Errors: it is gone.
    pub fn request(&mut self, request: &Request) -> Result<(), TrafficError> {
        link::write(&self.stream, request).map_err(|error| self.ended(Some(error)))
    }

    /// What it says next; `None` when nothing came within `wait`. What it writes to standard error is told
    /// meanwhile. Errors: it is gone, or says nonsense.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Event>, TrafficError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(Incoming::Event(event)) => return Ok(Some(event)),
                Ok(Incoming::Words(line)) => (self.tell)(&line),
                Ok(Incoming::End(error)) => return Err(self.ended(error)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(None)),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
            }
        }
    }

    /// Ends it, in good order. Errors: it ended otherwise.
    pub fn finish(mut self) -> Result<(), TrafficError> {
        match self.end() {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(TrafficError::Died(status)),
            None => Err(self.late("end", END_WAIT)),
        }
    }

    /// Ends its input and waits for its end, but not for ever.
    fn end(&mut self) -> Option<ExitStatus> {
        let _ = self.stream.shutdown(Shutdown::Both);
        let deadline = Instant::now() + END_WAIT;
        // It must not wait for somebody who reads its words; when it is gone, there are no more.
        loop {
            match self.incoming.recv_timeout(LOOK_AGAIN) {
                Ok(Incoming::Words(line)) => (self.tell)(&line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
                _ => return None,
            }
        }
    }

    /// It has closed the stream, or said something that can't be read.
    fn ended(&mut self, error: Option<io::Error>) -> TrafficError {
        let is_nonsense = error.as_ref().is_some_and(|it| it.kind() == io::ErrorKind::InvalidData);
        match self.end() {
            Some(status) if !is_nonsense => TrafficError::Died(status),
            status => {
                if status.is_none() {
                    let _ = self.child.kill();
                }
                TrafficError::Stream(error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
            }
        }
    }

    fn late(&mut self, what: &'static str, patience: Duration) -> TrafficError {
        let _ = self.child.kill();
        TrafficError::Late { what, patience }
    }
}

/// What becomes of an event.
#[derive(Debug)]
pub enum Heed<T> {
    /// It ends the job.
    Done(T),
    /// More will come.
    GoOn,
    /// The job shall end now.
    Stop,
    /// It belongs to another job.
    Strange,
}

impl Drop for TrafficProcess {
    /// Nobody is left to look after it.
    fn drop(&mut self) {
        if self.end().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl std::fmt::Debug for TrafficProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrafficProcess").field("pid", &self.child.id()).finish_non_exhaustive()
    }
}

/// Passes events on until the stream ends.
fn pass_events(mut from: impl BufRead, to: &SyncSender<Incoming>) {
    loop {
        let incoming = match link::read::<Event>(&mut from) {
            Ok(Some(event)) => Incoming::Event(event),
            Ok(None) => Incoming::End(None),
            Err(error) => Incoming::End(Some(error)),
        };
        let is_last = matches!(incoming, Incoming::End(_));
        if to.send(incoming).is_err() || is_last {
            return;
        }
    }
}

/// Passes lines on until there are no more.
fn pass_words(mut from: impl BufRead, to: &SyncSender<Incoming>) {
    let mut line = Vec::new();
    while let Ok(1..) = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if to.send(Incoming::Words(text)).is_err() {
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in place of linetap-traffic: a shell that reads and writes its standard input.
    fn stand_in(script: &str, interrupt: &Interrupt) -> TrafficProcess {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        TrafficProcess::spawn(command, interrupt).unwrap()
    }

    fn nothing() -> Setup {
        let memory = engine::snapshot::MemorySpec::Auto;
        Setup { ports: vec![], cores: vec![], memory, frames: 0, timed: false }
    }

    const OPENED: &str = r#"read open; echo '{"Opened":{"ports":[],"dpdk":"DPDK 0"}}' >&0; "#;
    const PROGRESS: &str = r#"echo '{"CaptureProgress":{"elapsed_ns":0,"received":0,"written":0,"written_bytes":0,"cut":0,"others":0,"lost_by_writer":0,"lost_by_device":null,"files":[],"faults":[]}}' >&0; "#;
    const REFUSED: &str = r#"echo '{"Refused":["a","b"]}' >&0; "#;

    #[test]
    fn a_process_opens_refuses_and_ends() {
        let script = format!("{OPENED} read job; {REFUSED} cat");
        let mut process = stand_in(&script, &Interrupt::default());
        let (ports, dpdk) = process.open(nothing()).unwrap();
        assert_eq!((ports.len(), dpdk.as_str()), (0, "DPDK 0"));
        let refused = process.run(&Request::Stop, |_| Heed::Done(())).unwrap_err();
        assert_eq!(refused.to_string(), "a\nb");
        process.finish().unwrap();
    }

    #[test]
    fn a_process_that_dies_is_told_with_its_last_words() {
        let mut process =
            stand_in("read open; echo out of cores >&2; exit 3", &Interrupt::default());
        let (hear, heard) = std::sync::mpsc::channel();
        process = process.telling(move |line| hear.send(line.to_owned()).unwrap());
        let error = process.open(nothing()).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert_eq!(heard.try_recv().unwrap(), "out of cores");
    }

    #[test]
    fn nonsense_and_what_comes_out_of_turn_are_errors() {
        let mut process = stand_in("read open; echo hello >&0; cat", &Interrupt::default());
        let error = process.open(nothing()).unwrap_err();
        assert!(matches!(error, TrafficError::Stream(_)), "{error}");
        let mut process = stand_in(&format!("read open; {PROGRESS} cat"), &Interrupt::default());
        assert!(matches!(process.open(nothing()), Err(TrafficError::OutOfTurn)));
    }

    #[test]
    fn a_signal_and_who_heeds_stop_a_job_and_its_report_comes() {
        // Reports only when it was asked to stop.
        let script =
            format!("{PROGRESS} read job; read stop; test $stop = '\"Stop\"' && {REFUSED} cat");
        let interrupt = Interrupt::default();
        let mut process = stand_in(&script, &interrupt);
        let done = process.run(&Request::Open(nothing()), |_| Heed::<()>::Stop);
        assert!(matches!(done, Err(TrafficError::Refused(_))));
        let mut process = stand_in(&script, &interrupt);
        let done = process.run(&Request::Open(nothing()), |_| {
            interrupt.set();
            Heed::<()>::GoOn
        });
        assert!(matches!(done, Err(TrafficError::Refused(_))));
        let done = process.run(&Request::Open(nothing()), |_| Heed::<()>::GoOn);
        assert!(matches!(done, Err(TrafficError::Interrupted)));
    }
}
