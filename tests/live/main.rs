//! Live tests: the real binaries on a wire of network namespaces (`scripts/lab`), with real traffic
//! and real tools.
//!
//! They need root. Without it, or without the programs they drive, they say so and pass; with
//! `LINETAP_LIVE=required` (as `scripts/test` runs them) they fail instead. The binaries are those
//! beside the test itself, `target/<profile>/linetap…`, or in the directory `LINETAP_BIN`.
//! One runs at a time: the data plane wants a core for itself.

// What the tests are made of …
#[cfg(test)]
mod appliance;
#[cfg(test)]
mod capture;
#[cfg(test)]
mod consumer;
#[cfg(test)]
mod frame;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod process;
#[cfg(test)]
mod report;
#[cfg(test)]
mod routers;
#[cfg(test)]
mod sightings;
#[cfg(test)]
mod template;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod witness;

// … and the tests.
#[cfg(test)]
mod api;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod bgp;
#[cfg(test)]
mod capture_tool;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod health;
#[cfg(test)]
mod kernel_interface;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod neighbors;
#[cfg(test)]
mod path_mtu;
#[cfg(test)]
mod policing;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod self_bench;
#[cfg(test)]
mod services;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod spread;
#[cfg(test)]
mod status;
#[cfg(test)]
mod suricata;
#[cfg(test)]
mod vxlan_device;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod wire_first;
