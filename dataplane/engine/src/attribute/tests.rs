use proptest::prelude::*;

use super::*;
use crate::address_table::ADDRESSES_MAX;
use crate::sim::SimPool;
use crate::units::{InterfaceIndex, Mac, VlanId};

fn mac(n: u16) -> Mac {
    let [high, low] = n.to_be_bytes();
    Mac([2, high, low, 0, low, 7])
}

/// A port with interfaces that have these addresses. Each claims in both directions, as on a span, or
/// by turns in one, as those do that stand on either side of a link.
fn port(count: u16, is_span: bool) -> PortSources {
    let mut sources = PortSources::default();
    for n in 0..count {
        let interface = InterfaceIndex(n);
        if is_span || n % 2 == 0 {
            assert_eq!(sources.egress.add(Some(mac(n)), None, interface), Ok(()));
        }
        if is_span || n % 2 == 1 {
            assert_eq!(sources.ingress.add(Some(mac(n)), None, interface), Ok(()));
        }
    }
    sources.compile();
    sources
}

proptest! {
    #[test]
    fn many_frames_have_the_sources_that_each_has(
        count in prop::sample::select(vec![1u16, 2, 9, ADDRESSES_MAX as u16]),
        is_span: bool,
        frames in prop::collection::vec(
            (0u16..12, 0u16..12, 0usize..24, prop::option::of((0usize..12, 0u8..8))),
            0..=BURST_MAX,
        ),
    ) {
        let of_port = port(count, is_span);
        let Attribution::Addresses(table) = of_port.attribution() else { panic!("a table") };
        let pool = SimPool::new(2048, BURST_MAX);
        let bytes = |&(src, dst, len, flipped): &(u16, u16, usize, Option<(usize, u8)>)| {
            let mut bytes = [mac(dst).0, mac(src).0].concat();
            if let Some((at, bit)) = flipped {
                bytes[at] ^= 1 << bit;
            }
            bytes.resize(len, 0);
            bytes
        };
        let frames: Vec<_> = frames.iter().map(|frame| pool.frame(&bytes(frame), 0)).collect();
        let expected: Vec<_> = frames.iter().map(|frame| of_port.sources(frame.head(), 0)).collect();
        simd::with_each_width(|| {
            let mut sources = [[Source::NONE; 2]; BURST_MAX];
            by_addresses(table, &of_port, &frames, &mut sources);
            assert_eq!(&sources[..frames.len()], &expected);
        });
    }
}

#[test]
fn many_addresses_and_vlans_are_not_compared() {
    let is_compared =
        |of_port: &PortSources| matches!(of_port.attribution(), Attribution::Addresses(_));
    assert!(is_compared(&port(ADDRESSES_MAX as u16, true)));
    assert!(!is_compared(&port(ADDRESSES_MAX as u16 + 1, true)));
    let mut of_port = PortSources::default();
    assert_eq!(
        of_port.egress.add(Some(mac(1)), VlanId::try_from(7).ok(), InterfaceIndex(0)),
        Ok(())
    );
    of_port.compile();
    assert!(!is_compared(&of_port));
}
