//! What rules look at: addresses, protocol and ports of one packet, and the hash of its flow.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::flow_hash::{HASH_BITS, flow_hash, flow_id};
use crate::rule::{TCP, UDP};

/// Source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source.
        src: Ipv4Addr,
        /// Destination.
        dst: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source.
        src: Ipv6Addr,
        /// Destination.
        dst: Ipv6Addr,
    },
}

/// The key of a lookup.
///
/// Both families have the same form, so that it stands in columns ([`crate::keys::Keys`]) and vectors
/// compare it: traffic mixes families and protocols at random, and each branch on one of them is
/// mispredicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    /// Source address as it stands in the packet, word by word; an IPv4 address is the last word.
    pub(crate) src: [u32; 4],
    /// Destination address.
    pub(crate) dst: [u32; 4],
    /// Source port in the upper half, destination port in the lower; 0 without ports.
    pub(crate) ports: u32,
    /// Protocol, [`HAS_PORTS`], [`NO_PROTOCOL`], [`IS_V6`], [`NOT_IP`], [`IS_FRAGMENT`]; the hash in the
    /// upper half.
    pub(crate) class: u32,
}

/// Set in `FlowKey::class` when the packet shows ports.
pub const HAS_PORTS: u32 = 0x100;
/// Set in `FlowKey::class` when the packet has no layer 4.
pub const NO_PROTOCOL: u32 = 0x200;
/// Set in `FlowKey::class` for IPv6.
pub const IS_V6: u32 = 0x400;
/// Set in `FlowKey::class` for what is no IP packet, and has no key.
pub const NOT_IP: u32 = 0x800;
/// Set in `FlowKey::class` for a fragment of a datagram, the first one too.
pub const IS_FRAGMENT: u32 = 0x1000;

impl FlowKey {
    /// The key of what has none.
    pub const EMPTY: Self =
        Self { src: [0; 4], dst: [0; 4], ports: 0, class: NOT_IP | NO_PROTOCOL };

    /// A key. `protocol` is the upper layer's, `None` where the chain of IPv6 extension headers is
    /// too long; `ports` are source and destination as they stand in the packet, where it shows
    /// any; `fragment` is, for a fragment (an atomic one is none), the protocol that all fragments
    /// of the datagram name.
    pub fn new(
        addresses: Addresses,
        protocol: Option<u8>,
        ports: Option<[u8; 4]>,
        fragment: Option<u8>,
    ) -> Self {
        let (src, dst, family) = match addresses {
            Addresses::V4 { src, dst } => ([0, 0, 0, word(src)], [0, 0, 0, word(dst)], 0),
            Addresses::V6 { src, dst } => (words(src), words(dst), IS_V6),
        };
        let ports_word = ports.map_or(0, u32::from_be_bytes);
        // A fragment spreads by the protocol that all of its datagram name, and without ports.
        let (of_ports, of_protocol) = match fragment {
            Some(named) => (0, named),
            None => (ports_word, protocol.unwrap_or(0)),
        };
        let hash = flow_hash(src, dst, of_ports, of_protocol.into());
        let class = family
            | protocol.map_or(NO_PROTOCOL, u32::from)
            | if ports.is_some() { HAS_PORTS } else { 0 }
            | if fragment.is_some() { IS_FRAGMENT } else { 0 };
        Self { src, dst, ports: ports_word, class: class | hash << 16 }
    }

    /// Equal, found out without a branch.
    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let mut differs = (self.ports ^ other.ports) | (self.class ^ other.class);
        for word in 0..4 {
            differs |= self.src[word] ^ other.src[word];
            differs |= self.dst[word] ^ other.dst[word];
        }
        differs == 0
    }

    /// Source and destination address.
    #[inline]
    pub fn addresses(&self) -> Addresses {
        if self.is_v6() {
            let [src, dst] = [self.src, self.dst].map(|words| Ipv6Addr::from(octets(words)));
            Addresses::V6 { src, dst }
        } else {
            let [src, dst] = [self.src[3], self.dst[3]].map(|word| word.to_ne_bytes().into());
            Addresses::V4 { src, dst }
        }
    }

    /// True for IPv6.
    #[inline]
    pub fn is_v6(&self) -> bool {
        self.class & IS_V6 != 0
    }

    /// Source port; 0 without ports.
    #[inline]
    pub fn src_port(&self) -> u16 {
        (self.ports >> 16) as u16
    }

    /// Destination port; 0 without ports.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        self.ports as u16
    }

    /// Source and destination port; `None` for a later fragment, a protocol without ports, or ports
    /// that are cut off.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        (self.class & HAS_PORTS != 0).then(|| (self.src_port(), self.dst_port()))
    }

    /// The upper layer's protocol.
    #[inline]
    pub fn protocol(&self) -> Option<u8> {
        (self.class & NO_PROTOCOL == 0).then_some(self.class as u8)
    }

    /// True for a UDP packet that shows its ports.
    #[inline]
    pub fn is_udp(&self) -> bool {
        self.ports().is_some() && self.protocol() == Some(UDP)
    }

    /// True for a TCP packet that shows its ports.
    #[inline]
    pub fn is_tcp(&self) -> bool {
        self.ports().is_some() && self.protocol() == Some(TCP)
    }

    /// 14 bits, the same for both directions of a flow and for all fragments of a datagram; they
    /// spread flows over outer source ports (RFC 7348 §5) and over the members of a target.
    #[inline]
    pub fn hash(&self) -> u16 {
        (self.class >> 16) as u16
    }

    /// True for a fragment of a datagram, the first one too.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.class & IS_FRAGMENT != 0
    }

    /// 32 bits that begin with those of [`FlowKey::hash`], and are alike for what that is alike for.
    /// Cost: about 60 instructions.
    #[inline]
    pub(crate) fn flow_id(&self) -> u32 {
        if self.is_fragment() {
            // The protocol that all of the datagram name is in the hash alone.
            return u32::from(self.hash()) << (32 - HASH_BITS) | self.hosts_id() >> HASH_BITS;
        }
        flow_id(self.src, self.dst, self.ports, self.class & 0xff)
    }

    /// As [`FlowKey::flow_id`], of the addresses alone.
    #[inline]
    pub(crate) fn hosts_id(&self) -> u32 {
        flow_id(self.src, self.dst, 0, 0)
    }
}

/// The word of an IPv4 address, as it stands in a packet.
#[inline]
pub(crate) fn word(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// The words of an IPv6 address, as they stand in a packet.
#[inline]
pub(crate) fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    let (words, _) = octets.as_chunks();
    let word = |at: usize| u32::from_ne_bytes(words[at]);
    [word(0), word(1), word(2), word(3)]
}

fn octets(words: [u32; 4]) -> [u8; 16] {
    core::array::from_fn(|at| words[at / 4].to_ne_bytes()[at % 4])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    const SITE: u128 = 0x2001_0db8 << 96;

    fn addresses() -> impl Strategy<Value = Addresses> {
        prop_oneof![
            any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(src, dst)| Addresses::V4 { src, dst }),
            any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(src, dst)| Addresses::V6 { src, dst }),
        ]
    }

    fn wire((src, dst): (u16, u16)) -> [u8; 4] {
        (u32::from(src) << 16 | u32::from(dst)).to_be_bytes()
    }

    fn reversed(addresses: Addresses) -> Addresses {
        match addresses {
            Addresses::V4 { src, dst } => Addresses::V4 { src: dst, dst: src },
            Addresses::V6 { src, dst } => Addresses::V6 { src: dst, dst: src },
        }
    }

    proptest! {
        #[test]
        fn both_directions_hash_alike(a in addresses(), ports: Option<(u16, u16)>, protocol: Option<u8>) {
            let there = FlowKey::new(a, protocol, ports.map(wire), None);
            let back = FlowKey::new(reversed(a), protocol, ports.map(|(s, d)| wire((d, s))), None);
            prop_assert_eq!(there.hash(), back.hash());
            prop_assert!(there.hash() < 1 << 14);
            prop_assert_eq!(there.flow_id(), back.flow_id());
            prop_assert_eq!(u32::from(there.hash()), there.flow_id() >> 18);
            let other = FlowKey::new(a, Some(UDP), Some([1, 2, 3, 4]), Some(UDP));
            prop_assert_eq!(back.hosts_id(), other.hosts_id());
        }

        #[test]
        fn fragments_of_a_datagram_hash_alike(a in addresses(), ports: (u16, u16), next: u8) {
            let first = FlowKey::new(a, Some(UDP), Some(wire(ports)), Some(next));
            let later = FlowKey::new(a, Some(next), None, Some(next));
            prop_assert_eq!(first.hash(), later.hash());
            prop_assert_eq!(first.flow_id(), later.flow_id());
            prop_assert_eq!(u32::from(first.hash()), first.flow_id() >> 18);
        }
    }

    /// No bucket of 1/64 of the range may hold less than half or more than twice its share, and the
    /// values must be nearly as many as chance gives: 1 − e^(−flows/range) of the range.
    fn assert_spread(flows: impl Iterator<Item = FlowKey>) {
        let (mut count, mut buckets, mut values) = (0u32, [0u32; 64], HashSet::new());
        for key in flows {
            count += 1;
            buckets[usize::from(key.hash() >> 8)] += 1;
            values.insert(key.hash());
        }
        let values = u32::try_from(values.len()).unwrap();
        let share = count / 64;
        assert!(buckets.iter().all(|&n| n > share / 2 && n < share * 2), "{buckets:?}");
        let chance = 16_384.0 * (1.0 - (-f64::from(count) / 16_384.0).exp());
        assert!(f64::from(values) > 0.9 * chance, "{values} values of {chance}");
    }

    fn tcp(src: u32, dst: u32, ports: (u16, u16)) -> FlowKey {
        let addresses = Addresses::V4 { src: src.into(), dst: dst.into() };
        FlowKey::new(addresses, Some(TCP), Some(wire(ports)), None)
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn clients_of_one_server_spread_over_the_whole_range() {
        assert_spread(
            (0..100_000u32)
                .map(|n| tcp(0x0a00_0000 | n & 0xff, 0x0a01_0001, (1024 + (n >> 8) as u16, 443))),
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn two_hosts_spread_by_their_ports_whatever_they_add_up_to() {
        let hosts = (0x0a00_0001, 0x0a00_0002);
        assert_spread((0..10_000u16).map(|n| tcp(hosts.0, hosts.1, (20_000 + n, 20_000 - n))));
        assert_spread((0..10_000u16).map(|n| tcp(hosts.0, hosts.1, (20_000 + n, 443))));
    }

    /// A flow from a host of a subnet to one server: the subnet's number stands in an address where
    /// the operator's plan puts it.
    fn tcp6(src: u128, ports: (u16, u16)) -> FlowKey {
        let addresses =
            Addresses::V6 { src: (SITE | src).into(), dst: (SITE | 0xffff << 64 | 1).into() };
        FlowKey::new(addresses, Some(TCP), Some(wire(ports)), None)
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn numbered_networks_within_a_subnet_spread_with_numbered_ports() {
        let pairs = || (0..250u16).flat_map(|n| (0..64u16).map(move |port| (n, 32_768 + port)));
        // One network of 80 bits per node; one node per subnet with hosts ::xx00.
        assert_spread(pairs().map(|(n, port)| tcp6(u128::from(n) << 48 | 1, (port, 443))));
        assert_spread(
            pairs().map(|(n, port)| tcp6(u128::from(n) << 64 | u128::from(port) << 8, (9, 443))),
        );
    }

    /// Sites and what is numbered within each, where operators' plans put them.
    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn numbers_in_the_upper_bits_of_two_words_spread() {
        let shifts = [(88, 56), (88, 24), (84, 52), (84, 48), (80, 56), (64, 0), (96, 32)];
        for (site, within) in shifts {
            let pairs = (0..200u128).flat_map(|n| (0..80u128).map(move |m| (n, m)));
            let flows = pairs.map(|(n, m)| {
                let addresses = Addresses::V6 {
                    src: (n << site ^ m << within).into(),
                    dst: (SITE | 0xffff << 64 | 1).into(),
                };
                FlowKey::new(addresses, Some(TCP), None, None)
            });
            assert_spread(flows);
        }
    }

    #[test]
    fn the_protocol_counts() {
        let addresses = Addresses::V4 { src: 1.into(), dst: 2.into() };
        let hash = |protocol| FlowKey::new(addresses, Some(protocol), None, None).hash();
        let values: HashSet<u16> = (0..=u8::MAX).map(hash).collect();
        assert!(values.len() > 250, "{}", values.len());
    }

    #[test]
    fn ports_that_are_numbered_like_hosts_spread() {
        let mut values = HashSet::new();
        (0..200u16).for_each(|n| {
            values.insert(tcp6(u128::from(n) << 48 | 1, (8000 + n, 443)).hash());
        });
        assert!(values.len() > 190, "{}", values.len());
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn no_chosen_address_hides_the_other_end() {
        let chosen = Addresses::V6 {
            src: "2001:db8::f728:9ddb:2df7:5cea".parse().unwrap(),
            dst: (SITE | 1).into(),
        };
        assert_spread(
            (1024..60_000)
                .map(|port| FlowKey::new(chosen, Some(TCP), Some(wire((443, port))), None)),
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
    fn numbered_hosts_of_numbered_ipv6_subnets_spread_without_ports() {
        const ESP: u8 = 50;
        assert_spread((0..16_384u32).map(|n| {
            let (subnet, host) = (u128::from(n >> 7), u128::from(n & 127) + 1);
            let addresses = Addresses::V6 {
                src: (SITE | subnet << 64 | host).into(),
                dst: (SITE | 0xffff << 64 | 1).into(),
            };
            FlowKey::new(addresses, Some(ESP), None, None)
        }));
    }
}
