//! The plots of the page.

use super::figures::{mpps, percent};
use super::plot::{Axis, Plot};
use crate::lab::bench::outcome::{Outcome, Series};
use crate::lab::bench::rate::scaled;
use crate::lab::bench::trial::Counts;
use crate::lab::units::short_time;

/// Colours: of bars by goal; of lines by series or load.
const NDR: usize = 0;
const PDR: usize = 1;
const LOSSY: usize = 3;
/// Beyond this percentile a curve has too few frames to say anything.
const PERCENTILE_MAX: f64 = 99.999;
/// A way of a search is shown around the load of its end.
const PATH_LOW: f64 = 0.8;
const PATH_HIGH: f64 = 1.25;
/// Search paths have the height of a few lines.
const PATH_HEIGHT: f64 = 220.0;

/// All that there is something to draw of.
pub(super) fn all(outcome: &Outcome) -> Vec<String> {
    let mut plots = Vec::new();
    plots.extend(rates(outcome));
    plots.extend(loss(outcome));
    plots.extend(outcome.series.iter().filter_map(latency));
    plots.extend(outcome.series.iter().filter_map(path));
    plots
}

/// Bars by series: what every goal allows, and the line rate as a mark.
#[expect(clippy::cast_precision_loss, reason = "there are some dozen series and goals")]
fn rates(outcome: &Outcome) -> Option<String> {
    let bars = |series: &Series| -> Vec<(String, f64)> {
        let of_goals = series.goals.iter();
        let goals = of_goals.filter_map(|it| Some((it.goal.name.clone(), it.lower?)));
        let throughput = series.throughput.and_then(|it| it.lower);
        goals.chain(throughput.map(|it| ("throughput".to_owned(), it))).collect()
    };
    let all: Vec<(&Series, Vec<(String, f64)>)> =
        outcome.series.iter().map(|series| (series, bars(series))).collect();
    let highest = all
        .iter()
        .flat_map(|(series, bars)| bars.iter().map(|(_, rate)| *rate).chain(series.line_rate));
    let highest = highest.reduce(f64::max)?;
    if all.iter().all(|(_, bars)| bars.is_empty()) {
        return None;
    }
    let ticks =
        all.iter().enumerate().map(|(at, (series, _))| (at as f64 + 0.5, series.title())).collect();
    let x = Axis::linear("frames", 1.0).until(all.len() as f64).with_ticks(ticks);
    let y = Axis::linear("Mpps", highest / 1e6);
    let mut plot = Plot::new("Highest rate, and the line rate (dashed)", x, y, 340.0);
    let mut names: Vec<String> = Vec::new();
    for (at, (series, bars)) in all.iter().enumerate() {
        let width = 0.8 / bars.len().max(1) as f64;
        for (place, (name, rate)) in bars.iter().enumerate() {
            let colour = names.iter().position(|it| it == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            let from = at as f64 + 0.1 + place as f64 * width;
            plot.bar(colour, (from, from + width * 0.92), rate / 1e6, &mpps(*rate));
        }
        if let Some(line) = series.line_rate {
            let words = format!("line rate: {} Mpps", mpps(line));
            plot.mark((at as f64 + 0.05, at as f64 + 0.95), line / 1e6, &words);
        }
    }
    for (colour, name) in names.iter().enumerate() {
        plot.key(colour, name);
    }
    Some(plot.svg())
}

/// Lines by series.
fn loss(outcome: &Outcome) -> Option<String> {
    let with_loss: Vec<&Series> = outcome.series.iter().filter(|it| !it.loss.is_empty()).collect();
    let points = with_loss.iter().flat_map(|series| &series.loss);
    let highest = points.map(|point| point.loss_ratio * 100.0).reduce(f64::max)?;
    let ticks = (0..=10).map(|it| (f64::from(it) * 10.0, format!("{} %", it * 10))).collect();
    let x = Axis::linear("offered, of the maximum load", 100.0).until(100.0).with_ticks(ticks);
    let y = Axis::linear("% lost", highest.max(0.01));
    let mut plot = Plot::new("Frame loss rate", x, y, 320.0);
    for (colour, series) in with_loss.into_iter().enumerate() {
        let place = |point: &crate::lab::bench::loss::LossPoint| {
            (f64::from(point.percent), point.loss_ratio * 100.0)
        };
        let places: Vec<(f64, f64)> = series.loss.iter().map(place).collect();
        plot.line(colour, &places);
        for (point, place) in series.loss.iter().zip(places) {
            let words = format!(
                "{}: {} Mpps offered, {} % lost",
                series.title(),
                mpps(point.load),
                percent(point.loss_ratio)
            );
            plot.point(colour, place, true, &words);
        }
        plot.key(colour, &series.title());
    }
    Some(plot.svg())
}

/// Points of a line.
type Places = Vec<(f64, f64)>;

/// Percentiles of the latency, a line for each load: the way HdrHistogram plots them.
fn latency(series: &Series) -> Option<String> {
    // As far to the right as 1 / (1 - percentile).
    let place = |&(percentile, ns): &(f64, u64)| {
        #[expect(clippy::cast_precision_loss, reason = "a place in a plot needs three digits")]
        let micros = ns as f64 / 1e3;
        (100.0 / (100.0 - percentile.min(PERCENTILE_MAX)), micros.max(1e-3))
    };
    let mut lines: Vec<(u32, f64, Places)> = Vec::new();
    for point in &series.latency {
        if let Some(times) = &point.latency {
            lines.push((point.percent, point.load, times.curve.iter().map(place).collect()));
        }
    }
    let places = || lines.iter().flat_map(|(_, _, places)| places);
    let (low, high) = places()
        .fold((f64::MAX, 0.0_f64), |(low, high), &(_, micros)| (low.min(micros), high.max(micros)));
    if lines.is_empty() {
        return None;
    }
    let percentiles = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
    let ticks = percentiles.iter().map(|it| (100.0 / (100.0 - it), format!("{it}"))).collect();
    let x = Axis::log("percentile", 1.0, 1e5, |_| String::new()).with_ticks(ticks);
    #[expect(clippy::cast_sign_loss, reason = "no time is negative")]
    let y = Axis::log("latency", low, high, |micros| short_time((micros * 1e3).round() as u64));
    let title = format!("Latency by percentile, {}", series.title());
    let mut plot = Plot::new(&title, x, y, 340.0);
    for (colour, (percent, load, places)) in lines.iter().enumerate() {
        plot.line(colour, places);
        plot.key(colour, &format!("{percent} % ({} Mpps)", mpps(*load)));
    }
    Some(plot.svg())
}

/// Every trial of the searches: its load, and whether it lost.
fn path(series: &Series) -> Option<String> {
    let is_search = |method: &str| ["mlr", "throughput"].contains(&method);
    let of_search = series.trials.iter().filter(|it| is_search(&it.method));
    let trials: Vec<(f64, f64, Counts)> =
        of_search.filter_map(|it| Some((it.load?, it.duration_s, it.wire))).collect();
    let last = trials.last()?.0;
    #[expect(clippy::cast_precision_loss, reason = "there are some thousand")]
    let count = trials.len() as f64;
    let x = Axis::linear("trial", count);
    // The first loads are far away from where it ends.
    let y = Axis::between("Mpps offered", last * PATH_LOW / 1e6, last * PATH_HIGH / 1e6);
    let title = format!("The way of the search, {} (loads beyond are at the edge)", series.title());
    let mut plot = Plot::new(&title, x, y, PATH_HEIGHT);
    let mut at = 0.0;
    for (load, duration_s, counts) in trials {
        at += 1.0;
        let is_lossless = counts.lost() == 0;
        let words = format!(
            "{}pps for {duration_s:.1} s: {} lost ({} %)",
            scaled(load),
            counts.lost(),
            percent(counts.loss_ratio())
        );
        let colour = match (is_lossless, counts.loss_ratio() <= 0.005) {
            (true, _) => NDR,
            (false, true) => PDR,
            (false, false) => LOSSY,
        };
        plot.point(colour, (at, load / 1e6), is_lossless, &words);
    }
    plot.key(NDR, "no loss");
    plot.key(PDR, "up to 0.5 % lost");
    plot.key(LOSSY, "more");
    Some(plot.svg())
}
