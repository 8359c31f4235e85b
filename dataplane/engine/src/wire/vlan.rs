//! VLAN tags (IEEE 802.1Q, 802.1ad): a type, then 3 bits of priority, 1 of eligibility, 12 of VID.

use super::ethernet::ethertype;

/// Bytes that one tag adds to a frame.
pub const TAG_LEN: usize = 4;
/// More tags than this make a frame malformed.
pub const TAGS_MAX: usize = 4;

/// True for the EtherTypes that announce a tag.
pub const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD)
}

/// The VLAN identifier of a tag's control information; 0 for a priority tag.
pub const fn vid(tci: u16) -> u16 {
    tci & 0x0fff
}
