//! Many packets at once, by AVX-512 or AVX2: the one place of the engine with `unsafe`.
//!
//! Both do the same with vectors of different width; what calls them has a portable twin, which is
//! the oracle of both.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "instructions that only some processors have")
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(target_arch = "x86_64")]
use crate::burst::BURST_MAX;
use crate::conditions::{Conditions, Match};
use crate::keys::Keys;

/// So many rules are compared without a branch; then it is seen whether any packet needs more.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 8;

/// Rules by family, and what is found where none matches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) v4: &'a [Conditions<1>],
    pub(crate) v6: &'a [Conditions<4>],
    pub(crate) none: u32,
}

/// Calls `$work` of the module with the widest vectors that the processor has, if it has any.
macro_rules! widest {
    ($work:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has both.
            return unsafe { avx512::$work($($argument),*) };
        }
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { avx2::$work($($argument),*) };
        }
    }};
}

/// Finds for the packets at `which` the place of the first rule that matches. False (and nothing is
/// written) on a processor without such vectors.
#[inline]
pub(crate) fn first_matches(
    rules: Rules<'_>,
    keys: &Keys,
    which: &[u8],
    matches: &mut [Match],
) -> bool {
    widest!(first_matches(rules, keys, which, matches));
    false
}

/// Work of which the compiler makes vectors.
pub(crate) trait Work {
    /// What it results in.
    type Output;

    /// Does it. To be always inlined: what is not is compiled as ever.
    fn run(self) -> Self::Output;
}

/// Does the work, compiled for the widest vectors that the processor has.
#[inline]
pub(crate) fn widest<W: Work>(work: W) -> W::Output {
    widest!(run(work));
    work.run()
}

/// The first of packets that stand side by side; `None` when they don't.
#[cfg(target_arch = "x86_64")]
#[inline]
fn run_of(which: &[u8]) -> Option<usize> {
    let &start = which.first().filter(|start| usize::from(**start) < BURST_MAX)?;
    let places = which.iter().zip(0u8..);
    let misplaced = places.fold(0, |bits, (&at, n)| bits | at.wrapping_sub(n) ^ start);
    (misplaced == 0).then_some(start.into())
}

/// Which packets are looked up together; lanes beyond them hold any packets.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
enum Places<V> {
    /// Side by side, from this one on.
    From(usize),
    /// Each below [`crate::burst::BURST_MAX`].
    List(V),
}

/// What is the same for all vectors, made of what its module says of them: `Words` (one word of each
/// of `LANES` packets), `splat`, `load`, `gather`, `list`, `words_of`, `or`, `min`, `difference`,
/// `outside`, `is_settled`, `choose`.
#[cfg(target_arch = "x86_64")]
macro_rules! of_vectors {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn run<W: Work>(work: W) -> W::Output {
            work.run()
        }

        #[target_feature(enable = $features)]
        pub(super) fn first_matches(
            rules: Rules<'_>,
            keys: &Keys,
            which: &[u8],
            matches: &mut [Match],
        ) -> bool {
            let mut run = run_of(which);
            for (which, matches) in which.chunks(LANES).zip(matches.chunks_mut(LANES)) {
                let places = run.map_or_else(|| Places::List(list(which)), Places::From);
                run = run.map(|start| start + LANES);
                let all = words_of(first(rules, Packets { keys, places })).map(Match);
                match matches.first_chunk_mut() {
                    Some(matches) => *matches = all,
                    None => matches.iter_mut().zip(all).for_each(|(to, from)| *to = from),
                }
            }
            true
        }

        /// The place of the first rule that matches each packet.
        #[inline]
        #[target_feature(enable = $features)]
        fn first(rules: Rules<'_>, packets: Packets<'_>) -> Words {
            let v4 = first_of_family(rules.v4, rules.none, packets);
            or(v4, first_of_family(rules.v6, rules.none, packets))
        }

        /// The same for packets of one family; 0 for the others.
        #[inline]
        #[target_feature(enable = $features)]
        fn first_of_family<const WORDS: usize>(
            rules: &[Conditions<WORDS>],
            none: u32,
            packets: Packets<'_>,
        ) -> Words {
            let class = packets.words(&packets.keys.class);
            let is_other = Masked { value: Conditions::<WORDS>::FAMILY, mask: IS_V6 };
            let mut found = choose(splat(0), none, difference(splat(0), class, is_other));
            if is_settled(found, none) {
                return found;
            }
            let (ports, addresses) = (packets.words(&packets.keys.ports), packets.addresses());
            for block in rules.chunks(BLOCK) {
                let mut first = splat(none);
                // The first rule comes last, and wins.
                for rule in block.iter().rev() {
                    first = choose(first, rule.place, differences(rule, addresses, class, ports));
                }
                // Places ascend from block to block, and none is above them all.
                found = min(found, first);
                if is_settled(found, none) {
                    break;
                }
            }
            found
        }

        /// Zero for packets that match.
        #[inline]
        #[target_feature(enable = $features)]
        fn differences<const WORDS: usize>(
            rule: &Conditions<WORDS>,
            addresses: [[Words; 2]; WORDS],
            class: Words,
            ports: Words,
        ) -> Words {
            let outside = outside(ports, rule.ports_from, rule.ports_span);
            let mut differs = difference(outside, class, rule.class);
            for ([src, dst], (of_src, of_dst)) in
                addresses.into_iter().zip(rule.src.iter().zip(&rule.dst))
            {
                differs = difference(difference(differs, src, *of_src), dst, *of_dst);
            }
            differs
        }

        #[derive(Clone, Copy)]
        struct Packets<'a> {
            keys: &'a Keys,
            places: Places<Words>,
        }

        impl Packets<'_> {
            /// Both addresses, as many words of them as the family has.
            #[inline]
            #[target_feature(enable = $features)]
            fn addresses<const WORDS: usize>(self) -> [[Words; 2]; WORDS] {
                let mut addresses = [[splat(0); 2]; WORDS];
                for (word, place) in (4 - WORDS..).zip(&mut addresses) {
                    *place = [self.words(&self.keys.src[word]), self.words(&self.keys.dst[word])];
                }
                addresses
            }

            /// Their words of a column.
            #[inline]
            #[target_feature(enable = $features)]
            fn words(self, column: &Column) -> Words {
                match self.places {
                    Places::From(start) => {
                        load(column[start..].first_chunk().unwrap_or(&[0; LANES]))
                    }
                    Places::List(places) => gather(column, places),
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
use of_vectors;
