//! Which of two ports a frame leaves by: a client's, 0, or a server's, 1.

mod cache;
mod speakers;

use std::net::{IpAddr, Ipv4Addr};

use engine::flow_key::Addresses;
use engine::parse::Headers;
use engine::rule::{TCP, UDP};
use engine::units::Mac;
use engine::wire::ethernet;
use engine::wire::ipv6::{self, next_header};
use ipnet::IpNet;

use self::cache::Cache;
use self::speakers::{Memory, fingerprint};
use crate::layers::{ARP, Extensions, Layers, u16_at};
use crate::replay::SplitBy;

/// The port of a client's frames, and of all that tell nothing.
pub const CLIENT: usize = 0;
/// The port of a server's frames.
pub const SERVER: usize = 1;

/// Tells directions apart.
#[derive(Debug)]
pub struct Splitter {
    by: By,
}

#[derive(Debug)]
enum By {
    Addresses(Vec<IpNet>),
    Macs(Vec<u64>),
    /// With the sides of datagrams, for their later fragments.
    Ports(Memory),
    /// With the flows, pairs of hosts and datagrams.
    FirstSpeaker(Memory),
    Cache(Cache),
}

impl Splitter {
    /// Errors: a file that can't be read; a sentence.
    pub fn new(by: &SplitBy) -> Result<Self, String> {
        let by = match by {
            SplitBy::ClientAddresses(networks) => By::Addresses(networks.clone()),
            SplitBy::ClientMacs(macs) => {
                By::Macs(macs.iter().map(|&mac| Mac::as_u64(mac)).collect())
            }
            SplitBy::Ports => By::Ports(Memory::new()),
            SplitBy::FirstSpeaker => By::FirstSpeaker(Memory::new()),
            SplitBy::Cache(file) => By::Cache(Cache::read(file)?),
        };
        Ok(Self { by })
    }

    /// Frames that the cache file tells of, where there is one.
    pub fn frames(&self) -> Option<u64> {
        let By::Cache(cache) = &self.by else {
            return None;
        };
        Some(cache.frames())
    }

    /// False for a frame, counted from 0, that is not sent at all.
    #[inline]
    pub fn is_sent(&self, number: u64) -> bool {
        let By::Cache(cache) = &self.by else {
            return true;
        };
        cache.side(number).is_some()
    }

    /// A new loop: the first speaker is to be found anew.
    pub fn restart(&mut self) {
        if let By::Ports(memory) | By::FirstSpeaker(memory) = &mut self.by {
            memory.clear();
        }
    }

    /// The side of a frame, counted from 0.
    #[inline]
    pub fn side(&mut self, frame: &[u8], layers: &Layers, number: u64) -> usize {
        let is_server = match &mut self.by {
            By::Addresses(networks) => !is_client(networks, source(frame, layers)),
            By::Macs(macs) => !ethernet::src_bits(frame).is_some_and(|mac| macs.contains(&mac)),
            By::Ports(datagrams) => layers.ip.is_some_and(|headers| {
                let packet = frame.get(layers.packet_at..).unwrap_or_default();
                by_ports(datagrams, packet, &headers)
            }),
            By::FirstSpeaker(flows) => layers.ip.is_some_and(|headers| {
                let packet = frame.get(layers.packet_at..).unwrap_or_default();
                !is_first_speaker(flows, packet, &headers)
            }),
            By::Cache(cache) => cache.side(number) == Some(SERVER),
        };
        usize::from(is_server)
    }
}

/// What has no address is a client's.
fn is_client(networks: &[IpNet], source: Option<IpAddr>) -> bool {
    source.is_none_or(|source| networks.iter().any(|network| network.contains(&source)))
}

/// The address of who sends a packet, or an ARP message.
fn source(frame: &[u8], layers: &Layers) -> Option<IpAddr> {
    match layers.ip.map(|headers| headers.addresses) {
        Some(Addresses::V4 { src, .. }) => Some(src.into()),
        Some(Addresses::V6 { src, .. }) => Some(src.into()),
        None if layers.ether_type == ARP => {
            let sender = frame.get(layers.packet_at + 14..)?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*sender).into())
        }
        None => None,
    }
}

/// True for the side of the lower port. A later fragment goes as the first one did.
fn by_ports(datagrams: &mut Memory, packet: &[u8], headers: &Headers) -> bool {
    if headers.is_later {
        return datagrams.get(datagram(packet, headers)).unwrap_or(false);
    }
    let is_server = ports(headers).is_some_and(|(src, dst)| src < dst);
    if headers.fragment.is_some() {
        datagrams.set(datagram(packet, headers), is_server);
    }
    is_server
}

/// The ports of TCP and UDP.
fn ports(headers: &Headers) -> Option<(u16, u16)> {
    let [s0, s1, d0, d1] = headers.ports?;
    let has_ports = matches!(headers.protocol, Some(TCP | UDP));
    has_ports.then_some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
}

/// True when a packet's source is its flow's client. A later fragment goes as the first one did; without
/// it, as whoever of the two hosts spoke first in any flow.
fn is_first_speaker(flows: &mut Memory, packet: &[u8], headers: &Headers) -> bool {
    let (src, dst) = match headers.addresses {
        Addresses::V4 { src, dst } => (IpAddr::from(src), IpAddr::from(dst)),
        Addresses::V6 { src, dst } => (src.into(), dst.into()),
    };
    // What is remembered is whether the client is the lower of two ends.
    let is_lower = src <= dst;
    let hosts = fingerprint((src.min(dst), src.max(dst)));
    if headers.is_later {
        let is_client = flows.get(datagram(packet, headers));
        return is_client
            .or_else(|| flows.get(hosts).map(|lower| lower == is_lower))
            .unwrap_or(true);
    }
    let (src_end, dst_end) = match headers.ports {
        Some([s0, s1, d0, d1]) => ((src, [s0, s1]), (dst, [d0, d1])),
        None => ((src, [0; 2]), (dst, [0; 2])),
    };
    let is_lower_end = src_end <= dst_end;
    let flow = fingerprint((src_end.min(dst_end), src_end.max(dst_end), headers.protocol));
    let known = flows.get(flow);
    let is_client = match (of_handshake(packet, headers), known) {
        (Some(is_client), _) => is_client,
        (None, Some(lower)) => lower == is_lower_end,
        (None, None) => true,
    };
    if known != Some(is_client == is_lower_end) {
        flows.set(flow, is_client == is_lower_end);
    }
    if known.is_none() && flows.get(hosts).is_none() {
        flows.set(hosts, is_client == is_lower);
    }
    if headers.fragment.is_some() {
        flows.set(datagram(packet, headers), is_client);
    }
    is_client
}

/// Of a TCP handshake (RFC 9293 §3.5) it is known: who sends SYN alone is the client, who sends it with
/// ACK the server.
fn of_handshake(packet: &[u8], headers: &Headers) -> Option<bool> {
    const FLAGS_AT: usize = 13;
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    if headers.protocol != Some(TCP) {
        return None;
    }
    let flags = packet.get(headers.upper_at..headers.end)?.get(FLAGS_AT)?;
    (flags & SYN != 0).then_some(flags & ACK == 0)
}

/// The fingerprint of the datagram that a fragment belongs to (RFC 791, RFC 8200 §4.5).
fn datagram(packet: &[u8], headers: &Headers) -> u64 {
    match headers.addresses {
        Addresses::V4 { src, dst } => {
            fingerprint((src, dst, headers.protocol, u16_at(packet, 4), "datagram"))
        }
        Addresses::V6 { src, dst } => fingerprint((src, dst, identification(packet))),
    }
}

/// The identification in an IPv6 fragment header; `None` where there is none.
fn identification(packet: &[u8]) -> Option<u32> {
    let (_, at) = Extensions::of(packet).find(|(kind, _)| *kind == next_header::FRAGMENT)?;
    let header = packet.get(at..)?.first_chunk::<{ ipv6::FRAGMENT_LEN }>()?;
    header.last_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
