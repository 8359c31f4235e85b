//! One frame's bytes to what rules, sources and the copy stage need to know of it.
//!
//! Malformed is only what contradicts itself: a frame shorter than an Ethernet header, a tag without
//! its EtherType, more than four tags, an IPv4 or IPv6 header that is cut, of another version or
//! with impossible lengths, a chain of IPv6 extension headers that runs out of the packet.
//! Everything else (lengths that promise more than the frame has, wrong checksums, cut or odd
//! layer 4) is taken as far as it goes. All reads are checked; the walk is bounded.

mod inner;

use thiserror::Error;

use crate::burst::BURST_MAX;
use crate::flow_key::{Addresses, FlowKey};
use crate::keys::Keys;
use crate::plain;
pub use crate::plain::PLAIN_LEN;
use crate::rule::WITH_PORTS;
use crate::simd;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ipv6::next_header;
use crate::wire::{ipv4, ipv6, vlan};
pub use inner::{inner_key, may_hold_inner};

/// So many IPv6 extension headers are walked; behind more there is no layer 4.
pub const EXTENSIONS_MAX: usize = 8;
/// No header that is looked at reaches beyond this many bytes: Ethernet, tags, IPv6, extension
/// headers of 2,048 bytes at most, two ports.
pub const HEADERS_LEN_MAX: usize = ethernet::HEADER_LEN
    + vlan::TAGS_MAX * vlan::TAG_LEN
    + ipv6::HEADER_LEN
    + EXTENSIONS_MAX * 2048
    + 4;

/// What kind of frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 or IPv6: the key is valid.
    Ip,
    /// Anything else on Ethernet.
    NotIp,
    /// Contradicts itself.
    Malformed,
}

/// What the parser proved about a frame, beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// The kind.
    pub kind: Kind,
    /// Bytes of VLAN tags behind the addresses.
    pub tags_len: u8,
    /// VLAN identifier of the outermost tag; 0 for none and for a priority tag.
    pub vid: u16,
}

impl Parsed {
    /// IP without tags.
    pub const PLAIN: Self = Self { kind: Kind::Ip, tags_len: 0, vid: 0 };
    /// Nothing proved yet.
    pub const EMPTY: Self = Self { kind: Kind::Malformed, tags_len: 0, vid: 0 };
}

/// How a frame contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// No Ethernet header.
    #[error("the frame is shorter than an Ethernet header")]
    FrameCut,
    /// A tag without its EtherType.
    #[error("the frame ends within a VLAN tag")]
    TagCut,
    /// More than [`vlan::TAGS_MAX`].
    #[error("it has more than {} VLAN tags", vlan::TAGS_MAX)]
    TooManyTags,
    /// Fewer than 20 bytes.
    #[error("the frame ends within the IPv4 header")]
    Ipv4Cut,
    /// EtherType and version disagree.
    #[error("its EtherType is IPv4 and its IP version is not 4")]
    Ipv4Version,
    /// Below 20 bytes, or beyond the frame.
    #[error("its IPv4 header length is impossible")]
    Ipv4HeaderLen,
    /// Not 0, and shorter than the header.
    #[error("its IPv4 total length is shorter than its header")]
    Ipv4TotalLen,
    /// Fewer than 40 bytes.
    #[error("the frame ends within the IPv6 header")]
    Ipv6Cut,
    /// EtherType and version disagree.
    #[error("its EtherType is IPv6 and its IP version is not 6")]
    Ipv6Version,
    /// A header of the chain is cut.
    #[error("its IPv6 extension headers run out of the packet")]
    ExtensionsCut,
}

/// What the headers of an IP packet say: of this its key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Source and destination.
    pub addresses: Addresses,
    /// The upper layer's; `None` where the chain of IPv6 extension headers is too long.
    pub protocol: Option<u8>,
    /// Source and destination port, where they can be read.
    pub ports: Option<[u8; 4]>,
    /// Of a fragment (an atomic one is none), the protocol that all fragments of the datagram name.
    pub fragment: Option<u8>,
    /// Not the first fragment.
    pub is_later: bool,
    /// Where in the frame the upper layer begins.
    pub upper_at: usize,
    /// Where the packet ends: what follows is padding.
    pub end: usize,
}

impl Headers {
    /// The key.
    #[inline]
    pub fn key(&self) -> FlowKey {
        FlowKey::new(self.addresses, self.protocol, self.ports, self.fragment)
    }
}

/// The answer lies in a later segment: gather [`HEADERS_LEN_MAX`] bytes and parse again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split;

/// Writes the keys of the plain ones among the first `count` frames, by place, and returns a bit for
/// each; their [`Parsed`] is [`Parsed::PLAIN`]. The keys of the others may have any content: these are
/// to be [parsed](parse). Plain is, as nearly all frames are, what is untagged, IPv4 without options or
/// IPv6 without extension headers, no fragment, and long enough. Cost: 25 to 50 instructions per frame
/// with wide vectors.
pub fn plain_keys(heads: &[&[u8; PLAIN_LEN]; BURST_MAX], count: usize, keys: &mut Keys) -> u64 {
    let of_vectors = simd::plain_keys(heads, count, keys);
    of_vectors.unwrap_or_else(|| plain::plain_keys(heads, count, keys))
}

/// The [hash](FlowKey::hash) of the key of one plain frame; `None` for others, which are to be parsed, and
/// for those shorter than [`PLAIN_LEN`]. Cost: some 80 instructions.
#[inline]
pub fn plain_hash(frame: &[u8]) -> Option<u16> {
    plain::plain_hash(frame)
}

/// Why a read ended the parse.
enum Stop {
    Malformed(Malformed),
    Split,
}

/// Why bytes could not be read.
enum Unread {
    /// They lie beyond the end.
    Beyond,
    /// They lie in a later segment.
    Split,
}

/// A frame of `len` bytes, the first of which are in `head`.
#[derive(Clone, Copy)]
struct Frame<'a> {
    head: &'a [u8],
    len: usize,
}

impl<'a> Frame<'a> {
    /// `N` bytes at `at`, of those before `end`.
    #[inline]
    fn chunk<const N: usize>(self, at: usize, end: usize) -> Result<&'a [u8; N], Unread> {
        if at + N > end {
            return Err(Unread::Beyond);
        }
        self.head.get(at..).and_then(<[u8]>::first_chunk).ok_or(Unread::Split)
    }

    /// As [`Frame::chunk`], of a header; without it, the frame is malformed in this way.
    #[inline]
    fn header<const N: usize>(
        self,
        at: usize,
        end: usize,
        without: Malformed,
    ) -> Result<&'a [u8; N], Stop> {
        self.chunk(at, end).map_err(|why| match why {
            Unread::Beyond => Stop::Malformed(without),
            Unread::Split => Stop::Split,
        })
    }
}

/// Parses a frame of `len` bytes of which `head` holds the first; returns its key, which is
/// [`FlowKey::EMPTY`] for what is not IP. Errors: [`Split`] when a header lies beyond `head` but inside
/// the frame, which can't happen when `head` holds the whole frame or [`HEADERS_LEN_MAX`] bytes.
/// Cost: about a hundred instructions; nearly all frames are spared it ([`plain_keys`]).
pub fn parse(head: &[u8], len: usize, parsed: &mut Parsed) -> Result<FlowKey, Split> {
    let (kind, key) = match parse_ethernet(Frame { head, len }, parsed) {
        Ok(Some(headers)) => (Kind::Ip, headers.key()),
        Ok(None) => (Kind::NotIp, FlowKey::EMPTY),
        Err(Stop::Malformed(_)) => (Kind::Malformed, FlowKey::EMPTY),
        Err(Stop::Split) => return Err(Split),
    };
    parsed.kind = kind;
    Ok(key)
}

/// The same parse of a whole frame, for who wants to know more: what its headers say, `None` for what
/// is not IP. Errors: how it is malformed.
pub fn dissect(frame: &[u8]) -> Result<Option<Headers>, Malformed> {
    let mut parsed = Parsed::EMPTY;
    match parse_ethernet(Frame { head: frame, len: frame.len() }, &mut parsed) {
        Ok(headers) => Ok(headers),
        Err(Stop::Malformed(how)) => Err(how),
        // It is all there.
        Err(Stop::Split) => Err(Malformed::FrameCut),
    }
}

/// As [`dissect`], of an IP packet without anything in front of it, of this EtherType: places count from
/// its own start.
#[inline]
pub fn dissect_ip(packet: &[u8], ethertype: u16) -> Result<Option<Headers>, Malformed> {
    let frame = Frame { head: packet, len: packet.len() };
    let headers = match ethertype {
        ethertype::IPV4 => parse_ipv4(frame, 0),
        ethertype::IPV6 => parse_ipv6(frame, 0),
        _ => return Ok(None),
    };
    match headers {
        Ok(headers) => Ok(Some(headers)),
        Err(Stop::Malformed(how)) => Err(how),
        // It is all there.
        Err(Stop::Split) => Err(Malformed::FrameCut),
    }
}

/// The headers, if it is IP.
#[inline]
fn parse_ethernet(frame: Frame<'_>, parsed: &mut Parsed) -> Result<Option<Headers>, Stop> {
    (parsed.tags_len, parsed.vid) = (0, 0);
    let mut at = ethernet::ADDRESSES_LEN;
    let mut ethertype = u16::from_be_bytes(*frame.header(at, frame.len, Malformed::FrameCut)?);
    at += 2;
    if vlan::is_tag(ethertype) {
        (at, ethertype) = walk_tags(frame, at, parsed)?;
    }
    match ethertype {
        ethertype::IPV4 => parse_ipv4(frame, at).map(Some),
        ethertype::IPV6 => parse_ipv6(frame, at).map(Some),
        _ => Ok(None),
    }
}

/// Walks VLAN tags, the first of which has its type before `at`; where and what follows them.
fn walk_tags(frame: Frame<'_>, mut at: usize, parsed: &mut Parsed) -> Result<(usize, u16), Stop> {
    loop {
        // The outermost VLAN tells sources apart even when the frame ends behind it.
        let tci = u16::from_be_bytes(*frame.header(at, frame.len, Malformed::TagCut)?);
        if parsed.tags_len == 0 {
            parsed.vid = vlan::vid(tci);
        }
        if usize::from(parsed.tags_len) == vlan::TAGS_MAX * vlan::TAG_LEN {
            return Err(Stop::Malformed(Malformed::TooManyTags));
        }
        let ethertype = u16::from_be_bytes(*frame.header(at + 2, frame.len, Malformed::TagCut)?);
        parsed.tags_len += vlan::TAG_LEN as u8;
        at += vlan::TAG_LEN;
        if !vlan::is_tag(ethertype) {
            return Ok((at, ethertype));
        }
    }
}

fn parse_ipv4(frame: Frame<'_>, at: usize) -> Result<Headers, Stop> {
    let header = ipv4::Header(frame.header(at, frame.len, Malformed::Ipv4Cut)?);
    let (header_len, total_len) = (header.header_len(), header.total_len());
    if header.version() != 4 {
        return Err(Stop::Malformed(Malformed::Ipv4Version));
    }
    if header_len < ipv4::HEADER_LEN || at + header_len > frame.len {
        return Err(Stop::Malformed(Malformed::Ipv4HeaderLen));
    }
    if total_len != 0 && total_len < header_len {
        return Err(Stop::Malformed(Malformed::Ipv4TotalLen));
    }
    let addresses = Addresses::V4 { src: header.src(), dst: header.dst() };
    let protocol = header.protocol();
    let is_later = header.fragment_offset() != 0;
    let fragment = (is_later || header.has_more_fragments()).then_some(protocol);
    // A total length of 0 is what receive offload leaves in a giant: up to the end of the frame.
    let end = if total_len == 0 { frame.len } else { frame.len.min(at + total_len) };
    let upper_at = at + header_len;
    let ports = if is_later { None } else { ports(frame, upper_at, end, protocol)? };
    Ok(Headers { addresses, protocol: Some(protocol), ports, fragment, is_later, upper_at, end })
}

fn parse_ipv6(frame: Frame<'_>, at: usize) -> Result<Headers, Stop> {
    let header = ipv6::Header(frame.header(at, frame.len, Malformed::Ipv6Cut)?);
    if header.version() != 6 {
        return Err(Stop::Malformed(Malformed::Ipv6Version));
    }
    let addresses = Addresses::V6 { src: header.src(), dst: header.dst() };
    let payload = at + ipv6::HEADER_LEN;
    let end = match header.payload_len() {
        0 => frame.len,
        len => frame.len.min(payload + len),
    };
    let next = header.next_header();
    if !next_header::WALKED.contains(&next) {
        let (protocol, ports) = (Some(next), ports(frame, payload, end, next)?);
        let (fragment, is_later, upper_at) = (None, false, payload);
        return Ok(Headers { addresses, protocol, ports, fragment, is_later, upper_at, end });
    }
    let upper = walk_extensions(frame, payload, end, next)?;
    let ports = match (upper.protocol, upper.is_later) {
        (Some(protocol), false) => ports(frame, upper.at, end, protocol)?,
        _ => None,
    };
    let Upper { at: upper_at, protocol, fragment, is_later } = upper;
    Ok(Headers { addresses, protocol, ports, fragment, is_later, upper_at, end })
}

/// Where a chain of extension headers ends.
struct Upper {
    at: usize,
    protocol: Option<u8>,
    fragment: Option<u8>,
    is_later: bool,
}

/// Walks extension headers (RFC 8200 §4, RFC 4302 §2) in any order to the upper layer.
fn walk_extensions(frame: Frame<'_>, at: usize, end: usize, next: u8) -> Result<Upper, Stop> {
    let mut upper = Upper { at, protocol: Some(next), fragment: None, is_later: false };
    let mut next = next;
    for walked in 0..=EXTENSIONS_MAX {
        upper.protocol = Some(next);
        let len = match next {
            _ if walked == EXTENSIONS_MAX && next_header::WALKED.contains(&next) => {
                upper.protocol = None;
                return Ok(upper);
            }
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => {
                let [following, units] = *frame.header(upper.at, end, Malformed::ExtensionsCut)?;
                next = following;
                (usize::from(units) + 1) * 8
            }
            next_header::AUTHENTICATION => {
                let [following, units] = *frame.header(upper.at, end, Malformed::ExtensionsCut)?;
                next = following;
                (usize::from(units) + 2) * 4
            }
            next_header::FRAGMENT => {
                let [following, _, high, low, ..]: [u8; ipv6::FRAGMENT_LEN] =
                    *frame.header(upper.at, end, Malformed::ExtensionsCut)?;
                let field = u16::from_be_bytes([high, low]);
                upper.is_later = field & 0xfff8 != 0;
                let is_atomic = field & 0xfff9 == 0;
                if !is_atomic && upper.fragment.is_none() {
                    upper.fragment = Some(following);
                }
                if upper.is_later {
                    // What follows is the middle of something; only its name is known.
                    upper.protocol = Some(following);
                    return Ok(upper);
                }
                next = following;
                ipv6::FRAGMENT_LEN
            }
            _ => return Ok(upper),
        };
        upper.at += len;
        if upper.at > end {
            return Err(Stop::Malformed(Malformed::ExtensionsCut));
        }
    }
    Ok(upper)
}

/// The ports at `at`, when the protocol has them and both lie before `end`.
fn ports(frame: Frame<'_>, at: usize, end: usize, protocol: u8) -> Result<Option<[u8; 4]>, Stop> {
    if !WITH_PORTS.contains(&protocol) {
        return Ok(None);
    }
    match frame.chunk(at, end) {
        Ok(ports) => Ok(Some(*ports)),
        Err(Unread::Beyond) => Ok(None),
        Err(Unread::Split) => Err(Stop::Split),
    }
}

#[cfg(test)]
mod tests;
