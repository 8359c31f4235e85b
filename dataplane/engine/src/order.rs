//! The order in which sessions and rules are asked: by ascending number.

use crate::rule::{Direction, FilterRule};
use crate::snapshot::{SessionSpec, Snapshot};
use crate::units::{FilterIndex, InterfaceIndex, RuleIndex, SessionIndex};

/// The sessions of every source and the rules of every filter, in order.
#[derive(Debug)]
pub struct Order<'a> {
    /// By [`InterfaceIndex`].
    sessions: Vec<Vec<(SessionIndex, &'a SessionSpec)>>,
    /// By [`FilterIndex`], those of ingress first.
    rules: Vec<[Vec<(RuleIndex, &'a FilterRule)>; 2]>,
}

impl<'a> Order<'a> {
    /// Of a snapshot; what names a source or a filter that is not there is left out. Cost: linear
    /// besides sorting.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut sessions = vec![Vec::new(); snapshot.interfaces.len()];
        for (session, at) in snapshot.sessions.iter().zip(0..) {
            if let Some(of_source) = sessions.get_mut(session.interface.at()) {
                of_source.push((SessionIndex(at), session));
            }
        }
        let mut rules: Vec<[Vec<_>; 2]> = vec![Default::default(); snapshot.filters.len()];
        for (rule, at) in snapshot.rules.iter().zip(0..) {
            if let Some(of_filter) = rules.get_mut(rule.filter.at()) {
                of_filter[place(rule.direction)].push((RuleIndex(at), rule));
            }
        }
        for of_source in &mut sessions {
            of_source.sort_by_key(|(_, session)| session.number);
        }
        for of_filter in rules.iter_mut().flatten() {
            of_filter.sort_by_key(|(_, rule)| rule.number);
        }
        Self { sessions, rules }
    }

    /// The sessions of a source.
    pub fn sessions(&self, interface: InterfaceIndex) -> &[(SessionIndex, &'a SessionSpec)] {
        &self.sessions[interface.at()]
    }

    /// The rules of a filter and direction.
    pub fn rules(
        &self,
        filter: FilterIndex,
        direction: Direction,
    ) -> &[(RuleIndex, &'a FilterRule)] {
        &self.rules[filter.at()][place(direction)]
    }
}

fn place(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}
