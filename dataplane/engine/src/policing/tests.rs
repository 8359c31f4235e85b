use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU64;

use super::*;
use crate::balance::{SLOTS, Taker, maglev};
use crate::flow_key::{Addresses, FlowKey};
use crate::rule::{TCP, UDP};
use crate::snapshot::RateLimit;
use crate::units::{FilterIndex, InterfaceIndex, TargetIndex, Vni};

fn sample(of: u16) -> Sample {
    Sample::new(NonZeroU16::new(of).unwrap())
}

#[test]
fn no_two_hashes_become_one() {
    let all: HashSet<u16> = (0..SAMPLE_MAX).map(remix).collect();
    assert_eq!(all.len(), usize::from(SAMPLE_MAX));
    assert!(all.iter().all(|&mixed| mixed < SAMPLE_MAX));
}

#[test]
fn one_of_so_many_hashes_is_among_them() {
    let count = |of| (0..SAMPLE_MAX).filter(|&hash| sample(of).has(hash)).count();
    for power in 0..=14 {
        assert_eq!(count(1 << power), 1 << (14 - power));
    }
    for of in [3, 5, 10, 100, 1000, 9999, 16_383] {
        let wanted = f64::from(SAMPLE_MAX) / f64::from(of);
        let found = f64::from(u32::try_from(count(of)).unwrap());
        assert!((found - wanted).abs() <= 0.5, "1/{of}: {found} of {wanted}");
    }
}

#[test]
fn each_member_of_a_load_balancer_gets_its_part_of_a_sample() {
    let address = |at: u8| IpAddr::from([192, 0, 2, at]);
    for members in [2u8, 3, 4, 7] {
        let takers: Vec<_> =
            (1..=members).map(|at| Taker { address: address(at), weight: 1 }).collect();
        let table = maglev(&takers).unwrap();
        for of in [2, 4, 16] {
            let mut counts = vec![0usize; members.into()];
            for hash in (0..SAMPLE_MAX).filter(|&hash| sample(of).has(hash)) {
                counts[usize::from(table[usize::from(hash)])] += 1;
            }
            let part = SLOTS / usize::from(of) / usize::from(members);
            // Four times what chance scatters by.
            let most = 4 * part.isqrt();
            assert!(counts.iter().all(|count| count.abs_diff(part) <= most), "{counts:?}, 1/{of}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "arithmetic alone, many thousand times")]
fn a_flow_is_sampled_in_both_directions_with_all_its_fragments_and_one_of_so_many_is() {
    let wire = |src: u16, dst: u16| (u32::from(src) << 16 | u32::from(dst)).to_be_bytes();
    for of in [4u16, 64, 100] {
        let mut kept = 0u32;
        for flow in 0..10_000u32 {
            let (client, server) = (0x0a00_0000 + flow / 100, 0x0a01_0000 + flow % 7);
            let (port, service) = (1024 + (flow % 100) as u16, 443);
            let there = Addresses::V4 { src: client.into(), dst: server.into() };
            let back = Addresses::V4 { src: server.into(), dst: client.into() };
            let one = FlowKey::new(there, Some(TCP), Some(wire(port, service)), None);
            let other = FlowKey::new(back, Some(TCP), Some(wire(service, port)), None);
            let has = sample(of).has(one.hash());
            assert_eq!(has, sample(of).has(other.hash()));
            kept += u32::from(has);
            let first = FlowKey::new(there, Some(UDP), Some(wire(port, 53)), Some(UDP));
            let later = FlowKey::new(there, Some(UDP), None, Some(UDP));
            assert_eq!(sample(of).has(first.hash()), sample(of).has(later.hash()));
        }
        let expected = 10_000.0 / f64::from(of);
        let off = (f64::from(kept) - expected).abs();
        assert!(off <= 4.0 * expected.sqrt(), "1/{of}: {kept} of {expected}");
    }
}

fn session(id: &str, packets: u64, sample: u16) -> SessionSpec {
    SessionSpec {
        id: id.to_owned(),
        interface: InterfaceIndex(0),
        target: TargetIndex(0),
        filter: FilterIndex(0),
        number: 1,
        vni: Vni::try_from(1).unwrap(),
        packet_length: None,
        rate_limit: NonZeroU64::new(packets)
            .map(|packets| RateLimit { bytes: None, packets: Some(packets) }),
        sample: NonZeroU16::new(sample),
    }
}

#[test]
fn buckets_go_on_while_name_and_limit_stay() {
    let limiter = |policing: &Policing, at| {
        Arc::clone(policing.of(SessionIndex(at)).unwrap().limiter.as_ref().unwrap())
    };
    let first = Policing::new(&[session("a", 10, 0), session("b", 20, 4)], &Policing::default());
    let second = Policing::new(&[session("b", 20, 8), session("a", 11, 0)], &first);
    assert!(Arc::ptr_eq(&limiter(&first, 1), &limiter(&second, 0)), "b has it as before");
    assert!(!Arc::ptr_eq(&limiter(&first, 0), &limiter(&second, 1)), "a has another limit");
    assert_eq!(second.of(SessionIndex(0)).unwrap().sample, Some(sample(8)));
    let none = Policing::new(&[session("a", 0, 0), session("b", 0, 0)], &second);
    assert!(none.is_off() && !first.is_off());
    assert!(none.of(SessionIndex(0)).is_none() && second.of(SessionIndex::NONE).is_none());
}
