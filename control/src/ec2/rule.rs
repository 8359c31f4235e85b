//! Filter rules: `CreateTrafficMirrorFilterRule`, `Delete…`, `Describe…`, `Modify…`.

use std::borrow::Cow;
use std::io;

use engine::rule::{Direction, NUMBERS, PortRange};
use ipnet::IpNet;

use super::api::Call;
use super::decode::Request;
use super::encode::Xml;
use super::error::Error;
use super::filter::{Wanted, client_token, delete_any, notes_of_new};
use super::tag;
use crate::model::{ACTIONS, DIRECTIONS, Kind, Object, Rule, word};
use crate::service::{Edit, RulePatch};
use crate::store::Record;

const ID: &str = "TrafficMirrorFilterRuleId";
const FILTER_ID: &str = "TrafficMirrorFilterId";
const NAMES: [&str; 9] = [
    "traffic-mirror-filter-rule-id",
    "traffic-mirror-filter-id",
    "rule-number",
    "rule-action",
    "traffic-direction",
    "protocol",
    "source-cidr-block",
    "destination-cidr-block",
    "description",
];

pub(super) fn create(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let token = request.token()?;
    let fields = fields(request)?;
    let need = |name| move || Error::missing(name);
    let rule = Rule {
        id: String::new(),
        filter: request.required(FILTER_ID)?,
        direction: fields.direction.ok_or_else(need("TrafficDirection"))?,
        number: fields.number.ok_or_else(need("RuleNumber"))?,
        action: fields.action.ok_or_else(need("RuleAction"))?,
        source: fields.source.ok_or_else(need("SourceCidrBlock"))?,
        destination: fields.destination.ok_or_else(need("DestinationCidrBlock"))?,
        protocol: fields.protocol.into_value(),
        source_ports: fields.source_ports.into_value(),
        destination_ports: fields.destination_ports.into_value(),
        notes: notes_of_new(request, Kind::Rule)?,
    };
    request.finish()?;
    let made = call.service.create(call.ask(), Object::Rule(rule), token)?;
    xml.nest("trafficMirrorFilterRule", |xml| encode(xml, &made))?;
    Ok(client_token(xml, &made)?)
}

pub(super) fn delete(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    delete_any(call, xml, Kind::Rule, ID, "trafficMirrorFilterRuleId")
}

pub(super) fn modify(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let id = request.required(ID)?;
    let mut patch = fields(request)?;
    patch.description = set_description(request)?;
    let removable: [Removable<RulePatch>; 4] = [
        ("destination-port-range", |it| it.destination_ports.remove()),
        ("source-port-range", |it| it.source_ports.remove()),
        ("protocol", |it| it.protocol.remove()),
        ("description", |it| it.description.remove()),
    ];
    remove_fields(request, &removable, &mut patch)?;
    request.finish()?;
    let changed = call.service.modify_rule(call.ask(), &id, &patch)?;
    // AWS tells no tags here.
    Ok(xml.nest("trafficMirrorFilterRule", |xml| encode_fields(xml, &changed))?)
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let filter = call.request.text(FILTER_ID)?;
    let wanted = Wanted::of(call, Kind::Rule, ID, &NAMES)?;
    call.request.finish()?;
    let world = call.service.world()?;
    if let Some(id) = &filter {
        world.seen(call.account(), Kind::Filter, id)?;
    }
    let (shown, next) = wanted.of_world(
        &world,
        |record| filter.as_deref().is_none_or(|id| is_of(record, id)),
        value,
    )?;
    xml.set("trafficMirrorFilterRuleSet", shown, encode)?;
    Ok(xml.optional("nextToken", next)?)
}

fn is_of(record: &Record, filter: &str) -> bool {
    matches!(&record.object, Object::Rule(rule) if rule.filter == filter)
}

/// What stands in a request of a rule's own fields, but for the description.
fn fields(request: &Request<'_>) -> Result<RulePatch, Error> {
    Ok(RulePatch {
        direction: request.choice("TrafficDirection", &DIRECTIONS)?,
        number: request.integer("RuleNumber", &NUMBERS)?,
        action: request.choice("RuleAction", &ACTIONS)?,
        source: cidr(request, "SourceCidrBlock")?,
        destination: cidr(request, "DestinationCidrBlock")?,
        protocol: request.integer("Protocol", &(0..=u8::MAX))?.into(),
        source_ports: ports(request, "SourcePortRange")?.into(),
        destination_ports: ports(request, "DestinationPortRange")?.into(),
        description: Edit::Keep,
    })
}

/// A CIDR block; host bits are cleared.
fn cidr(request: &Request<'_>, name: &str) -> Result<Option<IpNet>, Error> {
    let Some(text) = request.text(name)? else { return Ok(None) };
    let why = "Give a CIDR block like 10.0.0.0/8 or 2001:db8::/32.";
    let net: IpNet = text.parse().map_err(|_| Error::invalid(name, &text, why))?;
    Ok(Some(net.trunc()))
}

/// Both ports of a range.
fn ports(request: &Request<'_>, name: &str) -> Result<Option<PortRange>, Error> {
    let names = [format!("{name}.FromPort"), format!("{name}.ToPort")];
    let [from, to] = names.each_ref().map(|name| request.integer(name, &(0..=u16::MAX)));
    let [from_name, to_name] = names;
    match (from?, to?) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) => Ok(Some(PortRange { from, to })),
        (None, Some(_)) => Err(Error::missing(&from_name)),
        (Some(_), None) => Err(Error::missing(&to_name)),
    }
}

/// `Description` of a modification: an empty one removes it.
pub(super) fn set_description(request: &Request<'_>) -> Result<Edit<String>, Error> {
    let is_there = request.has("Description");
    Ok(match request.description()? {
        Some(text) => Edit::Set(text),
        None if is_there => Edit::Remove,
        None => Edit::Keep,
    })
}

/// A name for `RemoveField`, and what empties its field of a patch and tells whether it was set.
pub(super) type Removable<P> = (&'static str, fn(&mut P) -> bool);

/// `RemoveField`: each name empties its field of the patch, which must not have been set.
pub(super) fn remove_fields<P>(
    request: &Request<'_>,
    removable: &[Removable<P>],
    patch: &mut P,
) -> Result<(), Error> {
    let mut names = request.list("RemoveField")?;
    names.sort();
    names.dedup();
    for name in names {
        let Some((_, empty)) = removable.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = removable.iter().map(|(known, _)| *known).collect();
            let why = format!("Give {}.", crate::fault::either(&known));
            return Err(Error::invalid("RemoveField", &name, &why));
        };
        if empty(patch) {
            let message = format!("{name} can't be set and removed at once");
            return Err(Error::combination(message));
        }
    }
    Ok(())
}

/// The rules of one direction by their numbers: as they are tried.
pub(super) fn sorted<'r>(
    rules: impl Iterator<Item = &'r Record>,
    direction: Direction,
) -> Vec<&'r Record> {
    let number = |record: &&Record| match &record.object {
        Object::Rule(rule) if rule.direction == direction => Some(rule.number),
        _ => None,
    };
    let mut rules: Vec<&Record> = rules.filter(|record| number(record).is_some()).collect();
    rules.sort_by_key(number);
    rules
}

fn value<'r>(record: &'r Record, name: &str) -> Option<Cow<'r, str>> {
    let Object::Rule(rule) = &record.object else { return None };
    match name {
        "traffic-mirror-filter-rule-id" => Some(rule.id.as_str().into()),
        "traffic-mirror-filter-id" => Some(rule.filter.as_str().into()),
        "rule-number" => Some(rule.number.to_string().into()),
        "rule-action" => Some(word(&ACTIONS, rule.action).into()),
        "traffic-direction" => Some(word(&DIRECTIONS, rule.direction).into()),
        "protocol" => rule.protocol.map(|protocol| protocol.to_string().into()),
        "source-cidr-block" => Some(rule.source.to_string().into()),
        "destination-cidr-block" => Some(rule.destination.to_string().into()),
        "description" => rule.notes.description.as_deref().map(Cow::Borrowed),
        _ => None,
    }
}

pub(super) fn encode(xml: &mut Xml, record: &Record) -> io::Result<()> {
    encode_fields(xml, record)?;
    tag::encode(xml, &record.object.notes().tags)
}

fn encode_fields(xml: &mut Xml, record: &Record) -> io::Result<()> {
    let Object::Rule(rule) = &record.object else { return Ok(()) };
    xml.text("trafficMirrorFilterRuleId", &rule.id)?;
    xml.text("trafficMirrorFilterId", &rule.filter)?;
    xml.text("trafficDirection", word(&DIRECTIONS, rule.direction))?;
    xml.text("ruleNumber", &rule.number.to_string())?;
    xml.text("ruleAction", word(&ACTIONS, rule.action))?;
    xml.optional("protocol", rule.protocol)?;
    let ranges =
        [("destinationPortRange", rule.destination_ports), ("sourcePortRange", rule.source_ports)];
    for (name, range) in ranges {
        let Some(PortRange { from, to }) = range else { continue };
        xml.nest(name, |xml| {
            xml.text("fromPort", &from.to_string())?;
            xml.text("toPort", &to.to_string())
        })?;
    }
    xml.text("destinationCidrBlock", &rule.destination.to_string())?;
    xml.text("sourceCidrBlock", &rule.source.to_string())?;
    xml.optional("description", rule.notes.description.as_deref())
}
