//! Mirror targets: `CreateTrafficMirrorTarget`, `Delete…`, `Describe…`.

use std::borrow::Cow;
use std::io;

use super::api::Call;
use super::encode::Xml;
use super::error::Error;
use super::filter::{Wanted, client_token, delete_any, notes_of_new, tags_for};
use super::tag;
use crate::model::{Destination, Kind, Object, Target};
use crate::store::Record;

const ID: &str = "TrafficMirrorTargetId";
const NAMES: [&str; 7] = [
    "description",
    "network-interface-id",
    "network-load-balancer-arn",
    "gateway-load-balancer-endpoint-id",
    "owner-id",
    "traffic-mirror-target-id",
    "type",
];

/// The parameter, what ids in it begin with, the code when one does not, and what it makes.
type Way = (&'static str, &'static str, &'static str, fn(String) -> Destination);

const WAYS: [Way; 3] = [
    (
        "NetworkInterfaceId",
        "eni-",
        "InvalidNetworkInterfaceId.Malformed",
        Destination::NetworkInterface,
    ),
    (
        "NetworkLoadBalancerArn",
        "arn:",
        "InvalidNetworkLoadBalancerArn.Malformed",
        Destination::NetworkLoadBalancer,
    ),
    (
        "GatewayLoadBalancerEndpointId",
        "vpce-",
        "InvalidVpcEndpointId.Malformed",
        Destination::GatewayLoadBalancerEndpoint,
    ),
];

pub(super) fn create(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let token = request.token()?;
    let destination = destination(call)?;
    let notes = notes_of_new(request, Kind::Target)?;
    request.finish()?;
    let target = Target { id: String::new(), destination, notes };
    let made = call.service.create(call.ask(), Object::Target(target), token)?;
    xml.nest("trafficMirrorTarget", |xml| encode(xml, call.account(), &made))?;
    Ok(client_token(xml, &made)?)
}

fn destination(call: &Call<'_>) -> Result<Destination, Error> {
    let mut found = None;
    for (parameter, start, code, make) in WAYS {
        let Some(id) = call.request.text(parameter)?.filter(|id| !id.is_empty()) else { continue };
        if !id.starts_with(start) {
            return Err(malformed(code, &id, start));
        }
        if found.replace(make(id)).is_some() {
            let names = WAYS.map(|(name, ..)| name);
            let names = crate::fault::either(&names);
            return Err(Error::combination(format!("Give one of {names}, not several")));
        }
    }
    let either = crate::fault::either(&WAYS.map(|(name, ..)| name));
    found.ok_or_else(|| Error::missing(&either))
}

/// An id that does not even look like one.
pub(super) fn malformed(code: &'static str, id: &str, start: &str) -> Error {
    Error::new(code, 400, format!("Invalid id: \"{id}\" (expecting \"{start}...\")"))
}

pub(super) fn delete(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    delete_any(call, xml, Kind::Target, ID, "trafficMirrorTargetId")
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let wanted = Wanted::of(call, Kind::Target, ID, &NAMES)?;
    call.request.finish()?;
    let world = call.service.world()?;
    let (shown, next) = wanted.of_world(&world, |_| true, value)?;
    xml.set("trafficMirrorTargetSet", shown, |xml, it| encode(xml, call.account(), it))?;
    Ok(xml.optional("nextToken", next)?)
}

/// The element with a destination's id, and the word for its type.
fn names(destination: &Destination) -> (&'static str, &'static str) {
    match destination {
        Destination::NetworkInterface(_) => ("networkInterfaceId", "network-interface"),
        Destination::NetworkLoadBalancer(_) => ("networkLoadBalancerArn", "network-load-balancer"),
        Destination::GatewayLoadBalancerEndpoint(_) => {
            ("gatewayLoadBalancerEndpointId", "gateway-load-balancer-endpoint")
        }
    }
}

fn value<'r>(record: &'r Record, name: &str) -> Option<Cow<'r, str>> {
    let Object::Target(target) = &record.object else { return None };
    let id = Cow::Borrowed(target.destination.id());
    match (name, &target.destination) {
        ("description", _) => target.notes.description.as_deref().map(Cow::Borrowed),
        ("owner-id", _) => Some(record.owner.as_str().into()),
        ("traffic-mirror-target-id", _) => Some(target.id.as_str().into()),
        ("type", destination) => Some(names(destination).1.into()),
        ("network-interface-id", Destination::NetworkInterface(_))
        | ("network-load-balancer-arn", Destination::NetworkLoadBalancer(_))
        | ("gateway-load-balancer-endpoint-id", Destination::GatewayLoadBalancerEndpoint(_)) => {
            Some(id)
        }
        _ => None,
    }
}

fn encode(xml: &mut Xml, account: &str, record: &Record) -> io::Result<()> {
    let Object::Target(target) = &record.object else { return Ok(()) };
    let (element, kind) = names(&target.destination);
    xml.text("trafficMirrorTargetId", &target.id)?;
    xml.text(element, target.destination.id())?;
    xml.text("type", kind)?;
    xml.optional("description", target.notes.description.as_deref())?;
    xml.text("ownerId", &record.owner)?;
    tag::encode(xml, tags_for(account, record))
}
