//! Checksums that follow what is changed, by difference (RFC 1624 §3, equation 3): a right one stays
//! right and a wrong one stays wrong, whether or not all that it covers is at hand.

use engine::rule::{TCP, UDP};
use engine::wire::checksum::{finish, sum};

/// ICMPv6.
pub(super) const ICMPV6: u8 = 58;

/// What was changed, as a sum: the complement of what was there, and what is there now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Difference(u64);

impl Difference {
    /// Adds a change of bytes that begin an even distance from what the checksum covers.
    #[inline]
    pub(super) fn add(&mut self, old: &[u8], new: &[u8]) {
        if old != new {
            self.0 += u64::from(finish(sum(old))) + sum(new);
        }
    }

    /// Changes that were added to another one count here, too.
    #[inline]
    pub(super) fn join(&mut self, other: Self) {
        self.0 += other.0;
    }

    /// Changes the checksum at `at`, where it lies in the packet at all.
    #[inline]
    pub(super) fn apply(self, packet: &mut [u8], at: usize) {
        self.apply_if(packet, at, |_| true, |new| new);
    }

    /// As [`Difference::apply`], of UDP: 0 means that there is none (RFC 768), and that stays.
    #[inline]
    pub(super) fn apply_udp(self, packet: &mut [u8], at: usize) {
        self.apply_if(packet, at, |old| old != 0, |new| if new == 0 { 0xffff } else { new });
    }

    #[inline]
    fn apply_if(
        self,
        packet: &mut [u8],
        at: usize,
        is_there: impl Fn(u16) -> bool,
        shown: impl Fn(u16) -> u16,
    ) {
        let field = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>);
        if let Some(field) = field.filter(|_| self.0 != 0) {
            let old = u16::from_be_bytes(*field);
            if is_there(old) {
                *field = shown(finish(u64::from(!old) + self.0)).to_be_bytes();
            }
        }
    }
}

/// Where a protocol has its checksum, if this covers the addresses (by a pseudo-header): bytes from the
/// upper layer's start.
pub(super) const fn over_addresses(protocol: u8, is_v6: bool) -> Option<usize> {
    /// RFC 4340 §5.1.
    const DCCP: u8 = 33;
    /// RFC 5340 §A.3.1.
    const OSPF: u8 = 89;
    /// RFC 7761 §4.9.
    const PIM: u8 = 103;
    /// RFC 9568 §5.2.8.
    const VRRP: u8 = 112;
    /// RFC 3828 §3.1.
    const UDP_LITE: u8 = 136;
    match protocol {
        TCP => Some(16),
        UDP | UDP_LITE | DCCP => Some(6),
        ICMPV6 | PIM if is_v6 => Some(2),
        OSPF if is_v6 => Some(12),
        VRRP if is_v6 => Some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1624_section_4() {
        let mut header = [0xdd, 0x2f];
        let mut difference = Difference::default();
        difference.add(&[0x55, 0x55], &[0x32, 0x85]);
        difference.apply(&mut header, 0);
        assert_eq!(header, [0, 0]);
    }

    #[test]
    fn nothing_changed_changes_nothing() {
        for field in [[0, 0], [0xff, 0xff], [1, 2]] {
            let mut header = field;
            let mut difference = Difference::default();
            difference.add(&[1, 2, 3, 4], &[1, 2, 3, 4]);
            difference.apply(&mut header, 0);
            assert_eq!(header, field);
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_without_and_one_of_0_is_written_as_all_ones() {
        let mut difference = Difference::default();
        difference.add(&[0, 1], &[0, 2]);
        let mut none = [0, 0];
        difference.apply_udp(&mut none, 0);
        assert_eq!(none, [0, 0]);
        let mut one = [0, 1];
        difference.apply_udp(&mut one, 0);
        assert_eq!(one, [0xff, 0xff]);
    }

    proptest! {
        /// The whole sum with the field in it is what a receiver looks at: it does not change.
        #[test]
        fn what_a_receiver_sums_up_stays(mut packet in prop::collection::vec(any::<u8>(), 40), new: [u8; 8]) {
            let before = finish(sum(&packet));
            let mut difference = Difference::default();
            difference.add(&packet[20..28], &new);
            packet[20..28].copy_from_slice(&new);
            difference.apply(&mut packet, 10);
            // 0 and 0xffff are the same sum, but for a packet of zeros alone.
            prop_assert_eq!(finish(sum(&packet)) % 0xffff, before % 0xffff);
        }
    }
}
