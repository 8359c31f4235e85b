//! Where in a frame its packet begins, and what the packet's headers say.

use engine::parse::{Headers, dissect_ip};
use engine::wire::ipv6::{self, next_header};
use engine::wire::{ethernet, vlan};

/// Address Resolution Protocol (RFC 826).
pub const ARP: u16 = 0x0806;

/// What split, rewriting and flows need to know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Where the packet begins: behind the EtherType that is no tag's.
    pub packet_at: usize,
    /// That EtherType; 0 where the frame ends before it.
    pub ether_type: u16,
    /// Of an IP packet that does not contradict itself: its headers, places counted from `packet_at`.
    pub ip: Option<Headers>,
}

impl Layers {
    /// Looks at a frame, of any content. Cost: about a hundred instructions.
    #[inline]
    pub fn of(frame: &[u8]) -> Self {
        let mut packet_at = ethernet::HEADER_LEN;
        let mut ether_type = u16_at(frame, ethernet::ADDRESSES_LEN);
        for _ in 0..vlan::TAGS_MAX {
            if !vlan::is_tag(ether_type) {
                break;
            }
            ether_type = u16_at(frame, packet_at + 2);
            packet_at += vlan::TAG_LEN;
        }
        let packet = frame.get(packet_at..).unwrap_or_default();
        let ip = dissect_ip(packet, ether_type).unwrap_or_default();
        Self { packet_at, ether_type, ip }
    }
}

/// Two bytes as a number; 0 where they are not there.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    u16::from_be_bytes(bytes.unwrap_or_default())
}

/// The extension headers of an IPv6 packet, however many, one after the other: what kind each is, and
/// where it begins. At the end of the chain, the upper layer comes the same way, last.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    packet: &'a [u8],
    next: Option<(u8, usize)>,
}

impl<'a> Extensions<'a> {
    /// Of a packet that begins with the fixed header.
    pub fn of(packet: &'a [u8]) -> Self {
        Self { packet, next: packet.get(6).map(|&kind| (kind, ipv6::HEADER_LEN)) }
    }
}

impl Iterator for Extensions<'_> {
    type Item = (u8, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, at) = self.next.take()?;
        if !next_header::WALKED.contains(&kind) {
            return Some((kind, at));
        }
        let &[following, units, high, low] = self.packet.get(at..)?.first_chunk()?;
        let len = match kind {
            next_header::FRAGMENT => ipv6::FRAGMENT_LEN,
            next_header::AUTHENTICATION => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        // Behind the header of a later fragment is the middle of something.
        let is_later =
            kind == next_header::FRAGMENT && u16::from_be_bytes([high, low]) & 0xfff8 != 0;
        self.next = (!is_later).then_some((following, at + len));
        Some((kind, at))
    }
}
