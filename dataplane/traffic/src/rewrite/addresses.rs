//! IP addresses that are moved into other networks, and on from loop to loop.

use ipnet::IpNet;

/// A network: addresses that are `value` under `mask`; and the one that they are moved into.
#[derive(Debug, Clone, Copy)]
struct Net<T> {
    mask: T,
    value: T,
    to: T,
}

/// Both families' networks.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressMap {
    v4: Vec<Net<u32>>,
    v6: Vec<Net<u128>>,
    increments_v4: Vec<Net<u32>>,
    increments_v6: Vec<Net<u128>>,
}

impl AddressMap {
    /// Errors: a sentence for each pair that is none.
    pub(super) fn new(
        pairs: &[(IpNet, IpNet)],
        increments: &[IpNet],
        faults: &mut Vec<String>,
    ) -> Self {
        let mut map = Self::default();
        for (from, to) in pairs {
            match (from, to) {
                _ if from.prefix_len() != to.prefix_len() => faults.push(format!(
                    "{from} can't be moved into {to}: the two must have the same prefix length"
                )),
                (IpNet::V4(from), IpNet::V4(to)) => map.v4.push(Net {
                    mask: from.netmask().into(),
                    value: from.network().into(),
                    to: to.network().into(),
                }),
                (IpNet::V6(from), IpNet::V6(to)) => map.v6.push(Net {
                    mask: from.netmask().into(),
                    value: from.network().into(),
                    to: to.network().into(),
                }),
                _ => faults.push(format!(
                    "{from} can't be moved into {to}: the two must be of the same IP version"
                )),
            }
        }
        for net in increments {
            match net {
                IpNet::V4(net) => {
                    let value = net.network().into();
                    let mask = net.netmask().into();
                    map.increments_v4.push(Net { mask, value, to: value });
                }
                IpNet::V6(net) => {
                    let value = net.network().into();
                    let mask = net.netmask().into();
                    map.increments_v6.push(Net { mask, value, to: value });
                }
            }
        }
        map
    }

    /// True when no address changes, in no loop.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty()
            && self.v6.is_empty()
            && self.increments_v4.is_empty()
            && self.increments_v6.is_empty()
    }

    /// What becomes of an IPv4 address in a loop, from 0. In a network that has a broadcast address, this
    /// and the network's own stay what they are.
    #[inline]
    pub(super) fn v4(&self, address: [u8; 4], loop_number: u64) -> [u8; 4] {
        let mut address = u32::from_be_bytes(address);
        if let Some(net) = self.v4.iter().find(|net| address & net.mask == net.value) {
            address = net.to | address & !net.mask;
        }
        let around = self.increments_v4.iter().find(|net| address & net.mask == net.value);
        if let Some(net) = around.filter(|_| loop_number > 0) {
            let (host, last) = (u64::from(address & !net.mask), u64::from(!net.mask));
            let moved = match last {
                0 | 1 => (host + loop_number % (last + 1)) % (last + 1),
                _ if host == 0 || host == last => host,
                _ => 1 + (host - 1 + loop_number % (last - 1)) % (last - 1),
            };
            address = net.value | moved as u32;
        }
        address.to_be_bytes()
    }

    /// What becomes of an IPv6 address in a loop, from 0.
    #[inline]
    pub(super) fn v6(&self, address: [u8; 16], loop_number: u64) -> [u8; 16] {
        let mut address = u128::from_be_bytes(address);
        if let Some(net) = self.v6.iter().find(|net| address & net.mask == net.value) {
            address = net.to | address & !net.mask;
        }
        let around = self.increments_v6.iter().find(|net| address & net.mask == net.value);
        if let Some(net) = around.filter(|_| loop_number > 0) {
            // What is carried out of the network is dropped: the next one is its first address.
            address = net.value | address.wrapping_add(loop_number.into()) & !net.mask;
        }
        address.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &str)], increments: &[&str]) -> AddressMap {
        let net = |text: &&str| -> IpNet { text.parse().unwrap() };
        let pairs: Vec<_> = pairs.iter().map(|(from, to)| (net(from), net(to))).collect();
        let increments: Vec<IpNet> = increments.iter().map(net).collect();
        let mut faults = Vec::new();
        let map = AddressMap::new(&pairs, &increments, &mut faults);
        assert_eq!(faults, [""; 0]);
        map
    }

    fn v4(map: &AddressMap, address: &str, loop_number: u64) -> String {
        let address: Ipv4Addr = address.parse().unwrap();
        Ipv4Addr::from(map.v4(address.octets(), loop_number)).to_string()
    }

    #[test]
    fn the_first_network_that_fits_counts_and_the_host_stays() {
        let map = map(
            &[
                ("10.1.0.0/16", "192.168.0.0/16"),
                ("10.0.0.0/8", "172.0.0.0/8"),
                ("1.2.3.4/32", "4.3.2.1/32"),
            ],
            &[],
        );
        assert_eq!(v4(&map, "10.1.2.3", 0), "192.168.2.3");
        assert_eq!(v4(&map, "10.2.2.3", 9), "172.2.2.3");
        assert_eq!(v4(&map, "1.2.3.4", 0), "4.3.2.1");
        assert_eq!(v4(&map, "1.2.3.5", 0), "1.2.3.5");
    }

    #[test]
    fn loops_go_round_within_the_network_and_leave_its_broadcast_address() {
        let map =
            map(&[("10.0.0.0/24", "10.9.0.0/24")], &["10.9.0.0/24", "10.8.0.4/31", "1.1.1.1/32"]);
        assert_eq!(v4(&map, "10.0.0.1", 0), "10.9.0.1");
        assert_eq!(v4(&map, "10.0.0.1", 1), "10.9.0.2");
        assert_eq!(v4(&map, "10.0.0.254", 1), "10.9.0.1");
        assert_eq!(v4(&map, "10.0.0.3", 254), "10.9.0.3");
        assert_eq!(v4(&map, "10.0.0.255", 1), "10.9.0.255");
        assert_eq!(v4(&map, "10.0.0.0", 7), "10.9.0.0");
        assert_eq!(v4(&map, "10.8.0.4", 1), "10.8.0.5");
        assert_eq!(v4(&map, "10.8.0.5", u64::MAX), "10.8.0.4");
        assert_eq!(v4(&map, "1.1.1.1", 5), "1.1.1.1");
    }

    #[test]
    fn networks_of_different_kinds_are_refused() {
        let net = |text: &str| -> IpNet { text.parse().unwrap() };
        let mut faults = Vec::new();
        let pairs = [
            (net("10.0.0.0/8"), net("10.0.0.0/9")),
            (net("10.0.0.0/32"), net("fe80::/32")),
            (net("fe80::/32"), net("fe90::/32")),
        ];
        AddressMap::new(&pairs, &[], &mut faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    proptest! {
        /// Two hosts stay two hosts, in every loop.
        #[test]
        fn in_each_loop_every_address_has_one_of_its_own(prefix in 24..=32u8, loop_number: u64) {
            let net = format!("192.0.2.0/{prefix}");
            let map = map(&[], &[&net]);
            let hosts = 0..1u32 << (32 - prefix);
            let moved: HashSet<_> =
                hosts.clone().map(|host| map.v4((0xc000_0200 + host).to_be_bytes(), loop_number)).collect();
            prop_assert_eq!(moved.len(), hosts.len());
            prop_assert!(moved.iter().all(|address| address[..3] == [192, 0, 2]));
        }

        #[test]
        fn addresses_of_ipv6_stay_in_their_network(host: u64, loop_number: u64) {
            let map = map(&[("2001:db8::/64", "2001:db8:1::/64")], &["2001:db8:1::/64"]);
            let address = 0x2001_0db8_u128 << 96 | u128::from(host);
            let moved = u128::from_be_bytes(map.v6(address.to_be_bytes(), loop_number));
            let expected = 0x2001_0db8_0001_u128 << 80 | u128::from(host.wrapping_add(loop_number));
            prop_assert_eq!(moved, expected);
        }
    }
}
