//! Where the workers' frames come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use driver::{Dpdk, Mempool, TscClock};
use engine::port::{Clock as _, TxQueue as _};
use engine::ticks::Scale;
use traffic::feeder::{Fed, Feeder, Step, load};
use traffic::player::{Player, Totals};
use traffic::reel::{Copier, Reel, ReelEnd};
use traffic::replay::{Layer, ReplayPlan, Timing};
use traffic::sender::Source;
use traffic::stage::Stage;
use traffic::tray::way;

use crate::desk::Desk;

/// Trays that wait for one worker at most: 8192 frames.
const TRAYS: usize = 128;
/// Frames that are under way at most beside a loaded loop, for each worker: rings of devices, and bursts.
const UNDER_WAY: u64 = 4096;
/// What is due and late is sent so long after the end.
const GRACE_NS: u64 = 100_000_000;
/// Workers have as much as may wait: for so long there is nothing to do.
const FULL_WAIT: Duration = Duration::from_micros(50);

/// What is played, and by whom.
pub(super) struct Cast<'a> {
    pub(super) plan: &'a ReplayPlan,
    pub(super) totals: Option<&'a Totals>,
    pub(super) ports: &'a [usize],
    pub(super) senders: usize,
}

/// Where the workers' frames come from.
pub(super) enum Feeding {
    /// From memory.
    Loaded(Fed),
    /// From captures, meanwhile.
    Reading {
        /// The thread that reads.
        thread: JoinHandle<Fed>,
        /// Set when as much as may wait has been read, or all.
        is_ahead: Arc<AtomicBool>,
    },
}

impl Feeding {
    /// What was read in all.
    pub(super) fn finish(self) -> Fed {
        match self {
            Self::Loaded(fed) => fed,
            Self::Reading { thread, .. } => thread.join().unwrap_or_else(|_| Fed {
                faults: vec![
                    "the thread that reads captures has failed; its message is above".to_owned(),
                ],
                ..Fed::default()
            }),
        }
    }

    /// True when there is as much as there can be before the start.
    pub(super) fn is_ahead(&self) -> bool {
        match self {
            Self::Loaded(_) => true,
            Self::Reading { thread, is_ahead } => {
                is_ahead.load(Ordering::Relaxed) || thread.is_finished()
            }
        }
    }
}

impl Cast<'_> {
    pub(super) fn scale() -> Scale {
        Scale::new(TscClock::hz())
    }

    #[expect(clippy::cast_precision_loss, reason = "a frequency has no more than 53 bits")]
    fn ticks_of(seconds: f64) -> f64 {
        seconds * TscClock::hz() as f64
    }

    /// When workers end, in ticks from the start.
    pub(super) fn end(&self) -> u64 {
        let grace = if self.plan.timing == Timing::Top { 0 } else { GRACE_NS };
        let end = self.plan.duration_ns.map(|ns| ns.saturating_add(grace));
        end.map_or(u64::MAX, |ns| Self::scale().ticks(ns))
    }

    /// Loads a loop that fits into the pool, and is the same each time. Returns `None` where it is to be read meanwhile.
    pub(super) fn load(
        &self,
        desk: &Desk,
    ) -> Result<Option<(Vec<Source<Dpdk>>, Feeding)>, Vec<String>> {
        let Some(totals) = self.totals else { return Ok(None) };
        let room = u64::from(desk.setup.frames);
        let is_same = self.plan.loops == Some(1) || self.plan.rewrites.increments.is_empty();
        if !is_same || totals.frames + UNDER_WAY * self.senders as u64 > room {
            return Ok(None);
        }
        let one =
            ReplayPlan { loops: Some(1), limit: None, duration_ns: None, ..self.plan.clone() };
        let mut player = Player::open(&one)?;
        let mut pool = desk.lab.frames.handle();
        let mut reels: Vec<_> = (0..self.senders).map(|_| self.reel(totals)).collect();
        let Ok(too_long) = load(&mut player, &mut pool, &mut reels, Self::scale()) else {
            return Ok(None);
        };
        let source = |reel| Source::Reel { reel, copiers: self.copiers(desk) };
        let fed = Fed { too_long, faults: player.faults().to_vec(), ..Fed::default() };
        Ok(Some((reels.into_iter().map(source).collect(), Feeding::Loaded(fed))))
    }

    fn reel(&self, totals: &Totals) -> Reel<driver::Mbuf> {
        let plan = self.plan;
        let due = plan.duration_ns.map_or(u64::MAX, |ns| Self::scale().ticks(ns));
        let end = ReelEnd {
            loops: plan.loops.unwrap_or(u64::MAX),
            frames: plan.limit.unwrap_or(u64::MAX),
            due,
        };
        Reel::new(Self::ticks_of(loop_seconds(plan.timing, totals)), totals.frames, end)
    }

    /// What makes copies, for ports that do not take frames which are held twice.
    fn copiers(&self, desk: &Desk) -> [Option<Copier<Dpdk>>; 2] {
        let takes_shared = |port: usize| {
            let tx = desk.lab.workers.first().and_then(|worker| worker.tx.get(port)?.as_ref());
            tx.is_some_and(|tx| tx.takes_shared())
        };
        let copier = |side: usize| {
            let port = *self.ports.get(side)?;
            (!takes_shared(port)).then(|| Copier::new(desk.lab.frames.handle()))
        };
        [copier(0), copier(1)]
    }

    /// Begins to read, as far ahead as may be.
    pub(super) fn stream(
        &self,
        desk: &Desk,
        player: Player,
        stage: &Arc<Stage>,
    ) -> Result<(Vec<Source<Dpdk>>, Feeding), Vec<String>> {
        let (givers, takers): (Vec<_>, Vec<_>) = (0..self.senders).map(|_| way(TRAYS)).unzip();
        let feeder = Feeder::new(player, desk.lab.frames.handle(), givers, Self::scale());
        let stage = Arc::clone(stage);
        let thread = thread::Builder::new().name("feeder".to_owned());
        let is_ahead = Arc::new(AtomicBool::new(false));
        let ahead = Arc::clone(&is_ahead);
        let thread = thread.spawn(move || feed(feeder, &stage, &ahead));
        let thread = thread.map_err(|error| vec![format!("captures can't be read: {error}")])?;
        Ok((
            takers.into_iter().map(Source::Stream).collect(),
            Feeding::Reading { thread, is_ahead },
        ))
    }
}

/// The life of the thread that reads.
fn feed(mut feeder: Feeder<Mempool>, stage: &Stage, is_ahead: &AtomicBool) -> Fed {
    while !stage.is_stopped() {
        match feeder.step() {
            Step::Fed => {}
            Step::Full => {
                is_ahead.store(true, Ordering::Relaxed);
                thread::sleep(FULL_WAIT);
            }
            Step::Over => break,
        }
    }
    feeder.finish()
}

/// What a loop takes.
#[expect(clippy::cast_precision_loss, reason = "right within 10^-15")]
fn loop_seconds(timing: Timing, totals: &Totals) -> f64 {
    match timing {
        Timing::Original { .. } => totals.duration_ns as f64 / 1e9,
        Timing::Packets { per_second } => totals.frames as f64 / per_second,
        Timing::Bits { per_second, layer: Layer::L1 } => {
            8.0 * totals.wire_bytes as f64 / per_second
        }
        Timing::Bits { per_second, layer: Layer::L2 } => 8.0 * totals.bytes as f64 / per_second,
        Timing::Top => 0.0,
    }
}
