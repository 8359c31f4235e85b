//! The command `linetap check`: its exit statuses and what it prints.

use std::path::Path;

use assert_cmd::Command;

use crate::common;

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
fn a_load_balancer_is_summed_up_with_its_members_and_their_check() {
    let dir = tempfile::tempdir().unwrap();
    let members = "members = [{ address = \"192.0.2.11\" }, { address = \"2001:db8::11\" }]";
    let more = "members = [{ address = \"192.0.2.11\", weight = 3 }, { address = \"2001:db8::11\" }]\n\
                affinity = \"hosts\"\ninner = true\nsticky = true\nall_down = \"skip\"\n\
                health_check = { protocol = \"http\", port = 80, interval = 2.5, timeout = 0.5 }";
    std::fs::write(dir.path().join("c.toml"), common::with(common::CONFIG, members, more)).unwrap();
    let template =
        common::TEMPLATE.replace("NetworkInterfaceId: eni-tool", "NetworkLoadBalancerArn: arn:nlb");
    std::fs::write(dir.path().join("t.yaml"), template).unwrap();
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(dir.path());
    command.args(["check", "--config", "c.toml", "--template", "t.yaml"]);
    let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let want = "  target T: load balancer, by port tool, all flows of two hosts to one member, by the \
                packet inside of tunnels, sticky (65536 flows for each worker, 350 s), none while \
                all are down\n    \
                192.0.2.11 from 192.0.2.1, resolved, weight 3\n    \
                2001:db8::11 from 2001:db8::1, resolved\n    \
                checked every 2.5 s, with 0.5 s for an answer: HTTP port 80, GET /; down after 2 \
                failures, up after 5 successes\n";
    assert!(told.contains(want), "{told}");
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

/// What `check` warns of a template, on standard error.
fn warned(template: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), common::CONFIG).unwrap();
    std::fs::write(dir.path().join("t.yaml"), template).unwrap();
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(dir.path());
    command.args(["check", "--config", "c.toml", "--template", "t.yaml"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "warnings are no faults");
    let warnings = String::from_utf8(output.stderr).unwrap();
    let summary = String::from_utf8(output.stdout).unwrap();
    let count = match warnings.lines().count() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        more => format!(", {more} warnings"),
    };
    assert!(summary.starts_with(&format!("appliance tap-1: no faults{count}\n")), "{summary}");
    warnings
}

#[test]
fn rules_that_can_never_match_are_warned_of() {
    insta::assert_snapshot!(warned(include_str!("../fixtures/shadowed.yaml")));
}

#[test]
fn rules_that_leave_each_other_packets_are_not_warned_of() {
    let template = include_str!("../fixtures/shadowed.yaml");
    // A lower half that is not quite one; a port that nobody takes; another filter.
    let template = common::with(template, "10.0.0.0/9", "10.0.0.0/10");
    let template = common::with(&template, "FromPort: 101", "FromPort: 102");
    let template = common::with(&template, "FromPort: 67", "FromPort: 65");
    let template = common::with(&template, "FromPort: 66, ToPort: 66", "FromPort: 64, ToPort: 66");
    let template = common::with(&template, "FromPort: 66, ToPort: 67", "FromPort: 63, ToPort: 67");
    let again = "TrafficMirrorFilterId: !Ref F\n      SessionNumber: 2";
    let template = common::with(&template, again, &again.replace("!Ref F", "!Ref I"));
    assert_eq!(warned(&template), "");
}
