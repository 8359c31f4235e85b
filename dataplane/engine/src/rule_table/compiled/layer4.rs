//! Ports and protocol: one field where rules name few of them, as they nearly always do, else three.
//!
//! As one field, a byte says for each port which class it is of, and a table which class the three
//! classes make: that is four loads. What one rule says of ports and protocol is a *clause*; many
//! rules have the same.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::field::{Field, FieldBuilder, Rules};
use super::ranges::RangeField;
use super::search::Value;
use crate::burst::BURST_MAX;
use crate::simd::Vectors;

/// Ports and one more: that of what shows none.
const PORTS: usize = (1 << 16) + 1;
/// The port of what shows none.
pub(super) const NO_PORT: u32 = 1 << 16;
/// Protocols and one more: that of what has none.
const PROTOCOLS: usize = (1 << 8) + 1;
/// The protocol of what has none.
pub(super) const NO_PROTOCOL_VALUE: u32 = 1 << 8;

/// Entries of the table of classes, at most: two bytes each.
const CELLS_MAX: usize = 1 << 17;
/// Ranges and sets beyond two for each rule, at most.
const EXTRA_MAX: usize = 1024;
/// Entries times clauses, at most, and sets that are added up for its rows: what it takes to make the
/// table.
const WORK_MAX: usize = 1 << 26;

/// What a rule accepts of source port, destination port and protocol.
pub(super) type Clause = [RangeInclusive<u32>; 3];

/// Ports and protocol of all chunks.
#[derive(Debug, Clone)]
pub(super) enum Layer4 {
    /// As one field.
    Merged(Box<Merged>),
    /// As three.
    Apart(Box<[RangeField<u32>; 3]>),
}

/// One field of all three.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    ports: [Box<[u8; PORTS]>; 2],
    protocols: [u8; PROTOCOLS],
    /// How many classes of destination ports and protocols there are.
    counts: [usize; 2],
    /// By the classes of all three, the range of the field.
    cells: Box<[u16]>,
    pub(super) field: Field,
}

impl Layer4 {
    /// Of each chunk, the clause of each rule.
    pub(super) fn new(chunks: &[Vec<Clause>]) -> Self {
        Merged::new(chunks).map_or_else(
            || {
                let of = |field: usize| {
                    let ranges = |chunk: &Vec<Clause>| {
                        chunk.iter().map(|clause| clause[field].clone()).collect()
                    };
                    RangeField::new(&chunks.iter().map(ranges).collect::<Vec<_>>())
                };
                Self::Apart(Box::new([of(0), of(1), of(2)]))
            },
            |merged| Self::Merged(Box::new(merged)),
        )
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Merged(merged) => {
                size_of::<Merged>() + 2 * PORTS + size_of_val(&*merged.cells) + merged.field.bytes()
            }
            Self::Apart(fields) => fields.iter().map(RangeField::bytes).sum(),
        }
    }
}

/// Where the classes of a field's values begin: where a clause begins or ends to accept them.
fn class_starts(clauses: &[&Clause], field: usize, values: usize) -> Vec<u32> {
    let mut starts = BTreeSet::from([0]);
    for clause in clauses {
        let (from, to) = clause[field].clone().into_inner();
        starts.extend([from, to + 1]);
    }
    // Behind the last value there is no class.
    starts.into_iter().filter(|&start| (start as usize) < values).collect()
}

/// For each class: which clauses accept it, a bit each.
fn accepting(clauses: &[&Clause], field: usize, starts: &[u32]) -> Vec<Vec<u64>> {
    let of_class = |start: &u32| {
        let mut bits = vec![0; clauses.len().div_ceil(64)];
        for (at, clause) in clauses.iter().enumerate() {
            bits[at / 64] |= u64::from(clause[field].contains(start)) << (at % 64);
        }
        bits
    };
    starts.iter().map(of_class).collect()
}

/// The class of each value. `None` where a byte does not tell them apart.
fn class_table<const VALUES: usize>(starts: &[u32]) -> Option<Box<[u8; VALUES]>> {
    let mut table = vec![0; VALUES];
    for (class, &start) in starts.iter().enumerate() {
        let class = u8::try_from(class).ok()?;
        if let Some(rest) = table.get_mut(start as usize..) {
            rest.fill(class);
        }
    }
    table.into_boxed_slice().try_into().ok()
}

impl Merged {
    /// `None` where the table would be too large.
    fn new(chunks: &[Vec<Clause>]) -> Option<Self> {
        if chunks.is_empty() {
            return None;
        }
        let mut id_of: HashMap<&Clause, usize> = HashMap::new();
        let mut clauses = Vec::new();
        // By clause, the rules of chunks that have it.
        let mut having: Vec<Vec<(usize, Rules)>> = Vec::new();
        for (chunk, of_rules) in chunks.iter().enumerate() {
            for (rule, clause) in of_rules.iter().enumerate() {
                let id = *id_of.entry(clause).or_insert_with(|| {
                    clauses.push(clause);
                    having.push(Vec::new());
                    clauses.len() - 1
                });
                if having[id].last().is_none_or(|&(last, _)| last != chunk) {
                    having[id].push((chunk, Rules::default()));
                }
                having[id].last_mut().into_iter().for_each(|(_, rules)| rules.flip(rule));
            }
        }
        let starts = [(0, PORTS), (1, PORTS), (2, PROTOCOLS)]
            .map(|(field, values)| class_starts(&clauses, field, values));
        let [src, dst, protocols] = starts.each_ref().map(Vec::len);
        let cells = src * dst * protocols;
        // First of all: what follows takes as much time and memory.
        if cells > CELLS_MAX || cells * clauses.len() > WORK_MAX {
            return None;
        }
        let rules: usize = chunks.iter().map(Vec::len).sum();
        let size_max = 2 * rules + EXTRA_MAX;
        let tables = [class_table(&starts[0])?, class_table(&starts[1])?];
        let of_protocols = *class_table(&starts[2])?;
        let [src, dst, protocols] =
            [0, 1, 2].map(|field| accepting(&clauses, field, &starts[field]));
        let counts = [dst.len(), protocols.len()];
        let mut ranges: HashMap<Vec<u64>, u16> = HashMap::new();
        let mut builder = Sums {
            builder: FieldBuilder::new(chunks.len()),
            rules: vec![None; chunks.len()],
            work: 0,
        };
        let mut cells = Vec::with_capacity(cells);
        for src in &src {
            for dst in &dst {
                for protocol in &protocols {
                    let both = src.iter().zip(dst).zip(protocol);
                    let clauses: Vec<u64> = both.map(|((a, b), c)| a & b & c).collect();
                    let next = ranges.len();
                    let range = if let Some(&range) = ranges.get(&clauses) {
                        range
                    } else {
                        let range = u16::try_from(next).ok().filter(|_| next < size_max)?;
                        builder.push(&clauses, &having);
                        if builder.builder.sets() > size_max || builder.work > WORK_MAX {
                            return None;
                        }
                        ranges.insert(clauses, range);
                        range
                    };
                    cells.push(range);
                }
            }
        }
        let field = builder.builder.finish();
        Some(Self { ports: tables, protocols: of_protocols, counts, cells: cells.into(), field })
    }

    /// The row of each of the first `count` packets.
    #[inline(always)]
    pub(super) fn rows<const WIDE: bool>(
        &self,
        [src_ports, dst_ports, protocols]: &[[u32; BURST_MAX]; 3],
        count: usize,
        rows: &mut [u32; BURST_MAX],
    ) {
        let [dst_count, protocol_count] = self.counts;
        let packets = src_ports[..count].iter().zip(&dst_ports[..count]).zip(&protocols[..count]);
        for (((&src, &dst), &protocol), row) in packets.zip(&mut rows[..count]) {
            let [src, dst] = [self.ports[0][src as usize], self.ports[1][dst as usize]];
            let protocol = self.protocols[protocol as usize];
            let cell = usize::from(src) * dst_count + usize::from(dst);
            let cell = cell * protocol_count + usize::from(protocol);
            *row = self.field.row::<WIDE>(self.cells[cell].into());
        }
    }
}

/// Rows by the clauses that hold.
struct Sums {
    builder: FieldBuilder,
    /// By chunk, its rules in the current row, if it has any.
    rules: Vec<Option<Rules>>,
    /// Sets that were added up so far.
    work: usize,
}

impl Sums {
    /// Pushes a row.
    fn push(&mut self, clauses: &[u64], having: &[Vec<(usize, Rules)>]) {
        let before: Vec<usize> =
            (0..self.rules.len()).filter(|&chunk| self.rules[chunk].take().is_some()).collect();
        for (word, &bits) in clauses.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let clause = 64 * word + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                self.work += having[clause].len();
                for &(chunk, rules) in &having[clause] {
                    let sum = self.rules[chunk].get_or_insert_default();
                    sum.0.iter_mut().zip(rules.0).for_each(|(sum, rules)| *sum |= rules);
                }
            }
        }
        for chunk in before {
            if self.rules[chunk].is_none() {
                self.builder.set(chunk, Rules::default());
            }
        }
        for (chunk, sum) in self.rules.iter().enumerate() {
            if let Some(rules) = *sum {
                self.builder.set(chunk, rules);
            }
        }
        self.builder.push();
    }
}

/// The rows of one of three fields.
#[inline(always)]
pub(super) fn rows_apart<W: Vectors, const WIDE: bool>(
    field: &RangeField<u32>,
    vectors: W,
    values: &[u32; BURST_MAX],
    count: usize,
    rows: &mut [u32; BURST_MAX],
) {
    let mut keys = [0; BURST_MAX];
    for at in 0..BURST_MAX {
        keys[at] = values[at].key();
    }
    field.rows::<W, WIDE>(vectors, &keys, count, rows);
}
