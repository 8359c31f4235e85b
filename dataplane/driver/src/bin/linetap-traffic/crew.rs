//! The worker threads of a job.

use std::thread;

use driver::lab::LabWorker;
use driver::{DriverError, WorkerThread};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Runs `work` on every worker's core, each with its own of `parts`, and `meanwhile` on this thread. Returns
/// what they come to, in order. Errors: workers that could not start, and those that failed.
pub(crate) fn run<P: Send, R: Send, M>(
    workers: &mut [LabWorker],
    parts: Vec<P>,
    work: impl Fn(&mut LabWorker, P) -> R + Sync,
    meanwhile: impl FnOnce() -> M,
) -> Result<(Vec<R>, M), Vec<String>> {
    let work = &work;
    thread::scope(|scope| {
        let each = workers.iter_mut().zip(parts).map(|(worker, part)| {
            let name = format!("worker-{}", worker.core);
            let run = move || -> Result<R, DriverError> {
                let _thread = WorkerThread::enter(worker.core)?;
                Ok(work(worker, part))
            };
            thread::Builder::new().name(name).spawn_scoped(scope, run)
        });
        let threads: Vec<_> = each.collect();
        let meanwhile = meanwhile();
        let (mut results, mut faults) = (Vec::new(), Vec::new());
        for thread in threads {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(Ok(result))) => results.push(result),
                Ok(Ok(Err(error))) => faults.push(error.to_string()),
                Ok(Err(_)) => faults.push("a worker has failed; its message is above".to_owned()),
                Err(error) => faults.push(format!("a worker can't be started: {error}")),
            }
        }
        if faults.is_empty() { Ok((results, meanwhile)) } else { Err(faults) }
    })
}

/// Keeps this thread, and those that it starts later, off the workers' cores, where there are others.
pub(crate) fn keep_off(cores: &[u16]) {
    let this = Pid::from_raw(0);
    let Ok(mut set) = sched_getaffinity(this) else { return };
    let own = set;
    for core in cores {
        // A core beyond all sets is told when its worker starts.
        let _ = set.unset(usize::from(*core));
    }
    let is_some_left = (0..CpuSet::count()).any(|core| set.is_set(core).unwrap_or(false));
    let set = if is_some_left { set } else { own };
    if let Err(error) = sched_setaffinity(this, &set) {
        log::debug!("threads may run on the workers' cores: {error}");
    }
}
