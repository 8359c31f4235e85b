//! What became of a replay, told to people and programs.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use traffic::histogram::{self, Summary};
use traffic::replay::{ReplayProgress, ReplayReport};

use super::units::{grouped, ratio, short, short_time};

/// Rows of a histogram at most.
const ROWS_MAX: usize = 16;
/// The longest bar of a histogram.
const BAR_CHARS: usize = 40;

/// The histogram of the timing error; `None` where there is none, or it can't be read.
pub(crate) fn timing_error(report: &ReplayReport) -> Option<Histogram<u64>> {
    let text = report.timing_error.as_ref()?;
    let read = histogram::decode(text);
    read.map_err(|error| log::error!("the timing error can't be told: {error}")).ok()
}

/// Frames that were not sent.
pub(crate) fn failed(report: &ReplayReport) -> u64 {
    report.failed.iter().map(|(_, frames)| frames).sum()
}

/// For people.
pub(crate) fn to_text(report: &ReplayReport) -> String {
    let mut out = String::new();
    // Written to memory, which never fails.
    let mut line = |name: &str, what: String| {
        let _ = writeln!(out, "{name:<13} {what}");
    };
    let (bytes, wire) = (size(report.bytes), size(report.wire_bytes));
    line("sent", format!("{} frames, {bytes}, {wire} on the wire", grouped(report.packets)));
    for (reason, frames) in &report.failed {
        line("failed", format!("{} frames: {reason}", grouped(*frames)));
    }
    if report.left_out > 0 {
        let frames = grouped(report.left_out);
        line("left out", format!("{frames} frames of each loop, which no port can send"));
    }
    let loops = if report.loops == 1 {
        "1 loop".into()
    } else {
        format!("{} loops", grouped(report.loops))
    };
    let stopped = if report.was_stopped { ", stopped" } else { "" };
    line("time", format!("{}, {loops}{stopped}", short_time(report.elapsed_ns)));
    // What left in one burst has no rate.
    if report.elapsed_ns > 0 {
        let each_second = |number| short(per_second(number, report.elapsed_ns));
        let [packets, bits, wire_bits] =
            [report.packets, 8 * report.bytes, 8 * report.wire_bytes].map(each_second);
        line("rate", format!("{packets}pps, {bits}b/s, {wire_bits}b/s on the wire"));
    }
    if let Some(error) = timing_error(report).filter(|it| !it.is_empty()) {
        let Summary { p50, p99, p999, max, .. } = histogram::summary(&error);
        let [p50, p99, p999, max] = [p50, p99, p999, max].map(short_time);
        line("timing error", format!("p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}"));
        out.push('\n');
        out.push_str(&bars(&error));
    }
    out
}

/// A histogram in rows, each of times up to twice those of the row before.
fn bars(histogram: &Histogram<u64>) -> String {
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let top = histogram.max().max(1).next_power_of_two();
    let last = top.trailing_zeros() as usize;
    let first = (histogram.min().max(1).next_power_of_two().trailing_zeros() as usize)
        .max(last.saturating_sub(ROWS_MAX - 1));
    let mut from = 0;
    for power in first..=last {
        let to = 1_u64 << power;
        let count = if from > to { 0 } else { histogram.count_between(from, to) };
        rows.push((to, count));
        // Neighbours that the histogram does not tell apart are counted once.
        from = histogram.highest_equivalent(to) + 1;
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let all = histogram.len().max(1);
    let mut out = String::new();
    for (to, count) in rows {
        let len = usize::try_from(count * BAR_CHARS as u64 / most).unwrap_or(0);
        let len = if count > 0 { len.max(1) } else { 0 };
        let share = 100.0 * ratio(count, all);
        let row = format!("<= {:>8} {share:>7.3} % {}", short_time(to), "#".repeat(len));
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// For programs.
pub(crate) fn to_json(report: &ReplayReport) -> Value {
    let failed: serde_json::Map<String, Value> =
        report.failed.iter().map(|(reason, frames)| (reason.clone(), json!(frames))).collect();
    let each_second = |number| per_second(number, report.elapsed_ns);
    let error = timing_error(report).map(|error| histogram::summary(&error));
    json!({
        "packets": report.packets,
        "bytes": report.bytes,
        "wire_bytes": report.wire_bytes,
        "failed": failed,
        "loops": report.loops,
        "elapsed_ns": report.elapsed_ns,
        "packets_per_second": each_second(report.packets),
        "bits_per_second": each_second(8 * report.bytes),
        "wire_bits_per_second": each_second(8 * report.wire_bytes),
        "timing_error_ns": error,
        "timing_error_hdr": report.timing_error,
        "stopped": report.was_stopped,
        "faults": report.faults,
    })
}

/// How far a replay is, in a line: rates since `before`.
pub(crate) fn progress(now: &ReplayProgress, before: &ReplayProgress, is_timed: bool) -> String {
    let elapsed = now.elapsed_ns.saturating_sub(before.elapsed_ns);
    let packets = per_second(now.packets.saturating_sub(before.packets), elapsed);
    let bits = per_second(8 * now.bytes.saturating_sub(before.bytes), elapsed);
    let mut text = format!("{}pps {}b/s", short(packets), short(bits));
    if let Some(left) =
        now.part.filter(|part| *part > 0.0).map(|part| left_ns(now.elapsed_ns, part))
    {
        let _ = write!(text, ", {} left", short_time(left));
    }
    if is_timed {
        let _ = write!(text, ", timing error {}", short_time(now.error_median_ns));
    }
    text
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an estimate, of what is above 0"
)]
fn left_ns(elapsed_ns: u64, part: f64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let left = elapsed_ns as f64 * (1.0 - part.min(1.0)) / part;
    // Who waits counts in seconds.
    (left as u64).div_ceil(SECOND) * SECOND
}

/// So many a second; 0 of no time.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(crate) fn per_second(number: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { number as f64 * 1e9 / ns as f64 }
}

/// Bytes, short.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    format!("{}B", short(bytes as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ReplayReport {
        let mut error = histogram::empty();
        for (ns, frames) in [(90, 700), (120, 200), (900, 99), (40_000, 1)] {
            histogram::record(&mut error, ns, frames);
        }
        ReplayReport {
            packets: 1000,
            bytes: 1_000_000,
            wire_bytes: 1_024_000,
            failed: vec![("longer than the port's MTU".to_owned(), 3)],
            left_out: 4,
            loops: 2,
            elapsed_ns: 2_000_000_000,
            timing_error: Some(histogram::encode(&error)),
            starved: 0,
            faults: vec![],
            was_stopped: true,
        }
    }

    #[test]
    fn a_report_reads_like_this() {
        let want = "sent          1,000 frames, 1.00 MB, 1.02 MB on the wire\n\
                    failed        3 frames: longer than the port's MTU\n\
                    left out      4 frames of each loop, which no port can send\n\
                    time          2.00 s, 2 loops, stopped\n\
                    rate          500 pps, 4.00 Mb/s, 4.10 Mb/s on the wire\n\
                    timing error  p50 90 ns, p99 9";
        let text = to_text(&report());
        assert!(text.starts_with(want), "{text}");
        let burst = ReplayReport { elapsed_ns: 0, ..report() };
        assert!(!to_text(&burst).contains("rate"));
        assert!(text.lines().any(|line| line.starts_with("<=   128 ns  90.000 % #")), "{text}");
    }

    #[test]
    fn every_time_is_in_one_row() {
        let mut histogram = histogram::empty();
        for ns in (0..3_000_000).step_by(7) {
            histogram::record(&mut histogram, ns, 1);
        }
        let shares = bars(&histogram);
        let shares = shares.lines().map(|line| line.split_whitespace().nth(3).unwrap());
        let sum: f64 = shares.map(|share| share.parse::<f64>().unwrap()).sum();
        assert!((sum - 100.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn programs_read_the_same() {
        let json = to_json(&report());
        assert_eq!(json["packets_per_second"], 500.0);
        assert_eq!(json["wire_bits_per_second"], 4_096_000.0);
        assert_eq!(json["failed"]["longer than the port's MTU"], 3);
        assert_eq!(json["timing_error_ns"]["count"], 1000);
        assert_eq!(to_json(&ReplayReport::default())["timing_error_ns"], Value::Null);
    }

    #[test]
    fn progress_tells_rates_of_late_and_what_is_left() {
        let before =
            ReplayProgress { elapsed_ns: 1_000_000_000, packets: 100, ..Default::default() };
        let now = ReplayProgress {
            elapsed_ns: 2_000_000_000,
            packets: 100_100,
            bytes: 12_500_000,
            part: Some(0.25),
            error_median_ns: 1500,
            ..before.clone()
        };
        assert_eq!(
            progress(&now, &before, true),
            "100 kpps 100 Mb/s, 6.00 s left, timing error 1.50 µs"
        );
        assert_eq!(progress(&now, &now, false), "0 pps 0 b/s, 6.00 s left");
    }
}
