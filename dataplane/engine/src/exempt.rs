//! Traffic that rules never see: AWS's never-mirrored list, the loop guard, Amazon DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::drop_reason::NeverMirrored;
use crate::flow_key::{Addresses, FlowKey, HAS_PORTS, NO_PROTOCOL, NOT_IP, word, words};
use crate::keys::{Column, Keys};
use crate::rule::UDP;
use crate::simd;
use crate::snapshot::ExemptSpec;

/// 169.254.0.0/16, where the IPv4 services live, as packets have it.
const LINK_LOCAL: u32 = 0xa9fe_0000u32.to_be();
const LINK_LOCAL_MASK: u32 = 0xffff_0000u32.to_be();
/// `fd00:ec2::/32`, where the IPv6 services live, as packets have it.
const SERVICES6: u32 = 0xfd00_0ec2u32.to_be();
/// Instance metadata, 169.254.169.254.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Instance metadata, `fd00:ec2::254`.
pub const METADATA6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Link-local NTP, 169.254.169.123.
pub const NTP: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 123);
/// Link-local NTP, `fd00:ec2::123`.
pub const NTP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123);
/// Windows activation, 169.254.169.250 and .251.
pub const ACTIVATION: [Ipv4Addr; 2] =
    [Ipv4Addr::new(169, 254, 169, 250), Ipv4Addr::new(169, 254, 169, 251)];
/// Windows activation, over TCP.
pub const ACTIVATION_PORT: u16 = 1688;
/// DHCP's ports, over UDP.
pub const DHCP: [u16; 2] = [67, 68];
/// DHCPv6's ports, over UDP.
pub const DHCPV6: [u16; 2] = [546, 547];

/// So many packets [`Exempt::suspects`] looks at.
pub const STEP: usize = 16;

/// The compiled `[exempt]`, with what the loop guard needs.
#[derive(Debug, Clone)]
pub struct Exempt {
    is_aws_list: bool,
    vxlan_port: u16,
    underlay: Vec<IpAddr>,
    amazon_dns: Vec<IpAddr>,
    /// Last words, as packets have them, of the resolvers that are not among the link-local services.
    resolvers: Vec<u32>,
}

/// Why rules are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// UDP to the VXLAN port from one of our underlay addresses, whatever the target. This holds
    /// whatever the list says.
    OwnOutput,
    /// DHCP or DHCPv6: UDP from or to one of their ports.
    Dhcp,
    /// To or from the address of the instance metadata.
    Metadata,
    /// To or from the address of link-local NTP.
    Ntp,
    /// Windows activation: TCP with its port at its address.
    Activation,
    /// To or from an address of `[exempt] amazon_dns`: only the network service `amazon-dns` mirrors it.
    AmazonDns,
}

impl Cause {
    /// How it is counted; `None` for what a session may mirror all the same.
    pub const fn never_mirrored(self) -> Option<NeverMirrored> {
        Some(match self {
            Self::OwnOutput => NeverMirrored::LoopGuard,
            Self::Dhcp => NeverMirrored::Dhcp,
            Self::Metadata => NeverMirrored::Metadata,
            Self::Ntp => NeverMirrored::Ntp,
            Self::Activation => NeverMirrored::Activation,
            Self::AmazonDns => return None,
        })
    }
}

impl Exempt {
    /// `underlay`: every address of our own that copies may come from.
    pub fn new(spec: &ExemptSpec, vxlan_port: u16, underlay: impl Iterator<Item = IpAddr>) -> Self {
        let others = spec.amazon_dns.iter().filter_map(|&resolver| match resolver {
            IpAddr::V4(v4) => (!v4.is_link_local()).then_some(word(v4)),
            IpAddr::V6(v6) => {
                let [first, .., last] = words(v6);
                (first != SERVICES6).then_some(last)
            }
        });
        Self {
            is_aws_list: spec.aws_never_mirrored,
            vxlan_port,
            underlay: underlay.collect(),
            resolvers: others.collect(),
            amazon_dns: spec.amazon_dns.clone(),
        }
    }

    /// What becomes of a packet before any rule is asked; `None` for nearly all packets, and for
    /// each that is not among [`Exempt::suspects`].
    pub fn cause(&self, key: &FlowKey) -> Option<Cause> {
        if self.is_own_output(key) {
            return Some(Cause::OwnOutput);
        }
        let listed = if self.is_aws_list { on_aws_list(key) } else { None };
        listed.or_else(|| self.is_amazon_dns(key).then_some(Cause::AmazonDns))
    }

    /// A resolver's address decides, in either direction, with any protocol and port.
    fn is_amazon_dns(&self, key: &FlowKey) -> bool {
        ends(key).iter().any(|end| self.amazon_dns.contains(end))
    }

    /// UDP to the VXLAN port from one of our underlay addresses, whatever the target.
    fn is_own_output(&self, key: &FlowKey) -> bool {
        key.is_udp() && key.dst_port() == self.vxlan_port && self.underlay.contains(&ends(key)[0])
    }

    /// False when none of the first `count` packets is among [`Exempt::suspects`], as nearly always.
    /// It has no branches on what comes in. Cost: a few instructions per packet with wide vectors,
    /// and one more for each resolver of the configuration's own.
    #[inline]
    pub fn has_suspects(&self, keys: &Keys, count: usize) -> bool {
        simd::widest(HasSuspects { exempt: self, keys, count })
    }

    /// Not 0 for each of [`STEP`] packets from `start` on (a multiple of [`STEP`]) of which
    /// [`Exempt::cause`] has something to say, for what is not IP, and for little else.
    #[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
    #[expect(clippy::needless_bitwise_bool, reason = "vectors have no branches")]
    #[inline(always)]
    pub fn suspects(&self, keys: &Keys, start: usize) -> [u32; STEP] {
        let step = |column: &Column| *column[start..].first_chunk().unwrap_or(&[0; STEP]);
        let [src_high, .., src] = keys.src.each_ref().map(step);
        let [dst_high, .., dst] = keys.dst.each_ref().map(step);
        let (ports, class) = (step(&keys.ports), step(&keys.class));
        let is_service = |word: u32| word & LINK_LOCAL_MASK == LINK_LOCAL;
        let is_port = |port: u32| {
            let others = DHCP.iter().chain(&DHCPV6).map(|&other| port == u32::from(other));
            others.fold(port == u32::from(self.vxlan_port), |any, is_other| any | is_other)
        };
        let mut suspects = [0; STEP];
        for (at, suspect) in suspects.iter_mut().enumerate() {
            let has_service = is_service(src[at]) | is_service(dst[at]);
            // Of IPv4 the upper words are zero.
            let has_service6 = (src_high[at] == SERVICES6) | (dst_high[at] == SERVICES6);
            let has_port = is_port(ports[at] >> 16) | is_port(ports[at] & 0xffff);
            let is_udp = class[at] & (0xff | HAS_PORTS | NO_PROTOCOL) == HAS_PORTS | u32::from(UDP);
            let is_ip = class[at] & NOT_IP == 0;
            *suspect = u32::from(!is_ip | has_service | has_service6 | (is_udp & has_port));
        }
        for &resolver in &self.resolvers {
            for (at, suspect) in suspects.iter_mut().enumerate() {
                *suspect |= u32::from((src[at] == resolver) | (dst[at] == resolver));
            }
        }
        suspects
    }
}

/// [`Exempt::has_suspects`].
struct HasSuspects<'a> {
    exempt: &'a Exempt,
    keys: &'a Keys,
    count: usize,
}

impl simd::Work for HasSuspects<'_> {
    type Output = bool;

    #[expect(clippy::inline_always, reason = "compiled for the vectors of the caller")]
    #[inline(always)]
    fn run(self, _vectors: impl simd::Vectors) -> bool {
        let mut any = [0; STEP];
        for start in (0..self.count).step_by(STEP) {
            let suspects = self.exempt.suspects(self.keys, start);
            for ((at, any), suspect) in any.iter_mut().enumerate().zip(suspects) {
                // Behind the last packet stand older ones.
                *any |= suspect & u32::from(start + at < self.count);
            }
        }
        any != [0; STEP]
    }
}

/// Source and destination.
fn ends(key: &FlowKey) -> [IpAddr; 2] {
    match key.addresses() {
        Addresses::V4 { src, dst } => [src.into(), dst.into()],
        Addresses::V6 { src, dst } => [src.into(), dst.into()],
    }
}

fn on_aws_list(key: &FlowKey) -> Option<Cause> {
    let has_udp_port = |ports: [u16; 2]| {
        key.is_udp() && (ports.contains(&key.src_port()) || ports.contains(&key.dst_port()))
    };
    let of = |services: [IpAddr; 2]| ends(key).iter().any(|end| services.contains(end));
    let (dhcp, is_activation) = match key.addresses() {
        Addresses::V4 { src, dst } => {
            let is_activation =
                is_activation(src, key.src_port(), key) || is_activation(dst, key.dst_port(), key);
            (DHCP, is_activation)
        }
        Addresses::V6 { .. } => (DHCPV6, false),
    };
    let causes = [
        (has_udp_port(dhcp), Cause::Dhcp),
        (of([METADATA.into(), METADATA6.into()]), Cause::Metadata),
        (of([NTP.into(), NTP6.into()]), Cause::Ntp),
        (is_activation, Cause::Activation),
    ];
    causes.into_iter().find(|(is_cause, _)| *is_cause).map(|(_, cause)| cause)
}

fn is_activation(address: Ipv4Addr, port: u16, key: &FlowKey) -> bool {
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

    fn never(exempt: &Exempt, key: &FlowKey) -> bool {
        exempt.cause(key).is_some_and(|cause| cause.never_mirrored().is_some())
    }

    fn key(src: &str, dst: &str, protocol: u8, ports: Option<(u16, u16)>) -> FlowKey {
        let addresses = match (src.parse().unwrap(), dst.parse().unwrap()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Addresses::V4 { src, dst },
            (IpAddr::V6(src), IpAddr::V6(dst)) => Addresses::V6 { src, dst },
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
            let found = never(&exempt(true), &key);
            assert_eq!(found, expected, "{key:?}");
            assert!(!never(&exempt(false), &key), "{key:?}");
        }
    }

    #[test]
    fn each_cause_is_told_apart() {
        let cases = [
            (key("192.0.2.1", "10.0.0.1", 17, Some((67, 4789))), Cause::OwnOutput),
            (key("0.0.0.0", "255.255.255.255", 17, Some((68, 67))), Cause::Dhcp),
            (key("fe80::1", "ff02::1:2", 17, Some((546, 547))), Cause::Dhcp),
            (key("10.0.0.1", "169.254.169.254", 6, Some((4000, 80))), Cause::Metadata),
            (key("fd00:ec2::254", "fe80::1", 6, Some((1, 80))), Cause::Metadata),
            (key("169.254.169.123", "10.0.0.1", 17, Some((123, 123))), Cause::Ntp),
            (key("fd00:ec2::123", "fe80::1", 17, Some((123, 1))), Cause::Ntp),
            (key("10.0.0.1", "169.254.169.250", 6, Some((4000, 1688))), Cause::Activation),
            (key("10.0.0.1", "169.254.169.253", 6, Some((4000, 53))), Cause::AmazonDns),
        ];
        for (key, cause) in cases {
            assert_eq!(exempt(true).cause(&key), Some(cause), "{key:?}");
        }
    }

    #[test]
    fn the_loop_guard_holds_without_the_list() {
        for (src, dst) in [("192.0.2.1", "198.51.100.9"), ("2001:db8::1", "2001:db8::9")] {
            assert_eq!(
                exempt(false).cause(&key(src, dst, 17, Some((50_000, 4789)))),
                Some(Cause::OwnOutput)
            );
            assert_eq!(exempt(false).cause(&key(src, dst, 17, Some((4789, 50_000)))), None);
            assert_eq!(exempt(false).cause(&key(src, dst, 6, Some((50_000, 4789)))), None);
            assert_eq!(exempt(false).cause(&key(dst, src, 17, Some((50_000, 4789)))), None);
        }
    }

    #[test]
    fn a_resolver_is_known_by_its_address_alone() {
        assert_eq!(
            exempt(true).cause(&key("10.0.0.1", "169.254.169.253", 1, None)),
            Some(Cause::AmazonDns)
        );
        assert_eq!(
            exempt(true).cause(&key("fd00:ec2::253", "fe80::1", 17, Some((53, 9)))),
            Some(Cause::AmazonDns)
        );
        assert_eq!(
            exempt(true).cause(&key("10.9.9.9", "10.0.0.1", 17, Some((53, 9)))),
            Some(Cause::AmazonDns)
        );
        for last in 10..=255 {
            let other = format!("10.9.9.{last}");
            assert_eq!(exempt(true).cause(&key(&other, "10.0.0.1", 17, Some((53, 9)))), None);
        }
        assert_eq!(exempt(true).cause(&key("10.0.0.1", "8.8.8.8", 17, Some((9, 53)))), None);
    }
}
