//! A real consumer: Suricata on the tool's interface.

use std::fs;

use crate::appliance::Appliance;
use crate::consumer::Suricata;
use crate::lab::{Lab, SERVER};
use crate::process::wait_for;
use crate::template::{TOOL_V4, TOOL_V6, mirror_all_but};
use crate::traffic::{WEB_PORT, sha256_of_download, web_server};

/// A port whose traffic the template rejects.
const UNWATCHED_PORT: u16 = 9999;

const RULES: &str = r#"
alert http any any -> any any (msg:"secret page asked for"; http.uri; content:"/secret"; sid:1000001;)
alert http any any -> any any (msg:"secret page delivered"; flow:established,to_client; http.response_body; content:"the crown jewels"; sid:1000002;)
alert icmp any any -> any any (msg:"ping"; itype:8; sid:1000003;)
alert tcp any 9999 -> any any (msg:"a packet from the port that is rejected"; sid:1000005;)
alert tcp any any -> any 9999 (msg:"a packet to the port that is rejected"; sid:1000006;)
"#;

fn suricata_reads_the_copies(tool: &str) {
    let Some(lab) = Lab::raise(&[]) else { return };
    let dir = lab.file("web");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("secret"), "the crown jewels").unwrap();
    let _web = web_server(&lab, &dir);
    let appliance = Appliance::start(&lab, &mirror_all_but(tool, UNWATCHED_PORT));
    // Checksums are those of the watched wire; the capture point changes none.
    let mut suricata = Suricata::start(&lab, "suricata", "udp dst port 4789", true, RULES);
    suricata.wait_until_ready();

    lab.sh("client", "ping -i 0.05 -c 7 198.51.100.2");
    sha256_of_download(&lab, &format!("http://{SERVER}:{WEB_PORT}/secret"));
    // Nobody listens there: a reset each, in both directions, and all of it is rejected.
    let refused =
        lab.exec("client", "curl").arg(format!("http://{SERVER}:{UNWATCHED_PORT}/")).output();
    assert!(!refused.unwrap().status.success());

    let report = appliance.settled();
    let mirrored = report.mirrored("All");
    assert!(report.hits("No") > 0 && report.hits("NoEgress") > 0, "{:#}", report.0);
    assert_eq!(report.number("/unmirrored/rejected"), report.hits("No") + report.hits("NoEgress"));
    wait_for("Suricata to count the copies", || suricata.decapsulated() >= mirrored);

    let (alerts, stats) = suricata.finish();
    assert_eq!(stats["capture"]["kernel_drops"], 0);
    assert_eq!(stats["decoder"]["vxlan"], mirrored, "what Suricata decoded, and linetap sent");
    assert_eq!(stats["decoder"]["invalid"], 0);
    let of = |sid: u64| alerts.iter().filter(move |alert| alert["alert"]["signature_id"] == sid);
    assert_eq!(of(1_000_003).count(), 7, "pings");
    assert!(of(1_000_001).count() >= 1, "the request: {alerts:#?}");
    assert!(of(1_000_002).count() >= 1, "the answer: {alerts:#?}");
    assert_eq!(of(1_000_005).count() + of(1_000_006).count(), 0, "rejected traffic was mirrored");
    for alert in of(1_000_001).chain(of(1_000_003)) {
        assert_eq!(alert["pkt_src"], "vxlan encapsulation", "{alert:#}");
    }
}

#[test]
fn suricata_alerts_on_copies_over_ipv4() {
    suricata_reads_the_copies(TOOL_V4);
}

#[test]
fn suricata_alerts_on_copies_over_ipv6() {
    suricata_reads_the_copies(TOOL_V6);
}
