//! The frames of a stream, compiled: from a frame's number to its bytes, for who sends it and for who checks it.
//!
//! There is a template per size (or per frame of a capture). What differs by flow is written over it: addresses,
//! ports, checksums. What differs by frame is its [`stamp`](crate::stamp), which comes last, when the frame is about
//! to be sent. Checksums of IP and UDP are right, by sums of parts: no byte of the payload is looked at.
//!
//! ```text
//!  [Ethernet IPv4 UDP VXLAN] Ethernet [802.1Q] IPv4|IPv6 UDP | stamp | pseudo-random bytes      made
//!  as captured                                                | stamp                           from a capture
//! ```
//! The stamp of made frames comes first, so that it is in a copy that is cut too.

mod capture;
mod made;

use engine::units::Mac;
use engine::wire::checksum::{self, Sum};
use engine::wire::{ethernet, vlan};
use thiserror::Error;

use crate::flows::FLOWS_MAX;
use crate::stamp::{STAMP_LEN, Stamp, Stamps};
use crate::trial::Frames;

/// Bytes in front of the stamp of a made frame at most: VXLAN over IPv4, Ethernet, a tag, IPv6, UDP.
const HEAD_MAX: usize = 50 + 14 + vlan::TAG_LEN + 40 + 8;
/// Destination and source of Ethernet.
const ADDRESSES_LEN: usize = 12;
/// Bytes of the Ethernet checksum, which sizes count and frames in memory lack.
pub const FCS_LEN: usize = 4;
/// The shortest frame in memory.
pub const FRAME_LEN_MIN: usize = 60;

/// Why frames can't be made.
#[derive(Debug, Error)]
pub enum FramesError {
    /// Nothing to send.
    #[error("no frame size is given; give one, e.g. 64")]
    NoSizes,
    /// The headers and the stamp need more.
    #[error(
        "a frame of {size} bytes has no room for its headers and the stamp: these frames need {least} (RFC 2544 and \
         RFC 5180 allow for larger ones where a test needs them)"
    )]
    Small {
        /// As asked for.
        size: u16,
        /// What they need.
        least: usize,
    },
    /// The port does not send so much.
    #[error(
        "a frame of {len} bytes (without checksum) is longer than port `{port}` sends: {most}; give it a larger mtu"
    )]
    Large {
        /// Bytes in memory.
        len: usize,
        /// The most.
        most: usize,
        /// The port's name.
        port: String,
    },
    /// Out of range.
    #[error("{0} flows: it must be 1..{FLOWS_MAX}")]
    Flows(u32),
    /// Not a number above 0.
    #[error("a Zipf distribution's exponent of {0}: it must be above 0 and at most 10")]
    Exponent(f64),
    /// A VLAN or a VNI.
    #[error(transparent)]
    Unit(#[from] engine::units::UnitError),
    /// The capture can't be read; a sentence with its path.
    #[error("{0}")]
    Damage(String),
    /// The capture has no frames, or too many.
    #[error("{path}: {cause}")]
    Capture {
        /// Its path.
        path: String,
        /// A sentence.
        cause: String,
    },
}

/// The ports' part in frames.
#[derive(Debug, Clone)]
pub struct Path {
    /// The sending port's name.
    pub port: String,
    /// Its address.
    pub source_mac: Mac,
    /// The receiving port's address.
    pub destination_mac: Mac,
    /// The largest IP packet that the sending port sends.
    pub mtu: u16,
    /// The way back of another stream: from servers to clients.
    pub is_reverse: bool,
}

/// The frames of one stream.
#[derive(Debug)]
pub struct FrameSet {
    templates: Box<[Template]>,
    /// Which template, by turn.
    turns: Box<[u32]>,
    /// Of made frames.
    made: Option<made::Layout>,
    flows: u32,
}

#[derive(Debug)]
struct Template {
    bytes: Box<[u8]>,
    /// Where the stamp is.
    stamp_at: usize,
    /// Of a captured frame.
    flow: u32,
    /// What a router changes beside the addresses of Ethernet: from where on, in order, how many bytes.
    hops: [(usize, usize); 2],
    /// Of made frames: the sum of the IPv4 header without addresses, and that of UDP, without addresses, ports and
    /// stamp.
    sums: [Sum; 2],
}

/// Where a stamp stands in frames as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind so many bytes.
    Behind(usize),
    /// At the end.
    Last,
}

/// What is still to be written into a frame when it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Unsealed {
    number: u64,
    stamp_at: u16,
    /// Where UDP's checksum is, and the sum of all that it covers but for the stamp.
    checksum: Option<(u16, Sum)>,
}

/// How a frame that came back has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// As it was sent, but for what routers change: addresses of Ethernet, hop limit, IPv4 header checksum.
    Forwarded,
    /// As it was sent, all tags on or off; and no longer than this.
    Copied {
        /// Bytes.
        len_max: usize,
    },
}

/// How a frame that came back looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// As it has to.
    Right,
    /// Its headers were rewritten; the payload is right.
    Rewritten,
    /// It has other bytes, or another length.
    Corrupted,
}

impl FrameSet {
    /// Compiles the frames of a stream. Errors: they can't be made, or can't be sent by this port.
    pub fn new(frames: &Frames, path: &Path) -> Result<Self, FramesError> {
        match frames {
            Frames::Made(made) => made::compile(made, path),
            Frames::Capture(file) => capture::compile(file, path),
        }
    }

    /// How many flows they are of.
    pub fn flows(&self) -> u32 {
        self.flows
    }

    /// Where their stamp is.
    pub fn place(&self) -> Place {
        self.made.as_ref().map_or(Place::Last, |made| Place::Behind(made.stamp_at))
    }

    /// The length of the longest, in memory.
    pub fn len_max(&self) -> usize {
        self.templates.iter().map(|template| template.bytes.len()).max().unwrap_or(0)
    }

    /// The length of a frame, in memory.
    #[inline]
    pub fn len_of(&self, number: u64) -> usize {
        self.template(number).bytes.len()
    }

    /// The flow of a frame.
    #[inline]
    pub fn flow_of(&self, number: u64) -> u32 {
        match &self.made {
            Some(made) => made.flows.of(number),
            None => self.template(number).flow,
        }
    }

    /// The UDP source port of a made frame, the inner one's with VXLAN; `None` of a captured one.
    #[inline]
    pub fn source_port(&self, number: u64) -> Option<u16> {
        let made = self.made.as_ref()?;
        let [source, _] = made.flows.ends(made.flows.of(number)).ports;
        Some(source)
    }

    /// Writes a frame into `out`, which is [`FrameSet::len_of`] long (nothing is written otherwise), all but the
    /// stamp and what depends on it.
    #[inline]
    pub fn write(&self, number: u64, out: &mut [u8]) -> Unsealed {
        self.write_of_flow(number, self.flow_of(number), out)
    }

    /// As [`FrameSet::write`], for a flow that need not be the frame's own.
    #[inline]
    pub fn write_of_flow(&self, number: u64, flow: u32, out: &mut [u8]) -> Unsealed {
        let template = self.template(number);
        let mut unsealed = Unsealed { number, stamp_at: template.stamp_at as u16, checksum: None };
        if out.len() == template.bytes.len() {
            out.copy_from_slice(&template.bytes);
            if let Some(made) = &self.made {
                let sum = made.write_flow(template.sums, flow, out);
                unsealed.checksum = Some((made.checksum_at() as u16, sum));
            }
        }
        unsealed
    }

    /// How a frame of this stream that came back looks, whose stamp was found at `at`, and its flow. Cost: the
    /// headers are made once more; all bytes are compared.
    #[inline]
    pub fn examine(
        &self,
        stamp: &Stamp,
        at: usize,
        frame: &[u8],
        likeness: Likeness,
    ) -> (u32, Looks) {
        let template = self.template(stamp.number);
        let flow = self.flow_of(stamp.number);
        let sent_at = template.stamp_at;
        let tail = template.bytes.get(sent_at + STAMP_LEN..).unwrap_or_default();
        let (head, came) = frame.split_at_checked(at).unwrap_or_default();
        let came = came.get(STAMP_LEN..).unwrap_or_default();
        let tail = match likeness {
            Likeness::Forwarded => tail,
            Likeness::Copied { len_max } => {
                let most = len_max.saturating_sub(at + STAMP_LEN);
                tail.get(..most).unwrap_or(tail)
            }
        };
        if tail != came {
            return (flow, Looks::Corrupted);
        }
        let looks = match &self.made {
            None => {
                template.looks(template.bytes.get(..sent_at).unwrap_or_default(), head, likeness)
            }
            Some(made) => {
                let mut scratch = [0; HEAD_MAX];
                let expected = scratch.get_mut(..sent_at).unwrap_or_default();
                expected.copy_from_slice(template.bytes.get(..sent_at).unwrap_or_default());
                let sum = made.write_flow(template.sums, flow, expected);
                // The stamp is what it says, by its check.
                let stamp = frame.get(at..at + STAMP_LEN).unwrap_or_default();
                put_checksum(expected, made.checksum_at(), sum + checksum::sum(stamp));
                template.looks(expected, head, likeness)
            }
        };
        (flow, looks)
    }

    #[inline]
    fn template(&self, number: u64) -> &Template {
        let turns = self.turns.len();
        let turn = if turns == 1 { 0 } else { (number % turns as u64) as usize };
        // Both are below their bounds, by `compile`.
        &self.templates[self.turns[turn] as usize]
    }
}

impl Path {
    /// Errors: a frame of `len` bytes is longer than the port sends.
    fn take(&self, len: usize, has_tag: bool) -> Result<(), FramesError> {
        let tag = if has_tag { vlan::TAG_LEN } else { 0 };
        let most = usize::from(self.mtu) + ethernet::HEADER_LEN + tag;
        let fits = len <= most;
        if fits { Ok(()) } else { Err(FramesError::Large { len, most, port: self.port.clone() }) }
    }
}

impl Template {
    fn is_tagged_at(&self, at: usize) -> bool {
        let ether_type = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        ether_type.is_some_and(|bytes| vlan::is_tag(u16::from_be_bytes(*bytes)))
    }

    /// How the bytes in front of the stamp look.
    #[inline]
    fn looks(&self, sent: &[u8], came: &[u8], likeness: Likeness) -> Looks {
        if likeness == Likeness::Forwarded {
            let is_right = sent.len() == came.len() && self.is_same_but_for_hops(sent, came);
            return if is_right { Looks::Right } else { Looks::Rewritten };
        }
        if sent == came { Looks::Right } else { self.looks_without_tags(sent, came) }
    }

    /// A copy's tags may have been taken off, all of them.
    #[cold]
    fn looks_without_tags(&self, sent: &[u8], came: &[u8]) -> Looks {
        let mut behind = ADDRESSES_LEN;
        while self.is_tagged_at(behind) {
            behind += vlan::TAG_LEN;
        }
        let without = sent.get(..ADDRESSES_LEN).zip(sent.get(behind..));
        let is_right = without.is_some_and(|(addresses, rest)| {
            came.strip_prefix(addresses).is_some_and(|came| came == rest)
        });
        if is_right { Looks::Right } else { Looks::Corrupted }
    }

    #[inline]
    fn is_same_but_for_hops(&self, sent: &[u8], came: &[u8]) -> bool {
        let mut from = ADDRESSES_LEN;
        for (at, len) in self.hops {
            if sent.get(from..at) != came.get(from..at) {
                return false;
            }
            from = at + len;
        }
        sent.get(from..) == came.get(from..)
    }
}

impl Unsealed {
    /// The frame's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Writes the stamp, and UDP's checksum over it. May be done again, at another time. Cost: some thirty
    /// instructions.
    #[inline]
    pub fn seal(&self, stamps: Stamps, stream: u8, ticks: u64, frame: &mut [u8]) {
        let at = usize::from(self.stamp_at);
        let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else { return };
        *place = stamps.emit(stream, self.number, ticks);
        if let Some((checksum_at, sum)) = self.checksum {
            let sum = sum + checksum::sum(place);
            put_checksum(frame, checksum_at.into(), sum);
        }
    }
}

impl Place {
    /// Where a frame that came back may have its stamp: as it was sent, or with a tag more or less.
    #[inline]
    pub fn find(self, frame: &[u8], stamps: Stamps) -> Option<(usize, Stamp)> {
        let look = |at: usize| {
            let bytes = frame.get(at..)?.first_chunk::<STAMP_LEN>()?;
            stamps.parse(bytes).map(|stamp| (at, stamp))
        };
        match self {
            Self::Last => look(frame.len().checked_sub(STAMP_LEN)?),
            Self::Behind(at) => look(at)
                .or_else(|| look(at + vlan::TAG_LEN))
                .or_else(|| look(at.checked_sub(vlan::TAG_LEN)?)),
        }
    }
}

/// Writes UDP's checksum: a sum of 0 is sent as all ones, for 0 means that there is none (RFC 768).
#[inline]
fn put_checksum(frame: &mut [u8], at: usize, sum: Sum) {
    let checksum = match checksum::finish(sum) {
        0 => u16::MAX,
        checksum => checksum,
    };
    if let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = checksum.to_be_bytes();
    }
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests;
