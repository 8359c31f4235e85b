//! Two real consumers behind one load balancer: together they see what one would, each whole
//! conversations; and the kernel's VXLAN device hands on what was on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use serde_json::Value;

use crate::appliance::Appliance;
use crate::consumer::{Suricata, alerts_on};
use crate::lab::{Lab, TOOL, project};
use crate::process::{run, wait_for};
use crate::template::{FLEET, mirror_all};

/// The second tool, at the same place.
const TOOL_2: &str = "192.0.2.11";
/// Of other people, with all kinds of traffic, but without what belongs together and is told so by no
/// header of its own: datagrams in several fragments, and ICMP errors about other flows.
const CAPTURES: [&str; 7] = [
    "mix-campus-sanitized4k.pcap",
    "v6-ftp.pcap",
    "dns.pcap",
    "vlan-three-tags.pcap",
    "udp-quic.pcap",
    "v6-http-atomic-frag.pcap",
    "sctp.pcap",
];
/// Frames that a wire of 1500 bytes carries; with a tag, four bytes more.
const LEN_MAX: usize = 1514;
const GAP: Duration = Duration::from_micros(200);

const RULES: &str = r#"
alert ip any any -> any any (msg:"a flow, in each direction"; sid:1;)
alert tcp any any -> any any (msg:"a connection is asked for"; flags:S,12; sid:2;)
alert dns any any -> any any (msg:"a name is asked for"; dns.query; content:"."; sid:3;)
alert http any any -> any any (msg:"a page is asked for"; http.method; content:"GET"; sid:4;)
alert http any any -> any any (msg:"a page is delivered"; flow:established,to_client; http.stat_code; content:"200"; sid:5;)
alert ftp any any -> any any (msg:"somebody logs in"; content:"USER"; sid:6;)
alert icmp any any -> any any (msg:"an echo"; itype:8; sid:7;)
"#;

/// The captures of real traffic; where there are none, one of the project's own, and that is said.
fn captures() -> Vec<PathBuf> {
    let project = Path::new(project());
    let shared =
        env::var_os("LINETAP_SHARED").map_or_else(|| project.join("../shared"), PathBuf::from);
    let folder = shared.join("captures");
    if folder.is_dir() {
        return CAPTURES.map(|name| folder.join(name)).to_vec();
    }
    eprintln!("absent, so the project's own traffic is sent instead: {}", folder.display());
    vec![project.join("tests/golden/load-balancer/in/1-lan.pcap")]
}

/// The captures as one, its frames close together: what they are compared by must not end of old age.
fn original(lab: &Lab) -> PathBuf {
    let file = lab.file("original.pcap");
    let mut writer = PcapWriter::new(File::create(&file).unwrap()).unwrap();
    let mut time = Duration::from_secs(1_700_000_000);
    for path in captures() {
        let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
        while let Some(packet) = reader.next_packet() {
            let data = packet.unwrap().data;
            let tag_len = if data.get(12..14) == Some(&[0x81, 0]) { 4 } else { 0 };
            if (14..=LEN_MAX + tag_len).contains(&data.len()) {
                let len = data.len().try_into().unwrap();
                writer.write_packet(&PcapPacket { timestamp: time, orig_len: len, data }).unwrap();
                time += GAP;
            }
        }
    }
    file
}

/// A load balancer in place of one tool, and everything is mirrored.
fn furnish(lab: &Lab) {
    lab.sh("tool", &format!("ip addr add {TOOL_2}/24 dev mirror0"));
    lab.edit_appliance(
        "[[tool]]\nid      = \"eni-0b000000000000004\"\nport    = \"tool\"\naddress = \"192.0.2.10\"\n",
        &format!(
            "[[tool]]\nid      = \"{FLEET}\"\nport    = \"tool\"\n\
             members = [{{ address = \"{TOOL}\" }}, {{ address = \"{TOOL_2}\" }}]\n\n\
             [exempt]\nnever_mirrored = \"none\"\namazon_dns = []\n",
        ),
    );
}

/// An alert: what, and about whom.
type Alert = (String, String, [String; 2]);

/// How often each alert was raised, without those about the copies themselves.
fn counted(alerts: &[Value]) -> BTreeMap<Alert, usize> {
    let mut counts = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert["dest_port"] != 4789) {
        let end = |name: &str| {
            format!("{} {}", alert[format!("{name}_ip")], alert[format!("{name}_port")])
        };
        let what = alert["alert"]["signature"].to_string();
        let about = (what, alert["proto"].to_string(), [end("src"), end("dest")]);
        *counts.entry(about).or_default() += 1;
    }
    counts
}

/// The conversations that alerts are about.
fn conversations(alerts: &BTreeMap<Alert, usize>) -> BTreeSet<(String, [String; 2])> {
    let both_ways = |(_, protocol, ends): &Alert| {
        let mut ends = ends.clone();
        ends.sort();
        (protocol.clone(), ends)
    };
    alerts.keys().map(both_ways).collect()
}

/// How many frames of a capture consist of which protocols, as tshark sees it; without VLAN tags, which
/// copies do not have, and ARP, which has no copies.
fn protocols(capture: &Path) -> BTreeMap<String, usize> {
    let mut tshark = Command::new("tshark");
    let told = run(tshark.arg("-r").arg(capture).args(["-T", "fields", "-e", "frame.protocols"]));
    let mut counts = BTreeMap::new();
    for line in told.lines().filter(|line| !line.contains(":arp")) {
        *counts.entry(line.replace(":vlan:ethertype", "")).or_default() += 1;
    }
    counts
}

#[test]
fn two_suricatas_raise_the_alerts_of_one_and_tshark_sees_the_same_protocols() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let original = original(&lab);
    furnish(&lab);
    let consumer = |name: &str, address: &str| {
        let filter = format!("udp dst port 4789 and dst host {address}");
        Suricata::start(&lab, name, &filter, false, RULES)
    };
    let mut consumers = [consumer("one", TOOL), consumer("other", TOOL_2)];
    let appliance = Appliance::start(&lab, &mirror_all(FLEET));
    consumers.iter_mut().for_each(Suricata::wait_until_ready);
    let captures = lab.file("captures");
    run(lab.script().args(["capture", "start"]).arg(&captures));

    let mut replay = lab.exec("client", "python3");
    replay.arg(Path::new(project()).join("tests/live/replay.py")).arg(&original);
    run(replay.args(["wire0", "4000"]));
    let expected = counted(&alerts_on(&lab, &original, RULES));
    run(lab.script().args(["capture", "stop"]));

    let report = appliance.settled();
    report.assert_conservation();
    assert_eq!(report.skipped_in_all("All"), 0, "skipped in {:#}", report.0);
    let mirrored = report.mirrored("All");
    wait_for("both Suricatas to count the copies", || {
        consumers.iter().map(Suricata::decapsulated).sum::<u64>() >= mirrored
    });
    let [one, other] = consumers.map(|consumer| {
        let (alerts, stats) = consumer.finish();
        assert_eq!(stats["capture"]["kernel_drops"], 0);
        counted(&alerts)
    });
    let (of_one, of_other) = (conversations(&one), conversations(&other));
    let least = (of_one.len() + of_other.len()) / 4;
    assert!(of_one.len() > least && of_other.len() > least, "each has its part");
    let shared: Vec<_> = of_one.intersection(&of_other).collect();
    assert!(shared.is_empty(), "seen by both, in parts: {shared:#?}");
    let mut both = one;
    for (alert, count) in other {
        *both.entry(alert).or_default() += count;
    }
    let differing: Vec<_> = expected
        .keys()
        .chain(both.keys())
        .filter(|alert| expected.get(*alert) != both.get(*alert))
        .map(|alert| (alert, expected.get(alert), both.get(alert)))
        .collect();
    assert!(differing.is_empty(), "alert, by one, by both: {differing:#?}");
    assert!(expected.len() > 100, "{} kinds of alerts", expected.len());

    let decapsulated = captures.join("decapsulated.pcap");
    assert_eq!(protocols(&decapsulated), protocols(&original), "what tshark makes of the copies");
}
