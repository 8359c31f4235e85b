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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_rfc_7348_section_5() -> Result<(), crate::units::UnitError> {
        let mut header = [0xff; HEADER_LEN];
        emit(&mut header, Vni::try_from(0x0012_3456)?);
        assert_eq!(header, [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        Ok(())
    }
}
