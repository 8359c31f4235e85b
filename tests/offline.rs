//! `linetap mirror` on capture files: byte for byte what is committed, and what an independent
//! reading of the contract in Python (`oracle/`) and tshark say it must be.
//!
//! A golden case is a directory of `golden/` with an appliance file, a template, captures in `in/`
//! and what must come of them in `out/`. `golden/generate.py` makes the inputs;
//! `LINETAP_BLESS=1 cargo test -p tests --test offline` makes the outputs, if the oracle agrees.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const TESTS: &str = env!("CARGO_MANIFEST_DIR");

/// The binary under test: that of the directory `LINETAP_BIN`, else built now, beside this test.
fn linetap() -> PathBuf {
    if let Some(directory) = std::env::var_os("LINETAP_BIN") {
        return Path::new(&directory).join("linetap");
    }
    // <target>/<profile>/deps/offline-…
    let test = std::env::current_exe().unwrap();
    let [_, _, profile, target] = test.ancestors().take(4).collect::<Vec<_>>()[..] else {
        panic!("{} is in no target directory", test.display());
    };
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut build = Command::new(env!("CARGO"));
    // Of the workspace, so that what was built along with all else is taken as it is.
    build.args(["build", "--quiet", "--workspace", "--bin", "linetap", "--profile", name]);
    succeed(build.arg("--target-dir").arg(target).current_dir(TESTS));
    profile.join("linetap")
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; try scripts/setup --test"))
}

fn succeed(command: &mut Command) {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The oracle, run on something.
fn oracle(what: &str, linetap: &Path, directories: &[PathBuf]) {
    let mut python = Command::new("python3");
    python.args(["-B", "-m", "oracle", what]).arg(linetap).args(directories);
    succeed(python.current_dir(TESTS));
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(TESTS).join("golden")).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("case.json").exists());
    cases.sort();
    assert!(cases.len() > 30);
    cases
}

/// Runs a case as its `case.json` says; what is written goes to `out`.
fn mirror(linetap: &Path, case: &Path, out: &Path) {
    let wanted: Value = serde_json::from_slice(&fs::read(case.join("case.json")).unwrap()).unwrap();
    let strings = |key: &str| {
        let list = wanted[key].as_array().unwrap().iter();
        list.map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut command = Command::new(linetap);
    command.args(["mirror", "--config", "appliance.toml", "--template", "template.json"]);
    for read in strings("read") {
        let (port, name) = read.split_once('=').unwrap();
        command.arg("--read").arg(format!("{port}=in/{name}"));
    }
    for port in strings("write") {
        command.arg("--write").arg(format!("{port}={}/{port}.pcap", out.display()));
    }
    command.arg("--json").arg(out.join("report.json"));
    run(command.current_dir(case));
}

/// The files of a directory, by name.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn golden_captures_come_out_byte_for_byte() {
    let (linetap, cases) = (linetap(), cases());
    let bless = std::env::var_os("LINETAP_BLESS").is_some();
    if bless {
        oracle("golden", &linetap, &cases);
    }
    let mut differing = Vec::new();
    for case in cases {
        let scratch = tempfile::tempdir().unwrap();
        mirror(&linetap, &case, scratch.path());
        let (got, expected) = (contents(scratch.path()), case.join("out"));
        if got == contents(&expected) {
            continue;
        }
        if !bless {
            differing.push(case);
            continue;
        }
        let _ = fs::remove_dir_all(&expected);
        fs::create_dir(&expected).unwrap();
        for (name, bytes) in got {
            fs::write(expected.join(name), bytes).unwrap();
        }
    }
    assert!(differing.is_empty(), "come out otherwise: {differing:#?}");
}

#[test]
fn golden_inputs_are_what_their_generator_makes() {
    let mut generate = Command::new("python3");
    succeed(generate.args(["-B", "golden/generate.py", "--check"]).current_dir(TESTS));
}

#[test]
fn an_independent_reading_agrees_on_the_golden_captures() {
    oracle("golden", &linetap(), &cases());
}

#[test]
fn an_independent_reading_agrees_on_frames_that_nobody_would_send() {
    oracle("mutants", &linetap(), &cases());
}

/// Captures that are not part of this repository: `LINETAP_SHARED` names the directory that has
/// them in `captures/`. Without it the test says so and passes.
#[test]
fn an_independent_reading_agrees_on_other_peoples_captures() {
    let shared = std::env::var_os("LINETAP_SHARED")
        .map_or_else(|| Path::new(TESTS).join("../../shared"), PathBuf::from);
    let captures = shared.join("captures");
    if captures.is_dir() {
        oracle("captures", &linetap(), &[captures]);
    } else {
        eprintln!("absent, so not read: {}", captures.display());
    }
}
