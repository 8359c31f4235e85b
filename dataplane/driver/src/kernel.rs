//! The interface of the kernel below a port: `net_af_packet`, `net_af_xdp`, `net_tap` and `net_pcap`
//! have one. What DPDK does not know of it (link, MTU) is asked of the kernel (netdevice(7)).

#![expect(unsafe_code, reason = "ioctl")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::net::if_::if_indextoname;

/// An interface, by the name that it has when the port is attached.
#[derive(Debug)]
pub struct Interface {
    index: u32,
    name: String,
    /// Any socket takes these requests; this one is never bound.
    socket: UdpSocket,
}

impl Interface {
    /// The interface with that index. Errors: there is none in this network namespace.
    pub fn from_index(index: u32) -> io::Result<Self> {
        let name = if_indextoname(index)?.to_string_lossy().into_owned();
        // nix 0.31 takes the null pointer of a failure for an empty name.
        if name.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { index, name, socket: UdpSocket::bind(("127.0.0.1", 0)).or_else(|_| any())? })
    }

    /// Its index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True when it is up and has a carrier; false when it is gone, too, also when another one has
    /// its name now. Cost: two system calls.
    pub fn is_running(&self) -> bool {
        let Ok(mut request) = self.request() else { return false };
        if self.ioctl(libc::SIOCGIFFLAGS, &mut request).is_err() {
            return false;
        }
        // SAFETY: the kernel filled the flags in, plain data.
        let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        flags & wanted == wanted
    }

    /// Its IP MTU. Errors: it is gone.
    pub fn mtu(&self) -> io::Result<u32> {
        let mut request = self.request()?;
        self.ioctl(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the kernel filled the MTU in, plain data.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        Ok(u32::try_from(mtu).unwrap_or(0))
    }

    /// Sets its IP MTU. Errors: no right to (`CAP_NET_ADMIN`), or the interface can't.
    pub fn set_mtu(&self, mtu: u32) -> io::Result<()> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_mtu = libc::c_int::try_from(mtu).unwrap_or(libc::c_int::MAX);
        self.ioctl(libc::SIOCSIFMTU, &mut request)
    }

    /// A request for the interface of this index, by whatever name it has now: sockets stay with the
    /// index when an interface is renamed. Errors: it is gone.
    fn request(&self) -> io::Result<libc::ifreq> {
        // SAFETY: plain data, for which zeroes are valid.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        // SAFETY: `ifr_name` has the `IF_NAMESIZE` bytes that are written at most.
        let name = unsafe { libc::if_indextoname(self.index, request.ifr_name.as_mut_ptr()) };
        if name.is_null() { Err(io::Error::last_os_error()) } else { Ok(request) }
    }

    fn ioctl(&self, name: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the socket is open; these requests read and write one `ifreq`.
        let status = unsafe { libc::ioctl(self.socket.as_raw_fd(), name, &raw mut *request) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Where loopback is down or IPv4 is not there.
fn any() -> io::Result<UdpSocket> {
    UdpSocket::bind(("0.0.0.0", 0)).or_else(|_| UdpSocket::bind(("::", 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_no_interface_has_index_0() {
        let loopback = Interface::from_index(1).unwrap();
        assert_eq!(loopback.name(), "lo");
        assert!(loopback.mtu().unwrap() >= 1500);
        assert!(Interface::from_index(0).is_err());
    }
}
