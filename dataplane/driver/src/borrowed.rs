//! What a port changes of the interface of the kernel below it, and puts back when it is closed.
//!
//! DPDK's `net_af_packet` sets MTU, address and promiscuous flag by ioctl and puts nothing back at
//! the end. So what each call changed is seen from outside, by reading before and after it, whatever
//! driver it was. `net_tap` removes its interface: there is nothing to put back then.

use std::io;
use std::sync::{Mutex, PoisonError};

use engine::units::Mac;

use crate::kernel::Interface;

/// An interface that a port changes as long as it is open.
#[derive(Debug)]
pub(crate) struct Borrowed {
    interface: Interface,
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    mtu: Option<Change<u32>>,
    mac: Option<Change<Mac>>,
    promiscuous: Option<Change<bool>>,
}

/// A setting before linetap changed it, and what linetap made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change<T> {
    before: T,
    ours: T,
}

impl Borrowed {
    pub(crate) fn new(interface: Interface) -> Self {
        Self { interface, changes: Mutex::default() }
    }

    /// Runs what may change the interface, and remembers what it changed.
    pub(crate) fn changing<T>(&self, run: impl FnOnce() -> T) -> T {
        let interface = &self.interface;
        let (mtu, mac, promiscuous) =
            (interface.mtu(), interface.mac(), interface.is_promiscuous());
        let result = run();
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut changes.mtu, mtu, interface.mtu());
        note(&mut changes.mac, mac, interface.mac());
        note(&mut changes.promiscuous, promiscuous, interface.is_promiscuous());
        result
    }

    /// Puts back what was changed here and by nobody since. `port` is for the log.
    pub(crate) fn put_back(&self, port: &str) {
        let interface = &self.interface;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Changes { mtu, mac, promiscuous } = std::mem::take(&mut *changes);
        let put = |what, result: io::Result<()>| {
            if let Err(error) = result {
                let name = interface.name();
                log::warn!("port {port}: the {what} of {name} can't be put back: {error}");
            }
        };
        put("MTU", back(mtu, interface.mtu(), |mtu| interface.set_mtu(mtu)));
        put("address", back(mac, interface.mac(), |mac| interface.set_mac(mac)));
        let set = |on| interface.set_promiscuous(on);
        put("promiscuous flag", back(promiscuous, interface.is_promiscuous(), set));
    }
}

/// Adds what was seen before and after a call to what is `known` of a setting.
fn note<T: Copy + PartialEq>(known: &mut Option<Change<T>>, was: io::Result<T>, is: io::Result<T>) {
    let (Ok(was), Ok(is)) = (was, is) else { return };
    if was == is {
        return;
    }
    match known {
        Some(change) if change.ours == was => change.ours = is,
        // The first change, or somebody else's came between: theirs is what to go back to.
        _ => *known = Some(Change { before: was, ours: is }),
    }
}

/// Undoes a change, where the setting still is what the change made it.
fn back<T: Copy + PartialEq>(
    change: Option<Change<T>>,
    now: io::Result<T>,
    set: impl FnOnce(T) -> io::Result<()>,
) -> io::Result<()> {
    match (change, now) {
        (Some(change), Ok(now)) if now == change.ours && now != change.before => set(change.before),
        // Gone with all its settings, or there is nothing to undo.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_put_back_unless_somebody_else_has_set_another() {
        let mut known = None;
        note(&mut known, Ok(1500), Ok(1500));
        assert_eq!(known, None);
        note(&mut known, Ok(1500), Ok(1512));
        note(&mut known, Ok(1512), Ok(1516));
        assert_eq!(known, Some(Change { before: 1500, ours: 1516 }));
        let set_to = |known, now| {
            let mut to = None;
            back(known, now, |value| {
                to = Some(value);
                Ok(())
            })
            .unwrap();
            to
        };
        assert_eq!(set_to(known, Ok(1516)), Some(1500));
        assert_eq!(set_to(known, Ok(9000)), None);
        assert_eq!(set_to(known, Err(io::ErrorKind::NotFound.into())), None);
        note(&mut known, Ok(9000), Ok(9016));
        assert_eq!(set_to(known, Ok(9016)), Some(9000));
    }
}
