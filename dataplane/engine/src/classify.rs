//! The classification stage: which session, if any, wants a copy of each evaluation.

use crate::drop_reason::Unmirrored;
use crate::evaluations::{Evaluations, UnmirroredStats};
use crate::flow_cache::FlowCache;
use crate::keys::Keys;
use crate::outbox::COPIES_MAX;
use crate::rule_table::{Match, RuleTable, Verdict};
use crate::source::Source;
use crate::stats::{Hits, ViewStats};
use crate::units::{RuleIndex, SessionIndex};
use crate::view::View;

/// Room for lookups: frames, their evaluations, what was found; and what is remembered of it.
#[derive(Debug)]
pub struct Lookup {
    frames: [u8; COPIES_MAX],
    places: [u8; COPIES_MAX],
    matches: [Match; COPIES_MAX],
    cache: FlowCache,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            frames: [0; COPIES_MAX],
            places: [0; COPIES_MAX],
            matches: [Match::default(); COPIES_MAX],
            cache: FlowCache::default(),
        }
    }
}

/// Where the outcomes are counted.
#[derive(Debug)]
pub struct Counters<'a> {
    /// Evaluations settled, by [`ViewStats::slot`].
    pub hits: &'a mut [Hits],
    /// Evaluations that mirror nothing.
    pub unmirrored: &'a mut UnmirroredStats,
}

/// Asks the rules about all evaluations of a burst of `count` frames, and leaves those that want a
/// copy.
#[inline(never)]
pub fn classify_burst<T: RuleTable>(
    view: &View<T>,
    count: usize,
    keys: &Keys,
    evaluations: &mut Evaluations,
    lookup: &mut Lookup,
    counters: Counters<'_>,
) {
    const UNMATCHED: usize = ViewStats::slot(RuleIndex::NONE);
    let Counters { hits, unmirrored } = counters;
    let common = evaluations.list(count, unmirrored);
    let (frames, sources, wanted) = evaluations.settling();
    let (asked, unmatched_before) = (frames.len(), hits[UNMATCHED].iter().sum::<u64>());
    if let Some(source) = common {
        let table = view.table(source.interface(), source.direction());
        let matches = &mut lookup.matches[..asked];
        lookup.cache.classify(table, keys, frames, matches);
        let verdicts = table.verdicts();
        for ((wanted, found), turn) in wanted.iter_mut().zip(matches).zip(0..) {
            *wanted = settle(verdicts[found.at()], hits, turn);
        }
    } else {
        classify_apart(view, keys, (frames, sources), wanted, lookup, hits);
    }
    evaluations.keep_wanted();
    let accepted = evaluations.frames().len();
    let unmatched = hits[UNMATCHED].iter().sum::<u64>() - unmatched_before;
    unmirrored[Unmirrored::NoMatch as usize] += unmatched;
    unmirrored[Unmirrored::Rejected as usize] += (asked - accepted) as u64 - unmatched;
}

/// Counts what was settled, and tells whose copy is wanted.
#[inline]
fn settle(verdict: Verdict, hits: &mut [Hits], turn: usize) -> SessionIndex {
    hits[ViewStats::slot(verdict.rule)][turn % 2] += 1;
    verdict.session
}

/// One lookup for each source and direction that is among them.
fn classify_apart<T: RuleTable>(
    view: &View<T>,
    keys: &Keys,
    (frames, sources): (&[u8], &[Source]),
    wanted: &mut [SessionIndex],
    lookup: &mut Lookup,
    hits: &mut [Hits],
) {
    for (start, &source) in sources.iter().enumerate() {
        if sources[..start].contains(&source) {
            continue;
        }
        let count = lookup.collect(frames, sources, start);
        let Lookup { frames, places, matches, cache } = &mut *lookup;
        let places = places[..count].iter().map(|&place| usize::from(place));
        if !source.asks_rules() {
            let session = view.amazon_dns(source.interface()).unwrap_or(SessionIndex::NONE);
            // What no session wants is unmatched; a session that wants it has no rule to be hit.
            if session == SessionIndex::NONE {
                hits[ViewStats::slot(RuleIndex::NONE)][0] += count as u64;
            }
            places.for_each(|place| wanted[place] = session);
            continue;
        }
        let table = view.table(source.interface(), source.direction());
        cache.classify(table, keys, &frames[..count], &mut matches[..count]);
        let verdicts = table.verdicts();
        for (place, found) in places.zip(matches) {
            wanted[place] = settle(verdicts[found.at()], hits, place);
        }
    }
}

impl Lookup {
    /// Collects the evaluations for the source at a place, from there on; returns their number.
    fn collect(&mut self, frames: &[u8], sources: &[Source], start: usize) -> usize {
        let (mut count, source) = (0, sources[start]);
        let columns = frames.iter().zip(sources).enumerate();
        for (place, (&frame, &other)) in columns.skip(start) {
            // Written always, kept when it is one: no branch to mispredict.
            self.frames[count] = frame;
            self.places[count] = place as u8;
            count += usize::from(other == source);
        }
        count
    }
}
