use proptest::prelude::*;

use super::*;
use crate::parse::dissect;
use crate::rule::TCP;

const OURS: u16 = 8472;
const INNER_SRC: u8 = 77;

fn be(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap().to_be_bytes()
}

fn ethernet_of(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ethertype.to_be_bytes(), packet].concat()
}

fn ipv4(src: u8, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [f0, f1] = fragment.to_be_bytes();
    let [l0, l1] = be(20 + payload.len());
    let header = [0x45, 0, l0, l1, 0, 0, f0, f1, 64, protocol, 0, 0, 10, 0, 0, src, 10, 0, 1, src];
    [&header[..], payload].concat()
}

fn ipv6(src: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = be(payload.len());
    let addresses = [[0xfd; 15].as_slice(), &[src], &[0xfe; 15], &[src]].concat();
    [&[0x60, 0, 0, 0, l0, l1, next, 64][..], &addresses, payload].concat()
}

fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
    [&be(50_000)[..], &port.to_be_bytes(), &be(8 + payload.len()), &[0, 0], payload].concat()
}

/// Ports 1025 and 443, and more of a TCP header.
const SEGMENT: [u8; 20] = [4, 1, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0, 9, 0, 0, 0, 0];

fn inner_v4() -> Vec<u8> {
    ipv4(INNER_SRC, TCP, 0, &SEGMENT)
}

fn inner_v6() -> Vec<u8> {
    ipv6(INNER_SRC, TCP, &SEGMENT)
}

fn vxlan_of(frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 7, 0], frame].concat()
}

fn gtp_u(flags: u8, kind: u8, more: &[u8], packet: &[u8]) -> Vec<u8> {
    let [l0, l1] = be(more.len() + packet.len());
    [&[flags, kind, l0, l1, 0, 0, 0, 5][..], more, packet].concat()
}

fn over_v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet_of(0x0800, &ipv4(1, protocol, 0, payload))
}

/// What a packet's own frame has for a key.
fn key_of(ethertype: u16, packet: &[u8]) -> Option<FlowKey> {
    Some(dissect(&ethernet_of(ethertype, packet)).unwrap()?.key())
}

fn v4() -> Option<FlowKey> {
    key_of(0x0800, &inner_v4())
}

fn v6() -> Option<FlowKey> {
    key_of(0x86dd, &inner_v6())
}

#[test]
fn the_frame_in_vxlan_decides_at_both_ports_over_both_families_and_with_tags() {
    for (ethertype, packet, key) in [(0x0800, inner_v4(), v4()), (0x86dd, inner_v6(), v6())] {
        let payload = vxlan_of(&ethernet_of(ethertype, &packet));
        for port in [4789, OURS] {
            let datagram = udp_to(port, &payload);
            assert_eq!(inner_key(&over_v4(UDP, &datagram), OURS), key);
            let over_v6 = ethernet_of(0x86dd, &ipv6(1, UDP, &datagram));
            assert_eq!(inner_key(&over_v6, OURS), key);
            let tagged = [&[0, 5], &0x0800_u16.to_be_bytes()[..], &ipv4(1, UDP, 0, &datagram)];
            assert_eq!(inner_key(&ethernet_of(0x8100, &tagged.concat()), OURS), key);
        }
        let tagged = [&[0, 5], &ethertype.to_be_bytes()[..], &packet].concat();
        let payload = vxlan_of(&ethernet_of(0x8100, &tagged));
        assert_eq!(inner_key(&over_v4(UDP, &udp_to(4789, &payload)), OURS), key);
        let other_port = over_v4(UDP, &udp_to(4790, &payload));
        assert_eq!(inner_key(&other_port, OURS), None);
        let mut without_vni = payload.clone();
        without_vni[0] = 0;
        assert_eq!(inner_key(&over_v4(UDP, &udp_to(4789, &without_vni)), OURS), None);
    }
}

#[test]
fn gre_holds_ethernet_or_ip_behind_any_of_its_fields() {
    const GRE_FLAGS: [(u8, usize); 8] =
        [(0, 0), (0x20, 4), (0x80, 4), (0x10, 4), (0xa0, 8), (0x30, 8), (0x90, 8), (0xb0, 12)];
    let in_ethernet = ethernet_of(0x0800, &inner_v4());
    for (flags, len) in GRE_FLAGS {
        let packet = |kind: u16, inner: &[u8]| {
            [&[flags, 0][..], &kind.to_be_bytes(), &[9; 12][..len], inner].concat()
        };
        assert_eq!(inner_key(&over_v4(GRE, &packet(0x6558, &in_ethernet)), OURS), v4());
        assert_eq!(inner_key(&over_v4(GRE, &packet(0x0800, &inner_v4())), OURS), v4());
        assert_eq!(inner_key(&over_v4(GRE, &packet(0x86dd, &inner_v6())), OURS), v6());
        assert_eq!(inner_key(&over_v4(GRE, &packet(0x880b, &inner_v4())), OURS), None);
    }
    // Source routes, and version 1 (PPTP).
    for (flags, version) in [(0x40, 0), (0x20, 1)] {
        let packet = [&[flags, version, 8, 0, 0, 0, 0, 0][..], &inner_v4()].concat();
        assert_eq!(inner_key(&over_v4(GRE, &packet), OURS), None);
    }
}

#[test]
fn gtp_u_holds_the_packets_of_users_behind_options_and_extensions() {
    let g_pdu = |flags, more: &[u8]| {
        let payload = gtp_u(flags, 255, more, &inner_v4());
        inner_key(&over_v4(UDP, &udp_to(2152, &payload)), OURS)
    };
    assert_eq!(g_pdu(0x30, &[]), v4());
    assert_eq!(g_pdu(0x32, &[0, 1, 0, 0]), v4());
    // Without the flag, the type of the next extension means nothing.
    assert_eq!(g_pdu(0x32, &[0, 1, 0, 0x85]), v4());
    assert_eq!(g_pdu(0x34, &[0, 0, 0, 0x85, 1, 0, 0, 0]), v4());
    assert_eq!(g_pdu(0x34, &[0, 0, 0, 0x85, 2, 0, 0, 0, 0, 0, 0, 0x20, 1, 0, 0, 0]), v4());
    assert_eq!(g_pdu(0x34, &[0, 0, 0, 0x85, 0, 0, 0, 0]), None, "an extension of no length");
    assert_eq!(g_pdu(0x50, &[]), None, "version 2");
    assert_eq!(g_pdu(0x20, &[]), None, "GTP'");
    let nine: Vec<u8> = [[0, 0, 0, 0x85].as_slice(), &[1, 0, 0, 0x85].repeat(9)].concat();
    assert_eq!(g_pdu(0x34, &nine), None, "too many extensions");
    let echo = gtp_u(0x32, 1, &[0, 1, 0, 0], &inner_v4());
    assert_eq!(inner_key(&over_v4(UDP, &udp_to(2152, &echo)), OURS), None);
    let of_v6 = gtp_u(0x30, 255, &[], &inner_v6());
    assert_eq!(inner_key(&over_v4(UDP, &udp_to(2152, &of_v6)), OURS), v6());
}

#[test]
fn fragments_of_the_outer_packet_have_nothing_inside() {
    let datagram = udp_to(4789, &vxlan_of(&ethernet_of(0x0800, &inner_v4())));
    for fragment in [0x2000, 0x0001] {
        let frame = ethernet_of(0x0800, &ipv4(1, UDP, fragment, &datagram));
        assert_eq!(inner_key(&frame, OURS), None);
        let key = dissect(&frame).unwrap().unwrap().key();
        assert!(!may_hold_inner(&key, OURS));
    }
}

#[test]
fn one_level_is_looked_at() {
    let inside = over_v4(UDP, &udp_to(4789, &vxlan_of(&ethernet_of(0x0800, &inner_v4()))));
    let frame = over_v4(UDP, &udp_to(4789, &vxlan_of(&inside)));
    assert_eq!(inner_key(&frame, OURS), key_of(0x0800, &inside[14..]));
}

#[test]
fn what_is_cut_is_read_as_far_as_its_headers_go() {
    let frame = over_v4(UDP, &udp_to(4789, &vxlan_of(&ethernet_of(0x0800, &inner_v4()))));
    // Outer headers 14 + 20 + 8 + 8, inner ones 14 + 20, and ports.
    for len in 0..frame.len() {
        let found = inner_key(&frame[..len], OURS);
        assert_eq!(found.is_some(), len >= 84, "{len}");
        assert_eq!(found == v4(), len >= 88, "{len}");
    }
}

#[test]
fn what_may_hold_a_packet_is_told_by_its_key() {
    let may = |protocol, payload: &[u8]| {
        let key = dissect(&over_v4(protocol, payload)).unwrap().unwrap().key();
        may_hold_inner(&key, OURS)
    };
    assert!(may(UDP, &udp_to(4789, &[])) && may(UDP, &udp_to(OURS, &[])));
    assert!(may(UDP, &udp_to(2152, &[])) && may(GRE, &[]));
    assert!(!may(UDP, &udp_to(53, &[])) && !may(TCP, &udp_to(4789, &[])));
}

proptest! {
    #[test]
    fn noise_in_a_tunnel_is_read_or_not(
        port in prop::sample::select(vec![4789_u16, 2152, OURS]), gre: bool,
        start in prop::sample::select(vec![[0x30_u8, 255], [0x34, 255], [8, 0], [0x20, 0]]),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let payload = [&start[..], &noise].concat();
        let frame = if gre { over_v4(GRE, &payload) } else { over_v4(UDP, &udp_to(port, &payload)) };
        let found = inner_key(&frame, OURS);
        prop_assert!(found.is_none_or(|key| key.class & crate::flow_key::NOT_IP == 0));
    }
}
