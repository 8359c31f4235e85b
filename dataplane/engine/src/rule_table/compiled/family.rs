//! The rules of one family in their chunks, and how a burst is looked up in them.

use std::ops::RangeInclusive;

use super::cluster::cluster;
use super::field::{Field, RULES};
use super::layer4::{Clause, Layer4, rows_apart};
use super::packets::{Address, Chosen, Packets};
use super::ranges::RangeField;
use super::search::Value;
use crate::burst::BURST_MAX;
use crate::conditions::Match;
use crate::simd::{self, Set, Vectors};

/// What a rule accepts: a box in five dimensions.
#[derive(Debug, Clone)]
pub(super) struct Box5<V> {
    /// Source and destination.
    pub(super) addresses: [RangeInclusive<V>; 2],
    /// Of both networks.
    pub(super) lens: [u8; 2],
    pub(super) clause: Clause,
    /// Which rule it is, among those of both families; the first goes first.
    pub(super) rule: u32,
}

/// The rules of one family.
#[derive(Debug, Clone)]
pub(super) struct Family<V: Value> {
    addresses: [RangeField<V>; 2],
    layer4: Layer4,
    /// By chunk, which its rules are.
    chunks: Box<[Vec<u32>]>,
}

/// Where the rules of one family stand in a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// By chunk, the place of each rule; [`GONE`] for one that no longer stands there. Behind them,
    /// [`NONE`].
    of: Box<[[u32; RULES + 1]]>,
    /// By chunk, the rules that still stand there.
    standing: Box<[Set]>,
}

/// The place of a rule that is gone.
const GONE: u32 = u32::MAX;
/// Behind all places.
const NONE: u32 = GONE - 1;

impl<V: Value> Default for Family<V> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<V: Value> Family<V> {
    /// Of these rules.
    pub(super) fn new(rules: &[Box5<V>]) -> Self {
        let chunks = cluster(rules);
        let address = |field: usize| {
            RangeField::new(&each(rules, &chunks, |rule| rule.addresses[field].clone()))
        };
        Self {
            addresses: [address(0), address(1)],
            layer4: Layer4::new(&each(rules, &chunks, |rule| rule.clause.clone())),
            chunks: each(rules, &chunks, |rule| rule.rule).into(),
        }
    }

    /// True when there is no rule.
    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Where each rule stands, by its number; those that do must be in the order that they were in.
    pub(super) fn places(&self, place_of: &[Option<u32>]) -> Places {
        let mut places = Places {
            of: vec![[NONE; RULES + 1]; self.chunks.len()].into(),
            standing: vec![[0; simd::WORDS]; self.chunks.len()].into(),
        };
        let of_chunks = places.of.iter_mut().zip(&mut places.standing).zip(&self.chunks);
        for ((of, standing), chunk) in of_chunks {
            for (bit, (place, &rule)) in of.iter_mut().zip(chunk).enumerate() {
                *place = place_of[rule as usize].unwrap_or(GONE);
                standing[bit / 64] |= u64::from(*place != GONE) << (bit % 64);
            }
        }
        places
    }

    /// Bytes, with those of its [`Places`].
    pub(super) fn bytes(&self) -> usize {
        let addresses: usize = self.addresses.iter().map(RangeField::bytes).sum();
        let places = size_of::<[u32; RULES + 1]>() + size_of::<Set>() + 4 * RULES;
        addresses + self.layer4.bytes() + self.chunks.len() * places
    }
}

impl<V: Address> Family<V> {
    /// The place of the first rule that matches each packet, where it is before what is found.
    pub(super) fn first_matches(&self, places: &Places, chosen: Chosen<'_>, matches: &mut [Match]) {
        if !self.is_empty() {
            simd::widest(Lookup { family: self, places, chosen, matches });
        }
    }
}

/// Something of each rule of each chunk.
fn each<V, T>(rules: &[Box5<V>], chunks: &[Vec<u32>], of: impl Fn(&Box5<V>) -> T) -> Vec<Vec<T>> {
    let of_chunk = |chunk: &Vec<u32>| chunk.iter().map(|&at| of(&rules[at as usize])).collect();
    chunks.iter().map(of_chunk).collect()
}

struct Lookup<'a, V: Value> {
    family: &'a Family<V>,
    places: &'a Places,
    chosen: Chosen<'a>,
    matches: &'a mut [Match],
}

impl<V: Address> simd::Work for Lookup<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run(self, vectors: impl Vectors) {
        if self.family.addresses[0].field.is_wide() {
            self.run_as::<_, true>(vectors);
        } else {
            self.run_as::<_, false>(vectors);
        }
    }
}

impl<V: Address> Lookup<'_, V> {
    // Without closures on the way: they would be compiled apart, and not for these vectors.
    #[inline(always)]
    fn run_as<W: Vectors, const WIDE: bool>(self, vectors: W) {
        let Self { family, places, chosen, matches } = self;
        let packets = &Packets::<V>::new(chosen);
        let found = &mut chosen.found(matches);
        let count = packets.count;
        let [src, dst] = &family.addresses;
        match &family.layer4 {
            Layer4::Merged(merged) => {
                let mut rows = [[0; BURST_MAX]; 3];
                src.rows::<W, WIDE>(vectors, &packets.addresses[0], count, &mut rows[0]);
                dst.rows::<W, WIDE>(vectors, &packets.addresses[1], count, &mut rows[1]);
                merged.rows::<WIDE>(&packets.layer4, count, &mut rows[2]);
                let fields = [&src.field, &dst.field, &merged.field];
                let chunks = Chunks::<3, WIDE> { fields, rows: &rows, places };
                chunks.first_matches(vectors, count, found);
            }
            Layer4::Apart(layer4) => {
                let mut rows = [[0; BURST_MAX]; 5];
                src.rows::<W, WIDE>(vectors, &packets.addresses[0], count, &mut rows[0]);
                dst.rows::<W, WIDE>(vectors, &packets.addresses[1], count, &mut rows[1]);
                for field in 0..3 {
                    let values = &packets.layer4[field];
                    let rows = &mut rows[2 + field];
                    rows_apart::<W, WIDE>(&layer4[field], vectors, values, count, rows);
                }
                let [src_port, dst_port, protocol] = &**layer4;
                let fields =
                    [&src.field, &dst.field, &src_port.field, &dst_port.field, &protocol.field];
                let chunks = Chunks::<5, WIDE> { fields, rows: &rows, places };
                chunks.first_matches(vectors, count, found);
            }
        }
        chosen.answer(found, matches);
    }
}

/// All chunks, and where in each field the row of each packet is.
#[derive(Clone, Copy)]
struct Chunks<'a, const FIELDS: usize, const WIDE: bool> {
    fields: [&'a Field; FIELDS],
    rows: &'a [[u32; BURST_MAX]; FIELDS],
    places: &'a Places,
}

impl<const FIELDS: usize, const WIDE: bool> Chunks<'_, FIELDS, WIDE> {
    #[inline(always)]
    fn first_matches<W: Vectors>(self, vectors: W, count: usize, found: &mut [Match; BURST_MAX]) {
        for word in 0..self.places.of.len().div_ceil(64) {
            let (mut chunks, mut open, mut count_open) = ([0; BURST_MAX], [0; BURST_MAX], 0);
            for (at, chunks) in chunks[..count].iter_mut().enumerate() {
                *chunks = self.with_rules(at, word);
                // Written always, kept when it is open: no branch to mispredict.
                open[count_open % BURST_MAX] = at as u8;
                count_open += usize::from(*chunks != 0);
            }
            // One chunk of each packet after the other.
            while count_open > 0 {
                let mut kept = 0;
                for n in 0..count_open {
                    let at = usize::from(open[n]) % BURST_MAX;
                    let chunk = 64 * word + chunks[at].trailing_zeros() as usize;
                    self.visit(vectors, at, chunk, found);
                    chunks[at] &= chunks[at].wrapping_sub(1);
                    open[kept] = at as u8;
                    kept += usize::from(chunks[at] != 0);
                }
                count_open = kept;
            }
        }
    }

    /// A bit for each of 64 chunks that has rules for all fields of a packet.
    #[inline(always)]
    fn with_rules(self, at: usize, word: usize) -> u64 {
        let mut chunks = u64::MAX;
        for field in 0..FIELDS {
            chunks &= self.fields[field].chunks::<WIDE>(self.rows[field][at], word);
        }
        chunks
    }

    /// Looks for a packet's first match in a chunk.
    #[inline(always)]
    fn visit<W: Vectors>(
        self,
        vectors: W,
        at: usize,
        chunk: usize,
        found: &mut [Match; BURST_MAX],
    ) {
        let mut sets: [&Set; FIELDS] = [&[0; simd::WORDS]; FIELDS];
        for (set, (field, rows)) in sets.iter_mut().zip(self.fields.iter().zip(self.rows)) {
            *set = field.rules::<WIDE>(rows[at % BURST_MAX], chunk);
        }
        let mut place = self.places.of[chunk][vectors.first_common(sets)];
        if place == GONE {
            place = self.places.first_standing(chunk, &sets);
        }
        found[at % BURST_MAX].0 = found[at % BURST_MAX].0.min(place);
    }
}

impl Places {
    /// The place of the first rule of a chunk that still stands there and is in all sets. Few are
    /// gone, so this is seldom asked.
    #[cold]
    fn first_standing(&self, chunk: usize, sets: &[&Set]) -> u32 {
        let words = self.standing[chunk].iter().enumerate();
        let mut common =
            words.map(|(at, word)| (at, sets.iter().fold(*word, |all, set| all & set[at])));
        common
            .find(|(_, word)| *word != 0)
            .map_or(NONE, |(at, word)| self.of[chunk][64 * at + word.trailing_zeros() as usize])
    }
}
