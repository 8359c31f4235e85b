//! The report as tables, for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Table;
use engine::drop_reason::{Ended, NeverMirrored, Skipped, Unmirrored};
use engine::report::{LiveReport, PortReport, PortState, Report, SessionReport};

use super::grid::{lines, table};
use super::laws::violations;

mod live;
mod tools;

/// An earlier report and the time since, to tell rates.
#[derive(Debug, Clone, Copy)]
pub struct Change<'r> {
    /// The earlier report.
    pub before: &'r Report,
    /// What has passed since.
    pub elapsed: Duration,
}

/// The report as tables. With `change`, ports and sessions show rates too. At most `rules_max` of
/// the rules are listed, those with the most hits.
pub fn to_text(report: &Report, change: Option<Change<'_>>, rules_max: usize) -> String {
    let mut out = String::new();
    if let Some(live) = &report.live {
        heading(report, live, &mut out);
    }
    section(&mut out, &ports(report, change));
    if let Some(live) = &report.live {
        live::performance(live, change, &mut out);
    }
    section(&mut out, &sessions(report, change));
    rules(report, rules_max, &mut out);
    let unmirrored = named(Unmirrored::ALL.iter().map(|it| it.name()), &report.unmirrored);
    // Written to memory, which never fails.
    let _ = writeln!(out, "\nnot mirrored: {unmirrored}");
    if report.never_mirrored_by.iter().any(|&count| count > 0) {
        let never = named(NeverMirrored::ALL.iter().map(|it| it.name()), &report.never_mirrored_by);
        let _ = writeln!(out, "never mirrored: {never}");
    }
    if let Some(live) = &report.live {
        live::details(report, live, &mut out);
    }
    let broken = violations(report);
    if broken.is_empty() {
        out.push_str("\nconservation: ok, every packet is accounted for\n");
    }
    for law in broken {
        let _ = writeln!(out, "\nconservation: VIOLATED, {law}");
    }
    out
}

fn heading(report: &Report, live: &LiveReport, out: &mut String) {
    let (minutes, seconds) = (live.uptime_s / 60, live.uptime_s % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let _ = writeln!(
        out,
        "data plane {} up {hours}:{minutes:02}:{seconds:02}, snapshot {}\n{}",
        live.pid,
        report.epoch,
        if live.is_controlled {
            ""
        } else {
            "linetapd is not connected: what was in force last stays so, the health of tools too\n"
        }
    );
}

fn section(out: &mut String, table: &Table) {
    if table.is_empty() {
        return;
    }
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    out.push_str(&lines(table));
}

/// The counts that are not zero, by name.
fn named<'n>(names: impl Iterator<Item = &'n str>, counts: &[u64]) -> String {
    let told: Vec<String> = names
        .zip(counts)
        .filter(|&(_, &count)| count != 0)
        .map(|(name, &count)| format!("{name} {count}"))
        .collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

fn ports(report: &Report, change: Option<Change<'_>>) -> Table {
    let mut headings = vec!["PORT", " RX", " TX", " FORWARDED", "ENDED"];
    if report.live.is_some() {
        headings.extend(["LINK", "DEVICE LOST"]);
    }
    if change.is_some() {
        headings.extend([" RX/s", " RX Mb/s", " TX/s", " TX Mb/s"]);
    }
    let mut table = table(&headings);
    for port in &report.ports {
        let states = report.live.iter().flat_map(|live| &live.ports);
        let state = states.into_iter().find(|state| state.name == port.name);
        let ended = named(Ended::ALL.iter().map(|it| it.name()), &port.ended);
        let mut row = vec![
            port.name.clone(),
            port.rx_packets.to_string(),
            port.tx_packets.to_string(),
            port.forwarded.to_string(),
            ended,
        ];
        if report.live.is_some() {
            row.extend([link(state), lost(state)]);
        }
        if let Some(change) = change {
            row.extend(rates(port, change));
        }
        table.add_row(row);
    }
    table
}

fn link(state: Option<&PortState>) -> String {
    match state {
        None => "-".to_owned(),
        Some(state) if !state.link_up => "DOWN".to_owned(),
        Some(state) => match state.speed_mbps {
            0 | u32::MAX => "up".to_owned(),
            mbps if mbps % 1000 == 0 => format!("up {}G", mbps / 1000),
            mbps => format!("up {mbps}M"),
        },
    }
}

/// What the device lost, in DPDK's words.
fn lost(state: Option<&PortState>) -> String {
    let Some(losses) = state.and_then(|state| state.losses) else { return "not told".to_owned() };
    let names = ["imissed", "ierrors", "rx_nombuf", "oerrors"];
    named(names.into_iter(), &[losses.imissed, losses.ierrors, losses.rx_nombuf, losses.oerrors])
}

fn rates(port: &PortReport, change: Change<'_>) -> [String; 4] {
    let before = change.before.ports.iter().find(|before| before.name == port.name);
    let since =
        |now: u64, then: fn(&PortReport) -> u64| now.saturating_sub(before.map_or(now, then));
    let seconds = change.elapsed;
    [
        per_second(since(port.rx_packets, |it| it.rx_packets), seconds),
        megabits(since(port.rx_bytes, |it| it.rx_bytes), seconds),
        per_second(since(port.tx_packets, |it| it.tx_packets), seconds),
        megabits(since(port.tx_bytes, |it| it.tx_bytes), seconds),
    ]
}

/// A count per second, rounded.
fn per_second(count: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let rate = (u128::from(count) * 1000 + millis / 2) / millis;
    rate.to_string()
}

/// Bytes as millions of bits per second, with one decimal.
fn megabits(bytes: u64, elapsed: Duration) -> String {
    let micros = elapsed.as_micros().max(1);
    let tenths = u128::from(bytes) * 80 / micros;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn sessions(report: &Report, change: Option<Change<'_>>) -> Table {
    let mut headings = vec![
        "SESSION",
        "SOURCE",
        " #",
        " VNI",
        " MATCHED",
        " MIRRORED",
        " BYTES",
        " TRUNCATED",
        "SKIPPED",
    ];
    if change.is_some() {
        headings.push(" MIRRORED/s");
    }
    let mut table = table(&headings);
    for session in &report.sessions {
        let mut row = vec![
            session.id.clone(),
            session.network_interface_id.clone(),
            session.session_number.to_string(),
            session.vni.to_string(),
            session.matched.to_string(),
            session.mirrored_packets.to_string(),
            session.mirrored_bytes.to_string(),
            session.truncated_packets.to_string(),
            named(Skipped::ALL.iter().map(|it| it.name()), &session.skipped),
        ];
        if let Some(Change { before, elapsed }) = change {
            let is_same = |other: &&SessionReport| other.id == session.id;
            let now = session.mirrored_packets;
            let then =
                before.sessions.iter().find(is_same).map_or(now, |then| then.mirrored_packets);
            row.push(per_second(now.saturating_sub(then), elapsed));
        }
        table.add_row(row);
    }
    table
}

fn rules(report: &Report, rules_max: usize, out: &mut String) {
    let mut listed: Vec<_> = report.rules.iter().collect();
    let left = listed.len().saturating_sub(rules_max);
    if left > 0 {
        listed.sort_by_key(|rule| std::cmp::Reverse(rule.hits));
        listed.truncate(rules_max);
    }
    let mut table = table(&["RULE", " HITS"]);
    for rule in listed {
        table.add_row([rule.id.clone(), rule.hits.to_string()]);
    }
    section(out, &table);
    if left > 0 {
        let _ = writeln!(out, "and {left} rules with fewer hits");
    }
}

/// A quotient with one decimal, rounded; nothing of nothing is 0.
fn tenths(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 10 + whole / 2) / whole;
    format!("{}.{}", tenths / 10, tenths % 10)
}
