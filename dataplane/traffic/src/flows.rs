//! Flows of made frames: which one a frame belongs to, and the addresses and ports of each.
//!
//! Both follow from the frame's number and the seed alone, in constant time and without state, so that a receiver
//! knows them too.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::stamp::mixed;
use crate::trial::Spread;

/// The most flows of a stream: a receiver remembers 16 bytes of each.
pub const FLOWS_MAX: u32 = 1 << 20;
/// Hosts within a network of 16 bits: no last byte of 0 or 255.
const HOSTS: u32 = 254 * 256;
/// The first port: many of those below belong to services (VXLAN has 4789 and 8472), and devices look into them.
const PORT_MIN: u16 = 10_000;
/// So many ports from there on are in use: 15 bits.
const PORTS: u32 = 1 << 15;
/// The first and the last port that is in use.
pub const PORT_RANGE: [u16; 2] = [PORT_MIN, PORT_MIN + (PORTS - 1) as u16];

/// The flows of one stream.
#[derive(Debug, Clone)]
pub struct Flows {
    count: u32,
    seed: u64,
    choice: Choice,
    is_reverse: bool,
}

#[derive(Debug, Clone)]
enum Choice {
    /// One after the other; after so many frames, one is left out.
    RoundRobin {
        period: u64,
    },
    Uniform,
    /// Vose's alias method: with a chance of `keep` in 2^32 the slot's own flow, else `other`.
    Weighted(Box<[Slot]>),
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    keep: u32,
    other: u32,
}

/// Addresses and ports of one flow, in the order of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The source's number and the destination's.
    hosts: [u32; 2],
    /// Source and destination port.
    pub ports: [u16; 2],
    /// From the second network to the first.
    is_reverse: bool,
}

impl Flows {
    /// So many flows (1 to [`FLOWS_MAX`]). `sizes`: how many frame sizes take turns, so that with
    /// [`Spread::RoundRobin`] each flow gets them all. `is_reverse`: they go the other way, from servers to clients.
    /// Cost: 8 bytes per flow with [`Spread::Zipf`].
    pub fn new(count: u32, spread: Spread, sizes: usize, seed: u64, is_reverse: bool) -> Self {
        let count = count.clamp(1, FLOWS_MAX);
        let choice = match spread {
            Spread::RoundRobin => {
                Choice::RoundRobin { period: lcm(count.into(), sizes.max(1) as u64) }
            }
            Spread::Uniform => Choice::Uniform,
            Spread::Zipf { exponent } => Choice::Weighted(aliases(count, exponent)),
        };
        Self { count, seed: mixed(seed), choice, is_reverse }
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The flow of a stream's frame. Cost: up to two divisions.
    #[inline]
    pub fn of(&self, number: u64) -> u32 {
        if self.count == 1 {
            return 0;
        }
        match &self.choice {
            Choice::RoundRobin { period } => {
                ((number + number / period) % u64::from(self.count)) as u32
            }
            Choice::Uniform => scaled(self.random(number), self.count),
            Choice::Weighted(slots) => {
                let random = self.random(number);
                let at = scaled(random, self.count);
                match slots.get(at as usize) {
                    Some(slot) if (random as u32) >= slot.keep => slot.other,
                    _ => at,
                }
            }
        }
    }

    #[inline]
    fn random(&self, number: u64) -> u64 {
        // SplitMix64: a golden section between one input and the next, for neighbours are too alike.
        mixed(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The ends of a flow. No two flows have the same ports both.
    #[inline]
    pub fn ends(&self, flow: u32) -> Ends {
        // An odd factor: each of the 15 bits' values comes up once before one does again.
        let client =
            PORT_MIN + (flow.wrapping_mul(0x9e3b).wrapping_add(self.seed as u32) % PORTS) as u16;
        let server = PORT_MIN + ((flow / PORTS).wrapping_add(7000) % PORTS) as u16;
        let (hosts, ports) = ([flow % HOSTS, flow / 256], [client, server]);
        let (hosts, ports) = if self.is_reverse {
            ([hosts[1], hosts[0]], [ports[1], ports[0]])
        } else {
            (hosts, ports)
        };
        Ends { hosts, ports, is_reverse: self.is_reverse }
    }
}

impl Ends {
    /// Source and destination of the benchmarks' network 198.18.0.0/15, clients in its lower half (RFC 2544
    /// appendix C.2.2).
    #[inline]
    pub fn v4(&self) -> [Ipv4Addr; 2] {
        let host = |half: u8, host: u32| {
            Ipv4Addr::new(198, half, (host / 254) as u8, 1 + (host % 254) as u8)
        };
        let [src, dst] = self.halves();
        [host(18 + src, self.hosts[0]), host(18 + dst, self.hosts[1])]
    }

    /// Source and destination of the benchmarks' network `2001:2::/48`, clients in its lower half (RFC 5180 §8).
    #[inline]
    pub fn v6(&self) -> [Ipv6Addr; 2] {
        let host = |half: u8, host: u32| {
            let [high, low] = [((host + 1) >> 16) as u16, (host + 1) as u16];
            Ipv6Addr::new(0x2001, 2, 0, u16::from(half) << 15, 0, 0, high, low)
        };
        let [src, dst] = self.halves();
        [host(src, self.hosts[0]), host(dst, self.hosts[1])]
    }

    fn halves(&self) -> [u8; 2] {
        if self.is_reverse { [1, 0] } else { [0, 1] }
    }
}

/// A random number's upper half as one below `count`.
#[inline]
fn scaled(random: u64, count: u32) -> u32 {
    (((random >> 32) * u64::from(count)) >> 32) as u32
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut high, mut low) = (a, b);
    while low != 0 {
        (high, low) = (low, high % low);
    }
    a / high * b
}

/// M. D. Vose, "A linear algorithm for generating random numbers with a given distribution" (1991).
#[expect(clippy::cast_sign_loss, reason = "chances within 0..1, in 2^-32")]
fn aliases(count: u32, exponent: f64) -> Box<[Slot]> {
    let weights: Vec<f64> = (1..=count).map(|rank| f64::from(rank).powf(-exponent)).collect();
    let total: f64 = weights.iter().sum();
    let mut shares: Vec<f64> =
        weights.iter().map(|weight| weight / total * f64::from(count)).collect();
    let mut slots: Vec<Slot> =
        (0..count).map(|flow| Slot { keep: u32::MAX, other: flow }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..shares.len()).partition(|&flow| shares[flow] < 1.0);
    while let (Some(less), Some(more)) = (small.pop(), large.pop()) {
        slots[less] = Slot { keep: (shares[less] * 2f64.powi(32)) as u32, other: more as u32 };
        shares[more] -= 1.0 - shares[less];
        if shares[more] < 1.0 { small.push(more) } else { large.push(more) }
    }
    slots.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn counts(flows: &Flows, frames: u64) -> Vec<u64> {
        let mut counts = vec![0; flows.count() as usize];
        for number in 0..frames {
            counts[flows.of(number) as usize] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_is_fair_and_gives_each_flow_every_size() {
        let sizes = 12;
        for flows in [1u32, 5, 12, 18] {
            let made = Flows::new(flows, Spread::RoundRobin, sizes, 1, false);
            let frames = u64::from(flows) * sizes as u64 * 60;
            let counts = counts(&made, frames);
            assert!(counts.iter().all(|&count| count == sizes as u64 * 60), "{counts:?}");
            let pairs: HashSet<_> =
                (0..frames).map(|number| (made.of(number), number % sizes as u64)).collect();
            assert_eq!(pairs.len(), flows as usize * sizes, "{flows} flows");
        }
    }

    /// Pearson's: about as large as the number of flows where the shares are right.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn chi_squared(counts: &[u64], share: impl Fn(usize) -> f64) -> f64 {
        let frames = counts.iter().sum::<u64>() as f64;
        let terms = counts.iter().enumerate().map(|(flow, &count)| {
            let expected = frames * share(flow);
            (count as f64 - expected).powi(2) / expected
        });
        terms.sum()
    }

    #[test]
    fn random_choices_have_their_distributions() {
        let (flows, frames) = (100, 200_000);
        let uniform = Flows::new(flows, Spread::Uniform, 1, 7, false);
        let found = chi_squared(&counts(&uniform, frames), |_| 0.01);
        assert!(found < 150.0, "{found}");
        for exponent in [0.5, 1.0, 2.0] {
            let zipf = Flows::new(flows, Spread::Zipf { exponent }, 1, 7, false);
            let total: f64 = (1..=flows).map(|rank| f64::from(rank).powf(-exponent)).sum();
            let share = |flow: usize| f64::from(flow as u32 + 1).powf(-exponent) / total;
            let found = chi_squared(&counts(&zipf, frames), share);
            assert!(found < 150.0, "{exponent}: {found}");
            // The measure tells one distribution from another.
            assert!(chi_squared(&counts(&uniform, frames), share) > 1000.0);
        }
    }

    #[test]
    fn seeds_make_other_orders_and_the_same_one_the_same() {
        let order = |seed| {
            let flows = Flows::new(1000, Spread::Uniform, 1, seed, false);
            (0..100).map(|number| flows.of(number)).collect::<Vec<_>>()
        };
        assert_eq!(order(3), order(3));
        assert_ne!(order(3), order(4));
    }

    #[test]
    fn no_two_flows_have_the_same_ends_and_the_way_back_is_the_way_back() {
        let flows = Flows::new(FLOWS_MAX, Spread::Uniform, 1, 9, false);
        let back = Flows::new(FLOWS_MAX, Spread::Uniform, 1, 9, true);
        let mut seen = HashSet::new();
        for flow in (0..100_000).chain(FLOWS_MAX - 1000..FLOWS_MAX) {
            let (ends, reverse) = (flows.ends(flow), back.ends(flow));
            assert!(seen.insert((ends.v4(), ends.ports)), "{flow}");
            let [src, dst] = ends.v4();
            assert_eq!((reverse.v4(), reverse.ports), ([dst, src], [ends.ports[1], ends.ports[0]]));
            let [src, dst] = ends.v6();
            assert_eq!(reverse.v6(), [dst, src]);
            assert!(ends.ports.iter().all(|port| *port >= PORT_MIN && *port != 4789));
        }
    }

    #[test]
    fn addresses_are_those_of_the_standards() {
        let flows = Flows::new(1000, Spread::RoundRobin, 1, 0, false);
        assert_eq!(flows.ends(0).v4().map(|ip| ip.to_string()), ["198.18.0.1", "198.19.0.1"]);
        assert_eq!(flows.ends(300).v4().map(|ip| ip.to_string()), ["198.18.1.47", "198.19.0.2"]);
        let v6 = flows.ends(0).v6().map(|ip| ip.to_string());
        assert_eq!(v6, ["2001:2::1", "2001:2:0:8000::1"]);
    }
}
