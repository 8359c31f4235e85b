//! Ports and protocol: one field where rules name few of them, as they nearly always do, else three.
//!
//! As one field, a byte says for each port which class it is of, and a table which class the three
//! classes make: that is four loads. What one rule says of ports and protocol is a *clause*; many
//! rules have the same.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use foldhash::{HashMap, HashMapExt};

use super::field::{FieldBuilder, Rules};
use super::packets::{Packets, Words};
use super::ranges::Ranges;
use crate::burst::BURST_MAX;
use crate::flow_key::{HAS_PORTS, NO_PROTOCOL};
use crate::simd::{Field, Search, Value, Vectors};

/// Ports of packets that have them.
const PORTS: usize = 1 << 16;
/// The port of what shows none.
pub(super) const NO_PORT: u32 = 1 << 16;
/// Protocols and one more: that of what has none.
const PROTOCOLS: usize = (1 << 8) + 1;
/// The protocol of what has none.
pub(super) const NO_PROTOCOL_VALUE: u32 = 1 << 8;

/// The bits of a key's class that say protocol, and whether there are ports.
const KIND_BITS: u32 = NO_PROTOCOL | HAS_PORTS | 0xff;

/// Entries of the table of classes, at most: two bytes each.
const CELLS_MAX: usize = 1 << 17;
/// Ranges and sets beyond two for each rule, at most.
const EXTRA_MAX: usize = 1024;
/// Entries times clauses, at most, and sets that are added up for its rows: what it takes to make the
/// table.
const WORK_MAX: usize = 1 << 26;

/// What a rule accepts of source port, destination port and protocol.
pub(super) type Clause = [RangeInclusive<u32>; 3];

/// One field of all three.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    ports: [PortClasses; 2],
    /// By protocol, and whether there are ports at all.
    kinds: Box<[u32; KIND_BITS as usize + 1]>,
    /// How many classes of destination ports and of protocols there are.
    counts: [u32; 2],
    /// By the classes of both ports and of the protocol, which range of the field they are. Behind them, by
    /// the class of the protocol, that of packets without ports.
    cells: Box<[u16]>,
    /// By range.
    numbers: Box<[u32]>,
    pub(super) field: Field,
}

/// A field of each.
#[derive(Debug, Clone)]
pub(super) struct Apart {
    searches: [Search<u32>; 3],
    pub(super) fields: [Field; 3],
}

impl Apart {
    /// Of each chunk, the clause of each rule.
    pub(super) fn new(chunks: &[Vec<Clause>]) -> Self {
        let [src, dst, protocol] = [0, 1, 2].map(|field| {
            let ranges =
                |chunk: &Vec<Clause>| chunk.iter().map(|clause| clause[field].clone()).collect();
            Ranges::new(&chunks.iter().map(ranges).collect::<Vec<_>>())
        });
        Self {
            searches: [&src, &dst, &protocol].map(|it| Search::new(&it.starts, &it.numbers)),
            fields: [src.field, dst.field, protocol.field],
        }
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(Field::bytes).sum();
        fields + self.searches.iter().map(Search::bytes).sum::<usize>()
    }

    /// The last three numbers of each packet.
    #[inline(always)]
    pub(super) fn numbers<W: Vectors>(
        &self,
        vectors: W,
        packets: Packets<'_>,
        numbers: &mut [Words; 5],
    ) {
        let (mut room, mut other_room) = ([0; BURST_MAX], [0; BURST_MAX]);
        let ports = packets.words(&packets.keys.ports, &mut room);
        let classes = packets.words(&packets.keys.class, &mut other_room);
        let mut keys = [[0; BURST_MAX]; 3];
        for at in 0..BURST_MAX {
            let (ports, class) = (ports[at], classes[at]);
            let has_ports = class & HAS_PORTS != 0;
            keys[0][at] = if has_ports { ports >> 16 } else { NO_PORT }.key();
            keys[1][at] = if has_ports { ports & 0xffff } else { NO_PORT }.key();
            let has_protocol = class & NO_PROTOCOL == 0;
            keys[2][at] = if has_protocol { class & 0xff } else { NO_PROTOCOL_VALUE }.key();
        }
        for field in 0..3 {
            let search = &self.searches[field];
            search.numbers(vectors, &keys[field], packets.count(), &mut numbers[2 + field]);
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

/// The classes of ports.
#[derive(Debug, Clone)]
struct PortClasses {
    /// Ports that differ in these lower bits alone are of the same class: the fewer bits are left, the
    /// less of a cache the table takes.
    shift: u32,
    table: Box<[u8; PORTS]>,
}

impl PortClasses {
    /// `None` where a byte does not tell them apart.
    fn new(starts: &[u32]) -> Option<Self> {
        let shift = starts.iter().map(|start| start.trailing_zeros()).min()?.min(u16::BITS);
        let mut table = vec![0; PORTS];
        for (class, &start) in starts.iter().enumerate() {
            let class = u8::try_from(class).ok()?;
            if let Some(rest) = table.get_mut((start >> shift) as usize..) {
                rest.fill(class);
            }
        }
        Some(Self { shift, table: table.into_boxed_slice().try_into().ok()? })
    }

    #[inline(always)]
    fn class(&self, port: u16) -> u32 {
        self.table[(u32::from(port) >> (self.shift % u32::BITS)) as u16 as usize].into()
    }
}

/// For each class of a key, which class of protocols it has, where they begin so; without ports, so many more.
fn kinds(starts: &[u32], with_ports: usize) -> Box<[u32; KIND_BITS as usize + 1]> {
    Box::new(core::array::from_fn(|class| {
        let class = class as u32;
        let protocol = if class & NO_PROTOCOL == 0 { class & 0xff } else { NO_PROTOCOL_VALUE };
        let of_protocol = starts.partition_point(|&start| start <= protocol) - 1;
        (of_protocol + if class & HAS_PORTS == 0 { with_ports } else { 0 }) as u32
    }))
}

impl Merged {
    /// Of each chunk, the clause of each rule. `None` where the table would be too large.
    pub(super) fn new(chunks: &[Vec<Clause>]) -> Option<Self> {
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
        let cells = (src * dst + 1) * protocols;
        // First of all: what follows takes as much time and memory.
        if cells > CELLS_MAX || cells * clauses.len() > WORK_MAX {
            return None;
        }
        let ports = [PortClasses::new(&starts[0])?, PortClasses::new(&starts[1])?];
        let rules: usize = chunks.iter().map(Vec::len).sum();
        let mut sums = Sums::new(chunks.len(), 2 * rules + EXTRA_MAX);
        let [src, dst, protocols] =
            [0, 1, 2].map(|field| accepting(&clauses, field, &starts[field]));
        let without_ports = [0, 1].map(|field| accepting(&clauses, field, &[NO_PORT]));
        let both = src.iter().flat_map(|src| dst.iter().map(move |dst| [src, dst]));
        let mut all = Vec::with_capacity(cells);
        for [src, dst] in both.chain([without_ports.each_ref().map(|it| &it[0])]) {
            for protocol in &protocols {
                all.push(sums.range([src, dst, protocol], &having)?);
            }
        }
        let (field, numbers) = sums.builder.finish();
        Some(Self {
            ports,
            kinds: kinds(&starts[2], cells - protocols.len()),
            counts: [dst.len() as u32, protocols.len() as u32],
            cells: all.into(),
            numbers: numbers.into(),
            field,
        })
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> usize {
        let classes = 2 * PORTS + size_of_val(&*self.kinds);
        let cells = size_of_val(&*self.cells) + size_of_val(&*self.numbers);
        classes + cells + self.field.bytes()
    }

    /// The number of each packet.
    #[inline(always)]
    pub(super) fn numbers(&self, packets: Packets<'_>, numbers: &mut Words) {
        let (mut room, mut other_room) = ([0; BURST_MAX], [0; BURST_MAX]);
        let ports = packets.words(&packets.keys.ports, &mut room);
        let classes = packets.words(&packets.keys.class, &mut other_room);
        let ([src_ports, dst_ports], [dst_count, protocol_count]) = (&self.ports, self.counts);
        for at in 0..packets.count() {
            let src = src_ports.class((ports[at] >> 16) as u16);
            let dst = dst_ports.class(ports[at] as u16);
            let kind = self.kinds[(classes[at] & KIND_BITS) as usize];
            // Without ports they are 0, which is of the first class, so that the kind is the cell.
            let cell = (src * dst_count + dst) * protocol_count + kind;
            let range = self.cells.get(cell as usize).copied().unwrap_or_default();
            numbers[at] = self.numbers[usize::from(range)];
        }
    }
}

/// Rows by the clauses that hold.
struct Sums {
    builder: FieldBuilder,
    /// By chunk, its rules in the current row, if it has any.
    rules: Vec<Option<Rules>>,
    /// By the clauses that hold, a bit each.
    ranges: HashMap<Box<[u64]>, u16>,
    /// Those of the range that is asked for.
    clauses: Vec<u64>,
    /// Ranges and sets, at most.
    size_max: usize,
    /// Sets that were added up so far.
    work: usize,
}

impl Sums {
    fn new(chunks: usize, size_max: usize) -> Self {
        Self {
            builder: FieldBuilder::new(chunks),
            rules: vec![None; chunks],
            ranges: HashMap::new(),
            clauses: Vec::new(),
            size_max,
            work: 0,
        }
    }

    /// The range of what the three classes accept. `None` where it takes too much.
    fn range(&mut self, classes: [&Vec<u64>; 3], having: &[Vec<(usize, Rules)>]) -> Option<u16> {
        let [a, b, c] = classes;
        self.clauses.clear();
        self.clauses.extend(a.iter().zip(b).zip(c).map(|((a, b), c)| a & b & c));
        if let Some(&range) = self.ranges.get(&*self.clauses) {
            return Some(range);
        }
        let next = self.ranges.len();
        // Sets of a chunk are numbered by 16 bits, as ranges are, and one more of them may be empty.
        let range = u16::try_from(next).ok().filter(|_| next < self.size_max.min(PORTS - 1))?;
        self.push(having);
        if self.builder.sets() > self.size_max || self.work > WORK_MAX {
            return None;
        }
        self.ranges.insert(self.clauses.as_slice().into(), range);
        Some(range)
    }

    /// Pushes a row.
    fn push(&mut self, having: &[Vec<(usize, Rules)>]) {
        let before: Vec<usize> =
            (0..self.rules.len()).filter(|&chunk| self.rules[chunk].take().is_some()).collect();
        for (word, &bits) in self.clauses.iter().enumerate() {
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
