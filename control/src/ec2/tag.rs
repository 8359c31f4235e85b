//! Tags of all objects: `CreateTags`, `DeleteTags`, `DescribeTags`.

use std::borrow::Cow;
use std::io;

use super::api::Call;
use super::conditions::Conditions;
use super::encode::Xml;
use super::error::Error;
use super::page::Page;
use crate::model::Kind;
use crate::service::TagPatch;
use crate::store::Record;

const NAMES: [&str; 4] = ["key", "resource-id", "resource-type", "value"];
const IDS: &str = "ResourceId";
const TAGS: &str = "Tag";

/// The word for a kind of object.
pub(super) fn resource_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Filter => "traffic-mirror-filter",
        Kind::Rule => "traffic-mirror-filter-rule",
        Kind::Target => "traffic-mirror-target",
        Kind::Session => "traffic-mirror-session",
    }
}

pub(super) fn create(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let tags = call.request.tags(TAGS)?;
    if tags.is_empty() {
        return Err(Error::missing("Tag"));
    }
    let tags = tags.into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
    change(call, xml, &TagPatch::Set(tags.collect()))
}

pub(super) fn delete(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let tags = call.request.tags(TAGS)?;
    let patch = if tags.is_empty() { TagPatch::Clear } else { TagPatch::Unset(tags) };
    change(call, xml, &patch)
}

fn change(call: &Call<'_>, xml: &mut Xml, patch: &TagPatch) -> Result<(), Error> {
    let ids = call.request.list(IDS)?;
    if ids.is_empty() {
        return Err(Error::missing(IDS));
    }
    call.request.finish()?;
    call.service.tag(call.ask(), &ids, patch)?;
    Ok(xml.text("return", "true")?)
}

/// One tag of one object. `rank` is its kind's place among kinds, for the order.
struct Entry<'w> {
    rank: usize,
    kind: Kind,
    record: &'w Record,
    tag: &'w (String, String),
}

impl Entry<'_> {
    /// Kind, object, key: a place that stays, whatever else is tagged.
    fn place(&self) -> String {
        format!("{}:{:016x}:{}", self.rank, self.record.created, self.tag.0)
    }
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let conditions = Conditions::of(&call.request, &NAMES)?;
    let page = Page::of(&call.request, "tag", call.account())?;
    call.request.finish()?;
    let world = call.service.world()?;
    let mut entries = Vec::new();
    for (rank, kind) in Kind::ALL.into_iter().enumerate() {
        let own = |record: &&Record| record.owner == call.account();
        for record in world.records_behind(kind, None).filter(own) {
            let tags = record.object.notes().tags.iter();
            entries.extend(tags.map(|tag| Entry { rank, kind, record, tag }));
        }
    }
    entries.retain(|entry| {
        let (key, value) = entry.tag;
        conditions.hold(std::slice::from_ref(entry.tag), |name| {
            let found = match name {
                "key" => key.as_str(),
                "resource-id" => entry.record.id(),
                "resource-type" => resource_type(entry.kind),
                _ => value,
            };
            vec![Cow::Borrowed(found)]
        })
    });
    entries.sort_by_cached_key(Entry::place);
    let rest = entries.iter().filter(|it| page.behind().is_none_or(|at| *it.place() > *at));
    let (shown, next) = page.fill(rest, |entry| entry.place());
    xml.set("tagSet", shown, |xml, entry| {
        xml.text("resourceId", entry.record.id())?;
        xml.text("resourceType", resource_type(entry.kind))?;
        xml.text("key", &entry.tag.0)?;
        xml.text("value", &entry.tag.1)
    })?;
    Ok(xml.optional("nextToken", next)?)
}

/// The tags of one object.
pub(super) fn encode(xml: &mut Xml, tags: &[(String, String)]) -> io::Result<()> {
    xml.set("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key)?;
        xml.text("value", value)
    })
}
