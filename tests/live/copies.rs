//! Every copy is right: byte-exact, in order within its flow, and as many as the report says.

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER, SERVER_V6};
use crate::template::{TOOL_V4, TOOL_V6, mirror_all};
use crate::traffic::{WEB_PORT, limit_rate, random_file, sha256_of_download, web_server};
use crate::witness::Witness;

/// Downloads a file of `bytes` while everything is mirrored to `tool`, and compares what both ends of
/// the wire received from linetap with what the tool did.
fn download_is_copied(lab: &Lab, tool: &str, server: &str, bytes: u64, mbit: u32) {
    let file = lab.file("file");
    let sum = random_file(&file, bytes);
    let _web = web_server(lab, file.parent().unwrap());
    limit_rate(lab, "server", mbit);
    let appliance = Appliance::start(lab, &mirror_all(tool));
    let witness = Witness::of_copies(lab);

    let url = format!("http://{server}:{WEB_PORT}/file");
    assert_eq!(sha256_of_download(lab, &url), sum, "the file after its way over the wire");

    let copies = witness.assert_all_copied(&appliance.settled());
    assert!(copies > bytes / 10_000, "the download was watched");

    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
}

#[test]
fn a_gigabyte_crosses_intact_and_every_copy_is_exact_and_in_order() {
    let Some(lab) = Lab::raise(&[]) else { return };
    download_is_copied(&lab, TOOL_V4, SERVER, 1_000_000_000, 400);
}

#[test]
fn copies_over_an_ipv6_underlay_are_exact_too() {
    let Some(lab) = Lab::raise(&[]) else { return };
    download_is_copied(&lab, TOOL_V6, &format!("[{SERVER_V6}]"), 50_000_000, 200);
}

#[test]
fn jumbo_frames_cross_and_are_mirrored_whole() {
    let Some(lab) = Lab::raise(&["--mtu", "9000"]) else { return };
    download_is_copied(&lab, TOOL_V4, SERVER, 200_000_000, 800);
}

#[test]
fn taps_carry_the_wire_as_well() {
    let Some(lab) = Lab::raise(&["--devices", "tap"]) else { return };
    download_is_copied(&lab, TOOL_V4, SERVER, 50_000_000, 200);
}
