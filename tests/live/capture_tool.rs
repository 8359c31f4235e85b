//! `linetap capture`: what is sent between namespaces stands in its files, or is counted as lost.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use pcap_file::pcapng::{Block, PcapNgReader};

use crate::lab::{Lab, binary, project};
use crate::process::{Background, run, wait_for};

/// Sent each second: below what a worker that shares its core with the sender takes.
const RATE: &str = "20000";

/// A capture with frames of these lengths: Ethernet's experimental type, a number, filling.
fn made(file: &Path, lens: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let frame = |(n, len): (usize, usize)| {
        let mut frame = vec![0x02, 0, 0, 0, 0xaa, 0x01, 0x02, 0, 0, 0, 0xc1, 0x01, 0x88, 0xb5];
        frame.extend((n as u32).to_be_bytes());
        frame.resize(len, n as u8);
        frame
    };
    let frames: Vec<Vec<u8>> = lens.enumerate().map(frame).collect();
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1_u32] {
        bytes.extend(word.to_le_bytes());
    }
    for frame in &frames {
        for word in [0, 0, frame.len() as u32, frame.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    File::create(file).unwrap().write_all(&bytes).unwrap();
    frames
}

/// Sends them by a device of the client.
fn send(lab: &Lab, file: &Path, device: &str) {
    let mut replay = lab.exec("client", "python3");
    replay.arg(project().join("tests/live/replay.py")).arg(file).args([device, RATE]);
    run(&mut replay);
}

/// `linetap capture` on the other end of the client's wire, receiving.
fn capture(lab: &Lab, file: &Path, options: &[&str]) -> Background {
    let mut command = lab.exec("appliance", binary("linetap").to_str().unwrap());
    command.args(["capture", "--port", "lan0", "--cores", "1", "-w"]).arg(file).args(options);
    command.arg("--json").arg(lab.file("report.json"));
    let mut capture = Background::start(&mut command, &lab.file("capture.log"));
    capture.wait_for_log("capturing on lan0");
    capture
}

/// Waits for its end, which is a good one, and reads its report.
fn report(lab: &Lab, mut capture: Background) -> serde_json::Value {
    let status = capture.wait();
    assert!(status.success(), "{status}:\n{}", capture.log());
    serde_json::from_slice(&fs::read(lab.file("report.json")).unwrap()).unwrap()
}

fn number(report: &serde_json::Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key} in {report}"))
}

/// A frame as it stands in a file.
struct Stored {
    interface: String,
    time_ns: u128,
    len: u32,
    bytes: Vec<u8>,
}

/// The frames of a file, read by a library that knows nothing of ours; tshark finds nothing to complain of.
fn stored(file: &Path) -> Vec<Stored> {
    let told = run(Command::new("tshark").arg("-r").arg(file).args(["-q", "-z", "io,phs"]));
    assert!(told.contains("Protocol Hierarchy"), "{told}");
    let mut reader = PcapNgReader::new(BufReader::new(File::open(file).unwrap())).unwrap();
    let (mut names, mut frames) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption::IfName(
                        name,
                    ) => Some(name.to_string()),
                    _ => None,
                });
                names.push(name.unwrap());
            }
            Block::EnhancedPacket(packet) => frames.push(Stored {
                interface: names[packet.interface_id as usize].clone(),
                time_ns: packet.timestamp.as_nanos(),
                len: packet.original_len,
                bytes: packet.data.to_vec(),
            }),
            _ => {}
        }
    }
    frames
}

#[test]
fn a_file_holds_what_was_sent() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let (sent, file) = (lab.file("sent.pcap"), lab.file("got.pcapng"));
    let frames = made(&sent, (0..3000).map(|n| 60 + n % 1455));
    let tool = capture(&lab, &file, &["--limit", "3000"]);
    send(&lab, &sent, "wire0");
    let report_of_all = report(&lab, tool);
    assert_eq!(number(&report_of_all, "written"), 3000);
    let got = stored(&file);
    assert!(got.iter().map(|it| &it.bytes).eq(&frames), "{} frames", got.len());
    assert!(got.iter().all(|it| it.interface == "lan0"));
    assert!(got.is_sorted_by_key(|it| it.time_ns));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    assert!(got.iter().all(|it| now - it.time_ns < 600_000_000_000));

    // The same, cut, in several files.
    let file = lab.file("part.pcapng");
    let options = ["--limit", "3000", "--snap-len", "64", "--rotate-size", "100k", "--files", "2"];
    let tool = capture(&lab, &file, &options);
    send(&lab, &sent, "wire0");
    let report_of_parts = report(&lab, tool);
    assert_eq!(number(&report_of_parts, "written"), 3000);
    assert_eq!(
        number(&report_of_parts, "cut"),
        frames.iter().filter(|it| it.len() > 64).count() as u64
    );
    // 96 bytes each.
    let names: Vec<String> = serde_json::from_value(report_of_parts["files"].clone()).unwrap();
    let parts: Vec<PathBuf> = names.into_iter().map(PathBuf::from).collect();
    assert_eq!(parts, [lab.file("part.00002.pcapng"), lab.file("part.00003.pcapng")]);
    assert!(!lab.file("part.00001.pcapng").exists());
    let got: Vec<Stored> = parts.iter().flat_map(|part| stored(part)).collect();
    let last = &frames[frames.len() - got.len()..];
    assert!(got.len() > 1000);
    for (got, sent) in got.iter().zip(last) {
        assert_eq!(
            (got.len as usize, &got.bytes),
            (sent.len(), &sent[..sent.len().min(64)].to_vec())
        );
    }
}

#[test]
fn decapsulated_frames_are_those_that_went_into_the_tunnel() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let (sent, file) = (lab.file("sent.pcap"), lab.file("got.pcapng"));
    let frames = made(&sent, (0..200).map(|n| 60 + 7 * n));
    for vni in ["42", "43"] {
        let device = format!("vx{vni}");
        let line = format!(
            "ip link add {device} type vxlan id {vni} dev wire0 remote 198.51.100.2 dstport 4789"
        );
        lab.sh("client", &line);
        lab.sh("client", &format!("ip link set {device} addrgenmode none"));
        lab.sh("client", &format!("ip link set {device} mtu 1450 up"));
    }
    lab.sh("client", "ip neigh replace 198.51.100.2 lladdr 02:00:00:00:5e:01 dev wire0");
    // Twice the networks, once the frames: the other network's are not asked for.
    let tool = capture(&lab, &file, &["--decap", "--vni", "42", "--limit", "200"]);
    send(&lab, &sent, "vx43");
    send(&lab, &sent, "wire0");
    send(&lab, &sent, "vx42");
    let report = report(&lab, tool);
    assert_eq!(number(&report, "written"), 200);
    assert!(number(&report, "others") >= 400, "{report}");
    let got = stored(&file);
    assert!(got.iter().map(|it| &it.bytes).eq(&frames), "{} frames", got.len());
    assert!(got.iter().all(|it| it.interface == "vni 42"));
}

#[test]
fn what_a_reader_that_stands_still_does_not_get_is_counted() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let (sent, fifo) = (lab.file("sent.pcap"), lab.file("fifo"));
    let count = made(&sent, (0..4000).map(|_| 1000)).len() as u64;
    run(Command::new("mkfifo").arg(&fifo));
    let (go, wait) = channel::<()>();
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || {
            let mut file = File::open(fifo).unwrap();
            wait.recv().unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    // A megabyte may wait; four come.
    let mut tool = capture(&lab, &fifo, &["--buffer", "1M"]);
    send(&lab, &sent, "wire0");
    wait_for("all to be received", || interface_has_received(&lab, count));
    // From the interface's ring to the worker it is a matter of milliseconds, which nothing tells.
    std::thread::sleep(std::time::Duration::from_millis(500));
    go.send(()).unwrap();
    crate::process::send_signal(tool.pid(), "INT");
    let status = tool.wait();
    assert!(status.success(), "{status}:\n{}", tool.log());
    let json = fs::read(lab.file("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let (received, written) = (number(&report, "received"), number(&report, "written"));
    let (lost, by_device) = (number(&report, "lost_by_writer"), number(&report, "lost_by_device"));
    assert_eq!(received, written + lost);
    assert_eq!(received + by_device, count);
    assert!(lost > 2000 && written > 700, "{report}");
    let file = lab.file("read.pcapng");
    fs::write(&file, reader.join().unwrap()).unwrap();
    assert_eq!(stored(&file).len() as u64, written);
}

#[test]
fn a_full_disk_ends_a_capture_with_whole_frames() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let sent = lab.file("sent.pcap");
    let frames = made(&sent, (0..4000).map(|_| 1000));
    let disk = Disk::mount(lab.file("disk"));
    let mut tool = capture(&lab, &disk.0.join("got.pcapng"), &[]);
    send(&lab, &sent, "wire0");
    assert_eq!(tool.wait().code(), Some(1));
    assert!(tool.log().contains("No space left on device"), "{}", tool.log());
    let json = fs::read(lab.file("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let (received, written) = (number(&report, "received"), number(&report, "written"));
    assert_eq!(received, written + number(&report, "lost_by_writer"));
    let got = stored(&disk.0.join("got.pcapng"));
    assert!(written > 500 && got.iter().map(|it| &it.bytes).eq(&frames[..written as usize]));
}

/// A disk of a megabyte. Removed when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&at));
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        crate::process::output(Command::new("umount").arg(&self.0));
    }
}

/// True when the interface has received so many frames.
fn interface_has_received(lab: &Lab, count: u64) -> bool {
    let told = lab.sh("appliance", "cat /sys/class/net/lan0/statistics/rx_packets");
    told.trim().parse::<u64>().unwrap() >= count
}
