//! Ethernet II (IEEE 802.3): two addresses and an EtherType.

use crate::units::Mac;

/// Destination, source, EtherType.
pub const HEADER_LEN: usize = 14;
/// The two addresses: what stands before the first tag or the EtherType.
pub const ADDRESSES_LEN: usize = 12;

/// EtherType values (IEEE registration authority).
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// Service VLAN tag (IEEE 802.1ad).
    pub const QINQ: u16 = 0x88a8;
    /// The service tag that was in use before 802.1ad.
    pub const QINQ_OLD: u16 = 0x9100;
}

/// The destination address as a number, first byte least significant; `None` for a frame that is too
/// short to have it.
#[inline]
pub fn dst_bits(frame: &[u8]) -> Option<u64> {
    match frame.first_chunk() {
        // Eight bytes at once, less the two of the source address.
        Some(bytes) => Some(u64::from_le_bytes(*bytes) & 0xffff_ffff_ffff),
        None => frame.first_chunk().map(|bytes| Mac(*bytes).as_u64()),
    }
}

/// The source address as a number; `None` for a frame that is too short to have it.
#[inline]
pub fn src_bits(frame: &[u8]) -> Option<u64> {
    let addresses: &[u8; ADDRESSES_LEN] = frame.first_chunk()?;
    // The last eight bytes of both addresses, less the two of the destination address.
    addresses.last_chunk().map(|bytes| u64::from_le_bytes(*bytes) >> 16)
}

/// Writes a header.
pub fn emit(header: &mut [u8; HEADER_LEN], dst: Mac, src: Mac, ethertype: u16) {
    let [d0, d1, d2, d3, d4, d5] = dst.0;
    let [s0, s1, s2, s3, s4, s5] = src.0;
    let [t0, t1] = ethertype.to_be_bytes();
    *header = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_is_read_back() {
        let (dst_mac, src_mac) = (Mac([1, 2, 3, 4, 5, 6]), Mac([7, 8, 9, 10, 11, 12]));
        let mut header = [0; HEADER_LEN];
        emit(&mut header, dst_mac, src_mac, ethertype::IPV6);
        assert_eq!(dst_bits(&header), Some(dst_mac.as_u64()));
        assert_eq!(src_bits(&header), Some(src_mac.as_u64()));
        assert_eq!(header[12..], [0x86, 0xdd]);
    }

    #[test]
    fn addresses_are_read_as_far_as_the_frame_goes() {
        assert_eq!(dst_bits(&[1; 5]), None);
        for len in 6..12 {
            assert_eq!(dst_bits(&vec![1; len]), Some(0x0101_0101_0101), "{len} bytes");
            assert_eq!(src_bits(&vec![1; len]), None, "{len} bytes");
        }
        assert_eq!(src_bits(&[1; 12]), Some(0x0101_0101_0101));
    }
}
