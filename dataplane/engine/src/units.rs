//! Small value types with their units and ranges: what the rest of the engine counts in.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A value that is outside its type's range, with the limit it broke.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// A VNI is 24 bits wide (RFC 7348 §5).
    #[error("{0} is not a VXLAN network identifier: it must be 0..16777215")]
    Vni(u64),
    /// A usable VLAN identifier is 1..4094 (IEEE 802.1Q).
    #[error("{0} is not a VLAN identifier: it must be 1..4094")]
    Vlan(u64),
    /// A MAC address is six hexadecimal bytes separated by `:` or `-`.
    #[error("`{0}` is not a MAC address: write it like 02:00:00:00:00:01")]
    Mac(String),
}

/// An Ethernet address. Parsed in any letter case, with `:` or `-` between its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// True for multicast and broadcast addresses: the group bit of the first byte is set.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// True for 00:00:00:00:00:00, which no station has.
    pub const fn is_zero(self) -> bool {
        self.as_u64() == 0
    }

    /// The address as a number below 2^48, first byte least significant.
    pub const fn as_u64(self) -> u64 {
        let mac = self.0;
        u64::from_le_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], 0, 0])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Mac(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0u8; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(wrong)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

/// A VXLAN network identifier, 0..16777215 (RFC 7348 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

impl Vni {
    /// The largest identifier.
    pub const MAX: u32 = 0x00ff_ffff;

    /// The identifier as a number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = UnitError;

    fn try_from(value: u32) -> Result<Self, UnitError> {
        if value <= Self::MAX { Ok(Self(value)) } else { Err(UnitError::Vni(value.into())) }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.0
    }
}

/// A VLAN identifier, 1..4094. VID 0 (priority tag) counts as untagged and is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    /// The identifier as a number.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = UnitError;

    fn try_from(value: u16) -> Result<Self, UnitError> {
        if (1..=4094).contains(&value) {
            Ok(Self(value))
        } else {
            Err(UnitError::Vlan(value.into()))
        }
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0
    }
}

/// Declares an index into one list of a [`crate::snapshot::Snapshot`]: not mixable with other indexes.
macro_rules! index {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl $name {
            /// The position as a `usize`, for slices.
            pub const fn at(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(
    /// Position in `Snapshot::ports`.
    PortIndex(u16)
);
index!(
    /// Position in `Snapshot::interfaces`: a mirror source.
    InterfaceIndex(u16)
);
index!(
    /// Position in `Snapshot::targets`.
    TargetIndex(u16)
);
index!(
    /// Position among the members of all targets, in the order of `Snapshot::targets`.
    ToolIndex(u32)
);
index!(
    /// Position in `Snapshot::filters`.
    FilterIndex(u32)
);
index!(
    /// Position in `Snapshot::rules`.
    RuleIndex(u32)
);
index!(
    /// Position in `Snapshot::sessions`.
    SessionIndex(u32)
);

impl RuleIndex {
    /// No rule.
    pub const NONE: Self = Self(u32::MAX);
}

impl SessionIndex {
    /// No session.
    pub const NONE: Self = Self(u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_parses_in_both_spellings_and_any_case() {
        let mac = Mac([0x02, 0, 0, 0, 0xaa, 0x01]);
        assert_eq!("02:00:00:00:aa:01".parse(), Ok(mac));
        assert_eq!("02-00-00-00-AA-01".parse(), Ok(mac));
        assert_eq!(mac.to_string(), "02:00:00:00:aa:01");
    }

    #[test]
    fn a_mac_of_another_shape_is_refused() {
        for text in [
            "",
            "02:00:00:00:aa",
            "02:00:00:00:aa:01:02",
            "2:0:0:0:aa:1",
            "02:00-00:00:aa:01",
            "+2:00:00:00:aa:01",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_vni_is_24_bits() {
        assert!(Vni::try_from(0).is_ok());
        assert!(Vni::try_from(0x00ff_ffff).is_ok());
        assert_eq!(Vni::try_from(0x0100_0000), Err(UnitError::Vni(0x0100_0000)));
    }

    #[test]
    fn a_vlan_is_1_to_4094() {
        assert!(VlanId::try_from(0).is_err());
        assert!(VlanId::try_from(1).is_ok());
        assert!(VlanId::try_from(4094).is_ok());
        assert!(VlanId::try_from(4095).is_err());
    }
}
