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
    Some((vxlan::network(*tunnel)?, inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameSet;
    use crate::frames::samples::{made, path};
    use crate::trial::{Frames, Made};

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
}
