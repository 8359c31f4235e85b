//! The last words of a data plane, for people: its counters, and whether every buffer came back.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use engine::drop_reason::{Ended, NeverMirrored, Skipped, Unmirrored};

use crate::dataplane::End;

/// Prints the counters to standard output.
pub(crate) fn print(end: &End) {
    // Nobody may be reading any more: the end is in good order all the same.
    let _ = io::stdout().lock().write_all(text(end).as_bytes());
}

fn text(End { report, missing, kept, .. }: &End) -> String {
    let mut out = String::new();
    // Writing to a `String` never fails.
    for port in &report.ports {
        let _ = writeln!(
            out,
            "port {}: received {} packets ({} bytes), sent {} ({} bytes), forwarded {}{}",
            port.name,
            port.rx_packets,
            port.rx_bytes,
            port.tx_packets,
            port.tx_bytes,
            port.forwarded,
            reasons(Ended::ALL.iter().map(|reason| reason.name()), &port.ended)
        );
    }
    for session in &report.sessions {
        let _ = writeln!(
            out,
            "session {}: wanted {} packets, mirrored {} ({} bytes), truncated {}{}",
            session.id,
            session.matched,
            session.mirrored_packets,
            session.mirrored_bytes,
            session.truncated_packets,
            reasons(Skipped::ALL.iter().map(|reason| reason.name()), &session.skipped)
        );
    }
    let unmirrored =
        reasons(Unmirrored::ALL.iter().map(|reason| reason.name()), &report.unmirrored);
    let _ =
        writeln!(out, "not mirrored{}", if unmirrored.is_empty() { ": 0" } else { &unmirrored });
    let never =
        reasons(NeverMirrored::ALL.iter().map(|reason| reason.name()), &report.never_mirrored_by);
    if !never.is_empty() {
        let _ = writeln!(out, "never mirrored{never}");
    }
    for pool in missing {
        let _ =
            writeln!(out, "{} of {} buffers of {} are missing", pool.in_use, pool.size, pool.name);
    }
    for pool in kept {
        let _ = writeln!(
            out,
            "{} of {} buffers of {} stay with net_af_xdp, which gives none of its ring back",
            pool.in_use, pool.size, pool.name
        );
    }
    if missing.is_empty() && kept.is_empty() {
        let _ = writeln!(out, "every packet buffer is back in its pool");
    }
    out
}

/// The counters that are not zero, by name.
fn reasons<'a>(names: impl Iterator<Item = &'a str>, counts: &[u64]) -> String {
    let nonzero = names.zip(counts).filter(|(_, count)| **count != 0);
    let list: Vec<_> = nonzero.map(|(name, count)| format!("{name} {count}")).collect();
    if list.is_empty() { String::new() } else { format!("; {}", list.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::{PoolState, PortReport, Report};

    #[test]
    fn missing_buffers_and_reasons_are_told() {
        let mut port = PortReport { name: "lan".to_owned(), rx_packets: 3, ..Default::default() };
        port.ended[Ended::Tap as usize] = 3;
        let report = Report { ports: vec![port], ..Default::default() };
        let mut end = End {
            report,
            missing: vec![],
            kept: vec![],
            is_stuck: false,
            is_clean: true,
            pools: vec![],
        };
        let told = text(&end);
        assert!(told.contains("port lan: received 3 packets") && told.contains("; tap 3\n"));
        assert!(told.contains("not mirrored: 0\n"), "{told}");
        assert!(told.ends_with("every packet buffer is back in its pool\n"));
        end.missing.push(PoolState { name: "rx".to_owned(), size: 9, in_use: 2 });
        let told = text(&end);
        assert!(told.ends_with("2 of 9 buffers of rx are missing\n"), "{told}");
    }
}
