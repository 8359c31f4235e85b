//! IPv6 (RFC 8200) and the extension headers that are walked to the upper layer.

use std::net::Ipv6Addr;

/// The fixed header.
pub const HEADER_LEN: usize = 40;
/// A fragment header (RFC 8200 §4.5).
pub const FRAGMENT_LEN: usize = 8;

/// Next-header values (IANA protocol numbers).
pub mod next_header {
    /// Hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing header.
    pub const ROUTING: u8 = 43;
    /// Fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Authentication header (RFC 4302): counts its length in 4-byte units, less 2.
    pub const AUTHENTICATION: u8 = 51;
    /// Destination options.
    pub const DESTINATION: u8 = 60;

    /// The extension headers that are walked; whatever else follows is the upper layer.
    pub const WALKED: [u8; 5] = [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION];
}

/// View of the fixed header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(pub &'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Version number; 6 in a sound header.
    pub const fn version(self) -> u8 {
        self.0[0] >> 4
    }

    /// Everything behind the fixed header, in bytes; 0 in jumbograms.
    pub const fn payload_len(self) -> usize {
        u16::from_be_bytes([self.0[4], self.0[5]]) as usize
    }

    /// What follows.
    pub const fn next_header(self) -> u8 {
        self.0[6]
    }

    /// Source address.
    pub fn src(self) -> Ipv6Addr {
        self.0[8..].first_chunk().map_or(Ipv6Addr::UNSPECIFIED, |bytes| Ipv6Addr::from(*bytes))
    }

    /// Destination address.
    pub fn dst(self) -> Ipv6Addr {
        self.0[24..].first_chunk().map_or(Ipv6Addr::UNSPECIFIED, |bytes| Ipv6Addr::from(*bytes))
    }
}

/// Writes an outer header: traffic class 0, and a flow label of 0, which means none.
pub fn emit(
    header: &mut [u8; HEADER_LEN],
    src: Ipv6Addr,
    dst: Ipv6Addr,
    next_header: u8,
    hop_limit: u8,
    payload_len: u16,
) {
    *header = [0; HEADER_LEN];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&payload_len.to_be_bytes());
    header[6] = next_header;
    header[7] = hop_limit;
    header[8..24].copy_from_slice(&src.octets());
    header[24..].copy_from_slice(&dst.octets());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_is_read_back() {
        let src: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let dst: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
        let mut bytes = [0xff; HEADER_LEN];
        emit(&mut bytes, src, dst, 17, 255, 76);
        let header = Header(&bytes);
        assert_eq!((header.version(), header.payload_len(), header.next_header()), (6, 76, 17));
        assert_eq!((header.src(), header.dst()), (src, dst));
        assert_eq!(bytes[..4], [0x60, 0, 0, 0]);
    }
}
