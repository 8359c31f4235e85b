//! Members of tools, as `ELBv2` has targets of target groups: `RegisterTargets`, `DeregisterTargets`,
//! `DescribeTargetHealth` (ELB API Reference, version 2015-12-01). The tool's id is the group's ARN.
//!
//! Beside AWS's own parameters there are `Targets.member.N.Weight` and `.MacAddress`, `Drain` (a member
//! that leaves keeps the flows that it has), and `Expect`: `new` refuses members that are there
//! already, `known` those that are not, where `ELBv2` is content with either.

use std::io;
use std::net::IpAddr;

use engine::snapshot::{MemberHealth, MemberSpec, NeighborSpec};
use engine::units::Mac;
use jiff::Timestamp;

use super::api::Call;
use super::decode::Request;
use super::encode::Xml;
use super::error::Error;
use crate::config::{MEMBERS_MAX, Probe, Tool, WEIGHTS};
use crate::health::UNABLE;
use crate::service::{Cause, Expect, Health, HealthState, Leave, Refusal, Registration};

const LIST: &str = "Targets.member";
const ARN: &str = "TargetGroupArn";

pub(super) fn register(call: &Call<'_>, _: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let arn = request.required(ARN)?;
    let port = call.service.world()?.appliance().vxlan.port;
    let mut members = Vec::new();
    for at in request.indexes(LIST, MEMBERS_MAX)? {
        let address = address(request, &at, port)?;
        let weight = request.integer(&format!("{LIST}.{at}.Weight"), &WEIGHTS)?;
        let name = format!("{LIST}.{at}.MacAddress");
        let mac = request.text(&name)?.map(|text| {
            let why = "Write a MAC address like 02:00:00:00:00:01.";
            text.parse::<Mac>().map_err(|_| Error::invalid(&name, &text, why))
        });
        members.push(Registration { address, weight, mac: mac.transpose()? });
    }
    let expect = expect(request)?;
    request.finish()?;
    Ok(call.service.register(call.ask(), &arn, &members, expect)?)
}

pub(super) fn deregister(call: &Call<'_>, _: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let arn = request.required(ARN)?;
    let addresses = addresses(call)?;
    let drains = request.boolean("Drain")?.unwrap_or(false);
    let expect = expect(request)?;
    request.finish()?;
    let how = if drains { Leave::Draining } else { Leave::AtOnce };
    Ok(call.service.deregister(call.ask(), &arn, &addresses, how, expect)?)
}

fn expect(request: &Request<'_>) -> Result<Expect, Error> {
    let words = [("new", Expect::New), ("known", Expect::Known)];
    Ok(request.choice("Expect", &words)?.unwrap_or(Expect::Any))
}

/// The addresses of a list, in its order.
fn addresses(call: &Call<'_>) -> Result<Vec<IpAddr>, Error> {
    let port = call.service.world()?.appliance().vxlan.port;
    let request = &call.request;
    let indexes = request.indexes(LIST, MEMBERS_MAX)?;
    indexes.iter().map(|at| address(request, at, port)).collect()
}

fn address(request: &Request<'_>, at: &str, port: u16) -> Result<IpAddr, Error> {
    let id = request.required(&format!("{LIST}.{at}.Id"))?;
    let name = format!("{LIST}.{at}.Port");
    if let Some(other) = request.integer(&name, &(1..=u16::MAX))?.filter(|it| *it != port) {
        let why = format!("Every member gets copies at port {port}, which is that of [vxlan].");
        return Err(Error::invalid(&name, &other.to_string(), &why));
    }
    // An appliance is in one place.
    request.text(&format!("{LIST}.{at}.AvailabilityZone"))?;
    id.parse().map_err(|_| {
        let message = format!("The target ID '{id}' is no IP address; members are named by theirs");
        Error::new("InvalidTarget", 400, message)
    })
}

pub(super) fn describe(call: &Call<'_>, xml: &mut Xml) -> Result<(), Error> {
    let request = &call.request;
    let arn = request.required(ARN)?;
    let wanted = addresses(call)?;
    request.list("Include.member")?;
    request.finish()?;
    let world = call.service.world()?;
    let appliance = world.appliance();
    let Some(tool) = appliance.tools.iter().find(|tool| tool.id == arn) else {
        return Err(Refusal::NoTool { id: arn, hint: String::new() }.into());
    };
    let port = appliance.vxlan.port;
    let found = |address: IpAddr| world.health().get(&tool.id)?.get(&address);
    xml.nest("TargetHealthDescriptions", |xml| {
        if wanted.is_empty() {
            let mut members = tool.members.iter();
            return members.try_for_each(|member| {
                let health = found(member.address);
                xml.nest("member", |xml| encode(xml, tool, member, health, port))
            });
        }
        wanted.iter().try_for_each(|&address| {
            let member = tool.members.iter().find(|member| member.address == address);
            xml.nest("member", |xml| match member {
                Some(member) => encode(xml, tool, member, found(address), port),
                None => encode_stranger(xml, address, port),
            })
        })
    })?;
    Ok(())
}

fn encode_target(xml: &mut Xml, address: IpAddr, port: u16) -> io::Result<()> {
    xml.nest("Target", |xml| {
        xml.text("Id", &address.to_string())?;
        xml.text("Port", &port.to_string())
    })
}

fn encode_stranger(xml: &mut Xml, address: IpAddr, port: u16) -> io::Result<()> {
    encode_target(xml, address, port)?;
    xml.nest("TargetHealth", |xml| {
        xml.text("State", "unused")?;
        xml.text("Reason", "Target.NotRegistered")?;
        xml.text("Description", "Target is not registered to the target group")
    })
}

fn encode(
    xml: &mut Xml,
    tool: &Tool,
    member: &MemberSpec,
    health: Option<&HealthState>,
    port: u16,
) -> io::Result<()> {
    encode_target(xml, member.address, port)?;
    let probe = tool.health_check.as_ref().map(|check| &check.probe);
    xml.optional("HealthCheckPort", probe.and_then(check_port))?;
    let said = Said::of(tool, member, health);
    xml.nest("TargetHealth", |xml| {
        xml.text("State", said.state)?;
        xml.optional("Reason", said.reason)?;
        xml.optional("Description", Some(said.description).filter(|it| !it.is_empty()))
    })?;
    xml.text("Weight", &member.weight.to_string())?;
    if let NeighborSpec::Fixed(mac) = member.neighbor {
        xml.text("MacAddress", &mac.to_string())?;
    }
    let since = health.and_then(|health| Timestamp::try_from(health.since).ok());
    xml.optional("Since", since.map(|since| since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// Where a probe asks, if it asks at a port.
pub(super) fn check_port(probe: &Probe) -> Option<u16> {
    match *probe {
        Probe::Icmp => None,
        Probe::Tcp { port } | Probe::Http { port, .. } | Probe::Vxlan { port } => Some(port),
    }
}

/// A member's state in words of `ELBv2`.
struct Said<'h> {
    state: &'static str,
    reason: Option<&'static str>,
    description: &'h str,
}

impl<'h> Said<'h> {
    fn of(tool: &Tool, member: &MemberSpec, health: Option<&'h HealthState>) -> Self {
        let say = |state, reason, description| Self { state, reason: Some(reason), description };
        let leaving = "Target.DeregistrationInProgress";
        let found = health.map(|health| (health.state, health.reason.as_str()));
        match (found, member.health) {
            // Who is down is not told to drain as well: it may do both.
            (Some((Health::Unhealthy(cause), why)), _) => say("unhealthy", code(cause), why),
            (Some((_, why)), _) if why.starts_with(UNABLE) => {
                say("unavailable", "Elb.InternalError", why)
            }
            (_, MemberHealth::Draining) => {
                say("draining", leaving, "Target deregistration is in progress")
            }
            _ if tool.health_check.is_none() => say(
                "unavailable",
                "Target.HealthCheckDisabled",
                "Health checks are not enabled for this target",
            ),
            (None, _) => {
                say("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
            }
            (Some((Health::Initial, _)), _) => {
                say("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            }
            (Some((Health::Healthy, _)), _) => {
                Self { state: "healthy", reason: None, description: "" }
            }
        }
    }
}

fn code(cause: Cause) -> &'static str {
    match cause {
        Cause::Timeout => "Target.Timeout",
        Cause::Failed => "Target.FailedHealthChecks",
        Cause::WrongStatus => "Target.ResponseCodeMismatch",
    }
}
