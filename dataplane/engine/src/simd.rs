//! Many packets at once, by AVX-512 or AVX2: the one place of the engine with `unsafe`.
//!
//! Both do the same with vectors of different width; what calls them has a portable twin, which is
//! the oracle of both. And two tables ([`Search`], [`Sets`]) whose places are checked when they are made,
//! not when they are read.

#![expect(
    unsafe_code,
    reason = "instructions that only some processors have; tables that are read without asking"
)]
#![expect(clippy::inline_always, reason = "compiled for the vectors that the processor has")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod fields;
mod search;
mod sets;
mod values;
mod vectors;

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m128i, _mm_loadu_si128};

use crate::address_table::{AddressTable, Start};
use crate::burst::BURST_MAX;
use crate::conditions::{Conditions, Match};
use crate::keys::Keys;
use crate::plain::Head;
use crate::source::Source;
pub(crate) use fields::{
    CHUNK, Field, HEAD, LINES_MAX, PART, Part, Places, Rows, head_of, heads, row_len,
};
pub(crate) use search::Search;
pub(crate) use sets::Sets;
pub(crate) use values::Value;
pub(crate) use vectors::{Line, Portable, Vectors};

/// So many rules are compared without a branch; then it is seen whether any packet needs more.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 8;

/// Whose a frame is of which no address is known.
#[cfg(target_arch = "x86_64")]
const NOBODY: u32 = Source::NONE.word();

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
        if has_avx512() {
            // SAFETY: the processor has it.
            return unsafe { avx512::$work($($argument),*) }.into();
        }
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: the processor has it.
            return unsafe { avx2::$work($($argument),*) }.into();
        }
    }};
}

/// The processor has all of AVX-512 that is used here.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    #[cfg(test)]
    if WIDTH_MAX.get() < 512 {
        return false;
    }
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && has_bmi()
}

/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    #[cfg(test)]
    if WIDTH_MAX.get() < 256 {
        return false;
    }
    std::is_x86_feature_detected!("avx2") && has_bmi()
}

/// The processor has instructions for single bits, as all with AVX2 have that are known.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_bmi() -> bool {
    std::is_x86_feature_detected!("bmi1") && std::is_x86_feature_detected!("bmi2")
}

#[cfg(test)]
thread_local! {
    static WIDTH_MAX: core::cell::Cell<u32> = const { core::cell::Cell::new(512) };
}

/// Does the work with the widest vectors that the processor has, with narrower ones, and with none.
#[cfg(test)]
pub(crate) fn with_each_width(mut work: impl FnMut()) {
    for width in [512, 256, 0] {
        WIDTH_MAX.set(width);
        work();
    }
    WIDTH_MAX.set(512);
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

/// Writes the keys of plain frames, and returns a bit for each ([`crate::plain::set_keys`]). `None`
/// (and nothing is written) on a processor without such vectors.
#[inline]
pub(crate) fn plain_keys(heads: &[&Head; BURST_MAX], count: usize, keys: &mut Keys) -> Option<u64> {
    widest!(plain_keys(heads, count, keys));
    None
}

/// Finds for the first `count` frames, which start so, whose they are. False (and nothing is written)
/// on a processor without such vectors.
#[inline]
pub(crate) fn sources(
    starts: &[&Start; BURST_MAX],
    count: usize,
    table: &AddressTable,
    sources: &mut [[Source; 2]; BURST_MAX],
) -> bool {
    widest!(sources(starts, count, table, sources));
    false
}

/// Work of which the compiler makes vectors.
pub(crate) trait Work {
    /// What it results in.
    type Output;

    /// Does it. To be always inlined: what is not is compiled as ever.
    fn run(self, vectors: impl Vectors) -> Self::Output;
}

/// Does the work, compiled for the widest vectors that the processor has.
#[inline]
pub(crate) fn widest<W: Work>(work: W) -> W::Output {
    widest!(run(work));
    work.run(Portable)
}

/// Four words at a place of a string. Every processor of the family can.
#[cfg(target_arch = "x86_64")]
#[inline]
fn row<const LEN: usize>(bytes: &[u8; LEN], at: usize) -> __m128i {
    let bytes: &[u8; 16] = bytes[at..].first_chunk().unwrap_or(&[0; 16]);
    // SAFETY: the array is as long as the vector, and no alignment is asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
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
enum Which<V> {
    /// Side by side, from this one on.
    From(usize),
    /// Each below [`crate::burst::BURST_MAX`].
    List(V),
}

/// What is the same for all vectors, made of what its module says of them: `Words` (one word of each
/// of `LANES` packets), `splat`, `load`, `gather`, `list`, `words_of`, `or`, `min`, `difference`,
/// `outside`, `is_settled`, `choose`; `rows`, and by `low32`, `high32`, `low64` and `high64` how words
/// of two vectors alternate in the lower and the upper half of each 16 bytes.
#[cfg(target_arch = "x86_64")]
macro_rules! of_vectors {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn run<W: Work>(work: W) -> W::Output {
            // SAFETY: the processor has what this function needs itself.
            work.run(unsafe { Widest::new() })
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
                let places = run.map_or_else(|| Which::List(list(which)), Which::From);
                run = run.map(|start| start + LANES);
                let all = words_of(first(rules, Packets { keys, places })).map(Match);
                match matches.first_chunk_mut() {
                    Some(matches) => *matches = all,
                    None => matches.iter_mut().zip(all).for_each(|(to, from)| *to = from),
                }
            }
            true
        }

        #[target_feature(enable = $features)]
        pub(super) fn plain_keys(heads: &[&Head; BURST_MAX], count: usize, keys: &mut Keys) -> u64 {
            let heads = heads[..count.next_multiple_of(LANES)].as_chunks().0;
            heads
                .iter()
                .zip((0..).step_by(LANES))
                .fold(0, |plain, (heads, start)| plain | set_keys(&columns(heads), keys, start))
        }

        /// The words of heads, by columns (`crate::plain::words`).
        #[inline]
        #[target_feature(enable = $features)]
        fn columns(heads: &[&Head; LANES]) -> plain::Words<LANES> {
            let mut columns = [[0; LANES]; 4 * QUADS.len()];
            for (at, columns) in QUADS.into_iter().zip(columns.as_chunks_mut::<4>().0) {
                let [a, b, c, d] = quad(heads, at);
                *columns = [words_of(a), words_of(b), words_of(c), words_of(d)];
            }
            columns
        }

        #[target_feature(enable = $features)]
        pub(super) fn sources(
            starts: &[&Start; BURST_MAX],
            count: usize,
            table: &AddressTable,
            sources: &mut [[Source; 2]; BURST_MAX],
        ) -> bool {
            let starts = starts[..count.next_multiple_of(LANES)].as_chunks::<LANES>().0;
            for (starts, sources) in starts.iter().zip(sources.as_chunks_mut::<LANES>().0) {
                let [first, second, third, _] = quad(starts, 0);
                let mut found = [splat(NOBODY); 2];
                for owners in &table.owners {
                    let from = differences_of([second, third], owners.from);
                    let to = differences_of([first, second], owners.to);
                    found = [
                        choose(found[0], owners.egress.word(), from),
                        choose(found[1], owners.ingress.word(), to),
                    ];
                }
                let [egress, ingress] = [words_of(found[0]), words_of(found[1])];
                for (sources, (egress, ingress)) in
                    sources.iter_mut().zip(egress.into_iter().zip(ingress))
                {
                    *sources = [Source::of_word(egress), Source::of_word(ingress)];
                }
            }
            true
        }

        /// Zero where both words are as they should be.
        #[inline]
        #[target_feature(enable = $features)]
        fn differences_of(words: [Words; 2], masked: [Masked; 2]) -> Words {
            difference(difference(splat(0), words[0], masked[0]), words[1], masked[1])
        }

        /// Four words at a place of each of so many byte strings, by columns.
        #[inline]
        #[target_feature(enable = $features)]
        fn quad<const LEN: usize>(bytes: &[&[u8; LEN]; LANES], at: usize) -> [Words; 4] {
            let (a, b) = (rows(bytes, 0, at), rows(bytes, 1, at));
            let (c, d) = (rows(bytes, 2, at), rows(bytes, 3, at));
            let (low, high) = ([low32(a, b), low32(c, d)], [high32(a, b), high32(c, d)]);
            [
                low64(low[0], low[1]),
                high64(low[0], low[1]),
                low64(high[0], high[1]),
                high64(high[0], high[1]),
            ]
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
            places: Which<Words>,
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
                    Which::From(start) => {
                        load(column[start..].first_chunk().unwrap_or(&[0; LANES]))
                    }
                    // SAFETY: lists are made by `list` alone.
                    Which::List(places) => unsafe { gather(column, places) },
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
use of_vectors;
