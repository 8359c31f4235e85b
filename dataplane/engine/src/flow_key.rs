//! What rules look at: addresses, protocol and ports of one packet, and the hash of its flow.

use crate::rule::{TCP, UDP};

/// Source and destination, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source.
        src: u32,
        /// Destination.
        dst: u32,
    },
    /// IPv6.
    V6 {
        /// Source.
        src: u128,
        /// Destination.
        dst: u128,
    },
}

/// The key of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    /// Source and destination address.
    pub addresses: Addresses,
    /// Source and destination port; `None` where the packet shows none: a later fragment, a protocol
    /// without ports, or ports that are cut off.
    pub ports: Option<(u16, u16)>,
    /// The upper layer's protocol; `None` where the chain of IPv6 extension headers is too long.
    pub protocol: Option<u8>,
    /// For a fragment (an atomic one is none), the protocol that all fragments of the datagram name.
    pub fragment: Option<u8>,
}

impl FlowKey {
    /// The key before anything is known.
    pub const EMPTY: Self = Self {
        addresses: Addresses::V4 { src: 0, dst: 0 },
        ports: None,
        protocol: None,
        fragment: None,
    };

    /// Source and destination port of a UDP packet that shows them.
    pub fn udp_ports(&self) -> Option<(u16, u16)> {
        if self.protocol == Some(UDP) { self.ports } else { None }
    }

    /// Source and destination port of a TCP packet that shows them.
    pub fn tcp_ports(&self) -> Option<(u16, u16)> {
        if self.protocol == Some(TCP) { self.ports } else { None }
    }

    /// 14 bits, the same for both directions of a flow and for all fragments of a datagram; they
    /// spread flows over outer source ports (RFC 7348 §5) and over the members of a target.
    ///
    /// Each end is mixed by itself and the two are added, which is what makes it symmetric.
    /// Cost: about 20 instructions for IPv4.
    pub fn hash(&self) -> u16 {
        let (protocol, (src_port, dst_port)) = match self.fragment {
            Some(protocol) => (protocol, (0, 0)),
            None => (self.protocol.unwrap_or(0), self.ports.unwrap_or((0, 0))),
        };
        let ends = match self.addresses {
            Addresses::V4 { src, dst } => mix(u64::from(src) << 16 | u64::from(src_port))
                .wrapping_add(mix(u64::from(dst) << 16 | u64::from(dst_port))),
            Addresses::V6 { src, dst } => mix6(src, src_port).wrapping_add(mix6(dst, dst_port)),
        };
        (mix(ends ^ u64::from(protocol)) >> 50) as u16
    }
}

/// One multiplication and a fold of its high half: every input bit reaches the upper output bits.
fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ (product >> 64) as u64
}

/// [`mix`] of an IPv6 end.
fn mix6(address: u128, port: u16) -> u64 {
    mix(mix((address >> 64) as u64).wrapping_add(address as u64) ^ u64::from(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses() -> impl Strategy<Value = Addresses> {
        prop_oneof![
            any::<(u32, u32)>().prop_map(|(src, dst)| Addresses::V4 { src, dst }),
            any::<(u128, u128)>().prop_map(|(src, dst)| Addresses::V6 { src, dst }),
        ]
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
            let there = FlowKey { addresses: a, ports, protocol, fragment: None };
            let back = FlowKey {
                addresses: reversed(a),
                ports: ports.map(|(s, d)| (d, s)),
                ..there
            };
            prop_assert_eq!(there.hash(), back.hash());
            prop_assert!(there.hash() < 1 << 14);
        }

        #[test]
        fn fragments_of_a_datagram_hash_alike(a in addresses(), ports: (u16, u16), next: u8) {
            let first = FlowKey { addresses: a, ports: Some(ports), protocol: Some(17), fragment: Some(next) };
            let later = FlowKey { addresses: a, ports: None, protocol: Some(next), fragment: Some(next) };
            prop_assert_eq!(first.hash(), later.hash());
        }
    }

    #[test]
    fn flows_spread_over_the_whole_range() {
        // 100,000 flows of one /24 to one server: no bucket of 1/64 of the range may hold less than
        // half or more than twice its share.
        let mut buckets = [0u32; 64];
        for n in 0..100_000u32 {
            let key = FlowKey {
                addresses: Addresses::V4 { src: 0x0a00_0000 | n & 0xff, dst: 0x0a01_0001 },
                ports: Some((1024 + (n >> 8) as u16, 443)),
                protocol: Some(TCP),
                fragment: None,
            };
            buckets[usize::from(key.hash() >> 8)] += 1;
        }
        let share = 100_000 / 64;
        assert!(buckets.iter().all(|&n| n > share / 2 && n < share * 2), "{buckets:?}");
    }
}
