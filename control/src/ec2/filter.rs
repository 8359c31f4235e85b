//! Mirror filters: `CreateTrafficMirrorFilter`, `Delete…`, `Describe…` and
//! `ModifyTrafficMirrorFilterNetworkServices`.

use std::borrow::Cow;
use std::io;

use engine::rule::Direction;

use super::api::Call;
use super::conditions::Conditions;
use super::decode::Request;
use super::encode::Xml;
use super::error::Error;
use super::page::{Page, number_place};
use super::{rule, tag};
use crate::model::{AMAZON_DNS, Filter, Kind, Notes, Object};
use crate::service::World;
use crate::store::Record;

const ID: &str = "TrafficMirrorFilterId";
const NAMES: [&str; 2] = ["description", "traffic-mirror-filter-id"];

pub(super) fn create(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let token = request.token()?;
    let filter = Filter { notes: notes_of_new(request, Kind::Filter)?, ..Filter::default() };
    request.finish()?;
    let made = call.service.create(call.ask(), Object::Filter(filter), token)?;
    let world = call.service.world()?;
    xml.nest("trafficMirrorFilter", |xml| encode(xml, &world, &made))?;
    Ok(client_token(xml, &made)?)
}

pub(super) fn delete(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    delete_any(call, xml, Kind::Filter, ID, "trafficMirrorFilterId")
}

pub(super) fn modify_services(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let services = [(AMAZON_DNS, ())];
    let id = request.required(ID)?;
    let added = !request.choices("AddNetworkService", &services)?.is_empty();
    let removed = !request.choices("RemoveNetworkService", &services)?.is_empty();
    request.finish()?;
    if added == removed {
        return Err(if added {
            Error::combination(format!("{AMAZON_DNS} can't be added and removed at once"))
        } else {
            Error::missing("AddNetworkService or RemoveNetworkService")
        });
    }
    let changed = call.service.set_amazon_dns(call.ask(), &id, added)?;
    let world = call.service.world()?;
    Ok(xml.nest("trafficMirrorFilter", |xml| encode(xml, &world, &changed))?)
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let wanted = Wanted::of(call, Kind::Filter, ID, &NAMES)?;
    call.request.finish()?;
    let world = call.service.world()?;
    let (shown, next) = wanted.of_world(&world, |_| true, value)?;
    xml.set("trafficMirrorFilterSet", shown, |xml, record| encode(xml, &world, record))?;
    Ok(xml.optional("nextToken", next)?)
}

fn value<'r>(record: &'r Record, name: &str) -> Option<Cow<'r, str>> {
    match name {
        "description" => record.object.notes().description.as_deref().map(Cow::Borrowed),
        "traffic-mirror-filter-id" => Some(record.id().into()),
        _ => None,
    }
}

fn encode(xml: &mut Xml, world: &World, record: &Record) -> io::Result<()> {
    let Object::Filter(filter) = &record.object else { return Ok(()) };
    xml.text("trafficMirrorFilterId", &filter.id)?;
    let sets =
        [("ingressFilterRuleSet", Direction::Ingress), ("egressFilterRuleSet", Direction::Egress)];
    for (name, direction) in sets {
        let rules = rule::sorted(world.rules_of(&filter.id), direction);
        xml.set(name, rules, rule::encode)?;
    }
    let services = filter.amazon_dns.then_some(AMAZON_DNS);
    // Entries of this set are bare words.
    xml.words("networkServiceSet", services)?;
    xml.optional("description", filter.notes.description.as_deref())?;
    tag::encode(xml, &filter.notes.tags)
}

/// `Description` and `TagSpecification` of a new object.
pub(super) fn notes_of_new(request: &Request<'_>, kind: Kind) -> Result<Notes, Error> {
    let tags = request.tags_of_new(tag::resource_type(kind))?;
    Ok(Notes { description: request.description()?, tags })
}

/// The token that an object was made with, behind it.
pub(super) fn client_token(xml: &mut Xml, made: &Record) -> io::Result<()> {
    xml.optional("clientToken", made.token.as_ref().map(|token| token.token.as_str()))
}

/// Deletes an object of any kind.
pub(super) fn delete_any(
    call: &Call<'_>,
    xml: &mut Xml,
    kind: Kind,
    parameter: &str,
    element: &str,
) -> Result<(), Error> {
    let id = call.request.required(parameter)?;
    call.request.finish()?;
    call.service.delete(call.ask(), kind, &id)?;
    Ok(xml.text(element, &id)?)
}

/// Which objects a describing action is to show.
#[derive(Debug)]
pub(super) struct Wanted<'c> {
    kind: Kind,
    account: &'c str,
    ids: Vec<String>,
    conditions: Conditions,
    page: Page,
}

impl<'c> Wanted<'c> {
    /// Reads ids, conditions and page.
    pub(super) fn of(
        call: &Call<'c>,
        kind: Kind,
        parameter: &str,
        names: &[&str],
    ) -> Result<Self, Error> {
        let request = &call.request;
        Ok(Self {
            kind,
            account: call.account(),
            ids: request.list(parameter)?,
            conditions: Conditions::of(request, names)?,
            page: Page::of(request, tag::resource_type(kind), call.account())?,
        })
    }

    /// The page of those objects that are also `is_near`, and the token of the next. `value` tells
    /// what an object has under a condition's name. Errors: an id is unknown.
    pub(super) fn of_world<'w>(
        &self,
        world: &'w World,
        is_near: impl Fn(&Record) -> bool,
        value: impl Fn(&'w Record, &str) -> Option<Cow<'w, str>>,
    ) -> Result<(Vec<&'w Record>, Option<String>), Error> {
        let behind = self.page.behind_number()?;
        let is_shown = |record: &&'w Record| {
            world.is_visible(self.account, record)
                && is_near(record)
                && self.conditions.hold(tags_for(self.account, record), |name| {
                    value(record, name).into_iter().collect()
                })
        };
        let place = |record: &&Record| number_place(record.created);
        if self.ids.is_empty() {
            let records = world.records_behind(self.kind, behind).filter(is_shown);
            return Ok(self.page.fill(records, place));
        }
        let mut named = Vec::new();
        for id in &self.ids {
            named.push(world.seen(self.account, self.kind, id)?);
        }
        named.sort_by_key(|record| record.created);
        named.dedup_by_key(|record| record.created);
        let rest = named.into_iter().filter(|record| behind.is_none_or(|it| record.created > it));
        Ok(self.page.fill(rest.filter(is_shown), place))
    }
}

/// The tags of an object that an account may know of: those of others are not its business.
pub(super) fn tags_for<'r>(account: &str, record: &'r Record) -> &'r [(String, String)] {
    if record.owner == account { &record.object.notes().tags } else { &[] }
}
