//! The lab itself, with DPDK's own testpmd in linetap's place: what fails here is not linetap's fault.

use std::path::Path;

use crate::lab::{Lab, SERVER, SERVER_V6};
use crate::process::{Background, run};
use crate::traffic::{WEB_PORT, random_file, sha256_of_download, web_server};

/// testpmd as a patch cable between two devices.
fn testpmd(lab: &Lab, devices: [&str; 2], options: &[&str]) -> Background {
    let mut command = lab.exec("appliance", "dpdk-testpmd");
    command.args(["--lcores", "0@0,1@1", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry"]);
    command.args(["--iova-mode=va", "--file-prefix=linetap-test"]);
    command.args(devices.map(|device| format!("--vdev={device}")));
    command.args(["--", "--auto-start", "--stats-period", "1", "--forward-mode=io"]);
    command.args(["--total-num-mbufs=8192"]).args(options);
    let mut testpmd = Background::start(&mut command, &lab.file("testpmd.log"));
    testpmd.wait_for_log("Port statistics");
    testpmd
}

/// Frames in a capture that no wire carries: with a wrong checksum, or longer than the MTU allows.
fn unfit_frames(capture: &Path, mtu: u32) -> String {
    let filter = format!(
        "frame.len > {} or ip.checksum.status == 0 or tcp.checksum.status == 0 or \
         udp.checksum.status == 0",
        mtu + 14
    );
    let mut tshark = std::process::Command::new("tshark");
    tshark.arg("-r").arg(capture).args(["-Y", &filter]);
    for layer in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{layer}.check_checksum:TRUE")]);
    }
    run(&mut tshark)
}

fn the_lab_is_a_wire(options: &[&str], mtu: u32, devices: [&str; 2], testpmd_options: &[&str]) {
    let Some(lab) = Lab::raise(options) else { return };
    let file = lab.file("file");
    let sum = random_file(&file, 3_000_000);
    let _web = web_server(&lab, file.parent().unwrap());
    let _testpmd = testpmd(&lab, devices, testpmd_options);
    let capture = lab.file("client.pcap");
    let mut tcpdump = lab.exec("client", "tcpdump");
    tcpdump.args(["-Z", "root", "-Q", "in", "-i", "wire0", "-B", "65536", "-w"]).arg(&capture);
    let mut tcpdump = Background::start(&mut tcpdump, &lab.file("tcpdump.log"));
    tcpdump.wait_for_log("listening on");

    for server in [SERVER.to_owned(), format!("[{SERVER_V6}]")] {
        let url = format!("http://{server}:{WEB_PORT}/file");
        assert_eq!(sha256_of_download(&lab, &url), sum);
    }
    let largest = mtu - 28;
    lab.sh("client", &format!("ping -M do -s {largest} -i 0.1 -c 3 {SERVER}"));
    tcpdump.end("INT");
    assert_eq!(unfit_frames(&capture, mtu), "");
}

#[test]
fn the_lab_is_a_wire_on_veth() {
    let devices = ["net_af_packet0,iface=lan0", "net_af_packet1,iface=wan0"];
    the_lab_is_a_wire(&[], 1500, devices, &[]);
}

#[test]
fn the_lab_is_a_wire_for_jumbo_frames() {
    // A ring slot for each frame, and a buffer for what a slot holds.
    let ring = "framesz=16384,blocksz=65536,framecnt=512";
    let devices = [
        &*format!("net_af_packet0,iface=lan0,{ring}"),
        &*format!("net_af_packet1,iface=wan0,{ring}"),
    ];
    the_lab_is_a_wire(&["--mtu", "9000"], 9000, devices, &["--mbuf-size=17000"]);
}

#[test]
fn the_lab_is_a_wire_on_taps() {
    let devices = ["net_tap0,iface=lantap", "net_tap1,iface=wantap"];
    the_lab_is_a_wire(&["--devices", "tap"], 1500, devices, &[]);
}
