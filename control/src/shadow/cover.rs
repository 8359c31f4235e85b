//! Whether regions together hold all of another one, or a packet that they leave.

use std::collections::BTreeSet;

use super::region::{DIMENSIONS, Point, Region};

/// Of so many regions at most it is tried whether all of them are needed.
const NEEDED_MAX: usize = 64;
/// To sort the ends of a region in each dimension, in steps.
const STEPS_TO_SORT: u64 = 8;

/// What other regions leave of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// Nothing. Those at these positions, ascending, are enough; and all are needed, unless they are
    /// more than [`NEEDED_MAX`].
    Whole(Vec<usize>),
    /// This packet, among others.
    Gap(Point),
}

/// The steps that were allowed are used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// Looks for a packet of `subject` that is in none of `others`, which lie inside of it. `steps` are
/// taken from: to look at a region once is a step. Errors: there were not enough of them.
pub(super) fn cover(subject: &Region, others: &[Region], steps: &mut u64) -> Result<Cover, Spent> {
    if let Some(one) = others.iter().position(|other| other == subject) {
        return Ok(Cover::Whole(vec![one]));
    }
    let mut used = match search(subject, others, 0..others.len(), steps)? {
        Cover::Whole(used) => used,
        gap @ Cover::Gap(_) => return Ok(gap),
    };
    if used.len() <= NEEDED_MAX {
        // Of two that would do, the earlier one stays.
        for last in used.clone().into_iter().rev() {
            let fewer = used.iter().copied().filter(|&position| position != last);
            if let Ok(Cover::Whole(enough)) = search(subject, others, fewer, steps) {
                used = enough;
            }
        }
    }
    Ok(Cover::Whole(used))
}

/// As [`cover`], with those others only whose positions are given, and perhaps more used than needed.
fn search(
    subject: &Region,
    others: &[Region],
    positions: impl IntoIterator<Item = usize>,
    steps: &mut u64,
) -> Result<Cover, Spent> {
    let positions: Vec<usize> = positions.into_iter().collect();
    let to_sort = positions.len() as u64 * STEPS_TO_SORT;
    *steps = steps.checked_sub(to_sort).ok_or(Spent)?;
    let mut search = Search { used: BTreeSet::new(), gap: [0; DIMENSIONS], steps };
    let mut cell = Cell { axes: Default::default(), boxes: Vec::new() };
    for (at, axis) in cell.axes.iter_mut().enumerate() {
        let whole = subject.sides[at];
        axis.push(whole.from);
        for side in positions.iter().map(|&position| others[position].sides[at]) {
            axis.push(side.from);
            axis.extend((side.to < whole.to).then(|| side.to + 1));
        }
        axis.sort_unstable();
        axis.dedup();
    }
    for &position in &positions {
        let ranks = std::array::from_fn(|at| {
            let (axis, side) = (&cell.axes[at], others[position].sides[at]);
            let rank = |number| axis.partition_point(|&start| start <= number) as u32 - 1;
            Ranks { from: rank(side.from), to: rank(side.to) }
        });
        cell.boxes.push(Boxed { position, ranks });
    }
    Ok(if search.covers(cell)? {
        Cover::Whole(search.used.into_iter().collect())
    } else {
        Cover::Gap(search.gap)
    })
}

/// One search: see the [module above](super).
struct Search<'s> {
    /// Positions of regions that covered something.
    used: BTreeSet<usize>,
    /// The packet that is left, once it is found.
    gap: Point,
    steps: &'s mut u64,
}

/// A part of the subject, cut in each dimension into intervals between which nothing changes.
struct Cell {
    /// The first number of each interval; ascending, not empty.
    axes: [Vec<u128>; DIMENSIONS],
    /// What may cover it.
    boxes: Vec<Boxed>,
}

/// What a region covers of a cell.
#[derive(Clone, Copy)]
struct Boxed {
    /// The region's.
    position: usize,
    ranks: [Ranks; DIMENSIONS],
}

/// Intervals from..=to of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ranks {
    from: u32,
    to: u32,
}

impl Search<'_> {
    /// Whether the boxes cover the whole cell. If not, there is a gap.
    fn covers(&mut self, mut cell: Cell) -> Result<bool, Spent> {
        loop {
            *self.steps = self.steps.checked_sub(cell.boxes.len() as u64 + 1).ok_or(Spent)?;
            match self.take_slabs(&mut cell) {
                Slabs::CoverAll => return Ok(true),
                Slabs::Taken => {}
                Slabs::None => break,
            }
        }
        if cell.boxes.is_empty() {
            self.gap = std::array::from_fn(|at| cell.axes[at][0]);
            return Ok(false);
        }
        cell.join_intervals();
        let (one, other) = cell.halves();
        Ok(self.covers(one)? && self.covers(other)?)
    }

    /// Takes away the boxes that lack only one dimension to cover all, and what they cover.
    fn take_slabs(&mut self, cell: &mut Cell) -> Slabs {
        let mut covered = cell.axes.each_ref().map(|axis| vec![false; axis.len()]);
        let (mut has_slabs, mut kept) = (false, Vec::with_capacity(cell.boxes.len()));
        for &boxed in &cell.boxes {
            let lacks = |at: &usize| !boxed.ranks[*at].are_all(cell.axes[*at].len());
            let mut lacking = (0..DIMENSIONS).filter(lacks);
            match (lacking.next(), lacking.next()) {
                (None, _) => {
                    self.used.insert(boxed.position);
                    return Slabs::CoverAll;
                }
                (Some(at), None) => {
                    has_slabs = true;
                    let Ranks { from, to } = boxed.ranks[at];
                    let span = &mut covered[at][from as usize..=to as usize];
                    if span.contains(&false) {
                        self.used.insert(boxed.position);
                        span.fill(true);
                    }
                }
                (Some(_), Some(_)) => kept.push(boxed),
            }
        }
        cell.boxes = kept;
        if !has_slabs {
            return Slabs::None;
        }
        for (at, covered) in covered.iter().enumerate() {
            if covered.contains(&true) {
                cell.keep(at, |rank| !covered[rank]);
                if cell.axes[at].is_empty() {
                    return Slabs::CoverAll;
                }
            }
        }
        Slabs::Taken
    }
}

enum Slabs {
    CoverAll,
    Taken,
    None,
}

impl Ranks {
    fn are_all(self, len: usize) -> bool {
        self.from == 0 && self.to as usize + 1 == len
    }
}

impl Cell {
    /// Leaves only some intervals of an axis, and the boxes that have any of them.
    fn keep(&mut self, at: usize, is_kept: impl Fn(usize) -> bool) {
        // How many are kept before each.
        let mut before = vec![0u32];
        for rank in 0..self.axes[at].len() {
            before.push(before[rank] + u32::from(is_kept(rank)));
        }
        let mut rank = 0..;
        self.axes[at].retain(|_| rank.next().is_some_and(&is_kept));
        self.boxes.retain_mut(|boxed| {
            let Ranks { from, to } = boxed.ranks[at];
            let (from, end) = (before[from as usize], before[to as usize + 1]);
            boxed.ranks[at] = Ranks { from, to: end.wrapping_sub(1) };
            from < end
        });
    }

    /// Joins intervals between which no box begins or ends.
    fn join_intervals(&mut self) {
        for at in 0..DIMENSIONS {
            let mut begins = vec![false; self.axes[at].len() + 1];
            begins[0] = true;
            for boxed in &self.boxes {
                begins[boxed.ranks[at].from as usize] = true;
                begins[boxed.ranks[at].to as usize + 1] = true;
            }
            self.keep(at, |rank| begins[rank]);
        }
    }

    /// Cuts the longest axis in the middle; the half with fewer boxes first.
    fn halves(self) -> (Self, Self) {
        let longest = (0..DIMENSIONS).max_by_key(|&at| self.axes[at].len()).unwrap_or(0);
        let middle = self.axes[longest].len() / 2;
        let mut other = Self { axes: self.axes.clone(), boxes: self.boxes.clone() };
        let mut one = self;
        one.keep(longest, |rank| rank < middle);
        other.keep(longest, |rank| rank >= middle);
        if one.boxes.len() <= other.boxes.len() { (one, other) } else { (other, one) }
    }
}
