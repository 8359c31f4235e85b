//! How far a job is: a bar on a terminal, a line now and then elsewhere, or nothing. All on standard error: standard
//! output is for what comes of it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The bar's own steps.
const STEPS: u64 = 1000;

/// Shows how far a job is.
#[derive(Debug)]
pub(crate) struct Progress {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Bar(ProgressBar),
    Lines { what: &'static str, next: Instant },
    Quiet,
}

impl Progress {
    /// Of a job of this name.
    pub(crate) fn new(what: &'static str, is_quiet: bool) -> Self {
        let way = if is_quiet {
            Way::Quiet
        } else if io::stderr().is_terminal() {
            Way::Bar(ProgressBar::with_draw_target(
                Some(STEPS),
                ProgressDrawTarget::stderr_with_hz(5),
            ))
        } else {
            Way::Lines { what, next: Instant::now() + LINE_EVERY }
        };
        Self { way }
    }

    /// What tells a line without spoiling the bar.
    pub(crate) fn teller(&self) -> impl FnMut(&str) + Send + 'static + use<> {
        let bar = match &self.way {
            Way::Bar(bar) => Some(bar.clone()),
            _ => None,
        };
        move |line| match &bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None => tell(line),
        }
    }

    /// Shows that `part` of all is done (0 to 1, where that is known), and `words`.
    pub(crate) fn show(&mut self, part: Option<f64>, words: &str) {
        match &mut self.way {
            Way::Bar(bar) => {
                let template =
                    if part.is_some() { "{wide_bar} {percent:>3} %  {msg}" } else { "{msg}" };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.set_message(words.to_owned());
                bar.set_position(steps(part.unwrap_or(0.0)));
            }
            Way::Lines { what, next } => {
                let now = Instant::now();
                if now < *next {
                    return;
                }
                *next = now + LINE_EVERY;
                let percent =
                    part.map(|part| format!("{:.0} %, ", 100.0 * part)).unwrap_or_default();
                tell(&format!("{what}: {percent}{words}"));
            }
            Way::Quiet => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        if let Way::Bar(bar) = self.way {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "it is 0 to 1000")]
fn steps(part: f64) -> u64 {
    (part.clamp(0.0, 1.0) * STEPS as f64) as u64
}

/// Who does not listen any more misses nothing.
fn tell(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
