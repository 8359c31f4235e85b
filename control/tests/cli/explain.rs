//! The command `linetap explain`: what it prints and its exit statuses; and that what it says is what
//! `linetap mirror` counts, frame by frame.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use control::config::Mode;
use control::explain::{Explainer, Explanation, Outcome, Reason};
use control::load::{Sources, load};
use engine::drop_reason::{Skipped, Unmirrored};
use engine::sim::{CaptureReader, capture_of};
use engine::units::PortIndex;
use serde_json::{Value, json};
use traffic::compressed::open as open_capture;

use crate::common;

const CONTROL: &str = env!("CARGO_MANIFEST_DIR");

/// What a report counts, added up from explanations.
struct Counts {
    unmirrored: [u64; Unmirrored::COUNT],
    /// By session: mirrored packets and bytes, truncated ones.
    sessions: Vec<[u64; 3]>,
    skipped: Vec<[u64; Skipped::COUNT]>,
    hits: Vec<u64>,
}

impl Counts {
    fn add(&mut self, explanation: &Explanation) {
        if explanation.evaluations.is_empty() {
            self.unmirrored[Unmirrored::NoSource as usize] += 1;
        }
        for evaluation in &explanation.evaluations {
            let mut none = |reason: Unmirrored| self.unmirrored[reason as usize] += 1;
            let rule = match (&evaluation.outcome, &evaluation.reason) {
                (Outcome::Exempt, reason) => {
                    none(match reason {
                        Reason::Malformed(_) => Unmirrored::Malformed,
                        Reason::NotIp => Unmirrored::NotIp,
                        _ => Unmirrored::NeverMirrored,
                    });
                    continue;
                }
                (Outcome::NoMatch, _) => {
                    none(Unmirrored::NoMatch);
                    None
                }
                (Outcome::Rejected(rule), _) => {
                    none(Unmirrored::Rejected);
                    Some(*rule)
                }
                (Outcome::Mirrored(session, rule, copy), _) => {
                    let [packets, bytes, truncated] = &mut self.sessions[session.at()];
                    *packets += 1;
                    *bytes += copy.inner_len as u64;
                    *truncated += u64::from(copy.cut_by.is_some());
                    Some(*rule)
                }
                (Outcome::Skipped(session, rule, reason), _) => {
                    self.skipped[session.at()][*reason as usize] += 1;
                    Some(*rule)
                }
            };
            if let Reason::Rules(asked) = &evaluation.reason {
                let mut looks = asked.iter().flat_map(|asked| &asked.rules).rev();
                if let Some(rule) = rule {
                    // The last rule that was asked is the one that settles it.
                    assert_eq!(looks.next(), Some(&(rule, None)));
                    self.hits[rule.at()] += 1;
                }
                assert!(looks.all(|(_, mismatch)| mismatch.is_some()), "{evaluation:?}");
            }
        }
    }

    /// In the form of a report.
    fn to_json(&self) -> Value {
        let named = |names: Vec<&str>, counts: &[u64]| -> Value {
            names.into_iter().zip(counts).map(|(name, count)| (name, json!(count))).collect()
        };
        let unmirrored = Unmirrored::ALL.iter().map(|it| it.name()).collect();
        let reasons: Vec<&str> = Skipped::ALL.iter().map(|it| it.name()).collect();
        let sessions = self.sessions.iter().zip(&self.skipped).map(|(sent, skipped)| {
            json!([sent[0], sent[1], sent[2], named(reasons.clone(), skipped)])
        });
        json!([named(unmirrored, &self.unmirrored), sessions.collect::<Vec<Value>>(), self.hits])
    }
}

/// The same of a report.
fn of_report(report: &Value) -> Value {
    let sessions = report["sessions"].as_array().unwrap().iter().map(|session| {
        let keys = ["mirrored_packets", "mirrored_bytes", "truncated_packets", "skipped"];
        Value::Array(keys.map(|key| session[key].clone()).to_vec())
    });
    let hits = report["rules"].as_array().unwrap().iter().map(|rule| rule["hits"].clone());
    json!([report["unmirrored"], sessions.collect::<Vec<Value>>(), hits.collect::<Vec<Value>>()])
}

/// Explains every frame of captures and holds the sums against `linetap mirror`'s report.
fn assert_agrees(config: &Path, template: &Path, reads: &[(String, PathBuf)]) -> u64 {
    let sources = Sources {
        config: config.into(),
        template: template.into(),
        parameters: Vec::new(),
        mode: Mode::Offline,
    };
    let snapshot = load(&sources, 1).unwrap().snapshot;
    let mut counts = Counts {
        unmirrored: [0; Unmirrored::COUNT],
        sessions: vec![[0; 3]; snapshot.sessions.len()],
        skipped: vec![[0; Skipped::COUNT]; snapshot.sessions.len()],
        hits: vec![0; snapshot.rules.len()],
    };
    let port = |name: &str| {
        let at = snapshot.ports.iter().position(|port| port.name == name).unwrap();
        PortIndex(u16::try_from(at).unwrap())
    };
    let reads: Vec<_> = reads.iter().map(|(name, file)| (name, port(name), file)).collect();
    let mut explainer = Explainer::new(snapshot).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut mirror = std::process::Command::new(cargo_bin("linetap"));
    mirror.args(["mirror", "--config"]).arg(config).arg("--template").arg(template);
    let mut frames = 0;
    for (name, port, file) in reads {
        mirror.arg("--read").arg(format!("{name}={}", file.display()));
        let mut reader = CaptureReader::new(open_capture(file).unwrap());
        while matches!(reader.advance(), Ok(true)) {
            counts.add(&explainer.frame(String::new(), port, reader.frame()));
            frames += 1;
        }
    }
    let report = out.path().join("report.json");
    mirror.arg("--json").arg(&report).output().unwrap();
    let report: Value = serde_json::from_reader(File::open(&report).unwrap()).unwrap();
    assert_eq!(
        counts.to_json(),
        of_report(&report),
        "{} {reads:?}",
        template.display(),
        reads = out
    );
    frames
}

/// Golden cases with an appliance file: their directories and what they read.
fn golden() -> Vec<(PathBuf, Vec<(String, PathBuf)>)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(Path::new(CONTROL).join("../tests/golden")).unwrap() {
        let case = entry.unwrap().path();
        let Ok(text) = fs::read(case.join("case.json")) else { continue };
        let wanted: Value = serde_json::from_slice(&text).unwrap();
        let reads = wanted["read"].as_array().unwrap().iter().map(|read| {
            let (port, name) = read.as_str().unwrap().split_once('=').unwrap();
            (port.to_owned(), case.join("in").join(name))
        });
        let reads = reads.collect();
        cases.push((case, reads));
    }
    cases.sort();
    cases
}

#[test]
fn of_several_members_it_is_told_which_one_gets_the_copy_and_by_what() {
    let dir = tempfile::tempdir().unwrap();
    let config = common::with(common::CONFIG, "\"192.0.2.11\" }", "\"192.0.2.11\", weight = 3 }");
    let config = format!("{config}affinity = \"hosts\"\n");
    let target = ("NetworkInterfaceId: eni-tool", "NetworkLoadBalancerArn: arn:nlb");
    fs::write(dir.path().join("c.toml"), config).unwrap();
    fs::write(dir.path().join("t.yaml"), common::with(common::TEMPLATE, target.0, target.1))
        .unwrap();
    let told = {
        let mut command = Command::cargo_bin("linetap").unwrap();
        command.current_dir(dir.path());
        command.args(["explain", "--config", "c.toml", "--template", "t.yaml"]);
        command.args(["--interface", "eni-a", "--direction", "egress", "--packet"]);
        let output = command.arg("tcp 10.0.0.1:1234 > 192.0.2.2:443").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = [
        "192.0.2.11 of 2, by the two addresses; its weight is 3 of 4",
        "2001:db8::11 of 2, by the two addresses; its weight is 1 of 4",
    ];
    let is_told = lines.iter().any(|line| told.contains(&format!("member {line}")));
    assert!(is_told, "{told}");
}

#[test]
fn every_frame_of_the_golden_captures_is_explained_as_it_is_mirrored() {
    let mut frames = 0;
    for (case, reads) in golden() {
        let (config, template) = (case.join("appliance.toml"), case.join("template.json"));
        frames += assert_agrees(&config, &template, &reads);
    }
    assert!(frames > 500, "{frames} frames");
}

/// Captures that are not part of this repository: `LINETAP_SHARED` names the directory that has them
/// in `captures/`. Without it the test says so and passes.
#[test]
fn every_frame_of_other_peoples_captures_is_explained_as_it_is_mirrored() {
    let beside = || Path::new(CONTROL).join("../../shared");
    let shared = std::env::var_os("LINETAP_SHARED").map_or_else(beside, PathBuf::from);
    let Ok(captures) = fs::read_dir(shared.join("captures")) else {
        eprintln!("absent, so not read: {}/captures", shared.display());
        return;
    };
    let mut readable: Vec<PathBuf> = captures.map(|entry| entry.unwrap().path()).collect();
    readable.retain(|path| {
        let is_read = |file| matches!(CaptureReader::new(file).advance(), Ok(true));
        path.is_file() && open_capture(path).is_ok_and(is_read)
    });
    let examples = Path::new(CONTROL).join("examples");
    let mut setups = vec![(examples.join("link.toml"), examples.join("link.yaml"), vec!["lan"; 1])];
    let of_golden = ["sessions-fall-through", "vlan-keep", "exempt-aws", "fragments-v4", "ports"];
    let golden = golden();
    for (case, reads) in
        golden.iter().filter(|(case, _)| of_golden.iter().any(|it| case.ends_with(it)))
    {
        let mut ports: Vec<&str> = reads.iter().map(|(port, _)| port.as_str()).collect();
        ports.dedup();
        setups.push((case.join("appliance.toml"), case.join("template.json"), ports));
    }
    assert_eq!(setups.len(), 1 + of_golden.len());
    for (config, template, ports) in setups {
        let reads = ports.into_iter().flat_map(|port| {
            readable.iter().map(move |capture| (port.to_owned(), capture.clone()))
        });
        let frames = assert_agrees(&config, &template, &reads.collect::<Vec<_>>());
        assert!(frames > 1000, "{frames} frames");
    }
}

/// A TCP segment from 10.0.0.1:12345 to 192.0.2.99:443, tagged with VLAN 7.
fn segment() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 99]);
    frame.extend([0x30, 0x39, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    frame
}

/// Runs the command with the common pair of files and a capture: a TCP segment, ARP, a cut frame and
/// half a record.
fn explain(template: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    let arp = [&segment()[..12], &[8, 6, 0, 1]].concat();
    let mut capture = capture_of([(1, segment()), (2, arp), (3, segment()[..30].to_vec())]);
    put("sound.pcap", &capture);
    capture.extend([0; 9]);
    put("damaged.pcap", &capture);
    put("c.toml", common::CONFIG.as_bytes());
    put("t.yaml", template.as_bytes());
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(dir.path());
    command.args(["explain", "--config", "c.toml", "--template", "t.yaml"]);
    command.args(arguments).output().unwrap()
}

/// Both streams and the exit status.
fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let status = output.status.code().unwrap();
    format!("{}{}exit status {status}\n", text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_packet_is_explained_for_each_interface_and_direction() {
    let packet = "tcp 10.0.0.1:12345 > 192.0.2.99:443 length 2000";
    insta::assert_snapshot!(told(&explain(common::TEMPLATE, &["--packet", packet])));
}

#[test]
fn frames_of_a_capture_are_explained() {
    let read = ["--read", "lan=sound.pcap", "--frame", "3", "--frame", "1", "--frame", "2"];
    insta::assert_snapshot!(told(&explain(common::TEMPLATE, &read)));
}

#[test]
fn a_copy_on_a_trunk_is_read_behind_its_tag() {
    let dir = tempfile::tempdir().unwrap();
    let config = common::with(common::CONFIG, "name = \"tool\"", "name = \"tool\"\nvlan = 100");
    fs::write(dir.path().join("c.toml"), config).unwrap();
    fs::write(dir.path().join("t.yaml"), common::TEMPLATE).unwrap();
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(dir.path()).args(["explain", "--config", "c.toml", "--template", "t.yaml"]);
    let packet = "tcp 10.0.0.1:12345 > 192.0.2.99:443 length 2000";
    let output = command.args(["--packet", packet, "--direction", "egress"]).output().unwrap();
    let text = told(&output);
    assert!(text.contains("by port tool in VLAN 100 to a neighbour"), "{text}");
    assert!(text.contains("> 192.0.2.10:4789, VXLAN with VNI 7\n"), "{text}");
    assert!(text.contains("1464 bytes of the frame: truncated from 2000"), "{text}");
}

#[test]
fn an_explanation_is_a_document_too() {
    let only = ["--interface", "eni-a", "--direction", "egress", "--json"];
    let packets = [
        "--packet",
        "udp 10.0.0.1 > 192.0.2.99 fragment",
        "--packet",
        "tcp 10.0.0.1:1 > 192.0.2.99:100",
    ];
    let output = explain(common::TEMPLATE, &[packets.as_slice(), &only].concat());
    insta::assert_snapshot!(told(&output));
}

#[test]
fn who_lacks_what_is_told_of_a_frame_that_is_nobodys() {
    let mut command = Command::cargo_bin("linetap").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("span.pcap"), capture_of([(1, segment())])).unwrap();
    for name in ["span.toml", "span.json"] {
        fs::copy(Path::new(CONTROL).join("examples").join(name), dir.path().join(name)).unwrap();
    }
    command.current_dir(dir.path()).args(["explain", "--config", "span.toml", "--template"]);
    let output = command.args(["span.json", "--read", "span.pcap", "--frame", "1"]).output();
    insta::assert_snapshot!(told(&output.unwrap()));
}

#[test]
fn of_a_long_list_of_rules_the_middle_is_left_out() {
    let mut template = common::TEMPLATE.to_owned();
    for number in 11..=19 {
        let rule = format!(
            "  R{number}:\n    Type: AWS::EC2::TrafficMirrorFilterRule\n    Properties:\n      \
             {{TrafficMirrorFilterId: !Ref F, TrafficDirection: egress, RuleNumber: {number}, \
             RuleAction: reject, SourceCidrBlock: 10.0.0.{number}/32, DestinationCidrBlock: 0.0.0.0/0}}\n"
        );
        template.push_str(&rule);
    }
    let template = common::with(&template, "RuleNumber: 10\n", "RuleNumber: 20\n");
    let config = format!("{}[quotas]\nrules_per_filter = 100\n", common::CONFIG);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.toml"), config).unwrap();
    fs::write(dir.path().join("t.yaml"), template).unwrap();
    let mut command = Command::cargo_bin("linetap").unwrap();
    command.current_dir(dir.path()).args(["explain", "--config", "c.toml", "--template", "t.yaml"]);
    command.args(["--interface", "eni-a", "--direction", "egress", "--packet"]);
    let output = command.arg("tcp 10.0.0.1:12345 > 192.0.2.99:443").output().unwrap();
    insta::assert_snapshot!(told(&output));
}

#[test]
fn wrong_questions_are_refused_with_a_remedy() {
    let questions: [&[&str]; 9] = [
        &[],
        &["--packet", "tcp 10.0.0.1:1 > 10.0.0.2"],
        &["--packet", "udp 10.0.0.1:1 > 10.0.0.2:2", "--interface", "eni-c"],
        &["--packet", "udp 10.0.0.1:1 > 10.0.0.2:2", "--read", "lan=sound.pcap", "--frame", "1"],
        &["--read", "sound.pcap", "--frame", "1"],
        &["--read", "lon=sound.pcap", "--frame", "0"],
        &["--read", "lan=", "--frame", "1"],
        &["--read", "lan=sound.pcap", "--direction", "egress"],
        &["--packet", "udp 10.0.0.1:1 > 10.0.0.2:2", "--frame", "1"],
    ];
    let tell = |question: &&[&str]| {
        let output = explain(common::TEMPLATE, question);
        assert_eq!(output.status.code(), Some(2), "{question:?}");
        assert!(output.stdout.is_empty());
        format!("{}\n{}", question.join(" "), String::from_utf8(output.stderr).unwrap())
    };
    let told: Vec<String> = questions.iter().map(tell).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_frame_that_can_not_be_read_is_a_fault_at_run_time() {
    for (read, frame, message) in [
        ("lan=sound.pcap", "4", "sound.pcap: there is no frame 4; it has 3"),
        ("lan=damaged.pcap", "4", "damaged.pcap: at byte "),
        ("lan=nowhere.pcap", "1", "nowhere.pcap: it can't be read: No such file"),
    ] {
        let output = explain(common::TEMPLATE, &["--read", read, "--frame", frame]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), [].as_slice()));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.starts_with(message), "{errors}");
    }
    // What precedes the damage is explained.
    let output = explain(common::TEMPLATE, &["--read", "lan=damaged.pcap", "--frame", "3"]);
    assert_eq!(output.status.code(), Some(0));
}
