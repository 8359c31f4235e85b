//! From the plan of a trial to each worker's part in it.

use std::sync::Arc;

use engine::port::Clock as _;
use engine::port::Devices;
use engine::ticks::Scale;
use engine::units::{Mac, Vni};

use crate::frames::{FrameSet, Path, Place};
use crate::generator::Generator;
use crate::learning::Lesson;
use crate::load::Load;
use crate::receiver::Receiver;
use crate::sequence;
use crate::stamp::{STAMP_LEN, Stamps};
use crate::station::Station;
use crate::trial::{CopyPlan, Frames, Made, Stream, TrialPlan};

/// A stamp has a byte for the stream.
const STREAMS_MAX: usize = 256;
/// Networks of copies.
const NETWORKS_MAX: usize = 1024;
/// What receivers remember takes so much memory at most.
const MEMORY_MAX: u64 = 4 << 30;
/// A burst without a limit ends after so long.
const BURST_NS_MAX: u64 = 60_000_000_000;

/// What is to be known of an open port.
#[derive(Debug, Clone)]
pub struct PortFacts {
    /// Its name in messages.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// The largest IP packet that it sends.
    pub mtu: u16,
}

/// Which queues a worker has, by port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Receive queues.
    pub rx: Vec<usize>,
    /// A transmit queue.
    pub tx: Vec<bool>,
    /// The longest frame that its buffers hold.
    pub frame_len_max: usize,
}

/// Makes each worker's part. Errors: all faults of the plan, sentences.
pub fn prepare<D: Devices>(
    plan: &TrialPlan,
    ports: &[PortFacts],
    workers: &[WorkerFacts],
    stamps: Stamps,
) -> Result<Vec<Station<D>>, Vec<String>> {
    let mut faults = faults_of(plan, ports);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut sets = Vec::new();
    for (at, stream) in plan.streams.iter().enumerate() {
        match FrameSet::new(&stream.frames, &path(stream, ports)) {
            Ok(set) => sets.push(Arc::new(set)),
            Err(error) => faults.push(format!("stream {at}: {error}")),
        }
    }
    faults.extend(plan.copies.iter().flat_map(|copies| cut_stamps(copies, &sets)));
    let mut stations: Vec<Station<D>> = workers.iter().map(|_| Station::default()).collect();
    for (at, (stream, set)) in plan.streams.iter().zip(&sets).enumerate() {
        match sender(at, stream.tx, workers) {
            Some(sender) if set.len_max() <= workers[sender].frame_len_max => {
                let load = load::<D>(plan);
                let generator = Generator::new(at as u8, stream.tx, Arc::clone(set), load, stamps);
                stations[sender].generators.push(generator);
            }
            Some(_) => {
                faults.push(format!("stream {at}: buffers don't hold {} bytes", set.len_max()));
            }
            None => faults.push(format!(
                "stream {at}: port `{}` has no transmit queue for a worker; use fewer cores",
                ports[stream.tx].name
            )),
        }
    }
    if plan.learning {
        faults.extend(add_lessons(plan, ports, workers, &sets, stamps, &mut stations));
    }
    let needed = memory(plan, &sets, workers);
    if needed > MEMORY_MAX {
        faults.push(format!(
            "to remember what has come of all flows takes {} MiB, and at most {} are used: fewer flows, streams or \
             networks of copies will do",
            needed >> 20,
            MEMORY_MAX >> 20
        ));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    for (station, worker) in stations.iter_mut().zip(workers) {
        station.receivers = receivers::<D>(plan, &sets, worker, stamps);
    }
    Ok(stations)
}

/// Gives each stream's first worker that sends by a port what devices learn from there. Returns faults.
fn add_lessons<D: Devices>(
    plan: &TrialPlan,
    ports: &[PortFacts],
    workers: &[WorkerFacts],
    sets: &[Arc<FrameSet>],
    stamps: Stamps,
    stations: &mut [Station<D>],
) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, (stream, set)) in plan.streams.iter().zip(sets).enumerate() {
        if let Some(sender) = sender(at, stream.tx, workers) {
            stations[sender].lessons.push(Lesson::new(stream.tx, Arc::clone(set), stamps));
        }
        // The way back of captured frames, and of those to a router, is not known.
        let Frames::Made(Made { destination_mac: None, .. }) = &stream.frames else { continue };
        let back = Stream { tx: stream.rx, rx: stream.tx, frames: stream.frames.clone() };
        match FrameSet::new(&back.frames, &path(&back, ports)) {
            Ok(set) => {
                if let Some(sender) = sender(at, back.tx, workers) {
                    stations[sender].lessons.push(Lesson::new(back.tx, Arc::new(set), stamps));
                }
            }
            Err(error) => {
                faults.push(format!("stream {at}, learning frames of its way back: {error}"));
            }
        }
    }
    faults
}

/// What is wrong with a plan whatever its frames are.
fn faults_of(plan: &TrialPlan, ports: &[PortFacts]) -> Vec<String> {
    let mut faults = Vec::new();
    let streams = plan.streams.len();
    if streams == 0 || streams > STREAMS_MAX {
        faults.push(format!("{streams} streams: it must be 1..{STREAMS_MAX}"));
    }
    let named = plan.streams.iter().flat_map(|stream| [stream.tx, stream.rx]);
    for port in named.chain(plan.copies.as_ref().map(|copies| copies.rx)) {
        if port >= ports.len() {
            faults.push(format!("there is no port {port}: {} are open", ports.len()));
        }
    }
    if plan.load.is_some_and(|load| !(load > 0.0 && load.is_finite())) {
        faults.push("a load must be above 0 frames a second".to_owned());
    }
    if plan.burst == Some(0) {
        faults.push("a burst has one frame at least".to_owned());
    }
    if plan.duration_ns == 0 && plan.burst.is_none() {
        faults.push("a duration must be above 0".to_owned());
    }
    let Some(copies) = &plan.copies else { return faults };
    if copies.vnis.is_empty() || copies.vnis.len() > NETWORKS_MAX {
        faults.push(format!(
            "copies are expected in {} networks: it must be 1..{NETWORKS_MAX}",
            copies.vnis.len()
        ));
    }
    if !copies.sources.is_empty() && copies.sources.len() != copies.vnis.len() {
        faults.push(format!(
            "copies are expected in {} networks, and source ports are given of {}: give them of all or of none",
            copies.vnis.len(),
            copies.sources.len()
        ));
    }
    for (at, vni) in copies.vnis.iter().enumerate() {
        if let Err(error) = Vni::try_from(*vni) {
            faults.push(format!("copies: {error}"));
        }
        if copies.vnis[..at].contains(vni) {
            faults.push(format!("copies: network {vni} is given twice"));
        }
    }
    faults
}

/// Copies that are cut too short, or whose stamp is at the end that is cut off.
fn cut_stamps(copies: &CopyPlan, sets: &[Arc<FrameSet>]) -> Vec<String> {
    let Some(len_max) = copies.len_max.map(usize::from) else { return Vec::new() };
    let of_set = |(at, set): (usize, &Arc<FrameSet>)| match set.place() {
        Place::Behind(head) if len_max < head + STAMP_LEN => Some(format!(
            "stream {at}: copies of {len_max} bytes don't hold the stamp; they need {} at least",
            head + STAMP_LEN
        )),
        Place::Last if len_max < set.len_max() => Some(format!(
            "stream {at}: frames of a capture have their stamp at the end, and copies of {len_max} bytes are cut \
             before it: don't cut copies, or make the frames instead"
        )),
        _ => None,
    };
    sets.iter().enumerate().filter_map(of_set).collect()
}

fn path(stream: &Stream, ports: &[PortFacts]) -> Path {
    let (tx, rx) = (&ports[stream.tx], &ports[stream.rx]);
    Path {
        port: tx.name.clone(),
        source_mac: tx.mac,
        destination_mac: rx.mac,
        mtu: tx.mtu,
        is_reverse: stream.tx > stream.rx,
    }
}

fn load<D: Devices>(plan: &TrialPlan) -> Load {
    let hz = D::Clock::hz();
    let ticks = |ns| Scale::new(hz).ticks(ns);
    match (plan.burst, plan.load) {
        (Some(count), _) if plan.duration_ns == 0 => Load::burst(count, ticks(BURST_NS_MAX)),
        (Some(count), _) => Load::burst(count, ticks(plan.duration_ns)),
        (None, Some(load)) => Load::even(load, ticks(plan.duration_ns), hz),
        (None, None) => Load::top(ticks(plan.duration_ns)),
    }
}

/// The worker that sends a stream. Where queues are few, the first workers receive: the last ones send first.
fn sender(stream: usize, port: usize, workers: &[WorkerFacts]) -> Option<usize> {
    let able: Vec<usize> = (0..workers.len())
        .rev()
        .filter(|worker| workers[*worker].tx.get(port) == Some(&true))
        .collect();
    able.get(stream % able.len().max(1)).copied()
}

fn comes_here(plan: &TrialPlan, port: usize) -> (Vec<bool>, Option<&CopyPlan>) {
    let here = plan.streams.iter().map(|stream| stream.rx == port).collect();
    (here, plan.copies.as_ref().filter(|copies| copies.rx == port))
}

fn receivers<D: Devices>(
    plan: &TrialPlan,
    sets: &[Arc<FrameSet>],
    worker: &WorkerFacts,
    stamps: Stamps,
) -> Vec<Option<Receiver>> {
    let of_port = |(port, queues): (usize, &usize)| {
        let (here, copies) = comes_here(plan, port);
        (*queues > 0).then(|| Receiver::new::<D::Clock>(sets, &here, copies, stamps))
    };
    worker.rx.iter().enumerate().map(of_port).collect()
}

/// What all receivers take.
fn memory(plan: &TrialPlan, sets: &[Arc<FrameSet>], workers: &[WorkerFacts]) -> u64 {
    let mut bytes = 0u64;
    for worker in workers {
        for (port, _) in worker.rx.iter().enumerate().filter(|(_, queues)| **queues > 0) {
            let (here, copies) = comes_here(plan, port);
            let networks = copies.map_or(0, |copies| copies.vnis.len() as u64);
            let each = sets.iter().zip(here);
            let times = |is_here| u64::from(is_here) + networks;
            bytes += each
                .map(|(set, is_here)| times(is_here) * sequence::bytes(set.flows()))
                .sum::<u64>();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use engine::sim::Sim;

    use super::*;
    use crate::frames::samples::made;

    const STAMPS: Stamps = Stamps { secret: 1, trial: 1 };

    pub(crate) fn plan() -> TrialPlan {
        let made = Made { flows: 4, ..made(&[64]) };
        let stream = |tx, rx| Stream { tx, rx, frames: Frames::Made(made.clone()) };
        TrialPlan {
            streams: vec![stream(0, 1), stream(1, 0)],
            load: Some(1000.0),
            burst: None,
            duration_ns: 1_000_000,
            wait_ns: 0,
            learning: false,
            copies: None,
        }
    }

    fn ports() -> Vec<PortFacts> {
        let port =
            |at: u8| PortFacts { name: format!("p{at}"), mac: Mac([2, 0, 0, 0, 0, at]), mtu: 1500 };
        (0..3).map(port).collect()
    }

    fn worker(rx: [usize; 3]) -> WorkerFacts {
        WorkerFacts { rx: rx.to_vec(), tx: vec![true; 3], frame_len_max: 2048 }
    }

    fn prepared(
        plan: &TrialPlan,
        workers: &[WorkerFacts],
    ) -> Result<Vec<Station<Sim>>, Vec<String>> {
        prepare(plan, &ports(), workers, STAMPS)
    }

    #[test]
    fn who_does_not_receive_sends() {
        let stations = prepared(&plan(), &[worker([1, 1, 0]), worker([0; 3])]).unwrap();
        let senders: Vec<_> = stations.iter().map(|station| station.generators.len()).collect();
        assert_eq!(senders, [1, 1]);
        assert_eq!(stations[1].generators[0].tx(), 0);
        let receivers = |station: &Station<Sim>| -> Vec<bool> {
            station.receivers.iter().map(Option::is_some).collect()
        };
        assert_eq!(receivers(&stations[0]), [true, true, false]);
        assert_eq!(receivers(&stations[1]), [false; 3]);
        let alone = prepared(&plan(), &[worker([1; 3])]).unwrap();
        assert_eq!(alone[0].generators.len(), 2);
    }

    #[test]
    fn faults_are_told_all_at_once_and_nothing_begins() {
        let copies = CopyPlan {
            rx: 9,
            udp_port: 4789,
            vnis: vec![1, 1, 1 << 24],
            len_max: None,
            sources: vec![],
        };
        let wrong = TrialPlan { load: Some(0.0), burst: Some(0), copies: Some(copies), ..plan() };
        let faults = prepared(&wrong, &[worker([1; 3])]).unwrap_err();
        assert_eq!(faults.len(), 5, "{faults:?}");
        let none = TrialPlan { streams: vec![], duration_ns: 0, ..plan() };
        assert_eq!(prepared(&none, &[worker([1; 3])]).unwrap_err().len(), 2);
        let mut small = plan();
        for stream in &mut small.streams {
            let Frames::Made(made) = &mut stream.frames else { unreachable!() };
            made.is_v6 = true;
        }
        assert_eq!(prepared(&small, &[worker([1; 3])]).unwrap_err().len(), 2);
        let deaf = WorkerFacts { tx: vec![false; 3], ..worker([1; 3]) };
        assert!(prepared(&plan(), &[deaf]).unwrap_err()[0].contains("`p0`"));
    }

    #[test]
    fn copies_must_hold_the_stamp_and_memory_must_do() {
        let copies =
            |len_max, vnis| CopyPlan { rx: 2, udp_port: 4789, vnis, len_max, sources: vec![] };
        let with = |copies| TrialPlan { copies: Some(copies), ..plan() };
        let workers = [worker([1; 3])];
        assert!(prepared(&with(copies(Some(60), vec![1])), &workers).is_ok());
        let faults = prepared(&with(copies(Some(59), vec![1])), &workers).unwrap_err();
        assert!(faults.iter().all(|fault| fault.contains("60 at least")), "{faults:?}");
        let many = with(copies(None, (0..1024).collect()));
        let mut flows = many.clone();
        let Frames::Made(made) = &mut flows.streams[0].frames else { unreachable!() };
        made.flows = 1 << 20;
        assert!(prepared(&flows, &workers).unwrap_err()[0].contains("MiB"));
    }
}
