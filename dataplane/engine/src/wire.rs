//! Header formats: one file per protocol, each a set of typed views over bytes.
//!
//! Views take fixed-size arrays, so a length that was checked once is a type from then on. Reading
//! never panics and never judges: what counts as malformed is decided in [`crate::parse`].

pub mod checksum;
pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod udp;
pub mod vlan;
pub mod vxlan;
