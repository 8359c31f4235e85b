//! Made frames: UDP over IPv4 or IPv6, with a tag, in VXLAN.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use engine::encap::SRC_PORT_MIN;
use engine::units::{Mac, VlanId, Vni};
use engine::wire::checksum::{self, Sum};
use engine::wire::ethernet::{self, ethertype};
use engine::wire::{ipv4, ipv6, udp, vlan, vxlan};

use super::{FCS_LEN, FrameSet, FramesError, Path, Template};
use crate::flows::{FLOWS_MAX, Flows};
use crate::stamp::{STAMP_LEN, mixed};
use crate::trial::{Made, Spread};

/// IP's number of UDP.
const UDP: u8 = 17;
/// Hop limit and TTL: RFC 2544 appendix C.2.6.4 has 10, which a chain of devices may use up.
const HOP_LIMIT: u8 = 64;
/// The VXLAN header over IPv4, from Ethernet on.
const OUTER_LEN: usize =
    ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN + vxlan::HEADER_LEN;
/// Where the outer UDP header is.
const OUTER_UDP_AT: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
/// The UDP port of VXLAN (RFC 7348 §5).
const VXLAN_PORT: u16 = 4789;
/// The ends of the tunnel, within the benchmarks' network, and of no flow.
const TUNNEL: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 255, 255), Ipv4Addr::new(198, 19, 255, 255)];
/// Addresses of Ethernet within VXLAN: locally administered.
const INNER_MACS: [Mac; 2] = [Mac([2, 0, 0, 0, 0x18, 1]), Mac([2, 0, 0, 0, 0x19, 1])];

/// Where what differs by flow stands, the same in all frames of a stream.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) flows: Flows,
    is_v6: bool,
    has_outer: bool,
    ip_at: usize,
    udp_at: usize,
    pub(super) stamp_at: usize,
}

impl Layout {
    pub(super) fn checksum_at(&self) -> usize {
        self.udp_at + 6
    }

    /// Writes a flow's addresses and ports and the IPv4 checksum. Returns the sum of all that UDP's checksum
    /// covers but for the stamp. `sums`: [`Template::sums`].
    #[inline]
    pub(super) fn write_flow(
        &self,
        [ip_sum, udp_sum]: [Sum; 2],
        flow: u32,
        head: &mut [u8],
    ) -> Sum {
        let ends = self.flows.ends(flow);
        let of_addresses = if self.is_v6 {
            let [src, dst] = ends.v6().map(|address| address.octets());
            put(head, self.ip_at + 8, &src);
            put(head, self.ip_at + 24, &dst);
            checksum::sum(&src) + checksum::sum(&dst)
        } else {
            let [src, dst] = ends.v4().map(|address| address.octets());
            put(head, self.ip_at + 12, &src);
            put(head, self.ip_at + 16, &dst);
            let sum = checksum::sum(&src) + checksum::sum(&dst);
            put(head, self.ip_at + 10, &checksum::finish(ip_sum + sum).to_be_bytes());
            sum
        };
        let [src, dst] = ends.ports;
        put(head, self.udp_at, &src.to_be_bytes());
        put(head, self.udp_at + 2, &dst.to_be_bytes());
        if self.has_outer {
            // RFC 7348 §5: by a hash of the inner headers, 49152..65535.
            let port = SRC_PORT_MIN | mixed(flow.into()) as u16;
            put(head, OUTER_UDP_AT, &port.to_be_bytes());
        }
        udp_sum + of_addresses + Sum::from(src) + Sum::from(dst)
    }
}

/// Compiles made frames.
pub(super) fn compile(made: &Made, path: &Path) -> Result<FrameSet, FramesError> {
    if made.flows == 0 || made.flows > FLOWS_MAX {
        return Err(FramesError::Flows(made.flows));
    }
    if let Spread::Zipf { exponent } = made.spread
        && !(exponent > 0.0 && exponent <= 10.0)
    {
        return Err(FramesError::Exponent(exponent));
    }
    if made.sizes.is_empty() {
        return Err(FramesError::NoSizes);
    }
    let seed = made.seed;
    let flows = Flows::new(made.flows, made.spread, made.sizes.len(), seed, path.is_reverse);
    let layout = layout(made, flows);
    let outer = if layout.has_outer { OUTER_LEN } else { 0 };
    let least = layout.stamp_at + STAMP_LEN - outer + FCS_LEN;
    let (mut templates, mut of_size, mut turns) = (Vec::new(), HashMap::new(), Vec::new());
    for &size in &made.sizes {
        if usize::from(size) < least {
            return Err(FramesError::Small { size, least });
        }
        let known = of_size.entry(size).or_insert(templates.len());
        if *known == templates.len() {
            path.take(outer + usize::from(size) - FCS_LEN, made.vlan.is_some() && outer == 0)?;
            templates.push(template(made, path, &layout, usize::from(size) - FCS_LEN)?);
        }
        turns.push(*known as u32);
    }
    Ok(FrameSet {
        templates: templates.into(),
        turns: turns.into(),
        flows: layout.flows.count(),
        made: Some(layout),
    })
}

fn layout(made: &Made, flows: Flows) -> Layout {
    let outer = if made.vni.is_some() { OUTER_LEN } else { 0 };
    let tag = if made.vlan.is_some() { vlan::TAG_LEN } else { 0 };
    let ip_at = outer + ethernet::HEADER_LEN + tag;
    let udp_at = ip_at + if made.is_v6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN };
    Layout {
        flows,
        is_v6: made.is_v6,
        has_outer: made.vni.is_some(),
        ip_at,
        udp_at,
        stamp_at: udp_at + udp::HEADER_LEN,
    }
}

/// A frame of `len` bytes, VXLAN not counted, with all that differs by flow or frame zero.
fn template(
    made: &Made,
    path: &Path,
    layout: &Layout,
    len: usize,
) -> Result<Template, FramesError> {
    let destination = made.destination_mac.unwrap_or(path.destination_mac);
    let macs = [path.source_mac, destination];
    let mut bytes = Vec::new();
    let inner_macs = match made.vni {
        None => macs,
        Some(vni) => {
            bytes.extend(outer(macs, Vni::try_from(vni)?, len, path.is_reverse));
            if path.is_reverse { [INNER_MACS[1], INNER_MACS[0]] } else { INNER_MACS }
        }
    };
    let ip_len = len - (layout.ip_at - bytes.len());
    bytes.extend(link(inner_macs, made)?);
    let udp_len = ip_len - (layout.udp_at - layout.ip_at);
    bytes.extend(network(made.is_v6, ip_len, udp_len));
    let mut header = [0; udp::HEADER_LEN];
    udp::emit(&mut header, 0, 0, udp_len as u16, 0);
    bytes.extend(header);
    bytes.extend([0; STAMP_LEN]);
    let payload = udp_len - udp::HEADER_LEN - STAMP_LEN;
    bytes.extend(random_bytes(made.seed ^ len as u64).take(payload));
    let ip_sum = checksum::sum(bytes.get(layout.ip_at..layout.udp_at).unwrap_or_default());
    let udp = bytes.get(layout.udp_at..).unwrap_or_default();
    // The pseudo-header's part that all flows share: protocol and length (RFC 768, RFC 8200 §8.1).
    let udp_sum = checksum::sum(udp) + Sum::from(UDP) + udp_len as Sum;
    // A router looks at the outermost header alone.
    let (outermost, is_v6) = match made.vni {
        Some(_) => (ethernet::HEADER_LEN, false),
        None => (layout.ip_at, made.is_v6),
    };
    Ok(Template {
        bytes: bytes.into(),
        stamp_at: layout.stamp_at,
        flow: 0,
        hops: hops(outermost, is_v6),
        sums: [ip_sum, udp_sum],
    })
}

/// What a router changes of an IP header at `at`: TTL and checksum, or the hop limit.
pub(super) fn hops(at: usize, is_v6: bool) -> [(usize, usize); 2] {
    if is_v6 { [(at + 7, 1), (at + 8, 0)] } else { [(at + 8, 1), (at + 10, 2)] }
}

/// Ethernet, IPv4, UDP and VXLAN in front of `len` bytes.
fn outer([source, destination]: [Mac; 2], vni: Vni, len: usize, is_reverse: bool) -> Vec<u8> {
    let udp_len = udp::HEADER_LEN + vxlan::HEADER_LEN + len;
    let [src, dst] = if is_reverse { [TUNNEL[1], TUNNEL[0]] } else { TUNNEL };
    let mut eth = [0; ethernet::HEADER_LEN];
    ethernet::emit(&mut eth, destination, source, ethertype::IPV4);
    let mut ip = [0; ipv4::HEADER_LEN];
    ipv4::emit(&mut ip, src, dst, UDP, HOP_LIMIT, (ipv4::HEADER_LEN + udp_len) as u16);
    let mut upper = [0; udp::HEADER_LEN];
    // Without a checksum, as RFC 7348 §5 wants it.
    udp::emit(&mut upper, 0, VXLAN_PORT, udp_len as u16, 0);
    let mut tunnel = [0; vxlan::HEADER_LEN];
    vxlan::emit(&mut tunnel, vni);
    [&eth[..], &ip, &upper, &tunnel].concat()
}

/// Ethernet and the tag.
fn link([source, destination]: [Mac; 2], made: &Made) -> Result<Vec<u8>, FramesError> {
    let ip_type = if made.is_v6 { ethertype::IPV6 } else { ethertype::IPV4 };
    let vlan = made.vlan.map(VlanId::try_from).transpose()?;
    let mut eth = [0; ethernet::HEADER_LEN];
    ethernet::emit(&mut eth, destination, source, vlan.map_or(ip_type, |_| ethertype::VLAN));
    let tag = vlan.map(|vlan| [vlan.value(), ip_type].map(u16::to_be_bytes));
    Ok(eth.into_iter().chain(tag.into_iter().flatten().flatten()).collect())
}

/// IPv4 or IPv6, without addresses and checksum.
fn network(is_v6: bool, ip_len: usize, udp_len: usize) -> Vec<u8> {
    let mut bytes = vec![0; if is_v6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN }];
    if is_v6 {
        bytes[0] = 0x60;
        put(&mut bytes, 4, &(udp_len as u16).to_be_bytes());
        put(&mut bytes, 6, &[UDP, HOP_LIMIT]);
    } else {
        bytes[0] = 0x45;
        put(&mut bytes, 2, &(ip_len as u16).to_be_bytes());
        put(&mut bytes, 8, &[HOP_LIMIT, UDP]);
    }
    bytes
}

fn random_bytes(seed: u64) -> impl Iterator<Item = u8> {
    (0u64..).flat_map(move |word| mixed(mixed(seed) ^ word).to_le_bytes())
}

#[inline]
fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + what.len()) {
        place.copy_from_slice(what);
    }
}
