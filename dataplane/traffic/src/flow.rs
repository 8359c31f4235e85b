//! Which frames have to stay in order: those of a flow, in both directions.

use std::net::Ipv4Addr;

use engine::flow_key::{Addresses, FlowKey};
use engine::parse::plain_hash;
use engine::wire::ethernet;

use crate::layers::{ARP, Layers};

/// A number that is the same for all frames of a flow: both directions, and all fragments of a datagram.
/// Of IP, addresses, protocol and ports make it; of ARP, its two IP addresses; of anything else, the two
/// Ethernet addresses. 14 bits, as even as a hash. Cost: about a hundred instructions.
#[inline]
pub fn flow_of(frame: &[u8]) -> u32 {
    match plain_hash(frame) {
        Some(hash) => hash.into(),
        None => flow_with(frame, &Layers::of(frame)),
    }
}

/// As [`flow_of`], of a frame whose layers are known. Cost: about 60 instructions.
#[inline]
pub fn flow_with(frame: &[u8], layers: &Layers) -> u32 {
    match layers {
        Layers { ip: Some(headers), .. } => headers.key().hash().into(),
        Layers { ether_type: ARP, packet_at, .. } => of_arp(frame, *packet_at),
        _ => of_ethernet(frame),
    }
}

fn of_arp(frame: &[u8], at: usize) -> u32 {
    let Some(message) = frame.get(at..).and_then(<[u8]>::first_chunk::<28>) else {
        return of_ethernet(frame);
    };
    let address = |at: usize| {
        let octets = message.get(at..).and_then(<[u8]>::first_chunk).copied();
        Ipv4Addr::from(octets.unwrap_or_default())
    };
    let addresses = Addresses::V4 { src: address(14), dst: address(24) };
    FlowKey::new(addresses, None, None, None).hash().into()
}

fn of_ethernet(frame: &[u8]) -> u32 {
    /// Odd, and without any relation: the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let ends = [ethernet::dst_bits(frame), ethernet::src_bits(frame)];
    let mixed = ends.map(|end| {
        let product = end.unwrap_or(0).wrapping_mul(FACTOR);
        product ^ product >> 32
    });
    (mixed[0].wrapping_add(mixed[1]).wrapping_mul(FACTOR) >> 50) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flow(frame: &[u8]) -> u32 {
        let flow = flow_with(frame, &Layers::of(frame));
        assert_eq!(flow_of(frame), flow);
        flow
    }

    /// The frame that answers: addresses and ports exchanged.
    fn answer(frame: &[u8], pairs: &[(usize, usize, usize)]) -> Vec<u8> {
        let mut answer = frame.to_vec();
        for &(one, other, len) in pairs {
            answer[one..one + len].copy_from_slice(&frame[other..other + len]);
            answer[other..other + len].copy_from_slice(&frame[one..one + len]);
        }
        answer
    }

    fn ipv4(protocol: u8, flags: u16, noise: &[u8; 40]) -> Vec<u8> {
        let mut frame = noise.to_vec();
        frame.resize(60, 9);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[16..18].copy_from_slice(&46u16.to_be_bytes());
        frame[20..22].copy_from_slice(&flags.to_be_bytes());
        frame[23] = protocol;
        frame
    }

    proptest! {
        #[test]
        fn both_directions_are_one_flow(noise: [u8; 40], protocol: u8) {
            let frame = ipv4(protocol, 0, &noise);
            let ports = engine::rule::WITH_PORTS.contains(&protocol);
            let mut pairs = vec![(0, 6, 6), (26, 30, 4)];
            pairs.extend(ports.then_some((34, 36, 2)));
            prop_assert_eq!(flow(&frame), flow(&answer(&frame, &pairs)));

            let mut arp = noise.to_vec();
            arp.resize(60, 3);
            arp[12..14].copy_from_slice(&ARP.to_be_bytes());
            let reply = answer(&arp, &[(22, 32, 6), (28, 38, 4)]);
            prop_assert_eq!(flow(&arp), flow(&reply));
            arp[..6].fill(0xff);
            prop_assert_eq!(flow(&arp), flow(&reply));
        }

        #[test]
        fn all_fragments_of_a_datagram_are_one_flow(noise: [u8; 40], offset in 1..0x1fffu16) {
            let first = ipv4(17, 0x2000, &noise);
            let mut later = ipv4(17, offset, &noise);
            later[34..38].copy_from_slice(b"data");
            prop_assert_eq!(flow(&first), flow(&later));
        }

        #[test]
        fn noise_has_a_flow_as_well(frame: Vec<u8>) {
            prop_assert!(flow(&frame) < 1 << 14);
            if let Some(addresses) = frame.first_chunk::<12>() {
                let mut other = frame.clone();
                other[..6].copy_from_slice(&addresses[6..]);
                other[6..12].copy_from_slice(&addresses[..6]);
                prop_assert_eq!(flow(&frame), flow(&other));
            }
        }
    }

    #[test]
    fn flows_of_ethernet_spread() {
        let flows = (0..1000u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            flow(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, high, low, 0x88, 0xcc])
        });
        let different: std::collections::HashSet<u32> = flows.collect();
        assert!(different.len() > 900, "{}", different.len());
    }
}
