//! What the engine reads in a frame, in the order of its bytes.

use engine::parse::{Headers, Malformed, Parsed, dissect, parse};
use engine::units::Mac;
use engine::wire::vlan;

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Its EtherType: 0x8100, 0x88a8 or 0x9100.
    pub ethertype: u16,
    /// Its identifier; 0 counts as untagged.
    pub vid: u16,
}

/// What comes behind addresses and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// IPv4 or IPv6.
    Ip(Headers),
    /// Another EtherType, or a length below 0x600.
    NotIp(u16),
    /// The frame contradicts itself.
    Malformed(Malformed),
}

/// A frame, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes, of which there are so many.
    pub len: usize,
    /// Where it goes; `None` where it is too short to say.
    pub dst: Option<Mac>,
    /// Where it comes from.
    pub src: Option<Mac>,
    /// Its tags, the outermost first.
    pub tags: Vec<Tag>,
    /// What comes behind them.
    pub content: Content,
    /// As the engine's stages have it.
    pub parsed: Parsed,
}

impl Frame {
    /// Reads a frame.
    pub fn read(bytes: &[u8]) -> Self {
        let mut parsed = Parsed::EMPTY;
        // It is all there: no part of it lies in another segment.
        let _ = parse(bytes, bytes.len(), &mut parsed);
        let mac = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(Mac);
        let word = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
        let tags_end = 12 + usize::from(parsed.tags_len);
        let tags = (12..tags_end).step_by(vlan::TAG_LEN).filter_map(|at| {
            let (ethertype, tci) = (word(at)?, word(at + 2)?);
            Some(Tag {
                ethertype: u16::from_be_bytes(ethertype),
                vid: vlan::vid(u16::from_be_bytes(tci)),
            })
        });
        Self {
            len: bytes.len(),
            dst: mac(0),
            src: mac(6),
            tags: tags.collect(),
            content: match dissect(bytes) {
                Ok(Some(headers)) => Content::Ip(headers),
                Ok(None) => Content::NotIp(word(tags_end).map_or(0, u16::from_be_bytes)),
                Err(how) => Content::Malformed(how),
            },
            parsed,
        }
    }
}

/// The name of an EtherType that is often seen and never mirrored.
pub(super) fn ethertype_name(ethertype: u16) -> Option<&'static str> {
    Some(match ethertype {
        0..0x600 => "a length: LLC, spanning tree and the like",
        0x0806 => "ARP",
        0x8847 | 0x8848 => "MPLS",
        0x8863 | 0x8864 => "PPPoE",
        0x888e => "802.1X",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        0x88f7 => "PTP",
        _ => return None,
    })
}
