//! What a session has to keep to, what is chosen for it, and how one is changed.

use std::collections::HashSet;

use engine::units::Vni;

use super::edit::{Edit, replace};
use super::refusal::{Limit, Refusal};
use super::world::{World, random};
use crate::compile::LOAD_BALANCER_PACKET_LENGTH;
use crate::model::{Kind, Session};

/// VNIs that are chosen begin here: those below are left to templates, whose sessions get the
/// lowest that are free, also those that a later template has.
const CHOSEN_VNI_MIN: u32 = 1 << 16;
/// So many VNIs are tried at random; beyond that the range must be all but full.
const DRAWS_MAX: usize = 10_000;

/// What `ModifyTrafficMirrorSession` asks for; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionPatch {
    /// `TrafficMirrorTargetId`.
    pub target: Option<String>,
    /// `TrafficMirrorFilterId`.
    pub filter: Option<String>,
    /// `SessionNumber`.
    pub number: Option<u16>,
    /// `PacketLength`.
    pub packet_length: Edit<u32>,
    /// `VirtualNetworkId`; removed, another one is chosen.
    pub vni: Edit<Vni>,
    /// `Description`.
    pub description: Edit<String>,
}

impl SessionPatch {
    pub(super) fn apply(&self, session: &mut Session) {
        replace(&mut session.target, self.target.as_ref());
        replace(&mut session.filter, self.filter.as_ref());
        replace(&mut session.number, self.number.as_ref());
        self.packet_length.apply(&mut session.packet_length);
        self.vni.apply(&mut session.vni);
        self.description.apply(&mut session.notes.description);
    }
}

/// Judges a new session, and chooses what it leaves open. Errors: it can't be.
pub(super) fn complete_new(
    world: &World,
    account: &str,
    session: &mut Session,
) -> Result<(), Refusal> {
    if !world.has_interface(&session.interface) {
        return Err(Refusal::UnknownInterface(session.interface.clone()));
    }
    let quotas = &world.appliance().quotas;
    Limit::Sessions.check(world.count(account, Kind::Session), quotas.sessions, "")?;
    let source = &session.interface;
    let beside = world.sessions().filter(|(_, other)| other.interface == *source).count();
    Limit::SessionsPerSource.check(beside, quotas.sessions_per_source, source)?;
    check_names(world, account, session, None)?;
    settle(world, session)
}

/// Judges a changed session, and chooses what it leaves open. Errors: it can't be.
pub(super) fn complete(
    world: &World,
    account: &str,
    session: &mut Session,
    before: &Session,
) -> Result<(), Refusal> {
    check_names(world, account, session, Some(before))?;
    settle(world, session)
}

/// What a session names has to be there, and to be the account's; what it has named already may
/// stay, also when it is shared no more.
fn check_names(
    world: &World,
    account: &str,
    session: &Session,
    before: Option<&Session>,
) -> Result<(), Refusal> {
    if before.is_none_or(|before| before.target != session.target) {
        world.seen(account, Kind::Target, &session.target)?;
        check_fan_in(world, session)?;
    }
    let filter = world.seen(account, Kind::Filter, &session.filter)?;
    if filter.owner != account {
        return Err(Refusal::NotFound(Kind::Filter, session.filter.clone()));
    }
    Ok(())
}

/// What goes for the session as a whole.
fn settle(world: &World, session: &mut Session) -> Result<(), Refusal> {
    let taken = world.sessions().find(|(record, other)| {
        (&other.interface, other.number) == (&session.interface, session.number)
            && record.id() != session.id
    });
    if let Some((record, _)) = taken {
        let why = format!("{} has it already on {}.", record.id(), session.interface);
        let value = session.number.to_string();
        return Err(Refusal::Invalid { parameter: "SessionNumber", value, why });
    }
    if world.target(&session.target).is_some_and(|(_, it)| !it.destination.is_interface()) {
        let length = session.packet_length.get_or_insert(LOAD_BALANCER_PACKET_LENGTH);
        if *length > LOAD_BALANCER_PACKET_LENGTH {
            let value = length.to_string();
            let why = format!("A load balancer takes at most {LOAD_BALANCER_PACKET_LENGTH}.");
            return Err(Refusal::Invalid { parameter: "PacketLength", value, why });
        }
    }
    if session.vni.is_none() {
        session.vni = Some(free_vni(world)?);
    }
    Ok(())
}

/// Errors: the target's interface has as many sources as it may.
fn check_fan_in(world: &World, session: &Session) -> Result<(), Refusal> {
    let Some((_, target)) = world.target(&session.target) else { return Ok(()) };
    if !target.destination.is_interface() {
        return Ok(());
    }
    let tool = target.destination.id();
    let same_tool: HashSet<&str> = world
        .targets()
        .filter(|(_, other)| other.destination == target.destination)
        .map(|(_, other)| other.id.as_str())
        .collect();
    let sources: HashSet<&str> = world
        .sessions()
        .filter(|(record, other)| {
            record.id() != session.id && same_tool.contains(other.target.as_str())
        })
        .map(|(_, other)| other.interface.as_str())
        .collect();
    if sources.contains(session.interface.as_str()) {
        return Ok(());
    }
    let max = world.appliance().quotas.sources_per_target;
    Limit::SourcesPerTarget.check(sources.len(), max, tool)
}

/// A VNI that no session has, at random. Errors: none is to be found.
fn free_vni(world: &World) -> Result<Vni, Refusal> {
    let taken: HashSet<Vni> = world.sessions().filter_map(|(_, session)| session.vni).collect();
    for _ in 0..DRAWS_MAX {
        let [a, b, c] = random()?;
        let drawn = u32::from_be_bytes([0, a, b, c]);
        if drawn >= CHOSEN_VNI_MIN
            && let Ok(vni) = Vni::try_from(drawn)
            && !taken.contains(&vni)
        {
            return Ok(vni);
        }
    }
    let why = "No free one is to be found; give one that sessions share.".to_owned();
    Err(Refusal::Invalid { parameter: "VirtualNetworkId", value: String::new(), why })
}
