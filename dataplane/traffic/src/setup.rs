//! What `linetap-traffic` opens before it does anything.

use engine::snapshot::MemorySpec;
use engine::units::Mac;
use serde::{Deserialize, Serialize};

/// The ports, cores and buffers of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The ports; plans name them by their place here.
    pub ports: Vec<PortSetup>,
    /// The cores that poll, one worker each; at least one.
    pub cores: Vec<u16>,
    /// Where packet memory comes from.
    pub memory: MemorySpec,
    /// Buffers for frames that are sent, beside those that rings and workers need.
    pub frames: u32,
    /// Devices that can are to send frames at times that they are given.
    #[serde(default)]
    pub timed: bool,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSetup {
    /// Its name in messages.
    pub name: String,
    /// PCI address or DPDK device arguments.
    pub device: String,
    /// The largest IP packet that it sends or receives, in bytes.
    pub mtu: u16,
    /// The address to take on, where not the device's own.
    pub mac: Option<Mac>,
}

/// What a port turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPort {
    /// The driver, e.g. `net_af_packet`.
    pub driver: String,
    /// The address that it has.
    pub mac: Mac,
    /// Mb/s; 0 where the device does not know.
    pub speed_mbps: u32,
    /// It has a link.
    pub is_up: bool,
    /// It sends at the times that it is told.
    pub sends_timed: bool,
}
