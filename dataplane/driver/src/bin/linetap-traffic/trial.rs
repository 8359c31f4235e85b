//! The job `trial`.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

use driver::lab::LabWorker;
use driver::{Dpdk, TscClock};
use engine::port::{Clock as _, Mempool as _};
use engine::ticks::Scale;
use traffic::account;
use traffic::link::Event;
use traffic::prepare::{PortFacts, WorkerFacts, prepare};
use traffic::stamp::Stamps;
use traffic::station::{Baton, Hands};
use traffic::trial::{CopyPlan, TrialPlan};

use crate::crew;
use crate::desk::Desk;

/// What no other process knows.
static SECRET: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
/// The number of the trial that was last.
static TRIALS: AtomicU8 = AtomicU8::new(0);

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(desk: &mut Desk, plan: &TrialPlan) -> Event {
    let all: Vec<usize> = (0..desk.lab.ports.len()).collect();
    if let Err(faults) = desk.await_links(&all) {
        return Event::Refused(faults);
    }
    let Desk { lab, setup, requests, .. } = desk;
    // Over and over, without the one of frames that nobody counts.
    let trial = 1 + TRIALS.fetch_add(1, Ordering::Relaxed) % u8::MAX;
    let stamps = Stamps { secret: *SECRET, trial };
    let ports = setup.ports.iter().zip(&lab.ports).map(|(setup, live)| PortFacts {
        name: setup.name.clone(),
        mac: live.port.mac(),
        mtu: setup.mtu,
    });
    let ports: Vec<PortFacts> = ports.collect();
    let workers: Vec<WorkerFacts> = lab.workers.iter().map(facts).collect();
    let stations = match prepare::<Dpdk>(plan, &ports, &workers, stamps) {
        Ok(stations) => stations,
        Err(faults) => return Event::Refused(faults),
    };
    let baton = Baton::default();
    // Each frame comes once by its stream's port, and once in each network of copies.
    let networks = |copies: &CopyPlan| match copies.sources.as_slice() {
        [] => copies.vnis.len() as u64,
        // Networks share the frames.
        _ => 1,
    };
    let times = 1 + plan.copies.as_ref().map_or(0, networks);
    let ran = crew::run(
        &mut lab.workers,
        stations,
        |worker, station| {
            let LabWorker { rx, tx, frames, .. } = worker;
            station.run(Hands::<Dpdk> { rx, tx, pool: frames }, &baton)
        },
        || baton.conduct::<TscClock>(workers.len(), times, plan.wait_ns, requests.stop()),
    );
    let (accounts, ended) = match ran {
        Ok(ran) => ran,
        Err(faults) => return Event::Refused(faults),
    };
    let names: Vec<String> = ports.into_iter().map(|port| port.name).collect();
    let scale = Scale::new(TscClock::hz());
    Event::Measured(Box::new(account::result(plan, &names, accounts, ended, scale)))
}

fn facts(worker: &LabWorker) -> WorkerFacts {
    WorkerFacts {
        rx: worker.rx.iter().map(Vec::len).collect(),
        tx: worker.tx.iter().map(Option::is_some).collect(),
        frame_len_max: worker.frames.data_room(),
    }
}
