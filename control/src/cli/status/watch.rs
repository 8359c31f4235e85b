//! `linetap status --watch`: the report on the whole screen, each second.

use std::io::{self, IsTerminal, Stdout, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use crossterm::terminal::{
    self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use engine::report::Report;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::link::{Dataplane, DataplaneError};
use crate::report::{Change, to_json, to_text};

/// Between two reports.
const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks for a signal, while nothing is typed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Rules that are listed on the screen.
const RULES_MAX: usize = 12;

/// Shows reports until `q`, Ctrl-C or a signal. Without a terminal, or as JSON, they are printed one
/// after the other.
pub(super) fn watch(socket: &Path, json: bool) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .context("signals can't be awaited")?;
    }
    let source = Source { socket, link: None, last: None };
    if json || !io::stdout().is_terminal() {
        print_each(source, json, &stop)
    } else {
        show(source, &stop)
    }
}

/// Where reports come from; connects again when the data plane was away.
struct Source<'s> {
    socket: &'s Path,
    link: Option<Dataplane>,
    last: Option<(Instant, Report)>,
}

impl Source<'_> {
    /// The report of now, and what to compare it with.
    fn next(&mut self) -> Result<Report, DataplaneError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Dataplane::connect(self.socket)?,
        };
        let report = link.report()?;
        self.link = Some(link);
        Ok(report)
    }

    /// The report of now as text, with rates since the one before; or why there is none.
    fn text(&mut self) -> String {
        let now = Instant::now();
        let report = match self.next() {
            Ok(report) => report,
            Err(error) => {
                self.last = None;
                return format!("{error}\n");
            }
        };
        let change = self
            .last
            .as_ref()
            .map(|(then, before)| Change { before, elapsed: now.duration_since(*then) });
        let text = to_text(&report, change, RULES_MAX);
        self.last = Some((now, report));
        text
    }
}

fn print_each(mut source: Source<'_>, json: bool, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    while !stop.load(Ordering::Relaxed) {
        let text = if json {
            format!("{}\n", to_json(&source.next()?))
        } else {
            format!("{}\n", source.text())
        };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("can't print")?;
        let next = Instant::now() + PERIOD;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

fn show(mut source: Source<'_>, stop: &AtomicBool) -> anyhow::Result<()> {
    let screen = Screen::open().context("the terminal can't be set up")?;
    while !stop.load(Ordering::Relaxed) {
        screen.draw(&source.text()).context("the terminal can't be written to")?;
        let next = Instant::now() + PERIOD;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            if !event::poll(LOOK_EVERY).context("the keyboard can't be read")? {
                continue;
            }
            match event::read().context("the keyboard can't be read")? {
                Event::Key(key) if is_end(key) => return Ok(()),
                Event::Resize(..) => break,
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_end(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c' | 'd') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

/// The whole terminal, given back as it was on drop.
struct Screen {
    out: Stdout,
}

impl Screen {
    fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let mut screen = Self { out: io::stdout() };
        execute!(screen.out, EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Shows the first lines that fit, and the last one, which tells whether all is in order, at the
    /// bottom. No flicker: each line is overwritten, then cleared behind.
    fn draw(&self, text: &str) -> io::Result<()> {
        let (columns, rows) = terminal::size()?;
        let (body, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text));
        let last = format!("{last}   (q: quit)");
        let body_rows = usize::from(rows).saturating_sub(1);
        let body = body.lines().chain(std::iter::repeat("")).take(body_rows);
        let mut out = self.out.lock();
        queue!(out, cursor::MoveTo(0, 0))?;
        for (row, line) in body.chain([last.as_str()]).enumerate() {
            if row > 0 {
                write!(out, "\r\n")?;
            }
            let shown: String = line.chars().take(columns.into()).collect();
            write!(out, "{shown}")?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nothing left to do for a terminal that is gone.
        let _ = execute!(self.out, cursor::Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
