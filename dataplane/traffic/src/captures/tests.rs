//! Several files become one, in order.

use engine::sim::capture_of;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Files with frames at these times; a frame says which file and which place in it.
fn files(times: &[Vec<u64>]) -> (TempDir, Vec<PathBuf>) {
    let folder = TempDir::new().unwrap();
    let write = |(file, times): (usize, &Vec<u64>)| {
        let frames = times.iter().zip(0..).map(|(&time, place)| (time, [file as u8, place]));
        let path = folder.path().join(file.to_string());
        std::fs::write(&path, capture_of(frames)).unwrap();
        path
    };
    let paths = times.iter().enumerate().map(write).collect();
    (folder, paths)
}

/// The silences and frames of all, and how many files were open at most.
fn read(captures: &mut Captures) -> (Vec<(u64, [u8; 2])>, usize) {
    let (mut frames, mut open_max) = (Vec::new(), 0);
    while let Some(gap) = captures.advance().unwrap() {
        let name = *captures.frame().first_chunk().unwrap();
        let number = usize::from(name[1]) + 1;
        assert!(captures.place().ends_with(&format!("/{}: frame {number}", name[0])));
        frames.push((gap, name));
        open_max = open_max.max(captures.open.iter().flatten().count());
    }
    assert!(captures.frame().is_empty());
    (frames, open_max)
}

#[test]
fn of_many_files_some_are_open() {
    // Each begins when the one before ends.
    let times: Vec<Vec<u64>> = (0..200).map(|n| vec![10 * n, 10 * n + 5, 10 * n + 10]).collect();
    let (_folder, paths) = files(&times);
    let mut captures = Captures::new(paths, Joining::Merged, None);
    for _ in 0..2 {
        let (frames, open_max) = read(&mut captures);
        assert!(open_max <= OPEN_MAX + 2, "{open_max}");
        let span: u64 = frames.iter().skip(1).map(|(gap, _)| gap).sum();
        assert_eq!((frames.len(), span), (600, 2000));
        assert_eq!(captures.rewind(), 2000 / 599);
    }
    let (_, paths) = files(&times);
    let mut captures = Captures::new(paths, Joining::Concatenated, None);
    assert!(captures.advance().unwrap_err().sentence.contains("can't be opened"));
}

#[test]
fn one_after_the_other_is_open_alone() {
    let (_folder, paths) = files(&vec![vec![1, 2]; 100]);
    let (frames, open_max) = read(&mut Captures::new(paths, Joining::Concatenated, None));
    assert_eq!((frames.len(), open_max), (200, 1));
    assert!(frames.iter().skip(1).all(|(gap, _)| *gap == 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn merged_frames_are_in_the_order_of_time_then_of_files(
        mut times in prop::collection::vec(prop::collection::vec(0..50u64, 0..20), 1..6),
    ) {
        for times in &mut times {
            times.sort_unstable();
        }
        let (_folder, paths) = files(&times);
        let mut captures = Captures::new(paths, Joining::Merged, None);
        let (found, _) = read(&mut captures);
        let mut expected: Vec<_> = (0u8..).zip(&times).flat_map(|(file, times)| {
            times.iter().zip(0u8..).map(move |(&time, place)| (time, [file, place]))
        }).collect();
        expected.sort_unstable();
        let mut now = expected.first().map_or(0, |(time, _)| *time);
        for ((gap, name), (time, expected)) in found.iter().zip(&expected) {
            now += gap;
            prop_assert_eq!((now, name), (*time, expected));
        }
        prop_assert_eq!((found.len(), captures.backwards()), (expected.len(), 0));
    }
}
