//! A packet as a person writes it: `tcp 10.0.0.1:1234 > [2001:db8::2]:443 length 100`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use engine::rule::{SCTP, TCP, UDP, WITH_PORTS};
use engine::wire::ipv6::next_header;
use thiserror::Error;

use crate::fault::{did_you_mean, quoted};

/// Protocols that have a name here; all have a number.
pub(crate) const PROTOCOLS: [(&str, u8); 5] =
    [("tcp", TCP), ("udp", UDP), ("sctp", SCTP), ("icmp", 1), ("icmp6", 58)];
/// The longest frame whose IPv4 packet has a length.
const LENGTH_MAX: usize = 14 + 65_535;

/// A packet that somebody asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The upper layer's protocol.
    pub protocol: u8,
    /// Of one family with `dst`.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Source and destination port: with TCP, UDP and SCTP, but of later fragments.
    pub ports: Option<(u16, u16)>,
    /// A later fragment of a datagram.
    pub is_later_fragment: bool,
    /// Bytes of its frame from the Ethernet header on, without tags; as few as its headers have,
    /// unless it is said.
    pub length: Option<usize>,
}

/// Why a text is no packet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {at}: {message}")]
pub struct PacketError {
    /// The character, from 1.
    pub at: usize,
    /// What is wrong there, and the remedy.
    pub message: String,
}

/// The name of a protocol, or its number.
pub(crate) fn protocol_name(protocol: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, number)| *number == protocol);
    named.map_or_else(|| protocol.to_string(), |(name, _)| (*name).to_owned())
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |address: IpAddr, port: Option<u16>| match (address, port) {
            (address, None) => address.to_string(),
            (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
            (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
        };
        let (src, dst) = (self.ports.map(|ports| ports.0), self.ports.map(|ports| ports.1));
        write!(
            f,
            "{} {} > {}",
            protocol_name(self.protocol),
            end(self.src, src),
            end(self.dst, dst)
        )?;
        if self.is_later_fragment {
            write!(f, " fragment")?;
        }
        self.length.map_or(Ok(()), |length| write!(f, " length {length}"))
    }
}

impl FromStr for Packet {
    type Err = PacketError;

    fn from_str(text: &str) -> Result<Self, PacketError> {
        let mut words = Words { text, list: words(text), next: 0 };
        let protocol = protocol(words.next("a protocol such as tcp, udp, icmp or a number")?)?;
        let src_word = words.next("the source, such as 10.0.0.1:1234")?;
        let src = End::read(src_word)?;
        let arrow = words.next("> and the destination")?;
        if arrow.text != ">" {
            return Err(arrow.wrong("stands where > must be; write SOURCE > DESTINATION"));
        }
        let dst_word = words.next("the destination, such as 10.0.0.2:443")?;
        let dst = End::read(dst_word)?;
        if src.address.is_ipv4() != dst.address.is_ipv4() {
            let why = "is of another family than the source; write both as IPv4 or both as IPv6";
            return Err(dst_word.wrong(why));
        }
        let (is_later_fragment, length) = options(&mut words)?;
        let shows_ports = WITH_PORTS.contains(&protocol) && !is_later_fragment;
        for (word, end) in [(src_word, &src), (dst_word, &dst)] {
            if shows_ports && end.port.is_none() {
                return Err(word.wrong(
                    "has no port; write one behind it, as in 10.0.0.1:443 or [2001:db8::1]:443, or \
                     add the word fragment for a later fragment, which shows none",
                ));
            }
            if !shows_ports && end.port.is_some() {
                return Err(word.wrong(if is_later_fragment {
                    "has a port, which a later fragment does not show; remove the port, or the word \
                     fragment"
                } else {
                    "has a port, and this protocol has none; remove it"
                }));
            }
        }
        let is_walked = !src.address.is_ipv4() && next_header::WALKED.contains(&protocol);
        if is_walked && !is_later_fragment {
            return Err(PacketError {
                at: 1,
                message: format!(
                    "{protocol} is a header that IPv6 packets have before their protocol; name what \
                     follows it, or add the word fragment"
                ),
            });
        }
        let ports = src.port.zip(dst.port);
        let packet =
            Self { protocol, src: src.address, dst: dst.address, ports, is_later_fragment, length };
        packet.check_length(&words)?;
        Ok(packet)
    }
}

impl Packet {
    /// The length that is said must hold the headers.
    fn check_length(&self, words: &Words<'_>) -> Result<(), PacketError> {
        let least = super::forge::headers_len(self);
        match self.length {
            Some(length) if !(least..=LENGTH_MAX).contains(&length) => Err(PacketError {
                at: words.last_at(),
                message: format!(
                    "{length} bytes can't be; this packet's headers take {least}, and at most it has \
                     {LENGTH_MAX}"
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// What stands behind the addresses.
fn options(words: &mut Words<'_>) -> Result<(bool, Option<usize>), PacketError> {
    let (mut is_later_fragment, mut length) = (false, None);
    while let Some(word) = words.peek() {
        words.next += 1;
        match word.text {
            "fragment" if !is_later_fragment => is_later_fragment = true,
            "length" if length.is_none() => {
                let number = words.next("a number of bytes")?;
                let read =
                    number.text.parse().map_err(|_| number.wrong("is no number of bytes"))?;
                length = Some(read);
            }
            other => {
                let hint = did_you_mean(other, ["fragment", "length"]);
                let why = format!(
                    "can't stand here; behind the addresses come fragment and length N, each at most \
                     once{hint}"
                );
                return Err(word.wrong(&why));
            }
        }
    }
    Ok((is_later_fragment, length))
}

fn protocol(word: Word<'_>) -> Result<u8, PacketError> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.text));
    let number = || word.text.parse().ok().filter(|_| word.is_number());
    named.map(|(_, number)| *number).or_else(number).ok_or_else(|| {
        let hint = did_you_mean(word.text, PROTOCOLS.map(|(name, _)| name));
        word.wrong(&format!(
            "is no protocol; write tcp, udp, sctp, icmp, icmp6 or a number 0..255{hint}"
        ))
    })
}

/// An address, and perhaps a port.
struct End {
    address: IpAddr,
    port: Option<u16>,
}

impl End {
    fn read(word: Word<'_>) -> Result<Self, PacketError> {
        let text = word.text;
        let (address, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']').ok_or_else(|| {
                word.wrong("has no ]; write an IPv6 address with a port like [2001:db8::1]:443")
            })?;
            let v6 = address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
            (v6, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)))
        } else if text.bytes().filter(|&byte| byte == b':').count() > 1 {
            (text.parse().ok(), None)
        } else {
            let (address, port) = text.split_once(':').map_or((text, None), |(a, p)| (a, Some(p)));
            (address.parse().ok(), port)
        };
        let address = address.ok_or_else(|| {
            word.wrong(
                "is no address; write 10.0.0.1:443, 10.0.0.1, [2001:db8::1]:443 or 2001:db8::1",
            )
        })?;
        let port = port.map(|port| {
            let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let read = port.parse().ok().filter(|_| is_number);
            read.ok_or_else(|| word.wrong("has no port behind its colon; a port is 0..65535"))
        });
        Ok(Self { address, port: port.transpose()? })
    }
}

/// A word and its place.
#[derive(Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    at: usize,
}

impl Word<'_> {
    fn wrong(&self, why: &str) -> PacketError {
        PacketError { at: self.at, message: format!("{} {why}", quoted(self.text)) }
    }

    fn is_number(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_digit())
    }
}

struct Words<'t> {
    text: &'t str,
    list: Vec<Word<'t>>,
    next: usize,
}

impl<'t> Words<'t> {
    fn peek(&self) -> Option<Word<'t>> {
        self.list.get(self.next).copied()
    }

    fn next(&mut self, what: &str) -> Result<Word<'t>, PacketError> {
        let word = self.peek().ok_or_else(|| PacketError {
            at: self.text.chars().count() + 1,
            message: format!(
                "the packet ends before {what}; write it like tcp 10.0.0.1:1234 > 10.0.0.2:443"
            ),
        })?;
        self.next += 1;
        Ok(word)
    }

    fn last_at(&self) -> usize {
        self.list.last().map_or(1, |word| word.at)
    }
}

/// Words between spaces; `>` is one of its own.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, (offset, letter)) in text.char_indices().chain([(text.len(), ' ')]).enumerate() {
        if letter == '>' || letter.is_whitespace() {
            if let Some((at, from)) = start.take() {
                words.push(Word { text: &text[from..offset], at });
            }
            if letter == '>' {
                words.push(Word { text: ">", at: at + 1 });
            }
        } else {
            start = start.or(Some((at + 1, offset)));
        }
    }
    words
}

#[cfg(test)]
mod tests;
