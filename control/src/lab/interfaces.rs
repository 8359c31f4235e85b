//! The kernel's network interfaces, as far as the lab has to know them before it opens one.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::ifaddrs::getifaddrs;
use nix::libc::{ARPHRD_ETHER, ARPHRD_LOOPBACK};
use nix::net::if_::InterfaceFlags;

/// Offloads that put together or take apart what was received, before a packet socket sees it.
const OFFLOADS: [(&str, &str); 5] = [
    ("generic-receive-offload", "gro"),
    ("large-receive-offload", "lro"),
    ("rx-gro-hw", "rx-gro-hw"),
    ("rx-gro-list", "rx-gro-list"),
    ("rx-udp-gro-forwarding", "rx-udp-gro-forwarding"),
];

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) is_up: bool,
    pub(crate) has_carrier: bool,
    /// It carries Ethernet frames.
    pub(crate) is_ethernet: bool,
}

/// All of them. Those that can't be listed are none.
pub(crate) fn interfaces() -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        // Each has one entry of the family AF_PACKET.
        let Some(kind) =
            entry.address.and_then(|it| it.as_link_addr().map(nix::sys::socket::LinkAddr::hatype))
        else {
            continue;
        };
        found.push(Interface {
            name: entry.interface_name,
            is_up: entry.flags.contains(InterfaceFlags::IFF_UP),
            has_carrier: entry.flags.contains(InterfaceFlags::IFF_RUNNING),
            is_ethernet: [ARPHRD_ETHER, ARPHRD_LOOPBACK].contains(&kind),
        });
    }
    found
}

impl Interface {
    /// Its IP MTU, where it can be known.
    pub(crate) fn mtu(&self) -> Option<u32> {
        let file = Path::new("/sys/class/net").join(&self.name).join("mtu");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// The offloads that are on and must not be where frames are to be received as they came, by the names by
    /// which `ethtool -K` switches them; none where there is no ethtool.
    pub(crate) fn receive_offloads(&self) -> Vec<&'static str> {
        let output = Command::new("ethtool").args(["-k", &self.name]).output();
        let features = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        offloads_on(&features.unwrap_or_default())
    }
}

/// Of what `ethtool -k` says.
fn offloads_on(features: &str) -> Vec<&'static str> {
    let is_on = |name: &str| {
        features.lines().any(|line| {
            let (feature, state) = line.trim().split_once(':').unwrap_or_default();
            feature == name && state.split_whitespace().next() == Some("on")
        })
    };
    OFFLOADS.iter().filter(|(name, _)| is_on(name)).map(|(_, short)| *short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_up_and_is_like_ethernet() {
        let loopback = interfaces().into_iter().find(|it| it.name == "lo").unwrap();
        assert!(loopback.is_ethernet);
        assert!(loopback.mtu().unwrap() >= 1500);
    }

    #[test]
    fn only_what_is_on_and_changes_frames_is_told() {
        let features = "Features for lan0:\nrx-checksumming: on\ngeneric-receive-offload: on\n\
                        large-receive-offload: off [fixed]\nrx-gro-hw: on [fixed]\n\
                        \ttx-udp-segmentation: on\nrx-gro-list: off\n";
        assert_eq!(offloads_on(features), ["gro", "rx-gro-hw"]);
        assert!(offloads_on("").is_empty());
    }
}
