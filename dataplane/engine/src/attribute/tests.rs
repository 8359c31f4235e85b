use proptest::prelude::*;

use super::*;
use crate::address_table::ADDRESSES_MAX;
use crate::sim::SimPool;
use crate::units::{InterfaceIndex, Mac};

fn mac(n: u16) -> Mac {
    let [high, low] = n.to_be_bytes();
    Mac([2, high, low, 0, low, 7])
}

/// A span with interfaces that have these addresses.
fn span(count: u16) -> PortSources {
    let mut sources = PortSources::default();
    for n in 0..count {
        let interface = InterfaceIndex(n);
        assert_eq!(sources.egress.add(Some(mac(n)), None, interface), Ok(()));
        assert_eq!(sources.ingress.add(Some(mac(n)), None, interface), Ok(()));
    }
    sources.compile();
    sources
}

proptest! {
    #[test]
    fn many_frames_have_the_sources_that_each_has(
        count in prop::sample::select(vec![1u16, 2, 9, ADDRESSES_MAX as u16]),
        frames in prop::collection::vec((0u16..12, 0u16..12, 0usize..24), 0..=BURST_MAX),
    ) {
        let of_port = span(count);
        let Attribution::Addresses(table) = of_port.attribution() else { panic!("a table") };
        let pool = SimPool::new(2048, BURST_MAX);
        let bytes = |&(src, dst, len): &(u16, u16, usize)| {
            let mut bytes = [mac(dst).0, mac(src).0].concat();
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
