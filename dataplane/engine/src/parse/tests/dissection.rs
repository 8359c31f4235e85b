//! What [`dissect`] tells beyond the key.

use super::*;

#[test]
fn each_way_to_be_malformed_has_its_name() {
    let sound = ipv4(UDP, 0, PORTS);
    let with = |at: usize, byte: u8| {
        let mut changed = sound.clone();
        changed[at] = byte;
        frame(&[V4, &changed])
    };
    let tag: &[u8] = &[0x81, 0, 0, 7];
    let cases = [
        (vec![2; 13], Malformed::FrameCut),
        (frame(&[&[0x81, 0, 0]]), Malformed::TagCut),
        (frame(&[tag, &[0x81]]), Malformed::TagCut),
        (frame(&[tag, tag, tag, tag, tag, V4, &sound]), Malformed::TooManyTags),
        (frame(&[V4, &sound[..19]]), Malformed::Ipv4Cut),
        (with(0, 0x65), Malformed::Ipv4Version),
        (with(0, 0x44), Malformed::Ipv4HeaderLen),
        (with(0, 0x4f), Malformed::Ipv4HeaderLen),
        (with(3, 19), Malformed::Ipv4TotalLen),
        (frame(&[V6, &ipv6(UDP, PORTS)[..39]]), Malformed::Ipv6Cut),
        (frame(&[V6, &sound, &sound]), Malformed::Ipv6Version),
        (frame(&[V6, &ipv6(0, &[UDP, 1, 0, 0, 0, 0, 0, 0])]), Malformed::ExtensionsCut),
    ];
    for (bytes, how) in cases {
        assert_eq!(dissect(&bytes), Err(how), "{bytes:?}");
        assert_eq!(kind(&bytes), Kind::Malformed);
    }
    assert_eq!(dissect(&frame(&[&[0x08, 0x06]])), Ok(None));
}

#[test]
fn fragments_are_told_apart() {
    let told = |bytes: &[u8]| {
        let headers = dissect(bytes).unwrap().unwrap();
        (headers.fragment, headers.is_later)
    };
    let of_ipv4 = |fragment| told(&frame(&[V4, &ipv4(UDP, fragment, PORTS)]));
    let of_ipv6 = |high, low| {
        let fragment = [&[UDP, 0, high, low, 0, 0, 0, 9], PORTS].concat();
        told(&frame(&[V6, &ipv6(44, &fragment)]))
    };
    assert_eq!([of_ipv4(0), of_ipv6(0, 0)], [(None, false); 2]);
    assert_eq!([of_ipv4(0x2000), of_ipv6(0, 1)], [(Some(UDP), false); 2]);
    assert_eq!([of_ipv4(0x2007), of_ipv6(0, 9)], [(Some(UDP), true); 2]);
    assert_eq!([of_ipv4(7), of_ipv6(1, 0)], [(Some(UDP), true); 2]);
}

proptest! {
    #[test]
    fn a_dissection_is_the_parse(bytes in noise()) {
        let outcome = whole(&bytes);
        match dissect(&bytes) {
            Ok(Some(headers)) => prop_assert_eq!((outcome.kind, outcome.key), (Kind::Ip, headers.key())),
            Ok(None) => prop_assert_eq!(outcome.kind, Kind::NotIp),
            Err(_) => prop_assert_eq!(outcome.kind, Kind::Malformed),
        }
    }
}
