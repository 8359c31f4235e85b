//! From capture files to frames with the times when they are due.

mod kept;
mod sieve;
mod totals;

use core::sync::atomic::AtomicBool;

use self::kept::Kept;
use self::sieve::Sieve;
pub use self::totals::Totals;
use self::totals::{Rules, scan};
use crate::captures::{Captures, is_regular};
use crate::flow::{flow_of, flow_with};
use crate::layers::Layers;
use crate::replay::{Joining, ReplayPlan, SplitBy};
use crate::rewrite::Rewriter;
use crate::schedule::Schedule;
use crate::split::{CLIENT, Splitter};

/// A cursor over the frames of a replay, through all its loops.
///
/// Thread: one of its own, which waits for disks. Cost: nothing is allocated per frame. What fits into
/// 64 MiB is read once; larger captures are read again in each loop.
#[derive(Debug)]
pub struct Player {
    source: Source,
    schedule: Schedule,
    sieve: Sieve,
    splitter: Option<Splitter>,
    rewriter: Rewriter,
    /// The present frame, where it was rewritten.
    rewritten: Vec<u8>,
    present: Present,
    limits: Limits,
    is_until_damage: bool,
    /// The silence before the next frame so far.
    gap_ns: u64,
    /// Frames so far, and of this loop; and where the captures are in it.
    frames: u64,
    frames_of_loop: u64,
    number: u64,
    totals: Option<Totals>,
    faults: Vec<String>,
    is_over: bool,
}

/// Where frames come from.
#[derive(Debug)]
enum Source {
    Kept(Kept),
    Captures(Captures),
}

/// What is known of the present frame beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Present {
    due_ns: u64,
    side: usize,
    flow: u32,
    loop_number: u64,
}

/// When it is over.
#[derive(Debug, Clone, Copy)]
struct Limits {
    loops: u64,
    frames: u64,
    duration_ns: u64,
}

/// A frame to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played<'a> {
    /// Its bytes, without a checksum.
    pub bytes: &'a [u8],
    /// When it is due, in nanoseconds since the replay's start; 0 at top speed.
    pub due_ns: u64,
    /// By which port: 0, the client's; 1, the server's.
    pub side: usize,
    /// The same for all frames of a flow, 14 bits ([`flow_of`]): so order within it can be one worker's.
    pub flow: u32,
    /// From 0.
    pub loop_number: u64,
}

impl Player {
    /// Opens captures and reads them to their end, where that is possible and wanted. Errors: all that is
    /// wrong, a sentence each.
    pub fn open(plan: &ReplayPlan) -> Result<Self, Vec<String>> {
        Self::open_until(plan, &AtomicBool::new(false))
    }

    /// The same, and reading to the end takes its time: once `stop` is set, it ends with an error.
    pub fn open_until(plan: &ReplayPlan, stop: &AtomicBool) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let is_readable_again = check(plan, &mut faults);
        let schedule = Schedule::new(plan.timing).unwrap_or_else(|fault| {
            faults.push(fault);
            Schedule::at_once()
        });
        let rewriter = Rewriter::new(&plan.rewrites).unwrap_or_else(|found| {
            faults.extend(found);
            Rewriter::default()
        });
        let splitter = plan
            .split
            .as_ref()
            .and_then(|split| Splitter::new(&split.by).map_err(|fault| faults.push(fault)).ok());
        let captures = || Captures::new(plan.files.clone(), plan.joining, plan.gap_max_ns);
        let mut player = Self {
            source: Source::Captures(captures()),
            sieve: Sieve::new(plan, &schedule),
            schedule,
            splitter,
            rewriter,
            rewritten: Vec::new(),
            present: Present::default(),
            limits: Limits::of(plan),
            is_until_damage: plan.reading.until_damage,
            gap_ns: 0,
            frames: 0,
            frames_of_loop: 0,
            number: 0,
            totals: None,
            faults: Vec::new(),
            is_over: false,
        };
        // Where a file is not there, that is all that can be told.
        if is_readable_again == Some(true) && !plan.reading.skip_scan {
            player.scan(captures(), stop, &mut faults);
        }
        if faults.is_empty() { Ok(player) } else { Err(faults) }
    }

    /// Reads all of the captures.
    fn scan(&mut self, mut captures: Captures, stop: &AtomicBool, faults: &mut Vec<String>) {
        let rules = Rules {
            stop,
            sieve: &self.sieve,
            rewriter: &self.rewriter,
            splitter: self.splitter.as_ref(),
        };
        let mut found = scan(&mut captures, &rules, self.schedule.clone());
        if self.is_until_damage {
            self.faults = found.damage;
        } else {
            found.faults.append(&mut found.damage);
        }
        if found.totals.frames == 0 && found.faults.is_empty() {
            found
                .faults
                .push("there is nothing to send: the captures have no such frame".to_owned());
        }
        faults.append(&mut found.faults);
        if let Some(kept) = found.kept {
            self.source = Source::Kept(kept);
        }
        self.totals = Some(found.totals);
    }

    /// What one loop comes to; `None` where captures could not be read, or were not to be read, before
    /// they are sent.
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.as_ref()
    }

    /// Moves to the next frame; false at the end of all, or at damage ([`Player::faults`]).
    #[inline]
    pub fn advance(&mut self) -> bool {
        if self.is_over || self.frames == self.limits.frames {
            self.is_over = true;
            return false;
        }
        match self.next() {
            Ok(true) => return true,
            Ok(false) => {}
            Err(fault) => self.faults.push(fault),
        }
        self.is_over = true;
        false
    }

    /// The present frame.
    #[inline]
    pub fn frame(&self) -> Played<'_> {
        let Present { due_ns, side, flow, loop_number } = self.present;
        let bytes = if self.is_over {
            &[]
        } else if self.rewriter.is_idle() {
            self.source.frame()
        } else {
            self.rewritten.as_slice()
        };
        Played { bytes, due_ns, side, flow, loop_number }
    }

    /// What was wrong on the way, a sentence each: damage, what came before it was sent.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The next frame, if there is one.
    fn next(&mut self) -> Result<bool, String> {
        let number = loop {
            if let Some(number) = self.pull()? {
                if self.is_wanted(number)? {
                    break number;
                }
            } else if !self.end_loop()? {
                return Ok(false);
            }
        };
        let frame = self.source.frame();
        let due_ns = self.schedule.due(self.gap_ns, self.rewriter.len_of(frame));
        if due_ns >= self.limits.duration_ns {
            return Ok(false);
        }
        self.gap_ns = 0;
        self.frames += 1;
        self.frames_of_loop += 1;
        let loop_number = self.present.loop_number;
        let is_as_it_is = self.rewriter.is_idle();
        let (side, flow) = if is_as_it_is && self.splitter.is_none() {
            (CLIENT, flow_of(frame))
        } else {
            let mut layers = Layers::of(frame);
            let side = self
                .splitter
                .as_mut()
                .map_or(CLIENT, |splitter| splitter.side(frame, &layers, number));
            if is_as_it_is {
                (side, flow_with(frame, &layers))
            } else {
                self.rewriter.rewrite(frame, &mut layers, side, loop_number, &mut self.rewritten);
                (side, flow_with(&self.rewritten, &layers))
            }
        };
        self.present = Present { due_ns, side, flow, loop_number };
        Ok(true)
    }

    /// The number of the source's next frame, from 0; `None` at the end of the loop. Errors: damage.
    #[inline]
    fn pull(&mut self) -> Result<Option<u64>, String> {
        let captures = match &mut self.source {
            Source::Kept(kept) => {
                return Ok(kept.advance().map(|(gap_ns, number)| {
                    self.gap_ns = self.gap_ns.saturating_add(gap_ns);
                    number
                }));
            }
            Source::Captures(captures) => captures,
        };
        loop {
            match captures.advance() {
                Ok(Some(gap_ns)) => {
                    self.gap_ns = self.gap_ns.saturating_add(gap_ns);
                    self.number += 1;
                    return Ok(Some(self.number - 1));
                }
                Ok(None) => return Ok(None),
                Err(damage) if self.is_until_damage && damage.frames > 0 => {
                    // Once is enough, in whatever loop.
                    if !self.faults.contains(&damage.sentence) {
                        self.faults.push(damage.sentence);
                    }
                }
                Err(damage) => return Err(damage.sentence),
            }
        }
    }

    /// False for a frame that is passed over. Errors: one that forbids going on.
    #[inline]
    fn is_wanted(&self, number: u64) -> Result<bool, String> {
        let Source::Captures(captures) = &self.source else {
            return Ok(true); // or it would not have been kept
        };
        if self.splitter.as_ref().is_some_and(|splitter| !splitter.is_sent(number)) {
            return Ok(false);
        }
        let frame = captures.frame();
        let len = self.rewriter.len_of(frame);
        if !self.sieve.passes(len, self.rewriter.is_tagged_after(frame)) {
            if self.sieve.leaves_out {
                return Ok(false);
            }
            return Err(self.sieve.sentence(&captures.place(), len));
        }
        if self.sieve.is_endless(self.gap_ns) {
            return Err(Sieve::silence(&captures.place(), self.gap_ns));
        }
        Ok(true)
    }

    /// Ends a loop; false when it was the last. Errors: it was not what was read before, or nothing.
    fn end_loop(&mut self) -> Result<bool, String> {
        let frames = std::mem::take(&mut self.frames_of_loop);
        if let Some(totals) = self.totals.as_ref().filter(|totals| totals.frames != frames) {
            return Err(format!(
                "the captures were changed while they were sent: they had {} frames, and now {frames}",
                totals.frames
            ));
        }
        if frames == 0 {
            return Err("there is nothing to send: the captures have no such frame".to_owned());
        }
        if self.present.loop_number + 1 >= self.limits.loops {
            return Ok(false);
        }
        self.present.loop_number += 1;
        self.number = 0;
        if let Some(splitter) = &mut self.splitter {
            splitter.restart();
        }
        match &mut self.source {
            Source::Kept(kept) => kept.rewind(),
            Source::Captures(captures) => _ = captures.rewind(),
        }
        Ok(true)
    }
}

impl Source {
    #[inline]
    fn frame(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.frame(),
            Self::Captures(captures) => captures.frame(),
        }
    }
}

impl Limits {
    fn of(plan: &ReplayPlan) -> Self {
        Self {
            loops: plan.loops.unwrap_or(u64::MAX),
            frames: plan.limit.unwrap_or(u64::MAX),
            duration_ns: plan.duration_ns.unwrap_or(u64::MAX),
        }
    }
}

/// What is wrong before anything is read. Returns whether all files can be read more than once; `None` where
/// one is not there.
fn check(plan: &ReplayPlan, faults: &mut Vec<String>) -> Option<bool> {
    let mut is_regular_all = Some(true);
    for file in &plan.files {
        match is_regular(file) {
            Ok(is_regular) => is_regular_all = is_regular_all.map(|all| all && is_regular),
            Err(fault) => {
                faults.push(fault);
                is_regular_all = None;
            }
        }
    }
    if plan.files.is_empty() {
        faults.push("there is nothing to send: no capture was given".to_owned());
    }
    if plan.loops == Some(0) {
        faults.push("there is nothing to send: no loop was asked for".to_owned());
    }
    if is_regular_all == Some(false) && plan.loops != Some(1) {
        faults.push(
            "a pipe can be read only once: it is sent in one loop, or written to a file first"
                .to_owned(),
        );
    }
    let is_by_number =
        plan.split.as_ref().is_some_and(|split| matches!(split.by, SplitBy::Cache(_)));
    if is_by_number && plan.joining == Joining::Merged && plan.files.len() > 1 {
        faults.push(
            "tcpprep's file tells of the frames of one capture after the other: --concatenate them"
                .to_owned(),
        );
    }
    is_regular_all
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod real;
#[cfg(test)]
mod speed;
