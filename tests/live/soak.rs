//! Half an hour of mixed traffic.

use std::time::{Duration, Instant};

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER, SERVER_V6};
use crate::process::{Background, wait_for};
use crate::report::Report;
use crate::template::{TOOL_V4, mirror_all};
use crate::traffic::{WEB_PORT, random_file, sha256_of_download, udp, web_server};

/// How long it lasts; `LINETAP_SOAK_SECONDS` makes it another while.
fn duration() -> Duration {
    let seconds = std::env::var("LINETAP_SOAK_SECONDS").ok();
    Duration::from_secs(seconds.map_or(1800, |seconds| seconds.parse().unwrap()))
}

/// Buffers that a worker may keep at hand for the next burst of copies.
const AT_HAND_MAX: u64 = 64;

/// Buffers that are out of their pools.
fn in_use(report: &Report) -> u64 {
    let pools = report.0["live"]["pools"].as_array().unwrap();
    pools.iter().map(|pool| pool["in_use"].as_u64().unwrap()).sum()
}

/// A round of everything: pings of many sizes (fragments among them), downloads, UDP, TCP both ways,
/// and a tool that comes and goes.
fn round(lab: &Lab, file_sum: &str, number: u64) {
    for size in [0, 1, 56, 1472, 1473, 4000, 20000] {
        lab.sh("client", &format!("ping -q -i 0.02 -c 10 -s {size} {SERVER}"));
        lab.sh("client", &format!("ping -q -i 0.02 -c 10 -s {size} {SERVER_V6}"));
    }
    for server in [SERVER.to_owned(), format!("[{SERVER_V6}]")] {
        let url = format!("http://{server}:{WEB_PORT}/file");
        assert_eq!(sha256_of_download(lab, &url), file_sum);
    }
    udp(lab, 50, 20_000);
    tcp(lab, &["--time", "3", "--reverse"]);
    tcp(lab, &["--time", "3", "--parallel", "8"]);
    if number % 5 == 4 {
        lab.sh("tool", "ip link set mirror0 down");
        udp(lab, 20, 2000);
        lab.sh("tool", "ip link set mirror0 up");
    }
}

fn tcp(lab: &Lab, options: &[&str]) {
    let mut server = lab.exec("server", "iperf3");
    let _server =
        Background::start(server.args(["--server", "--one-off"]), &lab.file("iperf3-s.log"));
    wait_for("iperf3's server", || lab.sh("server", "ss -Hltn").contains(":5201 "));
    let mut client = lab.exec("client", "iperf3");
    crate::process::run(client.args(["--client", SERVER]).args(options));
}

#[test]
#[ignore = "half an hour: scripts/test --deep runs it"]
fn mixed_traffic_leaves_every_buffer_in_its_pool() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let file = lab.file("file");
    let sum = random_file(&file, 100_000_000);
    let _web = web_server(&lab, file.parent().unwrap());
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));

    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < duration() {
        round(&lab, &sum, rounds);
        rounds += 1;
    }
    let report = appliance.settled();
    report.assert_conservation();
    eprintln!("{rounds} rounds, {} copies", report.mirrored("All"));
    assert!(in_use(&report) <= AT_HAND_MAX, "buffers out of their pools: {:#}", report.0);

    let (status, log) = appliance.stop("TERM");
    assert!(status.success(), "{status}:\n{log}");
    assert!(log.contains("every packet buffer is back in its pool"), "{log}");
}
