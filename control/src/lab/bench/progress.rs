//! What a person sees who waits for a benchmark: which frames, which trial, the bounds so far.

use std::time::Duration;

use super::rate::scaled;
use super::trial::Counts;
use crate::lab::progress::Progress as Line;

/// One line about the trial that runs.
#[derive(Debug)]
pub struct Progress {
    line: Line,
    series: String,
    method: &'static str,
    trials: u32,
    trial: String,
    bounds: String,
    last: String,
}

impl Progress {
    /// On standard error, unless nothing is to be seen.
    pub fn new(is_quiet: bool) -> Self {
        Self {
            line: Line::new("bench", is_quiet),
            series: String::new(),
            method: "",
            trials: 0,
            trial: String::new(),
            bounds: String::new(),
            last: String::new(),
        }
    }

    /// What tells a line without spoiling the one that changes.
    pub fn teller(&self) -> impl FnMut(&str) + Send + 'static + use<> {
        self.line.teller()
    }

    /// Other frames, or another configuration.
    pub fn series(&mut self, title: &str) {
        title.clone_into(&mut self.series);
    }

    /// Another method.
    pub fn method(&mut self, name: &'static str) {
        self.method = name;
        self.trials = 0;
        self.bounds.clear();
        self.last.clear();
    }

    /// A trial begins.
    pub fn trial(&mut self, load: Option<f64>, burst: Option<u64>, duration: Duration) {
        self.trials += 1;
        self.trial = match (load, burst) {
            (Some(load), _) => format!("{}pps for {} s", scaled(load), duration.as_secs_f64()),
            (None, Some(frames)) => format!("burst of {frames} frames"),
            (None, None) => format!("all it can for {} s", duration.as_secs_f64()),
        };
        self.show();
    }

    /// It is over.
    pub fn measured(&mut self, counts: &Counts) {
        self.last = match counts.lost() {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost ({:.3} %)", counts.loss_ratio() * 100.0),
        };
        self.show();
    }

    /// How far a search is.
    pub fn bounds(&mut self, bounds: &str) {
        bounds.clone_into(&mut self.bounds);
        self.show();
    }

    /// No more.
    pub fn end(self) {
        self.line.end();
    }

    fn show(&mut self) {
        let trial =
            format!("{}, {} trial {}: {}", self.series, self.method, self.trials, self.trial);
        let parts = [trial, self.last.clone(), self.bounds.clone()];
        let parts: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        self.line.show(None, &parts.join(" · "));
    }
}
