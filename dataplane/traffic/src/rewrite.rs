//! What is changed in each frame: Ethernet addresses, VLAN tags, IP addresses, ports.
//!
//! IP addresses are changed wherever two stations would compare them: in the IP header, in ARP, in the
//! targets of Neighbor Discovery and in the packet that an ICMP error quotes; not inside tunnels, and not
//! in what applications say. Everything else stays byte for byte.

mod addresses;
mod checksums;

use std::net::{Ipv4Addr, Ipv6Addr};

use engine::flow_key::Addresses;
use engine::parse::{Headers, dissect_ip};
use engine::rule::{TCP, UDP};
use engine::units::Mac;
use engine::wire::checksum::{finish, sum};
use engine::wire::ipv6::next_header;
use engine::wire::{ethernet, ipv4, ipv6, vlan};

use self::addresses::AddressMap;
use self::checksums::{Difference, ICMPV6, over_addresses};
use crate::layers::{ARP, Extensions, Layers, u16_at};
use crate::replay::{Rewrites, VlanRewrite};
use ethernet::ethertype;

const ICMP: u8 = 1;

/// What is changed in each frame, made ready.
#[derive(Debug, Clone, Default)]
pub struct Rewriter {
    source_mac: [Option<Mac>; 2],
    destination_mac: [Option<Mac>; 2],
    vlan: Option<VlanRewrite>,
    addresses: AddressMap,
    /// By port.
    ports: Option<Box<[u16]>>,
}

impl Rewriter {
    /// Errors: all that can't be done, a sentence each.
    pub fn new(rewrites: &Rewrites) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let addresses = AddressMap::new(&rewrites.addresses, &rewrites.increments, &mut faults);
        match rewrites.vlan {
            Some(VlanRewrite::Push { vlan, .. } | VlanRewrite::Set { vlan })
                if !(1..=4094).contains(&vlan) =>
            {
                faults.push(format!("{vlan} is not a VLAN identifier: it must be 1..4094"));
            }
            Some(VlanRewrite::Push { ether_type, .. }) if !vlan::is_tag(ether_type) => faults.push(
                format!("0x{ether_type:04x} announces no VLAN tag: it must be 0x8100 or 0x88a8"),
            ),
            _ => {}
        }
        let ports = (!rewrites.ports.is_empty()).then(|| {
            let mut ports: Box<[u16]> = (0..=u16::MAX).collect();
            // The first that fits counts, so it is written last.
            for &(from, to) in rewrites.ports.iter().rev() {
                if let Some(port) = ports.get_mut(usize::from(from)) {
                    *port = to;
                }
            }
            ports
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let (source_mac, destination_mac) = (rewrites.source_mac, rewrites.destination_mac);
        Ok(Self { source_mac, destination_mac, vlan: rewrites.vlan, addresses, ports })
    }

    /// True when every frame stays as it is.
    pub fn is_idle(&self) -> bool {
        let macs = self.source_mac.iter().chain(&self.destination_mac);
        macs.flatten().next().is_none()
            && self.vlan.is_none()
            && self.addresses.is_empty()
            && self.ports.is_none()
    }

    /// How long a frame will be.
    #[inline]
    pub fn len_of(&self, frame: &[u8]) -> usize {
        match self.vlan {
            Some(VlanRewrite::Push { .. }) if is_ethernet(frame) => frame.len() + vlan::TAG_LEN,
            Some(VlanRewrite::Pop) if has_tag(frame) => frame.len() - vlan::TAG_LEN,
            _ => frame.len(),
        }
    }

    /// True when a frame will have an outermost 802.1Q tag.
    #[inline]
    pub fn is_tagged_after(&self, frame: &[u8]) -> bool {
        let at = match self.vlan {
            Some(VlanRewrite::Push { ether_type, .. }) if is_ethernet(frame) => {
                return ether_type == ethertype::VLAN;
            }
            Some(VlanRewrite::Pop) if has_tag(frame) => ethernet::ADDRESSES_LEN + vlan::TAG_LEN,
            _ => ethernet::ADDRESSES_LEN,
        };
        u16_at(frame, at) == ethertype::VLAN
    }

    /// Puts a frame, changed, in place of what is in `to`; what `layers` say of it changes with it. `side`
    /// is 0 for a client's frames and 1 for a server's, `loop_number` counts from 0. Any content is taken
    /// as far as it goes. Cost: a copy, and some hundred instructions; allocates until `to` has held the
    /// longest frame.
    #[inline]
    pub fn rewrite(
        &self,
        frame: &[u8],
        layers: &mut Layers,
        side: usize,
        loop_number: u64,
        to: &mut Vec<u8>,
    ) {
        to.clear();
        self.copy(frame, to);
        let grown = to.len().wrapping_sub(frame.len());
        layers.packet_at = layers.packet_at.wrapping_add(grown);
        if let Some((destination, rest)) = to.split_first_chunk_mut::<6>() {
            if let Some(Some(mac)) = self.destination_mac.get(side) {
                *destination = mac.0;
            }
            if let (Some(Some(mac)), Some(source)) =
                (self.source_mac.get(side), rest.first_chunk_mut())
            {
                *source = mac.0;
            }
        }
        if self.addresses.is_empty() && self.ports.is_none() {
            return;
        }
        let packet = to.get_mut(layers.packet_at..).unwrap_or_default();
        match (&mut layers.ip, layers.ether_type) {
            (Some(headers), _) => self.packet(packet, headers, loop_number, false),
            (None, ARP) => self.arp(packet, loop_number),
            // It contradicts itself; the addresses may well be read all the same.
            (None, ethertype::IPV4) => _ = self.ipv4_addresses(packet, loop_number),
            (None, ethertype::IPV6) => _ = self.ipv6_addresses(packet, loop_number),
            _ => {}
        }
    }

    /// Copies a frame and does to its outermost tag what is to be done.
    #[inline]
    fn copy(&self, frame: &[u8], to: &mut Vec<u8>) {
        match (self.vlan, frame.split_first_chunk::<{ ethernet::ADDRESSES_LEN }>()) {
            (Some(VlanRewrite::Push { vlan, ether_type }), Some((addresses, rest)))
                if is_ethernet(frame) =>
            {
                let [[t0, t1], [v0, v1]] = [ether_type, vlan].map(u16::to_be_bytes);
                to.extend_from_slice(addresses);
                to.extend_from_slice(&[t0, t1, v0, v1]);
                to.extend_from_slice(rest);
            }
            (Some(VlanRewrite::Pop), Some((addresses, rest))) if has_tag(frame) => {
                to.extend_from_slice(addresses);
                to.extend_from_slice(rest.get(vlan::TAG_LEN..).unwrap_or_default());
            }
            (Some(VlanRewrite::Set { vlan }), Some(_)) if has_tag(frame) => {
                to.extend_from_slice(frame);
                let tci = to.get_mut(ethernet::HEADER_LEN..).and_then(<[u8]>::first_chunk_mut);
                if let Some(tci) = tci {
                    // Priority and drop eligibility stay.
                    *tci = (u16::from_be_bytes(*tci) & 0xf000 | vlan).to_be_bytes();
                }
            }
            _ => to.extend_from_slice(frame),
        }
    }

    /// An IP packet with these headers; `is_quoted` is one inside an ICMP error, which is looked into no
    /// deeper.
    fn packet(&self, packet: &mut [u8], headers: &mut Headers, loop_number: u64, is_quoted: bool) {
        let is_v6 = matches!(headers.addresses, Addresses::V6 { .. });
        let of_addresses = if is_v6 {
            self.ipv6_addresses(packet, loop_number)
        } else {
            self.ipv4_addresses(packet, loop_number)
        };
        headers.addresses = addresses_of(packet, is_v6);
        let near = headers.protocol.map(|protocol| (protocol, headers.upper_at));
        let Some((protocol, upper_at)) = near.or_else(|| far_upper(packet)) else {
            return;
        };
        if headers.is_later {
            return;
        }
        let upper = packet.get_mut(upper_at..headers.end).unwrap_or_default();
        let mut difference = self.change_ports(upper, protocol, &mut headers.ports);
        let mut checksum_at = over_addresses(protocol, is_v6);
        if checksum_at.is_some() {
            difference.join(of_addresses);
        }
        match protocol {
            ICMP if !is_v6 && !is_quoted => {
                checksum_at = Some(2);
                difference.join(self.icmp(upper, loop_number));
            }
            ICMPV6 if is_v6 && !is_quoted => difference.join(self.icmpv6(upper, loop_number)),
            _ => {}
        }
        match (protocol, checksum_at) {
            (UDP, Some(at)) => difference.apply_udp(upper, at),
            (_, Some(at)) => difference.apply(upper, at),
            _ => {}
        }
    }

    /// The addresses of an IPv4 header, and its checksum; how the pseudo-header changes with them: that has
    /// the last destination, which with a source route that is not done is not the one in front.
    #[inline]
    fn ipv4_addresses(&self, packet: &mut [u8], loop_number: u64) -> Difference {
        let mut difference = Difference::default();
        let is_underway = is_source_routed(packet);
        let Some(header) = packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>() else {
            return difference;
        };
        let fixed = ipv4::Header(header);
        if fixed.version() != 4 {
            return difference;
        }
        let new =
            [fixed.src(), fixed.dst()].map(|old| self.addresses.v4(old.octets(), loop_number));
        let all = new.as_flattened();
        let mut of_header = Difference::default();
        of_header.add(&header[12..], all);
        if is_underway {
            difference.add(&header[12..16], &all[..4]);
        } else {
            difference = of_header;
        }
        header[12..].copy_from_slice(all);
        of_header.apply(header, 10);
        difference
    }

    /// The addresses of an IPv6 header; how the pseudo-header changes with them: that has the last
    /// destination, which with a routing header that is not done is not the one in front (RFC 8200 §8.1).
    #[inline]
    fn ipv6_addresses(&self, packet: &mut [u8], loop_number: u64) -> Difference {
        let mut difference = Difference::default();
        let is_underway = is_routed(packet);
        let Some(header) = packet.first_chunk_mut::<{ ipv6::HEADER_LEN }>() else {
            return difference;
        };
        let fixed = ipv6::Header(header);
        if fixed.version() != 6 {
            return difference;
        }
        let new =
            [fixed.src(), fixed.dst()].map(|old| self.addresses.v6(old.octets(), loop_number));
        let counts = if is_underway { 8..24 } else { 8..40 };
        let (old, all) = (&header[counts.clone()], new.as_flattened());
        difference.add(old, &all[..old.len()]);
        header[8..].copy_from_slice(all);
        difference
    }

    /// The ports of TCP and UDP, where they can be read.
    #[inline]
    fn change_ports(
        &self,
        upper: &mut [u8],
        protocol: u8,
        ports: &mut Option<[u8; 4]>,
    ) -> Difference {
        let mut difference = Difference::default();
        let field = upper.first_chunk_mut::<4>();
        if let (Some(map), TCP | UDP, Some(old), Some(field)) =
            (&self.ports, protocol, *ports, field)
        {
            let new = |port: [u8; 2]| {
                let port = u16::from_be_bytes(port);
                map.get(usize::from(port)).copied().unwrap_or(port).to_be_bytes()
            };
            let ([s0, s1], [d0, d1]) = (new([old[0], old[1]]), new([old[2], old[3]]));
            *field = [s0, s1, d0, d1];
            difference.add(&old, field);
            *ports = Some(*field);
        }
        difference
    }

    /// The packet that an ICMP error quotes (RFC 792).
    fn icmp(&self, message: &mut [u8], loop_number: u64) -> Difference {
        /// Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
        match message.split_first_chunk_mut::<8>() {
            Some(([kind, ..], quoted)) if ERRORS.contains(kind) => {
                self.quoted(quoted, ethertype::IPV4, loop_number)
            }
            _ => Difference::default(),
        }
    }

    /// The packet that an ICMPv6 error quotes (RFC 4443 §3), and the targets of Neighbor Discovery (RFC
    /// 4861 §4.3 to §4.5).
    fn icmpv6(&self, message: &mut [u8], loop_number: u64) -> Difference {
        let mut difference = Difference::default();
        let Some(([kind, ..], body)) = message.split_first_chunk_mut::<8>() else {
            return difference;
        };
        let targets = match *kind {
            1..=4 => return self.quoted(body, ethertype::IPV6, loop_number),
            135 | 136 => 1,
            // A redirect has the destination, too.
            137 => 2,
            _ => 0,
        };
        for target in body.as_chunks_mut::<16>().0.iter_mut().take(targets) {
            let new = self.addresses.v6(*target, loop_number);
            difference.add(target, &new);
            *target = new;
        }
        difference
    }

    /// A packet inside an ICMP error; how its sum changes.
    fn quoted(&self, packet: &mut [u8], ether_type: u16, loop_number: u64) -> Difference {
        let mut difference = Difference::default();
        let Ok(Some(mut headers)) = dissect_ip(packet, ether_type) else {
            return difference;
        };
        let before = finish(sum(packet)).to_be_bytes();
        self.packet(packet, &mut headers, loop_number, true);
        let after = finish(sum(packet)).to_be_bytes();
        // Both are complements: what was is what is now, and the other way round.
        difference.add(&after, &before);
        difference
    }

    /// The two IP addresses of ARP over Ethernet (RFC 826).
    fn arp(&self, message: &mut [u8], loop_number: u64) {
        /// Protocol, length of Ethernet's addresses and of its own.
        const IPV4_ON_ETHERNET: [u8; 4] = [8, 0, 6, 4];
        if message.get(2..6) != Some(IPV4_ON_ETHERNET.as_slice()) {
            return;
        }
        for at in [14, 24] {
            let address = message.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>);
            if let Some(address) = address {
                *address = self.addresses.v4(*address, loop_number);
            }
        }
    }
}

fn is_ethernet(frame: &[u8]) -> bool {
    frame.len() >= ethernet::HEADER_LEN
}

/// A tag with all of the EtherType behind it.
fn has_tag(frame: &[u8]) -> bool {
    frame.len() >= ethernet::HEADER_LEN + vlan::TAG_LEN
        && vlan::is_tag(u16_at(frame, ethernet::ADDRESSES_LEN))
}

#[inline]
fn addresses_of(packet: &[u8], is_v6: bool) -> Addresses {
    match (is_v6, packet.first_chunk(), packet.first_chunk()) {
        (true, Some(header), _) => {
            let header = ipv6::Header(header);
            Addresses::V6 { src: header.src(), dst: header.dst() }
        }
        (false, _, Some(header)) => {
            let header = ipv4::Header(header);
            Addresses::V4 { src: header.src(), dst: header.dst() }
        }
        (true, ..) => Addresses::V6 { src: Ipv6Addr::UNSPECIFIED, dst: Ipv6Addr::UNSPECIFIED },
        (false, ..) => Addresses::V4 { src: Ipv4Addr::UNSPECIFIED, dst: Ipv4Addr::UNSPECIFIED },
    }
}

/// True for an IPv4 packet with a source route that is not done (RFC 791 §3.1).
#[inline]
fn is_source_routed(packet: &[u8]) -> bool {
    const OPTION_END: u8 = 0;
    const OPTION_NONE: u8 = 1;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    let end = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    let mut options = packet.get(ipv4::HEADER_LEN..end).unwrap_or_default();
    loop {
        options = match *options {
            [OPTION_NONE, ref rest @ ..] => rest,
            [LOOSE_ROUTE | STRICT_ROUTE, len, pointer, ..] => return pointer < len,
            [OPTION_END, ..] | [] | [_] => return false,
            [_, len, ..] => options.get(usize::from(len).max(2)..).unwrap_or_default(),
        };
    }
}

/// True for an IPv6 packet with a routing header that has segments left.
fn is_routed(packet: &[u8]) -> bool {
    let left = |at: usize| packet.get(at + 3).is_some_and(|&left| left > 0);
    Extensions::of(packet).any(|(kind, at)| kind == next_header::ROUTING && left(at))
}

/// The upper layer behind more extension headers than are walked elsewhere, and where it begins.
fn far_upper(packet: &[u8]) -> Option<(u8, usize)> {
    Extensions::of(packet).last().filter(|(kind, _)| !next_header::WALKED.contains(kind))
}

#[cfg(test)]
mod tests;
