//! What the checks of a member, one after another, say of it: no clock, no network.

use engine::snapshot::{Cause, Health};

use crate::config::HealthCheck;

/// What one check has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The member answers as it should.
    Passed,
    /// It does not; why, also in a few words.
    Failed(Cause, String),
    /// Nothing about the member: it could not be asked.
    Unable(String),
}

/// What stands before the reason when a check could not be made.
pub const UNABLE: &str = "can't be checked: ";

/// What is said of a member from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What has been found.
    pub(super) state: Health,
    /// Why; empty of a healthy member.
    pub(super) reason: String,
}

/// Counts the checks of one member against its thresholds, as target groups do.
///
/// A member of which nothing is known yet is healthy after one check that it passes, and unhealthy
/// after as many failures as one that was healthy. A check that could not be made counts for nothing.
#[derive(Debug)]
pub(super) struct Gauge {
    healthy_threshold: u8,
    unhealthy_threshold: u8,
    finding: Finding,
    /// Checks in a row that speak against the finding.
    against: u8,
    /// The last check could not be made.
    is_blind: bool,
}

impl Gauge {
    /// A gauge that has found this before.
    pub(super) fn new(check: &HealthCheck, finding: Finding) -> Self {
        let HealthCheck { healthy_threshold, unhealthy_threshold, .. } = *check;
        let is_blind = finding.reason.starts_with(UNABLE);
        Self { healthy_threshold, unhealthy_threshold, finding, against: 0, is_blind }
    }

    /// Takes the next check; returns what is said from now on if that is something else.
    pub(super) fn take(&mut self, outcome: Outcome) -> Option<Finding> {
        let (state, reason) = match outcome {
            Outcome::Passed => (Health::Healthy, String::new()),
            Outcome::Failed(cause, reason) => (Health::Unhealthy(cause), reason),
            Outcome::Unable(why) => {
                let was_blind = std::mem::replace(&mut self.is_blind, true);
                let reason = format!("{UNABLE}{why}");
                return (!was_blind).then_some(Finding { state: self.finding.state, reason });
            }
        };
        let was_blind = std::mem::take(&mut self.is_blind);
        let needed = match (self.finding.state, state) {
            (Health::Healthy, Health::Healthy) | (Health::Unhealthy(_), Health::Unhealthy(_)) => 0,
            (Health::Initial, Health::Healthy) => 1,
            (_, Health::Healthy) => self.healthy_threshold,
            (_, _) => self.unhealthy_threshold,
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return was_blind.then(|| self.finding.clone());
        }
        self.against = 0;
        if needed == 0 && !was_blind {
            // The first reason stands.
            return None;
        }
        self.finding = Finding { state, reason };
        Some(self.finding.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Probe;

    fn gauge(state: Health) -> Gauge {
        let check = HealthCheck {
            probe: Probe::Icmp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: 3,
            unhealthy_threshold: 2,
        };
        Gauge::new(&check, Finding { state, reason: String::new() })
    }

    fn failed() -> Outcome {
        Outcome::Failed(Cause::Failed, "connection refused".to_owned())
    }

    fn state(finding: Option<Finding>) -> Option<Health> {
        finding.map(|finding| finding.state)
    }

    #[test]
    fn so_many_failures_in_a_row_make_it_unhealthy_and_so_many_successes_healthy() {
        let mut gauge = gauge(Health::Healthy);
        for outcome in [failed(), Outcome::Passed, failed()] {
            assert_eq!(gauge.take(outcome), None);
        }
        let down = gauge.take(failed()).unwrap();
        assert_eq!(down.state, Health::Unhealthy(Cause::Failed));
        assert_eq!(down.reason, "connection refused");
        for outcome in
            [failed(), Outcome::Passed, Outcome::Passed, failed(), Outcome::Passed, Outcome::Passed]
        {
            assert_eq!(gauge.take(outcome), None);
        }
        assert_eq!(state(gauge.take(Outcome::Passed)), Some(Health::Healthy));
    }

    #[test]
    fn one_success_is_enough_at_first_and_one_failure_is_not() {
        assert_eq!(state(gauge(Health::Initial).take(Outcome::Passed)), Some(Health::Healthy));
        let mut gauge = gauge(Health::Initial);
        assert_eq!(gauge.take(failed()), None);
        assert_eq!(state(gauge.take(failed())), Some(Health::Unhealthy(Cause::Failed)));
    }

    #[test]
    fn a_check_that_could_not_be_made_is_told_once_and_counts_for_nothing() {
        let mut gauge = gauge(Health::Healthy);
        assert_eq!(gauge.take(failed()), None);
        let unable = || Outcome::Unable("no sockets are left".to_owned());
        let blind = gauge.take(unable()).unwrap();
        assert_eq!(
            (blind.state, &*blind.reason),
            (Health::Healthy, "can't be checked: no sockets are left")
        );
        assert_eq!(gauge.take(unable()), None);
        assert_eq!(
            state(gauge.take(failed())),
            Some(Health::Unhealthy(Cause::Failed)),
            "the failure before counts"
        );
        assert!(gauge.take(unable()).is_some());
        let seeing = gauge.take(failed()).unwrap();
        assert_eq!(
            (seeing.state, &*seeing.reason),
            (Health::Unhealthy(Cause::Failed), "connection refused")
        );
    }

    proptest! {
        /// The finding is that of the last run of equal checks that was long enough.
        #[test]
        fn it_agrees_with_a_look_back(
            checks in proptest::collection::vec(any::<bool>(), 0..60),
            starts_healthy in any::<bool>(),
        ) {
            let of = |passes| if passes { Health::Healthy } else { Health::Unhealthy(Cause::Failed) };
            let mut gauge = gauge(of(starts_healthy));
            let mut now = of(starts_healthy);
            for (at, &passes) in checks.iter().enumerate() {
                let outcome = if passes { Outcome::Passed } else { failed() };
                now = state(gauge.take(outcome)).unwrap_or(now);
                let is_long_run = |end: &usize| {
                    let (kind, earlier) = (checks[*end], checks[..=*end].iter().rev());
                    earlier.take_while(|&&it| it == kind).count() >= if kind { 3 } else { 2 }
                };
                let last = (0..=at).rev().find(is_long_run);
                prop_assert_eq!(now, last.map_or(of(starts_healthy), |end| of(checks[end])));
            }
        }
    }
}
