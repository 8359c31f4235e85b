//! Whole replays: from files to frames.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use engine::sim::capture_of;
use tempfile::TempDir;

use super::*;
use crate::replay::{Layer, Reading, Rewrites, Split, Timing, VlanRewrite};

pub(super) fn plan(files: &[&Path]) -> ReplayPlan {
    ReplayPlan {
        files: files.iter().map(|file| file.to_path_buf()).collect(),
        joining: Joining::Merged,
        timing: Timing::Original { speed: 1.0 },
        loops: Some(1),
        duration_ns: None,
        limit: None,
        gap_max_ns: None,
        port: 0,
        split: None,
        rewrites: Rewrites::default(),
        reading: Reading::default(),
    }
}

/// A frame of a length, whose last byte is its name.
fn frame(name: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![2; len];
    if let [.., last] = frame.as_mut_slice() {
        *last = name;
    }
    frame
}

/// Files that are gone with the test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Frames of 60 bytes, by time and name.
    fn capture(&self, name: &str, frames: &[(u64, u8)]) -> PathBuf {
        self.write(name, &capture_of(frames.iter().map(|&(time, name)| (time, frame(name, 60)))))
    }
}

/// Due times and names; and what was wrong.
fn played(plan: &ReplayPlan) -> (Vec<(u64, u8)>, Vec<String>) {
    let mut player = Player::open(plan).unwrap();
    let mut frames = Vec::new();
    while player.advance() {
        let frame = player.frame();
        frames.push((frame.due_ns, *frame.bytes.last().unwrap()));
    }
    assert!(!player.advance());
    assert!(player.frame().bytes.is_empty());
    (frames, player.faults().to_vec())
}

fn refusal(plan: &ReplayPlan) -> String {
    let faults = Player::open(plan).map(|_| ()).unwrap_err();
    faults.join("\n")
}

/// The same from files as from memory: what is larger than memory is not tested with its size.
fn both_ways(plan: &ReplayPlan) -> Vec<(u64, u8)> {
    let (kept, faults) = played(plan);
    assert_eq!(faults, [""; 0]);
    let reading = Reading { skip_scan: true, ..plan.reading.clone() };
    let (streamed, faults) = played(&ReplayPlan { reading, ..plan.clone() });
    assert_eq!(faults, [""; 0]);
    assert_eq!(kept, streamed);
    kept
}

#[test]
fn loops_follow_each_other_at_the_mean_distance() {
    let files = Files::new();
    let one = files.capture("one", &[(1000, 1), (1010, 2), (1040, 3)]);
    let looped = ReplayPlan { loops: Some(3), ..plan(&[&one]) };
    let expected =
        [(0, 1), (10, 2), (40, 3), (60, 1), (70, 2), (100, 3), (120, 1), (130, 2), (160, 3)];
    assert_eq!(both_ways(&looped), expected);
    let totals = Player::open(&looped).unwrap().totals().cloned().unwrap();
    let of_one = Totals {
        frames: 3,
        bytes: 180,
        wire_bytes: 252,
        duration_ns: 60,
        longest: 60,
        ..Totals::default()
    };
    assert_eq!(totals, of_one);
    let twice = ReplayPlan { timing: Timing::Original { speed: 2.0 }, ..looped };
    assert_eq!(both_ways(&twice)[3..5], [(30, 1), (35, 2)]);
}

#[test]
fn captures_are_merged_or_follow_each_other() {
    let files = Files::new();
    let one = files.capture("one", &[(100, 1), (110, 2), (130, 3)]);
    let two = files.capture("two", &[(110, 4), (111, 5)]);
    let merged = plan(&[&one, &two]);
    assert_eq!(both_ways(&merged), [(0, 1), (10, 2), (10, 4), (11, 5), (30, 3)]);
    let joined = ReplayPlan { joining: Joining::Concatenated, loops: Some(2), ..merged };
    let expected =
        [(0, 1), (10, 2), (30, 3), (45, 4), (46, 5), (47, 1), (57, 2), (77, 3), (92, 4), (93, 5)];
    assert_eq!(both_ways(&joined), expected);
}

#[test]
fn limits_end_a_replay() {
    let files = Files::new();
    let one = files.capture("one", &[(0, 1), (10, 2)]);
    let endless = ReplayPlan { loops: None, ..plan(&[&one]) };
    let limited = ReplayPlan { limit: Some(5), ..endless.clone() };
    assert_eq!(both_ways(&limited).last(), Some(&(40, 1)));
    let timed = ReplayPlan { duration_ns: Some(40), ..endless.clone() };
    assert_eq!(both_ways(&timed).last(), Some(&(30, 2)));
    let none = ReplayPlan { limit: Some(0), ..endless };
    assert_eq!(both_ways(&none), []);
}

#[test]
fn rates_count_frames_or_their_bits_after_rewriting() {
    let files = Files::new();
    let one = files.capture("one", &[(0, 1), (77, 2), (99, 3)]);
    let even = ReplayPlan { timing: Timing::Packets { per_second: 1e8 }, ..plan(&[&one]) };
    assert_eq!(both_ways(&even), [(0, 1), (10, 2), (20, 3)]);
    let timing = Timing::Bits { per_second: 8e9, layer: Layer::L1 };
    let vlan = Some(VlanRewrite::Push { vlan: 7, ether_type: 0x8100 });
    let bits = ReplayPlan { timing, rewrites: Rewrites { vlan, ..Rewrites::default() }, ..even };
    assert_eq!(both_ways(&bits), [(0, 1), (88, 2), (176, 3)]);
    let totals = Player::open(&bits).unwrap().totals().cloned().unwrap();
    assert_eq!((totals.bytes, totals.wire_bytes, totals.longest), (192, 264, 64));
    assert_eq!(totals.duration_ns, 264);
}

#[test]
fn reading_through_ends_when_it_shall() {
    let files = Files::new();
    let file = files.write("one", &capture_of([(0, frame(1, 60))]));
    let plan = plan(&[&file]);
    let told = Player::open_until(&plan, &AtomicBool::new(true)).unwrap_err();
    assert_eq!(told, ["stopped before the captures were read through"]);
    assert!(Player::open_until(&plan, &AtomicBool::new(false)).is_ok());
}

#[test]
fn what_can_not_be_sent_is_told_or_left_out() {
    let files = Files::new();
    let lens = [60, 0, 13, 14, 1515, 1514, 0];
    let frames = lens.iter().zip(1..).map(|(&len, name)| (u64::from(name), frame(name, len)));
    let odd = files.write("odd", &capture_of(frames));
    let reading = Reading { frame_len_max: Some(1514), ..Reading::default() };
    let strict = ReplayPlan { reading, ..plan(&[&odd]) };
    let told = refusal(&strict);
    assert!(
        told.ends_with(
            "odd: frame 2 has no bytes; --leave-out sends the others (and 3 more like it)"
        ),
        "{told}"
    );
    let mut lax = strict;
    lax.reading.leave_out = true;
    assert_eq!(both_ways(&lax), [(0, 1), (3, 4), (5, 6)]);
    assert_eq!(Player::open(&lax).unwrap().totals().unwrap().left_out, 4);
    // Grown by an 802.1Q tag, the longest may be sent; by any other, it is too long.
    lax.rewrites.vlan = Some(VlanRewrite::Push { vlan: 7, ether_type: 0x8100 });
    assert_eq!(both_ways(&lax), [(0, 1), (3, 4), (5, 6)]);
    lax.rewrites.vlan = Some(VlanRewrite::Push { vlan: 7, ether_type: 0x88a8 });
    assert_eq!(both_ways(&lax), [(0, 1), (3, 4)]);
    lax.limit = Some(0);
    lax.reading.frame_len_max = Some(9);
    assert!(refusal(&lax).contains("nothing to send"));
}

#[test]
fn damage_is_told_before_anything_is_sent_unless_its_beginning_is_wanted() {
    let files = Files::new();
    let good = files.capture("good", &[(0, 1), (30, 2)]);
    let mut bytes = capture_of([(10, frame(3, 60)), (20, frame(4, 60))]);
    bytes.truncate(bytes.len() - 1);
    let cut = files.write("cut", &bytes);
    let both = ReplayPlan { loops: Some(2), ..plan(&[&good, &cut]) };
    let told = refusal(&both);
    assert!(
        told.contains(
            "cut: at byte 100, behind frame 1: the file is cut in this record; --until-damage"
        ),
        "{told}"
    );
    let mut part = both;
    part.reading.until_damage = true;
    let expected = [(0, 1), (10, 3), (30, 2), (45, 1), (55, 3), (75, 2)];
    for skip_scan in [false, true] {
        part.reading.skip_scan = skip_scan;
        let (frames, faults) = played(&part);
        assert_eq!(frames, expected);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
    // Of what is damaged from its start, nothing can be sent.
    let empty = files.write("empty", b"");
    part.files.push(empty);
    part.reading.skip_scan = false;
    assert!(refusal(&part).ends_with("empty: at byte 0: the file is empty"));
}

#[test]
fn silences_of_hours_are_told_or_cut() {
    const HOUR: u64 = 3_600_000_000_000;
    let files = Files::new();
    let long = files.capture("long", &[(0, 1), (1, 2), (2 + HOUR, 3), (3 + 99 * HOUR, 4)]);
    let whole = plan(&[&long]);
    let told = refusal(&whole);
    assert!(
        told.contains("long: frame 3 comes 1 hours or more after the one before; --gap-max cuts"),
        "{told}"
    );
    let cut = ReplayPlan { gap_max_ns: Some(5), ..whole.clone() };
    assert_eq!(both_ways(&cut), [(0, 1), (1, 2), (6, 3), (11, 4)]);
    let fast = ReplayPlan { timing: Timing::Original { speed: 1000.0 }, ..whole.clone() };
    assert_eq!(both_ways(&fast).len(), 4);
    let even = ReplayPlan { timing: Timing::Packets { per_second: 1e9 }, ..whole };
    assert_eq!(both_ways(&even).last(), Some(&(3, 4)));
}

#[test]
fn all_faults_are_told_at_once() {
    let files = Files::new();
    let foreign = files.write("foreign", b"GIF89a, and so on");
    let mut wrong = plan(&[&foreign, Path::new("/nonexistent/x"), files.0.path()]);
    wrong.timing = Timing::Packets { per_second: 0.0 };
    wrong.loops = Some(0);
    wrong.rewrites.vlan = Some(VlanRewrite::Set { vlan: 4095 });
    wrong.split = Some(Split { port: 1, by: SplitBy::Cache(PathBuf::from("/nonexistent/cache")) });
    let told = refusal(&wrong);
    for part in [
        "/nonexistent/x",
        "a directory",
        "frames per second",
        "no loop",
        "4095",
        "/nonexistent/cache",
        "--concatenate",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = refusal(&plan(&[&foreign]));
    assert!(told.contains("foreign: at byte 0: the file is not a capture"), "{told}");
    assert!(refusal(&plan(&[])).contains("no capture was given"));
    let none = files.write("none", &capture_of([(0, ""); 0]));
    assert!(refusal(&plan(&[&none])).contains("nothing to send"));
}

#[test]
fn a_pipe_is_played_as_it_comes() {
    let files = Files::new();
    let bytes = capture_of((0..1000u64).map(|n| (n, frame(n as u8, 1000))));
    let (reader, mut writer) = std::io::pipe().unwrap();
    let name = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let once = plan(&[Path::new(&name)]);
    assert!(refusal(&ReplayPlan { loops: None, ..once.clone() }).contains("only once"));
    let writing = std::thread::spawn(move || writer.write_all(&bytes));
    let mut player = Player::open(&once).unwrap();
    assert!(player.totals().is_none());
    let mut due = 0..1000;
    while player.advance() {
        assert_eq!(Some(player.frame().due_ns), due.next());
    }
    assert_eq!((due.next(), player.faults()), (None, [].as_slice()));
    writing.join().unwrap().unwrap();
    drop(files);
}

#[test]
fn a_file_that_changes_meanwhile_is_a_fault() {
    let files = Files::new();
    // More than is kept in memory.
    let large = capture_of((0..1100u64).map(|n| (n, frame(n as u8, 65_000))));
    let file = files.write("large", &large);
    for (len, frames) in [(large.len() - 7, 1099), (large.len() - 65_016, 1099), (0, 0)] {
        std::fs::write(&file, &large).unwrap();
        let mut player = Player::open(&plan(&[&file])).unwrap();
        assert_eq!(player.totals().unwrap().frames, 1100);
        std::fs::write(&file, &large[..len]).unwrap();
        let mut count = 0;
        while player.advance() {
            count += 1;
        }
        assert_eq!((count, player.faults().len()), (frames, 1), "{:?}", player.faults());
    }
}
