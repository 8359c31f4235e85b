//! Which rules share a chunk: those that accept packets near each other, so that few chunks have
//! rules for any packet.

use super::family::Box5;
use super::field::{DIRECT_MAX, RULES};
use crate::simd::Value;

/// Networks that are at most as long are wide: a rule with two of them is for packets anywhere.
const WIDE_LEN_MAX: u8 = 11;

/// Distributes rules, the first of which goes first, over chunks; within each they keep their order.
pub(super) fn cluster<V: Value>(rules: &[Box5<V>]) -> Vec<Vec<u32>> {
    let in_order: Vec<u32> = (0..rules.len() as u32).collect();
    if rules.len() <= DIRECT_MAX {
        return in_order.chunks(RULES).map(<[u32]>::to_vec).collect();
    }
    let mut groups: [Vec<u32>; 4] = Default::default();
    for (at, rule) in in_order.into_iter().zip(rules) {
        let [src, dst] = rule.lens.map(|len| usize::from(len > WIDE_LEN_MAX));
        groups[src | dst << 1].push(at);
    }
    let (mut chunks, mut rest): (Vec<Vec<u32>>, Vec<u32>) = Default::default();
    for (group, members) in groups.iter_mut().enumerate() {
        let src = |&at: &u32| *rules[at as usize].addresses[0].start();
        let dst = |&at: &u32| *rules[at as usize].addresses[1].start();
        match group {
            0 => {}
            1 => members.sort_by_key(|at| (src(at), dst(at))),
            2 => members.sort_by_key(|at| (dst(at), src(at))),
            _ if distinct(members.iter().map(src)) >= distinct(members.iter().map(dst)) => {
                members.sort_by_key(|at| (src(at), dst(at)));
            }
            _ => members.sort_by_key(|at| (dst(at), src(at))),
        }
        let (whole, of_group) = members.as_chunks::<RULES>();
        chunks.extend(whole.iter().map(|chunk| chunk.to_vec()));
        rest.extend(of_group);
    }
    chunks.extend(rest.chunks(RULES).map(<[u32]>::to_vec));
    for chunk in &mut chunks {
        chunk.sort_unstable();
    }
    chunks
}

fn distinct<V: Value>(values: impl Iterator<Item = V>) -> usize {
    let mut all: Vec<V> = values.collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}
