//! The checks of all members, each by a task of its own.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::snapshot::{Health, HealthState};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::Subject;
use super::board::{Board, MemberKey};
use super::echo::{EchoSockets, Pinger};
use super::gauge::{Finding, Gauge, UNABLE};
use super::probe::{probe, random, seconds};

/// Checks at a time, each with a socket at most; more wait their turn.
const PROBES_MAX: usize = 256;
/// First checks are spread over so long at most, not to come all at once.
const SPREAD_MAX: Duration = Duration::from_secs(1);
/// Checks come a little earlier than the interval says, by up to this part of it, so that those of many
/// members don't stay in step; never later, which would make a failure known later.
const JITTER: f64 = 0.1;

/// What all tasks share.
struct Means {
    pinger: Pinger,
    board: Arc<Board>,
    turns: Semaphore,
    heard: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").field("pinger", &self.pinger).finish_non_exhaustive()
    }
}

/// The checks of all members.
#[derive(Debug)]
pub(super) struct Rounds {
    means: Arc<Means>,
    tasks: HashMap<MemberKey, (Subject, JoinHandle<()>)>,
}

impl Rounds {
    /// Of no member yet. Inside a runtime. Errors: the system has no means for it.
    pub(super) fn new(
        sockets: &EchoSockets,
        board: Arc<Board>,
        heard: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let pinger = Pinger::new(sockets)?;
        let turns = Semaphore::new(PROBES_MAX);
        let means = Arc::new(Means { pinger, board, turns, heard: Box::new(heard) });
        Ok(Self { means, tasks: HashMap::new() })
    }

    /// Checks whom it is told to, until nobody can tell it any more.
    pub(super) async fn run(mut self, mut subjects: watch::Receiver<Vec<Subject>>) {
        for is_v6 in [false, true] {
            let means = Arc::clone(&self.means);
            tokio::spawn(async move { means.pinger.listen(is_v6).await });
        }
        loop {
            let wanted = subjects.borrow_and_update().clone();
            self.follow(wanted);
            if subjects.changed().await.is_err() {
                return;
            }
        }
    }

    fn follow(&mut self, wanted: Vec<Subject>) {
        let mut before = std::mem::take(&mut self.tasks);
        for subject in wanted {
            let same = before.remove(&subject.key()).and_then(|(old, task)| {
                if old == subject {
                    return Some(task);
                }
                task.abort();
                None
            });
            let task = same.unwrap_or_else(|| {
                tokio::spawn(keep_checking(subject.clone(), Arc::clone(&self.means)))
            });
            self.tasks.insert(subject.key(), (subject, task));
        }
        for (_, task) in before.into_values() {
            task.abort();
        }
    }
}

/// Checks a member until it is ended.
async fn keep_checking(subject: Subject, means: Arc<Means>) {
    let Some(known) = means.board.of(&subject.key()) else { return };
    let HealthState { state, reason, .. } = known;
    let mut gauge = Gauge::new(&subject.check, Finding { state, reason });
    let interval = subject.check.interval;
    sleep_until(Instant::now() + interval.min(SPREAD_MAX).mul_f64(part())).await;
    loop {
        let Ok(turn) = means.turns.acquire().await else { return };
        let began = Instant::now();
        let outcome = probe(&subject, &means.pinger).await;
        drop(turn);
        if let Some(finding) = gauge.take(outcome) {
            tell(&subject, &finding);
            means.board.note(&subject.key(), finding);
            (means.heard)();
        }
        sleep_until(began + interval.mul_f64(1.0 - JITTER * part())).await;
    }
}

/// A random part of one.
fn part() -> f64 {
    f64::from(random() as u32) / f64::from(u32::MAX)
}

/// A line in the log for what has changed.
fn tell(subject: &Subject, finding: &Finding) {
    let Subject { tool, address, check, .. } = subject;
    match (finding.state, &*finding.reason) {
        (Health::Healthy, "") => log::info!("tool {tool}: {address} is healthy"),
        (Health::Unhealthy(_), reason) if !reason.starts_with(UNABLE) => log::warn!(
            "tool {tool}: {address} is unhealthy: {reason}, {} times in a row, every {}",
            check.unhealthy_threshold,
            seconds(check.interval)
        ),
        (_, reason) => log::warn!("tool {tool}: {address} {reason}; it stays as it is"),
    }
}
