//! What `linetap status` tells of a running appliance: times, queues, and how its workers rest.

use std::thread::sleep;
use std::time::Duration;

use crate::appliance::Appliance;
use crate::lab::{Lab, SERVER};
use crate::report::Report;
use crate::template::{TOOL_V4, mirror_all};
use crate::traffic::udp;

/// Times of the lab that are longer are no times of the lab.
const NS_MAX: u64 = 1_000_000_000;

fn assert_ascending(report: &Report, what: &str) {
    let keys = ["min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"];
    let times = keys.map(|key| report.number(&format!("/live/latency/{what}/{key}")));
    assert!(times.is_sorted() && times[0] > 0 && times[5] < NS_MAX, "{what}: {times:?}");
}

#[test]
fn each_frame_and_copy_is_timed_and_each_queue_adds_up() {
    let Some(lab) = Lab::raise(&[]) else { return };
    lab.edit_appliance("[dataplane]", "[dataplane]\nlatency = true");
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    let result = udp(&lab, 10, 2_000);
    let report = appliance.settled();
    report.assert_conservation();

    let forwarded = ["lan", "wan"].map(|port| report.number(&format!("/ports/{port}/forwarded")));
    let timed = |what: &str| report.number(&format!("/live/latency/{what}/packets"));
    assert!(forwarded[0] >= result.sent);
    assert_eq!(timed("wire"), forwarded[0] + forwarded[1]);
    assert_eq!(timed("copy"), report.mirrored("All"));
    assert_ascending(&report, "wire");
    assert_ascending(&report, "copy");

    let queues = report.0.pointer("/live/workers/0/rx_queues").unwrap().as_array().unwrap();
    for port in ["lan", "wan", "tool"] {
        let of_port = queues.iter().filter(|queue| queue["port"] == port);
        let packets: u64 = of_port.map(|queue| queue["packets"].as_u64().unwrap()).sum();
        assert_eq!(packets, report.number(&format!("/ports/{port}/rx_packets")), "{port}");
        // These devices tell of no losses but have counters for them.
        assert_eq!(report.number(&format!("/live/ports/{port}/losses/imissed")), 0);
    }

    let dir = lab.file("latency");
    appliance.status_with(&["--hgrm", dir.to_str().unwrap()]);
    for (name, packets) in [("wire.hgrm", timed("wire")), ("copy.hgrm", timed("copy"))] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let end = text.lines().find(|line| line.contains(" 1.000000000000 ")).unwrap();
        let count: u64 = end.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(count >= packets, "{name}: {count} of {packets}");
    }
}

#[test]
fn an_idle_worker_sleeps_and_wakes_for_the_first_frame() {
    let Some(lab) = Lab::raise(&[]) else { return };
    let appliance = Appliance::start(&lab, &mirror_all(TOOL_V4));
    let pid = appliance.child("linetap-dataplane").unwrap();
    // The addresses of both ends are asked for only once.
    lab.sh("client", &format!("ping -c 1 -W 5 {SERVER}"));
    let worker = |report: &Report, key: &str| report.number(&format!("/live/workers/0/{key}"));
    let (before, cpu_before) = (appliance.status(), cpu_ms(pid));
    sleep(Duration::from_secs(2));
    let (cpu, after) = (cpu_ms(pid) - cpu_before, appliance.status());
    let since = |key: &str| worker(&after, key) - worker(&before, key);
    let (total, asleep, sleeps) = (since("total_ns"), since("asleep_ns"), since("sleeps"));
    eprintln!(
        "in {} ms: {sleeps} sleeps, {} ms asleep, {cpu} ms of CPU",
        total / 1_000_000,
        asleep / 1_000_000
    );
    assert!(sleeps > 1_000 && asleep > total / 2, "{sleeps} sleeps, {asleep} of {total} ns");
    assert!(cpu < 1_000, "{cpu} ms of CPU in 2 s");

    let told = lab.sh("client", &format!("ping -i 0.2 -c 20 -q {SERVER}"));
    assert!(told.contains(" 0% packet loss"), "{told}");
    // rtt min/avg/max/mdev = 0.3/0.5/0.9/0.1 ms
    let shortest: f64 =
        told.split(" = ").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    assert!(shortest < 5.0, "{told}");
}

/// The time that a process has spent on CPUs.
fn cpu_ms(pid: u32) -> u64 {
    const MS_PER_TICK: u64 = 10;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: state, then ten numbers, then user and system time.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>() * MS_PER_TICK
}
