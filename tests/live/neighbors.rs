//! Neighbors come from the kernel: without one copies are skipped, with one they flow, and it is
//! followed when it moves.

use crate::appliance::Appliance;
use crate::capture::Capture;
use crate::lab::Lab;
use crate::process::wait_for;
use crate::template::{TOOL_V4, TOOL_V6, mirror_all};

const TOOL_MAC: &str = "02:00:00:00:b0:10";
const OTHER_MAC: &str = "02:00:00:00:b0:77";

fn ping(lab: &Lab) {
    lab.sh("client", "ping -i 0.05 -c 20 198.51.100.2");
}

/// A tool that does not answer, then does.
fn copies_flow_once_the_tool_answers(tool: &str) {
    let Some(lab) = Lab::raise(&[]) else { return };
    lab.sh("tool", "ip link set mirror0 down");
    let appliance = Appliance::start_unresolved(&lab, &mirror_all(tool));
    ping(&lab);
    let silent = appliance.settled();
    assert_eq!(silent.mirrored("All"), 0);
    assert!(silent.skipped_in_all("All") >= 40, "{:#}", silent.0);

    lab.sh("tool", "ip link set mirror0 arp off up");
    wait_for("the tool port's link", || {
        lab.sh("client", "ping -c 1 198.51.100.2");
        let now = appliance.status();
        now.skipped("All", "no_neighbor") > silent.skipped("All", "no_neighbor")
    });
    ping(&lab);
    let deaf = appliance.settled();
    assert_eq!(deaf.mirrored("All"), 0, "{:#}", deaf.0);
    let unresolved = deaf.skipped("All", "no_neighbor") - silent.skipped("All", "no_neighbor");
    assert!(unresolved >= 40, "{:#}", deaf.0);

    lab.sh("tool", "ip link set mirror0 arp on");
    // Taken down, it has lost its IPv6 address.
    lab.sh("tool", "ip -6 addr replace 2001:db8:2::10/64 dev mirror0 nodad");
    wait_for("the neighbor", || appliance.neighbor_macs() == [Some(TOOL_MAC.to_owned())]);
    let at_tool = Capture::copies(&lab);
    ping(&lab);
    let report = appliance.settled();
    assert_eq!(report.skipped_in_all("All"), deaf.skipped_in_all("All"), "none skipped any more");
    assert!(report.mirrored("All") >= 40);
    at_tool.finish(report.mirrored("All"));
}

#[test]
fn copies_flow_once_the_tool_answers_arp() {
    copies_flow_once_the_tool_answers(TOOL_V4);
}

#[test]
fn copies_flow_once_the_tool_answers_neighbor_discovery() {
    copies_flow_once_the_tool_answers(TOOL_V6);
}

#[test]
fn a_neighbor_that_changes_its_address_is_followed() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    assert_eq!(appliance.neighbor_macs(), [Some(TOOL_MAC.to_owned())]);
    lab.sh("tool", &format!("ip link set mirror0 address {OTHER_MAC}"));
    // It asks for the appliance's address, and by that tells its own.
    lab.sh("tool", "ip neigh flush dev mirror0");
    lab.sh("tool", "ping -c 1 192.0.2.1");
    wait_for("the new address", || appliance.neighbor_macs() == [Some(OTHER_MAC.to_owned())]);
    let before = appliance.settled().mirrored("All");
    let at_tool = Capture::copies(&lab);
    ping(&lab);
    let report = appliance.settled();
    at_tool.finish(report.mirrored("All") - before);
}
