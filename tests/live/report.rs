//! The report of `linetap status --json`, by name.

use serde_json::Value;

/// A report (DESIGN §7.3, and what only a running data plane has).
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// A counter by JSON pointer; panics when there is none.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.0
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no number {pointer} in {:#}", self.0))
    }

    fn session(&self, id: &str) -> &Value {
        let sessions = self.0["sessions"].as_array().unwrap();
        sessions.iter().find(|session| session["logical_id"] == id).unwrap()
    }

    /// Copies that were sent.
    pub(crate) fn mirrored(&self, session: &str) -> u64 {
        self.session(session)["mirrored_packets"].as_u64().unwrap()
    }

    /// Copies that were wanted and not sent, for one reason.
    pub(crate) fn skipped(&self, session: &str, reason: &str) -> u64 {
        self.session(session)["skipped"][reason].as_u64().unwrap()
    }

    /// Copies that were wanted and not sent.
    pub(crate) fn skipped_in_all(&self, session: &str) -> u64 {
        let reasons = self.session(session)["skipped"].as_object().unwrap();
        reasons.values().map(|count| count.as_u64().unwrap()).sum()
    }

    /// Evaluations that a rule settled.
    pub(crate) fn hits(&self, rule: &str) -> u64 {
        let rules = self.0["rules"].as_array().unwrap();
        let found = rules.iter().find(|found| found["logical_id"] == rule).unwrap();
        found["hits"].as_u64().unwrap()
    }

    /// Every port's frames in = forwarded + ended for a reason; and linetap sees no law broken either.
    pub(crate) fn assert_conservation(&self) {
        assert_eq!(self.0["live"]["violations"].as_array().map(Vec::len), Some(0), "{:#}", self.0);
        for (name, port) in self.0["ports"].as_object().unwrap() {
            let number = |key: &str| port[key].as_u64().unwrap();
            let ended: u64 = port["ended"]
                .as_object()
                .unwrap()
                .values()
                .map(|count| count.as_u64().unwrap())
                .sum();
            assert_eq!(number("rx_packets"), number("forwarded") + ended, "port {name}");
        }
    }
}
