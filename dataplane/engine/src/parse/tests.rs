mod dissection;

use proptest::prelude::*;

use super::*;
use crate::burst::BURST_MAX;
use crate::keys::Keys;
use crate::plain::{self, SHORT, head_of};
use crate::rule::{TCP, UDP};
use crate::simd;

/// A frame: addresses, then what follows them.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(parts.concat());
    bytes
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let fragment = fragment.to_be_bytes();
    let mut bytes = vec![0x45, 0, total[0], total[1], 0, 7, fragment[0], fragment[1], 64, protocol];
    bytes.extend([0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], next, 64];
    bytes.extend([0xfd; 16]);
    bytes.extend([0xfe; 16]);
    bytes.extend(payload);
    bytes
}

const V4: &[u8] = &[0x08, 0x00];
const V6: &[u8] = &[0x86, 0xdd];
/// Ports 1025 and 443, and four bytes more.
const PORTS: &[u8] = &[0x04, 0x01, 0x01, 0xbb, 0, 8, 0, 0];

fn kind(bytes: &[u8]) -> Kind {
    whole(bytes).kind
}

/// Both results of the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    kind: Kind,
    tags_len: u8,
    vid: u16,
    key: FlowKey,
}

fn whole(bytes: &[u8]) -> Outcome {
    parsed(bytes, bytes.len()).expect("a whole frame needs no more segments")
}

fn parsed(head: &[u8], len: usize) -> Result<Outcome, Split> {
    let mut parsed = Parsed::EMPTY;
    let key = parse(head, len, &mut parsed)?;
    let Parsed { kind, tags_len, vid } = parsed;
    Ok(Outcome { kind, tags_len, vid, key })
}

#[test]
fn udp_over_ipv4_is_read_with_its_ports() {
    let parsed = whole(&frame(&[V4, &ipv4(UDP, 0, PORTS)]));
    assert_eq!(
        parsed,
        Outcome {
            kind: Kind::Ip,
            tags_len: 0,
            vid: 0,
            key: FlowKey::new(
                Addresses::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() },
                Some(UDP),
                Some([4, 1, 1, 187]),
                None
            ),
        }
    );
}

#[test]
fn a_frame_shorter_than_ethernet_is_malformed() {
    for len in 0..14 {
        assert_eq!(kind(&frame(&[V4])[..len]), Kind::Malformed, "{len} bytes");
    }
    assert_eq!(kind(&frame(&[&[0x08, 0x06]])), Kind::NotIp);
}

#[test]
fn llc_and_other_ethertypes_are_not_ip() {
    for ethertype in [[0x00, 0x26], [0x05, 0xff], [0x88, 0x47], [0x08, 0x06], [0x86, 0xdc]] {
        assert_eq!(kind(&frame(&[&ethertype, &ipv4(UDP, 0, PORTS)])), Kind::NotIp);
    }
}

#[test]
fn up_to_four_tags_of_each_type_are_walked() {
    let tags: [&[u8]; 4] = [
        &[0x88, 0xa8, 0x00, 0x64],
        &[0x81, 0x00, 0x20, 0x05],
        &[0x91, 0x00, 0, 6],
        &[0x81, 0, 0, 7],
    ];
    for count in 1..=4 {
        let parsed = whole(&frame(&[&tags[..count].concat(), V4, &ipv4(UDP, 0, PORTS)]));
        assert_eq!((parsed.kind, parsed.tags_len), (Kind::Ip, 4 * count as u8));
        assert_eq!(parsed.vid, 100, "the outermost");
        assert_eq!(parsed.key.ports(), Some((1025, 443)));
    }
    let five = frame(&[&tags.concat(), tags[0], V4, &ipv4(UDP, 0, PORTS)]);
    assert_eq!(kind(&five), Kind::Malformed);
}

#[test]
fn a_tag_without_its_ethertype_is_malformed_and_still_names_its_vlan() {
    let tagged = frame(&[&[0x81, 0x00, 0xe0, 0x64], &[0x08, 0x06]]);
    for len in 14..18 {
        assert_eq!(kind(&tagged[..len]), Kind::Malformed, "{len} bytes");
    }
    assert_eq!(whole(&tagged[..15]).vid, 0);
    assert_eq!(whole(&tagged[..16]).vid, 100);
    assert_eq!(kind(&tagged), Kind::NotIp);
}

#[test]
fn impossible_ipv4_headers_are_malformed() {
    let good = ipv4(UDP, 0, PORTS);
    let with = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        kind(&frame(&[V4, &bad]))
    };
    assert_eq!(with(0, 0x45), Kind::Ip);
    assert_eq!(with(0, 0x65), Kind::Malformed, "version 6");
    assert_eq!(with(0, 0x44), Kind::Malformed, "header length 16");
    assert_eq!(with(0, 0x47), Kind::Ip, "header length 28, the whole packet");
    assert_eq!(with(0, 0x48), Kind::Malformed, "header length 32, beyond the frame");
    assert_eq!(with(3, 19), Kind::Malformed, "total length below the header");
    assert_eq!(with(3, 20), Kind::Ip);
    assert_eq!(with(3, 0), Kind::Ip, "an offload giant");
    assert_eq!(with(2, 0xff), Kind::Ip, "longer than the frame");
    for len in 14..34 {
        assert_eq!(kind(&frame(&[V4, &good])[..len]), Kind::Malformed, "{len} bytes");
    }
}

#[test]
fn ports_count_only_inside_the_ip_length() {
    let ports = |total: u8, pad: &[u8]| {
        let mut packet = ipv4(UDP, 0, PORTS);
        packet[3] = total;
        whole(&frame(&[V4, &packet, pad])).key.ports()
    };
    assert_eq!(ports(28, &[]), Some((1025, 443)));
    assert_eq!(ports(24, &[]), Some((1025, 443)), "the rest of the header may be cut");
    assert_eq!(ports(23, &[0; 20]), None, "the last byte of the ports lies in padding");
    assert_eq!(ports(20, &[0; 20]), None);
    assert_eq!(ports(0, &[]), Some((1025, 443)), "up to the end of the frame");
    let cut = frame(&[V4, &ipv4(UDP, 0, PORTS)]);
    assert_eq!(whole(&cut[..14 + 23]).key.ports(), None, "cut off by the capture");
    assert_eq!(whole(&cut[..14 + 24]).key.ports(), Some((1025, 443)));
}

#[test]
fn options_move_the_ports() {
    let mut packet = ipv4(UDP, 0, &[&[1; 8][..], PORTS].concat());
    packet[0] = 0x47;
    assert_eq!(whole(&frame(&[V4, &packet])).key.ports(), Some((1025, 443)));
}

#[test]
fn only_tcp_udp_and_sctp_have_ports() {
    for (protocol, has) in
        [(6, true), (17, true), (132, true), (1, false), (51, false), (136, false)]
    {
        let key = whole(&frame(&[V4, &ipv4(protocol, 0, PORTS)])).key;
        assert_eq!((key.ports().is_some(), key.protocol()), (has, Some(protocol)));
    }
}

#[test]
fn ipv4_fragments_show_ports_only_in_the_first() {
    let key = |field| whole(&frame(&[V4, &ipv4(UDP, field, PORTS)])).key;
    let (first, later, last) = (key(0x2000), key(0x2001), key(0x0001));
    assert_eq!(first.ports(), Some((1025, 443)));
    assert_eq!([later.ports(), last.ports()], [None; 2]);
    assert_eq!([later.hash(), last.hash()], [first.hash(); 2]);
    assert_ne!(key(0x4000).hash(), first.hash(), "don't fragment");
}

#[test]
fn impossible_ipv6_headers_are_malformed() {
    let good = frame(&[V6, &ipv6(UDP, PORTS)]);
    assert_eq!(whole(&good).key.ports(), Some((1025, 443)));
    for len in 14..54 {
        assert_eq!(kind(&good[..len]), Kind::Malformed, "{len} bytes");
    }
    assert_eq!(kind(&good[..54]), Kind::Ip);
    let mut bad = good.clone();
    bad[14] = 0x40;
    assert_eq!(kind(&bad), Kind::Malformed, "version 4");
    let mut giant = good;
    giant[18..20].fill(0);
    assert_eq!(whole(&giant).key.ports(), Some((1025, 443)), "payload length 0: to the end");
}

/// Hop-by-hop, routing, destination options and authentication, 8 bytes each but the last of 12.
const CHAIN: [(u8, &[u8]); 4] = [
    (0, &[0, 1, 4, 0, 0, 0, 0]),
    (43, &[0, 0, 0, 0, 0, 0, 0]),
    (60, &[0, 1, 4, 0, 0, 0, 0]),
    (51, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
];

/// A chain of extension headers, then `upper` with `payload`.
fn chain(headers: &[(u8, &[u8])], upper: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, (_, body)) in headers.iter().enumerate() {
        bytes.push(headers.get(at + 1).map_or(upper, |next| next.0));
        bytes.extend(*body);
    }
    bytes.extend(payload);
    frame(&[V6, &ipv6(headers.first().map_or(upper, |first| first.0), &bytes)])
}

#[test]
fn extension_headers_are_walked_in_any_order() {
    for turn in 0..CHAIN.len() {
        let mut headers = CHAIN;
        headers.rotate_left(turn);
        let key = whole(&chain(&headers, UDP, PORTS)).key;
        assert_eq!((key.protocol(), key.ports()), (Some(UDP), Some((1025, 443))), "from {turn}");
    }
}

#[test]
fn behind_eight_extension_headers_there_is_no_layer_4() {
    let one: (u8, &[u8]) = CHAIN[2];
    let eight = whole(&chain(&[one; 8], UDP, PORTS)).key;
    assert_eq!((eight.protocol(), eight.ports()), (Some(UDP), Some((1025, 443))));
    let nine = whole(&chain(&[one; 9], UDP, PORTS));
    assert_eq!((nine.kind, nine.key.protocol(), nine.key.ports()), (Kind::Ip, None, None));
}

#[test]
fn a_chain_that_runs_out_of_the_packet_is_malformed() {
    let good = chain(&CHAIN[..2], UDP, &[]);
    assert_eq!(kind(&good), Kind::Ip);
    for len in 54..good.len() {
        assert_eq!(kind(&good[..len]), Kind::Malformed, "{len} bytes");
    }
    // The second header ends beyond the payload length, though the frame goes on.
    let mut short = chain(&CHAIN[..2], UDP, PORTS);
    short[19] = 15;
    assert_eq!(kind(&short), Kind::Malformed);
    short[19] = 16;
    assert_eq!(kind(&short), Kind::Ip);
}

#[test]
fn ipv6_fragments_carry_the_protocol_that_their_header_names() {
    let fragment = |field: u16, next: u8| {
        let [high, low] = field.to_be_bytes();
        let body = [0, high, low, 0, 0, 0, 9];
        whole(&chain(&[(44, &body)], next, PORTS)).key
    };
    let (first, later) = (fragment(0x0001, UDP), fragment(0x0008, UDP));
    assert_eq!((first.protocol(), first.ports()), (Some(UDP), Some((1025, 443))));
    assert_eq!((later.protocol(), later.ports()), (Some(UDP), None));
    assert_eq!(first.hash(), later.hash());
    let atomic = fragment(0x0000, UDP);
    assert_eq!(atomic.ports(), Some((1025, 443)));
    assert_ne!(atomic.hash(), first.hash());
    assert_eq!(fragment(0x0006, UDP).hash(), atomic.hash(), "reserved bits say nothing");
    assert_eq!(fragment(0x0008, 60).protocol(), Some(60), "not walked: only its name is known");
}

#[test]
fn headers_that_are_not_walked_are_protocols() {
    for protocol in [50, 59, 135, 139, 140, 58] {
        let key = whole(&chain(&CHAIN[..1], protocol, PORTS)).key;
        assert_eq!((key.protocol(), key.ports()), (Some(protocol), None));
    }
}

/// The keys of the frames that are plain; vectors of each width and their portable twin say the same.
fn plain_keys(frames: &[Vec<u8>]) -> Vec<Option<FlowKey>> {
    let mut heads = [SHORT; BURST_MAX];
    let mut rooms = [*SHORT; BURST_MAX];
    for ((head, frame), room) in heads.iter_mut().zip(frames).zip(&mut rooms) {
        *head = head_of(frame, room);
    }
    let found = |plain: u64, keys: &Keys| -> Vec<_> {
        (0..frames.len()).map(|at| (plain >> at & 1 == 1).then(|| keys.get(at))).collect()
    };
    let mut keys = Keys::default();
    let portable = found(plain::plain_keys(&heads, frames.len(), &mut keys), &keys);
    for (frame, key) in frames.iter().zip(&portable).filter(|(frame, _)| frame.len() >= PLAIN_LEN) {
        assert_eq!(plain_hash(frame), key.map(|key| key.hash()));
    }
    simd::with_each_width(|| {
        let mut keys = Keys::default();
        if let Some(plain) = simd::plain_keys(&heads, frames.len(), &mut keys) {
            assert_eq!(found(plain, &keys), portable);
        }
    });
    portable
}

#[test]
fn nearly_all_frames_are_plain() {
    let with = |mut packet: Vec<u8>, at: usize, value: u8| {
        packet[at] = value;
        packet
    };
    let payload = [PORTS, &[0; 32]].concat();
    let (v4, v6) = (ipv4(UDP, 0, &payload), ipv6(UDP, &payload));
    let cases = [
        (frame(&[V4, &v4]), true),
        (frame(&[V4, &ipv4(TCP, 0x4000, &payload)]), true),
        (frame(&[V4, &ipv4(1, 0, &payload)]), true),
        (frame(&[V4, &with(with(v4.clone(), 1, 0xff), 3, 24)]), true),
        (frame(&[V6, &v6]), true),
        (frame(&[V6, &with(with(ipv6(58, &payload), 0, 0x6f), 1, 0xff)]), true),
        (frame(&[V6, &with(v6.clone(), 5, 4)])[..58].to_vec(), true),
        (frame(&[V6, &v6])[..57].to_vec(), false),
        (frame(&[V4, &v4])[..57].to_vec(), true),
        (frame(&[V4, &v4])[..38].to_vec(), true),
        (frame(&[V4, &v4])[..37].to_vec(), false),
        (frame(&[V4, &with(v4.clone(), 0, 0x46)]), false),
        (frame(&[V4, &with(v4.clone(), 0, 0x65)]), false),
        (frame(&[V4, &with(v4.clone(), 3, 23)]), false),
        (frame(&[V4, &ipv4(UDP, 0x2000, &payload)]), false),
        (frame(&[V4, &ipv4(UDP, 0x0001, &payload)]), false),
        (frame(&[V6, &with(v6.clone(), 5, 3)]), false),
        (frame(&[V6, &with(v6, 0, 0x40)]), false),
        (frame(&[V6, &ipv6(43, &payload)]), false),
        (frame(&[V6, &ipv6(44, &payload)]), false),
        (frame(&[V6, &ipv6(51, &payload)]), false),
        (frame(&[V6, &ipv6(60, &payload)]), false),
        (frame(&[V6, &ipv6(0, &payload)]), false),
        (frame(&[&[0x81, 0, 0, 5], V4, &v4]), false),
        (frame(&[&[0x08, 0x06], &[0; 46]]), false),
    ];
    let keys = plain_keys(&cases.clone().map(|(frame, _)| frame));
    for (at, ((frame, is_plain), key)) in cases.iter().zip(keys).enumerate() {
        assert_eq!(key.is_some(), *is_plain, "{at}");
        let of_all = whole(frame).key;
        assert!(key.is_none_or(|key| key == of_all), "{at}: {key:?}, not {of_all:?}");
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    // Noise that often gets past the EtherType, and mutated frames that are nearly right.
    let raw = prop::collection::vec(any::<u8>(), 0..200);
    let typed = (prop::sample::select(vec![V4, V6, &[0x81, 0x00], &[0x88, 0xa8]]), raw.clone())
        .prop_map(|(ethertype, tail)| frame(&[ethertype, &tail]));
    let mutated =
        (0..4usize, any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>())
            .prop_map(|(base, at, value, cut)| {
                let mut bytes = match base {
                    0 => frame(&[V4, &ipv4(6, 0, PORTS)]),
                    1 => chain(&CHAIN, UDP, PORTS),
                    2 => frame(&[V6, &ipv6(UDP, PORTS)]),
                    _ => frame(&[&[0x81, 0, 0, 5], V6, &ipv6(6, PORTS)]),
                };
                let at = at.index(bytes.len());
                bytes[at] = value;
                let cut = cut.index(bytes.len() + 1);
                if value & 1 == 0 {
                    bytes.truncate(cut);
                }
                bytes
            });
    prop_oneof![raw, typed, mutated]
}

proptest! {
    #[test]
    fn noise_is_parsed_and_segments_change_nothing(bytes in noise(), cut: prop::sample::Index) {
        let whole = parsed(&bytes, bytes.len());
        prop_assert!(whole.is_ok());
        let head = &bytes[..cut.index(bytes.len() + 1)];
        if let Ok(of_head) = parsed(head, bytes.len()) {
            // What the first segment alone proves is what the whole frame proves.
            prop_assert_eq!(Ok(of_head), whole);
        }
    }

    #[test]
    fn the_way_for_plain_frames_is_the_general_way(
        frames in prop::collection::vec((noise(), 0usize..60), 1..BURST_MAX),
    ) {
        let padded = |(mut bytes, pad): (Vec<u8>, usize)| {
            bytes.resize(bytes.len().max(pad), 0);
            bytes
        };
        let frames: Vec<_> = frames.into_iter().map(padded).collect();
        for (frame, key) in frames.iter().zip(plain_keys(&frames)) {
            let of_all = parsed(frame, frame.len()).unwrap();
            if let Some(key) = key {
                let expected = Outcome { kind: Kind::Ip, tags_len: 0, vid: 0, key };
                prop_assert_eq!(of_all, expected);
            }
        }
    }

    #[test]
    fn a_packet_alone_says_what_it_says_in_a_frame(mut packet in noise(), is_v6: bool) {
        let ethertype = if is_v6 { ethertype::IPV6 } else { ethertype::IPV4 };
        if let Some(first) = packet.first_mut() {
            *first = if is_v6 { 0x60 } else { 0x45 };
        }
        let frame = frame(&[&ethertype.to_be_bytes(), &packet]);
        let shifted = dissect_ip(&packet, ethertype).map(|headers| {
            headers.map(|headers| Headers {
                upper_at: headers.upper_at + 14,
                end: headers.end + 14,
                ..headers
            })
        });
        prop_assert_eq!(shifted, dissect(&frame));
        prop_assert_eq!(dissect_ip(&packet, 0x0806), Ok(None));
    }

    #[test]
    fn headers_len_max_is_enough_for_any_frame(tail in prop::collection::vec(any::<u8>(), 0..64)) {
        // The longest chain there is: eight headers of 2,048 bytes behind four tags.
        let mut bytes = frame(&[&[0x81, 0, 0, 1].repeat(4), V6, &ipv6(60, &[])]);
        bytes[12 + 16 + 2 + 4..][..2].fill(0);
        for at in 0..EXTENSIONS_MAX {
            let mut header = vec![0u8; 2048];
            header[0] = if at + 1 == EXTENSIONS_MAX { UDP } else { 60 };
            header[1] = 255;
            bytes.extend(header);
        }
        bytes.extend(PORTS);
        bytes.extend(tail);
        let head = &bytes[..HEADERS_LEN_MAX];
        prop_assert_eq!(parsed(head, bytes.len()).map(|parsed| parsed.key.ports()), Ok(Some((1025, 443))));
    }
}
