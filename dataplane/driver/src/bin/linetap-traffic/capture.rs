//! The job `capture`.

use traffic::capture::CapturePlan;
use traffic::link::Event;

use crate::desk::Desk;

/// Runs it to its end. Returns its report, or why it was refused.
pub(crate) fn run(_desk: &mut Desk, _plan: &CapturePlan) -> Event {
    Event::Refused(vec!["this linetap-traffic can't capture yet".to_owned()])
}
