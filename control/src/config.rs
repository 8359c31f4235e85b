//! The appliance file: `appliance.toml` to typed values, with every fault that stands in it.
//!
//! The values are the data plane's own ([`engine::snapshot`]) wherever it has them, complete with
//! defaults. Only tools and quotas are control's: a tool becomes a target when a template names it.

mod api;
mod health;
mod members;
mod ports;
mod settings;
mod sources;
pub(crate) mod table;
mod tools;
mod wires;

use std::path::PathBuf;

use engine::snapshot::{
    BalanceSpec, DataplaneSpec, ExemptSpec, InterfaceSpec, LinkSpec, MemberSpec, PortSpec,
    VxlanSpec,
};
use engine::units::{Mac, PortIndex};

use crate::document;
use crate::fault::FaultSink;
use crate::model::Listing;
use table::Table;

pub use api::{API_PORT, API_SOCKET_NAME, Api, Limits, Listen, TlsFiles};
pub(crate) use api::{account, account_is_sound};
pub use health::{HealthCheck, Probe};
pub use members::{MEMBERS_MAX, WEIGHTS, fault_of, member_at};
pub use settings::Quotas;

/// What the files are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A live appliance: every port needs a device, every target a way to it.
    Online,
    /// Capture files: no device is needed, and neighbours have a made-up address.
    Offline,
}

/// The name of the data plane's socket in `run_dir`.
pub const SOCKET_NAME: &str = "dataplane.sock";
/// The address a port without `mac` sends from, offline.
pub const OFFLINE_PORT_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);
/// The address of every neighbour without `mac`, offline.
pub const OFFLINE_NEIGHBOR_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0xfe]);

/// The appliance file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Appliance {
    /// `[appliance] id`.
    pub id: String,
    /// Where the data plane keeps its last snapshot.
    pub state_dir: PathBuf,
    /// Where the sockets are.
    pub run_dir: PathBuf,
    /// `[dataplane]`.
    pub dataplane: DataplaneSpec,
    /// `[[port]]`, in the order of the file.
    pub ports: Vec<PortSpec>,
    /// `[[link]]`.
    pub links: Vec<LinkSpec>,
    /// `[[span]]`.
    pub spans: Vec<PortIndex>,
    /// `[[interface]]`.
    pub interfaces: Vec<InterfaceSpec>,
    /// `[[tool]]`.
    pub tools: Vec<Tool>,
    /// `[vxlan]`.
    pub vxlan: VxlanSpec,
    /// `[exempt]`.
    pub exempt: ExemptSpec,
    /// `[quotas]`.
    pub quotas: Quotas,
    /// `[api]`; absent: there is no API.
    pub api: Option<Api>,
    /// The lists in which an id could not be read: a name that seems unknown may be that one's.
    pub incomplete: Vec<Listing>,
}

impl Appliance {
    /// The data plane's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join(SOCKET_NAME)
    }
}

/// `[[tool]]`: what a mirror target can name, and where its copies then go.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its id: `eni-…`, a load balancer's ARN or `vpce-…`.
    pub id: String,
    /// The tool port.
    pub port: PortIndex,
    /// One, or several behind a load balancer.
    pub members: Vec<MemberSpec>,
    /// How flows find their member.
    pub balance: BalanceSpec,
    /// How its members are checked; absent: they count as well.
    pub health_check: Option<HealthCheck>,
}

/// Reads an appliance file. Faults go to `sink`; where one stands, the result holds a stand-in, so
/// that what depends on it can be judged all the same.
pub fn read(text: &str, mode: Mode, sink: &FaultSink) -> Appliance {
    let (node, damaged) = document::toml::read(text, sink);
    // What was read out of a damaged line is not what was meant: its faults would only confuse.
    let found = FaultSink::new("");
    let appliance = read_root(&node, mode, &found);
    for fault in found.into_faults() {
        let line = fault.line.unwrap_or(0);
        if !damaged.contains(&line) {
            sink.add(line, fault.message);
        }
    }
    if damaged.is_empty() {
        return appliance;
    }
    Appliance { incomplete: vec![Listing::Interfaces, Listing::Tools, Listing::Ports], ..appliance }
}

fn read_root(node: &document::Node, mode: Mode, sink: &FaultSink) -> Appliance {
    let root = Table::new(node, "the file", sink);
    let identity = settings::identity(root.table("appliance"));
    let dataplane = settings::dataplane(root.table("dataplane"));
    let mut ports = ports::read(&root, mode);
    let (links, spans) = ports.wires(&root);
    ports.check_tool_keys(sink);
    let (interfaces, interfaces_are_complete) = sources::read(&root, &ports);
    let vxlan = settings::vxlan(root.table("vxlan"));
    let (tools, tools_are_complete) = tools::read(&root, &ports, mode, vxlan.port);
    let mut incomplete = Vec::new();
    if !interfaces_are_complete {
        incomplete.push(Listing::Interfaces);
    }
    if !tools_are_complete {
        incomplete.push(Listing::Tools);
    }
    if !ports.names_are_complete {
        incomplete.push(Listing::Ports);
    }
    let api = root.has("api").then(|| root.table("api"));
    let api = api.map(|table| api::read(table, &identity.state_dir, &identity.run_dir));
    root.ignore(&["api"]);
    let appliance = Appliance {
        id: identity.id,
        state_dir: identity.state_dir,
        run_dir: identity.run_dir,
        dataplane,
        ports: ports.into_specs(),
        links,
        spans,
        interfaces,
        tools,
        vxlan,
        exempt: settings::exempt(root.table("exempt")),
        quotas: settings::quotas(root.table("quotas")),
        api,
        incomplete,
    };
    root.finish();
    appliance
}
