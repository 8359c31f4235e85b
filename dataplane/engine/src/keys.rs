//! The keys of one burst, by columns: one vector instruction looks at several packets.

use crate::burst::BURST_MAX;
use crate::flow_key::FlowKey;

/// So many packets a vector holds at most.
pub(crate) const LANES_MAX: usize = 16;

/// One word of each packet's key. It is longer than a burst, so that a vector may begin at any packet.
pub(crate) type Column = [u32; BURST_MAX + LANES_MAX];

/// The key of each packet of a burst, by place. What [`FlowKey`] says of its words holds for columns.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub struct Keys {
    pub(crate) src: [Column; 4],
    pub(crate) dst: [Column; 4],
    pub(crate) ports: Column,
    pub(crate) class: Column,
}

impl Default for Keys {
    fn default() -> Self {
        let column = [0; BURST_MAX + LANES_MAX];
        Self {
            src: [column; 4],
            dst: [column; 4],
            ports: column,
            class: [FlowKey::EMPTY.class; BURST_MAX + LANES_MAX],
        }
    }
}

impl Keys {
    /// Sets the key of the packet at a place, one of [`BURST_MAX`].
    pub fn set(&mut self, at: usize, key: &FlowKey) {
        let at = at % BURST_MAX;
        self.class[at] = key.class;
        self.ports[at] = key.ports;
        for word in 0..4 {
            self.src[word][at] = key.src[word];
            self.dst[word][at] = key.dst[word];
        }
    }

    /// The key of the packet at a place.
    pub fn get(&self, at: usize) -> FlowKey {
        let at = at % BURST_MAX;
        let address = |words: &[Column; 4]| words.each_ref().map(|column| column[at]);
        let (src, dst) = (address(&self.src), address(&self.dst));
        FlowKey { src, dst, ports: self.ports[at], class: self.class[at] }
    }

    /// [`FlowKey::hash`] of the packet at a place.
    #[inline]
    pub fn hash(&self, at: usize) -> u16 {
        (self.class[at % BURST_MAX] >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow_key::Addresses;

    #[test]
    fn a_key_is_read_back_whatever_stood_there_before() {
        let ports = Some([0x04, 0x01, 0x01, 0xbb]);
        let v6 = FlowKey::new(
            Addresses::V6 { src: u128::MAX.into(), dst: (7 << 100).into() },
            Some(17),
            ports,
            None,
        );
        let v4 = FlowKey::new(
            Addresses::V4 { src: [10, 0, 0, 1].into(), dst: u32::MAX.into() },
            None,
            None,
            None,
        );
        let mut keys = Keys::default();
        for key in [v6, v4, FlowKey::EMPTY, v6] {
            keys.set(63, &key);
            assert_eq!(keys.get(63), key);
            assert_eq!(keys.hash(63), key.hash());
            assert_eq!(keys.get(62), FlowKey::EMPTY);
        }
    }
}
