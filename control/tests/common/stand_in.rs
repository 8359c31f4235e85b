//! A stand-in for the data plane: takes snapshots and answers with made-up counters.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use engine::latency::{Latency, PackedLatency, record};
use engine::link::{FromDataplane, PROTOCOL_VERSION, ToDataplane, read_message, write_message};
use engine::report::{
    DeviceLosses, HopState, KernelState, LiveReport, NeighborState, PortReport, PortState, Report,
    RxQueueReport, SessionReport, TxQueueReport, WorkerState,
};
use engine::snapshot::{MemberSpec, Snapshot, TargetSpec};
use engine::units::Mac;

/// Longer than anything takes that is waited for; reached only when it will never happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Serves a socket until the process ends.
pub(crate) struct StandIn {
    pub(crate) socket: PathBuf,
    snapshots: Receiver<Snapshot>,
    refusal: Arc<Mutex<Refusal>>,
}

/// Which snapshots are refused, and why.
#[derive(Debug, Default)]
struct Refusal {
    reasons: Vec<String>,
    /// Each so manieth only.
    every: u32,
    asked: u32,
}

impl Refusal {
    fn next(&mut self) -> Vec<String> {
        self.asked += 1;
        if self.asked.is_multiple_of(self.every.max(1)) { self.reasons.clone() } else { vec![] }
    }
}

impl StandIn {
    /// Listens at `socket`, in place of a data plane that ended before.
    pub(crate) fn start(socket: &Path) -> Self {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        // linetapd is another user when the tests are root's.
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
        let (sender, snapshots) = channel();
        let refusal: Arc<Mutex<Refusal>> = Arc::default();
        let shared = Arc::clone(&refusal);
        thread::spawn(move || {
            let in_force = Arc::new(Mutex::new(None));
            for stream in listener.incoming() {
                let (sender, refusal) = (sender.clone(), Arc::clone(&shared));
                let in_force = Arc::clone(&in_force);
                thread::spawn(move || serve(&stream.unwrap(), &sender, &refusal, &in_force));
            }
        });
        Self { socket: socket.to_owned(), snapshots, refusal }
    }

    /// The next snapshot that somebody sends.
    pub(crate) fn next_snapshot(&self) -> Snapshot {
        self.snapshots.recv_timeout(PATIENCE).expect("a snapshot is sent")
    }

    /// The last snapshot that was sent, of those that nobody has asked for.
    pub(crate) fn last_snapshot(&self) -> Option<Snapshot> {
        self.snapshots.try_iter().last()
    }

    /// True when nobody has sent a snapshot since.
    pub(crate) fn is_idle(&self) -> bool {
        self.snapshots.try_recv().is_err()
    }

    /// Refuses all further snapshots for this reason.
    pub(crate) fn refuse(&self, reason: &str) {
        self.refuse_every(1, reason);
    }

    /// Refuses one in so many of all further snapshots.
    pub(crate) fn refuse_every(&self, every: u32, reason: &str) {
        let mut refusal = self.refusal.lock().unwrap();
        refusal.every = every;
        refusal.reasons.push(reason.to_owned());
    }
}

fn serve(
    mut stream: &UnixStream,
    snapshots: &Sender<Snapshot>,
    refusal: &Mutex<Refusal>,
    in_force: &Mutex<Option<Snapshot>>,
) {
    let epoch = in_force.lock().unwrap().as_ref().map(|snapshot| snapshot.epoch);
    let hello = FromDataplane::Hello { protocol: PROTOCOL_VERSION, pid: 4711, epoch };
    write_message(&mut stream, &hello).unwrap();
    while let Ok(Some(message)) = read_message(&mut stream) {
        let message = match message {
            ToDataplane::SameRules { of, mut snapshot } => {
                let in_force = in_force.lock().unwrap();
                let in_force = in_force.as_ref().unwrap();
                assert_eq!(in_force.epoch, of);
                snapshot.rules = Arc::clone(&in_force.rules);
                ToDataplane::Snapshot(snapshot)
            }
            other => other,
        };
        let answer = match message {
            ToDataplane::SameRules { .. } => unreachable!("it became a whole one"),
            ToDataplane::Report => {
                let report = in_force.lock().unwrap().as_ref().map(report);
                FromDataplane::Report(Box::new(report.unwrap_or_default()))
            }
            ToDataplane::Snapshot(snapshot) => {
                let (epoch, faults) = (snapshot.epoch, refusal.lock().unwrap().next());
                let _ = snapshots.send((*snapshot).clone());
                if faults.is_empty() {
                    *in_force.lock().unwrap() = Some(*snapshot);
                    FromDataplane::Applied { epoch }
                } else {
                    FromDataplane::Refused { epoch, faults }
                }
            }
        };
        if write_message(&mut stream, &answer).is_err() {
            return;
        }
    }
}

/// Counters for every port and session, each with its law kept.
fn report(snapshot: &Snapshot) -> Report {
    let port = |name: &String| PortReport {
        name: name.clone(),
        rx_packets: 1_234_567,
        forwarded: 1_234_567,
        tx_packets: 234,
        ..Default::default()
    };
    let state = |name: &String| PortState {
        name: name.clone(),
        driver: "net_null".into(),
        link_up: true,
        speed_mbps: 10_000,
        share_len_min: (name == "tool").then_some(277),
        kernel: (name == "tool").then(|| KernelState {
            interface: "lt-tool".into(),
            received: 41,
            sent: 42,
            ..Default::default()
        }),
        losses: (name != "tool").then(|| DeviceLosses { imissed: 3, ..Default::default() }),
        ..Default::default()
    };
    let session = |id: &String| SessionReport {
        id: id.clone(),
        matched: 7,
        mirrored_packets: 7,
        ..Default::default()
    };
    Report {
        epoch: snapshot.epoch,
        ports: snapshot.ports.iter().map(|spec| port(&spec.name)).collect(),
        sessions: snapshot.sessions.iter().map(|spec| session(&spec.id)).collect(),
        live: Some(LiveReport {
            uptime_s: 3_661,
            pid: 4711,
            is_controlled: true,
            ports: snapshot.ports.iter().map(|spec| state(&spec.name)).collect(),
            workers: workers(snapshot),
            latency: snapshot.dataplane.latency.then(latency),
            neighbors: neighbors(snapshot),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Every tool on the subnet, with copies as its weight says.
fn neighbors(snapshot: &Snapshot) -> Vec<NeighborState> {
    let members =
        snapshot.targets.iter().flat_map(|it| it.members.iter().map(move |one| (it, one)));
    let state = |(target, member): (&TargetSpec, &MemberSpec)| NeighborState {
        target: target.id.clone(),
        address: member.address,
        source: member.source,
        health: member.health,
        checked: member.checked.clone(),
        all_down: target.balance.all_down,
        weight: member.weight,
        path_mtu: None,
        hops: vec![HopState {
            via: member.address,
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            vlan: None,
        }],
        copies: 1000 * u64::from(member.weight),
        moved_flows: 0,
    };
    members.map(state).collect()
}

/// A thousand frames and 997 copies.
fn latency() -> PackedLatency {
    let mut latency = Latency::new();
    for (ns, frames) in [(800, 900), (1_500, 90), (42_000, 9), (3_000_000, 1)] {
        record(&mut latency.wire, ns, frames);
    }
    record(&mut latency.copy, 1_900, 997);
    latency.pack().unwrap()
}

/// Workers whose queues add up to what [`report`] tells of their ports.
fn workers(snapshot: &Snapshot) -> Vec<WorkerState> {
    let rx = |port: &String| RxQueueReport {
        port: port.clone(),
        packets: 1_234_567,
        bytes: 80_000_000,
        polls: 100_000,
        empty_polls: 75_000,
        full_bursts: 12_345,
        waiting: (port == "lan").then_some(17),
        ..Default::default()
    };
    let tx = |port: &String| TxQueueReport {
        port: port.clone(),
        packets: 234,
        bytes: 23_400,
        refused: 5,
        ..Default::default()
    };
    let worker = |(at, &core): (usize, &u16)| {
        // One queue of each port: the first worker has them all.
        let ports = || snapshot.ports.iter().map(|spec| &spec.name).filter(|_| at == 0);
        WorkerState {
            core,
            epoch: snapshot.epoch,
            polls: 100_000,
            empty_polls: 75_000,
            total_ns: 3_661_000_000_000,
            busy_ns: 36_610_000_000,
            asleep_ns: 3_000_000_000_000,
            sleeps: 30_000,
            rx: ports().map(rx).collect(),
            tx: ports().map(tx).collect(),
        }
    };
    snapshot.dataplane.workers.iter().enumerate().map(worker).collect()
}
