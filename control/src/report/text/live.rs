//! What only a running data plane has: workers and their queues, tools, pools.

use comfy_table::Table;
use engine::report::{HopState, LiveReport, Report, WorkerState};
use hdrhistogram::Histogram;

use super::super::latency::{self, Times};
use super::tools::tools;
use super::{Change, section, table, tenths};

/// How busy workers are, and how long packets take: since the earlier report, or else since the start.
pub(super) fn performance(live: &LiveReport, change: Option<Change<'_>>, out: &mut String) {
    section(out, &workers(live, change));
    section(out, &latencies(live, change));
}

/// What one looks at when something is wrong.
pub(super) fn details(report: &Report, live: &LiveReport, out: &mut String) {
    section(out, &rx_queues(live));
    section(out, &tx_queues(live));
    section(out, &references(report, live));
    section(out, &kernels(live));
    tools(live, out);
    section(out, &neighbors(live));
    section(out, &pools(live));
}

/// From which length on copies are made by reference, and how many were.
fn references(report: &Report, live: &LiveReport) -> Table {
    let mut table = table(&["TOOL PORT", " BY REFERENCE FROM", " SO MADE"]);
    for state in &live.ports {
        let Some(len_min) = state.share_len_min else { continue };
        let port = report.ports.iter().find(|port| port.name == state.name);
        let made = port.map_or(0, |port| port.shared_packets);
        table.add_row([state.name.clone(), format!("{len_min} bytes"), made.to_string()]);
    }
    table
}

/// The kernel's interfaces of tool ports, and what went through them.
fn kernels(live: &LiveReport) -> Table {
    let mut table = table(&[
        "TOOL PORT",
        "KERNEL'S INTERFACE",
        " RECEIVED",
        " SENT",
        " REFUSED",
        " OTHER VLANS",
    ]);
    for state in &live.ports {
        let Some(kernel) = &state.kernel else { continue };
        table.add_row([
            state.name.clone(),
            kernel.interface.clone(),
            kernel.received.to_string(),
            kernel.sent.to_string(),
            kernel.refused.to_string(),
            kernel.other_vlan.to_string(),
        ]);
    }
    table
}

fn latencies(live: &LiveReport, change: Option<Change<'_>>) -> Table {
    let mut table =
        table(&["LATENCY", " PACKETS", " MEDIAN", " 90 %", " 99 %", " 99.9 %", " LONGEST"]);
    let Some(mut latency) = latency::of(live) else { return table };
    let before = change.and_then(|change| latency::of(change.before.live.as_ref()?));
    if let Some(before) = before {
        latency = latency::since(latency, &before);
    }
    table.add_row(times("wire: received to forwarded", &latency.wire));
    table.add_row(times("copy: received to sent to the tool", &latency.copy));
    table
}

fn times(what: &str, histogram: &Histogram<u64>) -> Vec<String> {
    let times = Times::of(histogram);
    let told = |of: fn(&Times) -> u64| times.as_ref().map_or("-".to_owned(), |it| time(of(it)));
    vec![
        what.to_owned(),
        histogram.len().to_string(),
        told(|it| it.p50),
        told(|it| it.p90),
        told(|it| it.p99),
        told(|it| it.p999),
        told(|it| it.max),
    ]
}

/// A time in a unit that leaves few digits.
fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", tenths(ns, 1_000)),
        1_000_000..1_000_000_000 => format!("{} ms", tenths(ns, 1_000_000)),
        _ => format!("{} s", tenths(ns, 1_000_000_000)),
    }
}

fn workers(live: &LiveReport, change: Option<Change<'_>>) -> Table {
    let mut table =
        table(&["WORKER", " SNAPSHOT", " BUSY", " ASLEEP", " SLEEPS", " ROUNDS", " EMPTY ROUNDS"]);
    for worker in &live.workers {
        let before = change.and_then(|change| {
            let workers = &change.before.live.as_ref()?.workers;
            workers.iter().find(|before| before.core == worker.core)
        });
        let since =
            |time: fn(&WorkerState) -> u64| time(worker).saturating_sub(before.map_or(0, time));
        let total = since(|it| it.total_ns);
        table.add_row([
            core(worker),
            worker.epoch.to_string(),
            share(since(|it| it.busy_ns), total),
            share(since(|it| it.asleep_ns), total),
            worker.sleeps.to_string(),
            worker.polls.to_string(),
            worker.empty_polls.to_string(),
        ]);
    }
    table
}

fn rx_queues(live: &LiveReport) -> Table {
    let mut table = table(&[
        "RX QUEUE",
        "WORKER",
        " PACKETS",
        " BYTES",
        " BURSTS",
        " PER BURST",
        " FULL BURSTS",
        " WAITING",
    ]);
    for worker in &live.workers {
        for queue in &worker.rx {
            let bursts = queue.polls.saturating_sub(queue.empty_polls);
            table.add_row([
                format!("{} {}", queue.port, queue.queue),
                core(worker),
                queue.packets.to_string(),
                queue.bytes.to_string(),
                bursts.to_string(),
                tenths(queue.packets, bursts),
                queue.full_bursts.to_string(),
                queue.waiting.map_or_else(|| "not told".to_owned(), |frames| frames.to_string()),
            ]);
        }
    }
    table
}

fn tx_queues(live: &LiveReport) -> Table {
    let mut table = table(&["TX QUEUE", "WORKER", " PACKETS", " BYTES", " REFUSED"]);
    for worker in &live.workers {
        for queue in &worker.tx {
            table.add_row([
                format!("{} {}", queue.port, queue.queue),
                core(worker),
                queue.packets.to_string(),
                queue.bytes.to_string(),
                queue.refused.to_string(),
            ]);
        }
    }
    table
}

fn core(worker: &WorkerState) -> String {
    format!("core {}", worker.core)
}

/// A share in percent, with one decimal.
fn share(part: u64, whole: u64) -> String {
    format!("{} %", tenths(part.saturating_mul(100), whole))
}

fn neighbors(live: &LiveReport) -> Table {
    let mut table = table(&["TARGET", "ADDRESS", "FROM", "NEXT HOP", "NEIGHBOR", " PATH MTU"]);
    for neighbor in &live.neighbors {
        let path_mtu = neighbor.path_mtu.map_or("-".to_owned(), |mtu| mtu.to_string());
        let first =
            [neighbor.target.clone(), neighbor.address.to_string(), neighbor.source.to_string()];
        let mut row = |hop: Option<&HopState>, first: [String; 3], path_mtu: String| {
            let [via, mac] = next_hop(hop);
            let [target, address, source] = first;
            table.add_row([target, address, source, via, mac, path_mtu]);
        };
        row(neighbor.hops.first(), first, path_mtu);
        for hop in neighbor.hops.iter().skip(1) {
            row(Some(hop), Default::default(), String::new());
        }
    }
    table
}

/// Where it is, and its link-layer address.
fn next_hop(hop: Option<&HopState>) -> [String; 2] {
    let via = hop.map_or("-".to_owned(), |hop| match hop.vlan {
        Some(vlan) => format!("{} in VLAN {}", hop.via, vlan.value()),
        None => hop.via.to_string(),
    });
    let mac = hop.and_then(|hop| hop.mac);
    [via, mac.map_or("not known yet".to_owned(), |mac| mac.to_string())]
}

fn pools(live: &LiveReport) -> Table {
    let mut table = table(&["POOL", " BUFFERS", " IN USE"]);
    for pool in &live.pools {
        table.add_row([pool.name.clone(), pool.size.to_string(), pool.in_use.to_string()]);
    }
    table
}
