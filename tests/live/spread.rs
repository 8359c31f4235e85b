//! Two workers and a SPAN port with one receive queue.

use crate::appliance::Appliance;
use crate::capture::Capture;
use crate::lab::{Lab, SERVER};
use crate::template::{TOOL_V4, mirror_all};
use crate::traffic::limit_rate;
use crate::witness::assert_same;

const DATAGRAMS: u64 = 4000;

#[test]
fn two_workers_share_the_flows_of_a_span_and_the_copies_of_each_arrive_in_order() {
    let Some(lab) = Lab::raise(&[]) else { return };
    lab.edit_appliance("workers = [1]", "workers = [0, 1]");
    lab.edit_appliance("iface=lan0", "iface=lan0,qpairs=1");
    lab.edit_appliance(
        "[[link]]\nname  = \"wire\"\nports = [\"lan\", \"wan\"]",
        "[[span]]\nport = \"lan\"",
    );
    lab.edit_appliance(
        "port = \"lan\"\n\n[[tool]]",
        "port = \"lan\"\nmac = [\"02:00:00:00:c1:01\"]\n\n[[tool]]",
    );
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    assert!(appliance.log().contains("hands flows to all workers"), "{}", appliance.log());

    // Nobody answers behind a span.
    lab.sh("client", &format!("ip neigh replace {SERVER} lladdr 02:00:00:00:5e:01 dev wire0"));
    limit_rate(&lab, "client", 5);
    let (tapped, copies) = (Capture::tapped(&lab), Capture::copies(&lab));
    let script = format!(
        "import socket\n\
         s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]\n\
         for n in range({DATAGRAMS}): s[n % 40].sendto(n.to_bytes(8, 'big') * 4, ('{SERVER}', 4000))"
    );
    crate::process::run(lab.exec("client", "python3").args(["-c", &script]));
    let report = appliance.settled();
    report.assert_conservation();
    assert_eq!(report.number("/ports/lan/ended/tap"), report.number("/ports/lan/rx_packets"));
    assert_eq!(report.skipped_in_all("All"), 0);
    let mirrored = report.mirrored("All");
    assert!(mirrored >= DATAGRAMS);
    assert_same(&tapped.finish(mirrored), &copies.finish(mirrored));
    for worker in 0..2 {
        let queues = report.0.pointer(&format!("/live/workers/{worker}/tx_queues")).unwrap();
        let of_tool = queues.as_array().unwrap().iter().find(|queue| queue["port"] == "tool");
        let sent = of_tool.unwrap()["packets"].as_u64().unwrap();
        assert!(sent > mirrored / 4, "worker {worker} has sent {sent} of {mirrored}");
    }
    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{log}");
}
