//! `linetap tool`: who receives copies behind one name.

use std::net::IpAddr;

use anyhow::anyhow;
use clap::builder::RangedI64ValueParser;
use clap::{Args, Subcommand, value_parser};
use engine::units::Mac;
use serde_json::{Map, Value};

use super::form::Form;
use super::remedy;
use super::rows::{self, cell};
use super::show::Sheet;
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, say};
use crate::client::{CallError, Connection, Ec2, Element, MEMBER, Shape, TOOL, members, tools};
use crate::config::WEIGHTS;
use crate::fault::quoted;

/// What ids of tools begin with; everything else is a name.
const ID_STARTS: [&str; 3] = ["arn:", "eni-", "vpce-"];

/// The command line of `linetap tool`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tool {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tools of the appliance file.
    List(List),
    /// Show a tool and its members: who takes copies, and who does not and why.
    Show(Show),
    /// Make a member: it takes flows when this returns.
    Add(Add),
    /// Change a member's weight or neighbour address.
    Modify(Modify),
    /// Have members leave, with the flows that they have.
    Remove(Leave),
    /// Give members no new flows. With `sticky` they keep those that they have; without it they have
    /// none left.
    Drain(Leave),
    /// Give members that drain new flows again.
    Undrain(Leave),
}

#[derive(Debug, Args)]
struct List {
    /// Print what `aws elbv2 describe-target-groups` prints, and more.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// The tool: its id (an ARN), or the name in its ARN.
    #[arg(value_name = "TOOL")]
    tool: String,
    /// Print what `aws elbv2 describe-target-health` prints, and more.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    member: Member,
    /// Its part of the flows beside the others'; 0: none [default: 1].
    #[arg(long, value_name = "N", value_parser = weights())]
    weight: Option<u16>,
    /// Its MAC address, or that of the way to it, in place of resolution.
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
}

#[derive(Debug, Args)]
struct Modify {
    #[command(flatten)]
    member: Member,
    #[command(flatten)]
    change: Setting,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Setting {
    /// Its part of the flows beside the others'; 0: none.
    #[arg(long, value_name = "N", value_parser = weights())]
    weight: Option<u16>,
    /// Its MAC address, or that of the way to it, in place of resolution.
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
}

/// One member of one tool.
#[derive(Debug, Args)]
struct Member {
    /// The tool: its id (an ARN), or the name in its ARN.
    #[arg(long, value_name = "TOOL", visible_alias = "target-group-arn")]
    tool: String,
    /// The member's address.
    #[arg(long, value_name = "ADDRESS")]
    address: IpAddr,
    /// Only tell whether it could be done.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Leave {
    /// The tool: its id (an ARN), or the name in its ARN.
    #[arg(long, value_name = "TOOL", visible_alias = "target-group-arn")]
    tool: String,
    /// A member's address; several if repeated.
    #[arg(long = "address", value_name = "ADDRESS", required = true)]
    addresses: Vec<IpAddr>,
    /// Only tell whether it could be done.
    #[arg(long)]
    dry_run: bool,
}

fn weights() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(i64::from(*WEIGHTS.start())..=i64::from(*WEIGHTS.end()))
}

impl Tool {
    pub(in crate::cli) fn run(&self) -> Result<(), Failure> {
        let mut connection = self.endpoint.connect()?;
        match &self.verb {
            Verb::List(List { json }) => list(&mut connection, *json),
            Verb::Show(which) => show(&mut connection, which),
            Verb::Add(Add { member, weight, mac }) => {
                let form = Form::default().with("Expect", "new");
                register(&mut connection, form, member, (*weight, *mac))
            }
            Verb::Modify(Modify { member, change: Setting { weight, mac } }) => {
                let form = Form::default().with("Expect", "known");
                register(&mut connection, form, member, (*weight, *mac))
            }
            Verb::Remove(which) => change(&mut connection, "DeregisterTargets", which, None),
            Verb::Drain(which) => {
                change(&mut connection, "DeregisterTargets", which, Some(("Drain", "true")))
            }
            Verb::Undrain(which) => change(&mut connection, "RegisterTargets", which, None),
        }
    }
}

fn list(connection: &mut Connection, json: bool) -> Result<(), Failure> {
    let found = tools(connection, &Form::default().0).map_err(remedy::failure)?;
    if json {
        say_json("TargetGroups", &TOOL, &found);
        return Ok(());
    }
    let row = |tool: &Element| {
        vec![
            cell(tool, "TargetGroupArn"),
            cell(tool, "ToolPort"),
            cell(tool, "MemberCount"),
            cell(tool, "DownCount"),
            cell(tool, "DrainingCount"),
            check(tool),
        ]
    };
    let headings = ["TOOL", "PORT", " MEMBERS", " DOWN", " DRAINING", "CHECK"];
    rows::print(&headings, found.iter().map(row));
    Ok(())
}

/// How the members of a tool are checked, in brief.
fn check(tool: &Element) -> String {
    let Some(protocol) = tool.text_of("HealthCheckProtocol") else { return "-".to_owned() };
    let port = tool.text_of("HealthCheckPort").map(|port| format!(" {port}")).unwrap_or_default();
    let path = tool.text_of("HealthCheckPath").map(|path| format!(" {path}")).unwrap_or_default();
    format!("{}{port}{path}", protocol.to_lowercase())
}

fn show(connection: &mut Connection, which: &Show) -> Result<(), Failure> {
    let id = resolve(connection, &which.tool)?;
    let form = Form::default().with("TargetGroupArns.member.1", &id);
    let tool = tools(connection, &form.0).map_err(remedy::failure)?;
    let members = members(connection, &id).map_err(remedy::failure)?;
    if which.json {
        say_json("TargetHealthDescriptions", &MEMBER, &members);
        return Ok(());
    }
    let tool = tool.into_iter().next().unwrap_or_default();
    let row = |member: &Element| {
        let of = |part, name| member.child(part).map_or("-".to_owned(), |part| cell(part, name));
        vec![
            of("Target", "Id"),
            cell(member, "Weight"),
            of("TargetHealth", "State"),
            cell(member, "Since"),
            of("TargetHealth", "Description"),
            cell(member, "MacAddress"),
        ]
    };
    let sheet = Sheet::default()
        .value("id", &tool, "TargetGroupArn")
        .value("name", &tool, "TargetGroupName")
        .value("port", &tool, "ToolPort")
        .value("affinity", &tool, "Affinity")
        .value("inner", &tool, "Inner")
        .value("sticky", &tool, "Sticky")
        .value("all down", &tool, "AllDown")
        .line("check", &check(&tool))
        .part(
            "members",
            &["ADDRESS", " WEIGHT", "STATE", "SINCE", "WHY", "MAC"],
            members.iter().map(row),
        );
    say(&sheet.text());
    Ok(())
}

fn register(
    connection: &mut Connection,
    form: Form,
    member: &Member,
    (weight, mac): (Option<u16>, Option<Mac>),
) -> Result<(), Failure> {
    let Member { tool, address, dry_run } = member;
    let form = form
        .with("TargetGroupArn", resolve(connection, tool)?)
        .with("Targets.member.1.Id", address)
        .maybe("Targets.member.1.Weight", weight)
        .maybe("Targets.member.1.MacAddress", mac);
    call(connection, "RegisterTargets", form, &[*address], *dry_run)
}

fn change(
    connection: &mut Connection,
    action: &str,
    which: &Leave,
    more: Option<(&str, &str)>,
) -> Result<(), Failure> {
    let mut form = Form::default()
        .with("TargetGroupArn", resolve(connection, &which.tool)?)
        .with("Expect", "known");
    if let Some((name, value)) = more {
        form = form.with(name, value);
    }
    for (address, at) in which.addresses.iter().zip(1..) {
        form = form.with(format!("Targets.member.{at}.Id"), address);
    }
    call(connection, action, form, &which.addresses, which.dry_run)
}

/// Makes a change, and prints the members that it was of.
fn call(
    connection: &mut Connection,
    action: &str,
    form: Form,
    members: &[IpAddr],
    is_dry: bool,
) -> Result<(), Failure> {
    let form = form.maybe("DryRun", is_dry.then_some(true));
    match connection.call(action, &form.0) {
        Err(CallError::Refused { code, .. }) if is_dry && code == "DryRunOperation" => {
            say("dry run: it would be done; nothing was changed");
            Ok(())
        }
        Err(error) => Err(remedy::failure(error)),
        Ok(_) => {
            for member in members {
                say(&member.to_string());
            }
            Ok(())
        }
    }
}

/// The id behind a name, which may be an id itself.
fn resolve(connection: &mut Connection, name: &str) -> Result<String, Failure> {
    if ID_STARTS.iter().any(|start| name.starts_with(start)) {
        return Ok(name.to_owned());
    }
    let form = Form::default().with("Names.member.1", name);
    let found = tools(connection, &form.0).map_err(remedy::failure)?;
    match found.as_slice() {
        [only] => Ok(cell(only, "TargetGroupArn")),
        [] => Err(anyhow!(
            "there is no tool with the id or the name {}; `linetap tool list` shows those that \
             there are",
            quoted(name)
        )
        .into()),
        several => Err(anyhow!(
            "{} tools have the name {}; give the ARN of the one that is meant",
            several.len(),
            quoted(name)
        )
        .into()),
    }
}

fn say_json(key: &str, shape: &Shape, elements: &[Element]) {
    let list: Value = elements.iter().map(|element| shape.to_json(element)).collect();
    say(&format!("{:#}", Value::Object(Map::from_iter([(key.to_owned(), list)]))));
}
