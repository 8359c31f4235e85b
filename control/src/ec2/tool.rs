//! Tools, as `ELBv2` has target groups: `DescribeTargetGroups`. They are the appliance file's; nothing of
//! them but their members can be changed here.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use engine::snapshot::{Affinity, AllDown, MemberHealth};

use super::api::Call;
use super::encode::Xml;
use super::error::Error;
use super::member::check_port;
use crate::config::{Appliance, HealthCheck, Probe, Tool};
use crate::service::Refusal;

/// Entries of one answer (ELB API Reference, `PageSize`: 1 to 400); without it there are as many.
const PAGE: std::ops::RangeInclusive<usize> = 1..=400;

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let arns = request.list("TargetGroupArns.member")?;
    let names = request.list("Names.member")?;
    let balancer = request.text("LoadBalancerArn")?;
    let size = request.integer("PageSize", &(1..=400u16))?;
    let size = size.map_or(*PAGE.end(), usize::from);
    let marker = request.text("Marker")?.unwrap_or_default();
    request.finish()?;
    let world = call.service.world()?;
    let appliance = world.appliance();
    if let Some(arn) = arns.iter().find(|arn| !appliance.tools.iter().any(|it| it.id == **arn)) {
        return Err(Refusal::NoTool { id: arn.clone(), hint: String::new() }.into());
    }
    let is_wanted = |tool: &&Tool| {
        (arns.is_empty() || arns.contains(&tool.id))
            && (names.is_empty() || names.iter().any(|name| *name == name_of(tool)))
            && balancer.as_ref().is_none_or(|arn| *arn == tool.id)
            && (marker.is_empty() || tool.id > marker)
    };
    // The order of their ids never changes: whoever comes between two pages neither hides nor doubles.
    let mut found: Vec<&Tool> = appliance.tools.iter().filter(is_wanted).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let is_more = found.len() > size;
    found.truncate(size);
    xml.nest("TargetGroups", |xml| {
        found.iter().try_for_each(|tool| xml.nest("member", |xml| encode(xml, tool, appliance)))
    })?;
    let next = found.last().filter(|_| is_more).map(|tool| &tool.id);
    Ok(xml.optional("NextMarker", next)?)
}

/// The name in a load balancer's ARN (`…:loadbalancer/net/NAME/ID`), else the id.
fn name_of(tool: &Tool) -> Cow<'_, str> {
    let name = tool.id.strip_prefix("arn:").and_then(|arn| arn.rsplit('/').nth(1));
    Cow::Borrowed(name.unwrap_or(&tool.id))
}

fn encode(xml: &mut Xml, tool: &Tool, appliance: &Appliance) -> io::Result<()> {
    xml.text("TargetGroupArn", &tool.id)?;
    xml.text("TargetGroupName", &name_of(tool))?;
    xml.text("Protocol", "UDP")?;
    xml.text("Port", &appliance.vxlan.port.to_string())?;
    xml.text("TargetType", "ip")?;
    let is_v4 = tool.members.iter().all(|member| member.address.is_ipv4());
    xml.text("IpAddressType", if is_v4 { "ipv4" } else { "ipv6" })?;
    xml.nest("LoadBalancerArns", |xml| xml.text("member", &tool.id))?;
    let enabled = if tool.health_check.is_some() { "true" } else { "false" };
    xml.text("HealthCheckEnabled", enabled)?;
    if let Some(check) = &tool.health_check {
        encode_check(xml, check)?;
    }
    // What follows is ours.
    let port = appliance.ports.get(tool.port.at());
    xml.optional("ToolPort", port.map(|port| &port.name))?;
    let affinity = match tool.balance.affinity {
        Affinity::Flow => "flow",
        Affinity::Hosts => "hosts",
    };
    xml.text("Affinity", affinity)?;
    xml.text("Inner", if tool.balance.inner { "true" } else { "false" })?;
    xml.text("Sticky", if tool.balance.sticky { "true" } else { "false" })?;
    let all_down = match tool.balance.all_down {
        AllDown::FailOpen => "fail_open",
        AllDown::Skip => "skip",
    };
    xml.text("AllDown", all_down)?;
    let count = |health| tool.members.iter().filter(|it| it.health == health).count();
    xml.text("MemberCount", &tool.members.len().to_string())?;
    xml.text("DrainingCount", &count(MemberHealth::Draining).to_string())?;
    xml.text("DownCount", &count(MemberHealth::Down).to_string())
}

fn encode_check(xml: &mut Xml, check: &HealthCheck) -> io::Result<()> {
    let protocol = match &check.probe {
        Probe::Icmp => "ICMP",
        Probe::Tcp { .. } => "TCP",
        Probe::Http { .. } => "HTTP",
        Probe::Vxlan { .. } => "VXLAN",
    };
    xml.text("HealthCheckProtocol", protocol)?;
    xml.optional("HealthCheckPort", check_port(&check.probe))?;
    if let Probe::Http { path, .. } = &check.probe {
        xml.text("HealthCheckPath", path)?;
        xml.nest("Matcher", |xml| xml.text("HttpCode", "200-399"))?;
    }
    // Clients read whole numbers here, as ELBv2 has them.
    let seconds = |time: Duration| time.as_secs_f64().ceil().to_string();
    xml.text("HealthCheckIntervalSeconds", &seconds(check.interval))?;
    xml.text("HealthCheckTimeoutSeconds", &seconds(check.timeout))?;
    xml.text("HealthyThresholdCount", &check.healthy_threshold.to_string())?;
    xml.text("UnhealthyThresholdCount", &check.unhealthy_threshold.to_string())
}
