//! `linetap target`: where copies go.

use clap::{Args, Subcommand};

use super::arguments::{Change, Delete, List, New, Show};
use super::desk::Desk;
use super::form::Form;
use super::rows::{self, cell, destination, name};
use super::show::Sheet;
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, say};
use crate::client::Element;
use crate::model::Kind;

/// The command line of `linetap target`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Target {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a target of a tool of the appliance file, and print its id.
    Create(Create),
    /// Delete targets that no session has.
    Delete(Delete),
    /// Change a target's tags: EC2 lets nothing else of it be changed.
    Modify(Modify),
    /// List targets.
    List(List),
    /// Show a target and the sessions that have it.
    Show(Show),
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    destination: Destination,
    #[command(flatten)]
    new: New,
}

/// The tool, in one of three ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Destination {
    /// A tool whose id is an interface's.
    #[arg(long, visible_alias = "network-interface-id", value_name = "ENI")]
    interface: Option<String>,
    /// A tool whose id is a load balancer's.
    #[arg(long, visible_alias = "network-load-balancer-arn", value_name = "ARN")]
    load_balancer: Option<String>,
    /// A tool whose id is an endpoint's.
    #[arg(long, visible_alias = "gateway-load-balancer-endpoint-id", value_name = "VPCE")]
    gateway_endpoint: Option<String>,
}

#[derive(Debug, Args)]
struct Modify {
    /// The target, by id or name.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    change: Change,
}

impl Target {
    pub(in crate::cli) fn run(&self) -> Result<(), Failure> {
        let mut desk = Desk::open(Kind::Target, &self.endpoint)?;
        match &self.verb {
            Verb::Create(Create { destination, new }) => {
                let form = Form::default()
                    .maybe("NetworkInterfaceId", destination.interface.as_ref())
                    .maybe("NetworkLoadBalancerArn", destination.load_balancer.as_ref())
                    .maybe("GatewayLoadBalancerEndpointId", destination.gateway_endpoint.as_ref());
                new.make(&mut desk, form)
            }
            Verb::Delete(delete) => delete.run(&mut desk),
            Verb::Modify(Modify { id, change }) => {
                let id = desk.id(Kind::Target, id)?;
                change.make(&mut desk, &id, "", Form::default())
            }
            Verb::List(list) => desk.list(list, &list.form(), print),
            Verb::Show(show) => desk.show(show, sheet),
        }
    }
}

fn print(targets: &[Element]) {
    let row = |target: &Element| {
        vec![
            cell(target, "trafficMirrorTargetId"),
            name(target),
            cell(target, "type"),
            destination(target),
            cell(target, "ownerId"),
            cell(target, "description"),
        ]
    };
    let headings = ["TARGET", "NAME", "TYPE", "TOOL", "OWNER", "DESCRIPTION"];
    rows::print(&headings, targets.iter().map(row));
}

fn sheet(desk: &mut Desk, target: &Element) -> Result<(), Failure> {
    let sessions = desk.sessions_of(desk.noun.id_of(target))?;
    let sheet = Sheet::of(desk.noun, target)
        .value("type", target, "type")
        .line("tool", &destination(target))
        .line("sessions", &sessions)
        .value("owner", target, "ownerId")
        .notes(target);
    say(&sheet.text());
    Ok(())
}
