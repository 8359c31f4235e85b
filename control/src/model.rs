//! The mirror objects as EC2 knows them: what templates and the API make, and what
//! [`crate::compile`] turns into a snapshot. Objects name each other by id, as they do in EC2.

mod object;
pub mod policing;
mod rule_fault;
mod tool;
mod words;

use engine::rule::{Direction, PortRange, RuleAction};
use engine::units::Vni;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use object::{Kind, Object};
pub use rule_fault::RuleFault;
pub use tool::{MemberEdit, Setting, ToolEdits};
pub use words::{ACTIONS, AMAZON_DNS, DIRECTIONS, word};

/// All mirror objects, each kind in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Mirror filters.
    pub filters: Vec<Filter>,
    /// The rules of all filters.
    pub rules: Vec<Rule>,
    /// Mirror targets.
    pub targets: Vec<Target>,
    /// Mirror sessions.
    pub sessions: Vec<Session>,
}

/// Characters of a tag's key, of which it has one at least (EC2 user guide, "Tag restrictions").
pub const TAG_KEY_CHARS_MAX: usize = 127;
/// Characters of a tag's value (the same).
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// What a person wrote beside an object: of no effect on packets, but for some tags ([`policing`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Its description.
    pub description: Option<String>,
    /// Its tags: keys and values, in order.
    pub tags: Vec<(String, String)>,
}

impl Notes {
    /// The value of the tag with this key.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }
}

/// A mirror filter; its rules name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// It has the network service `amazon-dns`.
    pub amazon_dns: bool,
    /// Description and tags.
    pub notes: Notes,
}

/// A rule of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// The filter it belongs to.
    pub filter: String,
    /// The list in which it stands.
    pub direction: Direction,
    /// Its place in that list, 1..=32766.
    pub number: u16,
    /// What it does with what matches.
    pub action: RuleAction,
    /// Source network; host bits are zero.
    pub source: IpNet,
    /// Destination network; host bits are zero.
    pub destination: IpNet,
    /// IANA number; `None` is every protocol.
    pub protocol: Option<u8>,
    /// Only with TCP or UDP.
    pub source_ports: Option<PortRange>,
    /// Only with TCP or UDP.
    pub destination_ports: Option<PortRange>,
    /// Description and tags.
    pub notes: Notes,
}

/// Which of its three properties a target uses, and the id in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// `NetworkInterfaceId`.
    NetworkInterface(String),
    /// `NetworkLoadBalancerArn`.
    NetworkLoadBalancer(String),
    /// `GatewayLoadBalancerEndpointId`.
    GatewayLoadBalancerEndpoint(String),
}

impl Destination {
    /// The id of the tool that is meant.
    pub fn id(&self) -> &str {
        match self {
            Self::NetworkInterface(id)
            | Self::NetworkLoadBalancer(id)
            | Self::GatewayLoadBalancerEndpoint(id) => id,
        }
    }

    /// The property that names it.
    pub fn property(&self) -> &'static str {
        match self {
            Self::NetworkInterface(_) => "NetworkInterfaceId",
            Self::NetworkLoadBalancer(_) => "NetworkLoadBalancerArn",
            Self::GatewayLoadBalancerEndpoint(_) => "GatewayLoadBalancerEndpointId",
        }
    }

    /// True for an interface: copies too long for it are truncated.
    pub fn is_interface(&self) -> bool {
        matches!(self, Self::NetworkInterface(_))
    }
}

/// A mirror target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// The tool it means.
    pub destination: Destination,
    /// Description and tags.
    pub notes: Notes,
}

/// A mirror session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Logical id of the template, or EC2 id.
    pub id: String,
    /// The source, `eni-…`.
    pub interface: String,
    /// The target's id.
    pub target: String,
    /// The filter's id.
    pub filter: String,
    /// Order among the source's sessions, 1..=32766.
    pub number: u16,
    /// `VirtualNetworkId`; `None` leaves the choice to us.
    pub vni: Option<Vni>,
    /// `PacketLength`.
    pub packet_length: Option<u32>,
    /// Description and tags.
    pub notes: Notes,
}

/// One property of one object: what a fault is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Property {
    /// The object's id.
    pub id: String,
    /// EC2's name of the property; empty for the object as a whole.
    pub name: &'static str,
}

impl Property {
    /// The property with this name of the object with this id.
    pub fn new(id: &str, name: &'static str) -> Self {
        Self { id: id.to_owned(), name }
    }
}

/// What is wrong with an object in the company of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFault {
    /// The property to change.
    pub at: Property,
    /// What is wrong with it, and the remedy.
    pub message: String,
    /// The other properties that make it wrong.
    pub rests_on: Vec<Property>,
    /// It is wrong because the appliance file has no such id in this list.
    pub unknown_in: Option<Listing>,
}

/// A list of the appliance file whose ids mirror objects or arguments name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// `[[interface]]`.
    Interfaces,
    /// `[[tool]]`.
    Tools,
    /// `[[port]]`, which the command line names.
    Ports,
}
