//! The packet inside a tunnel's packet, where that is what decides which tool a flow goes to: of VXLAN
//! (RFC 7348 §5), GRE with Ethernet or IP inside (RFC 2784, with keys RFC 2890, so NVGRE too) and GTP-U
//! (3GPP TS 29.281 §5).
//!
//! One level: what is in a tunnel inside a tunnel is not looked for. Fragments of a tunnel's packets,
//! and what can't be read, have no inner packet.

use super::{
    Frame, HEADERS_LEN_MAX, Headers, Parsed, Stop, parse_ethernet, parse_ipv4, parse_ipv6,
};
use crate::flow_key::FlowKey;
use crate::rule::UDP;
use crate::wire::ethernet::ethertype;
use crate::wire::{udp, vxlan};

const GRE: u8 = 47;
/// Of VXLAN (RFC 7348 §8).
const VXLAN_PORT: u16 = 4789;
/// Of GTP-U, in both directions (3GPP TS 29.281 §4.4.2).
const GTP_U_PORT: u16 = 2152;

/// True when a packet with this key may have another one inside: [`inner_key`] finds out. Of VXLAN, the
/// registered port counts and `vxlan_port`. Cost: some instructions.
#[inline]
pub fn may_hold_inner(key: &FlowKey, vxlan_port: u16) -> bool {
    let is_tunnel = match key.protocol() {
        Some(UDP) => [GTP_U_PORT, VXLAN_PORT, vxlan_port].contains(&key.dst_port()),
        Some(GRE) => true,
        _ => false,
    };
    is_tunnel && !key.is_fragment()
}

/// The key of the packet inside a frame's packet; `None` where there is none that can be read. `head`
/// is the frame, or so much of it as headers can take ([`HEADERS_LEN_MAX`]). All reads are checked; the
/// walk is bounded. Cost: some hundred instructions.
pub fn inner_key(head: &[u8], vxlan_port: u16) -> Option<FlowKey> {
    let head = &head[..head.len().min(HEADERS_LEN_MAX)];
    let outer = ethernet(head)?;
    if outer.fragment.is_some() {
        return None;
    }
    let upper = head.get(outer.upper_at..outer.end)?;
    let inner = match outer.protocol? {
        UDP => of_udp(upper, vxlan_port),
        GRE => of_gre(upper),
        _ => None,
    };
    inner.map(|headers| headers.key())
}

fn of_udp(datagram: &[u8], vxlan_port: u16) -> Option<Headers> {
    let [_, _, high, low, ..] = datagram.first_chunk::<{ udp::HEADER_LEN }>()?;
    let payload = &datagram[udp::HEADER_LEN..];
    match u16::from_be_bytes([*high, *low]) {
        GTP_U_PORT => of_gtp_u(payload),
        port if port == VXLAN_PORT || port == vxlan_port => of_vxlan(payload),
        _ => None,
    }
}

fn of_vxlan(payload: &[u8]) -> Option<Headers> {
    let (header, frame) = payload.split_first_chunk::<{ vxlan::HEADER_LEN }>()?;
    vxlan::network(*header)?;
    ethernet(frame)
}

fn of_gre(packet: &[u8]) -> Option<Headers> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    /// Transparent Ethernet bridging.
    const ETHERNET: u16 = 0x6558;
    let ([flags, version, high, low], rest) = packet.split_first_chunk()?;
    if flags & ROUTING != 0 || version & 7 != 0 {
        return None;
    }
    let fields = [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|field| flags & field != 0).count();
    let inner = rest.get(4 * fields..)?;
    match u16::from_be_bytes([*high, *low]) {
        ETHERNET => ethernet(inner),
        ethertype::IPV4 => read(parse_ipv4(whole(inner), 0)),
        ethertype::IPV6 => read(parse_ipv6(whole(inner), 0)),
        _ => None,
    }
}

fn of_gtp_u(payload: &[u8]) -> Option<Headers> {
    /// Version 1, GTP and not GTP'.
    const VERSION: u8 = 0x30;
    const VERSION_BITS: u8 = 0xf0;
    const EXTENSION: u8 = 0x04;
    const OPTIONS: u8 = 0x07;
    /// A user's packet.
    const G_PDU: u8 = 255;
    const EXTENSIONS_MAX: usize = 8;
    let ([flags, kind, ..], mut rest) = payload.split_first_chunk::<8>()?;
    if flags & VERSION_BITS != VERSION || *kind != G_PDU {
        return None;
    }
    if flags & OPTIONS != 0 {
        let ([.., next], after) = rest.split_first_chunk::<4>()?;
        let mut next = if flags & EXTENSION == 0 { 0 } else { *next };
        rest = after;
        for _ in 0..EXTENSIONS_MAX {
            if next == 0 {
                break;
            }
            // In words, with itself and the type of the next at its end; 0 is no length.
            let len = 4 * usize::from(*rest.first()?);
            next = *rest.get(len.checked_sub(1)?)?;
            rest = &rest[len..];
        }
        if next != 0 {
            return None;
        }
    }
    match rest.first()? >> 4 {
        4 => read(parse_ipv4(whole(rest), 0)),
        6 => read(parse_ipv6(whole(rest), 0)),
        _ => None,
    }
}

fn ethernet(frame: &[u8]) -> Option<Headers> {
    let mut parsed = Parsed::EMPTY;
    parse_ethernet(whole(frame), &mut parsed).ok()?
}

const fn whole(bytes: &[u8]) -> Frame<'_> {
    Frame { head: bytes, len: bytes.len() }
}

fn read(headers: Result<Headers, Stop>) -> Option<Headers> {
    headers.ok()
}

#[cfg(test)]
mod tests;
