//! The worker threads: started together, stopped together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use driver::hardware::WorkerParts;
use driver::{Dpdk, DriverError, WorkerThread};
use engine::roster::WorkerEnd;
use engine::worker::Worker;

/// A worker that has not come to the end of its round by then is stuck.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// All workers of a running data plane.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<Member>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Member {
    core: u16,
    thread: JoinHandle<()>,
    /// Says once that the worker runs, or why not; and once more that it has stopped polling.
    news: Receiver<Result<(), DriverError>>,
    /// Asks a stopped worker for its last report and lets it end.
    end: Sender<()>,
}

impl Crew {
    /// Starts a worker for each of `parts`. Errors: every worker that could not start; the others
    /// have ended again.
    pub(crate) fn start(
        parts: Vec<WorkerParts>,
        ends: Vec<WorkerEnd>,
    ) -> Result<Self, Vec<DriverError>> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut members, mut errors) = (Vec::new(), Vec::new());
        for (parts, worker_end) in parts.into_iter().zip(ends) {
            let core = parts.core;
            let (tell, news) = bounded(2);
            let (end, ended) = bounded(1);
            let stop = Arc::clone(&stop);
            let thread = thread::Builder::new()
                .name(format!("worker-{core}"))
                .spawn(move || work(parts, worker_end, &stop, &tell, &ended));
            match thread {
                Ok(thread) => members.push(Member { core, thread, news, end }),
                Err(error) => {
                    errors.push(DriverError::Worker { core, cause: error.to_string() });
                }
            }
        }
        let crew = Self { members, stop };
        for member in &crew.members {
            match member.news.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => errors.push(error),
                Err(_) => errors.push(ended(member.core)),
            }
        }
        if errors.is_empty() {
            return Ok(crew);
        }
        crew.stop();
        crew.join();
        Err(errors)
    }

    /// The core of a worker that has ended by itself: it has panicked.
    pub(crate) fn casualty(&self) -> Option<u16> {
        self.members.iter().find(|member| member.thread.is_finished()).map(|member| member.core)
    }

    /// Makes all workers stop polling, and waits for it. Returns the cores of those that are stuck.
    pub(crate) fn stop(&self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        let stuck =
            self.members.iter().filter(|member| match member.news.recv_timeout(STOP_WAIT) {
                Ok(_) => false,
                Err(_) => !member.thread.is_finished(),
            });
        stuck.map(|member| member.core).collect()
    }

    /// Lets the stopped workers handle what they have handed to each other, answer a last time and end:
    /// what they hold goes back.
    pub(crate) fn join(self) {
        for member in self.members {
            // A worker that has ended already listens no more.
            let _ = member.end.send(());
            if member.thread.join().is_err() {
                log::error!("the worker on core {} has failed", member.core);
            }
        }
    }
}

fn ended(core: u16) -> DriverError {
    DriverError::Worker { core, cause: "it has ended at once".to_owned() }
}

/// The life of a worker thread.
fn work(
    parts: WorkerParts,
    end: WorkerEnd,
    stop: &AtomicBool,
    tell: &Sender<Result<(), DriverError>>,
    ended: &Receiver<()>,
) {
    let thread = match WorkerThread::enter(parts.core) {
        Ok(thread) => thread,
        Err(error) => {
            // Nobody listens when the others have failed too.
            let _ = tell.send(Err(error));
            return;
        }
    };
    forgo_capabilities();
    let worker = Worker::<Dpdk>::new(parts.lanes, parts.wires, parts.tools, end);
    let mut worker = worker.with_shares(parts.shares).with_kernels(parts.kernels);
    let _ = tell.send(Ok(()));
    worker.run(stop);
    let _ = tell.send(Ok(()));
    let _ = ended.recv();
    // Stopped, as all workers are, so no queue is polled: what others have handed over last is sent,
    // and the publisher's last question answered.
    worker.run(stop);
    drop(worker);
    drop(thread);
}

/// What parses packets needs no rights: the devices are open.
pub(crate) fn forgo_capabilities() {
    for set in [caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable] {
        if let Err(error) = caps::clear(None, set) {
            log::debug!("capabilities stay as they are: {error}");
        }
    }
}
