//! One plot as inline SVG, which takes its colours from the page: axes, and what stands between them.

use std::fmt::{self, Write as _};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// About so many ticks on a linear axis.
const TICKS: f64 = 6.0;
/// Colours of lines, defined by the page.
const COLOURS: usize = 6;

/// A direction.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) title: String,
    low: f64,
    high: f64,
    is_log: bool,
    /// Places and what stands there.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a bit more than `high`.
    pub(super) fn linear(title: &str, high: f64) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = step(high / TICKS);
        let top = (high * 1.02 / step).ceil().max(1.0);
        #[expect(clippy::cast_sign_loss, reason = "it is 1 at least")]
        let count = top as usize;
        let tick = |at: usize| {
            #[expect(clippy::cast_precision_loss, reason = "there are a dozen")]
            let value = at as f64 * step;
            (value, number(value))
        };
        let ticks = (0..=count).map(tick).collect();
        Self { title: title.to_owned(), low: 0.0, high: top * step, is_log: false, ticks }
    }

    /// From `low` to `high`, of which both are above 0 and some way apart.
    pub(super) fn between(title: &str, low: f64, high: f64) -> Self {
        let step = step((high - low) / TICKS);
        let mut ticks = Vec::new();
        let mut value = (low / step).ceil() * step;
        while value <= high {
            ticks.push((value, number(value)));
            value += step;
        }
        Self { title: title.to_owned(), low, high, is_log: false, ticks }
    }

    /// Powers of ten around `low` (above 0) to `high`; `show` tells what stands at each.
    pub(super) fn log(title: &str, low: f64, high: f64, show: impl Fn(f64) -> String) -> Self {
        let low = low.max(1e-12);
        let (first, last) = (low.log10().floor(), high.max(low * 1.001).log10().ceil());
        let last = last.max(first + 1.0);
        let mut ticks = Vec::new();
        let mut power = first;
        while power <= last {
            let value = 10_f64.powf(power);
            ticks.push((value, show(value)));
            power += 1.0;
        }
        let (low, high) = (10_f64.powf(first), 10_f64.powf(last));
        Self { title: title.to_owned(), low, high, is_log: true, ticks }
    }

    /// Other ticks.
    pub(super) fn with_ticks(mut self, ticks: Vec<(f64, String)>) -> Self {
        self.ticks = ticks;
        self
    }

    /// One that ends exactly here.
    pub(super) fn until(mut self, high: f64) -> Self {
        self.high = high;
        self
    }

    /// Where a value is, 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.is_log { value.max(self.low).ln() } else { value };
        let (low, high) = (scaled(self.low), scaled(self.high));
        ((scaled(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
    steps.into_iter().find(|&it| it >= least * 0.999).unwrap_or(power * 10.0)
}

/// Without zeros at the end.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A plot that is being drawn.
#[derive(Debug)]
pub(super) struct Plot {
    title: String,
    x: Axis,
    y: Axis,
    height: f64,
    body: String,
    /// Colour and name.
    key: Vec<(usize, String)>,
}

impl Plot {
    pub(super) fn new(title: &str, x: Axis, y: Axis, height: f64) -> Self {
        Self { title: title.to_owned(), x, y, height, body: String::new(), key: Vec::new() }
    }

    /// Gives a colour a meaning.
    pub(super) fn key(&mut self, colour: usize, name: &str) {
        self.key.push((colour, name.to_owned()));
    }

    /// A line through points.
    pub(super) fn line(&mut self, colour: usize, points: &[(f64, f64)]) {
        let places: Vec<String> = points
            .iter()
            .map(|&(x, y)| format!("{:.1},{:.1}", self.across(x), self.down(y)))
            .collect();
        let colour = colour % COLOURS;
        self.put(format_args!(
            "<polyline class=\"line c{colour}\" points=\"{}\"/>\n",
            places.join(" ")
        ));
    }

    /// A point, filled or hollow, with words for who points at it.
    pub(super) fn point(
        &mut self,
        colour: usize,
        (x, y): (f64, f64),
        is_filled: bool,
        words: &str,
    ) {
        let (across, down) = (self.across(x), self.down(y));
        let kind = if is_filled { "dot" } else { "ring" };
        let (colour, words) = (colour % COLOURS, escape(words));
        self.put(format_args!(
            "<circle class=\"{kind} c{colour}\" cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"3.5\">\
             <title>{words}</title></circle>\n"
        ));
    }

    /// A bar from 0 to `value`, between two places of the axis x, with its figure above.
    pub(super) fn bar(&mut self, colour: usize, (from, to): (f64, f64), value: f64, figure: &str) {
        let (left, right) = (self.across(from), self.across(to));
        let (top, bottom) = (self.down(value), self.down(0.0));
        let colour = colour % COLOURS;
        let figure = escape(figure);
        self.put(format_args!(
            "<rect class=\"bar c{colour}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\n\
             <text class=\"figure\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{figure}</text>\n",
            right - left,
            bottom - top,
            f64::midpoint(left, right),
            top - 4.0
        ));
    }

    /// A mark across, such as the line rate.
    pub(super) fn mark(&mut self, (from, to): (f64, f64), value: f64, words: &str) {
        let (left, right, down) = (self.across(from), self.across(to), self.down(value));
        let words = escape(words);
        self.put(format_args!(
            "<line class=\"mark\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{down:.1}\" y2=\"{down:.1}\">\
             <title>{words}</title></line>\n"
        ));
    }

    /// The whole of it, as an element of a page.
    pub(super) fn svg(self) -> String {
        let mut svg = String::new();
        let (width, height, title) = (WIDTH, self.height, escape(&self.title));
        let key: f64 = 20.0 * lines_of_key(&self.key) + 4.0;
        // Written to memory, which never fails.
        let _ = write!(
            svg,
            "<svg role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {:.0}\">\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"16\">{title}</text>\n",
            height + key
        );
        svg.push_str(&self.axes());
        svg.push_str(&self.body);
        svg.push_str(&self.keys());
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self) -> String {
        let mut out = String::new();
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (top, bottom) = (TOP, self.height - BOTTOM);
        for (value, words) in &self.y.ticks {
            let (down, words) = (self.down(*value), escape(words));
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{down:.1}\" y2=\"{down:.1}\"/>\n\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>\n",
                left - 6.0,
                down + 4.0
            );
        }
        for (value, words) in &self.x.ticks {
            let (across, words) = (self.across(*value), escape(words));
            let _ = writeln!(
                out,
                "<text class=\"tick\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>",
                bottom + 16.0
            );
        }
        let middle = f64::midpoint(left, right);
        let half = f64::midpoint(top, bottom);
        let (x, y) = (escape(&self.x.title), escape(&self.y.title));
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n\
             <text class=\"name\" x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{x}</text>\n\
             <text class=\"name\" transform=\"translate(14 {half}) rotate(-90)\" text-anchor=\"middle\">{y}</text>\n",
            bottom + 36.0
        );
        out
    }

    fn keys(&self) -> String {
        let mut out = String::new();
        for (at, (colour, name)) in self.key.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a key has a few lines")]
            let (column, line) = ((at % KEY_COLUMNS) as f64, (at / KEY_COLUMNS) as f64);
            let across = LEFT + column * KEY_WIDTH;
            let down = self.height + line * 20.0 + 8.0;
            let (colour, name) = (colour % COLOURS, escape(name));
            let _ = write!(
                out,
                "<rect class=\"bar c{colour}\" x=\"{across:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"2\"/>\n\
                 <text class=\"figure\" x=\"{:.1}\" y=\"{down:.1}\">{name}</text>\n",
                down - 10.0,
                across + 18.0
            );
        }
        out
    }

    fn put(&mut self, what: fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(what);
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.part(x) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, y: f64) -> f64 {
        let (top, bottom) = (TOP, self.height - BOTTOM);
        bottom - self.y.part(y) * (bottom - top)
    }
}

/// Entries of a key beside each other.
const KEY_COLUMNS: usize = 3;
const KEY_WIDTH: f64 = 225.0;

fn lines_of_key(key: &[(usize, String)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a key has a few lines")]
    let lines = key.len().div_ceil(KEY_COLUMNS) as f64;
    lines
}

/// Text as it may stand in a page and in attributes; control characters are left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_control() || *letter == '\n') {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks_and_room() {
        let words =
            |axis: &Axis| -> Vec<String> { axis.ticks.iter().map(|it| it.1.clone()).collect() };
        assert_eq!(words(&Axis::linear("", 14.88)), ["0", "5", "10", "15", "20"]);
        assert_eq!(
            words(&Axis::linear("", 0.3)),
            ["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35"]
        );
        let axis = Axis::log("", 2.0, 900.0, |value| value.to_string());
        assert_eq!(words(&axis), ["1", "10", "100", "1000"]);
        assert!((axis.part(1000.0) - 1.0).abs() < 1e-9 && axis.part(0.0).abs() < 1e-9);
        assert!((axis.part(10.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a href=\"b\">&\u{7}"), "&lt;a href=&quot;b&quot;&gt;&amp;");
    }
}
