//! Replay: what leaves is what the captures hold, when it is due.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::sim::{CaptureReader, capture_of};
use tempfile::TempDir;
use traffic::histogram;
use traffic::link::{Event, Request};
use traffic::replay::{
    Joining, Reading, ReplayPlan, ReplayReport, Rewrites, Split, SplitBy, Timing,
};
use traffic::setup::Setup;

use crate::process::Process;
use crate::setup;

/// Files of one test, and the process that sends.
struct Scene {
    folder: TempDir,
    process: Process,
}

/// Frames of several lengths, 10 µs apart, of eight flows in both directions.
fn frames(count: u16) -> Vec<(u64, Vec<u8>)> {
    let frame = |number: u16| {
        let len = [60, 100, 590, 1514][usize::from(number % 4)];
        let mut frame = vec![0; len];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        let ip_len = u16::try_from(len - 14).unwrap();
        frame[14..16].copy_from_slice(&[0x45, 0]);
        frame[16..18].copy_from_slice(&ip_len.to_be_bytes());
        frame[22..24].copy_from_slice(&[64, 17]);
        let (client, server) = ([10, 0, 0, number.to_le_bytes()[0] % 8], [192, 0, 2, 1]);
        let is_back = number.is_multiple_of(3);
        let (src, dst) = if is_back { (server, client) } else { (client, server) };
        frame[26..30].copy_from_slice(&src);
        frame[30..34].copy_from_slice(&dst);
        let ports = if is_back { [0, 53, 4, 0] } else { [4, 0, 0, 53] };
        frame[34..38].copy_from_slice(&ports);
        frame[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
        frame[42..44].copy_from_slice(&number.to_be_bytes());
        frame
    };
    (0..count).map(|number| (u64::from(number) * 10_000, frame(number))).collect()
}

fn bytes_of(frames: &[(u64, Vec<u8>)]) -> Vec<Vec<u8>> {
    frames.iter().map(|(_, bytes)| bytes.clone()).collect()
}

/// What a capture holds.
fn read(file: &Path) -> Vec<Vec<u8>> {
    let mut reader = CaptureReader::new(fs::File::open(file).unwrap());
    let mut frames = Vec::new();
    while reader.advance().unwrap() {
        frames.push(reader.frame().to_vec());
    }
    frames
}

impl Scene {
    /// Ports that write what they send into `out0.pcap`, `out1.pcap`.
    fn new(ports: usize, frames: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = |port| folder.path().join(format!("out{port}.pcap"));
        let device = |port| format!("net_pcap{port},tx_pcap={}", out(port).display());
        let devices: Vec<String> = (0..ports).map(device).collect();
        let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
        Self::open(folder, &devices, frames)
    }

    /// Ports with these devices, and room for so many frames.
    fn open(folder: TempDir, devices: &[&str], frames: u32) -> Self {
        let mut process = Process::start();
        let opened = process.ask(&Request::Open(Setup { frames, ..setup(devices) }));
        assert!(matches!(opened, Event::Opened { .. }), "{opened:?}");
        Self { folder, process }
    }

    fn capture(&self, frames: &[(u64, Vec<u8>)]) -> PathBuf {
        let file = self.folder.path().join("in.pcap");
        fs::write(&file, capture_of(frames.iter().map(|(time, bytes)| (*time, bytes)))).unwrap();
        file
    }

    /// What was sent by each port.
    fn finish(self, ports: usize) -> Vec<Vec<Vec<u8>>> {
        self.process.finish();
        (0..ports).map(|port| read(&self.folder.path().join(format!("out{port}.pcap")))).collect()
    }

    fn report(&mut self) -> ReplayReport {
        loop {
            match self.process.hear() {
                Event::Replayed(report) => return report,
                Event::ReplayProgress(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn run(&mut self, plan: ReplayPlan) -> ReplayReport {
        self.process.tell(&Request::Replay(Box::new(plan)));
        self.report()
    }
}

fn plan(file: PathBuf, timing: Timing) -> ReplayPlan {
    ReplayPlan {
        files: vec![file],
        joining: Joining::Merged,
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

/// Whether it took so long: a crowded machine may begin late, or end late.
fn is_about(ns: u64, report: &ReplayReport) -> bool {
    (ns / 2..ns + 1_000_000_000).contains(&report.elapsed_ns)
}

/// Room for all frames of a test beside what is under way, or for none.
const LOADED: u32 = 8191;
const STREAMED: u32 = 1023;

#[test]
fn what_is_left_out_is_in_the_report() {
    let mut scene = Scene::new(1, LOADED);
    let mut frames = frames(3);
    frames[1].1.truncate(3);
    let mut plan = plan(scene.capture(&frames), Timing::Top);
    plan.reading.leave_out = true;
    let report = scene.run(plan);
    assert_eq!((report.packets, report.left_out), (2, 1));
    assert_eq!(scene.finish(1)[0].len(), 2);
}

#[test]
fn what_leaves_is_what_the_capture_holds_loaded_or_streamed() {
    for room in [LOADED, STREAMED] {
        let mut scene = Scene::new(1, room);
        let frames = frames(3000);
        let plan = plan(scene.capture(&frames), Timing::Original { speed: 1.0 });
        let report = scene.run(ReplayPlan { loops: Some(2), ..plan });
        assert_eq!((report.packets, report.loops, report.failed.len()), (6000, 2, 0));
        // 30 ms each.
        assert!(is_about(59_990_000, &report), "{report:?}");
        let error = histogram::decode(&report.timing_error.unwrap()).unwrap();
        assert_eq!(error.len(), 6000);
        let all = bytes_of(&frames);
        assert!(scene.finish(1)[0] == [all.clone(), all].concat());
    }
}

#[test]
fn limits_end_it_and_rates_are_kept() {
    for room in [LOADED, STREAMED] {
        let mut scene = Scene::new(1, room);
        let frames = frames(1500);
        let file = scene.capture(&frames);
        let rate = Timing::Packets { per_second: 50_000.0 };
        let ever = ReplayPlan { loops: None, ..plan(file.clone(), rate) };
        let report = scene.run(ReplayPlan { limit: Some(2500), ..ever.clone() });
        assert_eq!((report.packets, report.loops), (2500, 1));
        assert!(is_about(49_980_000, &report), "{report:?}");
        let report = scene.run(ReplayPlan { duration_ns: Some(20_000_000), ..ever });
        assert_eq!(report.packets, 1000, "what is due within 20 ms");
        let report = scene.run(plan(file, Timing::Top));
        assert_eq!((report.packets, report.timing_error), (1500, None));
        let all = bytes_of(&frames);
        let expected = [&all[..], &all[..1000], &all[..1000], &all[..]].concat();
        assert!(scene.finish(1)[0] == expected);
    }
}

#[test]
fn clients_and_servers_leave_by_ports_of_their_own() {
    for room in [LOADED, STREAMED] {
        let mut scene = Scene::new(2, room);
        let frames = frames(1000);
        let clients = SplitBy::ClientAddresses(vec!["10.0.0.0/8".parse().unwrap()]);
        let plan = ReplayPlan {
            split: Some(Split { port: 1, by: clients }),
            ..plan(scene.capture(&frames), Timing::Top)
        };
        assert_eq!(scene.run(plan).packets, 1000);
        let sent = scene.finish(2);
        let (clients, servers): (Vec<_>, Vec<_>) =
            bytes_of(&frames).into_iter().partition(|frame| frame[26] == 10);
        assert!(sent[0] == clients && sent[1] == servers && !servers.is_empty());
    }
}

#[test]
fn it_stops_when_it_is_told_to_and_says_how_far_it_came() {
    for room in [LOADED, STREAMED] {
        let mut scene = Scene::new(1, room);
        let file = scene.capture(&frames(3000));
        let slow = Timing::Packets { per_second: 10_000.0 };
        let plan = ReplayPlan { loops: None, ..plan(file, slow) };
        scene.process.tell(&Request::Replay(Box::new(plan)));
        let progress = scene.process.hear();
        let Event::ReplayProgress(progress) = progress else { panic!("{progress:?}") };
        assert!(progress.packets > 0 && progress.part.is_none(), "{progress:?}");
        scene.process.tell(&Request::Stop);
        let began = Instant::now();
        let report = scene.report();
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert!(report.was_stopped && report.packets >= progress.packets, "{report:?}");
        assert_eq!(scene.finish(1)[0].len() as u64, report.packets);
    }
}

#[test]
fn nothing_is_sent_of_captures_with_faults() {
    let mut scene = Scene::new(1, LOADED);
    let file = scene.capture(&frames(100));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 7]).unwrap();
    let plan = plan(file, Timing::Top);
    scene.process.tell(&Request::Replay(Box::new(plan.clone())));
    let refused = scene.process.hear();
    let Event::Refused(faults) = refused else { panic!("{refused:?}") };
    assert!(faults.len() == 1 && faults[0].contains("in.pcap"), "{faults:?}");
    let reading = Reading { until_damage: true, ..Reading::default() };
    let report = scene.run(ReplayPlan { reading, ..plan });
    assert_eq!((report.packets, report.faults.len()), (99, 1), "{report:?}");
    assert_eq!(scene.finish(1)[0].len(), 99);
}

#[test]
fn at_top_speed_too_it_stops_and_is_limited_in_time() {
    for room in [LOADED, STREAMED] {
        let mut scene = Scene::open(tempfile::tempdir().unwrap(), &["net_null0"], room);
        let file = scene.capture(&frames(3000));
        let endless = ReplayPlan { loops: None, ..plan(file, Timing::Top) };
        scene.process.tell(&Request::Replay(Box::new(endless.clone())));
        let progress = scene.process.hear();
        let Event::ReplayProgress(progress) = progress else { panic!("{progress:?}") };
        assert!(progress.packets > 3000 && progress.loops > 0, "{progress:?}");
        scene.process.tell(&Request::Stop);
        let began = Instant::now();
        let report = scene.report();
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert!(report.was_stopped && report.packets >= progress.packets, "{report:?}");
        let report = scene.run(ReplayPlan { duration_ns: Some(50_000_000), ..endless });
        assert!(!report.was_stopped && report.packets > 3000, "{report:?}");
        assert!(is_about(50_000_000, &report), "{report:?}");
        scene.finish(0);
    }
}

#[test]
fn what_has_no_port_is_refused_and_the_next_is_sent() {
    let mut scene = Scene::new(1, LOADED);
    let file = scene.capture(&frames(10));
    let good = plan(file, Timing::Top);
    let split = Some(Split { port: 0, by: SplitBy::Ports });
    let wrong = [ReplayPlan { port: 1, ..good.clone() }, ReplayPlan { split, ..good.clone() }];
    for (plan, word) in wrong.into_iter().zip(["no port 1", "two ports"]) {
        let refused = scene.process.ask(&Request::Replay(Box::new(plan)));
        let Event::Refused(faults) = refused else { panic!("{refused:?}") };
        assert!(faults[0].contains(word), "{faults:?}");
    }
    assert_eq!(scene.run(good).packets, 10);
    assert_eq!(scene.finish(1)[0].len(), 10);
}

#[test]
fn nothing_is_sent_without_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("memif.sock");
    let device = format!("net_memif0,role=server,socket={},socket-abstract=no", socket.display());
    let mut scene = Scene::open(folder, &[&device], STREAMED);
    let plan = plan(scene.capture(&frames(10)), Timing::Top);
    let refused = scene.process.ask(&Request::Replay(Box::new(plan)));
    let Event::Refused(faults) = refused else { panic!("{refused:?}") };
    assert!(faults.len() == 1 && faults[0].contains("`p0` got no link"), "{faults:?}");
    scene.finish(0);
}

#[test]
fn a_frame_of_a_pipe_leaves_before_the_next_one_comes() {
    let mut scene = Scene::new(1, STREAMED);
    let frames = frames(2);
    let whole = fs::read(scene.capture(&frames)).unwrap();
    let pipe = scene.folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let plan = plan(pipe.clone(), Timing::Top);
    scene.process.tell(&Request::Replay(Box::new(plan)));
    let mut pipe = fs::OpenOptions::new().write(true).open(pipe).unwrap();
    // The file's header, and the first record.
    let (first, rest) = whole.split_at(24 + 16 + frames[0].1.len());
    pipe.write_all(first).unwrap();
    loop {
        let Event::ReplayProgress(progress) = scene.process.hear() else { panic!("it has ended") };
        if progress.packets == 1 {
            break;
        }
        assert!(progress.elapsed_ns < 20_000_000_000, "it is not sent");
    }
    pipe.write_all(rest).unwrap();
    drop(pipe);
    assert_eq!(scene.report().packets, 2);
    assert!(scene.finish(1)[0] == bytes_of(&frames));
}

/// Writes a capture of frames of 1,514 bytes, a microsecond apart, until it has so many bytes. Returns how many frames
/// it has.
fn write_large(file: &Path, bytes: u64) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(file).unwrap());
    let (_, frame) = &frames(4)[3];
    let one = capture_of([(0, frame)]);
    let (header, record) = one.split_at(24);
    out.write_all(header).unwrap();
    let mut record = record.to_vec();
    let count = bytes / record.len() as u64;
    for number in 0..count {
        let (seconds, ns) = (number / 1_000_000, number % 1_000_000 * 1000);
        for (at, value) in [(0, seconds), (4, ns)] {
            record[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
        }
        out.write_all(&record).unwrap();
    }
    out.flush().unwrap();
    count
}

/// `LINETAP_CAPTURE_MB` says how large it is.
#[test]
fn memory_does_not_grow_with_the_capture() {
    const MORE_MAX: u64 = 8 << 20;
    /// Small ones are kept.
    const NOT_SMALL: u64 = 100 << 20;
    let mb = std::env::var("LINETAP_CAPTURE_MB").map_or(300, |text| text.parse().unwrap());
    // Not where other temporary files are: that may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut scene = Scene::open(folder, &["net_null0"], STREAMED);
    let file = scene.folder.path().join("large.pcap");
    let peaks = [NOT_SMALL, mb << 20].map(|bytes| {
        let frames = write_large(&file, bytes);
        assert_eq!(scene.run(plan(file.clone(), Timing::Top)).packets, frames);
        let peak = scene.process.memory_peak();
        eprintln!("{} MiB of capture: at most {} KiB of memory", bytes >> 20, peak >> 10);
        peak
    });
    assert!(peaks[1] - peaks[0] < MORE_MAX, "{peaks:?}");
    scene.finish(0);
}
