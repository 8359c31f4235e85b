//! `linetap filter`: what is mirrored, as ordered rules.

use clap::{Args, Subcommand};

use super::arguments::{Change, Delete, List, New, Show};
use super::desk::Desk;
use super::form::Form;
use super::rows::{self, cell, name, words};
use super::show::Sheet;
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, say};
use crate::client::{Element, Noun};
use crate::model::Kind;

/// The command line of `linetap filter`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Filter {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a filter without rules, and print its id.
    Create(New),
    /// Delete filters that no session has, with their rules.
    Delete(Delete),
    /// Change a filter's network services and tags.
    Modify(Modify),
    /// List filters.
    List(List),
    /// Show a filter with its rules, in the order in which they are tried.
    Show(Show),
}

#[derive(Debug, Args)]
struct Modify {
    /// The filter, by id or name.
    #[arg(value_name = "ID")]
    id: String,
    /// Mirror the traffic of a network service.
    #[arg(
        long,
        visible_alias = "add-network-services",
        value_name = "SERVICE",
        value_parser = ["amazon-dns"],
        conflicts_with = "remove_service"
    )]
    add_service: Option<String>,
    /// Mirror it no more.
    #[arg(
        long,
        visible_alias = "remove-network-services",
        value_name = "SERVICE",
        value_parser = ["amazon-dns"]
    )]
    remove_service: Option<String>,
    #[command(flatten)]
    change: Change,
}

impl Filter {
    pub(in crate::cli) fn run(&self) -> Result<(), Failure> {
        let mut desk = Desk::open(Kind::Filter, &self.endpoint)?;
        match &self.verb {
            Verb::Create(new) => new.make(&mut desk, Form::default()),
            Verb::Delete(delete) => delete.run(&mut desk),
            Verb::Modify(modify) => {
                let id = desk.id(Kind::Filter, &modify.id)?;
                let form = Form::default()
                    .list("AddNetworkService", &modify.add_service)
                    .list("RemoveNetworkService", &modify.remove_service);
                let action = "ModifyTrafficMirrorFilterNetworkServices";
                modify.change.make(&mut desk, &id, action, form)
            }
            Verb::List(list) => desk.list(list, &list.form(), print),
            Verb::Show(show) => desk.show(show, sheet),
        }
    }
}

fn print(filters: &[Element]) {
    let row = |filter: &Element| {
        vec![
            cell(filter, "trafficMirrorFilterId"),
            name(filter),
            filter.items("ingressFilterRuleSet").count().to_string(),
            filter.items("egressFilterRuleSet").count().to_string(),
            words(filter, "networkServiceSet"),
            cell(filter, "description"),
        ]
    };
    let headings = ["FILTER", "NAME", " INGRESS", " EGRESS", "SERVICES", "DESCRIPTION"];
    rows::print(&headings, filters.iter().map(row));
}

fn sheet(desk: &mut Desk, filter: &Element) -> Result<(), Failure> {
    let sessions = desk.sessions_of(desk.noun.id_of(filter))?;
    let mut sheet = Sheet::of(desk.noun, filter)
        .line("services", &words(filter, "networkServiceSet"))
        .line("sessions", &sessions)
        .notes(filter);
    let headings = [&rows::RULE[..], &["RULE", "NAME", "DESCRIPTION"]].concat();
    let row = |rule: &Element| {
        let id = Noun::of(Kind::Rule).id_of(rule).to_owned();
        [rows::rule(rule), vec![id, name(rule), cell(rule, "description")]].concat()
    };
    for direction in ["ingress", "egress"] {
        // EC2 gives them in their order.
        let rules: Vec<_> = filter.items(&format!("{direction}FilterRuleSet")).map(row).collect();
        sheet = if rules.is_empty() {
            sheet.remark(&format!("{direction}: no rules"))
        } else {
            sheet.part(
                &format!("{direction}: the first rule that matches decides"),
                &headings,
                rules,
            )
        };
    }
    say(&sheet.text());
    Ok(())
}
