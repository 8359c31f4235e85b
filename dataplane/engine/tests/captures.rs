//! Other people's captures, read by us and by Wireshark: the same frames at the same times.
//!
//! The captures are not part of this repository. `LINETAP_SHARED` names the directory that has them
//! in `captures/`, with a table `packets.tsv` of what they hold; without it the test says so and
//! passes.

// Miri keeps programs from files and other programs.
#![cfg(not(miri))]
#![expect(clippy::unwrap_used, reason = "a panic is a test's way to fail")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::sim::{CaptureError, CaptureFault, CaptureReader, LinkType};

/// Has a frame whose microseconds, as nanoseconds, don't fit the field in which editcap writes them.
const FRACTION_OF_MANY_SECONDS: &str = "malformed/rx_serviceid_oobr.pcap";

/// (nanoseconds since 1970, bytes)
type Frame = (u64, Vec<u8>);

/// One line of `packets.tsv`.
struct Listed {
    path: PathBuf,
    packets: usize,
    link_types: Vec<u32>,
    is_damaged: bool,
}

fn listed() -> Option<Vec<Listed>> {
    let shared = std::env::var_os("LINETAP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let captures = shared.join("captures");
    let Ok(table) = fs::read_to_string(captures.join("packets.tsv")) else {
        eprintln!("absent, so not read: {}", captures.display());
        return None;
    };
    let lines = table.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        Listed {
            path: captures.join(fields[0]),
            packets: fields[2].parse().unwrap(),
            link_types: fields[4].split(',').map(|number| number.parse().unwrap()).collect(),
            is_damaged: !fields[7].is_empty(),
        }
    });
    Some(lines.collect())
}

fn read(path: &Path) -> (Vec<Frame>, Option<CaptureError>) {
    let mut reader = CaptureReader::new(File::open(path).unwrap());
    let mut frames = Vec::new();
    loop {
        match reader.advance() {
            Ok(true) => frames.push((reader.timestamp_ns(), reader.frame().to_vec())),
            Ok(false) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The frames as Wireshark's readers rewrite them: editcap, which is faster, or tshark, which can
/// leave out what is no frame.
fn read_by_wireshark(path: &Path, into: &Path) -> Option<Vec<Frame>> {
    let mut command = if path.extension().is_some_and(|kind| kind == "pcapng") {
        let mut tshark = Command::new("tshark");
        tshark.args(["-Y", "frame.encap_type == 1", "-r"]).arg(path).arg("-w").arg(into);
        tshark
    } else {
        let mut editcap = Command::new("editcap");
        editcap.arg(path).arg(into);
        editcap
    };
    let out = command
        .args(["-F", "nsecpcap"])
        .output()
        .inspect_err(|error| {
            eprintln!("so not compared: {error}; install wireshark-common and tshark");
        })
        .ok()?;
    let (frames, error) = read(into);
    assert!(error.is_none(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    Some(frames)
}

#[test]
fn other_peoples_captures_hold_what_their_table_says() {
    let Some(listed) = listed() else { return };
    assert!(listed.len() > 100);
    for file in listed {
        let (frames, error) = read(&file.path);
        let name = file.path.display();
        let is_foreign = |fault: &CaptureFault| matches!(fault, CaptureFault::LinkType(_));
        if file.link_types == [LinkType::ETHERNET.0] {
            assert_eq!(frames.len(), file.packets, "{name}: {error:?}");
            assert_eq!(error.is_some(), file.is_damaged, "{name}: {error:?}");
        } else {
            assert!(frames.len() < file.packets, "{name}");
            assert!(error.is_some_and(|error| is_foreign(&error.fault)), "{name}");
        }
    }
}

#[test]
fn other_peoples_captures_read_as_wireshark_reads_them() {
    let Some(listed) = listed() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for file in listed {
        if file.link_types != [LinkType::ETHERNET.0] {
            continue; // Wireshark can't write several link types as pcap
        }
        let (frames, _) = read(&file.path);
        let Some(theirs) = read_by_wireshark(&file.path, &scratch.path().join("rewritten.pcap"))
        else {
            return;
        };
        // Wireshark gives frames without a time the time 0.
        let odd = file.path.ends_with(FRACTION_OF_MANY_SECONDS);
        let same = |((time, bytes), (their_time, their_bytes)): (&Frame, &Frame)| {
            bytes == their_bytes && (time == their_time || *their_time == 0 || odd)
        };
        assert_eq!(frames.len(), theirs.len(), "{}", file.path.display());
        assert!(frames.iter().zip(&theirs).all(same), "{} reads otherwise", file.path.display());
        compared += frames.len();
    }
    eprintln!("{compared} frames compared");
    assert!(compared > 40_000);
}
