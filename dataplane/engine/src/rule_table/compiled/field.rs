//! One field of the keys in the making: for each range of its values, which rules of which chunks
//! accept them. What is equal is there once.

use foldhash::{HashMap, HashMapExt};

use crate::simd::{CHUNK, Field, HEAD, LINES_MAX, Line, PART, Part, Rows, head_of, heads, row_len};

/// Rules of a chunk.
pub(super) const RULES: usize = CHUNK;

/// Rules that are one set, so that they have no chunks, at most.
pub(super) const DIRECT_MAX: usize = LINES_MAX * CHUNK;

/// Rules of one chunk, the first of which goes first.
pub(super) type Rules = Line;

impl Rules {
    /// Adds a rule, or takes it away.
    pub(super) fn flip(&mut self, rule: usize) {
        self.0[rule / 64] ^= 1 << (rule % 64);
    }
}

/// The current row is changed, and pushed for one range after the other.
#[derive(Debug)]
pub(super) struct FieldBuilder {
    rows: RowsBuilder,
    /// By range.
    numbers: Vec<u32>,
}

#[derive(Debug)]
enum RowsBuilder {
    /// Of few chunks, which are one set.
    Direct {
        current: [Rules; LINES_MAX],
        chunks: usize,
        set_ids: Ids<[Rules; LINES_MAX]>,
    },
    Chunked(Chunked),
}

/// Different things, and the number of each.
#[derive(Debug)]
struct Ids<T> {
    of: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T: Copy + Eq + std::hash::Hash> Ids<T> {
    fn new() -> Self {
        Self { of: HashMap::new(), all: Vec::new() }
    }

    fn id(&mut self, thing: T) -> u32 {
        *self.of.entry(thing).or_insert_with(|| {
            self.all.push(thing);
            self.all.len() as u32 - 1
        })
    }
}

#[derive(Debug)]
struct Chunked {
    /// The bits of chunks, then the id of each chunk's set.
    row: Vec<Part>,
    part_ids: Vec<u32>,
    /// The parts that were changed since they were given their ids.
    changed: Vec<bool>,
    /// Where the ids of sets begin.
    head: usize,
    rows: Vec<u32>,
    parts: Ids<Part>,
    /// By chunk; the first is empty.
    sets: Vec<Ids<Rules>>,
}

impl FieldBuilder {
    /// One of so many chunks, none of which has rules for the current row.
    pub(super) fn new(chunks: usize) -> Self {
        let rows = if chunks <= LINES_MAX {
            RowsBuilder::Direct { current: Default::default(), chunks, set_ids: Ids::new() }
        } else {
            RowsBuilder::Chunked(Chunked::new(chunks))
        };
        Self { rows, numbers: Vec::new() }
    }

    /// How many sets all chunks have.
    pub(super) fn sets(&self) -> usize {
        match &self.rows {
            RowsBuilder::Direct { set_ids, .. } => set_ids.all.len(),
            RowsBuilder::Chunked(chunked) => chunked.sets.iter().map(|ids| ids.all.len()).sum(),
        }
    }

    /// Gives a chunk these rules in the current row.
    pub(super) fn set(&mut self, chunk: usize, rules: Rules) {
        match &mut self.rows {
            RowsBuilder::Direct { current, .. } => current[chunk] = rules,
            RowsBuilder::Chunked(chunked) => chunked.set(chunk, rules),
        }
    }

    /// Makes the current row that of the next range.
    pub(super) fn push(&mut self) {
        self.numbers.push(match &mut self.rows {
            RowsBuilder::Direct { current, set_ids, .. } => set_ids.id(*current),
            RowsBuilder::Chunked(chunked) => chunked.push(),
        });
    }

    /// The field, and by range the number of its row.
    pub(super) fn finish(self) -> (Field, Vec<u32>) {
        let field = match self.rows {
            RowsBuilder::Direct { set_ids, chunks, .. } => {
                let lines = set_ids.all.iter().flat_map(|set| &set[..chunks]).copied().collect();
                Field::new(Rows::Direct, lines, vec![0; chunks].into())
            }
            RowsBuilder::Chunked(chunked) => chunked.finish(),
        };
        (field, self.numbers)
    }
}

impl Chunked {
    fn new(chunks: usize) -> Self {
        let row_len = row_len(chunks);
        let mut sets: Vec<Ids<Rules>> = (0..chunks).map(|_| Ids::new()).collect();
        for ids in &mut sets {
            ids.id(Rules::default());
        }
        Self {
            row: vec![Part([0; PART]); row_len],
            part_ids: vec![0; row_len],
            changed: vec![true; row_len],
            head: HEAD * heads(chunks),
            rows: Vec::new(),
            parts: Ids::new(),
            sets,
        }
    }

    fn set(&mut self, chunk: usize, rules: Rules) {
        let id = self.sets[chunk].id(rules) as u16;
        let bits = head_of(1 << (chunk % 64));
        for (place, bits) in (HEAD * (chunk / 64)..).zip(bits) {
            let ids = &mut self.row[place / PART].0[place % PART];
            *ids = if id == 0 { *ids & !bits } else { *ids | bits };
            self.changed[place / PART] = true;
        }
        let place = self.head + chunk;
        self.row[place / PART].0[place % PART] = id;
        self.changed[place / PART] = true;
    }

    fn push(&mut self) -> u32 {
        for ((part, id), changed) in self.row.iter().zip(&mut self.part_ids).zip(&mut self.changed)
        {
            if core::mem::take(changed) {
                *id = self.parts.id(*part);
            }
        }
        if let [id] = self.part_ids[..] {
            return id;
        }
        self.rows.extend(&self.part_ids);
        (self.rows.len() / self.row.len()) as u32 - 1
    }

    fn finish(self) -> Field {
        let parts = self.parts.all.into();
        let rows = match self.row.len() {
            1 => Rows::Narrow(parts),
            _ => Rows::Wide { parts, rows: self.rows.into() },
        };
        let mut firsts = Vec::with_capacity(self.sets.len());
        let mut all = Vec::new();
        for ids in self.sets {
            firsts.push(all.len() as u32);
            all.extend(ids.all);
        }
        Field::new(rows, all.into(), firsts.into())
    }
}
