//! `[[tool]] health_check`: how it is found out whether a tool's members take copies.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::table::{Placed, Table};
use crate::fault::quoted;

/// How the members of a tool are checked; names and defaults are those of the target groups of a
/// Network Load Balancer (ELB `CreateTargetGroup`, `HealthCheck…`), ranges are wider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked of a member, and where.
    pub probe: Probe,
    /// From the begin of one check of a member to the begin of the next.
    pub interval: Duration,
    /// A check that has no answer by then has failed; not above `interval`.
    pub timeout: Duration,
    /// So many checks in a row have to succeed until a member that was down is up.
    pub healthy_threshold: u8,
    /// So many in a row have to fail until a member that was up is down.
    pub unhealthy_threshold: u8,
}

/// What is asked of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// An ICMP or ICMPv6 echo, to be answered.
    Icmp,
    /// A TCP connection, to be accepted.
    Tcp {
        /// Its port.
        port: u16,
    },
    /// `GET` over HTTP, to be answered with a status of 200 to 399.
    Http {
        /// Its port.
        port: u16,
        /// What is got: begins with `/`, holds only visible ASCII characters.
        path: String,
    },
    /// A datagram to the port for copies, not to be refused.
    Vxlan {
        /// Its port; that of `[vxlan]` unless the file says otherwise.
        port: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Icmp,
    Tcp,
    Http,
    Vxlan,
}

const PROTOCOLS: [(&str, Protocol); 4] = [
    ("icmp", Protocol::Icmp),
    ("tcp", Protocol::Tcp),
    ("http", Protocol::Http),
    ("vxlan", Protocol::Vxlan),
];
const INTERVAL: Duration = Duration::from_secs(30);
/// Target groups wait 10 s for TCP and 6 s for HTTP.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_HTTP: Duration = Duration::from_secs(6);
const HEALTHY_THRESHOLD: u8 = 5;
const UNHEALTHY_THRESHOLD: u8 = 2;
const THRESHOLDS: RangeInclusive<u8> = 2..=10;
const SECONDS: RangeInclusive<f64> = 0.1..=300.0;
/// The kernel asks three times, a second each, until it tells that no host is there (`ucast_solicit` and
/// `mcast_solicit`, arp(7)); to a VXLAN probe, which silence answers, that has to be told in time.
const TIMEOUT_VXLAN_MIN: Duration = Duration::from_secs(4);
/// The longest `Path` of ELB.
const PATH_BYTES_MAX: usize = 1024;

/// Reads the table. Where something is wrong, the result has the default for it; `None` without a
/// protocol.
pub(super) fn read(table: Table<'_>, vxlan_port: u16) -> Option<HealthCheck> {
    let protocol = table.required_text("protocol");
    let protocol = protocol.and_then(|_| table.choice("protocol", &PROTOCOLS));
    let probe = protocol.map(|protocol| probe(&table, protocol, vxlan_port));
    let interval = table.seconds("interval", &SECONDS).map_or(INTERVAL, |it| it.value);
    let usual = if protocol == Some(Protocol::Http) { TIMEOUT_HTTP } else { TIMEOUT };
    let mut timeout = usual.min(interval);
    if let Some(Placed { line, value }) = table.seconds("timeout", &SECONDS) {
        timeout = value.min(interval);
        if value > interval {
            let (value, interval) = (value.as_secs_f64(), interval.as_secs_f64());
            table.fault(
                line,
                format!(
                    "timeout {value} is above the interval of {interval} seconds; write at most \
                     that, or a longer interval"
                ),
            );
        }
    }
    if protocol == Some(Protocol::Vxlan) && timeout < TIMEOUT_VXLAN_MIN {
        let key = if table.has("timeout") { "timeout" } else { "interval" };
        table.fault(
            table.line_of(key),
            "silence is the answer to vxlan, and it takes 3 seconds until the kernel finds that \
             nobody is there; let timeout and interval have at least 4 seconds",
        );
    }
    let threshold = |key, usual| table.integer(key, &THRESHOLDS).map_or(usual, |it| it.value);
    let healthy_threshold = threshold("healthy_threshold", HEALTHY_THRESHOLD);
    let unhealthy_threshold = threshold("unhealthy_threshold", UNHEALTHY_THRESHOLD);
    if protocol.is_none() {
        table.ignore(&["port", "path"]);
    }
    table.finish();
    let probe = probe?;
    Some(HealthCheck { probe, interval, timeout, healthy_threshold, unhealthy_threshold })
}

fn probe(table: &Table<'_>, protocol: Protocol, vxlan_port: u16) -> Probe {
    let unused: &[&'static str] = match protocol {
        Protocol::Icmp => &["port", "path"],
        Protocol::Tcp | Protocol::Vxlan => &["path"],
        Protocol::Http => &[],
    };
    for key in unused.iter().filter(|key| table.has(key)) {
        let word = PROTOCOLS.iter().find(|(_, it)| *it == protocol).map_or("", |(word, _)| word);
        table.fault(table.line_of(key), format!("{key} means nothing for {word}; remove it"));
    }
    table.ignore(unused);
    let port = || table.integer("port", &(1..=u16::MAX)).map(|port| port.value);
    let needed = || {
        if !table.has("port") {
            table.fault(table.line, "port is missing; add the port that the member listens on");
        }
        port().unwrap_or_default()
    };
    match protocol {
        Protocol::Icmp => Probe::Icmp,
        Protocol::Tcp => Probe::Tcp { port: needed() },
        Protocol::Http => Probe::Http { port: needed(), path: path(table) },
        Protocol::Vxlan => Probe::Vxlan { port: port().unwrap_or(vxlan_port) },
    }
}

fn path(table: &Table<'_>) -> String {
    const ROOT: &str = "/";
    let Some(Placed { line, value }) = table.text("path") else { return ROOT.to_owned() };
    let why = if !value.starts_with(ROOT) {
        "does not begin with \"/\"; write it like \"/health\""
    } else if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        "has a space or what is no visible ASCII; encode it, like %20"
    } else if value.len() > PATH_BYTES_MAX {
        "is longer than 1024 bytes; choose a shorter one"
    } else {
        return value.to_owned();
    };
    table.fault(line, format!("path {} {why}", quoted(value)));
    ROOT.to_owned()
}

#[cfg(test)]
mod tests {
    use crate::config::{Mode, read};
    use crate::fault::FaultSink;

    fn faults(check: &str) -> Vec<String> {
        let text = format!(
            "[[port]]\nname = \"tool\"\ndevice = \"net_null0\"\naddress = [\"192.0.2.1/24\"]\n\
             [[tool]]\nid = \"arn:nlb\"\nport = \"tool\"\nmembers = [{{ address = \"192.0.2.2\" }}]\n\
             health_check = {{ protocol = {check} }}\n"
        );
        let sink = FaultSink::new("");
        read(&text, Mode::Online, &sink);
        sink.into_faults().into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn silence_takes_its_time() {
        assert_eq!(faults("\"vxlan\""), [""; 0]);
        assert_eq!(faults("\"vxlan\", interval = 4, timeout = 4"), [""; 0]);
        assert_eq!(faults("\"icmp\", interval = 0.1, timeout = 0.1"), [""; 0]);
        for short in ["interval = 3.9", "timeout = 3.9"] {
            let [fault] = &*faults(&format!("\"vxlan\", {short}")) else { panic!("one fault") };
            assert!(fault.contains("at least 4 seconds"), "{fault}");
        }
    }
}
