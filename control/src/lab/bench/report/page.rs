//! The report as one page that needs nothing else: no script, no style, no picture from elsewhere.

use std::fmt::Write as _;

use super::figures::{self, Grid, grids, legend};
use super::plot::escape;
use super::plots;
use crate::lab::bench::outcome::{Outcome, Series, TrialRecord};
use crate::lab::bench::rate::scaled;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn render(outcome: &Outcome) -> String {
    let title = "linetap bench";
    let mut body = format!("<h1>{title}</h1>\n{}\n{}\n", lead(outcome), notes(outcome));
    for grid in grids(outcome) {
        body.push_str(&table(&grid));
    }
    body.push_str(&marks(outcome));
    body.push_str("<h2>Plots</h2>\n");
    for plot in plots::all(outcome) {
        body.push_str("<figure>\n");
        body.push_str(&plot);
        body.push_str("</figure>\n");
    }
    body.push_str(&facts(outcome));
    body.push_str(&trials(outcome));
    let started = escape(&outcome.started);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}, {started}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n"
    )
}

fn lead(outcome: &Outcome) -> String {
    let ports: Vec<String> = outcome.ports.iter().map(|it| escape(&it.name)).collect();
    format!(
        "<p class=\"lead\">{}, {}, {}, {}.</p>",
        ports.join(" to "),
        escape(&outcome.host.cpu),
        escape(&outcome.dpdk),
        escape(&outcome.started)
    )
}

/// What a reader must know before the figures.
fn notes(outcome: &Outcome) -> String {
    let of_series = |series: &Series| {
        let title = series.title();
        figures::notes(series).iter().map(|note| format!("{title}: {note}")).collect::<Vec<_>>()
    };
    let stopped = outcome.was_stopped.then(|| figures::STOPPED.to_owned());
    let first = stopped.into_iter().chain(outcome.faults.clone());
    let all = first.chain(outcome.series.iter().flat_map(of_series));
    let items: Vec<String> = all.map(|it| format!("<li>{}</li>", escape(&it))).collect();
    if items.is_empty() {
        return String::new();
    }
    format!("<ul class=\"notes\">\n{}\n</ul>", items.join("\n"))
}

fn marks(outcome: &Outcome) -> String {
    let lines: Vec<String> =
        legend(outcome).iter().map(|it| format!("<li>{}</li>", escape(it))).collect();
    if lines.is_empty() { String::new() } else { format!("<ul>\n{}\n</ul>\n", lines.join("\n")) }
}

fn table(grid: &Grid) -> String {
    let mut out = format!("<h2>{}</h2>\n<div class=\"scroll\"><table>\n", escape(&grid.title));
    let class = |at: usize| {
        let is_words = grid.headings.get(at).is_some_and(|it| !it.starts_with(' '));
        if is_words { " class=\"words\"" } else { "" }
    };
    let row = |tag: &str, cells: Vec<String>| {
        let cells = cells.iter().enumerate();
        let cells = cells.map(|(at, cell)| format!("<{tag}{}>{}</{tag}>", class(at), escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let headings = grid.headings.iter().map(|it| it.trim().to_owned()).collect();
    let _ = write!(out, "<thead>{}</thead>\n<tbody>\n", row("th", headings));
    for line in &grid.lines {
        out.push_str(&row("td", line.clone()));
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Where it ran and how, so that it can be done again.
fn facts(outcome: &Outcome) -> String {
    let host = &outcome.host;
    let machine = if host.is_virtual { "virtual" } else { "not virtual" };
    let list =
        |numbers: &[u16]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut rows = vec![
        ("host".to_owned(), format!("{} ({machine})", host.name)),
        ("processor".to_owned(), format!("{}, {} cores", host.cpu, host.cores)),
        ("memory".to_owned(), format!("{} MiB, hugepages {}", host.memory_mib, host.hugepages)),
        ("kernel".to_owned(), host.kernel.clone()),
        ("kernel arguments".to_owned(), host.kernel_arguments.clone()),
        ("linetap".to_owned(), outcome.version.clone()),
        ("DPDK".to_owned(), outcome.dpdk.clone()),
        ("cores that polled".to_owned(), list(&outcome.cores)),
        ("began".to_owned(), outcome.started.clone()),
        ("took".to_owned(), figures::seconds(outcome.elapsed_s)),
        ("seed".to_owned(), outcome.settings.traffic.seed.to_string()),
    ];
    for port in &outcome.ports {
        let speed = port.speed_mbps.map_or_else(String::new, |it| format!(", {it} Mb/s"));
        let what = format!("{}, {}, {}{speed}", port.device, port.driver, port.mac);
        rows.push((format!("port {}", port.name), what));
    }
    rows.extend(outcome.device.clone());
    let rows: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value)))
        .collect();
    let settings = serde_json::to_string_pretty(&outcome.settings).unwrap_or_default();
    let command = outcome.command.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(" ");
    format!(
        "<h2>The machine</h2>\n<dl>\n{}\n</dl>\n<h2>Again</h2>\n<pre>{}</pre>\n\
         <details><summary>Every setting</summary><pre>{}</pre></details>\n",
        rows.join("\n"),
        escape(&command),
        escape(&settings)
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,=@%+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Every trial, folded away.
fn trials(outcome: &Outcome) -> String {
    let mut out = String::from("<h2>Every trial</h2>\n");
    for series in &outcome.series {
        let line = |record: &TrialRecord| {
            let load = match (record.load, record.burst) {
                (Some(load), _) => format!("{}pps", scaled(load)),
                (None, Some(frames)) => format!("burst of {frames}"),
                (None, None) => "all it can".to_owned(),
            };
            let wire = &record.wire;
            let counts = [
                wire.intended,
                wire.sent,
                wire.received,
                wire.lost(),
                wire.duplicated,
                wire.reordered,
                wire.corrupted,
            ];
            let mut cells = vec![record.method.clone(), load, format!("{:.3}", record.duration_s)];
            cells.extend(counts.iter().map(ToString::to_string));
            cells.push(record.copies.map_or_else(|| "-".to_owned(), |it| it.lost().to_string()));
            cells.push(record.latency.map_or_else(|| "-".to_owned(), |it| figures::time(it.p50)));
            cells
        };
        let grid = Grid {
            title: String::new(),
            headings: vec![
                "method",
                " load",
                " s",
                " intended",
                " sent",
                " received",
                " lost",
                " duplicated",
                " reordered",
                " corrupted",
                " copies lost",
                " latency p50",
            ],
            lines: series.trials.iter().map(line).collect(),
        };
        let table = table(&grid);
        let table = table.split_once("</h2>\n").map_or(table.as_str(), |(_, rest)| rest);
        let _ = write!(
            out,
            "<details><summary>{}: {} trials</summary>\n{table}</details>\n",
            escape(&series.title()),
            series.trials.len()
        );
    }
    out
}
