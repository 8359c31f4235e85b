//! A sender on simulated ports, turn by turn.

use engine::sim::{Sim, SimOutput, SimPool, SimTx, TxFaults};

use super::*;
use crate::reel::ReelEnd;
use crate::tray::{Cue, Giver, way};

const FRAMES: u64 = 100;

fn cue(due: u64) -> Cue {
    Cue { due, len: 20, side: 0 }
}

/// A loop of frames, one each tick.
fn reel(pool: &SimPool) -> Source<Sim> {
    let end = ReelEnd { loops: 2, frames: u64::MAX, due: u64::MAX };
    let mut reel = Reel::new(FRAMES as f64, FRAMES, end);
    for number in 0..FRAMES {
        reel.add(pool.frame(&[number as u8; 20], 0), cue(number), number);
    }
    Source::Reel { reel, copiers: [None, None] }
}

/// Runs a sender to its end, a turn each `step` ticks; returns it and what was sent.
fn run(
    source: Source<Sim>,
    faults: TxFaults,
    step: usize,
) -> (SenderAccount, Vec<u8>, Histogram<u64>) {
    let (output, stage) = (SimOutput::memory(), Stage::new(1));
    output.set_faults(faults);
    let mut tx: SimTx = output.tx();
    let mut sender = Sender::<Sim>::new(0, source, true, u64::MAX);
    for now in (0_u64..1 << 20).step_by(step) {
        if !sender.turn(now, &mut [Some(&mut tx), None], &stage) {
            break;
        }
    }
    let (account, error) = sender.finish(&stage);
    let sent = output.take_sent().into_iter().map(|frame| frame.bytes[0]);
    (account, sent.collect(), error)
}

fn numbers(loops: usize) -> Vec<u8> {
    (0..FRAMES as u8).cycle().take(loops * FRAMES as usize).collect()
}

#[test]
fn each_frame_leaves_when_it_is_due_and_buffers_come_back() {
    let pool = SimPool::new(2048, 4096);
    let (account, sent, error) = run(reel(&pool), TxFaults::default(), 1);
    assert_eq!(sent, numbers(2));
    assert_eq!((account.packets, account.bytes), (2 * FRAMES, 2 * FRAMES * 20));
    // A frame of 20 bytes is 60 on the wire, beside 24 around it.
    assert_eq!(account.wire_bytes, 2 * FRAMES * 84);
    assert_eq!((account.first, account.last), (Some(0), 2 * FRAMES - 1));
    assert_eq!((error.len(), error.max()), (2 * FRAMES, 0));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_the_port_does_not_take_is_late_and_not_lost() {
    let pool = SimPool::new(2048, 4096);
    let slow = TxFaults { accepts_per_call: 1, ..TxFaults::default() };
    let (account, sent, error) = run(reel(&pool), slow, 2);
    assert_eq!(sent, numbers(2));
    // One frame in two ticks: the last one is late by as many ticks as there are frames.
    assert_eq!(account.last, 2 * (2 * FRAMES - 1));
    assert!(error.max().abs_diff(2 * FRAMES - 1) <= 1, "{}", error.max());
}

/// Frames that wait, one each tick from `from` on.
fn give(giver: &mut Giver<engine::sim::SimMbuf>, pool: &SimPool, from: u64, count: u64) {
    let mut tray = Box::<Tray<_>>::default();
    for due in from..from + count {
        tray.frames.push(pool.frame(&[due as u8; 20], 0)).unwrap();
        tray.cues.push(cue(due));
    }
    assert!(giver.give(&mut tray));
}

#[test]
fn a_stream_is_sent_to_its_end() {
    let pool = SimPool::new(2048, 4096);
    let (mut giver, taker) = way(2);
    give(&mut giver, &pool, 0, 50);
    give(&mut giver, &pool, 50, 50);
    giver.end();
    let (account, sent, error) = run(Source::Stream(taker), TxFaults::default(), 7);
    assert_eq!(sent, numbers(1));
    assert_eq!((account.unsent, account.starved), (0, 0));
    assert!(error.max() <= 6, "{}", error.max());
}

#[test]
fn who_reads_too_slowly_is_told() {
    let pool = SimPool::new(2048, 4096);
    let (mut giver, taker) = way(2);
    let (output, stage) = (SimOutput::memory(), Stage::new(1));
    let mut tx = output.tx();
    let mut sender = Sender::<Sim>::new(0, Source::Stream(taker), true, u64::MAX);
    let mut turn = |now| sender.turn(now, &mut [Some(&mut tx), None], &stage);
    give(&mut giver, &pool, 0, 5);
    for now in 0..20 {
        assert!(turn(now));
    }
    give(&mut giver, &pool, 5, 5);
    assert!(turn(20));
    give(&mut giver, &pool, 30, 5);
    giver.end();
    for now in 21..35 {
        assert!(turn(now));
    }
    assert!(!turn(35));
    let (account, _) = sender.finish(&stage);
    assert_eq!((account.packets, account.starved), (15, 1));
    assert_eq!(output.take_sent().len(), 15);
}

#[test]
fn what_is_not_sent_at_the_end_is_counted_and_given_back() {
    let pool = SimPool::new(2048, 4096);
    let down = TxFaults { accepts_per_call: 0, ..TxFaults::default() };
    let (output, stage) = (SimOutput::memory(), Stage::new(1));
    output.set_faults(down);
    let mut tx = output.tx();
    let mut sender = Sender::<Sim>::new(0, reel(&pool), true, u64::MAX);
    assert!(sender.turn(9, &mut [Some(&mut tx), None], &stage));
    let (account, _) = sender.finish(&stage);
    assert_eq!((account.packets, account.unsent), (0, 10));
    assert_eq!(pool.in_use(), 0);
}
