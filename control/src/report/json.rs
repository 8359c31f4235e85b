//! The report as JSON: its keys, their order and what is left out are a contract.

use std::time::UNIX_EPOCH;

use engine::drop_reason::{Ended, NeverMirrored, Skipped, Unmirrored};
use engine::report::{
    HopState, LiveReport, NeighborState, PortReport, PortState, Report, SessionReport, WorkerState,
};
use engine::snapshot::{AllDown, MemberHealth};
use engine::units::VlanId;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::health_word;
use super::latency::{self, Times};
use super::laws::violations;

/// The report as one object. `live` is there when the data plane runs.
pub fn to_json(report: &Report) -> Value {
    let ports = report.ports.iter().map(|port| (port.name.clone(), port_json(port)));
    let rules = report.rules.iter().map(|rule| json!({"logical_id": rule.id, "hits": rule.hits}));
    let unmirrored = counts(Unmirrored::ALL.iter().map(|it| it.name()), &report.unmirrored);
    let mut object = Map::new();
    object.insert("ports".into(), Value::Object(ports.collect()));
    object.insert("sessions".into(), report.sessions.iter().map(session_json).collect());
    object.insert("rules".into(), rules.collect());
    object.insert("unmirrored".into(), Value::Object(unmirrored));
    let never = counts(NeverMirrored::ALL.iter().map(|it| it.name()), &report.never_mirrored_by);
    object.insert("never_mirrored_by".into(), Value::Object(never));
    if let Some(live) = &report.live {
        object.insert("live".into(), live_json(report, live));
    }
    Value::Object(object)
}

fn counts<'n>(names: impl Iterator<Item = &'n str>, counts: &[u64]) -> Map<String, Value> {
    names.zip(counts).map(|(name, &count)| (name.to_owned(), count.into())).collect()
}

fn port_json(port: &PortReport) -> Value {
    let mut ended = counts(Ended::ALL.iter().map(|it| it.name()), &port.ended);
    ended.retain(|_, count| *count != 0);
    let mut all = json!({
        "rx_packets": port.rx_packets,
        "rx_bytes": port.rx_bytes,
        "tx_packets": port.tx_packets,
        "tx_bytes": port.tx_bytes,
        "forwarded": port.forwarded,
        "ended": ended,
    });
    if port.between_workers != 0 {
        all["between_workers"] = port.between_workers.into();
    }
    all
}

fn session_json(session: &SessionReport) -> Value {
    json!({
        "logical_id": session.id,
        "network_interface_id": session.network_interface_id,
        "session_number": session.session_number,
        "vni": session.vni,
        "mirrored_packets": session.mirrored_packets,
        "mirrored_bytes": session.mirrored_bytes,
        "truncated_packets": session.truncated_packets,
        "skipped": counts(Skipped::ALL.iter().map(|it| it.name()), &session.skipped),
    })
}

fn live_json(report: &Report, live: &LiveReport) -> Value {
    let ports = live.ports.iter().map(|state| {
        let port = report.ports.iter().find(|port| port.name == state.name);
        (state.name.clone(), state_json(state, port.map_or(0, |port| port.shared_packets)))
    });
    let sessions = report
        .sessions
        .iter()
        .map(|session| json!({"logical_id": session.id, "matched": session.matched}));
    let pools = live
        .pools
        .iter()
        .map(|pool| json!({"name": pool.name, "size": pool.size, "in_use": pool.in_use}));
    json!({
        "epoch": report.epoch,
        "uptime_s": live.uptime_s,
        "pid": live.pid,
        "controlled": live.is_controlled,
        "ports": ports.collect::<Map<_, _>>(),
        "sessions": sessions.collect::<Value>(),
        "workers": live.workers.iter().map(worker_json).collect::<Value>(),
        "latency": latency::of(live).map(|latency| json!({
            "wire": times_json(&latency.wire),
            "copy": times_json(&latency.copy),
        })),
        "neighbors": live.neighbors.iter().map(neighbor_json).collect::<Value>(),
        "pools": pools.collect::<Value>(),
        "violations": violations(report),
    })
}

fn hop_json(hop: &HopState) -> Value {
    json!({
        "via": hop.via.to_string(),
        "mac": hop.mac.map(|mac| mac.to_string()),
        "vlan": hop.vlan.map(VlanId::value),
    })
}

fn neighbor_json(neighbor: &NeighborState) -> Value {
    let health = match neighbor.health {
        MemberHealth::Active => "active",
        MemberHealth::Draining => "draining",
        MemberHealth::Down => "down",
    };
    let checked = neighbor.checked.as_ref().map(|found| {
        let since = found.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        json!({"state": health_word(found.state), "reason": found.reason, "since": since})
    });
    let all_down = match neighbor.all_down {
        AllDown::FailOpen => "fail_open",
        AllDown::Skip => "skip",
    };
    json!({
        "target": neighbor.target,
        "address": neighbor.address.to_string(),
        "source": neighbor.source.to_string(),
        "mac": neighbor.mac().map(|mac| mac.to_string()),
        "health": health,
        "checked": checked,
        "all_down": all_down,
        "weight": neighbor.weight,
        "copies": neighbor.copies,
        "moved_flows": neighbor.moved_flows,
        "path_mtu": neighbor.path_mtu,
        "hops": neighbor.hops.iter().map(hop_json).collect::<Value>(),
    })
}

fn state_json(port: &PortState, shared_packets: u64) -> Value {
    let xstats = port.xstats.iter().map(|(name, count)| (name.clone(), (*count).into()));
    json!({
        "driver": port.driver,
        "mac": port.mac.to_string(),
        "link_up": port.link_up,
        "speed_mbps": port.speed_mbps,
        "shared_packets": shared_packets,
        "share_len_min": port.share_len_min,
        "losses": port.losses.map(|losses| json!({
            "imissed": losses.imissed,
            "ierrors": losses.ierrors,
            "rx_nombuf": losses.rx_nombuf,
            "oerrors": losses.oerrors,
        })),
        "xstats": xstats.collect::<Map<String, Value>>(),
        "kernel": port.kernel.as_ref().map(|kernel| json!({
            "interface": kernel.interface,
            "received": kernel.received,
            "refused": kernel.refused,
            "other_vlan": kernel.other_vlan,
            "sent": kernel.sent,
        })),
    })
}

/// Times are null of no packets.
fn times_json(histogram: &Histogram<u64>) -> Value {
    let times = Times::of(histogram);
    json!({
        "packets": histogram.len(),
        "mean_ns": times.map(|times| times.mean),
        "min_ns": times.map(|times| times.min),
        "p50_ns": times.map(|times| times.p50),
        "p90_ns": times.map(|times| times.p90),
        "p99_ns": times.map(|times| times.p99),
        "p999_ns": times.map(|times| times.p999),
        "max_ns": times.map(|times| times.max),
    })
}

fn worker_json(worker: &WorkerState) -> Value {
    let rx = worker.rx.iter().map(|queue| {
        json!({
            "port": queue.port,
            "queue": queue.queue,
            "packets": queue.packets,
            "bytes": queue.bytes,
            "polls": queue.polls,
            "empty_polls": queue.empty_polls,
            "full_bursts": queue.full_bursts,
            "waiting": queue.waiting,
        })
    });
    let tx = worker.tx.iter().map(|queue| {
        json!({
            "port": queue.port,
            "queue": queue.queue,
            "packets": queue.packets,
            "bytes": queue.bytes,
            "refused": queue.refused,
        })
    });
    json!({
        "core": worker.core,
        "epoch": worker.epoch,
        "polls": worker.polls,
        "empty_polls": worker.empty_polls,
        "total_ns": worker.total_ns,
        "busy_ns": worker.busy_ns,
        "asleep_ns": worker.asleep_ns,
        "sleeps": worker.sleeps,
        "rx_queues": rx.collect::<Value>(),
        "tx_queues": tx.collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::RuleReport;

    #[test]
    fn keys_stand_in_the_order_of_the_contract() {
        let mut port =
            PortReport { name: "wan".into(), rx_packets: 3, forwarded: 1, ..Default::default() };
        port.ended[Ended::Tap as usize] = 2;
        let mut session = SessionReport { id: "S".into(), matched: 9, ..Default::default() };
        session.skipped[Skipped::NoNeighbor as usize] = 9;
        let report = Report {
            ports: vec![port, PortReport { name: "lan".into(), ..Default::default() }],
            sessions: vec![session],
            rules: vec![RuleReport { id: "R".into(), hits: 4 }],
            ..Default::default()
        };
        assert_eq!(
            to_json(&report).to_string(),
            "{\"ports\":{\"wan\":{\"rx_packets\":3,\"rx_bytes\":0,\"tx_packets\":0,\
             \"tx_bytes\":0,\"forwarded\":1,\"ended\":{\"tap\":2}},\
             \"lan\":{\"rx_packets\":0,\"rx_bytes\":0,\"tx_packets\":0,\"tx_bytes\":0,\
             \"forwarded\":0,\"ended\":{}}},\
             \"sessions\":[{\"logical_id\":\"S\",\"network_interface_id\":\"\",\
             \"session_number\":0,\"vni\":0,\"mirrored_packets\":0,\"mirrored_bytes\":0,\
             \"truncated_packets\":0,\"skipped\":{\"tool_congested\":0,\"tool_down\":0,\
             \"no_neighbor\":9,\"no_mbuf\":0,\"over_mtu\":0,\"no_member\":0,\
             \"not_sampled\":0,\"rate_limited\":0,\"overloaded\":0}}],\
             \"rules\":[{\"logical_id\":\"R\",\"hits\":4}],\
             \"unmirrored\":{\"no_source\":0,\"not_ip\":0,\"never_mirrored\":0,\"no_match\":0,\
             \"rejected\":0,\"malformed\":0},\
             \"never_mirrored_by\":{\"dhcp\":0,\"metadata\":0,\"ntp\":0,\"activation\":0,\
             \"loop_guard\":0}}"
        );
    }
}
