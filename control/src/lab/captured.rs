//! What became of a capture, told to people and programs.

use std::fmt::Write as _;

use serde_json::{Value, json};
use traffic::capture::CaptureReport;

use super::replayed::{per_second, size};
use super::units::{grouped, short, short_time};

/// For people.
pub(crate) fn to_text(report: &CaptureReport) -> String {
    let mut out = String::new();
    // Written to memory, which never fails.
    let mut line = |name: &str, what: String| {
        let _ = writeln!(out, "{name:<13} {what}");
    };
    line("received", format!("{} frames", grouped(report.received)));
    if report.others > 0 {
        line("not meant", format!("{} frames", grouped(report.others)));
    }
    let cut = if report.cut > 0 {
        format!(", {} of them cut", grouped(report.cut))
    } else {
        String::new()
    };
    line(
        "written",
        format!("{} frames, {}{cut}", grouped(report.written), size(report.written_bytes)),
    );
    let by_device = report.lost_by_device.map_or("an unknown number".to_owned(), grouped);
    line(
        "lost",
        format!(
            "{} for want of time to write them, {by_device} by the device",
            grouped(report.lost_by_writer)
        ),
    );
    let rate = short(per_second(report.received, report.elapsed_ns));
    line("time", format!("{}, {rate}pps", short_time(report.elapsed_ns)));
    for file in &report.files {
        line("file", file.display().to_string());
    }
    out
}

/// For programs.
pub(crate) fn to_json(report: &CaptureReport) -> Value {
    json!(report)
}

/// How far a capture is, in a line: the rate since `before`.
pub(crate) fn progress(now: &CaptureReport, before: &CaptureReport) -> String {
    let elapsed = now.elapsed_ns.saturating_sub(before.elapsed_ns);
    let rate = short(per_second(now.received.saturating_sub(before.received), elapsed));
    let mut text =
        format!("{} frames, {rate}pps, {} written", grouped(now.received), size(now.written_bytes));
    let lost = now.lost_by_writer + now.lost_by_device.unwrap_or(0);
    if lost > 0 {
        let _ = write!(text, ", {} LOST", grouped(lost));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_like_this() {
        let report = CaptureReport {
            elapsed_ns: 2_000_000_000,
            received: 123_456,
            written: 123_000,
            written_bytes: 98_765_432,
            cut: 12,
            others: 400,
            lost_by_writer: 56,
            lost_by_device: Some(7),
            files: vec!["a.00001.pcapng".into(), "a.00002.pcapng".into()],
            faults: vec![],
        };
        let want = "received      123,456 frames\n\
                    not meant     400 frames\n\
                    written       123,000 frames, 98.8 MB, 12 of them cut\n\
                    lost          56 for want of time to write them, 7 by the device\n\
                    time          2.00 s, 61.7 kpps\n\
                    file          a.00001.pcapng\n\
                    file          a.00002.pcapng\n";
        assert_eq!(to_text(&report), want);
        let before =
            CaptureReport { elapsed_ns: 1_000_000_000, received: 23_456, ..report.clone() };
        assert_eq!(
            progress(&report, &before),
            "123,456 frames, 100 kpps, 98.8 MB written, 63 LOST"
        );
        let nothing = CaptureReport { lost_by_writer: 0, lost_by_device: None, ..report };
        assert!(!progress(&nothing, &before).contains("LOST"));
        assert!(to_text(&nothing).contains("an unknown number by the device"));
    }
}
