//! Figures as they stand in both reports.

use crate::lab::bench::mlr::GoalResult;
use crate::lab::bench::outcome::{Outcome, Series};
use crate::lab::bench::rate::wire_bits;
use crate::lab::units::short_time;

/// No figure.
pub const NONE: &str = "-";
/// At the upper bound the sender, not the device, is what loses most.
pub const SENDER: &str =
    "the sending port took no more: the generator or the link is the limit, not the device";
/// The bounds are too far apart, or one is missing.
pub const IRREGULAR: &str =
    "irregular (RFC 9971 §4.8.4): the search ended before its bounds were near enough";
/// Somebody wanted no more.
pub const STOPPED: &str = "it was stopped before its end: not everything was measured";
/// There is no upper bound.
pub const AT_LEAST: &str =
    "the highest load that was tried still met the goal: the true rate is not below this";

/// Million frames per second.
pub fn mpps(rate: f64) -> String {
    match rate {
        rate if rate >= 1e7 => format!("{:.2}", rate / 1e6),
        rate if rate >= 1e5 => format!("{:.3}", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.4}", rate / 1e6),
        _ => format!("{:.6}", rate / 1e6),
    }
}

/// Gb/s of frames on the wire, with preamble and gap.
pub fn gbps_l1(rate: f64, frame_len: f64) -> String {
    gbps(rate * wire_bits(frame_len))
}

/// Gb/s of frames alone, with their checksums.
pub fn gbps_l2(rate: f64, frame_len: f64) -> String {
    gbps(rate * frame_len * 8.0)
}

fn gbps(bits: f64) -> String {
    format!("{:.*}", if bits >= 1e9 { 2 } else { 4 }, bits / 1e9)
}

/// Of the line rate, where there is a line.
pub fn of_line(rate: f64, series: &Series) -> String {
    let part = series.line_rate.map(|line| format!("{:.1} %", rate / line * 100.0));
    part.unwrap_or_else(|| NONE.to_owned())
}

/// The rate of a goal, with marks for [`AT_LEAST`] (≥), [`IRREGULAR`] (~) and [`SENDER`] (s).
pub fn goal_rate(result: &GoalResult) -> String {
    let Some(lower) = result.lower else { return NONE.to_owned() };
    let mark = match (result.upper, result.is_regular) {
        (None, _) => "≥ ",
        (Some(_), false) => "~ ",
        _ => "",
    };
    let sender = if result.is_sender_limited { " s" } else { "" };
    format!("{mark}{}{sender}", mpps(lower))
}

/// What marks in results mean, of those that are there.
pub fn legend(outcome: &Outcome) -> Vec<String> {
    let goals = || outcome.series.iter().flat_map(|series| &series.goals);
    let mut lines = Vec::new();
    if goals().any(|it| it.lower.is_some() && it.upper.is_none()) {
        lines.push(format!("≥  {AT_LEAST}"));
    }
    if goals().any(|it| it.upper.is_some() && it.lower.is_some() && !it.is_regular) {
        lines.push(format!("~  {IRREGULAR}"));
    }
    let is_sender =
        |series: &Series| series.throughput.as_ref().is_some_and(|it| it.is_sender_limited);
    if goals().any(|it| it.is_sender_limited) || outcome.series.iter().any(is_sender) {
        lines.push(format!("s  {SENDER}"));
    }
    lines
}

/// A frame that was sent later than due by so much was kept waiting by something else than its port.
const LATE_NS_MAX: u64 = 1_000_000;

/// What a reader must know of a series: what was noted, and what its trials show.
pub fn notes(series: &Series) -> Vec<String> {
    let undisturbed = series.trials.iter().filter(|it| it.load.is_some() && it.wire.unsent() == 0);
    let late = undisturbed.map(|it| it.late_ns_max).max().filter(|&it| it > LATE_NS_MAX);
    let told = late.map(|late| {
        format!(
            "frames were sent up to {} late: something else ran on the sender's core, and results may be worse \
             than the device is",
            time(late)
        )
    });
    series.notes.iter().cloned().chain(told).collect()
}

/// A loss ratio in per cent; exactly none is told apart from hardly any.
pub fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        percent if percent <= 0.0 => "0".to_owned(),
        percent if percent < 0.001 => format!("{percent:.1e}"),
        percent if percent < 1.0 => format!("{percent:.4}"),
        percent => format!("{percent:.2}"),
    }
}

/// A time of nanoseconds.
pub fn time(ns: u64) -> String {
    short_time(ns)
}

/// A time of seconds.
#[expect(clippy::cast_sign_loss, reason = "no time is negative")]
pub fn seconds(seconds: f64) -> String {
    short_time((seconds * 1e9).round().max(0.0) as u64)
}

/// A table: its title, what its headings are (those of figures begin with a space), and lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Of what.
    pub title: String,
    /// Of columns.
    pub headings: Vec<&'static str>,
    /// As many cells as headings.
    pub lines: Vec<Vec<String>>,
}

/// The tables that both reports have; those without lines are left out.
pub fn grids(outcome: &Outcome) -> Vec<Grid> {
    let each =
        if outcome.series.iter().any(|it| it.streams > 1) { ", in each direction" } else { "" };
    let all = [
        super::mirror::grid(outcome),
        goals(outcome, each),
        throughput(outcome, each),
        latency(outcome, each),
        loss(outcome),
        back_to_back(outcome),
        soak(outcome),
        reconfiguration(outcome),
    ];
    all.into_iter().filter(|grid| !grid.lines.is_empty()).collect()
}

fn goals(outcome: &Outcome, each: &str) -> Grid {
    let line = |series: &Series, result: &GoalResult| {
        let rate = result.lower.unwrap_or(0.0);
        let or_none = |text: String| if result.lower.is_some() { text } else { NONE.to_owned() };
        vec![
            series.title(),
            result.goal.name.clone(),
            goal_rate(result),
            or_none(gbps_l1(rate, series.frame_len)),
            or_none(gbps_l2(rate, series.frame_len)),
            or_none(of_line(rate, series)),
            result.upper.map_or_else(|| NONE.to_owned(), mpps),
            result.conditional.map_or_else(|| NONE.to_owned(), mpps),
        ]
    };
    let lines = outcome
        .series
        .iter()
        .flat_map(|series| series.goals.iter().map(move |result| line(series, result)));
    Grid {
        title: format!("Highest rate that meets the goal (MLRsearch, RFC 9971){each}"),
        headings: vec![
            "frames",
            "goal",
            " Mpps",
            " Gb/s L1",
            " Gb/s L2",
            " of line",
            " upper bound",
            " conditional",
        ],
        lines: lines.collect(),
    }
}

fn throughput(outcome: &Outcome, each: &str) -> Grid {
    let line = |series: &Series| {
        let found = series.throughput?;
        let rate = found.lower.unwrap_or(0.0);
        let or_none = |text: String| if found.lower.is_some() { text } else { NONE.to_owned() };
        let mark = if found.upper.is_none() { "≥ " } else { "" };
        let sender = if found.is_sender_limited { " s" } else { "" };
        Some(vec![
            series.title(),
            or_none(format!("{mark}{}{sender}", mpps(rate))),
            or_none(gbps_l1(rate, series.frame_len)),
            or_none(gbps_l2(rate, series.frame_len)),
            or_none(of_line(rate, series)),
        ])
    };
    Grid {
        title: format!("Throughput (RFC 2544 §26.1){each}"),
        headings: vec!["frames", " Mpps", " Gb/s L1", " Gb/s L2", " of line"],
        lines: outcome.series.iter().filter_map(line).collect(),
    }
}

fn latency(outcome: &Outcome, each: &str) -> Grid {
    let lines = outcome.series.iter().flat_map(|series| {
        series.latency.iter().map(move |point| {
            let of = |at: fn(&traffic::histogram::Summary) -> u64| {
                let summary = point.latency.as_ref().map(|it| it.summary);
                summary.map_or_else(|| NONE.to_owned(), |it| time(at(&it)))
            };
            let jitter = point.jitter.as_ref().map(|it| time(it.summary.p99));
            vec![
                series.title(),
                format!("{} %", point.percent),
                mpps(point.load),
                of(|it| it.min),
                of(|it| it.p50),
                of(|it| it.p90),
                of(|it| it.p99),
                of(|it| it.p999),
                of(|it| it.max),
                jitter.unwrap_or_else(|| NONE.to_owned()),
                percent(point.counts.loss_ratio()),
            ]
        })
    });
    Grid {
        title: format!("Latency (RFC 2544 §26.2), at parts of the rate without loss{each}"),
        headings: vec![
            "frames",
            " load",
            " Mpps",
            " min",
            " p50",
            " p90",
            " p99",
            " p99.9",
            " max",
            " jitter p99",
            " % lost",
        ],
        lines: lines.collect(),
    }
}

fn loss(outcome: &Outcome) -> Grid {
    let lines = outcome.series.iter().flat_map(|series| {
        series.loss.iter().map(move |point| {
            vec![
                series.title(),
                format!("{} %", point.percent),
                mpps(point.load),
                percent(point.loss_ratio),
                percent(point.unsent_ratio),
                point.copies_loss_ratio.map_or_else(|| NONE.to_owned(), percent),
            ]
        })
    });
    Grid {
        title: "Frame loss rate (RFC 2544 §26.3)".to_owned(),
        headings: vec![
            "frames",
            " of max load",
            " Mpps",
            " % lost",
            " % never sent",
            " % copies lost",
        ],
        lines: lines.collect(),
    }
}

fn back_to_back(outcome: &Outcome) -> Grid {
    let line = |series: &Series| {
        let found = series.back_to_back.as_ref()?;
        let mark = if found.unlimited > 0 { "≥ " } else { "" };
        Some(vec![
            series.title(),
            format!("{mark}{:.0}", found.average),
            format!("{:.1}", found.deviation),
            found.min.to_string(),
            found.max.to_string(),
            found.bursts.len().to_string(),
            seconds(found.implied_buffer_s),
            seconds(found.corrected_buffer_s),
        ])
    };
    Grid {
        title: "Back-to-back frames (RFC 9004)".to_owned(),
        headings: vec![
            "frames",
            " average",
            " deviation",
            " min",
            " max",
            " searches",
            " buffer",
            " corrected",
        ],
        lines: outcome.series.iter().filter_map(line).collect(),
    }
}

fn soak(outcome: &Outcome) -> Grid {
    let line = |series: &Series| {
        let found = series.soak.as_ref()?;
        Some(vec![
            series.title(),
            mpps(found.load),
            seconds(found.duration_s),
            found.counts.lost().to_string(),
            percent(found.loss_ratio),
            percent(found.loss_ratio_max),
            found.copies.map_or_else(|| NONE.to_owned(), |it| it.lost().to_string()),
        ])
    };
    Grid {
        title: "Soak".to_owned(),
        headings: vec![
            "frames",
            " Mpps",
            " duration",
            " frames lost",
            " % lost",
            " at most (95 %)",
            " copies lost",
        ],
        lines: outcome.series.iter().filter_map(line).collect(),
    }
}

fn reconfiguration(outcome: &Outcome) -> Grid {
    let line = |series: &Series| {
        let found = series.reconfiguration.as_ref()?;
        let state = match (&found.fault, found.is_within) {
            (Some(fault), _) => fault.clone(),
            (None, false) => "ended after the trial".to_owned(),
            (None, true) => "done".to_owned(),
        };
        Some(vec![
            series.title(),
            mpps(found.load),
            found.before.lost().to_string(),
            found.during.lost().to_string(),
            seconds(found.blocked_s),
            found.copies.map_or_else(|| NONE.to_owned(), |it| it.lost().to_string()),
            seconds(found.change_s),
            state,
        ])
    };
    Grid {
        title: "Reconfiguration under load".to_owned(),
        headings: vec![
            "frames",
            " Mpps",
            " lost before",
            " lost during",
            " blocked",
            " copies lost",
            " change took",
            "change",
        ],
        lines: outcome.series.iter().filter_map(line).collect(),
    }
}
