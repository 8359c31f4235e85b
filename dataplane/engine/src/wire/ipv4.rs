//! IPv4 (RFC 791): reading any header, emitting the fixed one of an outer packet.

use std::net::Ipv4Addr;

use super::checksum;

/// A header without options.
pub const HEADER_LEN: usize = 20;

/// View of a header's fixed part.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(pub &'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Version number; 4 in a sound header.
    pub const fn version(self) -> u8 {
        self.0[0] >> 4
    }

    /// Header length with options, in bytes; at least 20 in a sound header.
    pub const fn header_len(self) -> usize {
        (self.0[0] & 0x0f) as usize * 4
    }

    /// Header and payload, in bytes; 0 in the giants of receive offload.
    pub const fn total_len(self) -> usize {
        u16::from_be_bytes([self.0[2], self.0[3]]) as usize
    }

    /// More fragments follow.
    pub const fn has_more_fragments(self) -> bool {
        self.0[6] & 0x20 != 0
    }

    /// Offset of this fragment, in units of 8 bytes.
    pub const fn fragment_offset(self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]]) & 0x1fff
    }

    /// Number of the protocol that follows.
    pub const fn protocol(self) -> u8 {
        self.0[9]
    }

    /// Source address.
    pub const fn src(self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15])
    }

    /// Destination address.
    pub const fn dst(self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }
}

/// Writes an outer header: TOS 0, ID 0, DF clear, no options; the checksum is right for `total_len`.
pub fn emit(
    header: &mut [u8; HEADER_LEN],
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    total_len: u16,
) {
    let [s0, s1, s2, s3] = src.octets();
    let [d0, d1, d2, d3] = dst.octets();
    let [l0, l1] = total_len.to_be_bytes();
    *header = [0x45, 0, l0, l1, 0, 0, 0, 0, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let [c0, c1] = checksum::finish(checksum::sum(header)).to_be_bytes();
    header[10] = c0;
    header[11] = c1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_is_read_back_and_sums_to_all_ones() {
        let mut bytes = [0; HEADER_LEN];
        emit(&mut bytes, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 10), 17, 255, 96);
        let header = Header(&bytes);
        assert_eq!((header.version(), header.header_len(), header.total_len()), (4, 20, 96));
        assert_eq!((header.protocol(), header.fragment_offset()), (17, 0));
        assert!(!header.has_more_fragments());
        assert_eq!(header.src(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(header.dst(), Ipv4Addr::new(192, 0, 2, 10));
        assert_eq!(checksum::finish(checksum::sum(&bytes)), 0);
    }

    #[test]
    fn fragment_fields_are_apart_from_the_flags() {
        let mut bytes = [0; HEADER_LEN];
        bytes[6] = 0x3f;
        bytes[7] = 0xff;
        assert!(Header(&bytes).has_more_fragments());
        assert_eq!(Header(&bytes).fragment_offset(), 0x1fff);
        bytes[6] = 0x40;
        bytes[7] = 0;
        assert!(!Header(&bytes).has_more_fragments());
        assert_eq!(Header(&bytes).fragment_offset(), 0);
    }
}
