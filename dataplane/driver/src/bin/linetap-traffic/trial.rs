//! The job `trial`.

use traffic::link::Event;
use traffic::trial::TrialPlan;

use crate::desk::Desk;

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(_desk: &mut Desk, _plan: &TrialPlan) -> Event {
    Event::Refused(vec!["this linetap-traffic can't trial yet".to_owned()])
}
