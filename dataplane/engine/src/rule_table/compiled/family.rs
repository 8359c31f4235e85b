//! The rules of one family, and how a burst is looked up in them.

use std::ops::RangeInclusive;

use super::addresses::{Address, AddressSearch};
use super::cluster::cluster;
use super::layer4::{Apart, Clause, Merged};
use super::packets::Packets;
use super::ranges::Ranges;
use crate::burst::BURST_MAX;
use crate::conditions::Match;
use crate::simd::{self, Field, Places, Sets, Vectors};

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

/// The rules of one family, one at least.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// Source and destination.
    addresses: [AddressSearch; 2],
    fields: [Field; 2],
    layer4: Layer4,
    /// By chunk, which its rules are.
    chunks: Box<[Vec<u32>]>,
}

/// The fields of ports and protocol.
#[derive(Debug, Clone)]
enum Layer4 {
    /// All as one.
    Merged(Box<Merged>),
    /// Source port, destination port, protocol.
    Apart(Box<Apart>),
}

impl Family {
    /// Of these rules; `None` without any.
    pub(super) fn new<V: Address>(rules: &[Box5<V>]) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let chunks = cluster(rules);
        let [src, dst] = [0, 1]
            .map(|field| Ranges::new(&each(rules, &chunks, |rule| rule.addresses[field].clone())));
        let clauses = each(rules, &chunks, |rule| rule.clause.clone());
        let layer4 = Merged::new(&clauses).map_or_else(
            || Layer4::Apart(Box::new(Apart::new(&clauses))),
            |merged| Layer4::Merged(Box::new(merged)),
        );
        Some(Self {
            addresses: [&src, &dst].map(|it| V::search(&it.starts, &it.numbers)),
            fields: [src.field, dst.field],
            layer4,
            chunks: each(rules, &chunks, |rule| rule.rule).into(),
        })
    }

    /// Where each rule stands, by its number; those that do must be in the order that they were in.
    pub(super) fn places(&self, place_of: &[Option<u32>]) -> Places {
        let places = |chunk: &Vec<u32>| chunk.iter().map(|&rule| place_of[rule as usize]).collect();
        Places::new(&self.chunks.iter().map(places).collect::<Vec<_>>())
    }

    /// Bytes, with those of its [`Places`].
    pub(super) fn bytes(&self) -> usize {
        let addresses: usize = self.addresses.iter().map(AddressSearch::bytes).sum();
        let fields: usize = self.fields.iter().map(Field::bytes).sum();
        let layer4 = match &self.layer4 {
            Layer4::Merged(merged) => merged.bytes(),
            Layer4::Apart(apart) => apart.bytes(),
        };
        let rules: usize = self.chunks.iter().map(|chunk| 4 * chunk.len()).sum();
        addresses + fields + layer4 + Places::bytes(self.chunks.len()) + rules
    }

    /// The place of the first rule that matches each packet, where it is before what is found.
    pub(super) fn first_matches(
        &self,
        places: &Places,
        packets: Packets<'_>,
        matches: &mut [Match],
    ) {
        simd::widest(Lookup { family: self, places, packets, matches });
    }
}

/// Something of each rule of each chunk.
fn each<V, T>(rules: &[Box5<V>], chunks: &[Vec<u32>], of: impl Fn(&Box5<V>) -> T) -> Vec<Vec<T>> {
    let of_chunk = |chunk: &Vec<u32>| chunk.iter().map(|&at| of(&rules[at as usize])).collect();
    chunks.iter().map(of_chunk).collect()
}

struct Lookup<'a> {
    family: &'a Family,
    places: &'a Places,
    packets: Packets<'a>,
    matches: &'a mut [Match],
}

impl simd::Work for Lookup<'_> {
    type Output = ();

    // Without closures on the way: they would be compiled apart, and not for these vectors.
    #[inline(always)]
    fn run(self, vectors: impl Vectors) {
        let Self { family, places, packets, matches } = self;
        let mut found = packets.found(matches);
        let count = packets.count();
        let [src, dst] = &family.fields;
        match &family.layer4 {
            Layer4::Merged(merged) => {
                let mut numbers = [[0; BURST_MAX]; 3];
                family.addresses(vectors, packets, &mut numbers);
                merged.numbers(packets, &mut numbers[2]);
                let sets = Sets::new([src, dst, &merged.field], places);
                sets.first_matches(vectors, &numbers, count, &mut found);
            }
            Layer4::Apart(apart) => {
                let mut numbers = [[0; BURST_MAX]; 5];
                family.addresses(vectors, packets, &mut numbers);
                apart.numbers(vectors, packets, &mut numbers);
                let [a, b, c] = &apart.fields;
                let sets = Sets::new([src, dst, a, b, c], places);
                sets.first_matches(vectors, &numbers, count, &mut found);
            }
        }
        packets.answer(&found, matches);
    }
}

impl Family {
    /// The first two numbers of each packet.
    #[inline(always)]
    fn addresses<W: Vectors, const FIELDS: usize>(
        &self,
        vectors: W,
        packets: Packets<'_>,
        numbers: &mut [[u32; BURST_MAX]; FIELDS],
    ) {
        let columns = [&packets.keys.src, &packets.keys.dst];
        for field in 0..2 {
            self.addresses[field].numbers(vectors, packets, columns[field], &mut numbers[field]);
        }
    }
}
