//! Which frames can be sent, and what is said of the others.

use engine::wire::{ethernet, vlan};

use crate::replay::ReplayPlan;
use crate::schedule::Schedule;

/// A silence that lasts longer than an hour when it is sent is an error of a clock, or not what anybody
/// waits for, unless a limit for silences was given.
const SILENCE_MAX_NS: u64 = 3_600_000_000_000;

/// What can be sent.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    len_max: usize,
    /// Frames that can't be sent are left out.
    pub(super) leaves_out: bool,
    /// The longest silence, in the capture's nanoseconds.
    gap_max_ns: u64,
}

impl Sieve {
    pub(super) fn new(plan: &ReplayPlan, schedule: &Schedule) -> Self {
        let limit = if plan.gap_max_ns.is_some() { None } else { schedule.gap_of(SILENCE_MAX_NS) };
        Self {
            len_max: plan.reading.frame_len_max.map_or(usize::MAX, |len| len as usize),
            leaves_out: plan.reading.leave_out,
            gap_max_ns: limit.unwrap_or(u64::MAX),
        }
    }

    /// True for a frame that can be sent: `len` bytes after rewriting, with a tag that counts for nothing.
    #[inline]
    pub(super) fn passes(&self, len: usize, is_tagged: bool) -> bool {
        let counted = if is_tagged { len.saturating_sub(vlan::TAG_LEN) } else { len };
        len >= ethernet::HEADER_LEN && counted <= self.len_max
    }

    /// Why a frame can't be sent.
    pub(super) fn sentence(&self, place: &str, len: usize) -> String {
        let what = match len {
            0 => "has no bytes".to_owned(),
            _ if len < ethernet::HEADER_LEN => {
                format!(
                    "has {len} bytes, fewer than an Ethernet header of {}",
                    ethernet::HEADER_LEN
                )
            }
            _ => format!(
                "is sent with {len} bytes, more than the port's MTU lets through ({})",
                self.len_max
            ),
        };
        format!("{place} {what}; --leave-out sends the others")
    }

    /// True for a silence that nobody waits for.
    #[inline]
    pub(super) fn is_endless(&self, gap_ns: u64) -> bool {
        gap_ns > self.gap_max_ns
    }

    /// Of such a silence.
    pub(super) fn silence(place: &str, gap_ns: u64) -> String {
        let hours = gap_ns / SILENCE_MAX_NS;
        let duration = match hours {
            0..48 => format!("{hours} hours"),
            _ => format!("{} days", hours / 24),
        };
        format!("{place} comes {duration} or more after the one before; --gap-max cuts silences")
    }
}
