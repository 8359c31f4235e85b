//! The outer header of a copy: Ethernet, IPv4 or IPv6, UDP, VXLAN (RFC 7348 §5), made once per
//! session and tool; per copy only lengths, source port, flow label and checksums are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::flow_hash::HASH_BITS;
use crate::rule::UDP;
use crate::units::{Mac, VlanId, Vni};
use crate::wire::checksum::{self, Sum};
use crate::wire::{ethernet, ipv4, ipv6, udp, vlan, vxlan};

/// TTL and hop limit of copies.
const HOP_LIMIT: u8 = 255;
/// Lowest outer source port (RFC 7348 §5 recommends 49152..65535).
pub const SRC_PORT_MIN: u16 = 49_152;
/// Outer header over IPv4.
pub const HEADER_LEN_V4: usize = ethernet::HEADER_LEN + ABOVE_ETHERNET_V4;
/// Outer header over IPv6.
pub const HEADER_LEN_V6: usize = ethernet::HEADER_LEN + ABOVE_ETHERNET_V6;
/// The longest of them: over IPv6, with a tag.
pub const HEADER_LEN_MAX: usize = HEADER_LEN_V6 + vlan::TAG_LEN;

const TAGGED_LEN_V4: usize = HEADER_LEN_V4 + vlan::TAG_LEN;
const TAGGED_LEN_V6: usize = HEADER_LEN_V6 + vlan::TAG_LEN;
const ABOVE_ETHERNET_V4: usize = ipv4::HEADER_LEN + TUNNEL_LEN as usize;
const ABOVE_ETHERNET_V6: usize = ipv6::HEADER_LEN + TUNNEL_LEN as usize;
/// What UDP's length field counts beside the inner bytes.
const TUNNEL_LEN: u16 = (udp::HEADER_LEN + vxlan::HEADER_LEN) as u16;

/// What is the same for all copies to one tool.
#[derive(Debug, Clone)]
pub struct Outer {
    /// The tool port's address.
    pub src_mac: Mac,
    /// The neighbour's address.
    pub dst_mac: Mac,
    /// The tag of its VLAN, on a trunk.
    pub vlan: Option<VlanId>,
    /// UDP destination port.
    pub dst_port: u16,
    /// Over IPv6, no checksum.
    pub udp6_zero_checksum: bool,
}

/// A compiled outer header.
#[derive(Debug, Clone)]
pub enum Encap {
    /// Over IPv4.
    V4(HeaderV4<HEADER_LEN_V4>),
    /// Over IPv6.
    V6(HeaderV6<HEADER_LEN_V6>),
    /// Over IPv4, with a tag.
    TaggedV4(HeaderV4<TAGGED_LEN_V4>),
    /// Over IPv6, with a tag.
    TaggedV6(HeaderV6<TAGGED_LEN_V6>),
}

/// Evaluates an expression with the header of an [`Encap`], compiled for each kind.
macro_rules! with_header {
    ($encap:expr, $header:ident => $value:expr) => {
        match $encap {
            $crate::encap::Encap::V4($header) => $value,
            $crate::encap::Encap::V6($header) => $value,
            $crate::encap::Encap::TaggedV4($header) => $value,
            $crate::encap::Encap::TaggedV6($header) => $value,
        }
    };
}
pub(crate) use with_header;

/// A compiled outer header of one family: code that is compiled for each need not ask which it is.
pub trait Header {
    /// Bytes in front of the inner frame.
    const LEN: usize;

    /// True when [`Header::write`] needs the sum of the inner bytes.
    fn needs_inner_sum(&self) -> bool;

    /// Writes the header of a copy with `inner_len` inner bytes into `out`, which is
    /// [`Header::LEN`] long (nothing is written otherwise). `inner_sum` is that of the inner
    /// bytes where [`Header::needs_inner_sum`]; `flow_hash` has 14 bits. Cost: about 25 instructions.
    fn write(&self, out: &mut [u8], inner_len: u16, flow_hash: u16, inner_sum: Sum);
}

/// An outer header over IPv4, of `LEN` bytes.
#[derive(Debug, Clone)]
pub struct HeaderV4<const LEN: usize> {
    bytes: [u8; LEN],
    /// The folded sum of the IP header with a total length of 0.
    sum: u16,
}

/// An outer header over IPv6, of `LEN` bytes.
#[derive(Debug, Clone)]
pub struct HeaderV6<const LEN: usize> {
    bytes: [u8; LEN],
    /// The sum of pseudo-header, UDP and VXLAN header with lengths, source port and checksum of 0;
    /// `None` where the checksum stays zero.
    sum: Option<Sum>,
}

/// The most inner bytes that an IP MTU of `mtu` bytes leaves for a copy to `address`.
pub fn inner_len_max(mtu: u16, address: IpAddr) -> usize {
    let header = if address.is_ipv4() { HEADER_LEN_V4 } else { HEADER_LEN_V6 };
    usize::from(mtu).saturating_sub(header - ethernet::HEADER_LEN)
}

impl Encap {
    /// Compiles a header; `None` when source and destination are of different families.
    pub fn new(outer: &Outer, src: IpAddr, dst: IpAddr, vni: Vni) -> Option<Self> {
        match (src, dst, outer.vlan) {
            (IpAddr::V4(src), IpAddr::V4(dst), None) => Some(Self::V4(v4(outer, src, dst, vni))),
            (IpAddr::V6(src), IpAddr::V6(dst), None) => Some(Self::V6(v6(outer, src, dst, vni))),
            (IpAddr::V4(src), IpAddr::V4(dst), Some(_)) => {
                Some(Self::TaggedV4(v4(outer, src, dst, vni)))
            }
            (IpAddr::V6(src), IpAddr::V6(dst), Some(_)) => {
                Some(Self::TaggedV6(v6(outer, src, dst, vni)))
            }
            _ => None,
        }
    }

    /// Bytes in front of the inner frame: 50 or 70, and 4 more with a tag.
    pub const fn header_len(&self) -> usize {
        match self {
            Self::V4(_) => HEADER_LEN_V4,
            Self::V6(_) => HEADER_LEN_V6,
            Self::TaggedV4(_) => TAGGED_LEN_V4,
            Self::TaggedV6(_) => TAGGED_LEN_V6,
        }
    }
}

impl<const N: usize> Header for HeaderV4<N> {
    const LEN: usize = N;

    #[inline]
    fn needs_inner_sum(&self) -> bool {
        false
    }

    #[inline]
    fn write(&self, out: &mut [u8], inner_len: u16, flow_hash: u16, _inner_sum: Sum) {
        let Ok(out) = <&mut [u8; N]>::try_from(out) else { return };
        *out = self.bytes;
        let ip = const { N - ABOVE_ETHERNET_V4 };
        let udp_len = inner_len + TUNNEL_LEN;
        let total_len = udp_len + ipv4::HEADER_LEN as u16;
        put(out, ip + 2, total_len);
        let (sum, carry) = self.sum.overflowing_add(total_len);
        put(out, ip + 10, !(sum + u16::from(carry)));
        put(out, ip + 20, SRC_PORT_MIN | flow_hash);
        put(out, ip + 24, udp_len);
    }
}

impl<const N: usize> Header for HeaderV6<N> {
    const LEN: usize = N;

    #[inline]
    fn needs_inner_sum(&self) -> bool {
        self.sum.is_some()
    }

    #[inline]
    fn write(&self, out: &mut [u8], inner_len: u16, flow_hash: u16, inner_sum: Sum) {
        let Ok(out) = <&mut [u8; N]>::try_from(out) else { return };
        *out = self.bytes;
        let ip = const { N - ABOVE_ETHERNET_V6 };
        let src_port = SRC_PORT_MIN | flow_hash;
        let udp_len = inner_len + TUNNEL_LEN;
        let label = flow_label(flow_hash);
        // Above it are version and traffic class.
        out[ip + 1] = (label >> 16) as u8;
        put(out, ip + 2, label as u16);
        put(out, ip + 4, udp_len);
        put(out, ip + 40, src_port);
        put(out, ip + 44, udp_len);
        if let Some(sum) = self.sum {
            // The length stands in the pseudo-header and in the UDP header.
            let lengths = 2 * Sum::from(udp_len);
            let sum = checksum::finish(sum + lengths + Sum::from(src_port) + inner_sum);
            // RFC 768: a sum of 0 is sent as all ones, for 0 means that there is none.
            put(out, ip + 46, if sum == 0 { 0xffff } else { sum });
        }
    }
}

/// The flow label of a flow with this hash of 14 bits: 20 bits, each of them 0 as often as 1, different for
/// different hashes, and never 0, which would mean that there is none (RFC 6437 §2, §3).
#[inline]
const fn flow_label(flow_hash: u16) -> u32 {
    const BITS: u32 = 20;
    let hash = flow_hash as u32;
    // Its upper bits once more below: a router may look at a part of the label only.
    (hash << (BITS - HASH_BITS) | hash >> (2 * HASH_BITS - BITS)) ^ 1
}

#[inline]
fn put<const N: usize>(out: &mut [u8; N], at: usize, value: u16) {
    let [high, low] = value.to_be_bytes();
    out[at] = high;
    out[at + 1] = low;
}

fn v4<const N: usize>(outer: &Outer, src: Ipv4Addr, dst: Ipv4Addr, vni: Vni) -> HeaderV4<N> {
    let mut ip = [0; ipv4::HEADER_LEN];
    ipv4::emit(&mut ip, src, dst, UDP, HOP_LIMIT, 0);
    // Without its own field the sum of a header is the complement of its checksum.
    ip[10..12].fill(0);
    let sum = !checksum::finish(checksum::sum(&ip));
    HeaderV4 { bytes: join(outer, ethernet::ethertype::IPV4, &ip, vni), sum }
}

fn v6<const N: usize>(outer: &Outer, src: Ipv6Addr, dst: Ipv6Addr, vni: Vni) -> HeaderV6<N> {
    let mut ip = [0; ipv6::HEADER_LEN];
    ipv6::emit(&mut ip, src, dst, UDP, HOP_LIMIT, 0);
    let bytes: [u8; N] = join(outer, ethernet::ethertype::IPV6, &ip, vni);
    // RFC 8200 §8.1: addresses, length (added per copy), next header; then what follows IP.
    let sum = (!outer.udp6_zero_checksum).then(|| {
        let upper = &bytes[N - usize::from(TUNNEL_LEN)..];
        checksum::sum(&ip[8..]) + Sum::from(UDP) + checksum::sum(upper)
    });
    HeaderV6 { bytes, sum }
}

/// The whole header with all that changes per copy left zero.
fn join<const N: usize>(outer: &Outer, ethertype: u16, ip: &[u8], vni: Vni) -> [u8; N] {
    let mut eth = [0; ethernet::HEADER_LEN];
    let outer_type = outer.vlan.map_or(ethertype, |_| ethernet::ethertype::VLAN);
    ethernet::emit(&mut eth, outer.dst_mac, outer.src_mac, outer_type);
    let tag = outer.vlan.map(|vlan| [vlan.value(), ethertype].map(u16::to_be_bytes));
    let mut upper = [0; udp::HEADER_LEN];
    udp::emit(&mut upper, 0, outer.dst_port, 0, 0);
    let mut tunnel = [0; vxlan::HEADER_LEN];
    vxlan::emit(&mut tunnel, vni);
    let mut bytes = [0; N];
    let parts = eth
        .iter()
        .chain(tag.as_ref().into_iter().flatten().flatten())
        .chain(ip)
        .chain(&upper)
        .chain(&tunnel);
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    const SRC_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const DST_MAC: Mac = Mac([2, 0, 0, 0, 0xb, 1]);

    fn outer(udp6_zero_checksum: bool, vlan: Option<VlanId>) -> Outer {
        Outer { src_mac: SRC_MAC, dst_mac: DST_MAC, vlan, dst_port: 4789, udp6_zero_checksum }
    }

    fn encap(src: &str, dst: &str, udp6_zero_checksum: bool) -> Encap {
        let outer = outer(udp6_zero_checksum, None);
        let vni = Vni::try_from(0x00ab_cdef).unwrap();
        Encap::new(&outer, src.parse().unwrap(), dst.parse().unwrap(), vni).unwrap()
    }

    fn write(encap: &Encap, out: &mut [u8], inner_len: u16, hash: u16, inner_sum: Sum) {
        with_header!(encap, header => header.write(out, inner_len, hash, inner_sum));
    }

    fn packet(encap: &Encap, inner: &[u8], hash: u16) -> Vec<u8> {
        let mut out = vec![0xee; encap.header_len()];
        write(encap, &mut out, u16::try_from(inner.len()).unwrap(), hash, checksum::sum(inner));
        out.extend_from_slice(inner);
        out
    }

    #[test]
    fn the_ipv4_header_is_that_of_a_real_mirror() {
        let inner = [0x5a; 60];
        let out = packet(&encap("192.0.2.1", "192.0.2.10", false), &inner, 0x1234);
        let expected = [
            &DST_MAC.0[..],
            &SRC_MAC.0,
            &[0x08, 0x00],
            &[0x45, 0, 0, 96, 0, 0, 0, 0, 255, 17, 0x37, 0x81, 192, 0, 2, 1, 192, 0, 2, 10],
            &[0xd2, 0x34, 0x12, 0xb5, 0, 76, 0, 0],
            &[0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0],
        ]
        .concat();
        assert_eq!(out[..50], expected);
        assert_eq!(checksum::finish(checksum::sum(&out[14..34])), 0);
    }

    #[test]
    fn a_tag_stands_before_the_type_and_changes_nothing_behind_it() {
        let vlan = VlanId::try_from(100).unwrap();
        for (src, dst) in [("192.0.2.1", "192.0.2.10"), ("2001:db8::1", "2001:db8::10")] {
            let plain = packet(&encap(src, dst, false), &[0x5a; 60], 0x1234);
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let vni = Vni::try_from(0x00ab_cdef).unwrap();
            let tagged = Encap::new(&outer(false, Some(vlan)), src, dst, vni).unwrap();
            let tagged = packet(&tagged, &[0x5a; 60], 0x1234);
            assert_eq!(tagged[..12], plain[..12]);
            assert_eq!(tagged[12..16], [0x81, 0, 0, 100]);
            assert_eq!(tagged[16..], plain[12..]);
        }
    }

    #[test]
    fn mixed_families_make_no_header() {
        let outer = outer(false, None);
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(Encap::new(&outer, v4, v6, Vni::try_from(1).unwrap()).is_none());
    }

    #[test]
    fn a_copy_fills_the_mtu_exactly() {
        assert_eq!(inner_len_max(1500, "192.0.2.1".parse().unwrap()), 1464);
        assert_eq!(inner_len_max(1500, "2001:db8::1".parse().unwrap()), 1444);
    }

    proptest! {
        #[test]
        fn the_ipv6_checksum_is_right(inner: Vec<u8>, hash in 0u16..1 << 14) {
            let out = packet(&encap("2001:db8::1", "2001:db8::10", false), &inner, hash);
            let udp_len = (out.len() - 54) as u64;
            // RFC 8200 §8.1: addresses, upper-layer length, next header, upper layer.
            let sum = checksum::sum(&out[22..54]) + udp_len + 17 + checksum::sum(&out[54..]);
            prop_assert_eq!(checksum::finish(sum), 0);
            prop_assert_ne!(&out[60..62], &[0, 0]);
            prop_assert_eq!(usize::from(u16::from_be_bytes([out[18], out[19]])), out.len() - 54);
            let first = u32::from_be_bytes([out[14], out[15], out[16], out[17]]);
            prop_assert_eq!(first, 6 << 28 | flow_label(hash), "version, traffic class 0, label");
        }

        #[test]
        fn the_ipv4_checksum_is_right(inner_len in 0u16..65_485, hash in 0u16..1 << 14) {
            let encap = encap("192.0.2.1", "192.0.2.10", false);
            let mut out = vec![0; encap.header_len()];
            write(&encap, &mut out, inner_len, hash, 0);
            prop_assert_eq!(checksum::finish(checksum::sum(&out[14..34])), 0);
            prop_assert_eq!(u16::from_be_bytes([out[16], out[17]]), inner_len + 36);
            prop_assert_eq!(&out[40..42], &[0, 0]);
        }
    }

    #[test]
    fn flow_labels_differ_as_hashes_do_and_all_their_bits_are_used() {
        let labels: HashSet<u32> = (0..1 << HASH_BITS).map(flow_label).collect();
        assert_eq!(labels.len(), 1 << HASH_BITS);
        assert!(labels.iter().all(|&label| label != 0 && label < 1 << 20));
        for bit in 0..20 {
            let ones = labels.iter().filter(|&&label| label >> bit & 1 == 1).count();
            assert_eq!(ones, 1 << (HASH_BITS - 1), "bit {bit}");
        }
        // All 14 bits, and the upper six again, the last one turned.
        assert_eq!(flow_label(0b11_0010_1011_0001), 0b1100_1010_1100_0111_0011);
    }

    #[test]
    fn the_ipv6_checksum_may_be_left_zero() {
        let out = packet(&encap("2001:db8::1", "2001:db8::10", true), &[1, 2, 3], 7);
        assert_eq!(out[60..62], [0, 0]);
    }
}
