//! The job `replay`: captures are put on the wire.
//!
//! A capture that fits the pool of frames is loaded into it before the first frame is due, and sent by reference, loop after
//! loop; any other one is read meanwhile by a thread of its own, some milliseconds ahead of the workers.

mod cast;
mod conductor;
mod outcome;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use traffic::link::Event;
use traffic::player::Player;
use traffic::replay::{ReplayPlan, Timing};
use traffic::sender::Sender;
use traffic::stage::Stage;

use crate::desk::Desk;
use cast::Cast;
use conductor::Conductor;
use outcome::Outcome;

/// A port without a link gets one within this time, or never: memif's other end comes late.
const LINK_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at what goes on.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What devices still hold at the end is sent by then.
const DRAIN: Duration = Duration::from_millis(10);

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(desk: &mut Desk, plan: &ReplayPlan) -> Event {
    match replay(desk, plan) {
        Ok(outcome) => Event::Replayed(outcome.report()),
        Err(faults) => Event::Refused(faults),
    }
}

fn replay(desk: &mut Desk, plan: &ReplayPlan) -> Result<Outcome, Vec<String>> {
    let ports = ports(desk, plan)?;
    let player = Player::open(plan)?;
    let totals = player.totals().cloned();
    wait_for_links(desk, &ports)?;
    let senders = senders(desk, &ports);
    let stage = Arc::new(Stage::new(senders));
    let cast = Cast { plan, totals: totals.as_ref(), ports: &ports, senders };
    let before = errors(desk, &ports);
    let (sources, feeding) = match cast.load(desk)? {
        Some(loaded) => loaded,
        None => cast.stream(desk, player, &stage)?,
    };
    let is_timed = plan.timing != Timing::Top;
    let sender = |(at, source)| Sender::new(at, source, is_timed, cast.end());
    let parts: Vec<_> = sources.into_iter().enumerate().map(sender).collect();
    let conducted = Conductor { stage: &stage, cast: &cast, feeding: &feeding }.run(desk, parts)?;
    let fed = feeding.finish();
    thread::sleep(DRAIN);
    let errors = errors(desk, &ports).saturating_sub(before);
    Ok(Outcome { conducted, fed, errors, loop_frames: totals.map(|it| it.frames), is_timed })
}

/// The ports of both sides. Errors: the plan names others than there are.
fn ports(desk: &Desk, plan: &ReplayPlan) -> Result<Vec<usize>, Vec<String>> {
    let ports: Vec<usize> = [Some(plan.port), plan.split.as_ref().map(|split| split.port)]
        .into_iter()
        .flatten()
        .collect();
    if ports.iter().any(|&port| port >= desk.lab.ports.len()) {
        return Err(vec!["the replay names a port that was not opened".to_owned()]);
    }
    Ok(ports)
}

/// Waits until all ports have a link. Errors: those that have none.
fn wait_for_links(desk: &Desk, ports: &[usize]) -> Result<(), Vec<String>> {
    let began = Instant::now();
    loop {
        let down =
            ports.iter().filter(|&&port| desk.lab.ports.get(port).is_some_and(|it| !it.link().0));
        let down: Vec<String> = down
            .filter_map(|&port| desk.setup.ports.get(port))
            .map(|port| {
                let (name, device) = (&port.name, &port.device);
                format!(
                    "port {name} ({device}) has no link: is its other end there, and up? (ip link set dev … up)"
                )
            })
            .collect();
        if down.is_empty() {
            return Ok(());
        }
        if began.elapsed() > LINK_WAIT || desk.requests.stop().load(Ordering::Relaxed) {
            return Err(down);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// How many workers have a transmit queue of each port.
fn senders(desk: &Desk, ports: &[usize]) -> usize {
    let workers = desk.lab.workers.iter();
    let has_all =
        |tx: &[Option<_>]| ports.iter().all(|&port| tx.get(port).is_some_and(Option::is_some));
    workers.take_while(|worker| has_all(&worker.tx)).count()
}

/// Frames that the devices say they could not send.
fn errors(desk: &Desk, ports: &[usize]) -> u64 {
    let of = |&port: &usize| desk.lab.ports.get(port)?.port.losses().map(|losses| losses.oerrors);
    ports.iter().filter_map(of).sum()
}
