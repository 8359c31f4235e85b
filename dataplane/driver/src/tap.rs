//! A TAP interface of the kernel: an Ethernet interface whose wire is a file (the kernel's
//! Documentation/networking/tuntap.rst).

#![expect(unsafe_code, reason = "ioctl")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::kernel::Interface;

/// A TAP interface, there as long as this is.
#[derive(Debug)]
pub struct Tap {
    file: File,
    interface: Interface,
}

impl Tap {
    /// Makes an interface of that name in this network namespace. Errors: there is one already
    /// (`EBUSY`), no right to (`CAP_NET_ADMIN`), or a kernel without `/dev/net/tun`.
    pub fn create(name: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: plain data, for which zeroes are valid.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        let place = request.ifr_name.split_last_mut().map(|(_, place)| place).unwrap_or_default();
        if name.len() > place.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in place.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        // Bare frames, and no interface that is there already.
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: the file is open; the request reads and writes one `ifreq`.
        let status = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if status < 0 {
            return Err(io::Error::last_os_error());
        }
        let interface = Interface::from_index(if_nametoindex(name)?)?;
        Ok(Self { file, interface })
    }

    /// The interface.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Tells the kernel whether the interface has a carrier. Errors: a kernel before 5.0.
    pub fn set_carrier(&self, is_up: bool) -> io::Result<()> {
        let carrier = libc::c_int::from(is_up);
        // SAFETY: the file is open; the request reads one number.
        let status =
            unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETCARRIER, &raw const carrier) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Lets the interface receive a frame. Errors: it is down, or the kernel won't have the frame. Never
    /// waits.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }

    /// Reads a frame that the interface sends; returns its length. Errors: `WouldBlock` when there is
    /// none. Never waits.
    pub fn read(&self, place: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(place)
    }

    /// Waits until the interface sends something, not longer than that (whole milliseconds). False, at
    /// once, when it is gone: somebody has deleted it.
    pub fn wait(&self, limit: Duration) -> bool {
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO);
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        // Interrupted, the wait is over.
        let _ = poll(&mut polled, limit);
        let found = polled.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        !found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use nix::unistd::Uid;

    #[test]
    fn an_interface_that_somebody_deletes_is_not_waited_for() {
        if !Uid::effective().is_root() {
            eprintln!("left out: a TAP interface takes root");
            return;
        }
        // A thread may have a network namespace of its own.
        let of_its_own = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let tap = Tap::create("gone").unwrap();
            assert!(tap.wait(Duration::from_millis(1)));
            let deleted = Command::new("ip").args(["link", "del", "gone"]).status().unwrap();
            assert!(deleted.success());
            let begun = Instant::now();
            assert!(!tap.wait(Duration::from_secs(5)));
            assert!(begun.elapsed() < Duration::from_secs(5), "told at once");
        });
        of_its_own.join().unwrap();
    }
}
