//! What all workers have counted, as the result of the trial.

use engine::ticks::Scale;

use crate::frames::FrameSet;
use crate::generator::Sent;
use crate::histogram;
use crate::receiver::Tally;
use crate::station::{Account, Ended};
use crate::trial::{CopyPlan, Received, TrialPlan, TrialResult};

/// Adds up the workers' accounts. `ports`: names; `scale`: that of the clock.
pub fn result(
    plan: &TrialPlan,
    ports: &[String],
    accounts: Vec<Account>,
    ended: Ended,
    scale: Scale,
) -> TrialResult {
    let mut streams: Vec<Sum> = plan.streams.iter().map(|_| Sum::default()).collect();
    let networks = plan.copies.as_ref().map_or(0, |copies| copies.vnis.len());
    let mut copies: Vec<Sum> = (0..networks).map(|_| Sum::default()).collect();
    let mut foreign = vec![0; ports.len()];
    let mut last_ticks = 0;
    for account in accounts {
        for (sent, frames) in account.sent.into_iter().zip(&account.frames) {
            if let Some(plan) = &plan.copies {
                for (at, network) in copies.iter_mut().enumerate() {
                    network.expect(plan, at, sent, frames);
                }
            }
            last_ticks = last_ticks.max(sent.last_ticks);
            if let Some(stream) = streams.get_mut(usize::from(sent.stream)) {
                stream.add_sent(sent, scale);
            }
        }
        let of_ports = account.came.into_iter().zip(&mut foreign);
        for (came, foreign) in of_ports.filter_map(|(came, foreign)| Some((came?, foreign))) {
            *foreign += came.foreign;
            for (stream, tally) in streams.iter_mut().zip(came.streams) {
                if let Some(tally) = tally {
                    stream.add(tally);
                }
            }
            for (network, tallies) in copies.iter_mut().zip(came.copies) {
                tallies.into_iter().for_each(|tally| network.add(tally));
            }
        }
    }
    let streams: Vec<Received> = streams.into_iter().map(Sum::finish).collect();
    let copies = copies.into_iter().map(Sum::finish);
    let is_whole = ended == Ended::Well && plan.burst.is_none();
    TrialResult {
        faults: faults(plan, ports, &streams, ended),
        copies: copies.collect(),
        foreign,
        duration_ns: if is_whole { plan.duration_ns } else { scale.ns(last_ticks) },
        streams,
    }
}

/// What is added up of one stream or network.
#[derive(Default)]
struct Sum {
    counts: Received,
    tally: Option<Tally>,
}

impl Sum {
    fn add_sent(&mut self, sent: Sent, scale: Scale) {
        self.counts.intended += sent.intended;
        self.counts.sent += sent.sent;
        self.counts.late_ns_max = self.counts.late_ns_max.max(scale.ns(sent.late_ticks_max));
    }

    /// Adds the copies of a stream's frames that are expected in a network.
    /// Cost: some ten nanoseconds per frame where they are not those of all frames.
    fn expect(&mut self, plan: &CopyPlan, network: usize, sent: Sent, frames: &FrameSet) {
        let all = sent.intended.max(sent.sent);
        if plan.sources.is_empty() {
            self.counts.intended += sent.intended;
            self.counts.sent += sent.sent;
            return;
        }
        let is_wanted = |number: &u64| plan.wants(network, || frames.source_port(*number));
        // Frames are sent in the order of their numbers.
        let count = |range: std::ops::Range<u64>| range.filter(is_wanted).count() as u64;
        let sent_wanted = count(0..sent.sent);
        self.counts.sent += sent_wanted;
        self.counts.intended += sent_wanted + count(sent.sent..all);
    }

    fn add(&mut self, tally: Tally) {
        match &mut self.tally {
            None => self.tally = Some(tally),
            Some(sum) => sum.add(&tally),
        }
    }

    fn finish(self) -> Received {
        let Some(tally) = self.tally else { return self.counts };
        Received {
            received: tally.sequence.received,
            duplicated: tally.sequence.duplicated,
            reordered: tally.sequence.reordered,
            corrupted: tally.corrupted,
            rewritten: tally.rewritten,
            bytes: tally.bytes,
            latency: histogram::encode(&tally.sequence.latency),
            jitter: histogram::encode(&tally.sequence.jitter),
            ..self.counts
        }
    }
}

fn faults(plan: &TrialPlan, ports: &[String], streams: &[Received], ended: Ended) -> Vec<String> {
    let mut faults = Vec::new();
    match ended {
        Ended::Well => {}
        Ended::Stopped => faults.push("it was stopped before its end".to_owned()),
        Ended::NeverBegan => faults.push(
            "the workers were not ready within 10 seconds: are their cores free for them?"
                .to_owned(),
        ),
    }
    for (stream, received) in plan.streams.iter().zip(streams) {
        if ended == Ended::Well && received.sent == 0 {
            let port = ports.get(stream.tx).map_or("", String::as_str);
            faults.push(format!(
                "port `{port}` took no frame: has it a link, is its other end there?"
            ));
        }
    }
    faults
}
