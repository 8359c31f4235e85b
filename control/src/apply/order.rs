//! In which order steps are made, so that none is refused.

use std::collections::HashSet;

use engine::rule::{Direction, NUMBERS};

use super::steps::{Step, renumber};
use crate::model::Kind;

/// A place that one object can have at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// The number of a rule in one direction of a filter, by the filter's id.
    Rule(String, Direction, u16),
    /// The number of a session of an interface.
    Session(String, u16),
}

impl Slot {
    /// The same with another number.
    fn with_number(&self, number: u16) -> Self {
        match self {
            Self::Rule(filter, direction, _) => Self::Rule(filter.clone(), *direction, number),
            Self::Session(interface, _) => Self::Session(interface.clone(), number),
        }
    }
}

/// How an object leaves its slot before the one that it wants is free.
#[derive(Debug, Clone)]
pub(super) struct Evasion {
    /// The slot that it has.
    pub(super) slot: Slot,
    pub(super) kind: Kind,
    pub(super) logical_id: String,
    pub(super) id: String,
}

/// Steps that belong together, and what has to come before.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) steps: Vec<Step>,
    /// Other nodes by their places, the one that should come right before this at the end.
    pub(super) needs: Vec<usize>,
    /// For an object that changes its slot.
    pub(super) evasion: Option<Evasion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// The steps of all nodes: each node's when those of its needs are done, otherwise in the order of
/// the nodes. Objects that wait for each other's slots wait in circles; in each one evades.
///
/// `taken` are the slots that are in use now or at the end. Cost: linear, and no recursion: a
/// hundred thousand rules may each wait for the next one's number.
pub(super) fn in_order(mut nodes: Vec<Node>, mut taken: HashSet<Slot>) -> Vec<Step> {
    let mut states = vec![State::New; nodes.len()];
    let mut steps = Vec::new();
    for root in 0..nodes.len() {
        let mut open: Vec<(usize, usize)> = Vec::new();
        enter(root, &mut states, &mut open);
        while let Some((at, next)) = open.last_mut() {
            let at = *at;
            let need = nodes.get(at).and_then(|node| node.needs.get(*next)).copied();
            *next += 1;
            let Some(need) = need else {
                steps.extend(
                    nodes.get_mut(at).map(|it| std::mem::take(&mut it.steps)).into_iter().flatten(),
                );
                if let Some(state) = states.get_mut(at) {
                    *state = State::Done;
                }
                open.pop();
                continue;
            };
            if states.get(need) == Some(&State::Open) {
                let evasion = nodes.get_mut(need).and_then(|node| node.evasion.take());
                steps.extend(evasion.and_then(|evasion| evasion.step(&mut taken)));
            } else {
                enter(need, &mut states, &mut open);
            }
        }
    }
    steps
}

fn enter(at: usize, states: &mut [State], open: &mut Vec<(usize, usize)>) {
    if let Some(state @ State::New) = states.get_mut(at) {
        *state = State::Open;
        open.push((at, 0));
    }
}

impl Evasion {
    /// To the highest number that nobody has or will have. `None`: there is none.
    fn step(&self, taken: &mut HashSet<Slot>) -> Option<Step> {
        let mut numbers = NUMBERS.rev();
        let number = numbers.find(|&number| taken.insert(self.slot.with_number(number)))?;
        Some(renumber(self.kind, &self.logical_id, &self.id, number))
    }
}
