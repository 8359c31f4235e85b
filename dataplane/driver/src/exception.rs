//! What moves frames between a worker's exception path and the kernel's interface of the tool port
//! ([`engine::exception`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use engine::exception::KernelSide;
use engine::report::KernelState;
use engine::units::VlanId;

use crate::tap::Tap;

/// Frames in one direction, before the other one is looked after.
const AT_ONCE: usize = 64;
/// A pause while frames come from the tool port: what comes next waits so long, and what the kernel adds
/// to a sleep (50 microseconds of timer slack).
const PAUSE: Duration = Duration::from_micros(50);
/// Pauses without a frame, after which it rests.
const PAUSES: u32 = 40;
/// The first frame from the tool port after such a time waits at most so long. The kernel's frames wake it
/// at once. Waking up a thousand times takes some milliseconds of a core each second.
const REST: Duration = Duration::from_millis(1);

/// The protocol identifier of a VLAN tag (IEEE 802.1Q), as it stands in the frame.
const TPID: [u8; 2] = [0x81, 0x00];
/// The two addresses of a frame, in front of the tag.
const ADDRESSES_LEN: usize = 12;
const TAG_LEN: usize = 4;
/// The VLAN's number in the tag; the rest is priority.
const VID: u16 = 0x0fff;

/// What was moved; to be read while it goes on.
#[derive(Debug, Default)]
pub struct Moved {
    received: AtomicU64,
    refused: AtomicU64,
    other_vlan: AtomicU64,
    sent: AtomicU64,
}

impl Moved {
    /// The state of the interface of this name.
    pub fn state(&self, interface: &str) -> KernelState {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KernelState {
            interface: interface.to_owned(),
            received: read(&self.received),
            refused: read(&self.refused),
            other_vlan: read(&self.other_vlan),
            sent: read(&self.sent),
        }
    }
}

/// What moves the frames of one tool port. Thread: one of its own, which is no worker.
#[derive(Debug)]
pub struct Mover {
    tap: Arc<Tap>,
    side: KernelSide,
    vlan: Option<VlanId>,
    moved: Arc<Moved>,
}

impl Mover {
    /// Between a worker and an interface. On a trunk the interface is that of one `vlan`: other frames are
    /// not for it, and it sees no tags.
    pub fn new(tap: Arc<Tap>, side: KernelSide, vlan: Option<VlanId>) -> Self {
        Self { tap, side, vlan, moved: Arc::default() }
    }

    /// The counters.
    pub fn moved(&self) -> Arc<Moved> {
        Arc::clone(&self.moved)
    }

    /// Moves frames until `stop` is set, and then what the worker has given before.
    pub fn run(mut self, stop: &AtomicBool) {
        let (mut quiet, mut is_gone) = (0, false);
        while !stop.load(Ordering::Acquire) {
            let received = self.receive();
            let is_moving = self.send() > 0 || received > 0;
            quiet = if received > 0 { 0 } else { (quiet + 1).min(PAUSES) };
            if is_moving {
                continue;
            }
            if quiet < PAUSES {
                thread::sleep(PAUSE);
            } else if self.side.has_room() {
                self.await_frame(&mut is_gone);
            } else {
                // The worker stands still: what the kernel sends waits in the interface's own queue.
                thread::sleep(REST);
            }
        }
        while self.receive() > 0 {}
    }

    /// Waits for the interface to send; what is gone for good is told once.
    fn await_frame(&self, is_gone: &mut bool) {
        if self.tap.wait(REST) {
            return;
        }
        if !core::mem::replace(is_gone, true) {
            log::error!(
                "the interface {} has been deleted: the kernel has no part in this tool port until \
                 linetap-dataplane is restarted",
                self.tap.interface().name()
            );
        }
        thread::sleep(REST);
    }

    /// Lets the interface receive what came in on the tool port.
    fn receive(&mut self) -> usize {
        let Self { tap, side, vlan, moved } = self;
        let deliver = |frame: &mut [u8]| {
            let counter = match untagged(frame, *vlan) {
                None => &moved.other_vlan,
                Some(frame) if tap.write(frame).is_ok() => &moved.received,
                Some(_) => &moved.refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        };
        (0..AT_ONCE).take_while(|_| side.take(deliver).is_some()).count()
    }

    /// Gives the worker what the interface sends.
    fn send(&mut self) -> usize {
        let Self { tap, side, vlan, moved } = self;
        // What fills the place is longer: somebody has raised the interface's MTU above the port's.
        let whole = |place: &mut [u8]| tap.read(place).ok().filter(|&len| len < place.len());
        let read = |place: &mut [u8]| read_tagged(place, *vlan, whole);
        let sent = (0..AT_ONCE).take_while(|_| side.give(read)).count();
        moved.sent.fetch_add(sent as u64, Ordering::Relaxed);
        sent
    }
}

/// The frame as the interface of `vlan` shall see it; `None` for one that is not in it.
fn untagged(frame: &mut [u8], vlan: Option<VlanId>) -> Option<&mut [u8]> {
    let Some(vlan) = vlan else { return Some(frame) };
    let tag = frame.get(ADDRESSES_LEN..ADDRESSES_LEN + TAG_LEN)?;
    let &[type_high, type_low, high, low] = tag else { return None };
    let vid = u16::from_be_bytes([high, low]) & VID;
    if [type_high, type_low] != TPID || vid != vlan.value() {
        return None;
    }
    frame.copy_within(..ADDRESSES_LEN, TAG_LEN);
    frame.get_mut(TAG_LEN..)
}

/// Reads a frame into `place` and tags it, where the port is in a VLAN; returns its length. `None` when
/// there is none.
fn read_tagged(
    place: &mut [u8],
    vlan: Option<VlanId>,
    read: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let Some(vlan) = vlan else { return read(place) };
    let len = read(place.get_mut(TAG_LEN..)?)? + TAG_LEN;
    place.copy_within(TAG_LEN..TAG_LEN + ADDRESSES_LEN, 0);
    let [high, low] = vlan.value().to_be_bytes();
    place
        .get_mut(ADDRESSES_LEN..ADDRESSES_LEN + TAG_LEN)?
        .copy_from_slice(&[TPID[0], TPID[1], high, low]);
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(number: u16) -> VlanId {
        VlanId::try_from(number).unwrap()
    }

    #[test]
    fn a_tag_comes_off_and_only_of_the_vlan_that_is_meant() {
        let frame: Vec<u8> = (0..60).collect();
        let tagged = |tag: [u8; 4]| [&frame[..12], &tag, &frame[12..]].concat();
        // Priority and drop eligibility do not count.
        for tag in [[0x81, 0, 0, 7], [0x81, 0, 0xf0, 7]] {
            assert_eq!(untagged(&mut tagged(tag), Some(vlan(7))).unwrap(), frame);
        }
        for tag in [[0x81, 0, 0, 8], [0x81, 0, 1, 7], [0x88, 0xa8, 0, 7], [8, 0, 0, 7]] {
            assert_eq!(untagged(&mut tagged(tag), Some(vlan(7))), None, "{tag:?}");
        }
        assert_eq!(untagged(&mut frame[..15].to_vec(), Some(vlan(7))), None);
        let as_it_is = tagged([0x81, 0, 0, 8]);
        assert_eq!(untagged(&mut as_it_is.clone(), None).unwrap(), as_it_is);
    }

    #[test]
    fn what_is_tagged_loses_its_tag_again() {
        let frame: Vec<u8> = (0..60).collect();
        let read = |place: &mut [u8]| {
            place.get_mut(..60)?.copy_from_slice(&frame);
            Some(60)
        };
        let mut place = [0; 64];
        assert_eq!(read_tagged(&mut place, Some(vlan(4094)), read), Some(64));
        assert_eq!(place[12..16], [0x81, 0, 0x0f, 0xfe]);
        assert_eq!(untagged(&mut place, Some(vlan(4094))).unwrap(), frame);
        let mut place = [0; 64];
        assert_eq!(read_tagged(&mut place, None, read), Some(60));
        assert_eq!(place[..60], frame);
        assert_eq!(read_tagged(&mut place, Some(vlan(1)), |_| None), None);
    }
}
