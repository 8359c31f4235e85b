//! Other people's captures, and other people's programs for them.
//!
//! The captures are not part of this repository. `LINETAP_SHARED` names the directory that has them in
//! `captures/`, with a table `packets.tsv` of what they hold; without it, and without the programs, these
//! tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::Command;

use engine::sim::{CaptureReader, capture_of};

use super::tests::plan;
use super::*;
use crate::layers::ARP;
use crate::replay::{Reading, Rewrites, Split};

/// One line of `packets.tsv`.
struct Listed {
    path: PathBuf,
    packets: u64,
    longest: usize,
    link_types: Vec<String>,
    is_damaged: bool,
}

fn listed() -> Vec<Listed> {
    let shared = std::env::var_os("LINETAP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let captures = shared.join("captures");
    let Ok(table) = std::fs::read_to_string(captures.join("packets.tsv")) else {
        eprintln!("absent, so not played: {}", captures.display());
        return vec![];
    };
    let lines = table.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        Listed {
            path: captures.join(fields[0]),
            packets: fields[2].parse().unwrap(),
            longest: fields[3].parse().unwrap(),
            link_types: fields[4].split(',').map(str::to_owned).collect(),
            is_damaged: !fields[7].is_empty(),
        }
    });
    lines.collect()
}

/// Runs a program; `None` where it is not installed.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("left out: {program}: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn lax() -> Reading {
    Reading { leave_out: true, until_damage: true, ..Reading::default() }
}

/// What is played, by side.
fn played(plan: &ReplayPlan) -> Vec<(usize, Vec<u8>)> {
    let mut player = Player::open(plan).unwrap();
    let mut frames = Vec::new();
    while player.advance() {
        frames.push((player.frame().side, player.frame().bytes.to_vec()));
    }
    frames
}

#[test]
fn every_capture_is_played_whole_or_refused_with_its_reason() {
    let mut played_frames = 0;
    for Listed { path, packets, longest, link_types, is_damaged } in listed() {
        let cut = ReplayPlan { gap_max_ns: Some(1), ..plan(&[&path]) };
        let foreign: Vec<_> = link_types.iter().filter(|&kind| kind != "1").collect();
        let strict = Player::open(&cut);
        if let Some(kind) = foreign.first() {
            let told = strict.unwrap_err().join("\n");
            assert!(told.contains(&format!("link type {kind} ")) || foreign.len() > 1, "{told}");
            continue;
        }
        let reading = lax();
        let mut player = match Player::open(&ReplayPlan { reading, ..cut }) {
            Ok(player) => player,
            Err(told) => {
                assert!(is_damaged || packets == 0, "{told:?}");
                continue;
            }
        };
        let totals = player.totals().cloned().unwrap();
        assert_eq!(strict.is_err(), is_damaged || totals.left_out > 0, "{}", path.display());
        assert_eq!(totals.frames + totals.left_out, packets, "{}", path.display());
        assert!(totals.longest <= longest, "{}", path.display());
        let (mut frames, mut bytes) = (0, 0);
        while player.advance() {
            frames += 1;
            bytes += player.frame().bytes.len() as u64;
        }
        assert_eq!((frames, bytes), (totals.frames, totals.bytes), "{}", path.display());
        assert_eq!(player.faults().is_empty(), !is_damaged, "{}", path.display());
        played_frames += frames;
    }
    assert!(listed().is_empty() || played_frames > 40_000);
}

/// Captures with every kind of packet, cut to so many frames each.
fn samples(frames_each: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for Listed { path, link_types, .. } in listed() {
        if link_types == ["1"] {
            let sample = ReplayPlan {
                gap_max_ns: Some(1),
                limit: Some(frames_each),
                reading: lax(),
                ..plan(&[&path])
            };
            frames.extend(
                Player::open(&sample).is_ok().then(|| played(&sample)).into_iter().flatten(),
            );
        }
    }
    // tshark puts fragments and segments together; it can do so for what is 64 KiB long.
    frames.into_iter().map(|(_, frame)| frame).filter(|frame| frame.len() < 65_000).collect()
}

fn write(file: &Path, frames: &[Vec<u8>]) {
    let numbered = (0..).zip(frames).map(|(n, frame)| (n, frame.as_slice()));
    std::fs::write(file, capture_of(numbered)).unwrap();
}

/// Addresses everywhere, and ports that no dissector knows.
fn everything() -> Rewrites {
    let net = |text: &str| text.parse().unwrap();
    Rewrites {
        addresses: vec![
            (net("0.0.0.0/1"), net("128.0.0.0/1")),
            (net("128.0.0.0/2"), net("64.0.0.0/2")),
            (net("2000::/3"), net("4000::/3")),
            (net("fe80::/16"), net("fe90::/16")),
        ],
        ports: vec![(80, 8080), (443, 8443), (53, 5353)],
        ..Rewrites::default()
    }
}

#[test]
fn checksums_are_right_and_wrong_as_they_were_says_wireshark() {
    let frames = samples(60);
    if frames.is_empty() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| files.path().join(name));
    write(&before, &frames);
    let rewrites = everything();
    let rewritten = played(&ReplayPlan { rewrites, ..plan(&[&before]) });
    let rewritten: Vec<_> = rewritten.into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(frames.len(), rewritten.len());
    assert!(frames.iter().zip(&rewritten).filter(|(one, other)| one != other).count() > 1000);
    write(&after, &rewritten);
    let states = |file: &Path| {
        let mut args = vec!["-n", "-r", file.to_str().unwrap(), "-T", "fields"];
        for on in ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"] {
            args.extend(["-o", on]);
        }
        // What ports and addresses lead to is another protocol behind them.
        for off in
            ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE"]
        {
            args.extend(["-o", off]);
        }
        for field in [
            "frame.number",
            "ip.checksum.status",
            "tcp.checksum.status",
            "udp.checksum.status",
            "icmp.checksum.status",
            "icmpv6.checksum.status",
        ] {
            args.extend(["-e", field]);
        }
        run("tshark", &args)
    };
    let (Some(before), Some(after)) = (states(&before), states(&after)) else {
        return;
    };
    let differ: Vec<_> =
        before.lines().zip(after.lines()).filter(|(one, other)| one != other).collect();
    assert!(differ.is_empty(), "{differ:?}");
    let good = before
        .lines()
        .filter(|line| line.split('\t').skip(1).any(|field| field.contains('1')))
        .count();
    assert!(good > 1000, "{good}");
}

/// TCP, UDP and echoes, whole and in one piece; and ARP.
fn is_plain(frame: &[u8]) -> bool {
    let layers = Layers::of(frame);
    let Some(headers) = layers.ip else {
        return layers.ether_type == ARP;
    };
    let upper = &frame[layers.packet_at + headers.upper_at..];
    let is_known = match headers.protocol {
        Some(6 | 17) => headers.ports.is_some(),
        Some(1) => [0, 8].contains(&upper[0]),
        _ => false,
    };
    // Behind extension headers it finds addresses, and no ports.
    is_known && headers.fragment.is_none() && !is_extended(&frame[layers.packet_at..])
}

fn is_extended(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6 && ![6, 17].contains(&packet[6])
}

#[test]
fn tcprewrite_does_the_same() {
    let frames: Vec<_> = samples(30).into_iter().filter(|frame| is_plain(frame)).collect();
    if frames.is_empty() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let [raw, before, after] = ["raw", "before", "after"].map(|name| files.path().join(name));
    write(&raw, &frames);
    // It makes lengths and checksums right whatever it changes: so they are to be right before.
    let args = ["--fixcsum", "-i", raw.to_str().unwrap(), "-o", before.to_str().unwrap()];
    if run("tcprewrite", &args).is_none() {
        return;
    }
    let frames: Vec<_> = played(&plan(&[&before])).into_iter().map(|(_, frame)| frame).collect();
    let args = [
        "--pnat=10.0.0.0/8:172.0.0.0/8,192.168.0.0/16:198.18.0.0/16",
        "--portmap=80:8080",
        "-i",
        before.to_str().unwrap(),
        "-o",
        after.to_str().unwrap(),
    ];
    if run("tcprewrite", &args).is_none() {
        return;
    }
    let net = |text: &str| text.parse().unwrap();
    let rewrites = Rewrites {
        addresses: vec![
            (net("10.0.0.0/8"), net("172.0.0.0/8")),
            (net("192.168.0.0/16"), net("198.18.0.0/16")),
        ],
        ports: vec![(80, 8080)],
        ..Rewrites::default()
    };
    let ours = played(&ReplayPlan { rewrites, ..plan(&[&before]) });
    let mut theirs = CaptureReader::new(std::fs::File::open(&after).unwrap());
    for (number, (_, ours)) in ours.iter().enumerate() {
        assert!(theirs.advance().unwrap());
        assert_eq!(theirs.frame(), ours, "{number}: {:02x?}", frames[number]);
    }
    assert!(
        ours.len() > 400
            && ours.iter().zip(&frames).filter(|(one, other)| &one.1 != *other).count() > 100
    );
}

#[test]
fn a_file_of_tcpprep_splits_as_tcpreplay_would() {
    let frames = samples(30);
    if frames.is_empty() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let [capture, cache] = ["capture", "cache"].map(|name| files.path().join(name));
    write(&capture, &frames);
    let (input, output) = (capture.to_str().unwrap(), cache.to_str().unwrap());
    // Frame 7 is left out; what comes from these addresses is a server's.
    let args = [
        "-c",
        "10.0.0.0/8,192.168.0.0/16",
        "-X",
        "P:7,9-11",
        "-C",
        "a comment",
        "-i",
        input,
        "-o",
        output,
    ];
    let Some(_) = run("tcpprep", &args) else {
        return;
    };
    let split = Some(Split { port: 1, by: SplitBy::Cache(cache) });
    let sides: Vec<_> = played(&ReplayPlan { split, ..plan(&[&capture]) });
    let by = SplitBy::ClientAddresses(vec![
        "10.0.0.0/8".parse().unwrap(),
        "192.168.0.0/16".parse().unwrap(),
    ]);
    let expected = played(&ReplayPlan { split: Some(Split { port: 1, by }), ..plan(&[&capture]) });
    assert_eq!(sides.len(), expected.len() - 4);
    let kept = expected.iter().zip(1..).filter(|(_, number)| ![7, 9, 10, 11].contains(number));
    for (ours, (expected, number)) in sides.iter().zip(kept) {
        assert_eq!(ours.1, expected.1, "{number}");
        // What is not IP goes to the server where tcpprep has its way, and else to the client.
        let is_ip = Layers::of(&ours.1).ip.is_some();
        assert!(ours.0 == expected.0 || !is_ip, "{number}");
    }
}
