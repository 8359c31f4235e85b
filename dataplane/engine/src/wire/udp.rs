//! UDP (RFC 768): emitting the outer header.

/// Source port, destination port, length, checksum.
pub const HEADER_LEN: usize = 8;

/// Writes a header; `checksum` 0 means that there is none.
pub fn emit(header: &mut [u8; HEADER_LEN], src_port: u16, dst_port: u16, len: u16, checksum: u16) {
    let [s0, s1] = src_port.to_be_bytes();
    let [d0, d1] = dst_port.to_be_bytes();
    let [l0, l1] = len.to_be_bytes();
    let [c0, c1] = checksum.to_be_bytes();
    *header = [s0, s1, d0, d1, l0, l1, c0, c1];
}
