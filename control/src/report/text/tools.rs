//! The tools behind each target: what they take and why, their part of the copies.

use std::fmt::Write as _;
use std::time::SystemTime;

use comfy_table::Table;
use engine::report::{LiveReport, NeighborState};
use engine::snapshot::{AllDown, MemberHealth};
use jiff::Timestamp;

use super::super::health_word;
use super::{section, table, tenths};

pub(super) fn tools(live: &LiveReport, out: &mut String) {
    section(out, &members(live));
    for members in live.neighbors.chunk_by(|one, other| one.target == other.target) {
        let [first, ..] = members else { continue };
        if members.iter().any(|member| member.health != MemberHealth::Down) {
            continue;
        }
        let what = match first.all_down {
            AllDown::FailOpen => "all of them get their flows as if they were (fail_open)",
            AllDown::Skip => "copies to it are skipped (skip)",
        };
        // Written to memory, which never fails.
        let _ = writeln!(out, "target {}: no tool is healthy; {what}", first.target);
    }
}

fn members(live: &LiveReport) -> Table {
    let mut table = table(&[
        "TARGET",
        "TOOL",
        "HEALTH",
        "SINCE",
        " WEIGHT",
        " COPIES",
        " SHARE",
        " MOVED FLOWS",
    ]);
    for member in &live.neighbors {
        let same = live.neighbors.iter().filter(|other| other.target == member.target);
        let copies: u64 = same.map(|other| other.copies).sum();
        table.add_row([
            member.target.clone(),
            member.address.to_string(),
            health(member),
            member.checked.as_ref().map_or_else(|| "-".to_owned(), |found| time(found.since)),
            member.weight.to_string(),
            member.copies.to_string(),
            format!("{} %", tenths(member.copies.saturating_mul(100), copies)),
            member.moved_flows.to_string(),
        ]);
    }
    table
}

/// What it takes, what its checks have found, and why.
fn health(member: &NeighborState) -> String {
    let mut words = Vec::new();
    match (member.health, &member.checked) {
        (MemberHealth::Draining, _) => words.push("draining"),
        (MemberHealth::Down, None) => words.push("down"),
        (MemberHealth::Active, None) => words.push("not checked"),
        _ => {}
    }
    if let Some(found) = &member.checked {
        words.push(health_word(found.state));
        if !found.reason.is_empty() {
            return format!("{}: {}", words.join(", "), found.reason);
        }
    }
    words.join(", ")
}

/// To the second.
fn time(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).ok();
    let time = time.and_then(|time| Timestamp::from_second(time.as_second()).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}
