//! A queue that fills up: its frames go on without copies until there is time again.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use engine::burst::{BURST_MAX, Burst};
use engine::drop_reason::Skipped;
use engine::neighbors::Neighbors;
use engine::port::{Devices, RxQueue};
use engine::roster::Roster;
use engine::sim::{SimClock, SimMbuf, SimOutput, SimPool, SimRx, SimTx};
use engine::snapshot::Role;
use engine::tool::ToolPort;
use engine::view::View;
use engine::worker::{Lane, Worker};

use crate::scenario::{LAN, MAC_A, WAN, feed, snapshot};
use crate::{OTHER, conserves, udp};

/// The queue holds so many frames.
const ROOM: u32 = 1024;

/// Simulated devices whose receive queue tells how full it is.
struct Telling;

/// A receive queue that says what it is told to.
struct TellingRx {
    rx: SimRx,
    /// Frames that wait; `None`: it can't tell.
    waiting: Rc<Cell<Option<u32>>>,
}

impl RxQueue for TellingRx {
    type Mbuf = SimMbuf;

    fn recv(&mut self, burst: &mut Burst<SimMbuf>) -> usize {
        self.rx.recv(burst)
    }

    fn room(&self) -> u32 {
        ROOM
    }

    fn holds(&self, count: u32) -> Option<bool> {
        self.waiting.get().map(|waiting| waiting >= count)
    }
}

impl Devices for Telling {
    type Mbuf = SimMbuf;
    type Rx = TellingRx;
    type Tx = SimTx;
    type Pool = SimPool;
    type Clock = SimClock;
}

/// What became of one full burst after the other, of which each frame is wanted: how many of the queue's frames
/// waited when each had been received, and whether its copies were made.
/// All frames of a wire must have crossed it.
fn copied(role: Role, waiting: &[Option<u32>]) -> Vec<bool> {
    let frames = vec![(LAN, udp(OTHER, MAC_A, None, false, 80, 20)); waiting.len() * BURST_MAX];
    let spec = Arc::new(snapshot());
    let view = Arc::new(View::compile(&spec, &Neighbors::offline(&spec)).unwrap());
    let (mut roster, mut ends) = Roster::new(Arc::clone(&spec), &view);
    let (feed, waits) = (feed(&frames, usize::MAX), Rc::default());
    let rx = TellingRx { rx: feed.rx(LAN), waiting: Rc::clone(&waits) };
    let (wire, tool) = (SimOutput::memory(), SimOutput::memory());
    let wires = vec![None, Some(wire.tx()), None, None];
    let tools = vec![None, None, None, Some(ToolPort::new(tool.tx(), SimPool::new(2048, 4096)))];
    let lane = Lane { port: LAN, rx, role, spreader: None };
    let mut worker = Worker::<Telling>::new(vec![lane], wires, tools, ends.remove(0));
    let made = waiting.iter().map(|waiting| {
        waits.set(*waiting);
        assert_eq!(worker.poll(), BURST_MAX);
        let copies = tool.take_sent().len();
        assert!([0, BURST_MAX].contains(&copies), "{copies} copies");
        copies > 0
    });
    let made: Vec<bool> = made.collect();
    roster.request_report();
    worker.poll();
    roster.collect_report();
    let report = roster.report();
    conserves(&report);
    let skipped =
        report.sessions.iter().map(|session| session.skipped[Skipped::Overloaded as usize]);
    let forgone = made.iter().filter(|made| !**made).count() * BURST_MAX;
    assert_eq!(skipped.sum::<u64>(), forgone as u64);
    if role != Role::Tap {
        assert_eq!(wire.take_sent().len(), frames.len(), "the wire lost frames");
    }
    made
}

#[test]
fn copies_are_forgone_while_a_wires_queue_fills_up() {
    let waiting = [0, 767, 768, 1000, 300, 256, 255, 700, 768].map(Some);
    let expected = [true, true, false, false, false, false, true, true, false];
    assert_eq!(copied(Role::Wire(WAN), &waiting), expected);
}

#[test]
fn a_tap_has_nothing_to_lose_but_copies() {
    assert_eq!(copied(Role::Tap, &[Some(ROOM); 3]), [true; 3]);
}

#[test]
fn a_queue_that_cannot_tell_is_taken_for_empty() {
    assert_eq!(copied(Role::Wire(WAN), &[None; 3]), [true; 3]);
}
