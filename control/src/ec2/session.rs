//! Mirror sessions: `CreateTrafficMirrorSession`, `Delete…`, `Describe…`, `Modify…`.

use std::borrow::Cow;
use std::io;
use std::ops::RangeInclusive;

use engine::rule::NUMBERS;
use engine::units::Vni;

use super::api::Call;
use super::decode::Request;
use super::encode::Xml;
use super::error::Error;
use super::filter::{Wanted, client_token, delete_any, notes_of_new, tags_for};
use super::rule::{Removable, remove_fields, set_description};
use super::tag;
use super::target::malformed;
use crate::model::{Kind, Object, Session};
use crate::service::SessionPatch;
use crate::store::Record;

const ID: &str = "TrafficMirrorSessionId";
const INTERFACE_ID: &str = "NetworkInterfaceId";
const TARGET_ID: &str = "TrafficMirrorTargetId";
const FILTER_ID: &str = "TrafficMirrorFilterId";
/// One byte of a frame, to as many as a client's number can say.
const PACKET_LENGTHS: RangeInclusive<u32> = 1..=i32::MAX as u32;
const NAMES: [&str; 9] = [
    "description",
    "network-interface-id",
    "owner-id",
    "packet-length",
    "session-number",
    "traffic-mirror-filter-id",
    "traffic-mirror-session-id",
    "traffic-mirror-target-id",
    "virtual-network-id",
];

pub(super) fn create(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let token = request.token()?;
    let interface = request.required(INTERFACE_ID)?;
    if !interface.starts_with("eni-") {
        return Err(malformed("InvalidNetworkInterfaceId.Malformed", &interface, "eni-"));
    }
    let number = request.integer("SessionNumber", &NUMBERS)?;
    let session = Session {
        id: String::new(),
        interface,
        target: request.required(TARGET_ID)?,
        filter: request.required(FILTER_ID)?,
        number: number.ok_or_else(|| Error::missing("SessionNumber"))?,
        vni: vni(request)?,
        packet_length: request.integer("PacketLength", &PACKET_LENGTHS)?,
        notes: notes_of_new(request, Kind::Session)?,
    };
    request.finish()?;
    let made = call.service.create(call.ask(), Object::Session(session), token)?;
    xml.nest("trafficMirrorSession", |xml| encode(xml, call.account(), &made))?;
    Ok(client_token(xml, &made)?)
}

pub(super) fn delete(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    delete_any(call, xml, Kind::Session, ID, "trafficMirrorSessionId")
}

pub(super) fn modify(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let id = request.required(ID)?;
    let mut patch = SessionPatch {
        target: request.text(TARGET_ID)?,
        filter: request.text(FILTER_ID)?,
        number: request.integer("SessionNumber", &NUMBERS)?,
        packet_length: request.integer("PacketLength", &PACKET_LENGTHS)?.into(),
        vni: vni(request)?.into(),
        description: set_description(request)?,
    };
    let removable: [Removable<SessionPatch>; 3] = [
        ("packet-length", |it| it.packet_length.remove()),
        ("description", |it| it.description.remove()),
        ("virtual-network-id", |it| it.vni.remove()),
    ];
    remove_fields(request, &removable, &mut patch)?;
    request.finish()?;
    let changed = call.service.modify_session(call.ask(), &id, &patch)?;
    Ok(xml.nest("trafficMirrorSession", |xml| encode(xml, call.account(), &changed))?)
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let wanted = Wanted::of(call, Kind::Session, ID, &NAMES)?;
    call.request.finish()?;
    let world = call.service.world()?;
    let (shown, next) = wanted.of_world(&world, |_| true, value)?;
    xml.set("trafficMirrorSessionSet", shown, |xml, it| encode(xml, call.account(), it))?;
    Ok(xml.optional("nextToken", next)?)
}

fn vni(request: &Request<'_>) -> Result<Option<Vni>, Error> {
    let number = request.integer("VirtualNetworkId", &(0..=Vni::MAX))?;
    Ok(number.and_then(|number| Vni::try_from(number).ok()))
}

fn value<'r>(record: &'r Record, name: &str) -> Option<Cow<'r, str>> {
    let Object::Session(session) = &record.object else { return None };
    match name {
        "description" => session.notes.description.as_deref().map(Cow::Borrowed),
        "network-interface-id" => Some(session.interface.as_str().into()),
        "owner-id" => Some(record.owner.as_str().into()),
        "packet-length" => session.packet_length.map(|length| length.to_string().into()),
        "session-number" => Some(session.number.to_string().into()),
        "traffic-mirror-filter-id" => Some(session.filter.as_str().into()),
        "traffic-mirror-session-id" => Some(session.id.as_str().into()),
        "traffic-mirror-target-id" => Some(session.target.as_str().into()),
        "virtual-network-id" => session.vni.map(|vni| vni.value().to_string().into()),
        _ => None,
    }
}

fn encode(xml: &mut Xml, account: &str, record: &Record) -> io::Result<()> {
    let Object::Session(session) = &record.object else { return Ok(()) };
    xml.text("trafficMirrorSessionId", &session.id)?;
    xml.text("trafficMirrorTargetId", &session.target)?;
    xml.text("trafficMirrorFilterId", &session.filter)?;
    xml.text("networkInterfaceId", &session.interface)?;
    xml.text("ownerId", &record.owner)?;
    xml.optional("packetLength", session.packet_length)?;
    xml.text("sessionNumber", &session.number.to_string())?;
    xml.optional("virtualNetworkId", session.vni.map(Vni::value))?;
    xml.optional("description", session.notes.description.as_deref())?;
    tag::encode(xml, tags_for(account, record))
}
