//! Filter rules as EC2 knows them: what one rule says, before any table is made of it.

use core::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::units::FilterIndex;

/// TCP's protocol number (IANA).
pub const TCP: u8 = 6;
/// UDP's protocol number (IANA).
pub const UDP: u8 = 17;
/// SCTP's protocol number (IANA).
pub const SCTP: u8 = 132;
/// The protocols with ports: source and destination are the first four bytes of each.
pub const WITH_PORTS: [u8; 3] = [TCP, UDP, SCTP];

/// Numbers that a rule, and a session, may have (EC2 `RuleNumber`, `SessionNumber`).
pub const NUMBERS: core::ops::RangeInclusive<u16> = 1..=32_766;

/// Direction relative to the source interface (EC2 `TrafficDirection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the source.
    Ingress,
    /// From the source.
    Egress,
}

/// What a matching rule does with the packet (EC2 `RuleAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Mirror it.
    Accept,
    /// Settle it without a copy.
    Reject,
}

/// Ports from..=to, both inclusive; `from <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest port.
    pub from: u16,
    /// The highest port.
    pub to: u16,
}

impl PortRange {
    /// Every port; still a condition that the packet *has* ports.
    pub const ALL: Self = Self { from: 0, to: u16::MAX };
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}-{}", self.from, self.to)
        }
    }
}

/// One rule of one filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRule {
    /// The name in reports: the logical id of a template, or an EC2 id.
    pub id: String,
    /// The filter that the rule belongs to.
    pub filter: FilterIndex,
    /// The list of the filter in which it stands.
    pub direction: Direction,
    /// Its place in that list; 1..=32766, unique per filter and direction.
    pub number: u16,
    /// What it does.
    pub action: RuleAction,
    /// Source network; host bits are zero; same family as `destination`.
    pub source: IpNet,
    /// Destination network.
    pub destination: IpNet,
    /// IANA number of the upper-layer protocol; `None` is every protocol.
    pub protocol: Option<u8>,
    /// Only with protocol TCP or UDP.
    pub source_ports: Option<PortRange>,
    /// Only with protocol TCP or UDP.
    pub destination_ports: Option<PortRange>,
}
