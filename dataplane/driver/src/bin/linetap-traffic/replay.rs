//! The job `replay`.

use traffic::link::Event;
use traffic::replay::ReplayPlan;

use crate::desk::Desk;

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(_desk: &mut Desk, _plan: &ReplayPlan) -> Event {
    Event::Refused(vec!["this linetap-traffic can't replay yet".to_owned()])
}
