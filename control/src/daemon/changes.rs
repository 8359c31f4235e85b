//! What is worth a line in the log: what has changed since the last look.

use engine::drop_reason::Skipped;
use engine::report::{LiveReport, Report};

use crate::link::DataplaneError;
use crate::report::violations;

/// Looks between two lines about skipped copies: they come with every packet, lines must not.
const LOOKS_PER_SUMMARY: u32 = 60;

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    before: Report,
    /// The report of the last summary of skipped copies.
    summed_up: Report,
    looks: u32,
    was_unreachable: bool,
}

impl Changes {
    /// Logs what differs from the report before.
    pub(super) fn note(&mut self, report: Report) {
        self.was_unreachable = false;
        if let Some(live) = &report.live {
            self.note_links(live);
            self.note_neighbors(live);
        }
        let broken = violations(&report);
        if !broken.is_empty() && broken != violations(&self.before) {
            for law in broken {
                log::error!("packets are not accounted for: {law}");
            }
        }
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_SUMMARY) {
            for line in skipped_since(&self.summed_up, &report) {
                log::warn!("{line}");
            }
            self.summed_up = report.clone();
        }
        self.before = report;
    }

    /// Logs once that nobody answers.
    pub(super) fn unreachable(&mut self, error: &DataplaneError) {
        if !self.was_unreachable {
            log::warn!("{error}; trying again until it does");
        }
        self.was_unreachable = true;
    }

    fn note_links(&self, live: &LiveReport) {
        let before = self.before.live.as_ref().map_or(&[][..], |live| &live.ports);
        for port in &live.ports {
            let then = before.iter().find(|then| then.name == port.name);
            if then.map(|then| then.link_up) != Some(port.link_up) {
                let state = if port.link_up { "up" } else { "DOWN" };
                log::info!("port {}: the link is {state}", port.name);
            }
        }
    }

    fn note_neighbors(&self, live: &LiveReport) {
        let before = self.before.live.as_ref().map_or(&[][..], |live| &live.neighbors);
        for neighbor in &live.neighbors {
            let is_same = |then: &&engine::report::NeighborState| {
                (&then.target, then.address) == (&neighbor.target, neighbor.address)
            };
            let then = before.iter().find(is_same);
            if then.is_some_and(|then| then.mac() == neighbor.mac()) {
                continue;
            }
            let (target, address) = (&neighbor.target, neighbor.address);
            match neighbor.mac() {
                Some(mac) => log::info!("target {target}: {address} is at {mac}"),
                None => log::warn!("target {target}: the way to {address} is not known (yet)"),
            }
        }
    }
}

/// A line per session that has lost copies since.
fn skipped_since(before: &Report, now: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for session in &now.sessions {
        let then = before.sessions.iter().find(|then| then.id == session.id);
        let lost: Vec<String> = Skipped::ALL
            .iter()
            .zip(session.skipped.iter().enumerate())
            .filter_map(|(reason, (at, &count))| {
                let count = count.saturating_sub(then.map_or(0, |then| then.skipped[at]));
                (count > 0).then(|| format!("{} {count}", reason.name()))
            })
            .collect();
        if !lost.is_empty() {
            lines.push(format!("session {}: copies skipped: {}", session.id, lost.join(", ")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::SessionReport;

    #[test]
    fn only_what_was_skipped_since_is_told() {
        let report = |skipped: u64| {
            let mut session = SessionReport { id: "S".into(), ..Default::default() };
            session.skipped[Skipped::NoNeighbor as usize] = skipped;
            Report { sessions: vec![session], ..Default::default() }
        };
        assert_eq!(skipped_since(&report(5), &report(5)), Vec::<String>::new());
        assert_eq!(
            skipped_since(&report(5), &report(7)),
            ["session S: copies skipped: no_neighbor 2"]
        );
        assert_eq!(skipped_since(&Report::default(), &report(7)).len(), 1);
    }
}
