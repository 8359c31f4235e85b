//! Trials against a device whose faults are known.

use engine::units::Mac;
use serde_json::Value;
use traffic::histogram::{decode, summary};
use traffic::link::{Event, Request};
use traffic::trial::{CopyPlan, Frames, Made, Received, Spread, Stream, TrialPlan, TrialResult};

use crate::device_under_test::DeviceUnderTest;
use crate::process::Process;
use crate::setup;

const MS: u64 = 1_000_000;
/// A ring of memif holds 1,024 frames: 50 ms of them.
const LATE_NS_MAX: u64 = 20 * MS;
const ATTEMPTS: usize = 8;
const DISTURBED: &str = "others have the workers' cores";

fn made(sizes: &[u16]) -> Made {
    Made {
        sizes: sizes.to_vec(),
        flows: 50,
        spread: Spread::Uniform,
        is_v6: false,
        vlan: None,
        vni: None,
        destination_mac: None,
        seed: 3,
    }
}

/// 10,000 frames in half a second from the first port to the second.
fn plan(made: Made) -> TrialPlan {
    TrialPlan {
        streams: vec![Stream { tx: 0, rx: 1, frames: Frames::Made(made) }],
        load: Some(20_000.0),
        burst: None,
        duration_ns: 500 * MS,
        wait_ns: 500 * MS,
        learning: false,
        copies: None,
    }
}

fn both_ways(made: &Made) -> TrialPlan {
    let mut plan = plan(made.clone());
    plan.streams.push(Stream { tx: 1, rx: 0, frames: Frames::Made(made.clone()) });
    plan
}

fn open(device: &DeviceUnderTest, ports: usize) -> Process {
    let peers: Vec<String> = (0..ports).map(|port| device.peer(port)).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let mut process = Process::start();
    process.prefer();
    let opened = process.ask(&Request::Open(setup(&peers)));
    let Event::Opened { ports, .. } = opened else { panic!("{opened:?}") };
    assert!(ports.iter().all(|port| port.driver == "net_memif" && port.mac != Mac([0; 6])));
    process
}

fn measure(process: &mut Process, plan: &TrialPlan) -> TrialResult {
    let measured = process.ask(&Request::Trial(Box::new(plan.clone())));
    let Event::Measured(result) = measured else { panic!("{measured:?}") };
    eprintln!("{}", brief(&result));
    *result
}

fn brief(result: &TrialResult) -> String {
    let mut result = result.clone();
    for received in result.streams.iter_mut().chain(&mut result.copies) {
        received.latency = format!("{:?}", summary(&decode(&received.latency).unwrap()));
        received.jitter = format!("{:?}", summary(&decode(&received.jitter).unwrap()));
    }
    format!("{result:#?}")
}

/// The sender had its core whenever it needed it, so that rings never had to hold more than they do.
fn is_undisturbed(result: &TrialResult) -> bool {
    result.streams.iter().all(|it| it.sent == it.intended && it.late_ns_max < LATE_NS_MAX)
}

/// A trial like others on the same ports.
fn undisturbed_again(process: &mut Process, plan: &TrialPlan) -> TrialResult {
    let mut results = (0..ATTEMPTS).map(|_| measure(process, plan));
    results.find(is_undisturbed).unwrap_or_else(|| panic!("{DISTURBED}"))
}

/// A trial with a new device with these faults, and what that has done. Where a machine has more to do, it may
/// take several.
fn undisturbed(plan: &TrialPlan, ports: usize, faults: &[&str]) -> (TrialResult, Value) {
    for _ in 0..ATTEMPTS {
        let device = DeviceUnderTest::start(ports > 2, faults);
        let mut process = open(&device, ports);
        let result = measure(&mut process, plan);
        // The device first: net_memif does not like to be polled while its other end goes.
        let did = device.finish();
        process.finish();
        eprintln!("{did}");
        if is_undisturbed(&result) && did["refused"] == 0 {
            return (result, did);
        }
    }
    panic!("{DISTURBED}");
}

/// The shortest, in microseconds: the others are those of a machine that has more to do.
fn latency_min_us(received: &Received) -> u64 {
    summary(&decode(&received.latency).unwrap()).min / 1000
}

#[test]
fn a_sound_device_does_nothing_to_frames() {
    let v6 = Made { is_v6: true, vlan: Some(5), ..made(&[90, 1522]) };
    let tunnelled = Made { vni: Some(5), ..made(&[64, 1000]) };
    let device = DeviceUnderTest::start(false, &[]);
    let mut process = open(&device, 2);
    for made in [made(&[64, 570, 1518]), v6, tunnelled] {
        let result = undisturbed_again(&mut process, &both_ways(&made));
        for received in &result.streams {
            assert_eq!((received.sent, received.received, received.lost()), (10_000, 10_000, 0));
            assert_eq!((received.duplicated, received.reordered), (0, 0));
            assert_eq!((received.corrupted, received.rewritten), (0, 0));
        }
        assert_eq!((result.foreign, result.faults), (vec![0, 0], vec![]));
    }
    device.finish();
    process.finish();
}

#[test]
fn testpmd_forwards_all_and_learns_first() {
    let device = DeviceUnderTest::testpmd();
    let mut process = open(&device, 2);
    let plan = TrialPlan { learning: true, ..both_ways(&made(&[64, 570, 1518])) };
    let result = undisturbed_again(&mut process, &plan);
    for received in &result.streams {
        assert_eq!((received.sent, received.received), (10_000, 10_000));
        assert_eq!((received.duplicated, received.reordered), (0, 0));
        assert_eq!((received.corrupted, received.rewritten), (0, 0));
    }
    // Learning frames are nobody's.
    assert_eq!(result.foreign, [0, 0]);
    drop(device);
    process.finish();
}

#[test]
fn trials_follow_each_other_on_open_ports() {
    let device = DeviceUnderTest::start(false, &["--delay-us", "20000"]);
    let mut process = open(&device, 2);
    // Nothing is awaited: its last frames come while the next one runs, and are of no account there.
    let hasty = TrialPlan { wait_ns: 0, ..plan(made(&[64])) };
    let lost = measure(&mut process, &hasty).streams[0].lost();
    assert!(lost > 0, "{lost}");
    let burst = TrialPlan { burst: Some(300), ..plan(made(&[64])) };
    let result = measure(&mut process, &burst);
    let received = &result.streams[0];
    assert_eq!((received.intended, received.sent, received.received), (300, 300, 300));
    assert_eq!((received.duplicated, &result.foreign), (0, &vec![0, 0]));
    assert!(result.duration_ns < 400 * MS, "{}", result.duration_ns);
    let none = TrialPlan { streams: vec![], ..plan(made(&[64])) };
    let refused = process.ask(&Request::Trial(Box::new(none)));
    assert!(matches!(refused, Event::Refused(_)), "{refused:?}");
    let long = TrialPlan { duration_ns: 60_000 * MS, ..plan(made(&[64])) };
    process.tell(&Request::Trial(Box::new(long)));
    process.tell(&Request::Stop);
    let Event::Measured(stopped) = process.hear() else { panic!("it is measured") };
    assert_eq!(stopped.faults, ["it was stopped before its end"]);
    device.finish();
    process.finish();
}

#[test]
fn what_a_device_does_to_frames_is_found_to_the_frame() {
    let faults = ["--lose", "100", "--double", "70", "--corrupt", "30", "--swap", "130"];
    let plan = plan(Made { flows: 1, ..made(&[200]) });
    let (result, did) = undisturbed(&plan, 2, &faults);
    let received = &result.streams[0];
    assert_eq!((&did["arrived"], &did["lost"]), (&10_000.into(), &100.into()));
    assert_eq!(received.lost(), 100);
    assert_eq!(did["doubled"], received.duplicated);
    assert_eq!(did["corrupted"], received.corrupted);
    assert_eq!(did["swapped"], received.reordered);
    assert!(received.duplicated > 100 && received.corrupted > 200 && received.reordered > 50);
}

#[test]
fn a_delay_is_added_to_the_latency_and_nothing_else() {
    let floor = |faults: &[&str]| {
        let (result, _) = undisturbed(&plan(made(&[64])), 2, faults);
        latency_min_us(&result.streams[0])
    };
    let without = floor(&[]);
    let with = floor(&["--delay-us", "3000"]);
    eprintln!("{without} µs, then {with} µs");
    // A microsecond is the precision of the subtraction; more is what two busy cores add.
    assert!((2_999..3_100).contains(&(with - without)), "{without} µs, then {with} µs");
}

#[test]
fn beyond_a_devices_rate_frames_are_lost_and_below_it_none_is() {
    // So large a bucket that a worker that was kept from its core does not look like a load.
    let faults = ["--rate", "10000", "--bucket", "400"];
    let at = |load: f64| {
        let plan = TrialPlan { load: Some(load), ..plan(made(&[64])) };
        let (result, did) = undisturbed(&plan, 2, &faults);
        assert_eq!(did["over_rate"], result.streams[0].lost());
        result.streams[0].lost()
    };
    assert_eq!(at(9_500.0), 0);
    // Half a second of 8,000 too many a second, but for what the bucket held.
    let lost = at(18_000.0);
    assert!((3_500..=3_700).contains(&lost), "{lost}");
}

#[test]
fn copies_are_counted_and_compared_with_their_originals() {
    for (snap, vlan) in [(None, None), (Some(80), Some(9))] {
        let text = snap.unwrap_or(9000).to_string();
        let faults =
            ["--vni", "7", "--vni", "9", "--miss", "50", "--lose", "1000", "--snap", &text];
        let copies = |vnis, len_max| {
            Some(CopyPlan { rx: 2, udp_port: 4789, vnis, len_max, sources: vec![] })
        };
        let plan = plan(Made { vlan, ..made(&[70, 570]) });
        let plan = TrialPlan { copies: copies(vec![7, 9], snap), ..plan };
        let (result, did) = undisturbed(&plan, 3, &faults);
        assert_eq!((result.streams[0].lost(), &did["missed"]), (10, &200.into()));
        for copies in &result.copies {
            assert_eq!((copies.intended, copies.sent, copies.received), (10_000, 10_000, 9_800));
            assert_eq!((copies.corrupted, copies.reordered, copies.duplicated), (0, 0, 0));
            assert!(latency_min_us(copies) < 1000);
        }
        // Those that are not as long as they should be: every second one, but for the two hundred.
        let plan = TrialPlan { copies: copies(vec![9], Some(78)), ..plan };
        let (result, _) = undisturbed(&plan, 3, &faults);
        assert_eq!((result.copies[0].received, result.copies[0].corrupted), (9_800, 4_800));
        // A network that nobody asked for.
        assert_eq!(result.foreign, [0, 0, 9_800]);
    }
}
