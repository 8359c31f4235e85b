//! Streams for tests.

use engine::units::Mac;

use super::Path;
use crate::trial::{Made, Spread};

/// UDP over IPv4 in frames of these sizes, one flow.
pub(crate) fn made(sizes: &[u16]) -> Made {
    Made {
        sizes: sizes.to_vec(),
        flows: 1,
        spread: Spread::RoundRobin,
        is_v6: false,
        vlan: None,
        vni: None,
        destination_mac: None,
        seed: 1,
    }
}

/// From one station to another.
pub(crate) fn path() -> Path {
    Path {
        port: String::new(),
        source_mac: Mac([2; 6]),
        destination_mac: Mac([4; 6]),
        mtu: 1500,
        is_reverse: false,
    }
}
