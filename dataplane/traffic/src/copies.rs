//! Copies in VXLAN, opened: which network they are of, and the frame within.

use engine::parse::dissect;
use engine::rule::UDP;
use engine::wire::{udp, vxlan};

/// The frame in a VXLAN packet to this UDP port, and its network; `None` for what is none. Padding of Ethernet is
/// taken off. Cost: about a hundred instructions.
#[inline]
pub fn open(frame: &[u8], udp_port: u16) -> Option<(u32, &[u8])> {
    let headers = dissect(frame).ok()??;
    let [_, _, d0, d1] = headers.ports?;
    let is_vxlan = headers.protocol == Some(UDP)
        && headers.fragment.is_none()
        && u16::from_be_bytes([d0, d1]) == udp_port;
    if !is_vxlan {
        return None;
    }
    let packet = frame.get(headers.upper_at..headers.end.min(frame.len()))?;
    let (tunnel, inner) =
        packet.get(udp::HEADER_LEN..)?.split_first_chunk::<{ vxlan::HEADER_LEN }>()?;
    let [flags, _, _, _, v0, v1, v2, _] = *tunnel;
    // All other bits are ignored on receipt (RFC 7348 §5).
    (flags & vxlan::FLAGS != 0).then(|| (u32::from_be_bytes([0, v0, v1, v2]), inner))
}

#[cfg(test)]
mod tests {
    use engine::units::Mac;

    use super::*;
    use crate::frames::{FrameSet, Path};
    use crate::trial::{Frames, Made, Spread};

    #[test]
    fn what_is_in_vxlan_is_taken_out_and_nothing_else_is() {
        let made = Made {
            sizes: vec![64],
            flows: 1,
            spread: Spread::RoundRobin,
            is_v6: false,
            vlan: None,
            vni: Some(0x00ab_cdef),
            destination_mac: None,
            seed: 1,
        };
        let path = Path {
            port: String::new(),
            source_mac: Mac([2; 6]),
            destination_mac: Mac([4; 6]),
            mtu: 1500,
            is_reverse: false,
        };
        let set = FrameSet::new(&Frames::Made(made), &path).unwrap();
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
}
