//! What came of a replay.

use driver::TscClock;
use engine::port::Clock as _;
use engine::ticks::Scale;
use traffic::feeder::Fed;
use traffic::histogram;
use traffic::replay::ReplayReport;

use super::conductor::Conducted;

/// All that is known at the end.
pub(super) struct Outcome {
    pub(super) conducted: Conducted,
    pub(super) fed: Fed,
    /// Frames that devices took and could not send.
    pub(super) errors: u64,
    /// Frames of a loop, where that is known.
    pub(super) loop_frames: Option<u64>,
    pub(super) is_timed: bool,
}

impl Outcome {
    pub(super) fn report(self) -> ReplayReport {
        let Self { conducted, fed, errors, loop_frames, is_timed } = self;
        let accounts = &conducted.accounts;
        let sum =
            |of: fn(&traffic::sender::SenderAccount) -> u64| accounts.iter().map(of).sum::<u64>();
        let packets = sum(|it| it.packets).saturating_sub(errors);
        let failed = [
            ("longer than a buffer", fed.too_long),
            ("the device could not send them", errors),
            (
                "still waiting at the end",
                if conducted.was_stopped { 0 } else { sum(|it| it.unsent) },
            ),
        ];
        let failed = failed.into_iter().filter(|(_, count)| *count > 0);
        let first = accounts.iter().filter_map(|it| it.first).min().unwrap_or(0);
        let last = accounts.iter().map(|it| it.last).max().unwrap_or(0);
        let mut faults = fed.faults;
        let starved = sum(|it| it.starved);
        if starved > 0 {
            faults.push(format!(
                "frames were read too slowly {starved} times and sent late: keep the capture on a faster disk, or \
                 uncompressed"
            ));
        }
        ReplayReport {
            packets,
            bytes: sum(|it| it.bytes),
            wire_bytes: sum(|it| it.wire_bytes),
            failed: failed.map(|(why, count)| (why.to_owned(), count)).collect(),
            loops: loop_frames.map_or(fed.loops, |frames| sum(|it| it.packets) / frames.max(1)),
            elapsed_ns: Scale::new(TscClock::hz()).ns(last.saturating_sub(first)),
            timing_error: is_timed.then(|| histogram::encode(&conducted.error)),
            faults,
            was_stopped: conducted.was_stopped,
        }
    }
}
