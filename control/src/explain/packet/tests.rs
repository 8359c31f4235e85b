use engine::parse::dissect;
use engine::units::{Mac, VlanId};
use proptest::prelude::*;

use super::*;
use crate::explain::forge;

fn read(text: &str) -> Packet {
    text.parse().unwrap()
}

#[test]
fn packets_are_read_in_every_spelling() {
    let tcp = read("tcp 10.0.0.1:1234 > 10.0.0.2:443");
    assert_eq!((tcp.protocol, tcp.ports, tcp.length), (TCP, Some((1234, 443)), None));
    for same in ["TCP 10.0.0.1:1234>10.0.0.2:443", "  6  10.0.0.1:1234 >10.0.0.2:443  "] {
        assert_eq!(read(same), tcp);
    }
    let v6 = read("udp [2001:db8::1]:53 > [2001:db8::2]:9 length 1500");
    assert_eq!((v6.ports, v6.length), (Some((53, 9)), Some(1500)));
    assert_eq!(v6.src, "2001:db8::1".parse::<IpAddr>().unwrap());
    assert_eq!(read("icmp6 ::1 > [::2]").protocol, 58);
    let later = read("udp 10.0.0.1 > 10.0.0.2 length 60 fragment");
    assert_eq!((later.is_later_fragment, later.ports), (true, None));
    assert_eq!(read("44 ::1 > ::2 fragment").protocol, 44);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cases = [
        ("", 1, "ends before a protocol"),
        ("tpc 1.2.3.4:1 > 1.2.3.4:2", 1, "did you mean \"tcp\"?"),
        ("256 1.2.3.4 > 1.2.3.4", 1, "\"256\" is no protocol"),
        ("+6 1.2.3.4 > 1.2.3.4", 1, "is no protocol"),
        ("tcp", 4, "ends before the source"),
        ("tcp 1.2.3.400:1 > 1.2.3.4:2", 5, "is no address"),
        ("tcp 1.2.3.4:1 < 1.2.3.4:2", 15, "stands where > must be"),
        ("tcp 1.2.3.4:1 > 1.2.3.4:65536", 17, "a port is 0..65535"),
        ("tcp 1.2.3.4:1 > 1.2.3.4:+5", 17, "a port is 0..65535"),
        ("tcp 1.2.3.4:1 > 1.2.3.4", 17, "has no port"),
        ("tcp 1.2.3.4:1 > [::1", 17, "has no ]"),
        ("tcp 1.2.3.4:1 > [::1]:2", 17, "of another family"),
        ("tcp 1.2.3.4:1 > 1.2.3.4:2 fragment", 5, "a later fragment does not show"),
        ("icmp 1.2.3.4:1 > 1.2.3.4", 6, "this protocol has none"),
        ("udp 1.2.3.4:1 > 1.2.3.4:2 fragmnt", 27, "did you mean \"fragment\"?"),
        ("udp 1.2.3.4:1 > 1.2.3.4:2 length x", 34, "is no number"),
        ("udp 1.2.3.4:1 > 1.2.3.4:2 length 41", 34, "headers take 42"),
        ("udp 1.2.3.4:1 > 1.2.3.4:2 length 65550", 34, "at most it has 65549"),
        ("44 ::1 > ::2", 1, "is a header that IPv6 packets have"),
    ];
    for (text, at, message) in cases {
        let error = text.parse::<Packet>().unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

prop_compose! {
    fn packet()(
        is_v6: bool, src: u128, dst: u128, protocol: u8, ports: (u16, u16),
        fragment: bool, length in prop::option::of(90..=LENGTH_MAX),
    ) -> Packet {
        let address = |bits: u128| {
            if is_v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) }
        };
        let is_later_fragment = fragment || (is_v6 && next_header::WALKED.contains(&protocol));
        let shows_ports = WITH_PORTS.contains(&protocol) && !is_later_fragment;
        let ports = shows_ports.then_some(ports);
        let (src, dst) = (address(src), address(dst));
        Packet { protocol, src, dst, ports, is_later_fragment, length }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(packet in packet()) {
        prop_assert_eq!(packet.to_string().parse(), Ok(packet));
    }

    #[test]
    fn the_engine_sees_in_a_frame_what_was_described(packet in packet(), vlan: Option<u8>) {
        let vlan = vlan.and_then(|vid| VlanId::try_from(u16::from(vid)).ok());
        let frame = forge::frame(&packet, Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]), vlan);
        let tag = if vlan.is_some() { 4 } else { 0 };
        let least = forge::headers_len(&packet);
        prop_assert_eq!(frame.len(), packet.length.unwrap_or(least).max(least) + tag);
        let headers = dissect(&frame).unwrap().unwrap();
        let key = headers.key();
        prop_assert_eq!(headers.protocol, Some(packet.protocol));
        prop_assert_eq!(headers.is_later, packet.is_later_fragment);
        prop_assert_eq!(key.ports(), packet.ports);
        let ends = match headers.addresses {
            engine::flow_key::Addresses::V4 { src, dst } => (IpAddr::V4(src), IpAddr::V4(dst)),
            engine::flow_key::Addresses::V6 { src, dst } => (IpAddr::V6(src), IpAddr::V6(dst)),
        };
        prop_assert_eq!(ends, (packet.src, packet.dst));
    }

    #[test]
    fn noise_gets_a_verdict_with_a_place_in_it(text in "[a-z0-9:.\\[\\]> é]{0,60}") {
        if let Err(error) = text.parse::<Packet>() {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.at));
        }
    }
}
