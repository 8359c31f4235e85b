//! What is asked and answered: the stream's two ends, and what ends a job early.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use traffic::link::{self, Event, Request};

/// Requests that may wait; more wait in the stream.
const WAITING_MAX: usize = 16;

/// The stream, read by a thread of its own.
#[derive(Debug)]
pub(crate) struct Requests {
    inbox: Receiver<Request>,
    outbox: Mutex<UnixStream>,
    stop: Arc<AtomicBool>,
}

impl Requests {
    /// Begins to read `stream` and to listen to signals: both may end the job that runs.
    pub(crate) fn start(stream: UnixStream) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, inbox) = bounded(WAITING_MAX);
        let source = stream.try_clone().context("standard input is no socket")?;
        let ended = Arc::clone(&stop);
        let reading = thread::Builder::new().name("requests".to_owned());
        reading.spawn(move || {
            read_all(&source, &tell, &ended);
            ended.store(true, Ordering::Relaxed);
        })?;
        stop_on_signals(Arc::clone(&stop)).context("signals can't be awaited")?;
        Ok(Self { inbox, outbox: Mutex::new(stream), stop })
    }

    /// The next request; `None` at the end of the stream.
    pub(crate) fn next(&self) -> Option<Request> {
        self.inbox.recv().ok()
    }

    /// Answers. Who listens no more has ended the stream, and that ends the process.
    pub(crate) fn answer(&self, event: &Event) {
        let Ok(stream) = self.outbox.lock() else { return };
        if let Err(error) = link::write(&*stream, event) {
            log::debug!("nobody hears {event:?}: {error}");
        }
    }

    /// Set when the job that runs shall end, until [`Requests::go_on`].
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// What was to be stopped has ended.
    pub(crate) fn go_on(&self) {
        self.stop.store(false, Ordering::Relaxed);
    }
}

/// Passes requests on; stops are set at once.
fn read_all(source: &UnixStream, tell: &Sender<Request>, stop: &AtomicBool) {
    let mut source = BufReader::new(source);
    loop {
        match link::read(&mut source) {
            Ok(Some(request)) => {
                if request == Request::Stop {
                    stop.store(true, Ordering::Relaxed);
                }
                if tell.send(request).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                log::error!("what is asked can't be read: {error}");
                return;
            }
        }
    }
}

/// The first SIGINT or SIGTERM ends the job, a second one the process.
fn stop_on_signals(stop: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        }
    })?;
    Ok(())
}
