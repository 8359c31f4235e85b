//! ICMP echo: one socket for each family asks all members, since no more can be had later.
//!
//! A ping socket is what an unprivileged process may have, where the system lets it
//! (`net.ipv4.ping_group_range`); it can send nothing but echoes. Otherwise it is a raw socket, which
//! takes root, so that it is opened before linetapd becomes another user.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{self, IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage,
    sendmsg, socket,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::gauge::Outcome;
use super::probe::{random, trouble};

/// How long a socket is left that has failed.
const RESPITE: Duration = Duration::from_secs(1);

/// What linetap asks by ICMP with.
#[derive(Debug)]
pub struct EchoSockets {
    v4: Result<Line, io::Error>,
    v6: Result<Line, io::Error>,
}

/// The socket of one family.
#[derive(Debug)]
struct Line {
    socket: OwnedFd,
    is_raw: bool,
}

impl EchoSockets {
    /// Opens them, as far as they can be had. To be called before rights are given up.
    pub fn open() -> Self {
        Self {
            v4: Line::open(AddressFamily::Inet, SockProtocol::Icmp),
            v6: Line::open(AddressFamily::Inet6, SockProtocol::IcmpV6),
        }
    }

    /// Why members of a family can't be asked, and what to do about it; `None`: they can.
    pub fn lack(&self, family_of: IpAddr) -> Option<String> {
        let (line, name) =
            if family_of.is_ipv4() { (&self.v4, "ICMP") } else { (&self.v6, "ICMPv6") };
        let error = line.as_ref().err()?;
        Some(format!(
            "no socket for {name} echoes can be had ({error}); start linetapd as root with --user, \
             or let its group have ping sockets (sysctl net.ipv4.ping_group_range)"
        ))
    }

    /// Copies of both sockets, for a runtime; called inside it.
    fn lines(&self) -> io::Result<[Option<AsyncLine>; 2]> {
        let copy = |line: &Result<Line, io::Error>| -> io::Result<Option<AsyncLine>> {
            let Ok(line) = line else { return Ok(None) };
            // The runtime waits for datagrams, of whichever protocol.
            let socket = UdpSocket::from_std(net::UdpSocket::from(line.socket.try_clone()?))?;
            Ok(Some(AsyncLine { socket, is_raw: line.is_raw }))
        };
        Ok([copy(&self.v4)?, copy(&self.v6)?])
    }
}

impl Line {
    fn open(family: AddressFamily, protocol: SockProtocol) -> Result<Self, io::Error> {
        let open =
            |kind| socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, protocol);
        if let Ok(socket) = open(SockType::Datagram) {
            return Ok(Self { socket, is_raw: false });
        }
        Ok(Self { socket: open(SockType::Raw)?, is_raw: true })
    }
}

#[derive(Debug)]
struct AsyncLine {
    socket: UdpSocket,
    is_raw: bool,
}

/// Sends echoes and knows who waits for which.
#[derive(Debug)]
pub(super) struct Pinger {
    /// IPv4, IPv6.
    lines: [Option<AsyncLine>; 2],
    /// Identifier of our requests by a raw socket; the kernel chooses that of a ping socket.
    id: u16,
    waiting: Mutex<Waiting>,
}

/// Who waits: by the member's address and the request's number, with what the answer has to repeat.
#[derive(Debug, Default)]
struct Waiting {
    last: u16,
    by: HashMap<(IpAddr, u16), (Token, oneshot::Sender<()>)>,
}

/// What only who got the request can repeat.
type Token = [u8; 8];

impl Pinger {
    /// Over these sockets. Inside a runtime. Errors: the system has no means for it.
    pub(super) fn new(sockets: &EchoSockets) -> io::Result<Self> {
        let id = random() as u16;
        Ok(Self { lines: sockets.lines()?, id, waiting: Mutex::default() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a member and waits for its answer, for ever if need be.
    pub(super) async fn ask(&self, source: IpAddr, address: IpAddr) -> Outcome {
        let Some(line) = &self.lines[usize::from(address.is_ipv6())] else {
            return Outcome::Unable(
                "no socket for ICMP echoes could be had at the start".to_owned(),
            );
        };
        // An echo from an address that the kernel does not have fails like one to nowhere.
        if let Err(error) = net::UdpSocket::bind((source, 0)) {
            return trouble(&error, source);
        }
        let (sender, answered) = oneshot::channel();
        let token = random().to_ne_bytes();
        let number = {
            let mut waiting = self.waiting();
            waiting.last = waiting.last.wrapping_add(1);
            let number = waiting.last;
            waiting.by.insert((address, number), (token, sender));
            number
        };
        let _ends = Entry { pinger: self, key: (address, number) };
        let request = request(address.is_ipv6(), self.id, number, token);
        let send = || send(&line.socket, &request, source, address);
        let sent = line.socket.async_io(Interest::WRITABLE, send).await;
        if let Err(error) = sent {
            return trouble(&error, source);
        }
        match answered.await {
            Ok(()) => Outcome::Passed,
            Err(_) => Outcome::Unable("nobody listens for answers".to_owned()),
        }
    }

    /// Hears answers. What others are told by the same protocol comes here too, if the socket is raw:
    /// it is looked at and left.
    pub(super) async fn listen(&self, is_v6: bool) {
        let Some(line) = &self.lines[usize::from(is_v6)] else { return };
        // Longer messages are none of ours.
        let mut buffer = [0; 256];
        loop {
            let (len, from) = match line.socket.recv_from(&mut buffer).await {
                Ok(came) => came,
                Err(error) => {
                    log::warn!("answers to ICMP echoes can't be heard: {error}; trying again");
                    sleep(RESPITE).await;
                    continue;
                }
            };
            let message = buffer.get(..len).unwrap_or_default();
            let message = if line.is_raw && !is_v6 { behind_ipv4(message) } else { Some(message) };
            if let Some(message) = message {
                self.heard(from.ip(), message, line.is_raw.then_some(self.id));
            }
        }
    }

    fn heard(&self, from: IpAddr, message: &[u8], id: Option<u16>) {
        let Some(reply) = Reply::read(from.is_ipv6(), message) else { return };
        if id.is_some_and(|id| id != reply.id) {
            return;
        }
        let mut waiting = self.waiting();
        let key = (from, reply.number);
        if waiting.by.get(&key).is_some_and(|(token, _)| *token == reply.token)
            && let Some((_, sender)) = waiting.by.remove(&key)
        {
            // Who has waited too long is gone.
            let _ = sender.send(());
        }
    }
}

/// Takes who no longer waits off the list.
struct Entry<'p> {
    pinger: &'p Pinger,
    key: (IpAddr, u16),
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.pinger.waiting().by.remove(&self.key);
    }
}

/// Sends from one of the machine's addresses. Errors: the kernel's; `InvalidInput`: it has no such
/// address.
fn send(socket: &UdpSocket, message: &[u8], source: IpAddr, address: IpAddr) -> io::Result<()> {
    let to = SockaddrStorage::from(SocketAddr::new(address, 0));
    let parts = [IoSlice::new(message)];
    let (of_v4, of_v6);
    let from = match source {
        IpAddr::V4(source) => {
            let ours = in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
            of_v4 =
                in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ours, ipi_addr: in_addr { s_addr: 0 } };
            ControlMessage::Ipv4PacketInfo(&of_v4)
        }
        IpAddr::V6(source) => {
            let ours = in6_addr { s6_addr: source.octets() };
            of_v6 = in6_pktinfo { ipi6_addr: ours, ipi6_ifindex: 0 };
            ControlMessage::Ipv6PacketInfo(&of_v6)
        }
    };
    sendmsg(socket.as_raw_fd(), &parts, &[from], MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

/// Types of RFC 792 and RFC 4443.
const ECHO_REPLY: [u8; 2] = [0, 129];
const ECHO_REQUEST: [u8; 2] = [8, 128];

/// An echo request (RFC 792, RFC 4443 §4.1). The kernel computes the checksum of `ICMPv6`, which needs
/// the addresses.
fn request(is_v6: bool, id: u16, number: u16, token: Token) -> [u8; 16] {
    let mut message = [0; 16];
    message[0] = ECHO_REQUEST[usize::from(is_v6)];
    message[4..6].copy_from_slice(&id.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    message[8..].copy_from_slice(&token);
    if !is_v6 {
        let checksum = !ones_complement_sum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    message
}

/// RFC 1071.
fn ones_complement_sum(bytes: &[u8; 16]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// What is behind the IPv4 header that raw sockets hand over.
fn behind_ipv4(packet: &[u8]) -> Option<&[u8]> {
    let words = packet.first()? & 0x0f;
    packet.get(usize::from(words) * 4..)
}

/// What an answer repeats of its request.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    id: u16,
    number: u16,
    token: Token,
}

impl Reply {
    /// Reads a stranger's bytes; `None`: they are no answer to one of ours.
    fn read(is_v6: bool, message: &[u8]) -> Option<Self> {
        let (head, rest) = message.split_first_chunk::<8>()?;
        if [head[0], head[1]] != [ECHO_REPLY[usize::from(is_v6)], 0] {
            return None;
        }
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Some(Self { id: word(4), number: word(6), token: rest.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_as_the_rfc_has_it_and_its_answer_is_known() {
        let request = request(false, 0x1234, 7, *b"linetap!");
        // The sum of all 16-bit words with the checksum is -0 (RFC 1071).
        assert_eq!(ones_complement_sum(&request), 0xffff);
        assert_eq!(request[..2], [8, 0]);
        let mut reply = request;
        reply[0] = 0;
        let read = Reply::read(false, &reply).unwrap();
        assert_eq!(read, Reply { id: 0x1234, number: 7, token: *b"linetap!" });
        assert_eq!(Reply::read(false, &request), None, "our own request over loopback");
        assert_eq!(Reply::read(true, &reply), None);
        assert_eq!(Reply::read(false, &reply[..15]), None);
    }

    proptest! {
        #[test]
        fn noise_is_no_answer_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let behind = behind_ipv4(&bytes).unwrap_or_default();
            for message in [&bytes, behind] {
                for is_v6 in [false, true] {
                    if let Some(reply) = Reply::read(is_v6, message) {
                        prop_assert_eq!(message.len(), 16);
                        prop_assert_eq!(&message[8..], &reply.token);
                    }
                }
            }
        }
    }
}
