//! What has to be done for each object, and what each of these things waits for.

use std::collections::{HashMap, HashSet, VecDeque};

use super::matching::{Found, Matching, Present, Wanted};
use super::order::{Evasion, Node, Slot};
use super::properties::{Difference, differences};
use super::steps::{TagDifference, create, delete, modify};
use crate::model::{Destination, Kind, Object};

/// What a node does its work for: a wanted object, one that is there, or one that becomes the other.
#[derive(Debug, Clone, Copy, Default)]
struct Subject {
    /// Place in [`Matching::wanted`].
    wanted: Option<usize>,
    /// Place in [`Matching::present`].
    present: Option<usize>,
}

/// The nodes on their way.
pub(super) struct Nodes<'m> {
    matching: &'m Matching,
    /// Objects that are doomed, and stay all the same.
    held: &'m HashSet<usize>,
    list: Vec<Node>,
    subjects: Vec<Subject>,
    /// The nodes that make objects, by logical ids.
    makers: HashMap<&'m str, usize>,
    /// The nodes that delete objects, by their places.
    deleters: HashMap<usize, usize>,
    /// The nodes that make slots free.
    freers: HashMap<Slot, usize>,
    /// The nodes after which a session does not use a filter or target any more, by EC2's ids.
    leavers: HashMap<&'m str, Vec<usize>>,
}

/// All nodes, in the order in which they come if nothing is in the way.
pub(super) fn nodes(matching: &Matching, held: &HashSet<usize>) -> Vec<Node> {
    let mut nodes = Nodes {
        matching,
        held,
        list: Vec::new(),
        subjects: Vec::new(),
        makers: HashMap::new(),
        deleters: HashMap::new(),
        freers: HashMap::new(),
        leavers: HashMap::new(),
    };
    nodes.want(Kind::Target, |it| it.waits_for.is_none());
    nodes.want(Kind::Filter, |_| true);
    nodes.want(Kind::Rule, |_| true);
    nodes.doom(Kind::Rule);
    nodes.want(Kind::Target, |it| it.waits_for.is_some());
    nodes.want(Kind::Session, |_| true);
    nodes.doom(Kind::Session);
    nodes.doom(Kind::Filter);
    nodes.doom(Kind::Target);
    for at in 0..nodes.list.len() {
        nodes.link(at);
    }
    nodes.alternate();
    nodes.link_slots();
    nodes.list
}

/// How a kept object has to be changed.
pub(super) fn change(
    matching: &Matching,
    wanted: &Wanted,
    present: &Present,
) -> (Vec<Difference>, TagDifference) {
    let old = matching.properties_of(&present.object);
    let tags = TagDifference::between(&present.object.notes().tags, &wanted.object.notes().tags);
    (differences(&old, &wanted.properties), tags)
}

impl<'m> Nodes<'m> {
    /// Nodes that make or change the wanted objects of a kind.
    fn want(&mut self, kind: Kind, is_meant: impl Fn(&Wanted) -> bool) {
        let matching = self.matching;
        let all = matching.wanted.iter().enumerate();
        for (at, wanted) in all.filter(|(_, it)| it.object.kind() == kind && is_meant(it)) {
            let place = self.list.len();
            if let Some((present_at, present)) = matching.kept(wanted) {
                let (differences, tags) = change(matching, wanted, present);
                if differences.is_empty() && tags.is_empty() {
                    continue;
                }
                let id = present.object.id();
                let steps = modify(&wanted.object, id, &differences, &tags);
                let subject = Subject { wanted: Some(at), present: Some(present_at) };
                let to = matching.slot_of_wanted(wanted);
                let moved = slot_of_present(present).filter(|slot| to.as_ref() != Some(slot));
                let evasion = moved.map(|slot| Evasion {
                    slot,
                    kind,
                    logical_id: wanted.object.id().to_owned(),
                    id: id.to_owned(),
                });
                if let Some(evasion) = &evasion {
                    self.freers.insert(evasion.slot.clone(), place);
                }
                let is_moved = |name: &str| differences.iter().any(|it| it.name == name);
                if let Object::Session(session) = &present.object {
                    if is_moved("TrafficMirrorTargetId") {
                        self.leavers.entry(&session.target).or_default().push(place);
                    }
                    if is_moved("TrafficMirrorFilterId") {
                        self.leavers.entry(&session.filter).or_default().push(place);
                    }
                }
                self.add(Node { steps, needs: Vec::new(), evasion }, subject);
            } else {
                let steps = create(&wanted.object, &wanted.properties);
                self.makers.insert(wanted.object.id(), place);
                let subject = Subject { wanted: Some(at), present: None };
                self.add(Node { steps, ..Node::default() }, subject);
            }
        }
    }

    /// Nodes that delete the doomed objects of a kind; rules go with their filters.
    fn doom(&mut self, kind: Kind) {
        let matching = self.matching;
        for (at, present) in matching.present.iter().enumerate() {
            let object = &present.object;
            let is_meant = object.kind() == kind && present.is_doomed();
            if !is_meant || self.held.contains(&at) || matching.goes_with_filter(object) {
                continue;
            }
            let place = self.list.len();
            self.deleters.insert(at, place);
            if let Some(slot) = slot_of_present(present) {
                self.freers.insert(slot, place);
            }
            if let Object::Session(session) = object {
                self.leavers.entry(&session.target).or_default().push(place);
                self.leavers.entry(&session.filter).or_default().push(place);
            }
            let logical_id = present.logical_id.as_deref().unwrap_or_default();
            let steps = vec![delete(kind, logical_id, object.id())];
            let subject = Subject { wanted: None, present: Some(at) };
            self.add(Node { steps, ..Node::default() }, subject);
        }
    }

    fn add(&mut self, node: Node, subject: Subject) {
        self.list.push(node);
        self.subjects.push(subject);
    }

    fn wanted(&self, node: usize) -> Option<&'m Wanted> {
        self.matching.wanted.get(self.subjects.get(node)?.wanted?)
    }

    fn need(&mut self, node: usize, needs: impl IntoIterator<Item = usize>) {
        if let Some(node) = self.list.get_mut(node) {
            node.needs.extend(needs);
        }
    }

    /// What a node names has to be there; what it deletes must not be used any more.
    fn link(&mut self, at: usize) {
        let mut needs = Vec::new();
        if let Some(wanted) = self.wanted(at) {
            let named: [&str; 2] = match &wanted.object {
                Object::Rule(rule) => [&rule.filter, ""],
                Object::Session(session) => [&session.filter, &session.target],
                Object::Filter(_) | Object::Target(_) => ["", ""],
            };
            needs.extend(named.iter().filter_map(|id| self.makers.get(id)));
            needs.extend(wanted.waits_for.and_then(|at| self.deleters.get(&at)));
            if let (Object::Session(_), Found::Replaced(old, _)) = (&wanted.object, &wanted.found) {
                needs.extend(self.deleters.get(old));
            }
        } else if let Some(present) = self.subjects.get(at).and_then(|it| it.present)
            && let Some(present) = self.matching.present.get(present)
        {
            needs.extend(self.leavers.get(present.object.id()).into_iter().flatten());
        }
        self.need(at, needs);
    }

    /// Lets each creation come after a deletion beside it, as long as there are some: so there are
    /// never more than before or at the end, whichever is more, and quotas hold. Deletions that free
    /// a slot for somebody are with that one already.
    fn alternate(&mut self) {
        let makers: Vec<usize> = (0..self.list.len()).filter(|at| self.is_maker(*at)).collect();
        let deleting: HashSet<usize> = self.deleters.values().copied().collect();
        // The slot may also be one that a change leaves: then there is as much as before.
        let taken: Vec<Option<usize>> = makers
            .iter()
            .map(|&at| self.freer_for(at).filter(|freer| deleting.contains(freer)))
            .collect();
        let spoken_for: HashSet<usize> = taken.iter().flatten().copied().collect();
        let mut free: HashMap<Crowd<'m>, VecDeque<usize>> = HashMap::new();
        let mut deletions: Vec<(usize, usize)> =
            self.deleters.iter().map(|it| (*it.1, *it.0)).collect();
        deletions.sort_unstable();
        for (node, present) in deletions {
            let present = self.matching.present.get(present);
            for crowd in present.into_iter().flat_map(|it| self.matching.crowds_of(it)) {
                let is_beside = matches!(crowd, Crowd::Tool(_)) || !spoken_for.contains(&node);
                if is_beside {
                    free.entry(crowd).or_default().push_back(node);
                }
            }
        }
        for (at, taken) in makers.into_iter().zip(taken) {
            let Some(wanted) = self.wanted(at) else { continue };
            for crowd in self.matching.crowds_of_wanted(wanted) {
                if taken.is_none() || matches!(crowd, Crowd::Tool(_)) {
                    let deletion = free.get_mut(&crowd).and_then(VecDeque::pop_front);
                    self.need(at, deletion);
                }
            }
        }
    }

    fn is_maker(&self, node: usize) -> bool {
        self.subjects.get(node).is_some_and(|it| it.present.is_none())
    }

    /// A slot has to be free before it is taken: right before, so this is the last need.
    fn link_slots(&mut self) {
        for at in 0..self.list.len() {
            let freer = self.freer_for(at);
            self.need(at, freer.filter(|freer| *freer != at));
        }
    }

    /// The node that frees the slot that a node takes.
    fn freer_for(&self, at: usize) -> Option<usize> {
        let slot = self.matching.slot_of_wanted(self.wanted(at)?)?;
        self.freers.get(&slot).copied()
    }
}

/// Objects of which there may be so many at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Crowd<'m> {
    /// The rules of a filter, by EC2's id.
    Filter(&'m str),
    /// The sessions of an interface.
    Interface(&'m str),
    /// The sessions that send to a tool.
    Tool(&'m Destination),
}

impl Matching {
    /// The slot that a wanted object is to have. Rules of a filter that is yet to be made have none:
    /// nobody else is there.
    pub(super) fn slot_of_wanted(&self, wanted: &Wanted) -> Option<Slot> {
        match &wanted.object {
            Object::Rule(rule) => slot(&wanted.object, self.kept_id(&rule.filter)?),
            object => slot(object, ""),
        }
    }

    /// True for the rules of a filter that is doomed itself.
    pub(super) fn goes_with_filter(&self, object: &Object) -> bool {
        match object {
            Object::Rule(rule) => self.find_present(&rule.filter).is_some_and(Present::is_doomed),
            _ => false,
        }
    }

    fn crowds_of<'m>(&'m self, present: &'m Present) -> Vec<Crowd<'m>> {
        match &present.object {
            Object::Rule(rule) => vec![Crowd::Filter(&rule.filter)],
            Object::Session(session) => {
                let tool =
                    self.find_present(&session.target).and_then(|it| destination(&it.object));
                std::iter::once(Crowd::Interface(&session.interface))
                    .chain(tool.map(Crowd::Tool))
                    .collect()
            }
            Object::Filter(_) | Object::Target(_) => Vec::new(),
        }
    }

    fn crowds_of_wanted<'m>(&'m self, wanted: &'m Wanted) -> Vec<Crowd<'m>> {
        match &wanted.object {
            Object::Rule(rule) => {
                self.kept_id(&rule.filter).map(Crowd::Filter).into_iter().collect()
            }
            Object::Session(session) => {
                let tool = self.find_wanted(&session.target).and_then(|it| destination(&it.object));
                std::iter::once(Crowd::Interface(&session.interface))
                    .chain(tool.map(Crowd::Tool))
                    .collect()
            }
            Object::Filter(_) | Object::Target(_) => Vec::new(),
        }
    }
}

/// The slot that an object has.
pub(super) fn slot_of_present(present: &Present) -> Option<Slot> {
    match &present.object {
        Object::Rule(rule) => slot(&present.object, &rule.filter),
        object => slot(object, ""),
    }
}

/// The slot of an object that is a rule of this filter, or a session.
fn slot(object: &Object, filter: &str) -> Option<Slot> {
    match object {
        Object::Rule(it) => Some(Slot::Rule(filter.to_owned(), it.direction, it.number)),
        Object::Session(it) => Some(Slot::Session(it.interface.clone(), it.number)),
        Object::Filter(_) | Object::Target(_) => None,
    }
}

fn destination(object: &Object) -> Option<&Destination> {
    match object {
        Object::Target(target) => Some(&target.destination),
        _ => None,
    }
}
