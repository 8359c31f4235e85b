//! What is in VXLAN (RFC 7348 §5): where the inner frame is, and of which network.

use engine::rule::UDP;
use engine::wire::{ethernet, udp, vlan, vxlan};

/// Tags that may stand in front of the outer packet.
const TAGS_MAX: usize = 2;

/// An inner frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Its network.
    pub vni: u32,
    /// Where it begins in the outer frame.
    pub at: usize,
    /// Its length, by the outer datagram's.
    pub len: usize,
}

/// The inner frame of a frame that begins with `head`, if that is VXLAN to `udp_port`, whole in one packet. IPv6
/// extension headers are not looked through: no VXLAN device writes any. All reads are checked. Cost: some tens of
/// instructions.
pub fn inner(head: &[u8], udp_port: u16) -> Option<Inner> {
    let (ether_type, ip_at) = outer_packet(head)?;
    let datagram_at = match ether_type {
        ethernet::ethertype::IPV4 => ip_at + ipv4_len(head.get(ip_at..)?)?,
        ethernet::ethertype::IPV6 => ip_at + ipv6_len(head.get(ip_at..)?)?,
        _ => return None,
    };
    let datagram = head.get(datagram_at..)?.first_chunk::<{ udp::HEADER_LEN }>()?;
    let [_, _, port_high, port_low, len_high, len_low, _, _] = *datagram;
    if u16::from_be_bytes([port_high, port_low]) != udp_port {
        return None;
    }
    let header_at = datagram_at + udp::HEADER_LEN;
    let vni = vxlan::network(*head.get(header_at..)?.first_chunk()?)?;
    let around = udp::HEADER_LEN + vxlan::HEADER_LEN;
    let len = usize::from(u16::from_be_bytes([len_high, len_low])).checked_sub(around)?;
    (len > 0).then_some(Inner { vni, at: header_at + vxlan::HEADER_LEN, len })
}

/// The inner frame of a whole frame, and its network; `None` of what is no VXLAN to `udp_port`, or cut.
#[inline]
pub fn open(frame: &[u8], udp_port: u16) -> Option<(u32, &[u8])> {
    let Inner { vni, at, len } = inner(frame, udp_port)?;
    Some((vni, frame.get(at..)?.get(..len)?))
}

/// The type of the outer packet, and where it begins.
fn outer_packet(head: &[u8]) -> Option<(u16, usize)> {
    let mut at = ethernet::ADDRESSES_LEN;
    for _ in 0..=TAGS_MAX {
        let ether_type = u16::from_be_bytes(*head.get(at..)?.first_chunk()?);
        match ether_type {
            ethernet::ethertype::VLAN | ethernet::ethertype::QINQ => at += vlan::TAG_LEN,
            other => return Some((other, at + 2)),
        }
    }
    None
}

/// The length of an IPv4 header before UDP; `None` of fragments and other packets.
fn ipv4_len(packet: &[u8]) -> Option<usize> {
    let header = packet.first_chunk::<20>()?;
    let len = 4 * usize::from(header[0] & 0x0f);
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let is_meant = header[0] >> 4 == 4 && len >= 20 && header[9] == UDP && fragment == 0;
    is_meant.then_some(len)
}

/// The length of an IPv6 header before UDP; `None` of other packets.
fn ipv6_len(packet: &[u8]) -> Option<usize> {
    let header = packet.first_chunk::<40>()?;
    (header[0] >> 4 == 6 && header[6] == UDP).then_some(40)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frames::FrameSet;
    use crate::frames::samples::{made, path};
    use crate::trial::{Frames, Made};

    /// 02:…:0b from 02:…:0a, IPv4 192.0.2.1 to 192.0.2.10, UDP 49152 to 4789, VNI 0x123456, `inner`.
    fn outer(tags: &[u8], inner: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a];
        frame.extend(tags);
        frame.extend([8, 0]);
        let udp_len = (16 + inner.len()) as u16;
        frame.extend([0x45, 0]);
        frame.extend((20 + udp_len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 255, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 10, 0xc0, 0, 0x12, 0xb5]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0, 0, 8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        frame.extend(inner);
        frame
    }

    #[test]
    fn the_inner_frame_is_found_and_ends_before_padding() {
        let mut frame = outer(&[], b"inner");
        frame.extend([0; 9]);
        assert_eq!(inner(&frame, 4789), Some(Inner { vni: 0x12_3456, at: 50, len: 5 }));
        let tagged = outer(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 100], b"inner");
        assert_eq!(inner(&tagged, 4789), Some(Inner { vni: 0x12_3456, at: 58, len: 5 }));
        assert_eq!(inner(&outer(&[0x81, 0, 0, 1].repeat(3), b"inner"), 4789), None);
    }

    #[test]
    fn the_same_over_ipv6() {
        let v4 = outer(&[], b"inner");
        let mut frame = v4[..12].to_vec();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 21, 17, 255]);
        frame.extend([0x20; 32]);
        frame.extend(&v4[34..]);
        assert_eq!(inner(&frame, 4789), Some(Inner { vni: 0x12_3456, at: 70, len: 5 }));
        frame[20] = 6;
        assert_eq!(inner(&frame, 4789), None);
    }

    #[test]
    fn what_is_no_vxlan_is_left() {
        let good = outer(&[], b"inner");
        assert_eq!(inner(&good, 8472), None, "another port");
        for (at, value, why) in [
            (14, 0x65, "no IPv4"),
            (14, 0x44, "a header that is too short"),
            (20, 0x20, "a first fragment"),
            (21, 0x01, "a later fragment"),
            (23, 6, "TCP"),
            (42, 0, "the VNI is not valid"),
            (39, 16, "nothing inside"),
            (39, 15, "a length that is too short"),
        ] {
            let mut frame = good.clone();
            frame[at] = value;
            assert_eq!(inner(&frame, 4789), None, "{why}");
        }
        for len in 0..50 {
            assert_eq!(inner(&good[..len], 4789), None, "{len}");
        }
    }

    #[test]
    fn what_is_in_vxlan_is_taken_out_and_nothing_else_is() {
        let made = Made { vni: Some(0x00ab_cdef), ..made(&[64]) };
        let set = FrameSet::new(&Frames::Made(made), &path()).unwrap();
        let mut frame = vec![0; set.len_of(0)];
        set.write(0, &mut frame);
        let inner = frame[50..].to_vec();
        assert_eq!(open(&frame, 4789), Some((0x00ab_cdef, inner.as_slice())));
        frame.extend([0; 9]);
        assert_eq!(open(&frame, 4789), Some((0x00ab_cdef, inner.as_slice())), "padding");
        assert_eq!(open(&frame, 4790), None);
        assert_eq!(open(&inner, 4789), None);
        for cut in [49, 45, 33, 0] {
            assert_eq!(open(&frame[..cut], 4789), None, "{cut}");
        }
        frame[42] = 0;
        assert_eq!(open(&frame, 4789), None, "no valid network");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn noise_is_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), from in 0..60_usize) {
            let mut frame = outer(&[], b"inner");
            frame.truncate(from);
            frame.append(&mut bytes);
            if let Some(found) = inner(&frame, 4789) {
                prop_assert!(found.at <= frame.len() && found.len > 0);
            }
        }
    }
}
