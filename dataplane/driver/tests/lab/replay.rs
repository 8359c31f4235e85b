//! Replays by the process: what it sends, what it tells meanwhile and at the end, and how it stops.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::sim::{CaptureReader, CaptureWriter};
use traffic::histogram::decode;
use traffic::link::{Event, Request};
use traffic::replay::{
    Joining, Reading, ReplayPlan, ReplayReport, Rewrites, Split, SplitBy, Timing,
};

use crate::process::Process;
use crate::setup;

/// Writes a capture of UDP frames a microsecond apart, each with its number, every third from port 80.
fn capture(dir: &Path, frames: u32) -> PathBuf {
    let file = dir.join("in.pcap");
    let mut writer = CaptureWriter::new(File::create(&file).unwrap()).unwrap();
    for number in 0..frames {
        let bytes = frame(number);
        writer
            .write(u64::from(number) * 1000, bytes.len(), [bytes.as_slice()].into_iter())
            .unwrap();
    }
    writer.finish().unwrap();
    file
}

fn is_server(number: u32) -> bool {
    number.is_multiple_of(3)
}

fn frame(number: u32) -> Vec<u8> {
    let mut frame =
        vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17];
    frame.extend([0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let ports = if is_server(number) { [80, 5000u16] } else { [5000, 80] };
    frame.extend([ports[0].to_be_bytes(), ports[1].to_be_bytes(), [0, 12], [0, 0]].concat());
    frame.extend(number.to_be_bytes());
    frame
}

fn plan(file: PathBuf, timing: Timing) -> ReplayPlan {
    ReplayPlan {
        files: vec![file],
        joining: Joining::Concatenated,
        timing,
        loops: Some(1),
        duration_ns: None,
        limit: None,
        gap_max_ns: None,
        port: 0,
        split: None,
        rewrites: Rewrites::default(),
        reading: Reading::default(),
    }
}

/// A process with these ports and so many buffers.
fn open(devices: &[&str], frames: u32) -> Process {
    let mut process = Process::start();
    let opened = process.ask(&Request::Open(traffic::setup::Setup { frames, ..setup(devices) }));
    assert!(matches!(opened, Event::Opened { .. }), "{opened:?}");
    process
}

/// The report, and how many words of progress came before.
fn report(process: &mut Process) -> (ReplayReport, usize) {
    let mut words = 0;
    loop {
        match process.hear() {
            Event::ReplayProgress(_) => words += 1,
            Event::Replayed(report) => return (report, words),
            other => panic!("{other:?}"),
        }
    }
}

fn replay(process: &mut Process, plan: ReplayPlan) -> ReplayReport {
    process.tell(&Request::Replay(Box::new(plan)));
    report(process).0
}

/// The frames of a capture, and how many nanoseconds lie between its first and last.
fn written(file: &Path) -> (Vec<Vec<u8>>, u64) {
    let mut reader = CaptureReader::new(File::open(file).unwrap());
    let (mut frames, mut times) = (Vec::new(), Vec::new());
    while reader.advance().unwrap() {
        frames.push(reader.frame().to_vec());
        times.push(reader.timestamp_ns());
    }
    (frames, times.last().unwrap_or(&0) - times.first().unwrap_or(&0))
}

#[test]
fn what_is_kept_and_what_is_read_leave_by_two_ports_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), 3000);
    // Few buffers, and many.
    for buffers in [511, 8191] {
        let out = ["client.pcap", "server.pcap"].map(|name| dir.path().join(name));
        let devices = [0, 1].map(|at: usize| format!("net_pcap{at},tx_pcap={}", out[at].display()));
        let mut process = open(&[&devices[0], &devices[1]], buffers);
        let mut plan = plan(file.clone(), Timing::Top);
        plan.split = Some(Split { port: 1, by: SplitBy::Ports });
        plan.loops = Some(2);
        plan.limit = Some(5000);
        let report = replay(&mut process, plan);
        process.finish();
        let bytes = 5000 * frame(0).len() as u64;
        assert_eq!((report.packets, report.bytes, report.loops), (5000, bytes, 1), "{report:?}");
        assert_eq!((report.timing_error, report.was_stopped), (None, false));
        assert!(report.failed.is_empty() && report.faults.is_empty() && report.elapsed_ns > 0);
        for (out, is_server_side) in out.iter().zip([false, true]) {
            let numbers =
                (0..3000).chain(0..2000).filter(|number| is_server(*number) == is_server_side);
            let expected: Vec<_> = numbers.map(frame).collect();
            assert!(written(out).0 == expected, "with {buffers} buffers, {}", out.display());
        }
    }
}

#[test]
fn frames_are_sent_at_their_times_and_errors_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), 3000);
    for buffers in [511, 8191] {
        let out = dir.path().join("out.pcap");
        let mut process = open(&[&format!("net_pcap0,tx_pcap={}", out.display())], buffers);
        process.tell(&Request::Replay(Box::new(plan(
            file.clone(),
            Timing::Original { speed: 0.005 },
        ))));
        let (report, words) = report(&mut process);
        process.finish();
        let (frames, elapsed_ns) = written(&out);
        assert_eq!((frames.len(), report.packets, report.loops), (3000, 3000, 1));
        // 2999 gaps of 200 microseconds; a crowded machine may stop for a while.
        let ideal = 2999 * 200_000;
        assert!((ideal - 20_000_000..ideal * 3).contains(&elapsed_ns), "{elapsed_ns}");
        assert!((ideal - 20_000_000..ideal * 3).contains(&report.elapsed_ns), "{report:?}");
        assert!(words >= 1, "progress is told");
        let errors = decode(&report.timing_error.unwrap()).unwrap();
        assert_eq!(errors.len(), 3000);
        assert!(errors.value_at_quantile(0.5) < 1_000_000, "{}", errors.value_at_quantile(0.5));
    }
}

#[test]
fn a_stop_and_a_limit_of_time_end_it_soon_with_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), 3000);
    for buffers in [511, 8191] {
        let mut process = open(&["net_null0"], buffers);
        for timing in [Timing::Top, Timing::Packets { per_second: 10.0 }] {
            let endless = ReplayPlan { loops: None, ..plan(file.clone(), timing) };
            process.tell(&Request::Replay(Box::new(endless.clone())));
            let Event::ReplayProgress(progress) = process.hear() else { panic!("no progress") };
            assert!(progress.packets > 0 && progress.part.is_none(), "{progress:?}");
            let asked = Instant::now();
            process.tell(&Request::Stop);
            let (report, _) = report(&mut process);
            assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
            assert!(report.was_stopped && report.packets >= progress.packets, "{report:?}");
            let limited = ReplayPlan { duration_ns: Some(50_000_000), ..endless };
            let report = replay(&mut process, limited);
            assert!(!report.was_stopped && report.packets > 0, "{report:?}");
            assert!(report.elapsed_ns < 100_000_000, "{report:?}");
        }
        process.finish();
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_next_can() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), 10);
    let mut process = open(&["net_null0"], 1023);
    let wrong = [
        ReplayPlan { port: 1, ..plan(file.clone(), Timing::Top) },
        ReplayPlan {
            split: Some(Split { port: 0, by: SplitBy::Ports }),
            ..plan(file.clone(), Timing::Top)
        },
        plan(dir.path().join("none.pcap"), Timing::Top),
    ];
    for (plan, word) in wrong.into_iter().zip(["no port 1", "two ports", "none.pcap"]) {
        let refused = process.ask(&Request::Replay(Box::new(plan)));
        let Event::Refused(faults) = refused else { panic!("{refused:?}") };
        assert!(faults[0].contains(word), "{faults:?}");
    }
    assert_eq!(replay(&mut process, plan(file, Timing::Top)).packets, 10);
    process.finish();
}
