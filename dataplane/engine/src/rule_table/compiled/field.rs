//! One field of the keys: for each range of its values a row that says which chunks have rules for it,
//! and which set of each. What is equal is there once.

use std::collections::HashMap;

use crate::simd::{Set, WORDS};

/// Rules of a chunk: a bit each in one cache line.
pub(super) const RULES: usize = 64 * WORDS;

/// Numbers in a part of a row: two cache lines.
const LINE: usize = 32;
/// Numbers that hold the bits of 64 chunks.
const HEAD: usize = 2;

/// Rules of one chunk, the first of which goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub(super) struct Rules(pub(super) Set);

impl Rules {
    /// Adds a rule, or takes it away.
    pub(super) fn flip(&mut self, rule: usize) {
        self.0[rule / 64] ^= 1 << (rule % 64);
    }
}

/// A part of a row: bits of chunks, then ids of sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(align(128))]
struct Part([u32; LINE]);

/// A field of all chunks.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// By range, `row_len` each: where the parts of its row are. A row has a bit for each chunk that has rules,
    /// then the id of each chunk's set.
    rows: Box<[u32]>,
    row_len: usize,
    /// Where the ids begin in a row.
    head_len: usize,
    parts: Box<[Part]>,
    /// Of all chunks; the first is empty.
    sets: Box<[Rules]>,
}

impl Field {
    /// Rows are longer than one part: there are many chunks.
    pub(super) fn is_wide(&self) -> bool {
        self.row_len > 1
    }

    /// Where the row of a range is: for wide fields among the rows, else among the parts at once.
    #[inline(always)]
    pub(super) fn row<const WIDE: bool>(&self, range: u32) -> u32 {
        if WIDE { range * self.row_len as u32 } else { self.rows[range as usize] }
    }

    #[inline(always)]
    fn part<const WIDE: bool>(&self, row: u32, at: usize) -> &[u32; LINE] {
        let part = if WIDE { self.rows[row as usize + at] } else { row };
        &self.parts[part as usize].0
    }

    /// A bit for each of 64 chunks from `64 * word` on that has rules for a row.
    #[inline(always)]
    pub(super) fn chunks<const WIDE: bool>(&self, row: u32, word: usize) -> u64 {
        const PER_LINE: usize = LINE / HEAD;
        let words = self.part::<WIDE>(row, word / PER_LINE).as_chunks::<HEAD>().0;
        let [low, high] = words[word % PER_LINE];
        u64::from(low) | u64::from(high) << 32
    }

    /// The rules of a chunk for a row.
    #[inline(always)]
    pub(super) fn rules<const WIDE: bool>(&self, row: u32, chunk: usize) -> &Set {
        let at = self.head_len + chunk;
        let id = self.part::<WIDE>(row, at / LINE)[at % LINE];
        &self.sets[id as usize].0
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.parts) + size_of_val(&*self.sets)
    }
}

/// A field in the making: the current row is changed, and pushed for one range after the other.
#[derive(Debug)]
pub(super) struct FieldBuilder {
    row: Vec<Part>,
    ids: Vec<u32>,
    /// The parts that were changed since they were given their ids.
    changed: Vec<bool>,
    head_len: usize,
    rows: Vec<u32>,
    parts: Vec<Part>,
    id_of: HashMap<Part, u32>,
    sets: Vec<Rules>,
    /// By chunk, which they are: chunks have none in common but the empty one.
    set_ids: Vec<HashMap<Rules, u32>>,
}

impl FieldBuilder {
    /// One of so many chunks, none of which has rules for the current row.
    pub(super) fn new(chunks: usize) -> Self {
        let head_len = chunks.div_ceil(64) * HEAD;
        let row_len = (head_len + chunks).div_ceil(LINE).max(1);
        Self {
            row: vec![Part([0; LINE]); row_len],
            ids: vec![0; row_len],
            changed: vec![true; row_len],
            head_len,
            rows: Vec::new(),
            parts: Vec::new(),
            id_of: HashMap::new(),
            sets: vec![Rules::default()],
            set_ids: vec![HashMap::from([(Rules::default(), 0)]); chunks],
        }
    }

    /// How many sets all chunks have.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Gives a chunk these rules in the current row.
    pub(super) fn set(&mut self, chunk: usize, rules: Rules) {
        let sets = &mut self.sets;
        let id = *self.set_ids[chunk].entry(rules).or_insert_with(|| {
            sets.push(rules);
            (sets.len() - 1) as u32
        });
        let bit = 1 << (chunk % 32);
        let head = &mut self.row[chunk / 32 / LINE].0[chunk / 32 % LINE];
        *head = *head & !bit | if id == 0 { 0 } else { bit };
        self.changed[chunk / 32 / LINE] = true;
        let at = self.head_len + chunk;
        self.row[at / LINE].0[at % LINE] = id;
        self.changed[at / LINE] = true;
    }

    /// Makes the current row that of the next range.
    pub(super) fn push(&mut self) {
        for ((part, id), changed) in self.row.iter().zip(&mut self.ids).zip(&mut self.changed) {
            if core::mem::take(changed) {
                *id = *self.id_of.entry(*part).or_insert_with(|| {
                    self.parts.push(*part);
                    (self.parts.len() - 1) as u32
                });
            }
        }
        self.rows.extend(&self.ids);
    }

    /// The field.
    pub(super) fn finish(self) -> Field {
        Field {
            rows: self.rows.into(),
            row_len: self.row.len(),
            head_len: self.head_len,
            parts: self.parts.into(),
            sets: self.sets.into(),
        }
    }
}
