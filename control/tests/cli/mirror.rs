//! The command `linetap mirror`: arguments, files, exit statuses and the report.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::common::{CONFIG, TEMPLATE, with};
use assert_cmd::cargo::cargo_bin;
use engine::sim::{CaptureReader, capture_of};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
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

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(cargo_bin("linetap"));
        command.current_dir(self.0.path());
        command.args(["mirror", "--config", "c.toml", "--template", "t.yaml"]);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Asserts that these files hold "earlier", and that only what was read is beside them.
    fn has_only_earlier(&self, names: &[&str]) {
        for name in names {
            let text = fs::read(self.0.path().join(name)).unwrap();
            assert_eq!(String::from_utf8_lossy(&text), "earlier", "{name}");
        }
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_known = ["c.toml", "t.yaml", "empty.pcap"].contains(&name.as_str());
            assert!(is_known || names.contains(&name.as_str()), "{name} was left");
        }
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
fn a_session_sends_what_its_tags_allow_by_the_times_of_the_capture() {
    let case = Case::new();
    let tagged = |tag: &str| {
        with(TEMPLATE, "SessionNumber: 1", &format!("SessionNumber: 1\n      Tags: [{tag}]"))
    };
    case.put("t.yaml", tagged("{Key: 'linetap:rate-limit', Value: '20pps'}"));
    // 100 a second for two seconds: two at once, and 20 a second.
    let times = (0..200).map(|at| at * 10_000_000);
    case.put("1.pcap", capture_of(times.map(|time| (time, segment(1)))));
    let run = || {
        let read = ["--read", "lan=1.pcap", "--write", "tool=out.pcap", "--json", "r.json"];
        assert_eq!(case.run(&read).status.code(), Some(0));
        let times: Vec<u64> = case.capture("out.pcap").iter().map(|(time, _)| *time).collect();
        let session = &case.json()["sessions"][0];
        let number = |value: &Value| value.as_u64().unwrap();
        let skipped = &session["skipped"];
        let counts =
            [&session["mirrored_packets"], &skipped["rate_limited"], &skipped["not_sampled"]];
        (times, counts.map(number))
    };
    let (times, counts) = run();
    assert_eq!(times[..4], [0, 10_000_000, 50_000_000, 100_000_000]);
    assert_eq!((times.len(), counts), (41, [41, 159, 0]));
    assert_eq!(run(), (times, [41, 159, 0]), "always the same");
    // It is one flow: all of it, or nothing.
    case.put("t.yaml", tagged("{Key: 'linetap:sample', Value: '1/16384'}"));
    assert_eq!(run().1, [0, 0, 200]);
    case.put("t.yaml", tagged("{Key: 'linetap:sample', Value: '1/1'}"));
    assert_eq!(run().1, [200, 0, 0]);
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

#[test]
fn a_capture_on_standard_output_is_all_that_is_there() {
    let case = Case::new();
    case.put("1.pcap", capture_of([(5, segment(1))]));
    for name in ["/dev/stdout", "/proc/self/fd/1", "out.pcap"] {
        let file = fs::File::create(case.0.path().join("out.pcap")).unwrap();
        let mut command = case.command(&["--read", "lan=1.pcap", "--write"]);
        let status = command.arg(format!("tool={name}")).stdout(file).status().unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(case.capture("out.pcap").len(), 1, "{name}");
    }
}

#[test]
fn a_run_that_reads_nothing_leaves_earlier_results() {
    let case = Case::new();
    case.put("keep.pcap", "earlier");
    case.put("keep.json", "earlier");
    case.put("empty.pcap", "");
    for read in ["lan=nowhere.pcap", "lan=empty.pcap"] {
        let write = ["--write", "tool=keep.pcap", "--json", "keep.json"];
        let output = case.run(&[&["--read", read], write.as_slice()].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("keep.pcap: it is left as it was"), "{}", stderr(&output));
        case.has_only_earlier(&["keep.pcap", "keep.json"]);
    }
}

#[test]
fn outputs_that_cannot_be_written_are_all_told_and_leave_the_others() {
    let case = Case::new();
    case.put("keep.pcap", "earlier");
    let output = case.run(&[
        "--read",
        "lan=nowhere.pcap",
        "--write",
        "tool=keep.pcap",
        "--write",
        "lan=new.pcap",
        "--write",
        "wan=no/out.pcap",
        "--json",
        "no/r.json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    for name in ["nowhere.pcap", "no/out.pcap", "no/r.json"] {
        assert!(errors.contains(&format!("{name}: ")), "{errors}");
    }
    case.has_only_earlier(&["keep.pcap"]);
}

#[test]
fn a_run_that_is_stopped_leaves_earlier_results() {
    let case = Case::new();
    case.put("keep.pcap", "earlier");
    let fifo = case.0.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = case.command(&["--read", "lan=fifo", "--write", "tool=keep.pcap"]);
    let mut run = command.spawn().unwrap();
    let mut feed = fs::File::options().write(true).open(&fifo).unwrap();
    feed.write_all(&capture_of([(5, segment(1))])).unwrap();
    // It reads first, then opens what it writes: give it time to do so.
    let names = || fs::read_dir(case.0.path()).unwrap().count();
    let before = names();
    for _ in 0..100 {
        if names() > before {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = Pid::from_raw(i32::try_from(run.id()).unwrap());
    nix::sys::signal::kill(id, Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
    fs::remove_file(&fifo).unwrap();
    case.has_only_earlier(&["keep.pcap"]);
}

#[test]
fn an_output_stays_what_it_was_beside_its_content() {
    let case = Case::new();
    let path = |name| case.0.path().join(name);
    case.put("file.pcap", "earlier");
    fs::set_permissions(path("file.pcap"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file.pcap", path("link.pcap")).unwrap();
    assert_eq!(case.run(&["--write", "tool=link.pcap"]).status.code(), Some(0));
    assert!(fs::symlink_metadata(path("link.pcap")).unwrap().is_symlink());
    assert_eq!(fs::metadata(path("file.pcap")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(case.capture("file.pcap"), []);
}

#[test]
fn faults_of_arguments_and_files_are_told_together() {
    let case = Case::new();
    case.put("t.yaml", with(TEMPLATE, "eni-tool", "eni-tol"));
    let arguments = "--read lan --read lon=1.pcap --write =out.pcap --write tool=out.pcap \
                     --parameter Vni --parameter =7";
    let output = case.run(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(2));
    assert!(!case.has("out.pcap"));
    insta::assert_snapshot!(stderr(&output));
}

#[test]
fn a_port_is_not_unknown_while_a_name_cannot_be_read() {
    let case = Case::new();
    case.put("c.toml", with(CONFIG, "name = \"lan\"", "nam = \"lan\""));
    let output = case.run(&["--read", "lan=1.pcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!stderr(&output).contains("--read"), "{}", stderr(&output));
}
