//! The job `replay`: a feeder reads ahead, workers send when frames are due, this thread tells how far it is.
//!
//! Where the frames of a loop fit into the pool and are the same in each loop, they are all read before the start, and
//! the workers need no feeder.

mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use driver::lab::LabWorker;
use driver::{Dpdk, Mbuf, Mempool, TscClock, WorkerThread};
use engine::port::{Clock as _, TxQueue};
use engine::ticks::Scale;
use traffic::feeder::{Fed, Feeder, keep};
use traffic::histogram::{empty, encode};
use traffic::kept::{Kept, Rounds};
use traffic::link::Event;
use traffic::pace::Pace;
use traffic::player::Player;
use traffic::replay::{ReplayPlan, ReplayReport, Timing};
use traffic::sender::{Manner, Sender, Sent, Tally};
use traffic::supply::{Taker, ring};

use self::watch::{Course, Watch};
use crate::crew;
use crate::desk::Desk;

/// Frames of a chunk of a ring.
const CHUNK: u32 = 64;
/// Rounding to nanoseconds adds up over the loops of what is kept: a loop of that length is right to a billionth.
const KEPT_LOOP_MIN_NS: u64 = 1_000_000_000;
/// What a device still holds at the end is awaited for so long.
const DRAIN_WAIT: Duration = Duration::from_millis(50);
/// A feeder that waits for a pipe when all shall end is not awaited longer.
const FEEDER_WAIT: Duration = Duration::from_millis(100);

/// Where a worker's frames come from.
enum Part {
    Read(Taker<Mbuf>),
    Kept(Box<Kept<Mempool>>),
}

/// Where all frames come from.
struct Parts {
    each: Vec<Part>,
    feeder: Option<JoinHandle<Vec<String>>>,
    faults: Vec<String>,
}

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(desk: &mut Desk, plan: &ReplayPlan) -> Event {
    match replay(desk, plan) {
        Ok(report) => Event::Replayed(report),
        Err(faults) => Event::Refused(faults),
    }
}

fn replay(desk: &mut Desk, plan: &ReplayPlan) -> Result<ReplayReport, Vec<String>> {
    let ports = ports(desk, plan)?;
    let workers = senders(desk, &ports)?;
    let stop = desk.requests.stop();
    let player = match Player::open_until(plan, stop) {
        Ok(player) => player,
        // Who stops it has no use for what is wrong.
        Err(_) if stop.load(Ordering::Relaxed) => {
            return Ok(ReplayReport { was_stopped: true, ..ReplayReport::default() });
        }
        Err(faults) => return Err(faults),
    };
    desk.await_links(&ports)?;
    let course = Course::new(plan, player.totals());
    let left_out = player.totals().map_or(0, |totals| totals.left_out);
    let (pace, fed) = (Arc::new(Pace::default()), Arc::new(Fed::default()));
    let errors_before = errors_of(desk, &ports);
    let mut parts = parts(desk, plan, player, workers, (&pace, &fed))?;
    let tallies: Vec<Tally> = (0..workers).map(|_| Tally::default()).collect();
    let manner = Manner {
        is_timed: plan.timing != Timing::Top,
        duration_ns: plan.duration_ns.unwrap_or(u64::MAX),
    };
    let work = |worker: &mut LabWorker, (part, tally): (Part, &Tally)| {
        let runner = pace.enter();
        let sender = Sender::<Dpdk>::new(queues(worker, &ports), tally, manner);
        match part {
            Part::Read(taker) => sender.run(taker, &runner),
            Part::Kept(kept) => sender.run(*kept, &runner),
        }
    };
    let each = parts.each.drain(..).zip(&tallies).collect();
    let watch =
        Watch { requests: &desk.requests, pace: &pace, fed: &fed, tallies: &tallies, course };
    let done = crew::run(&mut desk.lab.workers, each, work, || watch.conduct());
    // Without workers nobody is fed.
    pace.stop();
    let read = parts.feeder.map(finish).unwrap_or_default();
    let (sent, was_stopped) = done?;
    drain(desk, &ports);
    let mut report = report(&sent, manner.is_timed);
    report.was_stopped = was_stopped;
    report.left_out = left_out;
    report.loops = course.loops(report.packets, &fed);
    report.faults = parts.faults;
    report.faults.extend(read);
    if sent.iter().any(|(sent, _)| sent.is_cut) {
        report
            .faults
            .push("in the time that was given, the port did not take all that was due".to_owned());
    }
    let too_long = ("longer than a buffer for the port's MTU".to_owned(), fed.too_long());
    let refused = errors_of(desk, &ports).saturating_sub(errors_before);
    report.packets = report.packets.saturating_sub(refused);
    let refused = ("the device could not send them".to_owned(), refused);
    report.failed = [too_long, refused].into_iter().filter(|(_, frames)| *frames > 0).collect();
    Ok(report)
}

/// The ports of both sides, by place.
fn ports(desk: &Desk, plan: &ReplayPlan) -> Result<Vec<usize>, Vec<String>> {
    let ports: Vec<usize> = [Some(plan.port), plan.split.as_ref().map(|split| split.port)]
        .into_iter()
        .flatten()
        .collect();
    if let Some(port) = ports.iter().find(|port| **port >= desk.lab.ports.len()) {
        return Err(vec![format!("there is no port {port}: {} are open", desk.lab.ports.len())]);
    }
    if let [one, other] = ports[..]
        && one == other
    {
        return Err(vec![
            "both directions leave by the same port: split by two ports, or not at all".to_owned(),
        ]);
    }
    Ok(ports)
}

/// How many workers can send by all of the ports: the first ones.
fn senders(desk: &Desk, ports: &[usize]) -> Result<usize, Vec<String>> {
    let can_send = |worker: &&LabWorker| {
        ports.iter().all(|port| worker.tx.get(*port).is_some_and(Option::is_some))
    };
    match desk.lab.workers.iter().take_while(can_send).count() {
        0 => Err(vec!["the port has no transmit queue: its device can't send".to_owned()]),
        workers => Ok(workers),
    }
}

/// Reads everything, or begins to.
fn parts(
    desk: &Desk,
    plan: &ReplayPlan,
    player: Player,
    workers: usize,
    (pace, fed): (&Arc<Pace>, &Arc<Fed>),
) -> Result<Parts, Vec<String>> {
    let pool = desk.lab.frames.handle();
    if let Some(rounds) = rounds(plan, &player, desk.setup.frames) {
        let mut queues = desk.lab.workers.iter().flat_map(|worker| &worker.tx).flatten();
        // A frame that is given a time is nobody else's.
        let is_timed =
            |tx: &driver::TxQueue| plan.timing != Timing::Top && tx.device_time().is_some();
        let shares = queues.all(|tx| tx.takes_shared() && !is_timed(tx));
        let scale = Scale::new(TscClock::hz());
        let empty = |_| Kept::new(rounds, scale, (!shares).then(|| pool.handle()));
        let mut kept: Vec<Kept<Mempool>> = (0..workers).map(empty).collect();
        let faults = keep::<_, TscClock>(player, pool.handle(), &mut kept, pace, fed)?;
        return Ok(Parts {
            each: kept.into_iter().map(|kept| Part::Kept(Box::new(kept))).collect(),
            feeder: None,
            faults,
        });
    }
    let workers_u32 = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
    let chunks = (desk.setup.frames / CHUNK / workers_u32) as usize;
    let (givers, takers): (Vec<_>, Vec<_>) = (0..workers).map(|_| ring(chunks)).unzip();
    let feeder = Feeder::new(player, pool, givers);
    let (pace, fed) = (Arc::clone(pace), Arc::clone(fed));
    let feed = move || match WorkerThread::register() {
        Ok(_thread) => feeder.run::<TscClock>(&pace, &fed),
        Err(cause) => vec![format!("captures can't be read by a thread of their own: {cause}")],
    };
    let feeder = thread::Builder::new().name("feeder".to_owned()).spawn(feed);
    let feeder = feeder.map_err(|error| vec![format!("no thread reads captures: {error}")])?;
    let each = takers.into_iter().map(Part::Read).collect();
    Ok(Parts { each, feeder: Some(feeder), faults: Vec::new() })
}

/// How what is kept is sent; `None` where the loops are too long or differ.
fn rounds(plan: &ReplayPlan, player: &Player, buffers: u32) -> Option<Rounds> {
    let totals = player.totals()?;
    let loops = plan.loops.unwrap_or(u64::MAX);
    let is_exact =
        loops == 1 || plan.timing == Timing::Top || totals.duration_ns >= KEPT_LOOP_MIN_NS;
    let is_same = loops == 1 || plan.rewrites.increments.is_empty();
    (totals.frames <= u64::from(buffers) && is_exact && is_same).then_some(Rounds {
        loops,
        frames: totals.frames,
        limit: plan.limit.unwrap_or(u64::MAX),
        duration_ns: plan.duration_ns.unwrap_or(u64::MAX),
        loop_ns: totals.duration_ns,
    })
}

/// A worker's queues of both sides.
fn queues<'a>(worker: &'a mut LabWorker, ports: &[usize]) -> [Option<&'a mut driver::TxQueue>; 2] {
    let mut queues = [None, None];
    for (port, tx) in worker.tx.iter_mut().enumerate() {
        if let Some(side) = ports.iter().position(|wanted| *wanted == port)
            && let Some(queue) = queues.get_mut(side)
        {
            *queue = tx.as_mut();
        }
    }
    queues
}

/// What the feeder found wrong. One that waits for a pipe is left behind.
fn finish(feeder: JoinHandle<Vec<String>>) -> Vec<String> {
    let began = Instant::now();
    while !feeder.is_finished() && began.elapsed() < FEEDER_WAIT {
        thread::sleep(Duration::from_millis(1));
    }
    if !feeder.is_finished() {
        return Vec::new();
    }
    feeder
        .join()
        .unwrap_or_else(|_| vec!["reading captures has failed; its message is above".to_owned()])
}

/// Waits until the devices have sent what they hold.
fn drain(desk: &mut Desk, ports: &[usize]) {
    let began = Instant::now();
    while desk.lab.frames.in_use() > 0 && began.elapsed() < DRAIN_WAIT {
        let queues =
            desk.lab.workers.iter_mut().flat_map(|worker| worker.tx.iter_mut().enumerate());
        let queues =
            queues.filter(|(port, _)| ports.contains(port)).filter_map(|(_, tx)| tx.as_mut());
        let mut cleaned = queues.map(driver::TxQueue::clean);
        if cleaned.any(|freed| freed.is_none()) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Frames that the ports' devices could not send, so far.
fn errors_of(desk: &Desk, ports: &[usize]) -> u64 {
    let losses = ports.iter().filter_map(|port| desk.lab.ports.get(*port)?.port.losses());
    losses.map(|losses| losses.oerrors).sum()
}

fn report(workers: &[(Sent, hdrhistogram::Histogram<u64>)], is_timed: bool) -> ReplayReport {
    let (mut report, mut errors) = (ReplayReport::default(), empty());
    let busy = || workers.iter().filter(|(sent, _)| sent.packets > 0);
    for (sent, its_errors) in workers {
        report.packets += sent.packets;
        report.bytes += sent.bytes;
        report.wire_bytes += sent.wire_bytes;
        report.starved += sent.starved;
        let added = errors.add(its_errors);
        debug_assert!(added.is_ok(), "all have the same bounds");
    }
    let first = busy().map(|(sent, _)| sent.first).min().unwrap_or(0);
    let last = busy().map(|(sent, _)| sent.last).max().unwrap_or(0);
    report.elapsed_ns = Scale::new(TscClock::hz()).ns(last.saturating_sub(first));
    report.timing_error = is_timed.then(|| encode(&errors));
    report
}
