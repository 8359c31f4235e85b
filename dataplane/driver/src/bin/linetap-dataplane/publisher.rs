//! The publisher: takes requests, one at a time, and keeps an eye on links and workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use driver::hardware;
use driver::{Eal, EalConfig};
use engine::link::{FromDataplane, ToDataplane};
use engine::report::Report;
use engine::snapshot::Snapshot;

use crate::dataplane::Dataplane;
use crate::resolver::{Known, Resolver};
use crate::state_file::StateFile;
use crate::summary;

/// Links and workers are looked at this often.
const TICK: Duration = Duration::from_millis(100);
/// What a client's thread needs to pass the last answer on.
const LAST_ANSWER: Duration = Duration::from_millis(200);

/// What the publisher and the clients' threads tell each other beside requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// The epoch in force, for the greeting of new clients.
    pub(crate) in_force: Arc<Mutex<Option<u64>>>,
    /// Clients whose snapshots were taken and who are still there.
    pub(crate) controls: Arc<AtomicUsize>,
}

/// What the publisher waits for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client asks.
    Request(Request),
    /// The kernel's neighbours have changed.
    Known(Known),
    /// A signal.
    Stop,
}

/// A client's request and the way back to it.
#[derive(Debug)]
pub(crate) struct Request {
    /// What it asks.
    pub(crate) message: ToDataplane,
    /// For the answer.
    pub(crate) reply: Sender<FromDataplane>,
}

/// How far DPDK has come; a process can start it once.
#[derive(Debug)]
enum Dpdk {
    Untried,
    /// It did not start.
    Refused,
    /// Memory of an attempt that failed can't be given back while the process lives.
    Spent,
    Started(Eal, EalConfig),
}

/// The main thread's state.
#[derive(Debug)]
pub(crate) struct Publisher {
    state: StateFile,
    events: Sender<Event>,
    shared: Shared,
    dpdk: Dpdk,
    running: Option<Dataplane>,
    resolver: Option<Resolver>,
    must_restart: bool,
}

impl Publisher {
    pub(crate) fn new(state: StateFile, events: Sender<Event>) -> Self {
        Self {
            state,
            events,
            shared: Shared::default(),
            dpdk: Dpdk::Untried,
            running: None,
            resolver: None,
            must_restart: false,
        }
    }

    /// What clients' threads need, kept up to date.
    pub(crate) fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Starts with the snapshot that waits for this, or else with the last that was in force.
    /// Without one, or when it can't be started, control's is awaited.
    pub(crate) fn resume(&mut self) {
        match self.state.take_for_restart() {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                log::info!("starting with configuration {}, which waited for it", snapshot.epoch);
                let Err(faults) = self.begin(snapshot) else { return };
                for fault in faults {
                    log::error!("{fault}");
                }
                log::warn!("back to the configuration that was in force before");
                if !matches!(self.dpdk, Dpdk::Untried) {
                    // DPDK starts once in a process.
                    self.must_restart = true;
                    return;
                }
            }
            Err(error) => log::warn!("the configuration that waited can't be used: {error}"),
        }
        let place = self.state.path().display().to_string();
        match self.state.load() {
            Ok(None) => log::info!("waiting for control: no configuration is kept in {place}"),
            Err(error) => log::warn!("waiting for control: {place} can't be used: {error}"),
            Ok(Some(snapshot)) => {
                log::info!("starting with configuration {} of {place}", snapshot.epoch);
                if let Err(faults) = self.begin(snapshot) {
                    for fault in faults {
                        log::error!("{fault}");
                    }
                    log::warn!(
                        "waiting for control: the configuration of {place} can't be started"
                    );
                }
            }
        }
    }

    /// Answers until a signal comes, then stops everything in good order. True when nothing went
    /// wrong and every packet buffer came back.
    pub(crate) fn run(mut self, inbox: &Receiver<Event>) -> bool {
        let mut is_whole = true;
        let mut next_tick = Instant::now();
        while is_whole && !self.must_restart {
            match inbox.recv_deadline(next_tick) {
                Ok(Event::Request(request)) => self.answer(request),
                Ok(Event::Known(known)) => self.learn(known),
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    next_tick = Instant::now() + TICK;
                    is_whole = self.running.as_mut().is_none_or(Dataplane::tick);
                }
            }
        }
        let Some(running) = self.running.take() else {
            if self.must_restart {
                log::warn!("ending, to be started again");
                thread::sleep(LAST_ANSWER);
            }
            return is_whole && !self.must_restart;
        };
        let end = running.stop();
        summary::print(&end);
        is_whole && end.is_clean
    }

    fn answer(&mut self, request: Request) {
        let answer = match request.message {
            ToDataplane::Report => FromDataplane::Report(Box::new(self.report())),
            ToDataplane::Snapshot(snapshot) => self.judge(*snapshot),
            ToDataplane::SameRules { of, mut snapshot } => {
                let in_force = self.running.as_ref().map(Dataplane::snapshot);
                if let Some(in_force) = in_force.filter(|in_force| in_force.epoch == of) {
                    snapshot.rules = Arc::clone(&in_force.rules);
                    self.judge(*snapshot)
                } else {
                    let faults = vec![format!("the rules of {of} are not in force; send all")];
                    FromDataplane::Refused { epoch: snapshot.epoch, faults }
                }
            }
        };
        // A client that has gone needs no answer.
        let _ = request.reply.send(answer);
    }

    fn judge(&mut self, snapshot: Snapshot) -> FromDataplane {
        let epoch = snapshot.epoch;
        match self.take(snapshot) {
            Ok(()) => FromDataplane::Applied { epoch },
            Err(faults) => FromDataplane::Refused { epoch, faults },
        }
    }

    fn report(&mut self) -> Report {
        let Some(running) = &mut self.running else { return Report::default() };
        let mut report = running.report();
        if let Some(live) = &mut report.live {
            live.is_controlled = self.shared.controls.load(Ordering::Relaxed) > 0;
        }
        report
    }

    /// Takes a snapshot in place of the one in force. Errors: every reason against it.
    fn take(&mut self, snapshot: Snapshot) -> Result<(), Vec<String>> {
        let epoch = snapshot.epoch;
        let Some(running) = &mut self.running else {
            self.begin(snapshot)?;
            log::info!("configuration {epoch} is in force");
            return Ok(());
        };
        if running.snapshot().has_same_hardware(&snapshot) {
            running.apply(snapshot, &self.state)?;
        } else {
            let faults = snapshot.faults();
            if !faults.is_empty() {
                return Err(faults);
            }
            hardware::plan(&snapshot).map_err(|errors| sentences(&errors))?;
            let reason = "workers, memory, ports, links and spans can't change while the data \
                          plane runs";
            return Err(vec![self.keep_for_restart(&snapshot, reason)]);
        }
        log::info!("configuration {epoch} is in force");
        self.announce();
        Ok(())
    }

    /// Keeps a snapshot that only a new process can start with, and says so.
    fn keep_for_restart(&self, snapshot: &Snapshot, reason: &str) -> String {
        let kept = self.state.save_for_restart(snapshot).map_or_else(
            |error| format!("it could not be kept for then ({error})"),
            |()| "it is kept and tried then".to_owned(),
        );
        format!(
            "{reason}: restart linetap-dataplane (or `linetap up`) for this configuration; {kept}"
        )
    }

    /// Opens the hardware of the first snapshot and starts its workers.
    fn begin(&mut self, snapshot: Snapshot) -> Result<(), Vec<String>> {
        let faults = snapshot.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let plans = hardware::plan(&snapshot).map_err(|errors| sentences(&errors))?;
        let config = hardware::eal_config(&snapshot, &plans);
        let in_the_way = match &self.dpdk {
            Dpdk::Started(_, started) if *started == config => None,
            Dpdk::Started(..) => {
                Some("workers, memory and PCI devices can't change once DPDK has started")
            }
            Dpdk::Refused => Some("DPDK can be started once in a process, and it has refused"),
            Dpdk::Spent => Some(
                "a device keeps packet memory of a start that failed for as long as this process \
                 lives",
            ),
            Dpdk::Untried => {
                self.dpdk = Dpdk::Refused;
                let eal = Eal::start(&config).map_err(|error| vec![error.to_string()])?;
                log::info!("{} with {:?}", Eal::version(), config.memory);
                self.dpdk = Dpdk::Started(eal, config);
                None
            }
        };
        if let Some(reason) = in_the_way {
            self.must_restart = true;
            return Err(vec![self.keep_for_restart(&snapshot, reason)]);
        }
        let Dpdk::Started(eal, _) = &self.dpdk else { return Ok(()) };
        match Dataplane::start(eal, snapshot, plans, &self.state) {
            Ok(running) => {
                self.running = Some(running);
                self.announce();
                Ok(())
            }
            Err(faults) => {
                if eal.lost_pools() > 0 {
                    log::warn!("the next configuration will be tried by a new process");
                    self.dpdk = Dpdk::Spent;
                }
                Err(faults)
            }
        }
    }

    /// Tells clients and the resolver what is in force now.
    fn announce(&mut self) {
        let Some(running) = &self.running else { return };
        for (port, address) in running.unresolvable() {
            log::warn!(
                "tool {address}: nothing resolves its neighbor on port {port}, in which the kernel has no \
                 part; give it its `mac`. Copies for it are skipped until then"
            );
        }
        if let Ok(mut in_force) = self.shared.in_force.lock() {
            *in_force = Some(running.snapshot().epoch);
        }
        if self.resolver.is_none() {
            let events = self.events.clone();
            // Gone with the publisher: then nobody needs to know.
            let tell = move |known| drop(events.send(Event::Known(known)));
            match Resolver::start(tell) {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => log::error!("neighbours can't be resolved: {error}"),
            }
        }
        if let Some(resolver) = &self.resolver {
            resolver.want(running.wanted(), running.snapshot().vxlan.port);
        }
    }

    fn learn(&mut self, known: Known) {
        if let Some(running) = &mut self.running {
            running.learn(known);
        }
    }
}

/// Each error as a sentence.
pub(crate) fn sentences<E: ToString>(errors: &[E]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}
