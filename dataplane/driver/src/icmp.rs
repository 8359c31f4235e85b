//! Raw sockets that hear one kind of ICMP error: that a packet was too big for its way.

#![expect(unsafe_code, reason = "setsockopt of options that nix does not know")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc::{self, c_int};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// "Destination unreachable" (RFC 792), of which "fragmentation needed" is a code.
const UNREACHABLE: u32 = 3;
/// "Packet too big" (RFC 4443 §3.2).
const TOO_BIG: usize = 2;
/// The option of `IPPROTO_ICMPV6` that takes an `icmp6_filter` (linux/icmpv6.h).
const ICMP6_FILTER: c_int = 1;
/// The option of `SOL_RAW` that takes an `icmp_filter` (linux/icmp.h), and that level.
const ICMP_FILTER: c_int = 1;
const SOL_RAW: c_int = 255;

/// One for ICMP that never blocks: its datagrams are packets from their IPv4 header on, among them other
/// kinds of "unreachable"; nobody has looked at their ICMP checksum. (A raw socket is read by the same
/// calls as one of UDP.) Errors: no right to (`CAP_NET_RAW`).
pub fn too_big_v4() -> io::Result<UdpSocket> {
    let socket = raw(AddressFamily::Inet, SockProtocol::Icmp)?;
    // A set bit keeps that type away.
    set(&socket, SOL_RAW, ICMP_FILTER, &[!(1 << UNREACHABLE)])?;
    Ok(socket.into())
}

/// The same for `ICMPv6`: its datagrams are messages from their type on, with a right checksum. Errors: no
/// right to (`CAP_NET_RAW`), or no IPv6.
pub fn too_big_v6() -> io::Result<UdpSocket> {
    let socket = raw(AddressFamily::Inet6, SockProtocol::IcmpV6)?;
    let mut filter = [u32::MAX; 8];
    filter[TOO_BIG / 32] &= !(1 << (TOO_BIG % 32));
    set(&socket, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &filter)?;
    Ok(socket.into())
}

fn raw(family: AddressFamily, protocol: SockProtocol) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(family, SockType::Raw, flags, protocol)?)
}

fn set(socket: &OwnedFd, level: c_int, name: c_int, value: &[u32]) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    let fd = socket.as_raw_fd();
    // SAFETY: the socket is open; `value` is `len` bytes of plain data that the kernel reads.
    let status = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
