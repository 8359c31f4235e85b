//! `linetapd` is killed at any point, and its disk fails: what was acknowledged is there afterwards,
//! nothing is half done, and the data plane has what the store has.
//!
//! `LINETAP_CRASH_CHANGES` says how many changes are asked for before it is enough.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use control::client::Element;
use engine::snapshot::Snapshot;
use nix::sys::signal::Signal;

use super::{put, try_ask};
use crate::common::CONFIG;
use crate::common::process::{Background, wait_for};
use crate::common::stand_in::StandIn;

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// By SIGKILL, wherever the clock puts it.
    After(Duration),
    /// By SIGKILL in place of this write or flush of a thread.
    AtWrite(u64),
    /// By SIGKILL a while after this flush of a thread failed.
    AfterFailure(u64),
}

impl End {
    /// A different one each time.
    fn of(round: u64) -> Self {
        match round % 3 {
            0 => Self::After(Duration::from_micros(2_000 + 7_919 * (round % 37))),
            1 => Self::AtWrite(1 + round * 5 % 61),
            _ => Self::AfterFailure(1 + round % 7),
        }
    }

    fn start(self, dir: &Path) -> Background {
        let daemon = env!("CARGO_BIN_EXE_linetapd");
        let inject = match self {
            Self::After(_) => None,
            Self::AtWrite(at) => Some(format!("inject=pwrite64,fdatasync:signal=KILL:when={at}")),
            Self::AfterFailure(at) => Some(format!("inject=fdatasync:error=EIO:when={at}")),
        };
        let mut command = Command::new(if inject.is_some() { "strace" } else { daemon });
        if let Some(inject) = inject {
            // The daemon stays this process's own child.
            command.args(["-D", "-f", "-qq", "-o", "strace.log", "-e", "trace=pwrite64,fdatasync"]);
            command.args(["-e", &inject, daemon]);
        }
        command.current_dir(dir).args(["--config", "c.toml", "--socket", "dp.sock"]);
        Background::start(&mut command, &dir.join("log"))
    }
}

/// A filter: the values of its two tags, which are always set together, and the numbers of its rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    tags: [String; 2],
    rules: Vec<u16>,
}

/// All filters by their ids.
type Filters = BTreeMap<String, Filter>;

/// A change.
#[derive(Debug, Clone)]
enum Change {
    Create { value: String },
    Tag { filters: Vec<String>, value: String },
    AddRule { filter: String, number: u16 },
    Delete { filter: String },
}

impl Change {
    /// The change of this number, to these filters.
    fn of(number: u64, filters: &Filters) -> Self {
        let value = number.to_string();
        let pick = |at: u64| filters.keys().nth(at as usize % filters.len().max(1)).cloned();
        match (number % 5, pick(number / 5), pick(number / 3)) {
            (1, Some(one), Some(other)) => Self::Tag { filters: vec![one, other], value },
            (2 | 3, Some(filter), _) if filters[&filter].rules.len() < 10 => {
                Self::AddRule { filter, number: (number % 32_766) as u16 + 1 }
            }
            (4, Some(filter), _) if filters.len() > 4 => Self::Delete { filter },
            _ => Self::Create { value },
        }
    }

    fn query(&self, number: u64) -> String {
        match self {
            Self::Create { value } => format!(
                "CreateTrafficMirrorFilter&ClientToken=t{number}&\
                 TagSpecification.1.ResourceType=traffic-mirror-filter&\
                 TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value={value}&\
                 TagSpecification.1.Tag.2.Key=b&TagSpecification.1.Tag.2.Value={value}"
            ),
            Self::Tag { filters, value } => {
                let (one, other) = (&filters[0], &filters[1]);
                format!(
                    "CreateTags&ResourceId.1={one}&ResourceId.2={other}&\
                     Tag.1.Key=a&Tag.1.Value={value}&Tag.2.Key=b&Tag.2.Value={value}"
                )
            }
            Self::AddRule { filter, number } => format!(
                "CreateTrafficMirrorFilterRule&TrafficMirrorFilterId={filter}&RuleNumber={number}&\
                 TrafficDirection=ingress&RuleAction=accept&SourceCidrBlock=10.0.0.0/8&\
                 DestinationCidrBlock=0.0.0.0/0"
            ),
            Self::Delete { filter } => {
                format!("DeleteTrafficMirrorFilter&TrafficMirrorFilterId={filter}")
            }
        }
    }

    /// What the filters are afterwards; `made` is the id of a new one.
    fn apply(&self, filters: &mut Filters, made: &str) {
        match self {
            Self::Create { value } => {
                let tags = [value.clone(), value.clone()];
                filters.insert(made.to_owned(), Filter { tags, rules: Vec::new() });
            }
            Self::Tag { filters: tagged, value } => {
                for id in tagged {
                    filters.get_mut(id).unwrap().tags = [value.clone(), value.clone()];
                }
            }
            Self::AddRule { filter, number } => {
                filters.get_mut(filter).unwrap().rules.push(*number);
            }
            Self::Delete { filter } => {
                filters.remove(filter);
            }
        }
    }
}

/// What the API shows.
fn described(dir: &Path) -> Filters {
    let (status, body) = try_ask(dir, "DescribeTrafficMirrorFilters").unwrap();
    assert_eq!(status, 200, "{body}");
    let text = |element: &Element, name| element.text_of(name).unwrap_or_default().to_owned();
    let filter = |item: &Element| {
        let tag = |key| item.items("tagSet").find(|tag| tag.text_of("key") == Some(key));
        let tags = ["a", "b"].map(|key| tag(key).map(|tag| text(tag, "value")).unwrap_or_default());
        let rules = item.items("ingressFilterRuleSet");
        let rules = rules.map(|rule| text(rule, "ruleNumber").parse().unwrap()).collect();
        (text(item, "trafficMirrorFilterId"), Filter { tags, rules })
    };
    let reply = Element::parse(&body).unwrap();
    reply.items("trafficMirrorFilterSet").map(filter).collect()
}

/// What the data plane was told, in the words of [`Filters`] but for tags, which it does not get.
fn in_force(snapshot: &Snapshot) -> BTreeMap<String, Vec<u16>> {
    let ids = snapshot.filters.iter().map(|filter| filter.id.clone());
    let mut found: BTreeMap<String, Vec<u16>> = ids.map(|id| (id, Vec::new())).collect();
    for rule in snapshot.rules.iter() {
        let id = &snapshot.filters[rule.filter.0 as usize].id;
        found.get_mut(id).unwrap().push(rule.number);
    }
    found
}

/// What was acknowledged, and the changes since of which nobody knows.
#[derive(Debug, Default)]
struct Book {
    filters: Filters,
    /// The last one that was asked for and not acknowledged, with its number.
    open: Option<(u64, Change)>,
    asked: u64,
    acknowledged: u64,
    /// Answers that the change could not be stored.
    failures: u64,
}

impl Book {
    /// Asks for changes until nobody answers, or so many were asked for.
    fn ask(&mut self, dir: &Path, most: u64) {
        for _ in 0..most {
            self.asked += 1;
            let change = Change::of(self.asked, &self.filters);
            self.open = Some((self.asked, change.clone()));
            match try_ask(dir, &change.query(self.asked)) {
                None => return,
                Some((200, body)) => {
                    let reply = Element::parse(&body).unwrap();
                    let made = reply.child("trafficMirrorFilter");
                    let made = made.and_then(|made| made.text_of("trafficMirrorFilterId"));
                    change.apply(&mut self.filters, made.unwrap_or_default());
                    self.open = None;
                    self.acknowledged += 1;
                }
                Some((status, body)) => {
                    assert!(status == 500 && body.contains("InternalError"), "{status} {body}");
                    assert_eq!(described(dir), self.filters, "what failed has changed nothing");
                    self.failures += 1;
                }
            }
        }
    }

    /// Holds what is there after a restart against what was acknowledged: all of that, and the one
    /// change that was under way at most, whole.
    fn check(&mut self, dir: &Path, snapshot: &Snapshot, end: End) {
        let found = described(dir);
        let in_store = found.iter().map(|(id, filter)| {
            let mut rules = filter.rules.clone();
            rules.sort_unstable();
            (id.clone(), rules)
        });
        let mut polled = in_force(snapshot);
        for rules in polled.values_mut() {
            rules.sort_unstable();
        }
        assert_eq!(in_store.collect::<BTreeMap<_, _>>(), polled, "data plane and store, {end:?}");
        if let Some((_, change)) = self.open.take()
            && found != self.filters
        {
            let is_new = |id: &&String| !self.filters.contains_key(*id);
            let made = found.keys().find(is_new).cloned().unwrap_or_default();
            change.apply(&mut self.filters, &made);
        }
        assert_eq!(found, self.filters, "after {end:?}");
    }
}

/// Starts it anew; the last snapshot that it sent. `None`: it ended before it served.
fn restart(dir: &Path, end: End, stand_in: &StandIn) -> (Background, Option<Snapshot>) {
    stand_in.last_snapshot();
    let mut daemon = end.start(dir);
    let mut serves = false;
    wait_for(
        || {
            serves = fs::read_to_string(dir.join("log")).unwrap().contains("the API listens on");
            serves || daemon.has_ended()
        },
        || fs::read_to_string(dir.join("log")).unwrap(),
    );
    (daemon, serves.then(|| stand_in.last_snapshot()).flatten())
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_at_any_point_and_after_faults_of_the_disk() {
    let enough = env::var("LINETAP_CRASH_CHANGES").map_or(100, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, CONFIG);
    let stand_in = StandIn::start(&dir.join("dp.sock"));
    let mut book = Book::default();
    let (mut rounds, mut last) = (0, End::After(Duration::ZERO));
    while book.asked < enough || rounds < 9 {
        let end = End::of(rounds);
        let (mut daemon, snapshot) = restart(dir, end, &stand_in);
        if let Some(snapshot) = snapshot {
            book.check(dir, &snapshot, last);
            let killer = match end {
                End::After(time) => Some(thread::spawn(move || {
                    thread::sleep(time);
                    daemon.signal(Signal::SIGKILL);
                    daemon.end();
                })),
                End::AtWrite(_) => None,
                End::AfterFailure(_) => {
                    book.ask(dir, 8);
                    daemon.signal(Signal::SIGKILL);
                    daemon.end();
                    None
                }
            };
            if !matches!(end, End::AfterFailure(_)) {
                book.ask(dir, enough);
            }
            if let Some(killer) = killer {
                killer.join().unwrap();
            }
        }
        (rounds, last) = (rounds + 1, end);
    }
    let Book { asked, acknowledged, failures, .. } = book;
    eprintln!("{rounds} ends, {asked} changes, {acknowledged} acknowledged, {failures} failed");
    assert!(acknowledged > rounds && failures > 0);
}
