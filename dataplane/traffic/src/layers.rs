//! Where in a frame its packet begins, and what the packet's headers say.

use engine::parse::{Headers, dissect_ip};
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
