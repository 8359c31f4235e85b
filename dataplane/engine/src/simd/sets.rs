//! How a burst is looked up in the sets of all fields.
//!
//! Nothing is read without being inside: numbers are bounded for a burst at once, and what they lead to
//! was checked when the fields were made. So nothing is asked for each packet.

use core::ptr::null;

use super::fields::{CHUNK, Field, GONE, LINES_MAX, NONE, Places, Rows, heads};
use super::vectors::{Line, Vectors, WORDS};
use crate::burst::BURST_MAX;
use crate::conditions::Match;

/// The fields of some rules, and where the rules stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sets<'a, const FIELDS: usize> {
    fields: [&'a Field; FIELDS],
    places: &'a Places,
}

/// What is looked up in fields: a number of each for each packet.
pub(crate) type Numbers<const FIELDS: usize> = [[u32; BURST_MAX]; FIELDS];

/// Where the row of each packet is in each field.
type RowsOf<const FIELDS: usize> = [[*const u8; BURST_MAX]; FIELDS];

impl<'a, const FIELDS: usize> Sets<'a, FIELDS> {
    /// # Panics
    /// When fields or places are not of the same chunks.
    #[inline]
    pub(crate) fn new(fields: [&'a Field; FIELDS], places: &'a Places) -> Self {
        let chunks = places.standing.len();
        assert!(fields.iter().all(|field| field.chunk_count() == chunks), "of the same chunks");
        Self { fields, places }
    }

    /// The place of the first rule that is in the sets of each of the first `count` packets, where it is
    /// before what is found.
    #[inline(always)]
    pub(crate) fn first_matches<W: Vectors>(
        self,
        vectors: W,
        numbers: &Numbers<FIELDS>,
        count: usize,
        found: &mut [Match; BURST_MAX],
    ) {
        let count = count.min(BURST_MAX);
        let rows = &self.rows(numbers);
        match (&self.fields[0].rows, self.places.standing.len()) {
            (Rows::Direct, 1) => {
                // SAFETY: fields of as many chunks have the same form, here and below.
                unsafe { self.direct::<W, 1>(vectors, rows, count, found) };
            }
            (Rows::Direct, _) => {
                // SAFETY: as above.
                unsafe { self.direct::<W, LINES_MAX>(vectors, rows, count, found) };
            }
            (Rows::Narrow(_), _) => {
                // SAFETY: as above.
                unsafe { self.chunked::<W, false>(vectors, rows, count, found) };
            }
            (Rows::Wide { .. }, _) => {
                // SAFETY: as above.
                unsafe { self.chunked::<W, true>(vectors, rows, count, found) };
            }
        }
    }

    /// Where the row of each packet is.
    #[inline(always)]
    fn rows(self, numbers: &Numbers<FIELDS>) -> RowsOf<FIELDS> {
        let mut rows = [[null(); BURST_MAX]; FIELDS];
        for ((field, numbers), rows) in self.fields.iter().zip(numbers).zip(&mut rows) {
            let (start, step) = field.row_start();
            for (row, number) in rows.iter_mut().zip(numbers) {
                *row = start.wrapping_add(step * (*number).min(field.len - 1) as usize);
            }
        }
        rows
    }

    /// # Safety
    /// Fields are direct, of so many chunks, and rows are theirs.
    #[inline(always)]
    unsafe fn direct<W: Vectors, const LINES: usize>(
        self,
        vectors: W,
        rows: &RowsOf<FIELDS>,
        count: usize,
        found: &mut [Match; BURST_MAX],
    ) {
        let (mut asked, mut packets) = (Asked::new(), [0; BURST_MAX]);
        for (at, packet) in (0..).zip(&mut packets) {
            *packet = at;
        }
        for (sets, rows) in asked.sets.iter_mut().zip(rows) {
            for (set, row) in sets.iter_mut().zip(rows) {
                *set = row.cast();
            }
        }
        // SAFETY: rows are sets of so many lines, and the places of their rules begin with the first.
        unsafe { self.visit::<W, LINES>(vectors, &asked, &packets[..count], found) };
    }

    /// # Safety
    /// Fields are wide or narrow, as told, and rows are theirs.
    #[inline(always)]
    unsafe fn chunked<W: Vectors, const WIDE: bool>(
        self,
        vectors: W,
        rows: &RowsOf<FIELDS>,
        count: usize,
        found: &mut [Match; BURST_MAX],
    ) {
        let (heads, mut asked) = (heads(self.places.standing.len()), Asked::new());
        for word in 0..heads {
            let (mut chunks, mut open, mut left) = ([0; BURST_MAX], [0u8; BURST_MAX], 0);
            for at in 0..count {
                let mut common = u64::MAX;
                for (field, rows) in self.fields.iter().zip(rows) {
                    // SAFETY: as the caller says, and this is one of the heads.
                    common &= unsafe { field.chunks::<WIDE>(rows[at], word) };
                }
                chunks[at] = common;
                // Written always, kept when it is open: no branch to mispredict.
                open[left % BURST_MAX] = at as u8;
                left += usize::from(common != 0);
            }
            // One chunk of each packet after the other.
            while left > 0 {
                let (count, mut still_open) = (left, [0; BURST_MAX]);
                left = 0;
                for n in 0..count {
                    let at = usize::from(open[n % BURST_MAX]) % BURST_MAX;
                    let chunk = 64 * word + chunks[at].trailing_zeros() as usize;
                    let fields = self.fields.iter().zip(rows);
                    for (sets, (field, rows)) in asked.sets.iter_mut().zip(fields) {
                        // SAFETY: bits are of chunks, and this one has one, as it is open.
                        sets[n % BURST_MAX] = unsafe { field.set::<WIDE>(rows[at], heads, chunk) };
                    }
                    asked.starts[n % BURST_MAX] = ((CHUNK + 1) * chunk) as u32;
                    chunks[at] &= chunks[at].wrapping_sub(1);
                    still_open[left % BURST_MAX] = at as u8;
                    left += usize::from(chunks[at] != 0);
                }
                // SAFETY: so many sets were asked for.
                unsafe { self.visit::<W, 1>(vectors, &asked, &open[..count], found) };
                open = still_open;
            }
        }
    }

    /// Looks for the first match of each of these packets in the sets that are asked.
    ///
    /// # Safety
    /// So many sets of so many lines are asked, and where the places of their rules begin; packets are
    /// some of a burst.
    #[inline(always)]
    unsafe fn visit<W: Vectors, const LINES: usize>(
        self,
        vectors: W,
        asked: &Asked<FIELDS>,
        packets: &[u8],
        found: &mut [Match; BURST_MAX],
    ) {
        for (n, &packet) in packets.iter().enumerate().take(BURST_MAX) {
            let mut sets = [&[Line([0; WORDS]); LINES]; FIELDS];
            for (set, of_field) in sets.iter_mut().zip(&asked.sets) {
                // SAFETY: as the caller says.
                *set = unsafe { &*of_field[n].cast() };
            }
            // The last word where they have nothing in common: so the place behind it is told.
            let common = vectors.common_words(sets) | 1 << (WORDS * LINES - 1);
            let word = common.trailing_zeros();
            let mut common = u64::MAX;
            for set in sets {
                // SAFETY: a set is words alone, and this is one of them.
                let of_set = unsafe { set.as_ptr().cast::<u64>().add(word as usize) };
                // SAFETY: the same.
                common &= unsafe { *of_set };
            }
            let place = asked.starts[n] + 64 * word + common.trailing_zeros();
            // SAFETY: there are places of all rules and one more, and no rule is behind the last.
            let mut place = *unsafe { self.places.of.get_unchecked(place as usize) };
            if place == GONE {
                // SAFETY: as the caller says.
                place = unsafe { self.places.first_standing::<FIELDS, LINES>(asked, n) };
            }
            // SAFETY: as the caller says.
            let found = unsafe { found.get_unchecked_mut(usize::from(packet)) };
            found.0 = found.0.min(place);
        }
    }
}

impl Places {
    /// The place of the first rule that still stands and is in the sets that are asked for one packet. Few
    /// are gone, so this is seldom needed.
    ///
    /// # Safety
    /// As of [`Sets::visit`].
    #[cold]
    #[inline(never)]
    unsafe fn first_standing<const FIELDS: usize, const LINES: usize>(
        &self,
        asked: &Asked<FIELDS>,
        n: usize,
    ) -> u32 {
        let start = asked.starts[n] as usize;
        for line in 0..LINES {
            // Chunks that are one set are the first.
            let mut common = self.standing[start / (CHUNK + 1) + line];
            for sets in &asked.sets {
                // SAFETY: as the caller says.
                let set = unsafe { sets[n].add(line) };
                // SAFETY: the same.
                let set = unsafe { &*set };
                common.0.iter_mut().zip(set.0).for_each(|(common, set)| *common &= set);
            }
            if let Some(word) = common.0.iter().position(|word| *word != 0) {
                let bit = CHUNK * line + 64 * word + common.0[word].trailing_zeros() as usize;
                return self.of[start + bit];
            }
        }
        NONE
    }
}

/// Which sets are looked at for some packets, one after the other.
#[derive(Debug)]
struct Asked<const FIELDS: usize> {
    /// By field.
    sets: [[*const Line; BURST_MAX]; FIELDS],
    /// Where the places of their rules begin.
    starts: [u32; BURST_MAX],
}

impl<const FIELDS: usize> Asked<FIELDS> {
    #[inline(always)]
    fn new() -> Self {
        Self { sets: [[null(); BURST_MAX]; FIELDS], starts: [0; BURST_MAX] }
    }
}
