//! Multiple loss ratio search (RFC 9971): the controller.
//!
//! ```text
//! trial at the maximum load; what it forwards is where to begin
//! for each phase, coarse to fine, and for each goal in it, until its bounds are near enough:
//!     no lower bound:  at the one of the phase before, else below the upper bound, ever further
//!     no upper bound:  at the one of the phase before, else above the lower bound, ever further
//!     both:            halfway between them (geometrically)
//!     there: trials until the load is a bound
//! ```
//! Every trial counts for all goals and phases. A phase has a wider width, a smaller duration sum and, where
//! the final trials are long, shorter trials than the next one, so that long measurements are made near the
//! result only. When trials of one goal unmake a bound of another, that one is searched again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goal::{Class, Goal};
use super::rate::scaled;
use super::trial::{Trial, TrialError, Trials};

/// Coarser phases before the final one.
const PHASES_BEFORE: i32 = 2;
/// How much further each step goes while a bound is missing.
const EXPANSION: f64 = 2.0;

/// What a search may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// What is looked for; all at the same time.
    pub goals: Vec<Goal>,
    /// The highest load, in frames per second of each stream.
    pub load_max: f64,
    /// The lowest load that is worth a trial.
    pub load_min: f64,
    /// It ends after so many trials, found or not.
    pub trials_max: usize,
}

/// What was found for a goal (RFC 9971 §4.8.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalResult {
    /// The goal.
    pub goal: Goal,
    /// The relevant lower bound: the highest load below the upper bound that meets the goal. Without an
    /// upper bound, the maximum load. In frames per second of each stream.
    pub lower: Option<f64>,
    /// The relevant upper bound: the lowest load that does not meet it.
    pub upper: Option<f64>,
    /// The conditional throughput at the lower bound.
    pub conditional: Option<f64>,
    /// Both bounds are there and near enough to each other.
    pub is_regular: bool,
    /// At the upper bound the sending ports, not the device, account for half of the loss or more.
    pub is_sender_limited: bool,
}

impl Search {
    /// Searches. Errors: those of a trial; a search that was stopped gives what it has.
    pub fn run(&self, trials: &mut impl Trials) -> Result<Vec<GoalResult>, TrialError> {
        let mut state = State { search: self, measured: BTreeMap::new(), count: 0, start: 0 };
        match state.search_all(trials) {
            Ok(()) | Err(TrialError::Stopped) => {}
            Err(error) => return Err(error),
        }
        Ok(self.goals.iter().map(|goal| state.result(goal)).collect())
    }
}

/// A goal's phases, the coarsest first.
fn phases(goal: &Goal) -> Vec<Goal> {
    let (initial, sum) = (goal.initial_duration.as_secs_f64(), goal.duration_sum.as_secs_f64());
    let before = if initial < sum { PHASES_BEFORE } else { 0 };
    let phase = |step: i32| {
        let part = f64::from(step) / f64::from(PHASES_BEFORE);
        let duration_sum = Duration::from_secs_f64(sum * (initial / sum).powf(part));
        Goal {
            width: goal.width * 2_f64.powi(step),
            final_duration: goal.final_duration.min(duration_sum),
            duration_sum,
            ..goal.clone()
        }
    };
    let coarse = (1..=before).rev().map(phase);
    coarse.chain([goal.clone()]).collect()
}

/// Loads are whole frames per second: so that the same load is met again.
type Whole = u64;

/// What is known while it searches.
struct State<'a> {
    search: &'a Search,
    measured: BTreeMap<Whole, Vec<Trial>>,
    count: usize,
    /// Where to begin.
    start: Whole,
}

/// The relevant bounds of a goal (RFC 9971 §4.8.1, §4.8.2), as far as they are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bounds {
    lower: Option<Whole>,
    upper: Option<Whole>,
}

impl State<'_> {
    fn search_all(&mut self, trials: &mut impl Trials) -> Result<(), TrialError> {
        let search = self.search;
        let goals = &search.goals;
        self.begin(trials)?;
        let phases: Vec<Vec<Goal>> = goals.iter().map(phases).collect();
        let phases_max = phases.iter().map(Vec::len).max().unwrap_or(0);
        let mut hints = vec![Bounds::default(); phases.len()];
        for round in 0..phases_max {
            // Goals with fewer phases begin with the last ones of the others.
            for (goal, hint) in phases.iter().zip(&mut hints) {
                let skipped = phases_max - goal.len();
                if let Some(phase) = round.checked_sub(skipped).and_then(|at| goal.get(at)) {
                    *hint = self.settle(phase, *hint, trials)?;
                }
            }
        }
        // Trials of later goals may have unmade bounds of earlier ones.
        while let Some(at) = self.unsettled(&hints) {
            hints[at] = self.settle(&goals[at], hints[at], trials)?;
        }
        Ok(())
    }

    /// A goal whose bounds are not what they were.
    fn unsettled(&self, hints: &[Bounds]) -> Option<usize> {
        if self.count >= self.search.trials_max {
            return None;
        }
        let goals = self.search.goals.iter().zip(hints);
        goals.enumerate().find(|(_, (goal, hint))| self.bounds(goal) != **hint).map(|(at, _)| at)
    }

    /// The first trial, at the maximum load: the rate that comes through is where to begin.
    fn begin(&mut self, trials: &mut impl Trials) -> Result<(), TrialError> {
        let search = self.search;
        let Some(goal) = search.goals.first() else { return Ok(()) };
        let trial = self.measure(self.max(), goal.initial_duration, trials)?;
        let ratios = search.goals.iter().map(|goal| trial.loss_ratio(goal.counted));
        let loss_ratio = ratios.fold(0.0, f64::max);
        self.start = self.rounded(search.load_max * (1.0 - loss_ratio));
        Ok(())
    }

    /// Runs trials until the bounds of a phase are near enough, or can't be had. Gives them.
    fn settle(
        &mut self,
        phase: &Goal,
        hint: Bounds,
        trials: &mut impl Trials,
    ) -> Result<Bounds, TrialError> {
        let mut step = phase.width * EXPANSION;
        loop {
            let bounds = self.bounds(phase);
            trials.note(&told(phase, bounds));
            if self.count >= self.search.trials_max {
                return Ok(bounds);
            }
            let next = match (bounds.lower, bounds.upper) {
                (Some(lower), Some(upper)) => self.between(lower, upper, phase.width),
                (lower, upper) => self.outside(phase, lower, upper, hint, &mut step),
            };
            let Some(load) = next else { return Ok(bounds) };
            self.decide(phase, load, trials)?;
        }
    }

    /// Halfway, unless they are near enough.
    fn between(&self, lower: Whole, upper: Whole, width: f64) -> Option<Whole> {
        if is_near(lower, upper, width) {
            return None;
        }
        let (low, high) = (as_f64(lower), as_f64(upper));
        let middle = self.rounded((low * high).sqrt());
        (lower < middle && middle < upper).then_some(middle)
    }

    /// Where a missing bound may be. `None`: it can't be had.
    fn outside(
        &self,
        phase: &Goal,
        lower: Option<Whole>,
        upper: Option<Whole>,
        hint: Bounds,
        step: &mut f64,
    ) -> Option<Whole> {
        let is_open = |load: &Whole| {
            lower.is_none_or(|lower| *load > lower)
                && upper.is_none_or(|upper| *load < upper)
                && self.class(phase, *load) == Class::Undecided
        };
        let hints = [hint.lower, hint.upper, Some(self.start)];
        if let Some(load) = hints.into_iter().flatten().find(is_open) {
            return Some(load);
        }
        let load = match (lower, upper) {
            (Some(lower), _) => self.rounded(as_f64(lower) * (1.0 + *step)).max(lower + 1),
            (None, Some(upper)) => {
                self.rounded(as_f64(upper) / (1.0 + *step)).min(upper.saturating_sub(1))
            }
            (None, None) => self.start,
        };
        *step *= EXPANSION;
        let load = load.clamp(self.min(), self.max());
        is_open(&load).then_some(load)
    }

    /// Trials at a load until it is a bound of this phase.
    fn decide(
        &mut self,
        phase: &Goal,
        load: Whole,
        trials: &mut impl Trials,
    ) -> Result<(), TrialError> {
        while self.class(phase, load) == Class::Undecided && self.count < self.search.trials_max {
            self.measure(load, phase.final_duration, trials)?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        load: Whole,
        duration: Duration,
        trials: &mut impl Trials,
    ) -> Result<&Trial, TrialError> {
        self.count += 1;
        let trial = trials.run(as_f64(load), duration)?;
        let at_load = self.measured.entry(load).or_default();
        at_load.push(trial);
        Ok(&at_load[at_load.len() - 1])
    }

    fn class(&self, goal: &Goal, load: Whole) -> Class {
        self.measured.get(&load).map_or(Class::Undecided, |trials| goal.classify(trials))
    }

    fn bounds(&self, goal: &Goal) -> Bounds {
        let mut bounds = Bounds::default();
        for (&load, trials) in &self.measured {
            match goal.classify(trials) {
                Class::Lower => bounds.lower = Some(load),
                Class::Upper => {
                    bounds.upper = Some(load);
                    break;
                }
                Class::Undecided => {}
            }
        }
        bounds
    }

    fn result(&self, goal: &Goal) -> GoalResult {
        let Bounds { lower, upper } = self.bounds(goal);
        let trials = |load: Option<Whole>| load.and_then(|load| self.measured.get(&load));
        let conditional = trials(lower).zip(lower);
        let is_near = lower
            .zip(upper)
            .is_some_and(|(lower, upper)| is_near(lower, upper, goal.width) || upper - lower == 1);
        GoalResult {
            goal: goal.clone(),
            lower: lower.map(as_f64),
            upper: upper.map(as_f64),
            conditional: conditional
                .map(|(trials, lower)| goal.conditional_throughput(as_f64(lower), trials)),
            is_regular: is_near,
            is_sender_limited: trials(upper).is_some_and(|trials| is_sender_limited(trials)),
        }
    }

    /// A load as it is offered.
    fn rounded(&self, load: f64) -> Whole {
        whole(load).clamp(self.min(), self.max())
    }

    fn max(&self) -> Whole {
        whole(self.search.load_max)
    }

    fn min(&self) -> Whole {
        whole(self.search.load_min).min(self.max())
    }
}

/// Frames per second, at least one.
#[expect(clippy::cast_sign_loss, reason = "it is one at least")]
fn whole(load: f64) -> Whole {
    load.round().max(1.0) as Whole
}

#[expect(clippy::cast_precision_loss, reason = "no wire carries 2^52 frames per second")]
fn as_f64(load: Whole) -> f64 {
    load as f64
}

/// The width of RFC 9971 §4.6.5, relative to the upper bound.
fn is_near(lower: Whole, upper: Whole, width: f64) -> bool {
    as_f64(upper - lower) <= as_f64(upper) * width
}

/// The senders account for half of the loss or more.
fn is_sender_limited(trials: &[Trial]) -> bool {
    let lost: u64 = trials.iter().map(|trial| trial.wire.lost()).sum();
    let unsent: u64 = trials.iter().map(|trial| trial.wire.unsent()).sum();
    lost > 0 && unsent * 2 >= lost
}

fn told(goal: &Goal, bounds: Bounds) -> String {
    let load = |load: Option<Whole>| load.map_or_else(|| "?".to_owned(), |it| scaled(as_f64(it)));
    format!("{} {} to {} pps", goal.name, load(bounds.lower), load(bounds.upper))
}

#[cfg(test)]
mod tests;
