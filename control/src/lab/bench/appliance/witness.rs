//! What the appliance itself counted during each trial, and whether that agrees with what was seen outside.

use std::thread;
use std::time::{Duration, Instant};

use engine::drop_reason::{Ended, Skipped};
use engine::report::Report;
use serde::{Deserialize, Serialize};

use super::dataplane::SelfError;
use crate::lab::bench::trial::Counts;
use crate::link::Dataplane;
use crate::report::violations;

/// A worker that finds frames for so large a part of the time has no more of it.
const BUSY: f64 = 0.9;
/// A worker that was kept from its core tells of a trial so much later at most.
const TELL_WAIT: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the appliance counted during one trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Frames that it received.
    pub received: u64,
    /// Those that went on.
    pub forwarded: u64,
    /// Copies that were sent.
    pub copied: u64,
    /// Frames and copies that were not sent, by reason.
    pub lost: Vec<(String, u64)>,
    /// The part of the offered time for which its busiest worker had frames to look at; above 1 where it was still
    /// at it afterwards.
    pub busy: f64,
}

/// What keeps a device from more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Its workers' time.
    Cpu,
    /// The tool port does not take more copies.
    ToolPort,
    /// The wire's other port does not take more frames.
    WirePort,
    /// Who sends.
    Sender,
}

impl Limit {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "the data plane's core",
            Self::ToolPort => "the tool port (egress)",
            Self::WirePort => "the wire's egress port",
            Self::Sender => "the sender",
        }
    }
}

/// Asks the appliance after each trial.
#[derive(Debug)]
pub struct Witness {
    link: Dataplane,
    before: Report,
}

impl Witness {
    /// Begins now. Errors: the appliance does not answer.
    pub fn new(mut link: Dataplane) -> Result<Self, SelfError> {
        let before = link.report()?;
        Ok(Self { link, before })
    }

    /// What it counted since the last time, in which frames were offered for so many seconds and its ports took
    /// `sent` of them; its workers tell what they have counted a moment later. Errors: it does not answer; its
    /// counters do not add up.
    pub fn look(&mut self, offered_s: f64, sent: u64) -> anyhow::Result<Seen> {
        let deadline = Instant::now() + TELL_WAIT;
        let (now, seen) = loop {
            let now = self.link.report()?;
            let seen = between(&self.before, &now, offered_s);
            if seen.received >= sent || Instant::now() >= deadline {
                break (now, seen);
            }
            thread::sleep(LOOK_AGAIN);
        };
        let broken = violations(&now);
        if !broken.is_empty() {
            anyhow::bail!("the appliance's counters do not add up: {}", broken.join("; "));
        }
        self.before = now;
        Ok(seen)
    }
}

/// The difference between two reports.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
fn between(before: &Report, now: &Report, offered_s: f64) -> Seen {
    let mut seen = Seen::default();
    let mut lost: Vec<(String, u64)> = Vec::new();
    let mut add = |name: &str, new: u64, old: u64| {
        let count = new.saturating_sub(old);
        match lost.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count,
            None if count > 0 => lost.push((name.to_owned(), count)),
            None => {}
        }
    };
    for (new, old) in now.ports.iter().zip(&before.ports) {
        seen.received += new.rx_packets.saturating_sub(old.rx_packets);
        seen.forwarded += new.forwarded.saturating_sub(old.forwarded);
        for reason in Ended::ALL {
            if *reason != Ended::Tap {
                let at = *reason as usize;
                add(reason.name(), new.ended[at], old.ended[at]);
            }
        }
    }
    // Sessions of another configuration are others: counters begin anew.
    for new in &now.sessions {
        let old = before.sessions.iter().find(|old| old.id == new.id && old.matched <= new.matched);
        let was = |of: fn(&engine::report::SessionReport) -> u64| old.map_or(0, of);
        seen.copied += new.mirrored_packets - was(|it| it.mirrored_packets);
        for reason in Skipped::ALL {
            let at = *reason as usize;
            add(reason.name(), new.skipped[at], old.map_or(0, |it| it.skipped[at]));
        }
    }
    if let (Some(new), Some(old)) = (&now.live, &before.live) {
        let busy = |(new, old): (&engine::report::WorkerState, &engine::report::WorkerState)| {
            new.busy_ns.saturating_sub(old.busy_ns)
        };
        let most = new.workers.iter().zip(&old.workers).map(busy).max().unwrap_or(0);
        seen.busy = most as f64 / 1e9 / offered_s.max(1e-9);
        // The devices' own losses: no room, no buffer.
        for (new, old) in new.ports.iter().zip(&old.ports) {
            let (Some(new), Some(old)) = (new.losses, old.losses) else { continue };
            add("imissed", new.imissed, old.imissed);
            add("rx_nombuf", new.rx_nombuf, old.rx_nombuf);
        }
    }
    seen.lost = lost;
    seen
}

impl Seen {
    /// What kept it from more in a trial in which something was lost; `None` when nothing was.
    pub fn limit(&self, wire: &Counts, copies: Option<&Counts>) -> Option<Limit> {
        // Copies with other bytes are no matter of what is short.
        let missing = |copies: &Counts| copies.lost().saturating_sub(copies.corrupted);
        let lost = wire.lost() + copies.map_or(0, missing);
        if lost == 0 {
            return None;
        }
        let count = |reason: &str| {
            self.lost.iter().find(|(name, _)| name == reason).map_or(0, |(_, count)| *count)
        };
        let tool = count(Skipped::ToolCongested.name());
        let port = count(Ended::WireCongested.name());
        Some(match (tool, port) {
            // A full ring to it is the sign of a worker that has no time, if it has none.
            (0, 0) if self.busy >= BUSY => Limit::Cpu,
            (0, 0) => Limit::Sender,
            (tool, port) if tool >= port => Limit::ToolPort,
            _ => Limit::WirePort,
        })
    }

    /// Where it contradicts what was seen outside, a sentence each. `copies`: those that came; a port of `net_memif`
    /// loses nothing that it took.
    pub fn contradictions(&self, wire: &Counts, copies: Option<&Counts>) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, inside: u64, outside: u64| {
            if inside != outside {
                found.push(format!("{what}: {inside} by the appliance, {outside} outside"));
            }
        };
        compare("frames that came in", self.received, wire.sent);
        if let Some(copies) = copies {
            let outside = copies.received + copies.corrupted + copies.duplicated;
            compare("copies that went out", self.copied, outside);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::{LiveReport, PortReport, SessionReport, WorkerState};

    fn report(received: u64, congested: u64, skipped: u64, busy_ns: u64) -> Report {
        let mut port =
            PortReport { name: "lan".into(), rx_packets: received, ..Default::default() };
        port.forwarded = received - congested;
        port.ended[Ended::WireCongested as usize] = congested;
        let mut session = SessionReport { id: "s".into(), matched: received, ..Default::default() };
        session.mirrored_packets = received - skipped;
        session.skipped[Skipped::ToolCongested as usize] = skipped;
        let worker = WorkerState { busy_ns, ..Default::default() };
        let live = LiveReport { workers: vec![worker], ..Default::default() };
        Report {
            ports: vec![port],
            sessions: vec![session],
            live: Some(live),
            ..Default::default()
        }
    }

    fn counts(sent: u64, received: u64) -> Counts {
        Counts { intended: 100, sent, received, ..Counts::default() }
    }

    #[test]
    fn what_happened_between_two_reports_is_their_difference() {
        let seen = between(&report(10, 1, 2, 5), &report(110, 4, 12, 500_000_005), 1.0);
        assert_eq!((seen.received, seen.forwarded, seen.copied), (100, 97, 90));
        let lost = [("wire_congested".to_owned(), 3), ("tool_congested".to_owned(), 10)];
        assert_eq!(seen.lost, lost);
        assert!((seen.busy - 0.5).abs() < 1e-9);
        // Another configuration's session of the same name begins at nothing.
        let again = between(&report(110, 0, 0, 0), &report(50, 0, 0, 0), 1.0);
        assert_eq!(again.copied, 50);
    }

    #[test]
    fn what_limits_is_who_did_not_take_more() {
        let limit =
            |seen: &Seen, copies: u64| seen.limit(&counts(100, 100), Some(&counts(100, copies)));
        let seen = between(&report(0, 0, 0, 0), &report(100, 0, 7, 1), 1.0);
        assert_eq!(limit(&seen, 93), Some(Limit::ToolPort));
        assert_eq!(limit(&seen, 100), None);
        let busy = Seen { busy: 0.95, ..Seen::default() };
        assert_eq!(busy.limit(&counts(90, 90), None), Some(Limit::Cpu));
        let idle = Seen { busy: 0.2, ..Seen::default() };
        assert_eq!(idle.limit(&counts(90, 90), None), Some(Limit::Sender));
        let wire = between(&report(0, 0, 0, 0), &report(100, 9, 0, 1), 1.0);
        assert_eq!(wire.limit(&counts(100, 91), None), Some(Limit::WirePort));
    }

    #[test]
    fn who_counts_otherwise_is_told() {
        let seen = between(&report(0, 0, 0, 0), &report(100, 0, 0, 1), 1.0);
        assert!(seen.contradictions(&counts(100, 100), Some(&counts(100, 100))).is_empty());
        let found = seen.contradictions(&counts(99, 99), Some(&counts(100, 98)));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], "frames that came in: 100 by the appliance, 99 outside");
    }
}
