//! The job `capture`.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use driver::lab::{Lab, LabPort, LabWorker};
use driver::{Eal, RxQueue, TscClock};
use traffic::capture::{CapturePlan, CaptureReport};
use traffic::capture_files::Files;
use traffic::capture_writer::write_all;
use traffic::link::Event;
use traffic::pcapng::Origin;
use traffic::recorder::{Lane, record};
use traffic::recording::Recording;

use crate::crew;
use crate::desk::{Desk, refused};
use crate::requests::Requests;

/// Between two reports, and two looks at what devices have lost.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// A writer that takes nothing for so long will take nothing more: its reader stands still.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);

/// What the writer has to say at its end.
struct Written {
    files: Files,
    faults: Vec<String>,
}

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(desk: &mut Desk, plan: &CapturePlan) -> Event {
    let Desk { lab, requests, setup, .. } = desk;
    let names = plan.ports.iter().map(|port| Some(setup.ports.get(*port)?.name.clone()));
    let Some(names) = names.collect::<Option<Vec<_>>>() else {
        return refused("there is no such port");
    };
    let files = match Files::new(&plan.file, &plan.rotation) {
        Ok(files) => files,
        Err(fault) => return refused(&fault),
    };
    let recording = Arc::new(Recording::new(plan, &names));
    let written = match start_writer(&recording, files, plan) {
        Ok(written) => written,
        Err(error) => return refused(&format!("the writer can't be started: {error}")),
    };
    let Lab { ports, workers, .. } = lab;
    let mut losses = Losses::new(ports, plan);
    let begin = Instant::now();
    // Each worker holds one end for as long as it runs.
    let (running, ended) = bounded::<()>(0);
    let parts: Vec<Sender<()>> = workers.iter().map(|_| running.clone()).collect();
    drop(running);
    let work = |worker: &mut LabWorker, _running: Sender<()>| {
        let mut lanes = lanes(worker, plan);
        record::<RxQueue, TscClock>(&mut lanes, plan, &recording, real_ns, requests.stop());
    };
    let meanwhile = || watch(&ended, &recording, &mut losses, requests, begin);
    let mut faults = crew::run(workers, parts, work, meanwhile).err().unwrap_or_default();
    let elapsed_ns = nanoseconds(begin.elapsed());
    losses.look(&recording);
    recording.end();
    let mut report = await_writer(&written, &recording, requests, plan, &mut faults);
    report.elapsed_ns = elapsed_ns;
    report.lost_by_device = losses.all();
    report.faults = faults;
    Event::Captured(report)
}

/// The receive queues of the plan's ports that a worker has.
fn lanes<'w>(worker: &'w mut LabWorker, plan: &CapturePlan) -> Vec<Lane<'w, RxQueue>> {
    let mut lanes = Vec::new();
    for (at, queues) in worker.rx.iter_mut().enumerate() {
        if let Some(port) = plan.ports.iter().position(|port| *port == at) {
            lanes.extend(queues.iter_mut().map(|rx| Lane { port, rx }));
        }
    }
    lanes
}

/// Starts the writer. It is not waited for when its file takes nothing: the end of the process ends it.
fn start_writer(
    recording: &Arc<Recording>,
    mut files: Files,
    plan: &CapturePlan,
) -> std::io::Result<Receiver<Written>> {
    let (tell, written) = bounded(1);
    let (recording, snap_len) = (Arc::clone(recording), plan.snap_len);
    let write = move || {
        let faults = write_all(&recording, &mut files, origin(), snap_len, real_ns);
        // Nobody listens when it was given up.
        let _ = tell.send(Written { files, faults });
    };
    thread::Builder::new().name("writer".to_owned()).spawn(write)?;
    Ok(written)
}

/// Tells how far it is until all workers have ended.
fn watch(
    ended: &Receiver<()>,
    recording: &Recording,
    losses: &mut Losses<'_>,
    requests: &Requests,
    begin: Instant,
) {
    while ended.recv_timeout(PROGRESS_EVERY) == Err(RecvTimeoutError::Timeout) {
        losses.look(recording);
        let mut report = recording.report();
        report.elapsed_ns = nanoseconds(begin.elapsed());
        report.lost_by_device = losses.all();
        requests.answer(&Event::CaptureProgress(report));
    }
}

/// Waits until all is written, or nothing is any more. What is not is lost, and counted.
fn await_writer(
    written: &Receiver<Written>,
    recording: &Recording,
    requests: &Requests,
    plan: &CapturePlan,
    faults: &mut Vec<String>,
) -> CaptureReport {
    let mut bytes = recording.report().written_bytes;
    let mut moved = Instant::now();
    loop {
        let end = written.recv_timeout(PROGRESS_EVERY);
        let mut report = recording.report();
        match end {
            Ok(end) => {
                faults.extend(end.faults);
                report.files = end.files.finished();
            }
            Err(RecvTimeoutError::Timeout) if moved.elapsed() < WRITER_PATIENCE => {
                if report.written_bytes != bytes {
                    (bytes, moved) = (report.written_bytes, Instant::now());
                }
                requests.answer(&Event::CaptureProgress(report));
                continue;
            }
            Err(_) => {
                let file = plan.file.display();
                faults.push(format!(
                    "{file}: nothing can be written any more: who reads it stands still"
                ));
            }
        }
        report.lost_by_writer = report.received.saturating_sub(report.others + report.written);
        return report;
    }
}

/// What devices have lost since the start.
struct Losses<'a> {
    /// In the order of the plan: the port, what it had lost before, and what its packet sockets have since.
    ports: Vec<(&'a LabPort, Option<u64>, u64)>,
}

impl<'a> Losses<'a> {
    fn new(ports: &'a [LabPort], plan: &CapturePlan) -> Self {
        let ports = plan.ports.iter().filter_map(|port| ports.get(*port));
        let ports = ports.map(|port| {
            // What was dropped before is nobody's loss.
            port.port.packet_drops();
            (port, counted(port), 0)
        });
        Self { ports: ports.collect() }
    }

    /// Asks the devices.
    fn look(&mut self, recording: &Recording) {
        for (at, (port, before, dropped)) in self.ports.iter_mut().enumerate() {
            *dropped += port.port.packet_drops().unwrap_or(0);
            recording.note_lost(at, lost(port, *before, *dropped));
        }
    }

    /// All of it; `None` where a device does not say.
    fn all(&self) -> Option<u64> {
        self.ports.iter().map(|(port, before, dropped)| lost(port, *before, *dropped)).sum()
    }
}

/// What a port has lost: by its driver's counters or, of `net_af_packet`, by the kernel's.
fn lost(port: &LabPort, before: Option<u64>, dropped: u64) -> Option<u64> {
    if port.port.abilities().driver == "net_af_packet" {
        return Some(dropped);
    }
    Some(counted(port)?.saturating_sub(before?))
}

fn counted(port: &LabPort) -> Option<u64> {
    let losses = port.port.losses()?;
    Some(losses.imissed + losses.rx_nombuf)
}

/// Who has written the file, and where.
fn origin() -> Origin {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let release = read("/proc/sys/kernel/osrelease");
    Origin {
        hardware: model.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
        os: format!("Linux {}", release.trim()),
        application: format!("linetap {} ({})", env!("CARGO_PKG_VERSION"), Eal::version()),
    }
}

/// The system's clock.
fn real_ns() -> u64 {
    nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
