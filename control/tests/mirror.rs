//! The command `linetap mirror`: arguments, files, exit statuses and the report.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use common::{CONFIG, TEMPLATE, with};
use engine::sim::{CaptureReader, capture_of};
use serde_json::Value;
use tempfile::TempDir;

/// A TCP segment from 10.0.0.1 to 192.0.2.99, port 443, with `len` bytes of payload.
fn segment(len: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 40 + len, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 99]);
    frame.extend([0x30, 0x39, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    frame.extend((0..len).map(|_| len));
    frame
}

/// A directory with the files of a run, in which the command is run.
struct Case(TempDir);

impl Case {
    fn new() -> Self {
        let case = Self(tempfile::tempdir().unwrap());
        case.put("c.toml", CONFIG);
        case.put("t.yaml", TEMPLATE);
        case
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::cargo_bin("linetap").unwrap();
        command.current_dir(self.0.path());
        command.args(["mirror", "--config", "c.toml", "--template", "t.yaml"]);
        command.args(arguments).output().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.path().join("r.json")).unwrap()).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    /// Times and frames of a capture.
    fn capture(&self, name: &str) -> Vec<(u64, Vec<u8>)> {
        let mut reader = CaptureReader::new(fs::File::open(self.0.path().join(name)).unwrap());
        let mut frames = Vec::new();
        while reader.advance().unwrap() {
            frames.push((reader.timestamp_ns(), reader.frame().to_vec()));
        }
        frames
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn captures_are_merged_mirrored_and_counted() {
    let case = Case::new();
    case.put("1.pcap", capture_of([(5, segment(1)), (9, segment(3))]));
    case.put("2.pcap", capture_of([(7, segment(2))]));
    let output = case.run(&[
        "--read",
        "lan=1.pcap",
        "--read",
        "lan=2.pcap",
        "--write",
        "tool=out.pcap",
        "--write",
        "wan=wan.pcap",
        "--json",
        "r.json",
    ]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(output.stdout.is_empty());
    let copies = case.capture("out.pcap");
    let payloads: Vec<_> = copies.iter().map(|(time, copy)| (*time, copy[50 + 54])).collect();
    assert_eq!(payloads, [(5, 1), (7, 2), (9, 3)]);
    assert_eq!(copies[0].1[50..], segment(1));
    assert_eq!(copies[0].1[..12], [2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1]);
    assert_eq!(case.capture("wan.pcap").len(), 3);
    let report = case.json();
    assert_eq!(report["ports"]["lan"]["forwarded"], 3);
    assert_eq!(report["ports"]["tool"]["tx_packets"], 3);
    assert_eq!(report["sessions"][0]["mirrored_packets"], 3);
    assert_eq!(report["sessions"][0]["vni"], 7);
    assert_eq!(report["rules"][0]["hits"], 3);
    assert!(report.get("live").is_none());
    let ports: Vec<_> = report["ports"].as_object().unwrap().keys().collect();
    assert_eq!(ports, ["lan", "wan", "tool"]);
}

#[test]
fn without_json_the_report_is_printed() {
    let case = Case::new();
    case.put("1.pcap", capture_of([(5, segment(1))]));
    let output = case.run(&["--read", "lan=1.pcap"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn compressed_captures_are_read() {
    let case = Case::new();
    let capture = capture_of((0..100).map(|n| (n, segment(100))));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&capture).unwrap();
    case.put("1.gz", gzip.finish().unwrap());
    case.put("1.zst", zstd::encode_all(capture.as_slice(), 1).unwrap());
    let output = case.run(&[
        "--read",
        "lan=1.gz",
        "--read",
        "lan=1.zst",
        "--write",
        "tool=out",
        "--json",
        "r.json",
    ]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(case.capture("out").len(), 200);
}

#[test]
fn a_damaged_capture_is_processed_up_to_the_damage() {
    let case = Case::new();
    let mut cut = capture_of([(1, segment(1)), (2, segment(2))]);
    let second = cut.len() - 16 - segment(2).len();
    cut.truncate(cut.len() - 5);
    case.put("cut.pcap", cut);
    case.put("good.pcap", capture_of([(3, segment(3))]));
    case.put("empty.pcap", "");
    let output = case.run(&[
        "--read",
        "lan=cut.pcap",
        "--read",
        "lan=nowhere.pcap",
        "--read",
        "lan=good.pcap",
        "--read",
        "lan=empty.pcap",
        "--write",
        "tool=out.pcap",
        "--json",
        "r.json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines[0], format!("cut.pcap: at byte {second}: the file is cut in this record"));
    assert!(lines[1].starts_with("nowhere.pcap: at byte 0: the file can't be read on: No such"));
    assert_eq!(lines[2], "empty.pcap: at byte 0: the file is empty");
    assert_eq!(case.capture("out.pcap").len(), 2);
    assert_eq!(case.json()["sessions"][0]["mirrored_packets"], 2);
}

#[test]
fn a_write_without_copies_is_an_empty_capture() {
    let case = Case::new();
    let output = case.run(&["--write", "tool=out.pcap"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(case.capture("out.pcap"), []);
}

#[test]
fn wrong_arguments_write_nothing_and_are_all_told() {
    let case = Case::new();
    case.put("1.pcap", capture_of([(5, segment(1))]));
    fs::hard_link(case.0.path().join("1.pcap"), case.0.path().join("link.pcap")).unwrap();
    fs::create_dir(case.0.path().join("d")).unwrap();
    let output = case.run(&[
        "--read",
        "lon=1.pcap",
        "--write",
        "tol=a.pcap",
        "--write",
        "tool=link.pcap",
        "--write",
        "wan=d/../b.pcap",
        "--write",
        "wan=c.pcap",
        "--json",
        "b.json",
        "--write",
        "lan=b.json",
        "--write",
        "tool=c.toml",
        "--write",
        "x=./b.pcap",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    insta::assert_snapshot!(stderr(&output));
    for name in ["a.pcap", "b.pcap", "c.pcap", "b.json"] {
        assert!(!case.has(name), "{name} was written");
    }
    assert_eq!(fs::read_to_string(case.0.path().join("c.toml")).unwrap(), CONFIG);
}

#[test]
fn faulty_files_write_nothing() {
    let case = Case::new();
    case.put("t.yaml", with(TEMPLATE, "eni-tool", "eni-tol"));
    let output = case.run(&["--write", "tool=out.pcap", "--json", "r.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("T.NetworkInterfaceId"));
    assert!(!case.has("out.pcap") && !case.has("r.json"));
}

#[test]
fn an_output_that_cannot_be_written_is_a_fault_at_run_time() {
    let case = Case::new();
    let output = case.run(&["--write", "tool=nowhere/out.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("nowhere/out.pcap: it can't be written: No such file"));
    if Path::new("/dev/full").exists() {
        let frames = (0..20_000).map(|n| (n, segment(200)));
        case.put("1.pcap", capture_of(frames));
        let full = ["--read", "lan=1.pcap", "--write", "tool=/dev/full", "--json", "r.json"];
        let output = case.run(&full);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).starts_with("/dev/full: it can't be written: No space left"));
        assert_eq!(case.json()["sessions"][0]["mirrored_packets"], 20_000);
    }
}

#[test]
fn a_device_may_take_several_captures() {
    let case = Case::new();
    let output = case.run(&["--write", "tool=/dev/null", "--write", "wan=/dev/null"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn arguments_of_another_shape_are_refused() {
    let case = Case::new();
    for argument in ["lan", "=x", "lan="] {
        let output = case.run(&["--read", argument]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("it is not PORT=FILE"), "{}", stderr(&output));
    }
}
