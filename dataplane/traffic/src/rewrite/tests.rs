//! What is to change changes, checksums follow, and nothing else does.

use engine::wire::checksum;
use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Every kind of rewriting of packets; addresses of the frames below are within the networks.
fn of_packets() -> Rewrites {
    Rewrites {
        addresses: vec![
            (net("10.0.0.0/8"), net("172.0.0.0/8")),
            (net("2001:db8::/32"), net("2001:db9::/32")),
        ],
        ports: vec![(53, 5353), (80, 8080), (53, 9)],
        increments: vec![net("172.1.0.0/16"), net("2001:db9:1::/48")],
        ..Rewrites::default()
    }
}

fn rewritten(rewrites: &Rewrites, frame: &[u8], side: usize, loop_number: u64) -> Vec<u8> {
    let rewriter = Rewriter::new(rewrites).unwrap();
    let (mut layers, mut to) = (Layers::of(frame), vec![9; 3]);
    rewriter.rewrite(frame, &mut layers, side, loop_number, &mut to);
    assert_eq!(layers, Layers::of(&to), "what is known of a frame changes with it");
    assert_eq!(to.len(), rewriter.len_of(frame));
    let is_tagged = to.len() >= 14 && to[12..14] == [0x81, 0];
    assert_eq!(rewriter.is_tagged_after(frame), is_tagged);
    to
}

/// An IPv4 packet with a right header checksum.
fn ipv4(protocol: u8, fragment: u16, upper: &[u8]) -> Vec<u8> {
    let len = (20 + upper.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 1, 2, 0, 0, 64, protocol, 0, 0, 10, 1, 0, 1, 10, 2, 0, 2];
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    let sum = checksum::finish(checksum::sum(&packet)).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    packet.extend(upper);
    packet
}

const V6_SRC: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6_DST: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next_header, 64];
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend(V6_SRC);
    packet.extend(V6_DST);
    packet.extend(payload);
    packet
}

fn ethernet_frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let [high, low] = ether_type.to_be_bytes();
    [&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, high, low], packet].concat()
}

/// The checksum of an upper layer with its pseudo-header, of zero where it is right.
fn residue(packet: &[u8], protocol: u8, at: usize) -> u16 {
    let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
    let upper = &packet[at..];
    let sum = checksum::sum(addresses) + checksum::sum(upper);
    checksum::finish(sum + u64::from(protocol) + upper.len() as u64)
}

/// An upper layer with a right checksum in a packet of these addresses.
fn with_checksum(mut upper: Vec<u8>, protocol: u8, field: usize, is_v6: bool) -> Vec<u8> {
    upper[field..field + 2].fill(0);
    let packet = if is_v6 { ipv6(protocol, &upper) } else { ipv4(protocol, 0, &upper) };
    let sum = residue(&packet, protocol, packet.len() - upper.len());
    upper[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    upper
}

fn header_residue(packet: &[u8]) -> u16 {
    checksum::finish(checksum::sum(&packet[..20]))
}

/// Ports 53 and 80 in front, and something behind.
fn segment(len: usize) -> Vec<u8> {
    let mut segment: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
    segment[..4].copy_from_slice(&[0, 53, 0, 80]);
    segment
}

/// Places at which two frames of the same length differ.
fn changed(one: &[u8], other: &[u8]) -> Vec<usize> {
    assert_eq!(one.len(), other.len());
    (0..one.len()).filter(|&at| one[at] != other[at]).collect()
}

#[test]
fn ethernet_addresses_are_those_of_the_side() {
    let rewrites = Rewrites {
        source_mac: [Some(CLIENT_MAC), Some(SERVER_MAC)],
        destination_mac: [None, Some(CLIENT_MAC)],
        ..Rewrites::default()
    };
    let frame = ethernet_frame(0x88cc, b"anything");
    let of_client = rewritten(&rewrites, &frame, 0, 0);
    assert_eq!(of_client, [&frame[..6], &CLIENT_MAC.0, &frame[12..]].concat());
    let of_server = rewritten(&rewrites, &frame, 1, 5);
    assert_eq!(of_server, [&CLIENT_MAC.0, &SERVER_MAC.0, &frame[12..]].concat());
    for len in 0..12 {
        let cut = rewritten(&rewrites, &frame[..len], 1, 0);
        assert_eq!(cut.get(..6), (len >= 6).then_some(CLIENT_MAC.0.as_slice()).or(cut.get(..6)));
    }
}

#[test]
fn tags_are_put_on_taken_off_and_changed() {
    let vlan = |vlan| Rewrites { vlan: Some(vlan), ..Rewrites::default() };
    let push = vlan(VlanRewrite::Push { vlan: 0x123, ether_type: 0x88a8 });
    let (pop, set) = (vlan(VlanRewrite::Pop), vlan(VlanRewrite::Set { vlan: 0x456 }));
    let frame = ethernet_frame(0x0800, &ipv4(17, 0, &segment(20)));
    let tagged = rewritten(&push, &frame, 0, 0);
    assert_eq!(tagged, [&frame[..12], &[0x88, 0xa8, 1, 0x23], &frame[12..]].concat());
    assert_eq!(rewritten(&pop, &tagged, 0, 0), frame);
    assert_eq!(rewritten(&pop, &frame, 0, 0), frame);
    assert_eq!(rewritten(&set, &frame, 0, 0), frame);
    // Priority 7 and drop eligibility stay.
    let mut urgent = tagged.clone();
    urgent[14] |= 0xf0;
    let changed = rewritten(&set, &urgent, 0, 0);
    assert_eq!(changed, [&frame[..12], &[0x88, 0xa8, 0xf4, 0x56], &frame[12..]].concat());
    // With two, the outer one.
    let double = rewritten(&push, &tagged, 0, 0);
    assert_eq!(rewritten(&pop, &double, 0, 0), tagged);
    // A tag that is cut is none, and what is no frame gets none.
    for len in 0..18 {
        assert_eq!(rewritten(&pop, &tagged[..len], 0, 0), tagged[..len]);
        assert_eq!(rewritten(&set, &tagged[..len], 0, 0), tagged[..len]);
        assert_eq!(rewritten(&push, &frame[..len], 0, 0).len(), len + 4 * usize::from(len >= 14));
    }
}

#[test]
fn what_can_not_be_rewritten_is_told() {
    for vlan in [
        VlanRewrite::Set { vlan: 0 },
        VlanRewrite::Set { vlan: 4095 },
        VlanRewrite::Push { vlan: 0, ether_type: 0x8100 },
        VlanRewrite::Push { vlan: 1, ether_type: 0x0800 },
    ] {
        let rewrites = Rewrites { vlan: Some(vlan), ..Rewrites::default() };
        assert_eq!(Rewriter::new(&rewrites).unwrap_err().len(), 1, "{vlan:?}");
    }
    assert!(Rewriter::new(&Rewrites::default()).unwrap().is_idle());
    assert!(!Rewriter::new(&of_packets()).unwrap().is_idle());
}

#[test]
fn addresses_and_ports_of_ipv4_change_and_all_checksums_stay_right() {
    for (protocol, field) in [(6, 16), (17, 6), (136, 6), (33, 6)] {
        for len in [20, 21, 1400] {
            let upper = with_checksum(segment(len), protocol, field, false);
            let frame = ethernet_frame(0x0800, &ipv4(protocol, 0, &upper));
            assert_eq!(residue(&frame[14..], protocol, 20), 0);
            let new = rewritten(&of_packets(), &frame, 0, 3);
            assert_eq!(new[26..34], [172, 1, 0, 4, 172, 2, 0, 2]);
            let ports =
                if matches!(protocol, 6 | 17) { [0x14, 0xe9, 0x1f, 0x90] } else { [0, 53, 0, 80] };
            assert_eq!(new[34..38], ports);
            assert_eq!((header_residue(&new[14..]), residue(&new[14..], protocol, 20)), (0, 0));
            let may = [24, 25, 26, 29, 30, 34, 35, 36, 37, 34 + field, 35 + field];
            assert!(changed(&frame, &new).iter().all(|at| may.contains(at)));
        }
    }
}

#[test]
fn addresses_of_ipv6_change_behind_extension_headers_too() {
    // Hop-by-hop options, destination options.
    let extensions = [[60, 0, 1, 4, 0, 0, 0, 0], [0, 0, 1, 4, 0, 0, 0, 0]];
    for (protocol, field) in [(6, 16), (17, 6), (58, 2), (89, 12), (103, 2), (112, 6)] {
        let mut upper = segment(40);
        if protocol == 58 {
            upper[0] = 128; // an echo request has no addresses inside
        }
        let upper = with_checksum(upper, protocol, field, true);
        let mut extended = extensions;
        extended[1][0] = protocol;
        let payload = [extended.as_flattened(), &upper].concat();
        for (packet, at) in [(ipv6(protocol, &upper), 40), (ipv6(0, &payload), 56)] {
            let frame = ethernet_frame(0x86dd, &packet);
            assert_eq!(residue(&packet, protocol, at), 0);
            let new = rewritten(&of_packets(), &frame, 1, 2);
            assert_eq!(new[22..26], [0x20, 1, 0x0d, 0xb9]);
            assert_eq!((new[37], new[53]), (3, 2));
            assert_eq!(residue(&new[14..], protocol, at), 0, "{protocol}");
        }
    }
}

#[test]
fn what_has_no_checksum_over_addresses_keeps_what_it_has() {
    let sctp = segment(40);
    let frame = ethernet_frame(0x0800, &ipv4(132, 0, &sctp));
    assert_eq!(rewritten(&of_packets(), &frame, 0, 0)[34..], sctp);
    // UDP without a checksum, over both.
    let mut udp = segment(40);
    udp[6..8].fill(0);
    let new = rewritten(&of_packets(), &ethernet_frame(0x0800, &ipv4(17, 0, &udp)), 0, 0);
    assert_eq!(new[38..], udp[4..]);
    let new = rewritten(&of_packets(), &ethernet_frame(0x86dd, &ipv6(17, &udp)), 0, 0);
    assert_eq!(new[58..], udp[4..]);
}

#[test]
fn of_fragments_only_the_first_has_ports() {
    let datagram = with_checksum(segment(64), 17, 6, false);
    let first =
        rewritten(&of_packets(), &ethernet_frame(0x0800, &ipv4(17, 0x2000, &datagram[..32])), 0, 0);
    let later =
        rewritten(&of_packets(), &ethernet_frame(0x0800, &ipv4(17, 4, &datagram[32..])), 0, 0);
    assert_eq!(later[34..], datagram[32..]);
    assert_eq!((header_residue(&first[14..]), header_residue(&later[14..])), (0, 0));
    // Put together again, the checksum is right.
    let whole = [&first[14..], &later[34..]].concat();
    assert_eq!(residue(&whole, 17, 20), 0);
}

#[test]
fn padding_and_what_is_cut_are_left_alone() {
    // The checksum would lie in what is padding: the packet ends before it.
    let frame = [ethernet_frame(0x0800, &ipv4(17, 0, &segment(4))), vec![0xaa; 22]].concat();
    assert_eq!(rewritten(&of_packets(), &frame, 0, 0)[38..], [0xaa; 22]);
    let udp = with_checksum(segment(40), 17, 6, false);
    let frame = ethernet_frame(0x0800, &ipv4(17, 0, &udp));
    let whole = rewritten(&of_packets(), &frame, 0, 1);
    for len in 34..frame.len() {
        let cut = rewritten(&of_packets(), &frame[..len], 0, 1);
        // As far as fields are there: ports with their last byte, the checksum with its last.
        let mut expected = whole[..len].to_vec();
        if len < 38 {
            expected[34..].copy_from_slice(&frame[34..len]);
        }
        if len == 41 {
            expected[40..].copy_from_slice(&frame[40..len]);
        }
        if (38..42).contains(&len) {
            expected.truncate(len);
        }
        assert_eq!(cut, expected, "{len}");
    }
}

#[test]
fn both_addresses_of_arp_change() {
    let request = [
        &[0, 1, 8, 0, 6, 4, 0, 1][..],
        &[2, 2, 2, 2, 2, 2, 10, 1, 0, 1],
        &[0, 0, 0, 0, 0, 0, 10, 2, 0, 2],
    ]
    .concat();
    let frame = ethernet_frame(0x0806, &request);
    let new = rewritten(&of_packets(), &frame, 0, 1);
    assert_eq!(new[28..32], [172, 1, 0, 2]);
    assert_eq!(new[38..42], [172, 2, 0, 2]);
    assert_eq!(changed(&frame, &new), [28, 31, 38]);
    // Of another protocol or hardware, nothing is known.
    for (at, value) in [(16, 9), (18, 5), (19, 16)] {
        let mut other = frame.clone();
        other[at] = value;
        assert_eq!(rewritten(&of_packets(), &other, 0, 1), other);
    }
}

#[test]
fn neighbor_discovery_names_its_targets_anew() {
    for (kind, targets) in [(135u8, 1), (136, 1), (137, 2), (134, 0)] {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend([V6_SRC, V6_DST, V6_SRC].as_flattened());
        let message = with_checksum(message, 58, 2, true);
        let frame = ethernet_frame(0x86dd, &ipv6(58, &message));
        let new = rewritten(&of_packets(), &frame, 0, 1);
        assert_eq!(residue(&new[14..], 58, 40), 0);
        let found =
            new[62..].as_chunks::<16>().0.iter().filter(|address| address[3] == 0xb9).count();
        assert_eq!(found, targets);
    }
}

#[test]
fn the_packet_that_an_error_quotes_changes_like_the_packet_did() {
    let udp = with_checksum(segment(40), 17, 6, false);
    let sent = ethernet_frame(0x0800, &ipv4(17, 0, &udp));
    let sent_new = rewritten(&of_packets(), &sent, 0, 2);
    for quoted_len in [28, 29, 60] {
        let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
        error.extend(&sent[14..14 + quoted_len]);
        let sum = checksum::finish(checksum::sum(&error)).to_be_bytes();
        error[2..4].copy_from_slice(&sum);
        let frame = ethernet_frame(0x0800, &ipv4(1, 0, &error));
        let new = rewritten(&of_packets(), &frame, 1, 2);
        assert_eq!(new[42..], sent_new[14..14 + quoted_len]);
        assert_eq!(checksum::finish(checksum::sum(&new[34..])), 0);
    }
    let udp = with_checksum(segment(40), 17, 6, true);
    let sent = ipv6(17, &udp);
    let sent_new = rewritten(&of_packets(), &ethernet_frame(0x86dd, &sent), 0, 2);
    let error = with_checksum([&[1, 4, 0, 0, 0, 0, 0, 0], sent.as_slice()].concat(), 58, 2, true);
    let new = rewritten(&of_packets(), &ethernet_frame(0x86dd, &ipv6(58, &error)), 1, 2);
    assert_eq!(new[62..], sent_new[14..]);
    assert_eq!(residue(&new[14..], 58, 40), 0);
}

#[test]
fn errors_about_errors_about_errors_end() {
    let mut packet = ipv4(17, 0, &segment(8));
    for _ in 0..2000 {
        packet = ipv4(1, 0, &[&[3, 3, 0, 0, 0, 0, 0, 0], packet.as_slice()].concat());
    }
    let frame = ethernet_frame(0x0800, &packet);
    let new = rewritten(&of_packets(), &frame, 0, 0);
    // The packet and the one that it quotes, up to its destination.
    let last = 14 + 20 + 8 + 16;
    assert!(changed(&frame, &new).last().is_some_and(|at| (last..last + 4).contains(at)));
}

#[test]
fn a_route_that_is_not_done_has_another_destination_in_the_checksum() {
    let far = [0x20, 1, 0x0d, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut udp = segment(40);
    udp[6..8].fill(0);
    let pseudo = [V6_SRC, far];
    let sum = checksum::sum(pseudo.as_flattened()) + checksum::sum(&udp);
    let sum = checksum::finish(sum + 17 + udp.len() as u64);
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    let routing = [&[17, 2, 0, 1, 0, 0, 0, 0], far.as_slice()].concat();
    let frame = ethernet_frame(0x86dd, &ipv6(43, &[routing, udp].concat()));
    let new = rewritten(&of_packets(), &frame, 0, 0);
    assert_eq!(new[41], 0xb9, "the next hop is changed");
    let src = new[22..38].first_chunk::<16>().copied().unwrap();
    let sum = checksum::sum([src, far].as_flattened()) + checksum::sum(&new[78..]);
    assert_eq!(checksum::finish(sum + 17 + 40), 0);
}

#[test]
fn a_source_route_that_is_not_done_has_another_destination_in_the_checksum() {
    let far = [10, 9, 9, 9];
    // The options: nothing, then a loose source route of one hop, at its beginning or at its end.
    for (pointer, last) in [(4, far), (8, [10, 2, 0, 2])] {
        let mut udp = segment(40);
        udp[6..8].fill(0);
        let sum = checksum::sum(&[10, 1, 0, 1]) + checksum::sum(&last) + checksum::sum(&udp);
        udp[6..8].copy_from_slice(&checksum::finish(sum + 17 + 40).to_be_bytes());
        let mut packet = ipv4(17, 0, &[]);
        packet.extend([1, 131, 7, pointer]);
        packet.extend(far);
        packet.extend(&udp);
        packet[0] = 0x47;
        packet[3] = 68;
        let new = rewritten(&of_packets(), &ethernet_frame(0x0800, &packet), 0, 0);
        assert_eq!(new[26..34], [172, 1, 0, 1, 172, 2, 0, 2]);
        let last = if pointer == 4 { far } else { [172, 2, 0, 2] };
        let sum = checksum::sum(&[172, 1, 0, 1]) + checksum::sum(&last) + checksum::sum(&new[42..]);
        assert_eq!(checksum::finish(sum + 17 + 40), 0, "{pointer}");
    }
}

#[test]
fn addresses_of_what_contradicts_itself_change_all_the_same() {
    let mut packet = ipv4(17, 0, &segment(20));
    packet[3] = 1; // shorter than its header
    let new = rewritten(&of_packets(), &ethernet_frame(0x0800, &packet), 0, 0);
    assert_eq!(new[26..34], [172, 1, 0, 1, 172, 2, 0, 2]);
    let cut = ipv6(0, &[17]); // extension headers run out
    let new = rewritten(&of_packets(), &ethernet_frame(0x86dd, &cut), 0, 0);
    assert_eq!((new[25], new[41]), (0xb9, 0xb9));
    packet[0] = 0x65;
    let other = ethernet_frame(0x0800, &packet);
    assert_eq!(rewritten(&of_packets(), &other, 0, 0), other);
}

/// Rewrites, and others that take them back.
fn there_and_back() -> [Rewrites; 2] {
    let nets = ["10.0.0.0/8", "172.0.0.0/8", "2001:db8::/32", "2001:db9::/32"].map(net);
    let there = Rewrites {
        addresses: vec![
            (nets[0], nets[1]),
            (nets[1], nets[0]),
            (nets[2], nets[3]),
            (nets[3], nets[2]),
        ],
        ports: vec![(53, 80), (80, 53)],
        ..Rewrites::default()
    };
    [there.clone(), there]
}

/// Frames that are nearly packets: noise behind headers that are nearly right.
fn nearly_packets() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let protocols = prop::sample::select(vec![0u8, 1, 6, 17, 33, 43, 44, 51, 58, 60, 89, 132, 136]);
    let spoilt = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (noise, protocols, any::<u16>(), 0..4u8, spoilt).prop_map(
        |(mut noise, protocol, word, kind, spoilt)| {
            if let Some([a, b, ..]) = noise.get_mut(..4) {
                (*a, *b) = (*a % 16, *b % 4);
            }
            let mut frame = match kind {
                0 => ethernet_frame(0x0800, &ipv4(protocol, 0, &noise)),
                1 => ethernet_frame(0x0800, &ipv4(protocol, word, &noise)),
                2 => ethernet_frame(0x86dd, &ipv6(protocol, &noise)),
                _ => ethernet_frame(
                    0x86dd,
                    &ipv6(
                        58,
                        &[&[1, 0, 7, 7, 0, 0, 0, 0], ipv6(protocol, &noise).as_slice()].concat(),
                    ),
                ),
            };
            if let Some((at, byte)) = spoilt {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            frame
        },
    )
}

/// The same but for checksums, which may be one zero or the other.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let is_zero = |at: usize, frame: &[u8]| {
        frame
            .get(at..at + 2)
            .is_some_and(|field| [[0, 0], [0xff, 0xff]].contains(&[field[0], field[1]]))
    };
    let mut at = 0;
    one.len() == other.len()
        && loop {
            if at >= one.len() {
                break true;
            }
            if one[at] == other[at] {
                at += 1;
            } else if is_zero(at, one) && is_zero(at, other) {
                at += 2;
            } else {
                break false;
            }
        }
}

proptest! {
    #[test]
    fn noise_is_rewritten_as_far_as_it_goes(frame: Vec<u8>, side in 0..3usize, loop_number: u64) {
        let mut all = of_packets();
        all.source_mac = [Some(CLIENT_MAC), Some(SERVER_MAC)];
        for vlan in [
            None,
            Some(VlanRewrite::Pop),
            Some(VlanRewrite::Set { vlan: 1 }),
            Some(VlanRewrite::Push { vlan: 1, ether_type: 0x8100 }),
        ] {
            all.vlan = vlan;
            rewritten(&all, &frame, side, loop_number);
        }
    }

    #[test]
    fn what_is_taken_back_is_as_it_was(frame in nearly_packets()) {
        let [there, back] = there_and_back();
        let new = rewritten(&there, &frame, 0, 0);
        let again = rewritten(&back, &new, 0, 0);
        prop_assert!(is_same(&frame, &again), "{frame:02x?}\n{new:02x?}\n{again:02x?}");
    }

    #[test]
    fn loops_change_nearly_packets_without_a_fault(frame in nearly_packets(), loop_number: u64) {
        rewritten(&of_packets(), &frame, 0, loop_number);
    }
}
