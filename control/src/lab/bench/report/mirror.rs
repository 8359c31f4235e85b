//! The appliance's own configurations side by side: what the wire carries, how many copies, and what keeps them from
//! more.

use super::figures::{Grid, NONE, goal_rate};
use crate::lab::bench::appliance::witness::Limit;
use crate::lab::bench::goal::Goal;
use crate::lab::bench::mlr::GoalResult;
use crate::lab::bench::outcome::{Outcome, Series};
use crate::lab::bench::trial::Counted;

/// The table; without lines where nothing is known of a device's inside.
pub fn grid(outcome: &Outcome) -> Grid {
    Grid {
        title: "The appliance, by configuration: Mpps of the wire and of its copies".to_owned(),
        headings: vec![
            "configuration",
            " wire NDR",
            " wire PDR",
            "beyond it",
            " copies NDR",
            " copies PDR",
            "beyond it",
            " copies verified",
            " wrong",
        ],
        lines: outcome.series.iter().filter(|it| is_inside_known(it)).map(line).collect(),
    }
}

fn is_inside_known(series: &Series) -> bool {
    series.trials.iter().any(|trial| trial.device.is_some())
}

fn line(series: &Series) -> Vec<String> {
    let goal = |counted, is_ndr: bool| {
        let is_it = |goal: &Goal| goal.counted == counted && (goal.loss_ratio <= 0.0) == is_ndr;
        series.goals.iter().find(|it| is_it(&it.goal))
    };
    let rate = |counted, is_ndr| goal(counted, is_ndr).map_or_else(|| NONE.to_owned(), goal_rate);
    let beyond = |counted| {
        let limit = goal(counted, true).and_then(|result| limit(series, result));
        limit.map_or(NONE, Limit::name).to_owned()
    };
    let copies = || series.trials.iter().filter_map(|trial| trial.copies);
    let count = |count: u64| {
        if copies().next().is_some() { count.to_string() } else { NONE.to_owned() }
    };
    vec![
        series.title(),
        rate(Counted::Wire, true),
        rate(Counted::Wire, false),
        beyond(Counted::Wire),
        rate(Counted::Copies, true),
        rate(Counted::Copies, false),
        beyond(Counted::Copies),
        count(copies().map(|it| it.received).sum()),
        count(copies().map(|it| it.corrupted).sum()),
    ]
}

/// Copies that are not what was mirrored: a sentence for each configuration that made some.
pub fn faults(outcome: &Outcome) -> Vec<String> {
    let fault = |series: &Series| {
        let copies = || series.trials.iter().filter_map(|trial| trial.copies);
        let wrong: u64 = copies().map(|it| it.corrupted).sum();
        let all: u64 = wrong + copies().map(|it| it.received).sum::<u64>();
        let title = series.title();
        (wrong > 0).then(|| format!("{title}: {wrong} of {all} copies are not what was mirrored"))
    };
    outcome.series.iter().filter_map(fault).collect()
}

/// What was short in the trials at the lowest load that does not meet a goal.
pub fn limit(series: &Series, result: &GoalResult) -> Option<Limit> {
    let at_bound = series.trials.iter().filter(|trial| trial.load == result.upper);
    let mut limits = at_bound.filter_map(|trial| {
        let copies = match result.goal.counted {
            Counted::Wire => None,
            Counted::Copies => trial.copies.as_ref(),
        };
        trial.device.as_ref()?.limit(&trial.wire, copies)
    });
    result.upper.and_then(|_| limits.next_back())
}
