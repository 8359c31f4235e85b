//! The publisher's side of all workers: hands them views, takes back old ones, adds up counters.
//!
//! Counters of sessions and rules are kept by name: when a view comes back, its counters go to the
//! names they belong to, so they go on growing across changes of the configuration. What has gone from it
//! for long is forgotten.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::drop_reason::{NeverMirrored, Unmirrored};
use crate::flow_table::FlowTable;
use crate::latency::Latency;
use crate::publish::{Publisher, channel};
use crate::report::{PortReport, Report, RuleReport, SessionReport};
use crate::rule_table::CompiledTable;
use crate::snapshot::{IdleSpec, Snapshot};
use crate::stats::{
    LaneStats, PortStats, SessionStats, ToolStats, ViewStats, WorkerStats, add_all,
};
use crate::view::View;

mod states;
mod worker_end;

use worker_end::Reports;
pub use worker_end::{Queues, ReportBuffer, WorkerEnd};

/// So many names are not worth being forgotten.
const FORGOTTEN_MIN: usize = 1024;

/// The state of the ports' links, written by the publisher and read by all workers.
pub type Links = Arc<[AtomicBool]>;

/// A view in one worker's hands, with that worker's counters for it.
#[derive(Debug)]
pub struct WorkerView<T = CompiledTable> {
    /// Shared by all workers.
    pub view: Arc<View<T>>,
    /// This worker's own.
    pub stats: ViewStats,
    /// Grows with every publication, also of the same snapshot with other neighbours.
    pub generation: u64,
    /// This worker's own times, where they are measured.
    pub latency: Option<Box<Latency>>,
    /// What this worker remembers of flows, where some are to stay at their tools; handed on from view to
    /// view.
    pub flows: Option<Box<FlowTable>>,
    /// What the worker does while nothing comes.
    pub idle: IdleSpec,
    /// Copies wait no longer for others, to leave with them.
    pub tx_drain_ns: u64,
    /// What `stats` are counters of.
    names: Arc<Names>,
}

/// What the counters of a view belong to.
#[derive(Debug)]
struct Names {
    sessions: Vec<String>,
    tools: Vec<ToolId>,
    rules: Vec<String>,
}

/// The name of its target, and its address.
type ToolId = (String, IpAddr);

impl Names {
    fn zeroes(&self) -> ViewStats {
        ViewStats::new(self.sessions.len(), self.tools.len(), self.rules.len())
    }
}

impl<T> WorkerView<T> {
    /// Takes from the view before what the worker is to keep.
    fn inherit(&mut self, before: &mut Self) {
        let flows = self.view.sticky_flows;
        // A spare one goes back with the view.
        if flows > 0 && before.flows.as_ref().is_some_and(|table| table.is_for(flows)) {
            core::mem::swap(&mut self.flows, &mut before.flows);
        }
    }
}

/// The publisher's hold on one worker.
#[derive(Debug)]
struct Member<T> {
    core: u16,
    views: Publisher<WorkerView<T>>,
    reports: Arc<Reports>,
    taken_up: Arc<AtomicU64>,
    /// The last answer.
    last: Box<ReportBuffer>,
    is_asked: bool,
}

impl<T> Member<T> {
    fn queues(&self) -> Option<&Queues> {
        self.reports.queues.get()
    }
}

/// Counters of all workers.
struct Totals {
    /// Packets and bytes by port.
    received: Vec<(u64, u64)>,
    /// The others by port.
    ports: Vec<PortStats>,
    unmirrored: [u64; Unmirrored::COUNT],
    never_mirrored: [u64; NeverMirrored::COUNT],
}

impl Totals {
    fn add(&mut self, queues: Option<&Queues>, worker: &WorkerStats) {
        let lanes = queues.iter().flat_map(|queues| &queues.rx).zip(&worker.lanes);
        for (&(port, _), lane) in lanes {
            if let Some((packets, bytes)) = self.received.get_mut(port.at()) {
                *packets += lane.packets;
                *bytes += lane.bytes;
            }
        }
        for (total, port) in self.ports.iter_mut().zip(&worker.ports) {
            total.add(port);
        }
        add_all(&mut self.unmirrored, &worker.unmirrored);
        add_all(&mut self.never_mirrored, &worker.never_mirrored);
    }
}

/// All workers of a data plane. Thread: publisher.
#[derive(Debug)]
pub struct Roster<T = CompiledTable> {
    members: Vec<Member<T>>,
    snapshot: Arc<Snapshot>,
    view: Arc<View<T>>,
    names: Arc<Names>,
    generation: u64,
    sessions: HashMap<String, SessionStats>,
    tools: HashMap<ToolId, ToolStats>,
    rule_hits: HashMap<String, u64>,
    latency: Latency,
    links: Links,
}

impl<T> Roster<T> {
    /// A roster of one worker per configured core, all starting with `view`.
    pub fn new(snapshot: Arc<Snapshot>, view: &Arc<View<T>>) -> (Self, Vec<WorkerEnd<T>>) {
        let links: Links = snapshot.ports.iter().map(|_| AtomicBool::new(true)).collect();
        let names = names_of(&snapshot);
        let mut roster = Self {
            members: Vec::new(),
            names,
            generation: 1,
            sessions: HashMap::new(),
            tools: HashMap::new(),
            rule_hits: HashMap::new(),
            latency: Latency::new(),
            links,
            snapshot,
            view: Arc::clone(view),
        };
        let mut ends = Vec::new();
        for &core in &roster.snapshot.dataplane.workers {
            let (views, subscriber) = channel(Box::new(roster.worker_view(true)));
            let reports = Arc::new(Reports::new());
            let taken_up = Arc::new(AtomicU64::new(roster.generation));
            ends.push(WorkerEnd {
                views: subscriber,
                reports: Arc::clone(&reports),
                taken_up: Arc::clone(&taken_up),
                links: Arc::clone(&roster.links),
            });
            let last = Box::default();
            roster.members.push(Member { core, views, reports, taken_up, last, is_asked: false });
        }
        (roster, ends)
    }

    /// The snapshot that was published last.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The view that was published last.
    pub fn view(&self) -> &Arc<View<T>> {
        &self.view
    }

    /// Which ports have a link: to be kept up to date by the publisher.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Hands `view`, compiled from `snapshot`, to every worker. Returns at once; see
    /// [`Roster::stragglers`].
    pub fn publish(&mut self, snapshot: Arc<Snapshot>, view: &Arc<View<T>>) {
        self.reclaim();
        let (before, flows_before) = (self.generation, self.view.sticky_flows);
        self.generation += 1;
        self.view = Arc::clone(view);
        if !Arc::ptr_eq(&self.snapshot, &snapshot) {
            self.names = names_of(&snapshot);
            if !self.snapshot.dataplane.latency {
                // Measured anew, when it is.
                self.latency.reset();
            }
            self.snapshot = snapshot;
            forget(&mut self.rule_hits, &self.names.rules);
            forget(&mut self.sessions, &self.names.sessions);
            forget(&mut self.tools, &self.names.tools);
        }
        for member in &self.members {
            // Who is at the view before has the table of that one; others may have none.
            let has_flows = flows_before == view.sticky_flows
                && member.taken_up.load(Ordering::Acquire) == before;
            // An offer that was never taken up has counted nothing.
            drop(member.views.publish(Box::new(self.worker_view(!has_flows))));
        }
    }

    /// The cores whose workers do not poll with the last publication yet.
    pub fn stragglers(&self) -> impl Iterator<Item = u16> + '_ {
        self.members
            .iter()
            .filter(|member| member.taken_up.load(Ordering::Acquire) != self.generation)
            .map(|member| member.core)
    }

    /// Frees the views that workers have left and keeps their counters.
    pub fn reclaim(&mut self) {
        let mut returned = Vec::new();
        for member in &self.members {
            while let Some(old) = member.views.reclaim() {
                returned.push(old);
            }
        }
        for old in returned {
            add_view(&mut self.sessions, &mut self.rule_hits, &old.names, &old.stats);
            add_tools(&mut self.tools, &old.names, &old.stats);
            if let Some(latency) = &old.latency {
                self.latency.add(latency);
            }
        }
    }

    /// Asks every worker for its counters; each answers at its next burst boundary.
    pub fn request_report(&mut self) {
        let is_timed = self.snapshot.dataplane.latency;
        for member in &mut self.members {
            if !member.is_asked {
                let lanes = member.queues().map_or(0, |queues| queues.rx.len());
                let buffer = ReportBuffer {
                    worker: WorkerStats {
                        ports: vec![PortStats::default(); self.snapshot.ports.len()],
                        lanes: vec![LaneStats::default(); lanes],
                        ..WorkerStats::default()
                    },
                    view: self.names.zeroes(),
                    generation: self.generation,
                    is_complete: false,
                    latency: is_timed.then(|| member.last.latency.take().unwrap_or_default()),
                };
                // A worker that did not answer the last time still has its buffer.
                member.is_asked = member.reports.requests.push(Box::new(buffer)).is_ok();
            }
        }
    }

    /// Takes answers in; true when every worker has answered.
    pub fn collect_report(&mut self) -> bool {
        for member in &mut self.members {
            if let Some(answer) = member.reports.answers.pop() {
                member.last = answer;
                member.is_asked = false;
                if let Some(latency) = &mut member.last.latency {
                    self.latency.add(latency);
                    // For the next request.
                    latency.reset();
                }
            }
        }
        self.members.iter().all(|member| !member.is_asked)
    }

    /// The counters as last answered, added up over all workers.
    pub fn report(&mut self) -> Report {
        self.reclaim();
        let (mut sessions, mut rule_hits) = (self.sessions.clone(), self.rule_hits.clone());
        let mut totals = Totals {
            received: vec![(0, 0); self.snapshot.ports.len()],
            ports: vec![PortStats::default(); self.snapshot.ports.len()],
            unmirrored: Default::default(),
            never_mirrored: Default::default(),
        };
        for member in &self.members {
            let last = &member.last;
            totals.add(member.queues(), &last.worker);
            // An older view is in the totals already or comes back soon.
            if last.is_complete && last.generation == self.generation {
                add_view(&mut sessions, &mut rule_hits, &self.names, &last.view);
            }
        }
        self.render(&totals, &sessions, &rule_hits)
    }

    /// `with_flows`: with an empty table of flows, where the view wants one.
    fn worker_view(&self, with_flows: bool) -> WorkerView<T> {
        let flows = self.view.sticky_flows;
        WorkerView {
            view: Arc::clone(&self.view),
            stats: self.names.zeroes(),
            flows: (with_flows && flows > 0).then(|| Box::new(FlowTable::new(flows))),
            generation: self.generation,
            latency: self.snapshot.dataplane.latency.then(Box::default),
            idle: self.snapshot.dataplane.idle,
            tx_drain_ns: 1000 * u64::from(self.snapshot.dataplane.tx_drain_us),
            names: Arc::clone(&self.names),
        }
    }

    fn render(
        &self,
        totals: &Totals,
        sessions: &HashMap<String, SessionStats>,
        rule_hits: &HashMap<String, u64>,
    ) -> Report {
        let snapshot = &self.snapshot;
        let counted = totals.received.iter().zip(&totals.ports);
        let ports =
            snapshot.ports.iter().zip(counted).map(|(spec, (received, stats))| PortReport {
                name: spec.name.clone(),
                rx_packets: received.0,
                rx_bytes: received.1,
                tx_packets: stats.tx_packets,
                tx_bytes: stats.tx_bytes,
                shared_packets: stats.shared,
                forwarded: stats.forwarded,
                ended: stats.ended,
                between_workers: stats.given.wrapping_sub(stats.taken).cast_signed(),
            });
        let sessions = snapshot.sessions.iter().map(|spec| {
            let stats = sessions.get(&spec.id).copied().unwrap_or_default();
            SessionReport {
                id: spec.id.clone(),
                network_interface_id: snapshot.interfaces[spec.interface.at()].id.clone(),
                session_number: spec.number,
                vni: spec.vni.value(),
                matched: stats.matched,
                mirrored_packets: stats.mirrored_packets,
                mirrored_bytes: stats.mirrored_bytes,
                truncated_packets: stats.truncated_packets,
                skipped: stats.skipped,
            }
        });
        let rules = snapshot.rules.iter().map(|rule| RuleReport {
            id: rule.id.clone(),
            hits: rule_hits.get(&rule.id).copied().unwrap_or(0),
        });
        Report {
            epoch: snapshot.epoch,
            ports: ports.collect(),
            sessions: sessions.collect(),
            rules: rules.collect(),
            unmirrored: totals.unmirrored,
            never_mirrored_by: totals.never_mirrored,
            live: None,
        }
    }
}

fn names_of(snapshot: &Snapshot) -> Arc<Names> {
    let tools = snapshot
        .targets
        .iter()
        .flat_map(|target| target.members.iter().map(|member| (target.id.clone(), member.address)));
    Arc::new(Names {
        tools: tools.collect(),
        sessions: snapshot.sessions.iter().map(|session| session.id.clone()).collect(),
        rules: snapshot.rules.iter().map(|rule| rule.id.clone()).collect(),
    })
}

fn add_view(
    sessions: &mut HashMap<String, SessionStats>,
    rule_hits: &mut HashMap<String, u64>,
    names: &Names,
    stats: &ViewStats,
) {
    for (name, stats) in names.sessions.iter().zip(&stats.sessions) {
        sessions.entry(name.clone()).or_default().add(stats);
    }
    for (name, hits) in names.rules.iter().zip(stats.rule_hits()) {
        *rule_hits.entry(name.clone()).or_default() += hits;
    }
}

fn add_tools(tools: &mut HashMap<ToolId, ToolStats>, names: &Names, stats: &ViewStats) {
    for (name, stats) in names.tools.iter().zip(&stats.tools) {
        tools.entry(name.clone()).or_default().add(stats);
    }
}

/// Forgets what has none of these names, once it is most of what is remembered: who changes rules all
/// day long does not fill the memory.
fn forget<N: Eq + Hash, T>(by_name: &mut HashMap<N, T>, names: &[N]) {
    if by_name.len() > FORGOTTEN_MIN + 2 * names.len() {
        let names: HashSet<&N> = names.iter().collect();
        by_name.retain(|name, _| names.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_gone_is_forgotten_when_it_is_most_and_what_stays_is_not() {
        let names = ["kept".to_owned(), "new".to_owned()];
        let mut hits = HashMap::from([("kept".to_owned(), 7)]);
        for gone in 0..FORGOTTEN_MIN + 4 {
            hits.insert(format!("gone-{gone}"), 1);
        }
        let before = hits.len();
        forget(&mut hits, &names);
        assert_eq!(hits, HashMap::from([("kept".to_owned(), 7)]));
        for gone in 0..FORGOTTEN_MIN + 4 {
            hits.insert(format!("gone-{gone}"), 1);
        }
        hits.remove("gone-0");
        hits.remove("gone-1");
        hits.remove("gone-2");
        forget(&mut hits, &names);
        assert_eq!(hits.len(), before - 3);
    }
}
