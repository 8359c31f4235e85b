//! The kernel as the tool: its own VXLAN device takes the copies, over both underlays.

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER_V6};
use crate::template::{TOOL_V4, TOOL_V6, mirror_all};
use crate::traffic::{WEB_PORT, random_file, sha256_of_download, web_server};
use crate::witness::Witness;

fn the_kernel_decapsulates(tool: &str) {
    let Some(lab) = Lab::raise(&[]) else { return };
    let file = lab.file("page");
    random_file(&file, 300_000);
    let _web = web_server(&lab, file.parent().unwrap());
    let appliance = Appliance::start(&lab, &mirror_all(tool));
    let witness = Witness::of_decapsulated(&lab);

    lab.sh("client", "ping -i 0.05 -c 20 198.51.100.2");
    lab.sh("client", &format!("ping -i 0.05 -c 20 {SERVER_V6}"));
    sha256_of_download(&lab, &format!("http://198.51.100.2:{WEB_PORT}/page"));

    // A UDP checksum that is wrong, or missing over IPv6, would end the copy before it is seen here.
    witness.assert_all_copied(&appliance.settled());
}

#[test]
fn the_kernel_decapsulates_copies_over_ipv4() {
    the_kernel_decapsulates(TOOL_V4);
}

#[test]
fn the_kernel_decapsulates_copies_over_ipv6_with_their_checksum() {
    the_kernel_decapsulates(TOOL_V6);
}
