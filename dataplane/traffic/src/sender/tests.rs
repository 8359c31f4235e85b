use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::time::Duration;

use engine::port::{Clock, Mempool as _, TxQueue};
use engine::sim::{SimClock, SimMbuf, SimOutput, SimPool, SimRx, SimTx, TxFaults};

use super::*;
use crate::device_clock::tests::{TimedTx, device_time};
use crate::feeder::{Fed, Feeder, keep};
use crate::kept::{Kept, Rounds};
use crate::pace::Pace;
use crate::player::Player;
use crate::replay::{Joining, Reading, ReplayPlan, Rewrites, Split, SplitBy, Timing};
use crate::supply::{Slot, Taker, ring};

/// Each reading of the clock takes this long.
const READING_NS: u64 = 100;

/// A clock that goes on when it is read.
#[derive(Debug)]
struct Ticking;

impl Clock for Ticking {
    fn now() -> u64 {
        SimClock::advance(READING_NS);
        SimClock::now()
    }

    fn hz() -> u64 {
        SimClock::hz()
    }

    fn pause() {}

    fn sleep(time: Duration) {
        SimClock::sleep(time);
    }
}

/// Simulated devices that send by queues of this kind.
#[derive(Debug)]
struct Family<T>(PhantomData<T>);

type Devices = Family<SimTx>;
/// Their ports send at given times.
type TimedDevices = Family<TimedTx>;

impl<T: TxQueue<Mbuf = SimMbuf>> engine::port::Devices for Family<T> {
    type Mbuf = SimMbuf;
    type Rx = SimRx;
    type Tx = T;
    type Pool = SimPool;
    type Clock = Ticking;
}

#[test]
fn a_device_that_sends_at_given_times_gets_frames_early_with_their_times() {
    let (pool, output) = (SimPool::new(64, 10_000), SimOutput::memory());
    let (mut giver, taker) = ring(100);
    let dues: Vec<u64> = (0..50).map(|number| number * 10_000_000).collect();
    for due in &dues {
        assert!(giver.has_room());
        giver.push(pool.frame(&[1; 20], 0), Slot { due: *due, side: 0 });
    }
    drop(giver);
    let (pace, tally) = (Pace::default(), Tally::default());
    let runner = pace.enter();
    // Known before the start, as it is set by others.
    let start = SimClock::now() + 50_000_000;
    pace.start_at(start);
    let mut tx = TimedTx(output.tx());
    let sender = Sender::<TimedDevices>::new([Some(&mut tx), None], &tally, TIMED);
    let (sent, errors) = sender.run(taker, &runner);
    assert_eq!((sent.packets, errors.len(), errors.max()), (50, 50, 0));
    // The last one is with the device before its time.
    let last = start + dues[49];
    let gone = start + sent.last;
    assert!(gone < last && last - gone <= AHEAD_NS, "{gone} {last}");
    for (frame, due) in output.take_sent().iter().zip(&dues) {
        let error = frame.timestamp_ns.abs_diff(device_time(start + due));
        // The clock of the test goes on while it is read.
        assert!(error <= 4 * READING_NS, "{error}");
    }
}

const TIMED: Manner = Manner { is_timed: true, duration_ns: u64::MAX };
const TOP: Manner = Manner { is_timed: false, duration_ns: u64::MAX };

/// Sends frames with these times and sides by two ports; returns what came of it, and the first byte of each frame of
/// each port.
fn send(
    frames: &[(u64, u8)],
    manner: Manner,
    faults: TxFaults,
) -> (Sent, Histogram<u64>, [Vec<u8>; 2]) {
    let pool = SimPool::new(64, 10_000);
    let (mut giver, taker) = ring(100);
    for (number, (due, side)) in (0u8..).zip(frames) {
        assert!(giver.has_room());
        giver.push(pool.frame(&[number; 20], 0), Slot { due: *due, side: *side });
    }
    drop(giver);
    let outputs = [SimOutput::memory(), SimOutput::memory()];
    for output in &outputs {
        output.set_faults(faults);
    }
    let (sent, errors) = run(taker, manner, &outputs);
    for output in &outputs {
        output.set_faults(TxFaults::default());
    }
    assert_eq!(pool.in_use(), 0);
    let firsts =
        |output: &SimOutput| output.take_sent().iter().map(|frame| frame.bytes[0]).collect();
    (sent, errors, [firsts(&outputs[0]), firsts(&outputs[1])])
}

fn run(
    supply: impl Supply<Mbuf = SimMbuf>,
    manner: Manner,
    outputs: &[SimOutput; 2],
) -> (Sent, Histogram<u64>) {
    let (pace, tally) = (Pace::default(), Tally::default());
    let runner = pace.enter();
    pace.start::<Ticking>();
    let [mut one, mut other] = [outputs[0].tx(), outputs[1].tx()];
    let sender = Sender::<Devices>::new([Some(&mut one), Some(&mut other)], &tally, manner);
    let (sent, errors) = sender.run(supply, &runner);
    drop(runner);
    assert_eq!((pace.ready(), pace.ended()), (1, 1));
    assert_eq!(tally.so_far().0, sent.packets);
    (sent, errors)
}

#[test]
fn frames_leave_in_order_when_they_are_due_and_what_is_due_together_at_once() {
    let frames = [(0, 0), (0, 0), (5_000, 1), (5_000, 0), (20_000_000, 0)];
    let (sent, errors, [one, other]) = send(&frames, TIMED, TxFaults::default());
    assert_eq!((one, other), (vec![0, 1, 3, 4], vec![2]));
    assert_eq!((sent.packets, sent.bytes, sent.wire_bytes), (5, 100, 5 * 84));
    assert_eq!((sent.starved, sent.is_cut), (0, false));
    assert_eq!(errors.len(), 5);
    // One reading before it is sent, one after; the fourth has to wait for the third.
    assert!(errors.min() >= READING_NS && errors.max() <= 6 * READING_NS, "{errors:?}");
    let elapsed = sent.last - sent.first;
    assert!(
        (20_000_000 - 2 * READING_NS..20_000_000 + 4 * READING_NS).contains(&elapsed),
        "{elapsed}"
    );
}

#[test]
fn a_port_that_takes_little_delays_and_loses_nothing() {
    let frames: Vec<_> = (0..200).map(|at| (at * 10, 0)).collect();
    let faults = TxFaults {
        accepts_per_call: 3,
        refuses_every: NonZeroU64::new(2),
        takes_ns: 1000,
        ..TxFaults::default()
    };
    let (sent, errors, [one, _]) = send(&frames, TIMED, faults);
    assert_eq!(one, (0..200).collect::<Vec<_>>());
    assert_eq!((sent.packets, errors.len()), (200, 200));
    // 67 calls that take three and as many that take none.
    assert!(errors.max() > 130_000, "{}", errors.max());
}

#[test]
fn at_top_speed_nothing_waits_and_no_errors_are_kept() {
    let frames = [(0, 0); 200];
    let (sent, errors, [one, _]) = send(&frames, TOP, TxFaults::default());
    assert_eq!((one.len(), sent.packets), (200, 200));
    assert!(errors.is_empty());
    assert!(sent.last - sent.first < 20 * READING_NS, "three bursts and a rest");
}

#[test]
fn when_the_time_is_over_a_stuck_port_is_left_and_that_is_told() {
    let frames: Vec<_> = (0..200).map(|at| (at * 10, 0)).collect();
    let faults = TxFaults { holds: Some(100), takes_ns: 10_000, ..TxFaults::default() };
    let limited = Manner { duration_ns: 1_000_000, ..TIMED };
    let (sent, _, _) = send(&frames, limited, faults);
    assert_eq!((sent.packets, sent.bytes, sent.is_cut), (100, 2000, true));
    let limited = Manner { duration_ns: 1_000_000, ..TOP };
    let (sent, _, _) = send(&frames, limited, faults);
    assert_eq!((sent.packets, sent.wire_bytes, sent.is_cut), (100, 8400, false));
}

#[test]
fn without_frames_and_without_a_start_it_ends() {
    let pace = Pace::default();
    let runner = pace.enter();
    pace.stop();
    let tally = Tally::default();
    let sender = Sender::<Devices>::new([None, None], &tally, TIMED);
    let (giver, taker) = ring(2);
    let (sent, _) = sender.run(taker, &runner);
    assert_eq!(sent, Sent::default());
    drop(giver);
}

/// A capture of frames that are a microsecond apart, each with its number, from or to port 80.
fn plan(file: &std::path::Path, frames: u8) -> ReplayPlan {
    let mut writer = engine::sim::CaptureWriter::new(std::fs::File::create(file).unwrap()).unwrap();
    for number in 0..frames {
        let (client, server) = ([10, 0, 0, number % 16], [10, 0, 1, 1]);
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0]);
        let is_server = number % 3 == 0;
        let [source, destination] = if is_server { [server, client] } else { [client, server] };
        frame.extend([source, destination].concat());
        let [source, destination] = if is_server { [80, 5000u16] } else { [5000, 80] };
        frame.extend([source.to_be_bytes(), destination.to_be_bytes(), [0, 9], [0, 0]].concat());
        frame.push(number);
        writer
            .write(u64::from(number) * 1000, frame.len(), [frame.as_slice()].into_iter())
            .unwrap();
    }
    writer.finish().unwrap();
    ReplayPlan {
        files: vec![file.to_owned()],
        joining: Joining::Concatenated,
        timing: Timing::Original { speed: 1.0 },
        loops: Some(3),
        duration_ns: None,
        limit: None,
        gap_max_ns: None,
        port: 0,
        split: Some(Split { port: 1, by: SplitBy::Ports }),
        rewrites: Rewrites::default(),
        reading: Reading::default(),
    }
}

/// The last byte of each frame of each port.
fn lasts(outputs: &[SimOutput; 2]) -> [Vec<u8>; 2] {
    let lasts = |output: &SimOutput| {
        output.take_sent().iter().map(|frame| *frame.bytes.last().unwrap()).collect()
    };
    [lasts(&outputs[0]), lasts(&outputs[1])]
}

/// What both ports must have sent of some loops of `frames` frames.
fn expected(frames: u8, loops: usize, is_mine: impl Fn(u8) -> bool) -> [Vec<u8>; 2] {
    let of = |is_server: bool| {
        let each = (0..frames).filter(|number| (number % 3 == 0) == is_server && is_mine(*number));
        each.collect::<Vec<_>>().repeat(loops)
    };
    [of(false), of(true)]
}

#[test]
fn what_a_feeder_reads_is_sent_by_its_workers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&dir.path().join("in.pcap"), 100);
    let pool = SimPool::new(256, 1000);
    let (pace, fed) = (Pace::default(), Fed::default());
    let (givers, takers): (Vec<_>, Vec<Taker<_>>) = (0..2).map(|_| ring(20)).unzip();
    let feeder = Feeder::new(Player::open(&plan).unwrap(), pool.clone(), givers);
    assert!(feeder.run::<Ticking>(&pace, &fed).is_empty());
    assert_eq!((fed.frames(), fed.loop_frames(), fed.is_primed()), (300, Some(100), true));
    let mut all = [0, 0];
    for taker in takers {
        let outputs = [SimOutput::memory(), SimOutput::memory()];
        let (sent, errors) = run(taker, TIMED, &outputs);
        let got = lasts(&outputs);
        assert!(sent.packets > 50 && errors.max() < 6 * READING_NS, "{sent:?}");
        // A flow, by its address, is this worker's, or it is not.
        let is_mine = |number: u8| got.iter().flatten().any(|mine| mine % 16 == number % 16);
        assert_eq!(got, expected(100, 3, is_mine));
        all = [all[0] + got[0].len(), all[1] + got[1].len()];
    }
    assert_eq!(all, [198, 102]);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_is_kept_is_sent_like_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&dir.path().join("in.pcap"), 100);
    let pool = SimPool::new(256, 1000);
    let (pace, fed) = (Pace::default(), Fed::default());
    let player = Player::open(&plan).unwrap();
    let loop_ns = player.totals().unwrap().duration_ns;
    assert_eq!(loop_ns, 100_000);
    let rounds = Rounds { loops: 3, frames: 100, limit: 250, duration_ns: u64::MAX, loop_ns };
    let mut kept = [Kept::new(rounds, Scale::new(Ticking::hz()), None)];
    keep::<_, Ticking>(player, pool.clone(), &mut kept, &pace, &fed).unwrap();
    let outputs = [SimOutput::memory(), SimOutput::memory()];
    let [kept] = kept;
    let (sent, errors) = run(kept, TIMED, &outputs);
    let [one, other] = expected(100, 3, |_| true);
    assert_eq!(lasts(&outputs), [one[..165].to_vec(), other[..85].to_vec()]);
    assert!(errors.max() < 6 * READING_NS, "{errors:?}");
    let elapsed = sent.last - sent.first;
    assert!(elapsed.abs_diff(249_000) < 6 * READING_NS, "{elapsed}");
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_that_no_buffer_holds_is_counted_and_a_dry_pool_is_awaited() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&dir.path().join("in.pcap"), 70);
    let (pace, fed) = (Pace::default(), Fed::default());
    let (giver, taker) = ring(20);
    let feeder = Feeder::new(Player::open(&plan).unwrap(), SimPool::new(20, 1000), vec![giver]);
    assert!(feeder.run::<Ticking>(&pace, &fed).is_empty());
    assert_eq!((fed.frames(), fed.too_long()), (210, 210));
    drop(taker);
    let pool = SimPool::new(256, 64);
    let mut kept = [Kept::new(
        Rounds { loops: 1, frames: 70, limit: 70, duration_ns: 1, loop_ns: 1 },
        Scale::new(1_000_000_000),
        None,
    )];
    let player = Player::open(&plan).unwrap();
    let faults = keep::<_, Ticking>(player, pool.clone(), &mut kept, &pace, &fed).unwrap_err();
    assert!(faults[0].contains("frame 65"), "{faults:?}");
    drop(kept);
    assert_eq!(pool.available(), 64);
}
