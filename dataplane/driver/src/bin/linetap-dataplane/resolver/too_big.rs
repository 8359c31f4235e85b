//! ICMP errors about copies that were too big for their way: what routers say (RFC 792 and RFC 1191
//! §4, RFC 4443 §3.2), quoting the packet. All of it is bytes that strangers can send.

use std::future;
use std::io;
use std::net::{self, IpAddr, Ipv4Addr};

use driver::icmp::{too_big_v4, too_big_v6};
use engine::encap::SRC_PORT_MIN;
use engine::rule::UDP;
use engine::wire::{checksum, ipv4, ipv6};
use tokio::net::UdpSocket;

/// ICMP "destination unreachable", and its code "fragmentation needed and DF set" (RFC 792).
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
/// `ICMPv6` "packet too big" (RFC 4443 §3.2), whose code is to be ignored.
const PACKET_TOO_BIG: u8 = 2;
const ICMP_HEADER_LEN: usize = 8;
/// Longest that is read. Errors are shorter: 576 bytes over IPv4 (RFC 1812 §4.3.2.3), 1280 over IPv6 (RFC 4443
/// §2.4).
const READ_MAX: usize = 1536;

/// An error that a copy may have caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooBig {
    /// Outer source of the packet that it quotes.
    pub(super) src: IpAddr,
    /// Its outer destination.
    pub(super) dst: IpAddr,
    /// Its UDP destination port.
    pub(super) dst_port: u16,
    /// Its length from the IP header on, as it says.
    pub(super) len: usize,
    /// What the router says that it can forward; 0 of routers older than RFC 1191.
    pub(super) mtu: u32,
}

/// Where such errors are heard.
#[derive(Debug)]
pub(super) struct TooBigs {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl TooBigs {
    /// Opens the sockets, while the right to is there, and says what is not to be had. Within the runtime
    /// where they are heard.
    pub(super) fn open() -> Self {
        let open = |family: &str, socket: io::Result<net::UdpSocket>| {
            let warn = |error: &io::Error| {
                log::warn!("path MTUs of {family} are not learned from ICMP errors: {error}");
            };
            socket.and_then(UdpSocket::from_std).inspect_err(warn).ok()
        };
        Self { v4: open("IPv4", too_big_v4()), v6: open("IPv6", too_big_v6()) }
    }

    /// The next one that is sound in itself. Nothing is lost when nobody waits for it.
    pub(super) async fn next(&self) -> TooBig {
        tokio::select! {
            one = next_of(self.v4.as_ref(), of_v4) => one,
            one = next_of(self.v6.as_ref(), of_v6) => one,
        }
    }
}

async fn next_of(socket: Option<&UdpSocket>, read: fn(&[u8]) -> Option<TooBig>) -> TooBig {
    let Some(socket) = socket else { return future::pending().await };
    let mut bytes = [0; READ_MAX];
    loop {
        // An error that waits on the socket itself is about nothing that was sent by it.
        if let Ok(len) = socket.recv(&mut bytes).await
            && let Some(one) = bytes.get(..len).and_then(read)
        {
            return one;
        }
    }
}

/// What a packet with an ICMP message says, from its IPv4 header on.
fn of_v4(packet: &[u8]) -> Option<TooBig> {
    let (_, message) = ipv4_header(packet)?;
    let (head, quoted) = message.split_first_chunk::<ICMP_HEADER_LEN>()?;
    let &[kind, code, _, _, _, _, high, low] = head;
    // Raw sockets get messages before the kernel has summed them up.
    if [kind, code] != FRAGMENTATION_NEEDED || checksum::finish(checksum::sum(message)) != 0 {
        return None;
    }
    let (header, upper) = ipv4_header(quoted)?;
    let is_later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    let address = |at: usize| {
        let bytes = header.get(at..)?.first_chunk::<4>()?;
        Some(IpAddr::V4(Ipv4Addr::from(*bytes)))
    };
    Some(TooBig {
        src: address(12)?,
        dst: address(16)?,
        dst_port: udp_ports(upper).filter(|_| header[9] == UDP && !is_later_fragment)?,
        len: u16::from_be_bytes([header[2], header[3]]).into(),
        mtu: u16::from_be_bytes([high, low]).into(),
    })
}

/// The fixed part of an IPv4 header, and what follows its options.
fn ipv4_header(packet: &[u8]) -> Option<(&[u8; ipv4::HEADER_LEN], &[u8])> {
    let header = packet.first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let len = usize::from(header[0] & 15) * 4;
    let upper = packet.get(len.max(ipv4::HEADER_LEN)..)?;
    (header[0] >> 4 == 4 && len >= ipv4::HEADER_LEN).then_some((header, upper))
}

/// What an `ICMPv6` message says.
fn of_v6(message: &[u8]) -> Option<TooBig> {
    let (&[kind, _, _, _, a, b, c, d], quoted) = message.split_first_chunk()?;
    let (header, upper) = quoted.split_first_chunk::<{ ipv6::HEADER_LEN }>()?;
    let header = ipv6::Header(header);
    // Copies have no extension headers.
    if kind != PACKET_TOO_BIG || header.version() != 6 || header.next_header() != UDP {
        return None;
    }
    Some(TooBig {
        src: header.src().into(),
        dst: header.dst().into(),
        dst_port: udp_ports(upper)?,
        len: ipv6::HEADER_LEN + header.payload_len(),
        mtu: u32::from_be_bytes([a, b, c, d]),
    })
}

/// The destination port, where the source port is one of copies.
fn udp_ports(upper: &[u8]) -> Option<u16> {
    let &[a, b, c, d] = upper.first_chunk()?;
    (u16::from_be_bytes([a, b]) >= SRC_PORT_MIN).then_some(u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use proptest::prelude::*;

    /// "Fragmentation needed, next-hop MTU 1400" for a copy of 1500 bytes from 192.0.2.1 to 203.0.113.10, as a
    /// router sends it.
    fn v4() -> Vec<u8> {
        let outer =
            [0x45, 0xc0, 0, 56, 0x12, 0x34, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254, 192, 0, 2, 1];
        let quoted = [
            0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 254, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 10, 0xc0,
            0x01, 0x12, 0xb5, 0x05, 0xc8, 0, 0,
        ];
        let mut icmp = [&[3, 4, 0, 0, 0, 0, 0x05, 0x78][..], &quoted].concat();
        let sum = checksum::finish(checksum::sum(&icmp)).to_be_bytes();
        icmp[2..4].copy_from_slice(&sum);
        [&outer[..], &icmp].concat()
    }

    /// "Packet too big, MTU 1400" for a copy of 1500 bytes from `2001:db8:2::1` to
    /// `2001:db8:3::10`.
    fn v6() -> Vec<u8> {
        let address = |net, host| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host).octets();
        let mut ip = vec![0x60, 0x01, 0x23, 0x45, 0x05, 0xb4, 17, 254];
        ip.extend(address(2, 1));
        ip.extend(address(3, 0x10));
        [&[2, 0, 0xab, 0xcd, 0, 0, 0x05, 0x78][..], &ip, &[0xc0, 1, 0x12, 0xb5, 0x05, 0xb4, 1, 2]]
            .concat()
    }

    #[test]
    fn what_routers_send_is_read() {
        let expected = TooBig {
            src: "192.0.2.1".parse().unwrap(),
            dst: "203.0.113.10".parse().unwrap(),
            dst_port: 4789,
            len: 1500,
            mtu: 1400,
        };
        assert_eq!(of_v4(&v4()), Some(expected));
        let (src, dst) = ("2001:db8:2::1".parse().unwrap(), "2001:db8:3::10".parse().unwrap());
        assert_eq!(of_v6(&v6()), Some(TooBig { src, dst, ..expected }));
    }

    #[test]
    fn every_byte_is_needed() {
        for len in 0..v4().len() - 4 {
            assert_eq!(of_v4(&v4()[..len]), None, "{len} bytes");
        }
        for len in 0..v6().len() - 4 {
            assert_eq!(of_v6(&v6()[..len]), None, "{len} bytes");
        }
    }

    /// A message of before, changed at a place, with a right checksum.
    fn v4_with(at: usize, value: u8) -> Vec<u8> {
        let mut packet = v4();
        packet[at] = value;
        if at >= 20 {
            packet[22..24].fill(0);
            let sum = checksum::finish(checksum::sum(&packet[20..])).to_be_bytes();
            packet[22..24].copy_from_slice(&sum);
        }
        packet
    }

    #[test]
    fn other_errors_and_other_packets_are_not_heard() {
        assert!(of_v4(&v4_with(45, 254)).is_some(), "the bench itself");
        let host_unreachable = v4_with(21, 1);
        let (not_v4, no_udp) = (v4_with(28, 0x65), v4_with(37, 6));
        let (fragment, low_port) = (v4_with(35, 9), v4_with(48, 0x10));
        for packet in [host_unreachable, not_v4, no_udp, fragment, low_port] {
            assert_eq!(of_v4(&packet), None);
        }
        let mut wrong_sum = v4();
        wrong_sum[23] ^= 1;
        assert_eq!(of_v4(&wrong_sum), None);
        for (at, value) in [(0, 1), (8, 0x40), (14, 58), (48, 0x10)] {
            let mut message = v6();
            message[at] = value;
            assert_eq!(of_v6(&message), None, "{at}");
        }
    }

    #[test]
    fn options_are_passed_over() {
        let mut packet = v4();
        packet.splice(20..20, [1; 8]);
        packet[0] = 0x47;
        assert!(of_v4(&packet).is_some());
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes: Vec<u8>) {
            let _ = of_v4(&bytes);
            let _ = of_v6(&bytes);
        }

        #[test]
        fn changed_and_cut_messages_do_no_harm(
            changes in prop::collection::vec((0usize..64, any::<u8>()), 0..8),
            len in 0usize..64,
        ) {
            for (message, read) in [(v4(), of_v4 as fn(&[u8]) -> _), (v6(), of_v6)] {
                let mut message = message;
                for &(at, value) in &changes {
                    if let Some(byte) = message.get_mut(at) {
                        *byte = value;
                    }
                }
                let _ = read(&message[..len.min(message.len())]);
            }
        }
    }
}
