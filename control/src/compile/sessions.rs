//! Mirror sessions: sources, numbers, VNIs.

use std::collections::{HashMap, HashSet};

use engine::snapshot::SessionSpec;
use engine::units::{FilterIndex, InterfaceIndex, TargetIndex, Vni};

use super::{Faults, exceeds, last, over};
use crate::config::{Appliance, Quotas};
use crate::fault::{did_you_mean, quoted};
use crate::model::{Listing, Model, Property, Session, Target};

/// The most that a load balancer takes, and what it gets when the session does not say
/// (`PacketLength` of EC2's `CreateTrafficMirrorSession`).
pub const LOAD_BALANCER_PACKET_LENGTH: u32 = 8500;

/// All sessions, in the order of the model. Sessions with a fault are left out.
pub(super) fn compile(
    model: &Model,
    appliance: &Appliance,
    faults: &mut Faults,
) -> Vec<SessionSpec> {
    let quotas = &appliance.quotas;
    let last = last(&model.sessions, |it| &it.id);
    faults.quota("sessions", model.sessions.len(), quotas.sessions, last);
    check_sources(model, quotas, faults);
    check_fan_in(model, quotas, faults);
    let names = Names::of(model, appliance);
    let mut vnis = FreeVnis::beside(&model.sessions);
    let mut compiled = Vec::with_capacity(model.sessions.len());
    for session in &model.sessions {
        compiled.extend(spec(session, &names, &mut vnis, faults));
    }
    compiled
}

fn spec(
    session: &Session,
    names: &Names<'_>,
    vnis: &mut FreeVnis,
    faults: &mut Faults,
) -> Option<SessionSpec> {
    let interface = names.interface(session, faults);
    let filter = names.filter(session, faults);
    let target = names.target(session, faults);
    let packet_length = target.map(|(_, target)| packet_length(session, target, faults));
    let vni = session.vni.or_else(|| vnis.next());
    if vni.is_none() {
        let message = "no VNI is left; give sessions VNIs that they share";
        faults.add(Property::new(&session.id, "VirtualNetworkId"), message, []);
    }
    Some(SessionSpec {
        id: session.id.clone(),
        interface: interface?,
        target: target?.0,
        filter: filter?,
        number: session.number,
        vni: vni?,
        rate_limit: session.rate_limit(),
        sample: session.sample(),
        packet_length: packet_length?,
    })
}

/// What is wrong with sessions as far as no appliance file has to say.
pub(super) fn check_among(model: &Model, faults: &mut Faults) {
    check_sources(model, &Quotas::unlimited(), faults);
    let targets: HashMap<&str, &Target> =
        model.targets.iter().map(|target| (target.id.as_str(), target)).collect();
    for session in &model.sessions {
        if let Some(target) = targets.get(session.target.as_str()) {
            packet_length(session, target, faults);
        }
    }
}

fn packet_length(session: &Session, target: &Target, faults: &mut Faults) -> Option<u32> {
    if target.destination.is_interface() {
        return session.packet_length;
    }
    match session.packet_length {
        Some(length) if length > LOAD_BALANCER_PACKET_LENGTH => {
            let message = format!(
                "{length} is above {LOAD_BALANCER_PACKET_LENGTH}, the most for a load balancer; \
                 write less or remove it"
            );
            let target = Property::new(&session.id, "TrafficMirrorTargetId");
            faults.add(Property::new(&session.id, "PacketLength"), message, [target]);
            None
        }
        length => length.or(Some(LOAD_BALANCER_PACKET_LENGTH)),
    }
}

/// What sessions can name, by id; of equal ids the first.
struct Names<'m> {
    interface_ids: Vec<&'m str>,
    interfaces: HashMap<&'m str, InterfaceIndex>,
    targets: HashMap<&'m str, (TargetIndex, &'m Target)>,
    filters: HashMap<&'m str, FilterIndex>,
}

impl<'m> Names<'m> {
    fn of(model: &'m Model, appliance: &'m Appliance) -> Self {
        // Counts beyond the indexes are faults already: of the file, and of the targets.
        let mut names = Self {
            interface_ids: appliance.interfaces.iter().map(|it| it.id.as_str()).collect(),
            interfaces: HashMap::new(),
            targets: HashMap::new(),
            filters: HashMap::new(),
        };
        for (interface, at) in appliance.interfaces.iter().zip(0..=u16::MAX) {
            names.interfaces.entry(&interface.id).or_insert(InterfaceIndex(at));
        }
        for (target, at) in model.targets.iter().zip(0..=u16::MAX) {
            names.targets.entry(&target.id).or_insert((TargetIndex(at), target));
        }
        for (filter, at) in model.filters.iter().zip(0..=u32::MAX) {
            names.filters.entry(&filter.id).or_insert(FilterIndex(at));
        }
        names
    }

    fn interface(&self, session: &Session, faults: &mut Faults) -> Option<InterfaceIndex> {
        let found = self.interfaces.get(session.interface.as_str()).copied();
        if found.is_none() {
            let hint = did_you_mean(&session.interface, self.interface_ids.iter().copied());
            let id = quoted(&session.interface);
            let message = format!(
                "no [[interface]] of the appliance file has the id {id}; add it or correct the \
                 id{hint}"
            );
            let at = Property::new(&session.id, "NetworkInterfaceId");
            faults.unknown_id(at, Listing::Interfaces, message);
        }
        found
    }

    fn filter(&self, session: &Session, faults: &mut Faults) -> Option<FilterIndex> {
        let found = self.filters.get(session.filter.as_str()).copied();
        if found.is_none() {
            let name = quoted(&session.filter);
            let message = format!("there is no filter {name}; add it or name another");
            faults.add(Property::new(&session.id, "TrafficMirrorFilterId"), message, []);
        }
        found
    }

    fn target(&self, session: &Session, faults: &mut Faults) -> Option<(TargetIndex, &'m Target)> {
        let found = self.targets.get(session.target.as_str()).copied();
        if found.is_none() {
            let name = quoted(&session.target);
            let message = format!("there is no target {name}; add it or name another");
            faults.add(Property::new(&session.id, "TrafficMirrorTargetId"), message, []);
        }
        found
    }
}

/// Per source: how many sessions, each with a number of its own, and no target itself.
fn check_sources(model: &Model, quotas: &Quotas, faults: &mut Faults) {
    let is_interface = |target: &&Target| target.destination.is_interface();
    let targets: HashMap<&str, &str> = model
        .targets
        .iter()
        .filter(is_interface)
        .map(|target| (target.destination.id(), target.id.as_str()))
        .collect();
    let mut numbers: HashMap<(&str, u16), &str> = HashMap::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for session in &model.sessions {
        let source = session.interface.as_str();
        let at = |name| Property::new(&session.id, name);
        if let Some(&target) = targets.get(source) {
            let message = format!(
                "{source} receives copies as target {target}, so it can't be a source; choose \
                 another interface"
            );
            let target = Property::new(target, "NetworkInterfaceId");
            faults.add(at("NetworkInterfaceId"), message, [target]);
        }
        if let Some(&first) = numbers.get(&(source, session.number)) {
            let message = format!(
                "{} is taken by {first}, also a session of {source}; choose another",
                session.number
            );
            let names = ["SessionNumber", "NetworkInterfaceId"];
            let rests_on = [first, &session.id].map(|id| names.map(|name| Property::new(id, name)));
            faults.add(at("SessionNumber"), message, rests_on.into_iter().flatten());
        } else {
            numbers.insert((source, session.number), &session.id);
        }
        let count = counts.entry(source).or_default();
        *count += 1;
        if exceeds(*count, quotas.sessions_per_source) {
            let found = format!("{count} sessions of {source}");
            let message = over("sessions_per_source", &found, quotas.sessions_per_source);
            faults.add(at("NetworkInterfaceId"), message, []);
        }
    }
}

/// Per interface target: how many sources.
fn check_fan_in(model: &Model, quotas: &Quotas, faults: &mut Faults) {
    let tools: HashMap<&str, &str> = model
        .targets
        .iter()
        .filter(|target| target.destination.is_interface())
        .map(|target| (target.id.as_str(), target.destination.id()))
        .collect();
    let mut sources: HashMap<&str, HashSet<&str>> = HashMap::new();
    for session in &model.sessions {
        let Some(&tool) = tools.get(session.target.as_str()) else {
            continue;
        };
        let sources = sources.entry(tool).or_default();
        if sources.insert(&session.interface) && exceeds(sources.len(), quotas.sources_per_target) {
            let found = format!("{} sources of {tool}", sources.len());
            let message = over("sources_per_target", &found, quotas.sources_per_target);
            let source = Property::new(&session.id, "NetworkInterfaceId");
            faults.add(Property::new(&session.id, "TrafficMirrorTargetId"), message, [source]);
        }
    }
}

/// Gives sessions without a VNI the ones that [`super::compile`] would, for good: others that come
/// later don't move them.
pub fn settle_vnis(sessions: &mut [Session]) {
    let mut free = FreeVnis::beside(sessions);
    for session in sessions {
        session.vni = session.vni.or_else(|| free.next());
    }
}

/// The VNIs that no session was given, from 1 up.
struct FreeVnis {
    given: HashSet<Vni>,
    next: u32,
}

impl FreeVnis {
    fn beside(sessions: &[Session]) -> Self {
        Self { given: sessions.iter().filter_map(|session| session.vni).collect(), next: 1 }
    }

    fn next(&mut self) -> Option<Vni> {
        loop {
            let vni = Vni::try_from(self.next).ok()?;
            self.next += 1;
            if !self.given.contains(&vni) {
                return Some(vni);
            }
        }
    }
}
