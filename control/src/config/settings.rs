//! The tables without names: `[appliance]`, `[dataplane]`, `[vxlan]`, `[exempt]`, `[quotas]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use engine::snapshot::{
    CopySpec, DataplaneSpec, ExemptSpec, IdleSpec, MemorySpec, TX_DRAIN_US, TX_DRAIN_US_MAX,
    VxlanSpec,
};

use super::table::{Placed, Table};
use crate::fault::quoted;

/// `[appliance]`.
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) state_dir: PathBuf,
    pub(super) run_dir: PathBuf,
}

/// The longest `run_dir`: a socket's path has at most 107 bytes (unix(7)) and a name behind it.
const RUN_DIR_BYTES_MAX: usize = 80;

pub(super) fn identity(table: Table<'_>) -> Identity {
    let text = |key, default: &str| table.text(key).map_or(default, |text| text.value).to_owned();
    let id = text("id", "tap-1");
    let state_dir = text("state_dir", "/var/lib/linetap");
    let mut run_dir = text("run_dir", "/run/linetap");
    if run_dir.len() > RUN_DIR_BYTES_MAX {
        let line = table.line_of("run_dir");
        table.fault(
            line,
            format!(
                "run_dir is longer than {RUN_DIR_BYTES_MAX} bytes, too long for sockets in it; \
                 choose a shorter path"
            ),
        );
        run_dir = String::new();
    }
    table.finish();
    Identity { id, state_dir: state_dir.into(), run_dir: run_dir.into() }
}

pub(super) fn dataplane(table: Table<'_>) -> DataplaneSpec {
    let mut workers: Vec<u16> = Vec::new();
    for Placed { line, value } in table.integers("workers", &(0..=1023u16)).unwrap_or_default() {
        if workers.contains(&value) {
            table.fault(line, format!("workers names core {value} twice; remove one"));
        } else {
            workers.push(value);
        }
    }
    if workers.is_empty() {
        if table.has("workers") {
            let line = table.line_of("workers");
            table.fault(line, "workers is empty; name at least one core, like [1]");
        }
        workers.push(1);
    }
    let memory = memory(&table).unwrap_or(MemorySpec::Auto);
    let ways = [("auto", CopySpec::Auto), ("copy", CopySpec::Copy), ("share", CopySpec::Share)];
    let copies = table.choice("copies", &ways).unwrap_or(CopySpec::Auto);
    let drain = table.integer("tx_drain_us", &(0..=TX_DRAIN_US_MAX));
    let tx_drain_us = drain.map_or(TX_DRAIN_US, |drain| drain.value);
    let latency = table.flag("latency").unwrap_or(false);
    let idle = table
        .choice("idle", &[("poll", IdleSpec::Poll), ("adaptive", IdleSpec::Adaptive)])
        .unwrap_or(IdleSpec::Poll);
    table.finish();
    DataplaneSpec { workers, memory, copies, tx_drain_us, latency, idle }
}

fn memory(table: &Table<'_>) -> Option<MemorySpec> {
    let Placed { line, value } = table.text("memory")?;
    if value == "auto" {
        return Some(MemorySpec::Auto);
    }
    let mib = [("M", 1), ("G", 1024)].into_iter().find_map(|(unit, mib)| {
        let amount: u32 = value.strip_suffix(unit)?.parse().ok()?;
        amount.checked_mul(mib).filter(|&mib| mib > 0)
    });
    if mib.is_none() {
        let message = format!(
            "memory {} is no amount; write \"auto\", or one like \"512M\" or \"2G\"",
            quoted(value)
        );
        table.fault(line, message);
    }
    mib.map(MemorySpec::MiB)
}

pub(super) fn vxlan(table: Table<'_>) -> VxlanSpec {
    const PORT: u16 = 4789;
    let vxlan = VxlanSpec {
        port: table.integer("port", &(1..=u16::MAX)).map_or(PORT, |port| port.value),
        keep_inner_vlan: table
            .choice("inner_vlan", &[("strip", false), ("keep", true)])
            .unwrap_or(false),
        udp6_zero_checksum: table
            .choice("udp6_checksum", &[("computed", false), ("zero", true)])
            .unwrap_or(false),
    };
    table.finish();
    vxlan
}

pub(super) fn exempt(table: Table<'_>) -> ExemptSpec {
    // The Amazon resolver's addresses (EC2 user guide, "Amazon DNS server").
    let amazon = [
        IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253)),
    ];
    let resolvers =
        table.parsed_list::<IpAddr>("amazon_dns", "an IP address; write one like 169.254.169.253");
    let exempt = ExemptSpec {
        aws_never_mirrored: table
            .choice("never_mirrored", &[("aws", true), ("none", false)])
            .unwrap_or(true),
        amazon_dns: resolvers.map_or_else(
            || amazon.to_vec(),
            |list| list.into_iter().map(|address| address.value).collect(),
        ),
    };
    table.finish();
    exempt
}

/// Declares the quotas once: field, key and default.
macro_rules! quotas {
    ($($(#[$doc:meta])* $name:ident = $default:literal,)+) => {
        /// `[quotas]`: how much a template may ask for. The defaults are AWS's.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Quotas {
            $($(#[$doc])* pub $name: u32,)+
        }

        impl Default for Quotas {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Quotas {
            /// Every quota so high that nothing reaches it.
            pub fn unlimited() -> Self {
                Self { $($name: u32::MAX,)+ }
            }
        }

        pub(super) fn quotas(table: Table<'_>) -> Quotas {
            let quotas = Quotas {
                $($name: table
                    .integer(stringify!($name), &(0..=u32::MAX))
                    .map_or($default, |quota| quota.value),)+
            };
            table.finish();
            quotas
        }
    };
}

quotas! {
    /// Sessions in all.
    sessions = 10_000,
    /// Sessions whose source is the same interface.
    sessions_per_source = 3,
    /// Targets in all.
    targets = 10_000,
    /// Targets that name the same load balancer.
    targets_per_load_balancer = 1,
    /// Sources of one interface target: AWS's number for its largest instances.
    sources_per_target = 100,
    /// Filters in all.
    filters = 10_000,
    /// Rules of one filter, over both directions.
    rules_per_filter = 10,
    /// Tags of one resource.
    tags_per_resource = 50,
}
