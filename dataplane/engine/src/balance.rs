//! Which of several takers a flow goes to: Maglev's consistent hashing (Eisenbud et al., "Maglev: A
//! Fast and Reliable Software Network Load Balancer", NSDI 2016, §3.4), with weights.
//!
//! Every taker has an order of its own in which it would like the slots of a table; they take turns,
//! each the next free slot of its order. So all get equal parts (within a slot, by weight), and when
//! one goes, nearly all slots of the others stay where they are. The paper's table has a prime number
//! of slots, so that any step walks through all of them; this one has a power of two, so that a flow's
//! hash is its slot, and steps are odd, which does the same.

use std::net::IpAddr;

use crate::flow_hash::HASH_BITS;

/// Slots of a table: one for each value of a flow's hash.
pub const SLOTS: usize = 1 << HASH_BITS;

/// One that flows may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taker {
    /// What it is known by: its order of slots depends on nothing else.
    pub address: IpAddr,
    /// Its part of the slots, beside the others'; 0: none.
    pub weight: u16,
}

/// For each slot, the place among `takers` of the one that has it; `None` when none takes any.
/// Cost: about 16,384 steps for all takers together, each of a few tries.
pub fn maglev(takers: &[Taker]) -> Option<Vec<u16>> {
    const FREE: u16 = u16::MAX;
    let most = takers.iter().map(|taker| taker.weight).max().filter(|&most| most > 0)?;
    let mut walks: Vec<Walk> = takers.iter().take(FREE.into()).map(Walk::of).collect();
    let mut slots = vec![FREE; SLOTS];
    let mut left = SLOTS;
    loop {
        for (place, walk) in (0..).zip(&mut walks) {
            if !walk.has_turn(most) {
                continue;
            }
            let mut slot = walk.next();
            while slots[slot] != FREE {
                slot = walk.next();
            }
            slots[slot] = place;
            left -= 1;
            if left == 0 {
                return Some(slots);
            }
        }
    }
}

/// One taker's way through the slots.
struct Walk {
    at: usize,
    step: usize,
    weight: u16,
    /// Grows by the weight each round; when it is as much as the heaviest's, it is its turn.
    credit: u32,
}

impl Walk {
    fn of(taker: &Taker) -> Self {
        let hash = hash_of(taker.address);
        let (at, step) = (hash as usize, (hash >> 32) as usize | 1);
        Self { at: at % SLOTS, step: step % SLOTS, weight: taker.weight, credit: 0 }
    }

    fn has_turn(&mut self, most: u16) -> bool {
        self.credit += u32::from(self.weight);
        let is_turn = self.credit >= most.into();
        if is_turn {
            self.credit -= u32::from(most);
        }
        is_turn
    }

    fn next(&mut self) -> usize {
        let slot = self.at;
        self.at = (self.at + self.step) % SLOTS;
        slot
    }
}

/// The place among `takers` of the one that a slot's flows go to, by weighted rendezvous: each taker
/// draws a number for the slot, and when one goes, only its own slots move. For a few takers: the next
/// hops of one way. `None` when none has a weight.
pub fn rendezvous(takers: &[Taker], slot: usize) -> Option<usize> {
    let score = |taker: &Taker| {
        let drawn = (splitmix(hash_of(taker.address) ^ splitmix(slot as u64)) >> 32) as u32;
        // Of (0, 1]; the logarithm makes the chance to have the highest score that of the weight.
        let drawn = (f64::from(drawn) + 1.0) / (f64::from(u32::MAX) + 1.0);
        drawn.ln() / f64::from(taker.weight)
    };
    let weighty = takers.iter().enumerate().filter(|(_, taker)| taker.weight > 0);
    weighty
        .map(|(at, taker)| (at, score(taker)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(at, _)| at)
}

/// The same on every machine and in every version: flows stay where they are across restarts.
pub(crate) fn hash_of(address: IpAddr) -> u64 {
    let (high, low) = match address {
        IpAddr::V4(address) => (4, u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            ((bits >> 64) as u64, bits as u64)
        }
    };
    splitmix(splitmix(high).wrapping_add(low))
}

/// Each bit of the word decides over each bit of the result (`SplitMix64`, Steele et al. 2014).
const fn splitmix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn takers(weights: &[u16]) -> Vec<Taker> {
        let address = |at: u8| IpAddr::V4(Ipv4Addr::new(192, 0, 2, at));
        (10..).zip(weights).map(|(at, &weight)| Taker { address: address(at), weight }).collect()
    }

    fn counts(slots: &[u16], takers: usize) -> Vec<usize> {
        let mut counts = vec![0; takers];
        for &place in slots {
            counts[usize::from(place)] += 1;
        }
        counts
    }

    #[test]
    fn all_get_their_part_of_the_slots() {
        for weights in [&[1][..], &[1, 1], &[1; 4], &[3; 7], &[1; 64], &[1; 200]] {
            let slots = maglev(&takers(weights)).unwrap();
            let counts = counts(&slots, weights.len());
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
        for weights in [&[1, 2, 3, 4][..], &[100, 1], &[0, 5, 5, 10], &[65_535, 1]] {
            let slots = maglev(&takers(weights)).unwrap();
            let sum: usize = weights.iter().map(|&weight| usize::from(weight)).sum();
            for (count, &weight) in counts(&slots, weights.len()).iter().zip(weights) {
                let part = SLOTS * usize::from(weight) / sum;
                assert!(count.abs_diff(part) <= 4, "{weights:?}: {count} of {part}");
            }
        }
    }

    #[test]
    fn nobody_gets_nothing() {
        assert_eq!(maglev(&[]), None);
        assert_eq!(maglev(&takers(&[0, 0])), None);
        assert_eq!(rendezvous(&takers(&[0, 0]), 3), None);
    }

    #[test]
    fn when_one_goes_nearly_all_others_stay() {
        for n in [2usize, 3, 4, 8, 16, 64] {
            let all = takers(&vec![1; n]);
            let before = maglev(&all).unwrap();
            for gone in 0..n {
                let mut rest = all.clone();
                rest[gone].weight = 0;
                let after = maglev(&rest).unwrap();
                let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                assert!(
                    moved <= SLOTS / n + SLOTS / 50 + 1,
                    "{moved} of {SLOTS} moved, 1 of {n} gone"
                );
                assert!(moved >= SLOTS / n, "its own slots move");
            }
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter_much() {
        // Who has the first turn differs; the orders of slots do not.
        let all = takers(&[1; 5]);
        let turned: Vec<_> = all.iter().rev().copied().collect();
        let (one, other) = (maglev(&all).unwrap(), maglev(&turned).unwrap());
        let moved = one.iter().zip(&other).filter(|(a, b)| **a != 4 - **b).count();
        assert!(moved < SLOTS / 10, "{moved}");
    }

    #[test]
    fn of_equal_routes_each_gets_its_part_and_losing_one_moves_only_its_own() {
        let all = takers(&[1, 1, 2]);
        let before: Vec<_> = (0..SLOTS).map(|slot| rendezvous(&all, slot).unwrap()).collect();
        for (at, part) in [SLOTS / 4, SLOTS / 4, SLOTS / 2].into_iter().enumerate() {
            let count = before.iter().filter(|&&taker| taker == at).count();
            assert!(count.abs_diff(part) < SLOTS / 50, "{count} of {part}");
        }
        let mut rest = all.clone();
        rest[1].weight = 0;
        for (slot, &taker) in before.iter().enumerate() {
            let now = rendezvous(&rest, slot).unwrap();
            assert!(now != 1 && (now == taker || taker == 1));
        }
    }
}
