//! What a person sees who waits for a benchmark: which frames, which trial, the bounds so far.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::rate::scaled;
use super::trial::Counts;

/// How often the moving sign moves.
const TICK: Duration = Duration::from_millis(120);

/// One line that changes, on a terminal; nothing elsewhere.
#[derive(Debug)]
pub struct Progress {
    line: ProgressBar,
    series: String,
    method: &'static str,
    trials: u32,
    trial: String,
    bounds: String,
    last: String,
}

impl Progress {
    /// On standard error, if it is a terminal and is to be used.
    pub fn new(is_shown: bool) -> Self {
        let target =
            if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
            line.set_style(style);
        }
        if !line.is_hidden() {
            line.enable_steady_tick(TICK);
        }
        Self {
            line,
            series: String::new(),
            method: "",
            trials: 0,
            trial: String::new(),
            bounds: String::new(),
            last: String::new(),
        }
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

    /// A line above the one that changes.
    pub fn tell(&self, text: &str) {
        self.line.suspend(|| eprintln!("{text}"));
    }

    /// No more.
    pub fn finish(&self) {
        self.line.finish_and_clear();
    }

    fn show(&self) {
        let parts = [
            format!("{}, {} trial {}: {}", self.series, self.method, self.trials, self.trial),
            self.last.clone(),
            self.bounds.clone(),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        self.line.set_message(parts.join(" · "));
    }
}
