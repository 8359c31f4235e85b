//! The classification stage: which session, if any, wants a copy of each evaluation.

use crate::drop_reason::Unmirrored;
use crate::evaluations::{Evaluations, NOTHING, UnmirroredStats};
use crate::flow_key::FlowKey;
use crate::rule::RuleAction;
use crate::rule_table::{Match, RuleTable};
use crate::source::Source;
use crate::tool::COPIES_MAX;
use crate::units::SessionIndex;
use crate::view::View;

/// Room for lookups: frames, their evaluations, what was found; whose copies are wanted.
#[derive(Debug)]
pub struct Lookup {
    frames: [u8; COPIES_MAX],
    places: [u8; COPIES_MAX],
    matches: [Match; COPIES_MAX],
    wanted: [SessionIndex; COPIES_MAX],
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            frames: [0; COPIES_MAX],
            places: [0; COPIES_MAX],
            matches: [Match::NONE; COPIES_MAX],
            wanted: [NOTHING; COPIES_MAX],
        }
    }
}

/// Where the outcomes are counted.
#[derive(Debug)]
pub struct Counters<'a> {
    /// Evaluations settled, by rule.
    pub rule_hits: &'a mut [u64],
    /// Evaluations that mirror nothing.
    pub unmirrored: &'a mut UnmirroredStats,
}

/// Asks the rules about all evaluations of a burst of `count` frames, and leaves those that want a
/// copy.
pub fn classify_burst<T: RuleTable>(
    view: &View<T>,
    count: usize,
    keys: &[FlowKey],
    evaluations: &mut Evaluations,
    lookup: &mut Lookup,
    counters: &mut Counters<'_>,
) {
    if let Some(source) = evaluations.list(count, counters.unmirrored) {
        let table = view.table(source.interface(), source.direction());
        let matches = &mut lookup.matches[..evaluations.frames().len()];
        table.classify(keys, evaluations.frames(), matches);
        counters.counting(|outcomes| {
            evaluations.settle(matches, |found| outcomes.settle(table, found));
        });
    } else {
        classify_apart(view, keys, evaluations, lookup, counters);
        evaluations.settle(&lookup.wanted, |wanted| wanted);
    }
}

/// One lookup for each source and direction that is among them.
fn classify_apart<T: RuleTable>(
    view: &View<T>,
    keys: &[FlowKey],
    evaluations: &Evaluations,
    lookup: &mut Lookup,
    counters: &mut Counters<'_>,
) {
    let sources = evaluations.sources();
    for (start, &source) in sources.iter().enumerate() {
        if sources[..start].contains(&source) {
            continue;
        }
        let count = lookup.collect(evaluations, source, start);
        let Lookup { frames, places, matches, wanted } = lookup;
        let places = places[..count].iter().map(|&place| usize::from(place));
        if !source.asks_rules() {
            let session = view.amazon_dns(source.interface());
            places.for_each(|place| wanted[place] = session.unwrap_or(NOTHING));
            let unmatched = if session.is_none() { count as u64 } else { 0 };
            counters.unmirrored[Unmirrored::NoMatch as usize] += unmatched;
            continue;
        }
        let table = view.table(source.interface(), source.direction());
        table.classify(keys, &frames[..count], &mut matches[..count]);
        counters.counting(|outcomes| {
            for (place, &found) in places.zip(&*matches) {
                wanted[place] = outcomes.settle(table, found);
            }
        });
    }
}

impl Lookup {
    /// Collects the evaluations for one source, from a place on; returns their number.
    fn collect(&mut self, evaluations: &Evaluations, source: Source, start: usize) -> usize {
        let mut count = 0;
        let columns = evaluations.frames().iter().zip(evaluations.sources()).enumerate();
        for (place, (&frame, &other)) in columns.skip(start) {
            // Written always, kept when it is one: no branch to mispredict.
            self.frames[count] = frame;
            self.places[count] = place as u8;
            count += usize::from(other == source);
        }
        count
    }
}

/// Outcomes of one lookup, counted in registers.
struct Outcomes<'a> {
    rule_hits: &'a mut [u64],
    unmatched: u64,
    rejected: u64,
}

impl Counters<'_> {
    #[inline]
    fn counting(&mut self, settle: impl FnOnce(&mut Outcomes<'_>)) {
        let mut outcomes = Outcomes { rule_hits: self.rule_hits, unmatched: 0, rejected: 0 };
        settle(&mut outcomes);
        self.unmirrored[Unmirrored::NoMatch as usize] += outcomes.unmatched;
        self.unmirrored[Unmirrored::Rejected as usize] += outcomes.rejected;
    }
}

impl Outcomes<'_> {
    /// Counts what was found, and tells whose copy is wanted.
    #[inline]
    fn settle<T: RuleTable>(&mut self, table: &T, found: Match) -> SessionIndex {
        let Some(verdict) = table.verdict(found) else {
            self.unmatched += 1;
            return NOTHING;
        };
        self.rule_hits[verdict.rule.at()] += 1;
        let is_accept = verdict.action == RuleAction::Accept;
        self.rejected += u64::from(!is_accept);
        if is_accept { verdict.session } else { NOTHING }
    }
}
