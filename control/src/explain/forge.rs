//! A frame around a described packet: what the engine would see of it.

use std::net::IpAddr;

use engine::rule::{SCTP, TCP, UDP};
use engine::snapshot::InterfaceSpec;
use engine::units::{Mac, VlanId};
use engine::wire::ethernet::{self, ethertype};
use engine::wire::ipv6::next_header;
use engine::wire::{ipv4, ipv6};

use super::packet::Packet;

/// The hop limit of systems that don't choose another.
const HOP_LIMIT: u8 = 64;
/// Where a later fragment stands in its datagram, in units of 8 bytes: behind one Ethernet MTU.
const LATER: u16 = 1480 / 8;

/// Bytes from the Ethernet header to the end of the upper layer's.
pub(super) fn headers_len(packet: &Packet) -> usize {
    let ip = match (packet.src, packet.is_later_fragment) {
        (IpAddr::V4(_), _) => ipv4::HEADER_LEN,
        (IpAddr::V6(_), false) => ipv6::HEADER_LEN,
        (IpAddr::V6(_), true) => ipv6::HEADER_LEN + ipv6::FRAGMENT_LEN,
    };
    ethernet::HEADER_LEN + ip + upper_len(packet)
}

/// Bytes of the upper layer's header; of what has none here, eight of payload.
fn upper_len(packet: &Packet) -> usize {
    match packet.protocol {
        _ if packet.is_later_fragment => 8,
        TCP => 20,
        SCTP => 12,
        _ => 8,
    }
}

/// The frame of a packet from `src` to `dst`, tagged when there is a VLAN.
pub(super) fn frame(packet: &Packet, src: Mac, dst: Mac, vlan: Option<VlanId>) -> Vec<u8> {
    let len = packet.length.unwrap_or(0).max(headers_len(packet)) - ethernet::HEADER_LEN;
    let mut frame = [dst.0, src.0].concat();
    if let Some(vlan) = vlan {
        frame.extend(ethertype::VLAN.to_be_bytes());
        frame.extend(vlan.value().to_be_bytes());
    }
    let start = frame.len() + 2;
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = [0; ipv4::HEADER_LEN];
            ipv4::emit(&mut header, src, dst, packet.protocol, HOP_LIMIT, len as u16);
            if packet.is_later_fragment {
                header[6..8].copy_from_slice(&LATER.to_be_bytes());
            }
            frame.extend(ethertype::IPV4.to_be_bytes());
            frame.extend(header);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = [0; ipv6::HEADER_LEN];
            let next =
                if packet.is_later_fragment { next_header::FRAGMENT } else { packet.protocol };
            let payload = len.saturating_sub(ipv6::HEADER_LEN);
            ipv6::emit(&mut header, src, dst, next, HOP_LIMIT, payload as u16);
            frame.extend(ethertype::IPV6.to_be_bytes());
            frame.extend(header);
            if packet.is_later_fragment {
                let [high, low] = (LATER << 3).to_be_bytes();
                frame.extend([packet.protocol, 0, high, low, 0, 0, 0, 1]);
            }
        }
        // A packet's addresses are of one family.
        _ => {}
    }
    if let Some((src, dst)) = packet.ports {
        frame.extend(src.to_be_bytes());
        frame.extend(dst.to_be_bytes());
        if packet.protocol == UDP {
            let upper = (start + len - (frame.len() - 4)) as u16;
            frame.extend(upper.to_be_bytes());
        }
    }
    frame.resize(start + len, 0);
    frame
}

/// An address that no interface has.
pub(super) fn stranger(interfaces: &[InterfaceSpec]) -> Mac {
    let mut macs = (0..=u16::MAX).map(|n| {
        let [high, low] = n.to_be_bytes();
        Mac([0x02, 0, 0, 0xff, high, low])
    });
    let is_free = |mac: &Mac| !interfaces.iter().any(|interface| interface.macs.contains(mac));
    macs.find(is_free).unwrap_or_default()
}
