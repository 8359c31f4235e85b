//! The report for a terminal.

use std::fmt::Write as _;

use super::figures::{STOPPED, grids, legend, notes};
use crate::lab::bench::outcome::Outcome;
use crate::report::grid::{lines, table};

/// All tables, what their marks mean, and what a reader must know.
pub fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Written to memory, which never fails.
    let ports: Vec<String> =
        outcome.ports.iter().map(|it| format!("{} ({})", it.name, it.driver)).collect();
    let _ = writeln!(text, "{}, {}, {}", ports.join(" to "), outcome.dpdk, outcome.host.cpu);
    for grid in grids(outcome) {
        let mut cells = table(&grid.headings);
        for line in grid.lines {
            cells.add_row(line);
        }
        let _ = write!(text, "\n{}\n{}", grid.title, lines(&cells));
    }
    let notes = outcome.series.iter().flat_map(|series| {
        let title = series.title();
        notes(series).into_iter().map(move |note| format!("{title}: {note}"))
    });
    let stopped = outcome.was_stopped.then(|| STOPPED.to_owned());
    let notes: Vec<String> = legend(outcome).into_iter().chain(notes).chain(stopped).collect();
    if !notes.is_empty() {
        let _ = writeln!(text, "\n{}", notes.join("\n"));
    }
    text
}
