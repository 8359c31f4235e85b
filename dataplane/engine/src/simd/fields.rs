//! The sets of rules of a field, and where the rules stand.
//!
//! Few rules are one set a field: a number of a field's says which. More of them stand in chunks: the
//! number says where a *row* is, which has a bit for each chunk that has rules at all, and then the id
//! of each chunk's set. A row is a cache line, or several *parts* of that size, equal ones once.
//!
//! What numbers lead to is checked when a field is made, so that it need not be when it is read.

use super::vectors::{Line, WORDS};

/// Rules of a chunk: a bit each in one cache line.
pub(crate) const CHUNK: usize = 64 * WORDS;
/// Chunks that are one set together, at most.
pub(crate) const LINES_MAX: usize = 2;
/// Ids in a part of a row.
pub(crate) const PART: usize = 32;
/// The room of ids that the bits of 64 chunks take.
pub(crate) const HEAD: usize = 4;

/// A part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C, align(64))]
pub(crate) struct Part(pub(crate) [u16; PART]);

/// Where the sets of a field are.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// A number is that of a set of all chunks.
    Direct,
    /// A number is that of a part, which is a row.
    Narrow(Box<[Part]>),
    /// A number is that of a row, which is several parts.
    Wide { parts: Box<[Part]>, rows: Box<[u32]> },
}

/// The sets of one field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(super) rows: Rows,
    sets: Box<[Line]>,
    /// By chunk, where its sets begin.
    firsts: Box<[u32]>,
    /// So many numbers are good.
    pub(super) len: u32,
}

impl Field {
    /// Chunks whose sets begin at `firsts`.
    ///
    /// # Panics
    /// Where rows tell of parts, or parts of sets, that are not there: what makes them makes no such.
    pub(crate) fn new(rows: Rows, sets: Box<[Line]>, firsts: Box<[u32]>) -> Self {
        let chunks = firsts.len();
        let len = match &rows {
            Rows::Direct => {
                assert!((1..=LINES_MAX).contains(&chunks), "few chunks are one set");
                assert!(sets.len().is_multiple_of(chunks), "a set is whole");
                sets.len() / chunks
            }
            Rows::Narrow(parts) => {
                assert!(chunks > LINES_MAX && row_len(chunks) == 1, "a row is one part");
                parts.iter().for_each(|part| check(part, 0, &sets, &firsts));
                parts.len()
            }
            Rows::Wide { parts, rows } => {
                let row_len = row_len(chunks);
                assert!(row_len > 1, "a row is several parts");
                assert!(rows.len().is_multiple_of(row_len), "a row is whole");
                // Of each place in a row, the parts that were checked.
                let mut checked = vec![vec![false; parts.len()]; row_len];
                for row in rows.chunks_exact(row_len) {
                    for (at, (&part, checked)) in row.iter().zip(&mut checked).enumerate() {
                        if !core::mem::replace(&mut checked[part as usize], true) {
                            check(&parts[part as usize], at, &sets, &firsts);
                        }
                    }
                }
                rows.len() / row_len
            }
        };
        assert!(len > 0, "there is a row");
        assert!(u32::try_from(len.max(sets.len())).is_ok(), "numbers tell them apart");
        Self { rows, sets, firsts, len: len as u32 }
    }

    /// How many chunks it has.
    #[inline]
    pub(super) fn chunk_count(&self) -> usize {
        self.firsts.len()
    }

    /// Bytes.
    pub(crate) fn bytes(&self) -> usize {
        let rows = match &self.rows {
            Rows::Direct => 0,
            Rows::Narrow(parts) => size_of_val(&**parts),
            Rows::Wide { parts, rows } => size_of_val(&**parts) + size_of_val(&**rows),
        };
        rows + size_of_val(&*self.sets) + size_of_val(&*self.firsts)
    }

    /// Where rows begin, and how many bytes from one to the next: of parts or, in wide fields, of their
    /// numbers.
    #[inline]
    pub(super) fn row_start(&self) -> (*const u8, usize) {
        let chunks = self.chunk_count();
        match &self.rows {
            Rows::Direct => (self.sets.as_ptr().cast(), size_of::<Line>() * chunks),
            Rows::Narrow(parts) => (parts.as_ptr().cast(), size_of::<Part>()),
            Rows::Wide { rows, .. } => (rows.as_ptr().cast(), size_of::<u32>() * row_len(chunks)),
        }
    }

    /// The part of a row that has an id.
    ///
    /// # Safety
    /// The row is one of the field's, the id one of a row; the field is wide or narrow, as told.
    #[expect(clippy::cast_ptr_alignment, reason = "a row is aligned as what it is made of")]
    #[inline(always)]
    unsafe fn part<const WIDE: bool>(&self, row: *const u8, id: usize) -> *const Part {
        match &self.rows {
            Rows::Wide { parts, .. } if WIDE => {
                // SAFETY: there are as many parts in each row as ids need.
                let part = unsafe { row.cast::<u32>().add(id / PART) };
                // SAFETY: the same.
                let part = unsafe { *part };
                // SAFETY: rows are of parts that are there.
                unsafe { parts.as_ptr().add(part as usize) }
            }
            Rows::Narrow(_) if !WIDE => row.cast(),
            // SAFETY: it is not so, the caller says.
            _ => unsafe { core::hint::unreachable_unchecked() },
        }
    }

    /// A bit for each of 64 chunks from `64 * word` on that has rules.
    ///
    /// # Safety
    /// As of [`Field::part`]; there are chunks from there on.
    #[inline(always)]
    pub(super) unsafe fn chunks<const WIDE: bool>(&self, row: *const u8, word: usize) -> u64 {
        // SAFETY: the bits stand before the ids of as many chunks, in room for ids.
        let part = unsafe { self.part::<WIDE>(row, HEAD * word) };
        // SAFETY: a part is a whole number of words, of which this is one.
        let word = unsafe { part.cast::<u64>().add(word % (PART / HEAD)) };
        // SAFETY: the same; parts are aligned to more than a word is.
        unsafe { *word }
    }

    /// The set of a chunk.
    ///
    /// # Safety
    /// As of [`Field::part`]; the chunk is one of the field's, which has so many heads.
    #[inline(always)]
    pub(super) unsafe fn set<const WIDE: bool>(
        &self,
        row: *const u8,
        heads: usize,
        chunk: usize,
    ) -> *const Line {
        let at = HEAD * heads + chunk;
        // SAFETY: as the caller says.
        let part = unsafe { self.part::<WIDE>(row, at) };
        // SAFETY: in a narrow row there is room for all chunks.
        let id = unsafe { part.cast::<u16>().add(if WIDE { at % PART } else { at }) };
        // SAFETY: the same.
        let id = unsafe { *id };
        // SAFETY: as the caller says.
        let first = unsafe { *self.firsts.get_unchecked(chunk) };
        // SAFETY: ids of each chunk are of sets that are there.
        unsafe { self.sets.as_ptr().add(first.wrapping_add(id.into()) as usize) }
    }
}

/// How many words have a bit for each of so many chunks.
pub(crate) const fn heads(chunks: usize) -> usize {
    chunks.div_ceil(64)
}

/// How many parts a row has of so many chunks.
pub(crate) const fn row_len(chunks: usize) -> usize {
    (heads(chunks) * HEAD + chunks).div_ceil(PART)
}

/// The bits of 64 chunks, in the room of ids: as a word stands in memory.
pub(crate) fn head_of(bits: u64) -> [u16; HEAD] {
    let bytes = bits.to_ne_bytes();
    core::array::from_fn(|at| u16::from_ne_bytes([bytes[2 * at], bytes[2 * at + 1]]))
}

/// Panics where a part at a place in its row has a bit or an id too many.
fn check(part: &Part, at: usize, sets: &[Line], firsts: &[u32]) {
    let head = HEAD * heads(firsts.len());
    for (word, ids) in part.0.as_chunks::<HEAD>().0.iter().enumerate() {
        let place = PART * at + HEAD * word;
        if place < head {
            let chunks = firsts.len() - 64 * (place / HEAD);
            let bits = (chunks..64).fold(0, |bits, chunk| bits | 1 << chunk);
            let are_other = ids.iter().zip(head_of(bits)).all(|(ids, others)| ids & others == 0);
            assert!(are_other, "bits are of chunks");
            continue;
        }
        for (&id, &first) in ids.iter().zip(firsts.get(place - head..).unwrap_or_default()) {
            assert!(first as usize + usize::from(id) < sets.len(), "ids are of sets");
        }
    }
}

/// Where the rules of chunks stand in a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// By chunk, the place of each of [`CHUNK`] rules, and [`NONE`] behind them; where chunks are one
    /// set, behind the last one alone.
    pub(super) of: Box<[u32]>,
    /// By chunk, the rules that still stand there.
    pub(super) standing: Box<[Line]>,
}

/// The place of a rule that is gone.
pub(super) const GONE: u32 = u32::MAX;
/// Behind all places.
pub(super) const NONE: u32 = GONE - 1;

impl Places {
    /// Of the rules of each chunk, in order; `None` for what is gone. Where chunks are one set, all rules
    /// of the first stand before those of the second.
    pub(crate) fn new(chunks: &[Vec<Option<u32>>]) -> Self {
        let is_direct = chunks.len() <= LINES_MAX;
        let (mut of, mut standing) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut stand = Line::default();
            for (bit, place) in chunk.iter().enumerate() {
                stand.0[bit / 64] |= u64::from(place.is_some()) << (bit % 64);
            }
            let places = chunk.iter().map(|place| place.unwrap_or(GONE));
            of.extend(places.chain(core::iter::repeat(NONE)).take(CHUNK));
            of.extend((!is_direct).then_some(NONE));
            standing.push(stand);
        }
        of.extend(is_direct.then_some(NONE));
        Self { of: of.into(), standing: standing.into() }
    }

    /// Bytes, with so many chunks.
    pub(crate) const fn bytes(chunks: usize) -> usize {
        chunks * (size_of::<[u32; CHUNK + 1]>() + size_of::<Line>())
    }
}
