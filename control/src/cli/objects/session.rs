//! `linetap session`: whose packets go where, by which filter.

use clap::{Args, Subcommand, value_parser};

use super::arguments::{Change, Delete, List, New, Show};
use super::desk::Desk;
use super::form::Form;
use super::rows::{self, cell, destination, name};
use super::show::Sheet;
use super::words::{Tag, numbers};
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, say};
use crate::client::Element;
use crate::model::Kind;
use crate::model::policing::{self, RATE_LIMIT, SAMPLE};

/// The command line of `linetap session`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Session {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Begin to mirror an interface, and print the session's id.
    Create(Create),
    /// Delete sessions: mirroring ends.
    Delete(Delete),
    /// Change a session in place.
    Modify(Modify),
    /// List sessions.
    List(List),
    /// Show a session with its interface, target and filter.
    Show(Show),
}

#[derive(Debug, Args)]
struct Create {
    /// The interface that is mirrored.
    #[arg(long, visible_alias = "network-interface-id", value_name = "ENI")]
    interface: String,
    /// The target, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-target-id", value_name = "TARGET")]
    target: String,
    /// The filter, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-filter-id", value_name = "FILTER")]
    filter: String,
    /// The session's place among those of the interface: lower ones are asked first.
    #[arg(
        long,
        visible_alias = "session-number",
        value_parser = numbers()
    )]
    number: u16,
    #[command(flatten)]
    copies: Copies,
    #[command(flatten)]
    policing: Policing,
    #[command(flatten)]
    new: New,
}

/// What copies look like.
#[derive(Debug, Args)]
struct Copies {
    /// Bytes of a packet that are copied, from its Ethernet header [default: all].
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(1..=2_147_483_647))]
    packet_length: Option<u32>,
    /// The VXLAN network identifier [default: a free one].
    #[arg(
        long,
        visible_alias = "virtual-network-id",
        value_name = "VNI",
        value_parser = value_parser!(u32).range(0..=16_777_215)
    )]
    vni: Option<u32>,
}

/// How much of what matches is wanted: short forms of two tags.
#[derive(Debug, Args)]
struct Policing {
    /// The most that is sent, in bytes and packets a second: 10MB/s, 5kpps or 10MB/s,5kpps. It is the
    /// tag linetap:rate-limit [default: no limit].
    #[arg(long, value_name = "RATE", value_parser = rate_limit)]
    rate_limit: Option<String>,
    /// Mirror one of so many flows, whole conversations. It is the tag linetap:sample [default: 1/1].
    #[arg(long, value_name = "1/N", value_parser = sample)]
    sample: Option<String>,
}

#[derive(Debug, Args)]
struct Modify {
    /// The session, by id or name.
    #[arg(value_name = "ID")]
    id: String,
    /// Another target, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-target-id", value_name = "TARGET")]
    target: Option<String>,
    /// Another filter, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-filter-id", value_name = "FILTER")]
    filter: Option<String>,
    /// Another place.
    #[arg(
        long,
        visible_alias = "session-number",
        value_parser = numbers()
    )]
    number: Option<u16>,
    #[command(flatten)]
    copies: Copies,
    #[command(flatten)]
    policing: Policing,
    /// Another description.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Go back to the default, or to no description; several if repeated or divided by commas.
    #[arg(
        long,
        visible_alias = "remove-fields",
        value_name = "FIELD",
        value_delimiter = ',',
        value_parser = [
            "packet-length", "description", "virtual-network-id", "vni", "rate-limit", "sample"
        ]
    )]
    remove: Vec<String>,
    #[command(flatten)]
    change: Change,
}

impl Session {
    pub(in crate::cli) fn run(&self) -> Result<(), Failure> {
        let mut desk = Desk::open(Kind::Session, &self.endpoint)?;
        match &self.verb {
            Verb::Create(create) => {
                let target = desk.id(Kind::Target, &create.target)?;
                let filter = desk.id(Kind::Filter, &create.filter)?;
                let form = Form::default()
                    .with("NetworkInterfaceId", &create.interface)
                    .with("TrafficMirrorTargetId", target)
                    .with("TrafficMirrorFilterId", filter)
                    .with("SessionNumber", create.number);
                let new = create.new.and_tags(create.policing.tags());
                new.make(&mut desk, create.copies.add_to(form))
            }
            Verb::Delete(delete) => delete.run(&mut desk),
            Verb::Modify(modify) => {
                let id = desk.id(Kind::Session, &modify.id)?;
                let target = desk.id_if_any(Kind::Target, modify.target.as_ref())?;
                let filter = desk.id_if_any(Kind::Filter, modify.filter.as_ref())?;
                let form = Form::default()
                    .maybe("TrafficMirrorTargetId", target)
                    .maybe("TrafficMirrorFilterId", filter)
                    .maybe("SessionNumber", modify.number)
                    .maybe("Description", modify.description.as_ref());
                let (mut fields, mut tags) = (Vec::new(), Vec::new());
                for field in &modify.remove {
                    match field.as_str() {
                        "rate-limit" => tags.push(RATE_LIMIT.to_owned()),
                        "sample" => tags.push(SAMPLE.to_owned()),
                        "vni" => fields.push("virtual-network-id"),
                        field => fields.push(field),
                    }
                }
                let form = modify.copies.add_to(form).list("RemoveField", fields);
                let change = modify.change.and_tags(modify.policing.tags(), tags);
                change.make(&mut desk, &id, "ModifyTrafficMirrorSession", form)
            }
            Verb::List(list) => desk.list(list, &list.form(), print),
            Verb::Show(show) => desk.show(show, sheet),
        }
    }
}

impl Copies {
    fn add_to(&self, form: Form) -> Form {
        form.maybe("PacketLength", self.packet_length).maybe("VirtualNetworkId", self.vni)
    }
}

impl Policing {
    fn tags(&self) -> impl Iterator<Item = Tag> {
        let tags = [(RATE_LIMIT, &self.rate_limit), (SAMPLE, &self.sample)];
        tags.into_iter()
            .filter_map(|(key, value)| Some(Tag { key: key.to_owned(), value: value.clone()? }))
    }
}

fn rate_limit(text: &str) -> Result<String, String> {
    policing::rate_limit(text).map(|_| text.to_owned())
}

fn sample(text: &str) -> Result<String, String> {
    policing::sample(text).map(|_| text.to_owned())
}

/// The value of a tag, if the session has it.
fn tag<'s>(session: &'s Element, key: &str) -> Option<&'s str> {
    let is_it = |tag: &&Element| tag.text_of("key") == Some(key);
    session.items("tagSet").find(is_it)?.text_of("value")
}

/// How much of a packet is copied.
fn length(session: &Element) -> String {
    session.text_of("packetLength").unwrap_or("whole").to_owned()
}

fn print(sessions: &[Element]) {
    let row = |session: &Element| {
        vec![
            cell(session, "trafficMirrorSessionId"),
            name(session),
            cell(session, "networkInterfaceId"),
            cell(session, "sessionNumber"),
            cell(session, "trafficMirrorTargetId"),
            cell(session, "trafficMirrorFilterId"),
            cell(session, "virtualNetworkId"),
            length(session),
            cell(session, "description"),
        ]
    };
    let headings = [
        "SESSION",
        "NAME",
        "INTERFACE",
        " NUMBER",
        "TARGET",
        "FILTER",
        " VNI",
        " LENGTH",
        "DESCRIPTION",
    ];
    rows::print(&headings, sessions.iter().map(row));
}

fn sheet(desk: &mut Desk, session: &Element) -> Result<(), Failure> {
    let id = |element: &str| session.text_of(element).unwrap_or_default();
    let source = id("networkInterfaceId");
    let interface = match desk.interface(source)? {
        Some(interface) => format!("{source}, {}", cell(&interface, "description")),
        None => source.to_owned(),
    };
    let target = desk.brief(Kind::Target, id("trafficMirrorTargetId"), destination)?;
    let filter = desk.brief(Kind::Filter, id("trafficMirrorFilterId"), |filter| {
        let count = |set: &str| filter.items(set).count();
        let (ingress, egress) = (count("ingressFilterRuleSet"), count("egressFilterRuleSet"));
        format!("{ingress} ingress and {egress} egress rules")
    })?;
    let sheet = Sheet::of(desk.noun, session)
        .line("interface", &interface)
        .value("number", session, "sessionNumber")
        .line("target", &target)
        .line("filter", &filter)
        .value("vni", session, "virtualNetworkId")
        .line("packet length", &length(session))
        .line("rate limit", tag(session, RATE_LIMIT).unwrap_or("none"))
        .line("sample", tag(session, SAMPLE).unwrap_or("all flows"))
        .value("owner", session, "ownerId")
        .notes(session);
    say(&sheet.text());
    Ok(())
}
