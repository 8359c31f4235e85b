//! `linetap rule`: one rule of a filter.

use clap::{Args, Subcommand};
use engine::rule::PortRange;
use ipnet::IpNet;

use super::arguments::{Change, Delete, List, New, Show};
use super::desk::Desk;
use super::form::Form;
use super::rows::{self, cell, name};
use super::show::Sheet;
use super::words::{Protocol, cidr, numbers, ports};
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, say};
use crate::client::Element;
use crate::model::Kind;

/// The command line of `linetap rule`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rule {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a rule, and print its id.
    Create(Box<Create>),
    /// Delete rules.
    Delete(Delete),
    /// Change a rule in place.
    Modify(Box<Modify>),
    /// List rules.
    List(ListOf),
    /// Show a rule.
    Show(Show),
}

#[derive(Debug, Args)]
struct Create {
    /// The filter, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-filter-id", value_name = "FILTER")]
    filter: String,
    /// The direction, as the interface sees it.
    #[arg(long, visible_alias = "traffic-direction", value_parser = ["ingress", "egress"])]
    direction: String,
    /// The rule's place: lower ones are tried first.
    #[arg(
        long,
        visible_alias = "rule-number",
        value_parser = numbers()
    )]
    number: u16,
    /// What becomes of packets that match.
    #[arg(long, visible_alias = "rule-action", value_parser = ["accept", "reject"])]
    action: String,
    /// Where packets come from.
    #[arg(long, visible_alias = "source-cidr-block", value_name = "CIDR", value_parser = cidr)]
    source: IpNet,
    /// Where they go to.
    #[arg(long, visible_alias = "destination-cidr-block", value_name = "CIDR", value_parser = cidr)]
    destination: IpNet,
    #[command(flatten)]
    layer4: Layer4,
    #[command(flatten)]
    new: New,
}

/// What a rule may say of protocol and ports.
#[derive(Debug, Args)]
struct Layer4 {
    /// tcp, udp, sctp, icmp, icmp6, a number, or all.
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// Source ports, of tcp and udp.
    #[arg(
        long,
        visible_alias = "source-port-range",
        value_name = "PORT[-PORT]",
        value_parser = ports
    )]
    source_ports: Option<PortRange>,
    /// Destination ports, of tcp and udp.
    #[arg(
        long,
        visible_alias = "destination-port-range",
        value_name = "PORT[-PORT]",
        value_parser = ports
    )]
    destination_ports: Option<PortRange>,
}

#[derive(Debug, Args)]
struct Modify {
    /// The rule, by id or name.
    #[arg(value_name = "ID")]
    id: String,
    /// Another direction.
    #[arg(long, visible_alias = "traffic-direction", value_parser = ["ingress", "egress"])]
    direction: Option<String>,
    /// Another place.
    #[arg(
        long,
        visible_alias = "rule-number",
        value_parser = numbers()
    )]
    number: Option<u16>,
    /// Another action.
    #[arg(long, visible_alias = "rule-action", value_parser = ["accept", "reject"])]
    action: Option<String>,
    /// Another source.
    #[arg(long, visible_alias = "source-cidr-block", value_name = "CIDR", value_parser = cidr)]
    source: Option<IpNet>,
    /// Another destination.
    #[arg(long, visible_alias = "destination-cidr-block", value_name = "CIDR", value_parser = cidr)]
    destination: Option<IpNet>,
    #[command(flatten)]
    layer4: Layer4,
    /// Another description.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Take a condition away, or the description; several if repeated or divided by commas.
    #[arg(
        long,
        visible_alias = "remove-fields",
        value_name = "FIELD",
        value_delimiter = ',',
        value_parser = REMOVABLE
    )]
    remove: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// What can be taken away: EC2's words, and ours for two of them.
const REMOVABLE: [&str; 6] = [
    "protocol",
    "source-port-range",
    "destination-port-range",
    "description",
    "source-ports",
    "destination-ports",
];

#[derive(Debug, Args)]
struct ListOf {
    /// Only those of this filter, by id or name.
    #[arg(long, visible_alias = "traffic-mirror-filter-id", value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    list: List,
}

impl Rule {
    pub(in crate::cli) fn run(&self) -> Result<(), Failure> {
        let mut desk = Desk::open(Kind::Rule, &self.endpoint)?;
        match &self.verb {
            Verb::Create(create) => {
                let filter = desk.id(Kind::Filter, &create.filter)?;
                let form = Form::default()
                    .with("TrafficMirrorFilterId", filter)
                    .with("TrafficDirection", &create.direction)
                    .with("RuleNumber", create.number)
                    .with("RuleAction", &create.action)
                    .with("SourceCidrBlock", create.source)
                    .with("DestinationCidrBlock", create.destination);
                create.new.make(&mut desk, create.layer4.add_to(form))
            }
            Verb::Delete(delete) => delete.run(&mut desk),
            Verb::Modify(modify) => {
                let id = desk.id(Kind::Rule, &modify.id)?;
                let action = "ModifyTrafficMirrorFilterRule";
                modify.change.make(&mut desk, &id, action, modify.form())
            }
            Verb::List(of) => {
                let filter = desk.id_if_any(Kind::Filter, of.filter.as_ref())?;
                let form = of.list.form().maybe("TrafficMirrorFilterId", filter);
                desk.list(&of.list, &form, print)
            }
            Verb::Show(show) => desk.show(show, sheet),
        }
    }
}

impl Layer4 {
    /// What it says; every protocol is what a new rule says by silence.
    fn add_to(&self, form: Form) -> Form {
        let number = match self.protocol {
            Some(Protocol::Number(number)) => Some(number),
            Some(Protocol::All) | None => None,
        };
        form.maybe("Protocol", number)
            .ports("SourcePortRange", self.source_ports)
            .ports("DestinationPortRange", self.destination_ports)
    }
}

impl Modify {
    fn form(&self) -> Form {
        let form = Form::default()
            .maybe("TrafficDirection", self.direction.as_ref())
            .maybe("RuleNumber", self.number)
            .maybe("RuleAction", self.action.as_ref())
            .maybe("SourceCidrBlock", self.source)
            .maybe("DestinationCidrBlock", self.destination)
            .maybe("Description", self.description.as_ref());
        let every = (self.layer4.protocol == Some(Protocol::All)).then_some("protocol");
        let removed = self.remove.iter().map(|field| match field.as_str() {
            "source-ports" => "source-port-range",
            "destination-ports" => "destination-port-range",
            field => field,
        });
        self.layer4.add_to(form).list("RemoveField", removed.chain(every))
    }
}

fn print(rules: &[Element]) {
    let row = |rule: &Element| {
        let first = vec![
            cell(rule, "trafficMirrorFilterRuleId"),
            name(rule),
            cell(rule, "trafficMirrorFilterId"),
            cell(rule, "trafficDirection"),
        ];
        [first, rows::rule(rule), vec![cell(rule, "description")]].concat()
    };
    let headings =
        [&["RULE", "NAME", "FILTER", "DIRECTION"], &rows::RULE[..], &["DESCRIPTION"]].concat();
    rows::print(&headings, rules.iter().map(row));
}

fn sheet(desk: &mut Desk, rule: &Element) -> Result<(), Failure> {
    let id = cell(rule, "trafficMirrorFilterId");
    let filter = desk.brief(Kind::Filter, &id, |filter| {
        let count = |set: &str| filter.items(set).count();
        format!("{} rules", count("ingressFilterRuleSet") + count("egressFilterRuleSet"))
    })?;
    let sheet = Sheet::of(desk.noun, rule)
        .line("filter", &filter)
        .value("direction", rule, "trafficDirection")
        .notes(rule)
        .part("what it says", &rows::RULE, [rows::rule(rule)]);
    say(&sheet.text());
    Ok(())
}
