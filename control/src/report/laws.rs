//! The conservation laws: every packet of a port, every copy of a session is accounted for.

use engine::report::Report;

/// Every law that a report breaks, a sentence each; empty when all hold.
pub fn violations(report: &Report) -> Vec<String> {
    let ports = report.ports.iter().filter_map(|port| {
        let ended: u64 = port.ended.iter().sum();
        let is_kept = port.rx_packets == port.forwarded.saturating_add(ended);
        (!is_kept).then(|| {
            format!(
                "port {}: {} received, but {} forwarded and {ended} ended",
                port.name, port.rx_packets, port.forwarded
            )
        })
    });
    let sessions = report.sessions.iter().filter_map(|session| {
        let skipped: u64 = session.skipped.iter().sum();
        let is_kept = session.matched == session.mirrored_packets.saturating_add(skipped);
        (!is_kept).then(|| {
            format!(
                "session {}: {} matched, but {} mirrored and {skipped} skipped",
                session.id, session.matched, session.mirrored_packets
            )
        })
    });
    ports.chain(sessions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::{PortReport, SessionReport};

    #[test]
    fn each_broken_law_is_told() {
        let mut port = PortReport { name: "p".into(), rx_packets: 5, ..Default::default() };
        port.forwarded = 3;
        port.ended[0] = 2;
        let mut session = SessionReport { id: "s".into(), matched: 4, ..Default::default() };
        session.mirrored_packets = 1;
        session.skipped[1] = 3;
        let mut report =
            Report { ports: vec![port], sessions: vec![session], ..Default::default() };
        assert_eq!(violations(&report), Vec::<String>::new());
        report.ports[0].forwarded = 2;
        report.sessions[0].skipped[1] = 4;
        assert_eq!(
            violations(&report),
            [
                "port p: 5 received, but 2 forwarded and 2 ended",
                "session s: 4 matched, but 1 mirrored and 4 skipped"
            ]
        );
    }
}
