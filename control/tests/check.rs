//! The command `linetap check`: its exit statuses and what it prints.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;

use assert_cmd::Command;

fn check(dir: &str, config: &str, template: &str) -> Command {
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir));
    command.args(["check", "--config", config, "--template", template]);
    command
}

#[test]
fn the_examples_are_sound() {
    for (config, template) in [("link.toml", "link.yaml"), ("span.toml", "span.json")] {
        check("examples", config, template).assert().success();
        check("examples", config, template).arg("--offline").assert().success();
    }
}

#[test]
fn every_fault_of_both_files_is_told() {
    let output = check("tests/fixtures", "faults.toml", "faults.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap());
}

#[test]
fn a_sound_pair_is_summed_up() {
    let output = check("examples", "link.toml", "link.yaml").output().unwrap();
    assert!(output.stderr.is_empty());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn files_that_are_not_there_are_faults_too() {
    let output = check("examples", "nowhere.toml", "nowhere.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("nowhere.toml: it can't be read: No such file"), "{text}");
}

#[test]
fn arguments_that_are_none_are_refused() {
    let unknown = Command::cargo_bin("linetap").unwrap().arg("chek").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    let parameter =
        check("examples", "link.toml", "link.yaml").args(["--parameter", "x"]).output().unwrap();
    assert_eq!(parameter.status.code(), Some(2));
}
