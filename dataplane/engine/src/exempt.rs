//! Traffic that rules never see: AWS's never-mirrored list, the loop guard, Amazon DNS.

use std::net::IpAddr;

use crate::flow_key::{Addresses, FlowKey, halves};
use crate::snapshot::ExemptSpec;

/// 169.254.0.0/16, where the IPv4 services live.
const LINK_LOCAL: u64 = 0xa9fe;
/// `fd00:ec2::/64`, where the IPv6 services live.
const SERVICES6: u64 = 0xfd00_0ec2_0000_0000;
/// Instance metadata, 169.254.169.254.
const METADATA: u32 = 0xa9fe_a9fe;
/// Instance metadata, `fd00:ec2::254`.
const METADATA6: u128 = 0xfd00_0ec2_0000_0000_0000_0000_0000_0254;
/// Link-local NTP, 169.254.169.123.
const NTP: u32 = 0xa9fe_a97b;
/// Link-local NTP, `fd00:ec2::123`.
const NTP6: u128 = 0xfd00_0ec2_0000_0000_0000_0000_0000_0123;
/// Windows activation, 169.254.169.250 and .251, on this TCP port.
const ACTIVATION: [u32; 2] = [0xa9fe_a9fa, 0xa9fe_a9fb];
const ACTIVATION_PORT: u16 = 1688;
const DHCP: [u16; 2] = [67, 68];
const DHCPV6: [u16; 2] = [546, 547];

/// The compiled `[exempt]`, with what the loop guard needs.
#[derive(Debug, Clone)]
pub struct Exempt {
    is_aws_list: bool,
    vxlan_port: u16,
    underlay: Vec<Address>,
    amazon_dns: Vec<Address>,
    /// UDP ports of exempt traffic.
    ports: PortFilter,
    /// Resolvers that are not among the link-local services.
    resolvers: Filter,
}

/// Why rules are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Our own output, or on AWS's list. The loop guard holds whatever the list says.
    NeverMirrored,
    /// To or from a resolver: only the network service `amazon-dns` mirrors it.
    AmazonDns,
}

/// True for the addresses that were put in, and for about one other in 64 per address.
#[derive(Debug, Clone, Copy)]
struct Filter(u64);

impl Filter {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        Self(values.fold(0, |bits, value| bits | 1 << Self::place(value)))
    }

    #[inline]
    fn at(self, value: u64) -> bool {
        self.0 >> Self::place(value) & 1 == 1
    }

    /// The upper six bits of a product: neighbouring ports and addresses fall apart.
    #[inline]
    fn place(value: u64) -> u32 {
        (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as u32
    }
}

/// True for the ports that were put in, and for about one other in 256 per port: four cache lines.
#[derive(Debug, Clone)]
struct PortFilter([bool; 256]);

impl PortFilter {
    fn of(ports: impl Iterator<Item = u16>) -> Self {
        let mut holds = [false; 256];
        ports.for_each(|port| holds[Self::place(port)] = true);
        Self(holds)
    }

    #[inline]
    fn at(&self, port: u16) -> bool {
        self.0[Self::place(port)]
    }

    /// The upper byte of a product: neighbouring ports fall apart. The factor is one by which the
    /// usual ones meet none of UDP's other well-known ports.
    #[inline]
    fn place(port: u16) -> usize {
        usize::from(port.wrapping_mul(0x9e3b).to_be_bytes()[0])
    }
}

/// An address as keys have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address {
    halves: [u64; 2],
    is_v6: bool,
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { halves: [0, u32::from(v4).into()], is_v6: false },
            IpAddr::V6(v6) => Self { halves: halves(v6.into()), is_v6: true },
        }
    }
}

impl Exempt {
    /// `underlay`: every address of our own that copies may come from.
    pub fn new(spec: &ExemptSpec, vxlan_port: u16, underlay: impl Iterator<Item = IpAddr>) -> Self {
        let amazon_dns: Vec<_> = spec.amazon_dns.iter().copied().map(Address::from).collect();
        let ports = DHCP.into_iter().chain(DHCPV6).chain([vxlan_port]);
        let is_service = |[high, low]: [u64; 2]| high == SERVICES6 || low >> 16 == LINK_LOCAL;
        let others = amazon_dns.iter().map(|resolver| resolver.halves);
        Self {
            is_aws_list: spec.aws_never_mirrored,
            vxlan_port,
            underlay: underlay.map(Address::from).collect(),
            ports: PortFilter::of(ports),
            resolvers: Filter::of(others.filter(|&halves| !is_service(halves)).map(|[_, low]| low)),
            amazon_dns,
        }
    }

    /// What becomes of a packet before any rule is asked; `None` for nearly all packets, and for
    /// each that is not [`Exempt::is_suspect`].
    pub fn of(&self, key: &FlowKey) -> Option<Exemption> {
        if self.is_own_output(key) || (self.is_aws_list && is_on_aws_list(key)) {
            Some(Exemption::NeverMirrored)
        } else {
            self.is_amazon_dns(key).then_some(Exemption::AmazonDns)
        }
    }

    /// A resolver's address decides, in either direction, with any protocol and port.
    fn is_amazon_dns(&self, key: &FlowKey) -> bool {
        let is_resolver =
            |halves| self.amazon_dns.contains(&Address { halves, is_v6: key.is_v6() });
        key.address_halves().into_iter().any(is_resolver)
    }

    /// A condition that all exempt traffic fulfils, and little else. It has no branches on what
    /// comes in. Cost: about 30 instructions.
    #[expect(clippy::needless_bitwise_bool, reason = "a branch on random traffic is mispredicted")]
    #[expect(clippy::inline_always, reason = "a call per frame costs as much as what it does")]
    #[inline(always)]
    pub fn is_suspect(&self, key: &FlowKey) -> bool {
        let [[src_high, src], [dst_high, dst]] = key.address_halves();
        let is_service = |high: u64, low: u64| (high == SERVICES6) | (low >> 16 == LINK_LOCAL);
        let has_port = self.ports.at(key.src_port()) | self.ports.at(key.dst_port());
        let is_suspect =
            is_service(src_high, src) | is_service(dst_high, dst) | (has_port & key.is_udp());
        // Usually there is no other resolver, and the branch costs less than asking.
        is_suspect | (self.resolvers.0 != 0 && self.resolvers.at(src) | self.resolvers.at(dst))
    }

    /// UDP to the VXLAN port from one of our underlay addresses, whatever the target.
    fn is_own_output(&self, key: &FlowKey) -> bool {
        let src = Address { halves: key.address_halves()[0], is_v6: key.is_v6() };
        key.is_udp() && key.dst_port() == self.vxlan_port && self.underlay.contains(&src)
    }
}

fn is_on_aws_list(key: &FlowKey) -> bool {
    let has_udp_port = |ports: [u16; 2]| {
        key.is_udp() && (ports.contains(&key.src_port()) || ports.contains(&key.dst_port()))
    };
    match key.addresses() {
        Addresses::V4 { src, dst } => {
            has_udp_port(DHCP)
                || [METADATA, NTP].iter().any(|&service| service == src || service == dst)
                || is_activation(src, key.src_port(), key)
                || is_activation(dst, key.dst_port(), key)
        }
        Addresses::V6 { src, dst } => {
            has_udp_port(DHCPV6)
                || [METADATA6, NTP6].iter().any(|&service| service == src || service == dst)
        }
    }
}

fn is_activation(address: u32, port: u16, key: &FlowKey) -> bool {
    key.is_tcp() && ACTIVATION.contains(&address) && port == ACTIVATION_PORT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exempt(is_aws_list: bool) -> Exempt {
        let spec = ExemptSpec {
            aws_never_mirrored: is_aws_list,
            amazon_dns: vec![
                "169.254.169.253".parse().unwrap(),
                "fd00:ec2::253".parse().unwrap(),
                "10.9.9.9".parse().unwrap(),
            ],
        };
        let underlay = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        Exempt::new(&spec, 4789, underlay.into_iter())
    }

    fn key(src: &str, dst: &str, protocol: u8, ports: Option<(u16, u16)>) -> FlowKey {
        let addresses = match (src.parse().unwrap(), dst.parse().unwrap()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                Addresses::V4 { src: src.into(), dst: dst.into() }
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                Addresses::V6 { src: src.into(), dst: dst.into() }
            }
            _ => unreachable!("one family"),
        };
        let ports = ports.map(|(s, d)| (u32::from(s) << 16 | u32::from(d)).to_be_bytes());
        FlowKey::new(addresses, Some(protocol), ports, None)
    }

    #[test]
    fn each_service_is_exempt_in_both_directions_and_its_neighbours_are_not() {
        let cases = [
            (key("10.0.0.1", "169.254.169.254", 6, Some((4000, 80))), true),
            (key("169.254.169.254", "10.0.0.1", 6, Some((80, 4000))), true),
            (key("10.0.0.1", "169.254.169.254", 1, None), true),
            (key("10.0.0.1", "169.254.169.123", 17, Some((123, 123))), true),
            (key("10.0.0.1", "192.0.2.123", 17, Some((123, 123))), false),
            (key("10.0.0.1", "169.254.169.250", 6, Some((4000, 1688))), true),
            (key("10.0.0.1", "169.254.169.251", 6, Some((4000, 1688))), true),
            (key("169.254.169.251", "10.0.0.1", 6, Some((1688, 4000))), true),
            (key("10.0.0.1", "169.254.169.251", 6, Some((1688, 4000))), false),
            (key("10.0.0.1", "169.254.169.251", 17, Some((4000, 1688))), false),
            (key("10.0.0.1", "169.254.169.252", 6, Some((4000, 1688))), false),
            (key("10.0.0.1", "169.254.169.250", 6, None), false),
            (key("0.0.0.0", "255.255.255.255", 17, Some((68, 67))), true),
            (key("10.0.0.1", "10.0.0.2", 17, Some((4000, 68))), true),
            (key("10.0.0.1", "10.0.0.2", 6, Some((68, 67))), false),
            (key("10.0.0.1", "10.0.0.2", 17, Some((546, 547))), false),
            (key("fe80::1", "ff02::1:2", 17, Some((546, 547))), true),
            (key("fe80::1", "ff02::1:2", 17, Some((67, 68))), false),
            (key("fe80::1", "fd00:ec2::254", 6, Some((1, 80))), true),
            (key("fd00:ec2::123", "fe80::1", 17, Some((123, 1))), true),
            (key("fd00:ec2::253", "fe80::1", 17, Some((53, 1))), false),
        ];
        for (key, expected) in cases {
            let found = exempt(true).of(&key) == Some(Exemption::NeverMirrored);
            assert_eq!(found, expected, "{key:?}");
            assert_ne!(exempt(false).of(&key), Some(Exemption::NeverMirrored), "{key:?}");
        }
    }

    #[test]
    fn the_loop_guard_holds_without_the_list() {
        for (src, dst) in [("192.0.2.1", "198.51.100.9"), ("2001:db8::1", "2001:db8::9")] {
            assert_eq!(
                exempt(false).of(&key(src, dst, 17, Some((50_000, 4789)))),
                Some(Exemption::NeverMirrored)
            );
            assert_eq!(exempt(false).of(&key(src, dst, 17, Some((4789, 50_000)))), None);
            assert_eq!(exempt(false).of(&key(src, dst, 6, Some((50_000, 4789)))), None);
            assert_eq!(exempt(false).of(&key(dst, src, 17, Some((50_000, 4789)))), None);
        }
    }

    #[test]
    fn a_resolver_is_known_by_its_address_alone() {
        assert_eq!(
            exempt(true).of(&key("10.0.0.1", "169.254.169.253", 1, None)),
            Some(Exemption::AmazonDns)
        );
        assert_eq!(
            exempt(true).of(&key("fd00:ec2::253", "fe80::1", 17, Some((53, 9)))),
            Some(Exemption::AmazonDns)
        );
        assert_eq!(
            exempt(true).of(&key("10.9.9.9", "10.0.0.1", 17, Some((53, 9)))),
            Some(Exemption::AmazonDns)
        );
        for last in 10..=255 {
            let other = format!("10.9.9.{last}");
            assert_eq!(exempt(true).of(&key(&other, "10.0.0.1", 17, Some((53, 9)))), None);
        }
        assert_eq!(exempt(true).of(&key("10.0.0.1", "8.8.8.8", 17, Some((9, 53)))), None);
    }
}
