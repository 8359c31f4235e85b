//! What is right and can't be meant: rules that never match, because others take all their packets,
//! or because rules are not asked about them.

mod unasked;

use std::collections::{HashMap, HashSet};

use engine::exempt::Cause;
use engine::order::Order;
use engine::rule::{Direction, FilterRule};
use engine::snapshot::{SessionSpec, Snapshot};
use engine::units::{FilterIndex, InterfaceIndex, RuleIndex, SessionIndex};

use crate::fault::Fault;
use crate::load::Loaded;
use crate::shadow::{Fate, STEPS_PER_CHECK, Shadows};
use unasked::unasked;

/// So many names are told in one sentence.
const NAMED_MAX: usize = 4;
/// Begins the names of what takes packets and is no rule; no logical id has a space.
const EXEMPTION: &str = "the exemption of ";
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// All warnings about a template that `file` names, in the order of its lines. Cost: see
/// [`crate::shadow`].
pub fn warnings(loaded: &Loaded, file: &str) -> Vec<Fault> {
    warnings_within(STEPS_PER_CHECK, loaded, file)
}

fn warnings_within(steps: u64, loaded: &Loaded, file: &str) -> Vec<Fault> {
    let mut judge = Judge {
        snapshot: &loaded.snapshot,
        order: Order::of(&loaded.snapshot),
        unasked: unasked(&loaded.snapshot),
        steps,
        dead: HashSet::new(),
        judged: HashMap::new(),
        found: Vec::new(),
    };
    (0..).zip(&loaded.snapshot.filters).for_each(|(at, _)| judge.filter(FilterIndex(at)));
    (0..).zip(&loaded.snapshot.interfaces).for_each(|(at, _)| judge.source(InterfaceIndex(at)));
    let warning = |(id, message): (&str, String)| Fault {
        file: file.to_owned(),
        line: loaded.lines.get(id).copied(),
        message: format!("warning: {id}: {message}"),
    };
    let mut warnings: Vec<Fault> = judge.found.into_iter().map(warning).collect();
    warnings.sort_by_key(|warning| warning.line);
    warnings
}

/// A rule in its place among those of one source and direction.
#[derive(Clone, Copy)]
struct Place<'l> {
    session: &'l str,
    rule: &'l FilterRule,
}

struct Judge<'l> {
    snapshot: &'l Snapshot,
    order: Order<'l>,
    /// What rules are not asked about: it stands before all of them.
    unasked: Vec<(Cause, FilterRule)>,
    steps: u64,
    /// Rules that never match in any session.
    dead: HashSet<RuleIndex>,
    /// Fates in the last of several sessions, by the filters of all: sources often have the same.
    judged: HashMap<(Vec<FilterIndex>, Direction), Vec<Fate>>,
    /// Of which object what is to be said.
    found: Vec<(&'l str, String)>,
}

impl<'l> Judge<'l> {
    /// Judges the rules of a filter, each behind those before it.
    fn filter(&mut self, filter: FilterIndex) {
        for direction in DIRECTIONS {
            let rules = self.order.rules(filter, direction).to_vec();
            let mut shadows = behind(&self.unasked, &mut self.steps);
            let mut undecided = Vec::new();
            for (index, rule) in &rules {
                match shadows.judge(rule) {
                    Fate::Matches(_) => {}
                    Fate::Shadowed(by) => {
                        self.dead.insert(*index);
                        let name = |at: usize| rules[at].1.id.clone();
                        let message = shadowed(&named(&by, &self.unasked, name));
                        self.found.push((&rule.id, message));
                    }
                    Fate::Undecided => undecided.push(rule.id.as_str()),
                }
                shadows.push(rule);
            }
            self.undecided(&undecided);
        }
    }

    /// Judges the rules of each session of a source behind those of the sessions before it.
    fn source(&mut self, interface: InterfaceIndex) {
        let sessions = self.order.sessions(interface).to_vec();
        for at in 1..sessions.len() {
            let (mut shadowed, mut alive, mut undecided) = (Vec::new(), 0, 0);
            for direction in DIRECTIONS {
                let places = self.places(&sessions[..=at], direction);
                let first = self.places(&sessions[..at], direction).len();
                let fates = self.fates(&sessions[..=at], direction, &places, first);
                for (fate, place) in fates.into_iter().zip(&places[first..]) {
                    match fate {
                        Fate::Shadowed(by) => {
                            let of = |at: usize| {
                                format!("{} of {}", places[at].rule.id, places[at].session)
                            };
                            shadowed.push((place.rule, named(&by, &self.unasked, of)));
                        }
                        Fate::Matches(_) => alive += 1,
                        Fate::Undecided => undecided += 1,
                    }
                }
            }
            self.session(&sessions[..=at], interface, &shadowed, alive + undecided);
            if undecided > 0 {
                let message = format!(
                    "whether {undecided} of its rules can match behind the sessions before it was \
                     not decided: it would take too long; split the filters to know"
                );
                self.found.push((&sessions[at].1.id, message));
            }
        }
    }

    /// What becomes of the rules at `first` and behind it, which are those of the last session.
    fn fates(
        &mut self,
        sessions: &[(SessionIndex, &SessionSpec)],
        direction: Direction,
        places: &[Place<'_>],
        first: usize,
    ) -> Vec<Fate> {
        let filters = sessions.iter().map(|(_, session)| session.filter).collect();
        let Self { steps, judged, unasked, .. } = self;
        let judge = || {
            let mut shadows = behind(unasked, steps);
            places[..first].iter().for_each(|place| shadows.push(place.rule));
            let judge = |place: &Place<'_>| {
                let fate = shadows.judge(place.rule);
                shadows.push(place.rule);
                fate
            };
            places[first..].iter().map(judge).collect()
        };
        judged.entry((filters, direction)).or_insert_with(judge).clone()
    }

    /// The rules of sessions in the order in which they are asked, without those that never match.
    fn places(
        &self,
        sessions: &[(SessionIndex, &'l SessionSpec)],
        direction: Direction,
    ) -> Vec<Place<'l>> {
        let of_session = |&(_, session): &(SessionIndex, &'l SessionSpec)| {
            let rules = self.order.rules(session.filter, direction).iter().copied();
            let alive = rules.filter(|(index, _)| !self.dead.contains(index));
            alive.map(|(_, rule)| Place { session: &session.id, rule })
        };
        sessions.iter().flat_map(of_session).collect()
    }

    /// Tells of the last of these sessions, whose filter has rules that match nothing there: of each,
    /// or of the session as a whole when none matches.
    fn session(
        &mut self,
        sessions: &[(SessionIndex, &'l SessionSpec)],
        interface: InterfaceIndex,
        shadowed: &[(&'l FilterRule, Vec<String>)],
        alive: usize,
    ) {
        let source = &self.snapshot.interfaces[interface.at()].id;
        let Some(((_, session), earlier)) = sessions.split_last() else { return };
        if alive == 0 && !shadowed.is_empty() {
            let earlier: Vec<String> = earlier.iter().map(|(_, it)| it.id.clone()).collect();
            let message = format!(
                "none of its rules can ever match: {} of {source} {} all their packets before; \
                 give it a lower SessionNumber, or remove it",
                listed(&earlier),
                verb("settle", &earlier)
            );
            self.found.push((&session.id, message));
            return;
        }
        for (rule, by) in shadowed {
            let message = format!(
                "in {}, a later session of {source}, it can never match: {} {} all its packets \
                 before; give {} a lower SessionNumber, or narrow those",
                session.id,
                listed(by),
                verb("take", by),
                session.id
            );
            self.found.push((&rule.id, message));
        }
    }

    fn undecided(&mut self, rules: &[&'l str]) {
        if let [first, others @ ..] = rules {
            let others = match others.len() {
                0 => String::new(),
                more => format!(" (nor for {more} rules behind it)"),
            };
            let message = format!(
                "whether it can match was not decided{others}: it would take too long; split the \
                 filter to know"
            );
            self.found.push((first, message));
        }
    }
}

/// Rules, to be judged behind what rules are not asked about.
fn behind<'s>(unasked: &[(Cause, FilterRule)], steps: &'s mut u64) -> Shadows<'s> {
    let mut shadows = Shadows::new(steps);
    for (_, rule) in unasked {
        shadows.push(rule);
    }
    shadows
}

/// The names of what takes a rule's packets: each exemption once, then rules.
fn named(
    by: &[usize],
    unasked: &[(Cause, FilterRule)],
    rule: impl Fn(usize) -> String,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for &at in by {
        let name = match unasked.get(at) {
            Some((cause, _)) => format!("{EXEMPTION}{}", cause_name(*cause)),
            None => rule(at - unasked.len()),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::OwnOutput => "our own copies (loop guard)",
        Cause::Dhcp => "DHCP",
        Cause::Metadata => "instance metadata",
        Cause::Ntp => "link-local time",
        Cause::Activation => "Windows activation",
        Cause::AmazonDns => "Amazon DNS",
    }
}

fn shadowed(by: &[String]) -> String {
    let is_exempt = |name: &&String| name.starts_with(EXEMPTION);
    let remedy = match (by.iter().filter(is_exempt).count(), by.len()) {
        (exempt, all) if exempt == all => "rules are not asked about them, so remove it".to_owned(),
        (_, 1) => "give it a lower RuleNumber than that, or remove it".to_owned(),
        _ => "give it a lower RuleNumber than those, or remove it".to_owned(),
    };
    format!(
        "it can never match: {} {} all its packets before; {remedy}",
        listed(by),
        verb("take", by)
    )
}

fn verb(plural: &str, subjects: &[String]) -> String {
    if subjects.len() == 1 { format!("{plural}s") } else { plural.to_owned() }
}

/// Names as a list in a sentence, not all of very many.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] if names.len() <= NAMED_MAX => {
            format!("{} and {last}", first.join(", "))
        }
        _ => {
            let (told, left) = names.split_at(NAMED_MAX - 1);
            format!("{} and {} more", told.join(", "), left.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use crate::load::{Sources, from_texts};

    const CONFIG: &str = "port = [{name = \"a\"}, {name = \"b\"}, {name = \"t\", address = \"192.0.2.1/24\"}]\n\
        link = [{name = \"l\", ports = [\"a\", \"b\"]}]\n\
        interface = [{id = \"eni-a\", port = \"a\"}, {id = \"eni-b\", port = \"b\"}]\n\
        tool = [{id = \"eni-tool\", port = \"t\", address = \"192.0.2.10\"}]\n";

    #[test]
    fn what_is_not_decided_is_told() {
        let sources = Sources {
            config: "c".into(),
            template: "t".into(),
            parameters: Vec::new(),
            mode: Mode::Offline,
        };
        let template = include_str!("../tests/fixtures/shadowed.yaml");
        let loaded = from_texts(CONFIG, template, &sources, 1).unwrap();
        let told: Vec<String> =
            warnings_within(0, &loaded, "t").iter().map(ToString::to_string).collect();
        let is_told = |start: &str| told.iter().any(|it| it.contains(start));
        assert!(
            is_told("warning: Low: whether it can match was not decided (nor for 5 rules"),
            "{told:#?}"
        );
        assert!(is_told("warning: Ports: whether it can match was not decided: it"), "{told:#?}");
        assert!(is_told("warning: Again: whether 6 of its rules can match behind"), "{told:#?}");
        assert!(!is_told("can never match"), "{told:#?}");
    }
}
