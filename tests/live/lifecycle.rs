//! Processes that die, and those that end in order.

use std::time::Instant;

use crate::appliance::Appliance;
use crate::capture::Capture;
use crate::lab::Lab;
use crate::process::{send_signal, wait_for};
use crate::template::{TOOL_V4, mirror_all};
use crate::traffic::{UdpStream, udp};
use crate::witness::Witness;

#[test]
fn without_linetapd_not_one_packet_or_copy_is_lost() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    let witness = Witness::of_copies(&lab);
    let dataplane = appliance.child("linetap-dataplane");
    let killed = appliance.child("linetapd").expect("linetap up has started linetapd");

    let mut stream = UdpStream::start(&lab, 20, 5_000);
    wait_for("traffic", || witness.at_server() > 1000);
    send_signal(killed, "KILL");
    wait_for("another linetapd", || appliance.child("linetapd").is_some_and(|now| now != killed));
    let result = stream.result();

    assert_eq!((result.lost, result.out_of_order), (0, 0));
    let copies = witness.assert_all_copied(&appliance.settled());
    assert!(copies >= result.sent);
    assert_eq!(appliance.child("linetap-dataplane"), dataplane, "the same data plane all the time");
}

#[test]
fn a_killed_data_plane_is_back_at_once_with_the_same_sessions() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    let killed = appliance.child("linetap-dataplane").expect("linetap up has started it");
    lab.sh("client", "ping -c 1 -W 5 198.51.100.2");

    send_signal(killed, "KILL");
    let start = Instant::now();
    // One echo request each 10 ms until one is answered.
    lab.sh("client", "ping -i 0.01 -c 1 -w 30 198.51.100.2");
    eprintln!("the wire was back {} ms after kill -9", start.elapsed().as_millis());
    wait_for("the new data plane's report", || {
        appliance.child("linetap-dataplane").is_some_and(|now| now != killed)
    });

    wait_for("its neighbors", || appliance.neighbor_macs().iter().all(Option::is_some));
    let at_tool = Capture::copies(&lab);
    let before = appliance.settled().mirrored("All");
    let result = udp(&lab, 10, 2000);
    let report = appliance.settled();
    assert_eq!(result.lost, 0);
    assert!(report.mirrored("All") - before >= result.sent);
    at_tool.finish(report.mirrored("All") - before);
}

#[test]
fn a_signal_ends_it_in_order_with_its_counters() {
    for signal in ["TERM", "INT"] {
        let Some(lab) = Lab::raise(&[]) else { return };
        let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
        udp(&lab, 10, 1000);
        let mirrored = appliance.settled().mirrored("All");
        let (status, log) = appliance.stop(signal);
        assert!(status.success(), "{signal}: {status}\n{log}");
        assert!(log.contains(&mirrored.to_string()), "{mirrored} copies are told in:\n{log}");
        assert!(log.contains("every packet buffer is back in its pool"), "{log}");
        assert_no_process_left(&lab);
    }
}

fn assert_no_process_left(lab: &Lab) {
    let name = lab.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let mut command = std::process::Command::new("ip");
    let pids = crate::process::run(command.args(["netns", "pids", &format!("{name}-appliance")]));
    assert_eq!(pids, "", "processes left in the appliance");
}
