//! Watching never harms the wire: at a fixed offered rate it loses with a tool in whatever state
//! exactly what it loses with no session, nothing.

use crate::appliance::Appliance;
use crate::lab::{Lab, TOOL};
use crate::report::Report;
use crate::template::{TOOL_V4, mirror_all, mirror_nothing};
use crate::traffic::{UdpRun, udp};

const MBIT: u32 = 20;
const DATAGRAMS: u32 = 10_000;

/// What the wire does with linetap there but nothing to mirror.
fn without_any_session(lab: &Lab) -> UdpRun {
    let appliance = Appliance::start(lab, &mirror_nothing());
    let result = udp(lab, MBIT, DATAGRAMS);
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
    result
}

/// What the wire does while everything is to be mirrored to a tool that `disturb` has disturbed;
/// with the report of that time.
fn with_a_session(lab: &Lab, disturb: impl FnOnce()) -> (UdpRun, Report) {
    let appliance = Appliance::start(lab, &mirror_all(TOOL_V4));
    disturb();
    let before = appliance.settled();
    let result = udp(lab, MBIT, DATAGRAMS);
    let after = appliance.settled();
    after.assert_conservation();
    let wanted = |report: &Report| report.mirrored("All") + report.skipped_in_all("All");
    assert!(wanted(&after) - wanted(&before) >= result.sent, "each packet was to be mirrored");
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
    (result, after)
}

fn assert_unharmed(without: &UdpRun, with: &UdpRun) {
    let all = UdpRun { sent: DATAGRAMS.into(), lost: 0, out_of_order: 0 };
    assert_eq!(*without, all, "without a session");
    assert_eq!(*with, all, "with a session");
}

#[test]
fn a_tool_port_without_link_does_not_harm_the_wire() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let without = without_any_session(&lab);
    let (with, report) = with_a_session(&lab, || {
        lab.sh("tool", "ip link set mirror0 down");
    });
    assert_unharmed(&without, &with);
    let reasons = report.skipped("All", "tool_down") + report.skipped("All", "no_neighbor");
    assert!(report.skipped("All", "tool_down") > 0, "{:#}", report.0);
    assert_eq!(reasons, report.skipped_in_all("All"), "{:#}", report.0);
}

#[test]
fn a_congested_tool_port_does_not_harm_the_wire() {
    let Some(lab) = Lab::raise(&[]) else { return };
    // Through the queueing discipline, which the driver goes round otherwise.
    lab.edit_appliance("iface=tool0", "iface=tool0,qdisc_bypass=0");
    let without = without_any_session(&lab);
    let (with, report) = with_a_session(&lab, || {
        // A twentieth of what is to be sent there, and a queue longer than linetap's own.
        let shaper = "rate 1mbit burst 10kb limit 100mb";
        lab.sh("appliance", &format!("tc qdisc replace dev tool0 root tbf {shaper}"));
    });
    assert_unharmed(&without, &with);
    assert!(report.skipped("All", "tool_congested") > 0, "{:#}", report.0);
    let others = report.skipped_in_all("All") - report.skipped("All", "tool_congested");
    assert_eq!(others, report.skipped("All", "no_mbuf"), "{:#}", report.0);
}

#[test]
fn a_tool_without_neighbor_does_not_harm_the_wire() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let without = without_any_session(&lab);
    let (with, report) = with_a_session(&lab, || {
        lab.sh("tool", "ip link set mirror0 arp off");
        lab.sh("appliance", &format!("ip neigh del {TOOL} dev tool0"));
    });
    assert_unharmed(&without, &with);
    assert!(report.skipped("All", "no_neighbor") >= with.sent, "{:#}", report.0);
    assert_eq!(report.skipped("All", "no_neighbor"), report.skipped_in_all("All"));
}
