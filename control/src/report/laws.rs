//! The conservation laws: every packet of a port, every copy of a session is accounted for.

use std::fmt::Write as _;

use engine::drop_reason::Unmirrored;
use engine::report::Report;

/// Every law that a report breaks, a sentence each; empty when all hold.
pub fn violations(report: &Report) -> Vec<String> {
    let ports = report.ports.iter().filter_map(|port| {
        let ended: u64 = port.ended.iter().sum();
        let done = port.forwarded.saturating_add(ended);
        let between = port.between_workers;
        let is_kept = done.checked_add_signed(between) == Some(port.rx_packets);
        (!is_kept).then(|| {
            let (name, received, forwarded) = (&port.name, port.rx_packets, port.forwarded);
            let mut law = format!(
                "port {name}: {received} received, but {forwarded} forwarded and {ended} ended"
            );
            if between != 0 {
                // Written to memory, which never fails.
                let _ = write!(law, ", {between} between workers");
            }
            law
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
    ports.chain(sessions).chain(never_mirrored(report)).chain(queues(report)).collect()
}

/// What was never mirrored is so for some reason each.
fn never_mirrored(report: &Report) -> Option<String> {
    let all = report.unmirrored[Unmirrored::NeverMirrored as usize];
    let by_reason: u64 = report.never_mirrored_by.iter().sum();
    (all != by_reason)
        .then(|| format!("{all} evaluations never mirrored, but {by_reason} by all of the reasons"))
}

/// The queues of a port add up to the port.
fn queues(report: &Report) -> Vec<String> {
    let Some(live) = &report.live else { return Vec::new() };
    let mut broken = Vec::new();
    for port in &report.ports {
        let workers = || live.workers.iter();
        let rx = workers().flat_map(|worker| &worker.rx).filter(|queue| queue.port == port.name);
        let tx = workers().flat_map(|worker| &worker.tx).filter(|queue| queue.port == port.name);
        let received: u64 = rx.map(|queue| queue.packets).sum();
        let sent: u64 = tx.map(|queue| queue.packets).sum();
        for (done, by_port, by_queue) in
            [("received", port.rx_packets, received), ("sent", port.tx_packets, sent)]
        {
            if by_port != by_queue {
                broken.push(format!(
                    "port {}: {by_port} {done}, but {by_queue} by all of its queues",
                    port.name
                ));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::{
        LiveReport, PortReport, RxQueueReport, SessionReport, TxQueueReport, WorkerState,
    };

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
        report.ports[0].forwarded = 4;
        report.ports[0].between_workers = -1;
        assert_eq!(violations(&report), Vec::<String>::new());
        report.ports[0].between_workers = 2;
        assert_eq!(
            violations(&report),
            ["port p: 5 received, but 4 forwarded and 2 ended, 2 between workers"]
        );
        (report.ports[0].forwarded, report.ports[0].between_workers) = (2, 0);
        report.sessions[0].skipped[1] = 4;
        assert_eq!(
            violations(&report),
            [
                "port p: 5 received, but 2 forwarded and 2 ended",
                "session s: 4 matched, but 1 mirrored and 4 skipped"
            ]
        );
    }

    #[test]
    fn what_was_never_mirrored_adds_up() {
        let mut report = Report::default();
        report.unmirrored[Unmirrored::NeverMirrored as usize] = 3;
        report.never_mirrored_by[1] = 3;
        assert_eq!(violations(&report), Vec::<String>::new());
        report.never_mirrored_by[0] = 1;
        assert_eq!(
            violations(&report),
            ["3 evaluations never mirrored, but 4 by all of the reasons"]
        );
    }

    #[test]
    fn queues_that_do_not_add_up_are_told() {
        let port = PortReport {
            name: "p".into(),
            rx_packets: 5,
            forwarded: 5,
            tx_packets: 2,
            ..Default::default()
        };
        let rx = |packets| RxQueueReport { port: "p".into(), packets, ..Default::default() };
        let tx = |packets| TxQueueReport { port: "p".into(), packets, ..Default::default() };
        let one = WorkerState { rx: vec![rx(1), rx(1)], tx: vec![tx(2)], ..Default::default() };
        let other = WorkerState { rx: vec![rx(3)], ..Default::default() };
        let live = LiveReport { workers: vec![one, other], ..Default::default() };
        let mut report = Report { ports: vec![port], live: Some(live), ..Default::default() };
        assert_eq!(violations(&report), Vec::<String>::new());
        if let Some(live) = &mut report.live {
            live.workers[1].rx[0].packets = 4;
            live.workers[0].tx[0].packets = 1;
        }
        assert_eq!(
            violations(&report),
            [
                "port p: 5 received, but 6 by all of its queues",
                "port p: 2 sent, but 1 by all of its queues"
            ]
        );
    }
}
