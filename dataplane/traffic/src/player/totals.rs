//! Reading captures to their end before anything is sent: what they come to, and what is wrong.

use core::sync::atomic::{AtomicBool, Ordering};

use super::kept::Kept;
use super::sieve::Sieve;
use crate::captures::Captures;
use crate::replay::Layer;
use crate::rewrite::Rewriter;
use crate::schedule::Schedule;
use crate::split::Splitter;

/// What one loop comes to, as it will be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames.
    pub frames: u64,
    /// Their bytes ([`Layer::L2`]).
    pub bytes: u64,
    /// Their bytes on the wire ([`Layer::L1`]).
    pub wire_bytes: u64,
    /// From the first frame to the first one of the next loop, in nanoseconds; 0 at top speed.
    pub duration_ns: u64,
    /// The longest frame, in bytes.
    pub longest: usize,
    /// Frames whose time is earlier than that of one before: they are sent at once.
    pub backwards: u64,
    /// Frames that no port can send, which are left out.
    pub left_out: u64,
}

impl Totals {
    fn count(&mut self, len: usize) {
        self.frames += 1;
        self.bytes += len as u64;
        self.wire_bytes += Layer::L1.bytes_of(len);
        self.longest = self.longest.max(len);
    }
}

/// What decides over frames.
pub(super) struct Rules<'a> {
    /// Ends the reading when it is set.
    pub(super) stop: &'a AtomicBool,
    pub(super) sieve: &'a Sieve,
    pub(super) rewriter: &'a Rewriter,
    pub(super) splitter: Option<&'a Splitter>,
}

/// What reading to the end brought.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) totals: Totals,
    /// The frames, where they fit into memory.
    pub(super) kept: Option<Kept>,
    /// Damage behind some frames, a sentence each.
    pub(super) damage: Vec<String>,
    /// What forbids sending, a sentence each.
    pub(super) faults: Vec<String>,
}

/// Something that is wrong with many frames: told of the first.
#[derive(Default)]
struct Complaint {
    first: Option<String>,
    more: u64,
}

impl Complaint {
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.first.is_none() {
            self.first = Some(what());
        } else {
            self.more += 1;
        }
    }

    fn sentence(self) -> Option<String> {
        let Self { first, more } = self;
        let first = first?;
        Some(if more == 0 { first } else { format!("{first} (and {more} more like it)") })
    }
}

/// Reads all.
pub(super) fn scan(captures: &mut Captures, rules: &Rules<'_>, mut schedule: Schedule) -> Scan {
    let mut scan = Scan { kept: Some(Kept::default()), ..Scan::default() };
    let [mut unsendable, mut silence] = [Complaint::default(), Complaint::default()];
    let (mut frames, mut gap) = (0u64, 0u64);
    loop {
        if rules.stop.load(Ordering::Relaxed) {
            scan.faults.push("stopped before the captures were read through".to_owned());
            break;
        }
        match captures.advance() {
            Ok(Some(before)) => gap = gap.saturating_add(before),
            Ok(None) => break,
            Err(damage) if damage.frames == 0 => {
                scan.faults.push(damage.sentence);
                continue;
            }
            Err(damage) => {
                scan.damage.push(damage.sentence);
                continue;
            }
        }
        let (frame, number) = (captures.frame(), frames);
        frames += 1;
        if rules.splitter.is_some_and(|splitter| !splitter.is_sent(number)) {
            continue;
        }
        let len = rules.rewriter.len_of(frame);
        if !rules.sieve.passes(len, rules.rewriter.is_tagged_after(frame)) {
            scan.totals.left_out += 1;
            unsendable.tell(|| rules.sieve.sentence(&captures.place(), len));
            continue;
        }
        if rules.sieve.is_endless(gap) {
            silence.tell(|| Sieve::silence(&captures.place(), gap));
        }
        scan.totals.count(len);
        schedule.due(gap, len);
        if scan.kept.as_mut().is_some_and(|kept| !kept.push(frame, gap, number)) {
            scan.kept = None;
        }
        gap = 0;
    }
    let last_gap = gap.saturating_add(captures.rewind());
    if let Some(kept) = &mut scan.kept {
        kept.finish(last_gap);
    }
    scan.totals.duration_ns = schedule.end(last_gap);
    scan.totals.backwards = captures.backwards();
    scan.faults.extend(unsendable.sentence().filter(|_| !rules.sieve.leaves_out));
    scan.faults.extend(silence.sentence());
    let told = rules.splitter.and_then(Splitter::frames).filter(|&told| told != frames);
    scan.faults.extend(told.map(|told| {
        format!("tcpprep's file tells of {told} frames, and the captures have {frames}")
    }));
    scan
}
