//! `DescribeNetworkInterfaces`: the interfaces and tools of the appliance file. Nothing of it can be
//! changed here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use engine::snapshot::NeighborSpec;
use engine::units::Mac;

use super::api::Call;
use super::conditions::Conditions;
use super::encode::Xml;
use super::error::Error;
use super::page::Page;
use crate::config::Appliance;
use crate::service::Refusal;

/// Ids of network interfaces, as against load balancers and endpoints.
const START: &str = "eni-";
/// Names under which something may be found here.
const NAMES: [&str; 9] = [
    "addresses.private-ip-address",
    "description",
    "interface-type",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-ip-address",
    "status",
];
/// Names that EC2 knows and that fit nothing here: there are no instances, subnets or groups.
const EMPTY_NAMES: [&str; 28] = [
    "addresses.association.owner-id",
    "addresses.association.public-ip",
    "addresses.primary",
    "association.allocation-id",
    "association.association-id",
    "association.ip-owner-id",
    "association.public-dns-name",
    "association.public-ip",
    "attachment.attach-time",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "availability-zone-id",
    "group-id",
    "operator.managed",
    "operator.principal",
    "private-dns-name",
    "requester-id",
    "requester-managed",
    "source-dest-check",
    "subnet-id",
    "tag",
    "vpc-id",
    "group-name",
];
const TYPE: &str = "interface";
const STATUS: &str = "in-use";

/// What is known of an interface.
#[derive(Debug, Default)]
struct Interface {
    macs: Vec<Mac>,
    addresses: Vec<IpAddr>,
    is_source: bool,
    is_tool: bool,
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let ids = request.list("NetworkInterfaceId")?;
    let names = [&NAMES[..], &EMPTY_NAMES[..]].concat();
    let conditions = Conditions::of(request, &names)?;
    let page = Page::of(request, "network-interface", call.account())?;
    request.boolean("IncludeManagedResources")?;
    request.finish()?;
    let world = call.service.world()?;
    let (all, owner) = (interfaces(world.appliance()), world.template_account());
    if let Some(id) = ids.iter().find(|id| !all.contains_key(id.as_str())) {
        return Err(Refusal::UnknownInterface(id.clone()).into());
    }
    let wanted = all.iter().filter(|(id, interface)| {
        (ids.is_empty() || ids.iter().any(|it| it == *id))
            && conditions.hold(&[], |name| interface.values(id, owner, name))
            && page.behind().is_none_or(|place| **id > place)
    });
    let (shown, next) = page.fill(wanted, |(id, _)| (**id).to_owned());
    xml.set("networkInterfaceSet", shown, |xml, (id, it)| it.encode(xml, id, owner))?;
    Ok(xml.optional("nextToken", next)?)
}

fn interfaces(appliance: &Appliance) -> BTreeMap<&str, Interface> {
    let mut found: BTreeMap<&str, Interface> = BTreeMap::new();
    for spec in appliance.interfaces.iter().filter(|spec| spec.id.starts_with(START)) {
        let interface = found.entry(&spec.id).or_default();
        interface.is_source = true;
        interface.macs.extend(&spec.macs);
    }
    for tool in appliance.tools.iter().filter(|tool| tool.id.starts_with(START)) {
        let interface = found.entry(&tool.id).or_default();
        interface.is_tool = true;
        for member in &tool.members {
            interface.addresses.push(member.address);
            if let NeighborSpec::Fixed(mac) = member.neighbor {
                interface.macs.push(mac);
            }
        }
    }
    found
}

impl Interface {
    fn description(&self) -> &'static str {
        match (self.is_source, self.is_tool) {
            (true, false) => "mirror source",
            (false, true) => "mirror tool",
            _ => "mirror source and tool",
        }
    }

    fn of_family(&self, is_v4: bool) -> impl Iterator<Item = &IpAddr> {
        self.addresses.iter().filter(move |address| address.is_ipv4() == is_v4)
    }

    fn values<'v>(&self, id: &'v str, owner: &'v str, name: &str) -> Vec<Cow<'v, str>> {
        let addresses =
            |is_v4| self.of_family(is_v4).map(|address| address.to_string().into()).collect();
        match name {
            "network-interface-id" => vec![id.into()],
            "owner-id" => vec![owner.into()],
            "description" => vec![self.description().into()],
            "interface-type" => vec![TYPE.into()],
            "status" => vec![STATUS.into()],
            "mac-address" => self.macs.iter().map(|mac| mac.to_string().into()).collect(),
            "private-ip-address" | "addresses.private-ip-address" => addresses(true),
            "ipv6-addresses.ipv6-address" => addresses(false),
            _ => Vec::new(),
        }
    }

    fn encode(&self, xml: &mut Xml, id: &str, owner: &str) -> io::Result<()> {
        xml.text("networkInterfaceId", id)?;
        xml.text("description", self.description())?;
        xml.text("ownerId", owner)?;
        xml.text("status", STATUS)?;
        xml.text("interfaceType", TYPE)?;
        // EC2's interfaces have one address of this kind; the first of several stands for them.
        xml.optional("macAddress", self.macs.first())?;
        xml.optional("privateIpAddress", self.of_family(true).next())?;
        xml.set("groupSet", [] as [(); 0], |_, ()| Ok(()))?;
        xml.set(
            "privateIpAddressesSet",
            self.of_family(true).enumerate(),
            |xml, (at, address)| {
                xml.text("privateIpAddress", &address.to_string())?;
                xml.text("primary", if at == 0 { "true" } else { "false" })
            },
        )?;
        xml.set("ipv6AddressesSet", self.of_family(false), |xml, address| {
            xml.text("ipv6Address", &address.to_string())
        })?;
        xml.set("tagSet", [] as [(); 0], |_, ()| Ok(()))
    }
}
