//! What one rule asks of a packet, as words to be compared with those of [`crate::keys::Keys`].

use crate::flow_key::{FlowKey, HAS_PORTS, IS_V6, NO_PROTOCOL};
use crate::rule::{FilterRule, PortRange};

/// What a rule asks of a packet whose addresses are so many words. A condition that a rule does not
/// have is one that every packet fulfils (mask 0, all ports).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions<const WORDS: usize> {
    pub(crate) src: [Masked; WORDS],
    pub(crate) dst: [Masked; WORDS],
    pub(crate) class: Masked,
    /// Lowest source port in the upper half, lowest destination port in the lower.
    pub(crate) ports_from: u32,
    /// How many ports the highest is above the lowest, likewise.
    pub(crate) ports_span: u32,
    /// Where its verdict stands: what is found where it matches first.
    pub(crate) place: u32,
}

/// A word whose bits under `mask` are to be those of `value`, which has no others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masked {
    pub(crate) value: u32,
    pub(crate) mask: u32,
}

impl Masked {
    #[inline]
    fn matches(self, word: u32) -> bool {
        word & self.mask == self.value
    }
}

/// The class that a rule of a family wants.
fn class(rule: &FilterRule, family: u32) -> Masked {
    let has_ports = rule.source_ports.is_some() || rule.destination_ports.is_some();
    let (value, mask) = match (rule.protocol, has_ports) {
        (None, false) => (0, 0),
        (None, true) => (HAS_PORTS, HAS_PORTS),
        (Some(protocol), false) => (protocol.into(), NO_PROTOCOL | 0xff),
        (Some(protocol), true) => (u32::from(protocol) | HAS_PORTS, NO_PROTOCOL | HAS_PORTS | 0xff),
    };
    Masked { value: value | family, mask: mask | IS_V6 }
}

impl<const WORDS: usize> Conditions<WORDS> {
    /// The class bits of the family whose addresses are so long.
    pub(crate) const FAMILY: u32 = if WORDS == 1 { 0 } else { IS_V6 };

    pub(crate) fn new(rule: &FilterRule, place: u32, [src, dst]: [[Masked; WORDS]; 2]) -> Self {
        let src_ports = rule.source_ports.unwrap_or(PortRange::ALL);
        let dst_ports = rule.destination_ports.unwrap_or(PortRange::ALL);
        let span = |range: PortRange| range.to.wrapping_sub(range.from);
        let join = |src: u16, dst: u16| u32::from(src) << 16 | u32::from(dst);
        Self {
            src,
            dst,
            class: class(rule, Self::FAMILY),
            ports_from: join(src_ports.from, dst_ports.from),
            ports_span: join(span(src_ports), span(dst_ports)),
            place,
        }
    }

    pub(crate) fn matches(&self, key: &FlowKey) -> bool {
        // The last words are those of IPv4.
        let are_in = |net: &[Masked; WORDS], address: &[u32; 4]| {
            net.iter().zip(&address[4 - WORDS..]).all(|(masked, &word)| masked.matches(word))
        };
        let is_in = |port: u16, from: u32, span: u32| port.wrapping_sub(from as u16) <= span as u16;
        are_in(&self.src, &key.src)
            && are_in(&self.dst, &key.dst)
            && self.class.matches(key.class)
            && is_in(key.src_port(), self.ports_from >> 16, self.ports_span >> 16)
            && is_in(key.dst_port(), self.ports_from, self.ports_span)
    }
}

/// The outcome of a lookup: the place of what it settles, in [`crate::rule_table::RuleTable::verdicts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Match(pub(crate) u32);

impl Match {
    /// The place.
    #[inline]
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}
