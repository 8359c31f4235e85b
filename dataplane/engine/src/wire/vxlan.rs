//! VXLAN (RFC 7348 §5).

use crate::units::Vni;

/// Flags, reserved, VNI, reserved.
pub const HEADER_LEN: usize = 8;
/// The I flag: the VNI is valid. All other flags are zero on transmission.
pub const FLAGS: u8 = 0x08;

/// Writes a header.
pub fn emit(header: &mut [u8; HEADER_LEN], vni: Vni) {
    let [_, v0, v1, v2] = vni.value().to_be_bytes();
    *header = [FLAGS, 0, 0, 0, v0, v1, v2, 0];
}

/// The network that a header names; `None` where it says that it names none. What else may stand in it is ignored on
/// receipt (RFC 7348 §5).
pub fn network(header: [u8; HEADER_LEN]) -> Option<u32> {
    let [flags, _, _, _, v0, v1, v2, _] = header;
    (flags & FLAGS != 0).then(|| u32::from_be_bytes([0, v0, v1, v2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_rfc_7348_section_5() -> Result<(), crate::units::UnitError> {
        let mut header = [0xff; HEADER_LEN];
        emit(&mut header, Vni::try_from(0x0012_3456)?);
        assert_eq!(header, [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_eq!(network(header), Some(0x0012_3456));
        assert_eq!(network([0xf7, 0xff, 0xff, 0xff, 0x12, 0x34, 0x56, 0xff]), None);
        assert_eq!(network([0xff; HEADER_LEN]), Some(0x00ff_ffff));
        Ok(())
    }
}
