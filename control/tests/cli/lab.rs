//! `linetap replay` and `linetap capture` before anything is opened: arguments, and what is told of them.

use assert_cmd::Command;

fn linetap(line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::cargo_bin("linetap").unwrap();
    let output = command.args(line.split_whitespace()).write_stdin("").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Refused for exactly these faults, each given by a part of its line.
fn refused(line: &str, faults: &[&str]) {
    let (status, out, told) = linetap(line);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), faults.len(), "{told}");
    for (line, fault) in lines.iter().zip(faults) {
        assert!(line.contains(fault), "{fault:?} in:\n{told}");
    }
}

#[test]
fn all_faults_of_a_replay_are_told_at_once() {
    refused(
        "replay nowhere.pcap - - --port nowhere0 --split client=1 --pps 1x --top --layer l3 --loop 0 --duration 1d \
         --limit 1.5 --gap-max 0 --map 1=2 --map-port 1=a --vlan push=9999 --vlan-type 3 --increment x \
         --source-mac a --destination-mac 02:00:00:00:00:01,02:00:00:00:00:02 --json /nowhere/x --hgrm / \
         --driver foo --cores 1,1 --mtu 3",
        &[
            "--driver foo: write af_packet or af_xdp",
            "--mtu 3: write 68 to 64000",
            "--cores 1,1: write cores by number, each once",
            "--port nowhere0: there is no such interface here; name one of `ip link`",
            "-: standard input can be read once only",
            "nowhere.pcap: it can't be read: No such file or directory",
            "--loop 0: write forever, or a whole number",
            "--pps 1x: write a number above 0",
            "--layer l3: write l1 or l2",
            "--layer: it says what --bps counts",
            "--top contradicts --pps",
            "--duration 1d: write a time above 0",
            "--limit 1.5: write a whole number",
            "--gap-max 0: write a time above 0",
            "--split: there is one port only",
            "--split client=1: write client=10.0.0.0/8",
            "--source-mac a: write an address like",
            "--destination-mac: the second address is for --port2",
            "--map 1=2: write two networks",
            "--map-port 1=a: write two ports",
            "--increment x: write a network",
            "--vlan-type 3: write a number like 0x8100",
            "--vlan push=9999: write push=100, pop or set=100",
            "--json /nowhere/x: there is no directory /nowhere",
            "--hgrm /: it is a directory",
            "--hgrm: with --top no frame is due",
        ],
    );
    refused("replay /dev/null --port lo --port2 lo", &["is named twice", "--port2: whose frames"]);
}

#[test]
fn all_faults_of_a_capture_are_told_at_once() {
    refused(
        "capture --port nowhere0 -w /nowhere/x --snap-len 13 --buffer 1 --vni 16777216 --udp-port 0 --rotate-size 1k \
         --rotate-time 0 --files 0 --duration x --limit 0",
        &[
            "--port nowhere0: there is no such interface here",
            "--snap-len 13: write a whole number from 14",
            "--buffer 1: write bytes from 1M",
            "--rotate-size 1k: write bytes from 4096",
            "--rotate-time 0: write a time above 0",
            "--files 0: write a whole number",
            "--udp-port 0: write 1 to 65535",
            "--vni 16777216: write 0 to 16777215",
            "--vni: it is about --decap",
            "--udp-port: it is about --decap",
            "--duration x: write a time",
            "--limit 0: write a whole number",
            "-w /nowhere/x: there is no directory",
        ],
    );
    refused(
        "capture --port lo -w - --files 3 --json -",
        &["--files: there is one file only", "--json -: the capture goes to standard output"],
    );
}

#[test]
fn ports_are_those_of_the_appliance_file_where_one_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("appliance.toml");
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/link.toml"));
    std::fs::write(&file, example.unwrap()).unwrap();
    let line = format!("replay /dev/null --port lam --config {}", file.display());
    refused(
        &line,
        &[
            "--port lam: the appliance file has no such port; name lan, wan or tool; did you mean \"lan\"?",
        ],
    );
    std::fs::write(&file, "port = 3\n").unwrap();
    let (status, _, told) = linetap(&line);
    assert_eq!(status, Some(2));
    assert!(told.contains("appliance.toml:1: "), "{told}");
}

#[test]
fn help_names_every_option_and_completion_knows_the_commands() {
    for (command, options) in [
        (
            "replay",
            &["--speed", "--until-damage", "--split", "--increment", "--cores", "--hgrm"][..],
        ),
        ("capture", &["--decap", "--rotate-size", "--snap-len", "--buffer", "--config"]),
    ] {
        let (status, help, _) = linetap(&format!("{command} --help"));
        assert_eq!(status, Some(0));
        let (_, script, _) = linetap("completion bash");
        for option in options {
            assert!(help.contains(option) && script.contains(option), "{command} {option}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
