use engine::parse::dissect;
use engine::sim::capture_of;
use engine::wire::{ipv4, ipv6};
use proptest::prelude::*;

use super::*;
use crate::trial::{Made, Spread};

const STAMPS: Stamps = Stamps { secret: 99, trial: 3 };

fn path() -> Path {
    Path {
        port: "p0".to_owned(),
        source_mac: Mac([2, 0, 0, 0, 0, 1]),
        destination_mac: Mac([2, 0, 0, 0, 0, 2]),
        mtu: 1600,
        is_reverse: false,
    }
}

fn made(sizes: &[u16]) -> Made {
    Made { flows: 1000, spread: Spread::Uniform, seed: 5, ..samples::made(sizes) }
}

fn compiled(made: Made) -> FrameSet {
    FrameSet::new(&Frames::Made(made), &path()).unwrap()
}

/// A frame as it is sent.
fn frame(set: &FrameSet, number: u64, ticks: u64) -> Vec<u8> {
    let mut bytes = vec![0xee; set.len_of(number)];
    let unsealed = set.write(number, &mut bytes);
    // The second time counts.
    unsealed.seal(STAMPS, 1, ticks + 5, &mut bytes);
    unsealed.seal(STAMPS, 1, ticks, &mut bytes);
    bytes
}

fn looks(set: &FrameSet, frame: &[u8], likeness: Likeness) -> Looks {
    let (at, stamp) = set.place().find(frame, STAMPS).unwrap();
    let (flow, looks) = set.examine(&stamp, at, frame, likeness);
    assert_eq!(flow, set.flow_of(stamp.number));
    looks
}

const COPIED: Likeness = Likeness::Copied { len_max: usize::MAX };

/// The checksums of IP and UDP from `ip_at` on are right, by RFC 1071 and the whole bytes.
fn assert_checksums(frame: &[u8], ip_at: usize) {
    let ip = &frame[ip_at..];
    let (addresses, upper) = if ip[0] >> 4 == 4 {
        assert_eq!(checksum::finish(checksum::sum(&ip[..ipv4::HEADER_LEN])), 0);
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        (&ip[12..20], &ip[20..])
    } else {
        assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), ip.len() - ipv6::HEADER_LEN);
        (&ip[8..40], &ip[40..])
    };
    assert_eq!(usize::from(u16::from_be_bytes([upper[4], upper[5]])), upper.len());
    assert_ne!(upper[6..8], [0, 0]);
    let pseudo = checksum::sum(addresses) + 17 + upper.len() as u64;
    assert_eq!(checksum::finish(pseudo + checksum::sum(upper)), 0);
}

#[test]
fn made_frames_are_sound_and_come_back_right() {
    for (is_v6, vlan, vni) in [
        (false, None, None),
        (true, None, None),
        (false, Some(7), None),
        (true, Some(7), Some(0x1234)),
        (false, None, Some(1)),
    ] {
        let set = compiled(Made { is_v6, vlan, vni, ..made(&[100, 141, 594]) });
        let outer = if vni.is_some() { 50 } else { 0 };
        let tag = if vlan.is_some() { 4 } else { 0 };
        for number in (0..500).chain([1 << 40]) {
            let frame = frame(&set, number, number << 20);
            let size = [100, 141, 594][(number % 3) as usize];
            assert_eq!(frame.len(), size - FCS_LEN + outer);
            assert_checksums(&frame[outer..], 14 + tag);
            let headers = dissect(&frame[outer..]).unwrap().unwrap();
            assert_eq!(headers.protocol, Some(17));
            if vni.is_some() {
                let outer = dissect(&frame).unwrap().unwrap();
                assert_eq!(outer.ports.unwrap()[2..], 4789u16.to_be_bytes());
                assert_eq!(checksum::finish(checksum::sum(&frame[14..34])), 0);
            }
            assert_eq!(looks(&set, &frame, Likeness::Forwarded), Looks::Right);
            assert_eq!(looks(&set, &frame, COPIED), Looks::Right);
        }
    }
}

#[test]
fn frames_of_one_flow_have_one_key_and_others_another() {
    let set = compiled(made(&[64]));
    let key = |number| dissect(&frame(&set, number, 0)).unwrap().unwrap().key();
    for (one, other) in (0..300).zip(1..) {
        assert_eq!(key(one) == key(other), set.flow_of(one) == set.flow_of(other));
    }
}

#[test]
fn what_a_router_changes_is_right_and_other_headers_are_rewritten() {
    let set = compiled(Made { vlan: Some(5), ..made(&[128]) });
    let sent = frame(&set, 3, 77);
    for (at, forwarded) in [
        (0, Looks::Right),
        (11, Looks::Right),
        (12 + 3, Looks::Rewritten),
        (18 + 8, Looks::Right),
        (18 + 9, Looks::Rewritten),
        (18 + 10, Looks::Right),
        (18 + 11, Looks::Right),
        (18 + 12, Looks::Rewritten),
        (38 + 7, Looks::Rewritten),
        (46 + STAMP_LEN, Looks::Corrupted),
        (123, Looks::Corrupted),
    ] {
        let mut came = sent.clone();
        came[at] ^= 0x40;
        assert_eq!(looks(&set, &came, Likeness::Forwarded), forwarded, "byte {at}");
        assert_eq!(looks(&set, &came, COPIED), Looks::Corrupted, "byte {at}");
    }
    for len in [123, 125] {
        let mut came = sent.clone();
        came.resize(len, 0);
        assert_eq!(looks(&set, &came, Likeness::Forwarded), Looks::Corrupted);
        assert_eq!(looks(&set, &came, COPIED), Looks::Corrupted);
    }
}

#[test]
fn a_tag_may_be_taken_off_or_put_on() {
    let set = compiled(Made { vlan: Some(5), ..made(&[128]) });
    let sent = frame(&set, 3, 77);
    let without = [&sent[..12], &sent[16..]].concat();
    assert_eq!(looks(&set, &without, COPIED), Looks::Right);
    assert_eq!(looks(&set, &without, Likeness::Forwarded), Looks::Rewritten);
    let with = [&sent[..12], &[0x81, 0, 0, 9], &sent[12..]].concat();
    assert_eq!(looks(&set, &with, Likeness::Forwarded), Looks::Rewritten);
    assert_eq!(looks(&set, &with, COPIED), Looks::Corrupted);
}

#[test]
fn copies_may_be_cut_where_they_shall() {
    let set = compiled(made(&[128]));
    let sent = frame(&set, 3, 77);
    let likeness = Likeness::Copied { len_max: 80 };
    assert_eq!(looks(&set, &sent[..80], likeness), Looks::Right);
    assert_eq!(looks(&set, &sent[..79], likeness), Looks::Corrupted);
    assert_eq!(looks(&set, &sent[..81], likeness), Looks::Corrupted);
    assert_eq!(looks(&set, &sent, Likeness::Copied { len_max: 124 }), Looks::Right);
    assert_eq!(looks(&set, &sent[..60], Likeness::Copied { len_max: 60 }), Looks::Right);
}

#[test]
fn sizes_that_cannot_be_are_told_with_the_least_and_the_most() {
    for (is_v6, vlan, vni, least) in [
        (false, None, None, 64),
        (false, Some(1), None, 68),
        (true, None, None, 84),
        (true, Some(1), Some(9), 88),
    ] {
        let plan = |size| Made { is_v6, vlan, vni, ..made(&[1000, size]) };
        compiled(plan(least));
        let error = FrameSet::new(&Frames::Made(plan(least - 1)), &path()).unwrap_err();
        assert!(error.to_string().contains(&format!("these frames need {least}")), "{error}");
    }
    compiled(made(&[1618]));
    compiled(Made { vlan: Some(1), ..made(&[1622]) });
    compiled(Made { vni: Some(1), ..made(&[1568]) });
    for plan in [
        made(&[1619]),
        Made { vlan: Some(1), ..made(&[1623]) },
        Made { vni: Some(1), ..made(&[1569]) },
    ] {
        let error = FrameSet::new(&Frames::Made(plan), &path()).unwrap_err();
        assert!(matches!(error, FramesError::Large { .. }), "{error}");
    }
}

#[test]
fn plans_out_of_range_are_told() {
    let zipf = |exponent| Made { spread: Spread::Zipf { exponent }, ..made(&[64]) };
    for plan in [
        made(&[]),
        Made { flows: 0, ..made(&[64]) },
        Made { flows: FLOWS_MAX + 1, ..made(&[64]) },
        zipf(0.0),
        zipf(f64::NAN),
        zipf(11.0),
        Made { vlan: Some(4095), ..made(&[100]) },
        Made { vni: Some(1 << 24), ..made(&[100]) },
    ] {
        assert!(FrameSet::new(&Frames::Made(plan.clone()), &path()).is_err(), "{plan:?}");
    }
}

#[test]
fn a_captures_frames_are_as_they_are_but_for_the_stamp() {
    let made_set = compiled(Made { flows: 2, spread: Spread::RoundRobin, ..made(&[64, 200]) });
    let mut frames: Vec<_> = (0..4).map(|number| frame(&made_set, number, 0)).collect();
    frames.push(vec![3; 20]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.pcap");
    std::fs::write(&file, capture_of(frames.iter().map(|frame| (0, frame)))).unwrap();
    let set = FrameSet::new(&Frames::Capture(file.clone()), &path()).unwrap();
    assert_eq!((set.place(), set.len_max(), set.flows()), (Place::Last, 196, 3));
    for number in 0..10 {
        let sent = frame(&set, number, 9);
        let mut original = frames[number as usize % 5].clone();
        original.resize(original.len().max(60), 0);
        let kept = original.len() - STAMP_LEN;
        assert_eq!(sent[..kept], original[..kept]);
        assert_eq!(looks(&set, &sent, Likeness::Forwarded), Looks::Right);
        let mut came = sent.clone();
        came[0] ^= 1;
        assert_eq!(looks(&set, &came, Likeness::Forwarded), Looks::Right);
        assert_eq!(looks(&set, &came, COPIED), Looks::Corrupted);
        came[kept - 1] ^= 1;
        assert_eq!(looks(&set, &came, Likeness::Forwarded), Looks::Rewritten);
    }
    assert_eq!([0, 1, 2, 3, 4].map(|number| set.flow_of(number)), [1, 2, 2, 1, 0]);
    for (what, bytes) in [("empty", capture_of::<&[u8]>([])), ("foreign", b"hello".to_vec())] {
        std::fs::write(&file, bytes).unwrap();
        let error = FrameSet::new(&Frames::Capture(file.clone()), &path()).unwrap_err();
        assert!(error.to_string().contains("some.pcap"), "{what}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sizes_and_numbers_have_right_checksums(
        size in 88u16..1600,
        is_v6: bool,
        number in 0u64..1 << 48,
        ticks: u64,
        seed: u64,
    ) {
        let set = compiled(Made { is_v6, seed, ..made(&[size]) });
        let frame = frame(&set, number, ticks);
        assert_checksums(&frame, 14);
        prop_assert_eq!(looks(&set, &frame, COPIED), Looks::Right);
    }
}
