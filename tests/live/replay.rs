//! Every capture that an Ethernet port can send, put on a wire: what arrives is what the file holds.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pcap_file::pcap::PcapReader;
use serde_json::{Value, json};

use crate::lab::{Lab, binary};
use crate::process::{Background, run, wait_for};

/// Frames that a receiver's kernel has put together are longer than any wire's.
const MTU: usize = 40_000;
/// What the kernel sends at most; one tag more would pass too.
const FRAME_LEN_MAX: usize = MTU + 14;
/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A `linetap-traffic` in the lab.
struct Traffic {
    process: Child,
    stream: BufReader<UnixStream>,
}

impl Traffic {
    /// With one port, on the interface that the client is at.
    fn start(lab: &Lab, device: &str) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = lab.exec("appliance", binary("linetap-traffic").to_str().unwrap());
        let process = command.stdin(OwnedFd::from(far)).spawn().unwrap();
        let mut traffic = Self { process, stream: BufReader::new(near) };
        let port = json!({ "name": "lan", "device": device, "mtu": MTU, "mac": null });
        let setup = json!({ "ports": [port], "cores": [1], "memory": "Auto", "frames": 4096 });
        let opened = traffic.ask(&json!({ "Open": setup }));
        assert!(opened.get("Opened").is_some(), "{opened}");
        traffic
    }

    /// The answer, which is no progress.
    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.stream.get_mut(), "{request}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "linetap-traffic has ended");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event.get("ReplayProgress").is_none() {
                return event;
            }
        }
    }

    /// What becomes of sending a capture evenly, not too fast for who listens; frames that the wire does not carry are
    /// left out.
    fn replay(&mut self, file: &Path, loops: u64) -> Value {
        let reading = json!({
            "until_damage": false, "leave_out": true, "frame_len_max": FRAME_LEN_MAX, "skip_scan": false
        });
        let rewrites = json!({
            "source_mac": [null, null], "destination_mac": [null, null], "addresses": [], "ports": [], "vlan": null,
            "increments": []
        });
        self.ask(&json!({ "Replay": {
            "files": [file], "joining": "Merged", "timing": { "Packets": { "per_second": 50_000.0 } }, "loops": loops,
            "duration_ns": null, "limit": null, "gap_max_ns": null, "port": 0, "split": null, "rewrites": rewrites,
            "reading": reading
        } }))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // Without requests it ends by itself.
        let _ = self.stream.get_mut().shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The frames of a capture as Wireshark's editcap reads it.
fn frames_of(capture: &Path, work: &Path) -> Vec<Vec<u8>> {
    let plain = work.join("plain.pcap");
    run(Command::new("editcap").args(["-F", "pcap"]).arg(capture).arg(&plain));
    read(&plain)
}

fn read(plain: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(BufReader::new(std::fs::File::open(plain).unwrap())).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_raw_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}

/// All captures at hand.
fn captures() -> Vec<PathBuf> {
    let shared =
        std::env::var_os("LINETAP_SHARED").map_or_else(|| "../shared".into(), PathBuf::from);
    let Ok(files) = std::fs::read_dir(shared.join("captures")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng")
    });
    files.sort();
    files
}

#[test]
fn what_arrives_of_a_replay_is_what_the_file_holds() {
    let captures = captures();
    if captures.is_empty() {
        eprintln!("left out: there are no captures; see LINETAP_SHARED");
        return;
    }
    let Some(lab) = Lab::raise(&[]) else { return };
    for (namespace, device) in [("client", "wire0"), ("appliance", "lan0")] {
        lab.sh(namespace, &format!("ip link set {device} mtu {MTU}"));
    }
    let arrived = lab.file("arrived.pcap");
    let mut tcpdump = lab.exec("client", "tcpdump");
    tcpdump.args(["-Z", "root", "-Q", "in", "-i", "wire0", "-s", "0", "-B", "262144"]);
    tcpdump.args(["--immediate-mode", "-U", "-w"]);
    let mut tcpdump = Background::start(tcpdump.arg(&arrived), &lab.file("tcpdump.log"));
    tcpdump.wait_for_log("listening on");

    let mut traffic = Traffic::start(&lab, "net_af_packet0,iface=lan0");
    let (mut expected, mut refused) = (Vec::new(), Vec::new());
    for capture in &captures {
        // Some from memory, some read while they are sent.
        let loops = 1 + expected.len() as u64 % 2;
        let answer = traffic.replay(capture, loops);
        let Some(report) = answer.get("Replayed") else {
            refused.push((capture, answer.to_string()));
            continue;
        };
        let mut frames = frames_of(capture, arrived.parent().unwrap());
        frames.retain(|frame| (14..=FRAME_LEN_MAX).contains(&frame.len()));
        let sent = frames.len() as u64 * loops;
        assert_eq!(report["packets"], sent, "{}: {report}", capture.display());
        assert_eq!((&report["loops"], &report["failed"]), (&json!(loops), &json!([])), "{report}");
        for _ in 0..loops {
            expected.extend(frames.iter().map(|frame| (capture.clone(), frame.clone())));
        }
    }
    let len = 24 + expected.iter().map(|(_, frame)| frame.len() as u64 + 16).sum::<u64>();
    let soon = Instant::now() + Duration::from_secs(10);
    wait_for("all frames", || {
        std::fs::metadata(&arrived).unwrap().len() >= len || Instant::now() > soon
    });
    tcpdump.end("INT");
    // A crowded machine's kernel drops some in front of the receiver, and counts them.
    let dropped = lab.sh("appliance", "cat /sys/class/net/lan0/statistics/tx_dropped");
    let dropped: usize = dropped.trim().parse().unwrap();
    let arrived = read(&arrived);
    let mut next = arrived.iter().peekable();
    let came = |frame: &Vec<u8>| next.next_if(|next| *next == frame).is_some();
    let came: Vec<bool> = expected.iter().map(|(_, frame)| frame).map(came).collect();
    let missing: Vec<_> = (0..expected.len()).filter(|at| !came[*at]).collect();
    let first = missing.first().map(|at| &expected[*at].0);
    assert_eq!(next.next(), None, "{first:?}: other frames than were sent, or in another order");
    assert_eq!(missing.len(), dropped, "of {}: {missing:?}, first of {first:?}", expected.len());
    assert!(expected.len() > 10_000, "{} frames", expected.len());
    for (capture, faults) in refused {
        let is_known = ["link type", "--until-damage", "nothing to send"]
            .iter()
            .any(|word| faults.contains(word));
        assert!(is_known, "{}: {faults}", capture.display());
    }
}
