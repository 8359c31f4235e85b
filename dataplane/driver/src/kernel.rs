//! The interface of the kernel below a port: `net_af_packet`, `net_af_xdp`, `net_tap` and `net_pcap`
//! have one. What DPDK does not know of it (link, MTU) is asked of the kernel (netdevice(7)).

#![expect(unsafe_code, reason = "ioctl")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use engine::units::Mac;
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
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        self.flags().is_ok_and(|flags| libc::c_int::from(flags) & wanted == wanted)
    }

    /// True when somebody has switched the reception of what is addressed to others on; not when
    /// packet sockets ask for it, which the kernel counts by itself. Errors: it is gone.
    pub fn is_promiscuous(&self) -> io::Result<bool> {
        Ok(libc::c_int::from(self.flags()?) & libc::IFF_PROMISC != 0)
    }

    /// Switches the reception of what is addressed to others. Errors: no right to
    /// (`CAP_NET_ADMIN`), or it is gone.
    pub fn set_promiscuous(&self, on: bool) -> io::Result<()> {
        // The flag is one of the lower 16, which this request is about.
        let promiscuous = libc::IFF_PROMISC as libc::c_short;
        let flags = self.flags()? & !promiscuous;
        let mut request = self.request()?;
        request.ifr_ifru.ifru_flags = if on { flags | promiscuous } else { flags };
        self.ioctl(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Switches it on. Errors: no right to (`CAP_NET_ADMIN`), or it is gone.
    pub fn set_up(&self) -> io::Result<()> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_flags = self.flags()? | libc::IFF_UP as libc::c_short;
        self.ioctl(libc::SIOCSIFFLAGS, &mut request)
    }

    fn flags(&self) -> io::Result<libc::c_short> {
        let request = self.ask(libc::SIOCGIFFLAGS)?;
        // SAFETY: the kernel filled the flags in, plain data.
        Ok(unsafe { request.ifr_ifru.ifru_flags })
    }

    /// Its address, as far as it is one of Ethernet. Errors: it is gone.
    pub fn mac(&self) -> io::Result<Mac> {
        let mut mac = Mac([0; 6]);
        for (to, from) in mac.0.iter_mut().zip(self.hardware_address()?.sa_data) {
            *to = from.to_ne_bytes()[0];
        }
        Ok(mac)
    }

    /// Gives it an address. Errors: no right to (`CAP_NET_ADMIN`), or the interface can't.
    pub fn set_mac(&self, mac: Mac) -> io::Result<()> {
        // With the kind of address that it has.
        let mut address = self.hardware_address()?;
        for (to, from) in address.sa_data.iter_mut().zip(mac.0) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let mut request = self.request()?;
        request.ifr_ifru.ifru_hwaddr = address;
        self.ioctl(libc::SIOCSIFHWADDR, &mut request)
    }

    fn hardware_address(&self) -> io::Result<libc::sockaddr> {
        let request = self.ask(libc::SIOCGIFHWADDR)?;
        // SAFETY: the kernel filled the address in, plain data.
        Ok(unsafe { request.ifr_ifru.ifru_hwaddr })
    }

    /// Its IP MTU. Errors: it is gone.
    pub fn mtu(&self) -> io::Result<u32> {
        let request = self.ask(libc::SIOCGIFMTU)?;
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

    /// What the kernel says of it. Errors: it is gone.
    fn ask(&self, name: libc::Ioctl) -> io::Result<libc::ifreq> {
        let mut request = self.request()?;
        self.ioctl(name, &mut request)?;
        Ok(request)
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
